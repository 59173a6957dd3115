//! Access tokens that the shop did not write.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};
use uuid::Uuid;

use super::forger::{Forger, encode, hmac, part, with};
use super::{ME, told};
use crate::api::{get, problem, send};
use crate::people_support::{Person, account, colleague};
use crate::support::Shop;

/// What the tokens are made of.
struct Scene {
    shop: Shop,
    forger: Forger,
    ana: Person,
    eve: Person,
    /// Of Ana's token.
    header: Value,
    claims: Value,
}

impl Scene {
    async fn open() -> Self {
        let shop = Shop::open(&[]).await;
        let mut guest = shop.guest();
        let ana = account(&mut guest, "Ana", "ana@example.com").await;
        let eve = account(&mut guest, "Eve", "eve@example.com").await;
        let forger = Forger::of_shop(shop.data());
        let (header, claims) = (part(&ana.access, 0), part(&ana.access, 1));
        // The forger's tokens are the shop's, so what is refused is refused for what was changed in it.
        assert_eq!(header, forger.header());
        assert_eq!(call(&mut guest, &forger.sign(&header, &claims)).await.code(), 200);
        let other_type = with(&header, "typ", json!("JWT"));
        assert_eq!(call(&mut guest, &forger.sign(&other_type, &claims)).await.code(), 200);
        Self { shop, forger, ana, eve, header, claims }
    }

    /// Ana's token with one claim changed, well signed.
    fn claiming(&self, name: &str, value: Value) -> String {
        self.forger.sign(&self.header, &with(&self.claims, name, value))
    }

    /// Ana's token with one member of the header changed, well signed.
    fn headed(&self, name: &str, value: Value) -> String {
        self.forger.sign(&with(&self.header, name, value), &self.claims)
    }

    /// Every token is refused with the same answer, and Ana's own goes on working.
    async fn refuses(&self, tokens: impl IntoIterator<Item = (String, String)>) {
        let mut guest = self.shop.guest();
        let expected = told(&call(&mut guest, "rubbish").await);
        for (name, token) in tokens {
            let answer = call(&mut guest, &token).await;
            problem(&answer, 401, "invalid_token");
            assert_eq!(told(&answer), expected, "{name}");
            // Remembered or not.
            assert_eq!(call(&mut guest, &token).await.code(), 401, "{name}");
        }
        assert_eq!(call(&mut guest, &self.ana.access).await.code(), 200);
    }
}

async fn call(client: &mut Client, token: &str) -> Answer {
    send(client, Request::get(ME).header("authorization", &format!("Bearer {token}"))).await
}

#[tokio::test]
async fn the_algorithm_is_not_the_tokens_choice() {
    let scene = Scene::open().await;
    let keys = get(&mut scene.shop.guest(), "/.well-known/jwks.json").await;
    let key = &keys["keys"][0];
    assert_eq!((&key["kid"], &key["alg"]), (&json!(scene.forger.kid), &json!("EdDSA")));
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let (unsigned, signature) = scene.ana.access.rsplit_once('.').unwrap();
    let claims = unsigned.split('.').nth(1).unwrap();

    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "EDDSA", "Ed25519"] {
        let header = encode(&with(&scene.header, "alg", json!(alg)).to_string());
        for signature in ["", "AAAA", signature] {
            tokens.push((format!("alg {alg:?}"), format!("{header}.{claims}.{signature}")));
        }
    }
    for alg in ["RS256", "PS256", "ES256", "HS256", "HS512"] {
        tokens.push((format!("alg {alg}, signed with Ed25519"), scene.headed("alg", json!(alg))));
    }
    // The public key, taken for a shared secret in every form in which it is published.
    let hs256 = with(&scene.header, "alg", json!("HS256"));
    let texts = [key["x"].as_str().unwrap().to_owned(), key.to_string(), keys.to_string()];
    let secrets = texts.iter().map(String::as_bytes).chain([public.as_slice(), b""]);
    for (number, secret) in secrets.enumerate() {
        tokens.push((format!("HS256, secret {number}"), hmac(&hs256, &scene.claims, secret)));
        tokens.push((format!("EdDSA by HMAC, secret {number}"), hmac(&scene.header, &scene.claims, secret)));
    }
    scene.refuses(tokens).await;
}

#[tokio::test]
async fn the_key_is_one_of_the_shops() {
    let scene = Scene::open().await;
    let stranger = Forger::new(&scene.forger.kid, &[7; 32]);
    let own = URL_SAFE_NO_PAD.encode([9; 32]);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own, "kid": scene.forger.kid });
    let mut tokens = vec![
        ("another shop's key".to_owned(), stranger.sign(&scene.header, &scene.claims)),
        ("no kid".to_owned(), scene.headed("kid", Value::Null)),
        ("a key in the token".to_owned(), stranger.sign(&with(&scene.header, "jwk", jwk), &scene.claims)),
        (
            "a place to get keys".to_owned(),
            stranger.sign(
                &with(&scene.header, "jku", json!("http://127.0.0.1:1/.well-known/jwks.json")),
                &scene.claims,
            ),
        ),
    ];
    let huge = "k".repeat(10_000);
    let kids = [
        json!("../keys.json"),
        json!("../../../../../../dev/null"),
        json!("/proc/self/environ"),
        json!("' OR '1'='1"),
        json!("x'; DROP TABLE keys; --"),
        json!(format!("{}\0", scene.forger.kid)),
        json!(format!(" {}", scene.forger.kid)),
        json!(scene.forger.kid.to_uppercase()),
        json!([scene.forger.kid]),
        json!({ "kid": scene.forger.kid }),
        json!(0),
        json!(""),
        json!(huge),
    ];
    for kid in kids.into_iter().filter(|kid| *kid != json!(scene.forger.kid)) {
        let name = kid.to_string();
        let name: String = name.chars().take(40).collect();
        tokens.push((format!("kid {name}"), scene.headed("kid", kid)));
    }
    scene.refuses(tokens).await;
}

