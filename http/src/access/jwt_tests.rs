#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

const NOW: u64 = 1_800_000_000_500;
const TTL: Duration = Duration::from_secs(900);
const ANA: Id = Id(0xa);
const SESSION: Id = Id(0x5e55);
const KID: &str = "2026-01";

/// Private and public halves of the first two test vectors of RFC 8032, 7.1.
const FIRST: (&str, &str) = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
);
const SECOND: (&str, &str) = (
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
);

fn bytes(hex: &str) -> [u8; 32] {
    *blake3::Hash::from_hex(hex).unwrap().as_bytes()
}

/// RFC 8410: version 0, Ed25519, and the seed as an octet string within an octet string.
fn pkcs8((seed, _): (&str, &str)) -> Vec<u8> {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [head.as_slice(), &bytes(seed)].concat()
}

fn verifying<'a>(kid: &'a str, (_, public): (&str, &str)) -> VerifyingKey<'a> {
    Named { kid, key: bytes(public) }
}

fn issuer() -> Issuer {
    issuer_named("https://shop.example")
}

fn issuer_named(name: &str) -> Issuer {
    let key = pkcs8(FIRST);
    let signing = Named { kid: KID, key: key.as_slice() };
    Issuer::new(name.to_owned(), "shop".to_owned(), TTL, signing, &[verifying(KID, FIRST)]).unwrap()
}

fn issue(issuer: &Issuer) -> String {
    issuer.issue(ANA, SESSION, Role::Staff, NOW)
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": KID })
}

fn payload() -> Value {
    let seconds = NOW / 1000;
    json!({
        "iss": "https://shop.example",
        "aud": "shop",
        "sub": ANA.to_string(),
        "sid": SESSION.to_string(),
        "role": "staff",
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + 900,
        "jti": Id(7).to_string(),
    })
}