#[tokio::test]
async fn times_and_names_count() {
    let scene = Scene::open().await;
    let now = scene.claims["iat"].as_u64().unwrap();
    let (past, future) = (json!(now - 1), json!(now + 3600));
    let mut tokens = Vec::new();
    for (name, value) in [
        ("exp", past),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("4102444800")),
        ("exp", json!(4.1e9)),
        ("nbf", future.clone()),
        ("iat", future),
        ("iss", json!("another shop")),
        ("iss", json!([scene.claims["iss"]])),
        ("aud", json!("another shop")),
        ("aud", json!([scene.claims["aud"], "another shop"])),
        ("sub", json!("admin")),
        ("sid", json!("")),
    ] {
        tokens.push((format!("{name} {value}"), scene.claiming(name, value)));
    }
    for name in ["iss", "aud", "sub", "sid", "role", "iat", "nbf", "exp", "jti"] {
        tokens.push((format!("no {name}"), scene.claiming(name, Value::Null)));
    }
    for typ in [json!("dpop+jwt"), json!("logout+jwt"), Value::Null] {
        tokens.push((format!("typ {typ}"), scene.headed("typ", typ)));
    }
    tokens.push(("crit".to_owned(), scene.headed("crit", json!(["exp"]))));
    scene.refuses(tokens).await;
}

#[tokio::test]
async fn claims_are_the_sessions() {
    let scene = Scene::open().await;
    let mut guest = scene.shop.guest();
    let boss = colleague(&mut scene.shop.staff(), &mut guest, "admin", "boss@example.com").await;
    let (_, boss_session) = (&boss.id, &boss.session);
    let swap = |claims: &Value| {
        let [header, _, signature] = scene.ana.access.split('.').collect::<Vec<_>>().try_into().unwrap();
        format!("{header}.{}.{signature}", encode(&claims.to_string()))
    };
    let promoted = with(&scene.claims, "role", json!("admin"));
    let twice = scene.claims.to_string().replacen('{', r#"{"role":"admin","#, 1);
    let own_sub = with(&scene.claims, "sub", json!(boss.id));
    let tokens = [
        ("role edited", swap(&promoted)),
        ("role edited, well signed", scene.claiming("role", json!("admin"))),
        ("staff, well signed", scene.claiming("role", json!("staff"))),
        ("an unknown role", scene.claiming("role", json!("root"))),
        ("two roles", scene.forger.sign_text(&scene.header.to_string(), &twice)),
        ("another's account", swap(&own_sub)),
        ("another's account, well signed", scene.claiming("sub", json!(scene.eve.id))),
        ("another's session, well signed", scene.claiming("sid", json!(boss_session))),
        (
            "an administrator's account and role, well signed, in Ana's session",
            scene.forger.sign(&scene.header, &with(&own_sub, "role", json!("admin"))),
        ),
        ("nobody's session, well signed", scene.claiming("sid", json!(Uuid::now_v7()))),
        ("nobody's account, well signed", scene.claiming("sub", json!(Uuid::now_v7()))),
        ("an id that is no user's, well signed", scene.claiming("sub", json!(Uuid::nil()))),
    ];
    scene.refuses(tokens.map(|(name, token)| (name.to_owned(), token))).await;
    // The other way round: an administrator's token that says less is no customer's.
    let demoted = with(&part(&boss.access, 1), "role", json!("customer"));
    problem(&call(&mut guest, &scene.forger.sign(&scene.header, &demoted)).await, 401, "invalid_token");
}

#[tokio::test]
async fn the_text_is_exact() {
    let scene = Scene::open().await;
    let token = &scene.ana.access;
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut tokens: Vec<String> = vec![
        ".".to_owned(),
        "..".to_owned(),
        format!("{token}."),
        format!("{token}="),
        format!("{token}A"),
        format!("{token} {token}"),
        format!("{token},{token}"),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}..{claims}.{signature}"),
        format!(".{claims}.{signature}"),
        format!("{claims}.{header}.{signature}"),
        format!("{header}.{claims}.{claims}"),
        scene.forger.sign_text("[]", "[]"),
        scene.forger.sign_text(&"[".repeat(2000), &scene.claims.to_string()),
        scene.ana.refresh.clone(),
        format!("{header}.{}.{signature}", "A".repeat(8000)),
    ];
    // Every letter of the signature counts, the bits of the last one that say nothing included.
    let start = token.len() - signature.len();
    for at in start..token.len() {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        tokens.push(format!("{}{other}{}", &token[..at], &token[at + 1..]));
    }
    scene.refuses(tokens.into_iter().enumerate().map(|(n, token)| (format!("text {n}"), token))).await;

    let mut guest = scene.shop.guest();
    for scheme in ["Basic", "Token", "Bearer:", "JWT", "Bearer Bearer"] {
        let request = Request::get(ME).header("authorization", &format!("{scheme} {token}"));
        problem(&send(&mut guest, request).await, 401, "invalid_token");
    }
    for value in [token, "Bearer", "Bearer ", ""] {
        let request = Request::get(ME).header("authorization", value);
        problem(&send(&mut guest, request).await, 401, "invalid_token");
    }
    let request = Request::get(ME).header("authorization", &format!("bEARER {token}"));
    assert_eq!(send(&mut guest, request).await.code(), 200);
    // A bad token is not taken for none, where none is needed either.
    let request = Request::get("/api/v1/products").header("authorization", "Bearer rubbish");
    problem(&send(&mut guest, request).await, 401, "invalid_token");
}