/// `value` with one member set, or taken out by a null.
fn with(mut value: Value, name: &str, member: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    if member.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), member)
    };
    value
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token that is signed with our own key, whatever it says.
fn signed(header: &Value, payload: &Value) -> String {
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_ed_der(&pkcs8(FIRST));
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn fault(token: &str) -> TokenFault {
    issuer().verify(token, NOW).unwrap_err()
}

#[test]
fn a_token_says_what_it_was_issued_for() {
    let claims = issuer().verify(&issue(&issuer()), NOW).unwrap();
    assert_eq!((claims.user, claims.session, claims.role), (ANA, SESSION, Role::Staff));
    assert_eq!(claims.issued_at_ms, 1_800_000_000_000);
    assert_eq!(claims.expires_at_ms, 1_800_000_901_000, "the last second is given whole");
    let at = |now_ms| issuer().issue(ANA, SESSION, Role::Staff, now_ms);
    let tokens: BTreeSet<String> = (0..3).map(|later| at(NOW + later)).collect();
    assert_eq!(tokens.len(), 3, "each moment's has an id of its own");
    assert_eq!(at(NOW), at(NOW), "a repetition is the same token");
}

#[test]
fn what_a_token_claims_can_be_read_without_a_key() {
    assert_eq!(claimed_role(issue(&issuer()).as_bytes()), Some(Role::Staff));
    let escaped = r#"{"role":"\u0073taff"}"#;
    let unsigned = |payload: &str| format!("x.{}.x", URL_SAFE_NO_PAD.encode(payload));
    for (token, expected) in [
        (unsigned(r#"{"role":"admin","role2":1}"#), Some(Role::Admin)),
        (unsigned(escaped), Some(Role::Staff)),
        (unsigned(r#"{"role":"king"}"#), None),
        (unsigned(r#"{"role":1}"#), None),
        (unsigned("{}"), None),
        (unsigned("["), None),
        ("x.%.x".to_owned(), None),
        ("x".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(claimed_role(token.as_bytes()), expected, "{token}");
    }
}

#[test]
fn what_we_sign_by_hand_is_what_we_issue() {
    assert!(issuer().verify(&signed(&header(), &payload()), NOW).is_ok());
    assert!(issuer().verify(&signed(&with(header(), "typ", json!("JWT")), &payload()), NOW).is_ok());
}

#[test]
fn time_is_the_callers() {
    let issuer = issuer();
    let token = issue(&issuer);
    let claims = issuer.verify(&token, NOW).unwrap();
    assert!(issuer.verify(&token, claims.issued_at_ms).is_ok());
    assert_eq!(issuer.verify(&token, claims.issued_at_ms - 1), Err(TokenFault::NotYetValid));
    assert!(issuer.verify(&token, claims.expires_at_ms - 1).is_ok());
    assert_eq!(issuer.verify(&token, claims.expires_at_ms), Err(TokenFault::Expired));
    assert_eq!(issuer.verify(&token, u64::MAX), Err(TokenFault::Expired));
    let later = with(payload(), "nbf", json!(NOW / 1000 + 1));
    assert_eq!(fault(&signed(&header(), &later)), TokenFault::NotYetValid);
    let endless = with(payload(), "exp", json!(u64::MAX));
    assert!(issuer.verify(&signed(&header(), &endless), NOW).is_ok());
}

#[test]
fn the_algorithm_is_not_the_tokens_choice() {
    for alg in ["none", "None", "NONE", "", "ed25519"] {
        let header = part(&with(header(), "alg", json!(alg)));
        for signature in ["", "AAAA", issue(&issuer()).rsplit('.').next().unwrap()] {
            let token = format!("{header}.{}.{signature}", part(&payload()));
            assert_eq!(fault(&token), TokenFault::Malformed, "{alg}");
        }
    }
    for alg in ["RS256", "PS512", "ES256", "HS256", "HS512"] {
        assert_eq!(fault(&signed(&with(header(), "alg", json!(alg)), &payload())), TokenFault::Algorithm);
    }
    // The public key taken for a shared secret: as bytes, and as the text of the JWKS.
    let text = URL_SAFE_NO_PAD.encode(bytes(FIRST.1));
    for secret in [bytes(FIRST.1).as_slice(), text.as_bytes(), FIRST.1.as_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(KID.to_owned());
        let token = jsonwebtoken::encode(&header, &payload(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(fault(&token), TokenFault::Algorithm);
    }
}

#[test]
fn the_key_is_one_that_we_know() {
    let huge = "k".repeat(10_000);
    let long = "k".repeat(MAX_KID + 1);
    for (kid, expected) in [
        (json!("../../../../dev/null"), TokenFault::UnknownKey),
        (json!("' OR '1'='1"), TokenFault::UnknownKey),
        (json!(""), TokenFault::UnknownKey),
        (json!("2026-01\0"), TokenFault::UnknownKey),
        (json!(" 2026-01"), TokenFault::UnknownKey),
        (json!("2026-0"), TokenFault::UnknownKey),
        (json!(long), TokenFault::UnknownKey),
        (json!(huge), TokenFault::TooLong),
        (json!(null), TokenFault::UnknownKey),
        (json!([KID]), TokenFault::Malformed),
        (json!(7), TokenFault::Malformed),
    ] {
        assert_eq!(fault(&signed(&with(header(), "kid", kid.clone()), &payload())), expected, "{kid}");
    }
    // A key that the token brings along is not looked at.
    let own = with(header(), "jwk", jwk(&verifying("own", SECOND)));
    let own = with(own, "jku", json!("https://evil.example/jwks.json"));
    let message = format!("{}.{}", part(&own), part(&payload()));
    let key = EncodingKey::from_ed_der(&pkcs8(SECOND));
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    assert_eq!(fault(&format!("{message}.{signature}")), TokenFault::Signature);
}

#[test]
fn type_and_extensions_are_those_of_access_tokens() {
    for typ in [json!("id_token"), json!("dpop+jwt"), json!(""), json!("jwt"), json!(null)] {
        assert_eq!(fault(&signed(&with(header(), "typ", typ), &payload())), TokenFault::Type);
    }
    for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
        assert_eq!(fault(&signed(&with(header(), "crit", crit), &payload())), TokenFault::Critical);
    }
}

#[test]
fn claims_are_ours_and_complete() {
    for (name, value, expected) in [
        ("iss", json!("https://shop.example/"), TokenFault::Issuer),
        ("iss", json!(["https://shop.example"]), TokenFault::Claim),
        ("aud", json!("other"), TokenFault::Audience),
        ("aud", json!(["shop", "other"]), TokenFault::Claim),
        ("sub", json!("admin"), TokenFault::Claim),
        ("sub", json!(7), TokenFault::Claim),
        ("sid", json!(""), TokenFault::Claim),
        ("role", json!("root"), TokenFault::Claim),
        ("role", json!("Admin"), TokenFault::Claim),
        ("exp", json!("2000000000"), TokenFault::Claim),
        ("exp", json!(2e9), TokenFault::Claim),
        ("exp", json!(-1), TokenFault::Claim),
        ("exp", json!(0), TokenFault::Expired),
        ("nbf", json!(true), TokenFault::Claim),
        ("iat", json!(NOW / 1000 + 1), TokenFault::NotYetValid),
        ("iat", json!(u64::MAX), TokenFault::NotYetValid),
    ] {
        let token = signed(&header(), &with(payload(), name, value.clone()));
        assert_eq!(fault(&token), expected, "{name}: {value}");
    }
    for name in ["iss", "aud", "sub", "sid", "role", "iat", "nbf", "exp", "jti"] {
        assert_eq!(
            fault(&signed(&header(), &with(payload(), name, Value::Null))),
            TokenFault::Claim,
            "{name}"
        );
    }
    assert_eq!(fault(&issue(&issuer_named("https://other.example"))), TokenFault::Issuer);
}

#[test]
fn a_claim_that_stands_there_twice_is_refused() {
    let text = payload().to_string().replacen('{', "{\"role\":\"admin\",", 1);
    let message = format!("{}.{}", part(&header()), URL_SAFE_NO_PAD.encode(text));
    let key = EncodingKey::from_ed_der(&pkcs8(FIRST));
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    assert_eq!(fault(&format!("{message}.{signature}")), TokenFault::Claim);
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let token = issue(&issuer());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    for end in 0..token.len() {
        let verdict = issuer().verify(&token[..end], NOW);
        assert!(matches!(verdict, Err(TokenFault::Malformed | TokenFault::Signature)), "{end}: {verdict:?}");
    }
    let other = issuer().issue(Id(0xb), SESSION, Role::Admin, NOW);
    let swapped = other.split('.').nth(1).unwrap();
    assert_eq!(fault(&format!("{header}.{swapped}.{signature}")), TokenFault::Signature);
    for garbage in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "ñ.ñ.ñ".to_owned(),
        format!("{token}."),
        format!("{token}.AAAA"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{token}AA"),
        format!(" {token}"),
        format!("Bearer {token}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")).replace(signature, "*"),
        format!("{header}=.{payload}.{signature}"),
    ] {
        let verdict = issuer().verify(&garbage, NOW);
        assert!(
            matches!(verdict, Err(TokenFault::Malformed | TokenFault::Signature)),
            "{garbage}: {verdict:?}"
        );
    }
    assert_eq!(fault(&"a".repeat(MAX_TOKEN + 1)), TokenFault::TooLong);
    assert_eq!(fault(&format!("{header}.{}.{signature}", "A".repeat(3000))), TokenFault::Signature);
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(2000));
    assert_eq!(fault(&format!("{deep}.{payload}.{signature}")), TokenFault::Malformed);
}

#[test]
fn the_last_letter_has_one_spelling() {
    let token = issue(&issuer());
    let (head, last) = token.split_at(token.len() - 1);
    // 64 bytes leave four bits of the last letter unused.
    let spellings = ('A'..='Z').chain('a'..='z').chain('0'..='9').map(|letter| format!("{head}{letter}"));
    let accepted: Vec<String> = spellings.filter(|token| issuer().verify(token, NOW).is_ok()).collect();
    assert_eq!(accepted, [format!("{head}{last}")]);
}

#[test]
fn keys_change_together_and_old_ones_verify_until_they_go() {
    let issuer = issuer();
    let old = issue(&issuer);
    let second = pkcs8(SECOND);
    let both = [verifying("2026-02", SECOND), verifying(KID, FIRST)];
    issuer.set_keys(Named { kid: "2026-02", key: &second }, &both).unwrap();
    let new = issue(&issuer);
    assert_eq!(jsonwebtoken::decode_header(&new).unwrap().kid.as_deref(), Some("2026-02"));
    assert!(issuer.verify(&old, NOW).is_ok() && issuer.verify(&new, NOW).is_ok());
    assert_eq!(issuer.jwks()["keys"].as_array().unwrap().len(), 2);
    issuer.set_keys(Named { kid: "2026-02", key: &second }, &both[..1]).unwrap();
    assert_eq!(issuer.verify(&old, NOW), Err(TokenFault::UnknownKey));
    assert!(issuer.verify(&new, NOW).is_ok());
}

#[test]
fn keys_that_cannot_be_used_leave_those_of_before() {
    let issuer = issuer();
    let first = pkcs8(FIRST);
    let long = "k".repeat(65);
    let signing = |kid| Named { kid, key: first.as_slice() };
    for (key, others, expected) in [
        (signing("a"), vec![], KeyFault::Unverifiable("a".to_owned())),
        (signing("a"), vec![verifying("a", SECOND)], KeyFault::Unverifiable("a".to_owned())),
        (signing("a"), vec![verifying("a", FIRST), verifying("a", SECOND)], KeyFault::Twice("a".to_owned())),
        (signing("a"), vec![verifying("", FIRST)], KeyFault::Name(String::new())),
        (signing("a"), vec![verifying("a b", FIRST)], KeyFault::Name("a b".to_owned())),
        (signing("a"), vec![verifying(&long, FIRST)], KeyFault::Name(long.clone())),
        (
            Named { kid: "a", key: &first[1..] },
            vec![verifying("a", FIRST)],
            KeyFault::NotEd25519("a".to_owned()),
        ),
    ] {
        assert_eq!(issuer.set_keys(key, &others), Err(expected));
    }
    assert!(issuer.verify(&issue(&issuer), NOW).is_ok());
}

#[test]
fn the_public_keys_are_as_rfc_8037_writes_them() {
    assert_eq!(
        issuer().jwks(),
        json!({ "keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": KID,
            "use": "sig",
            "alg": "EdDSA",
        }]})
    );
}
