//! The shop's own people and programs: roles, API keys, and the record of what they did.

use std::time::{Duration, Instant};

use relampago_load::{Client, Request};
use serde_json::{Value, json};

use super::ME;
use crate::api::{expect, faults, get, post, problem, product, send, text};
use crate::people_support::{PASSWORD, Person, account, colleague, login};
use crate::support::{Shop, eventually, pass};

/// How long a key lives that is to expire.
const LIFE: Duration = Duration::from_millis(1500);

fn user(person: &Person) -> String {
    format!("/api/v1/users/{}", person.id)
}

fn rename(person: &Person) -> Request {
    Request::patch(user(person), &json!({ "name": "Renamed" }))
}

#[tokio::test]
async fn staff_look_after_customers_and_nobody_else() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin_key) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let sam = colleague(&mut admin_key, &mut guest, "staff", "sam@example.com").await;
    let sue = colleague(&mut admin_key, &mut guest, "staff", "sue@example.com").await;
    let ada = colleague(&mut admin_key, &mut guest, "admin", "ada@example.com").await;

    assert_eq!(expect(&sam.send(&mut guest, rename(&ana)).await, 200)["name"], "Renamed");
    expect(&sam.send(&mut guest, rename(&sam)).await, 200);
    for above in [&sue, &ada] {
        sam.get(&mut guest, &user(above)).await;
        problem(&sam.send(&mut guest, rename(above)).await, 403, "forbidden");
        problem(&sam.send(&mut guest, Request::delete(user(above))).await, 403, "forbidden");
    }
    let promote = |person: &Person| Request::patch(user(person), &json!({ "role": "staff" }));
    problem(&sam.send(&mut guest, promote(&ana)).await, 403, "forbidden");
    problem(&ana.send(&mut guest, promote(&ana)).await, 403, "forbidden");
    let new = json!({ "name": "Eve", "email": "eve@example.com", "role": "staff" });
    let made = sam.send(&mut guest, Request::post("/api/v1/users", &new)).await;
    problem(&made, 403, "forbidden");
    expect(&ada.send(&mut guest, rename(&sue)).await, 200);
    assert_eq!(sam.send(&mut guest, Request::delete(user(&ana))).await.code(), 204);
}

#[tokio::test]
async fn a_new_role_ends_the_sessions_of_the_old_one() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin_key) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let ada = colleague(&mut admin_key, &mut guest, "admin", "ada@example.com").await;
    let stock = "/api/v1/inventory/BOLT";
    product(&mut admin_key, "BOLT", "1.00", 1).await;
    problem(&ana.send(&mut guest, Request::get(stock)).await, 403, "forbidden");

    let role = |role: &str| Request::patch(user(&ana), &json!({ "role": role }));
    assert_eq!(expect(&ada.send(&mut guest, role("staff")).await, 200)["role"], "staff");
    problem(&ana.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    let promoted = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    promoted.get(&mut guest, stock).await;
    expect(&ada.send(&mut guest, role("customer")).await, 200);
    problem(&promoted.send(&mut guest, Request::get(stock)).await, 401, "invalid_token");
}

#[tokio::test]
async fn an_api_key_lives_and_ends() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    product(&mut admin, "BOLT", "1.00", 1).await;
    let new = json!({ "name": "warehouse", "scopes": ["stock:read", "catalogue:read"] });
    let answer = post(&mut admin, "/api/v1/api-keys", new).await;
    let made = expect(&answer, 201);
    let path = format!("/api/v1/api-keys/{}", text(&made, "id"));
    assert_eq!(answer.header("location"), Some(&*path));
    assert_eq!(made["scopes"], json!(["catalogue:read", "stock:read"]));
    let secret = text(&made, "key").to_owned();
    let mut program = Client::staff(shop.target.clone(), &secret);

    let unused = get(&mut admin, &*path).await;
    assert_eq!((&unused["last_used_at"], unused.get("key")), (&Value::Null, None));
    get(&mut program, "/api/v1/inventory/BOLT").await;
    get(&mut program, "/api/v1/products").await;
    let restock = json!({ "delta": 1, "reason": "delivery" });
    let refused = post(&mut program, "/api/v1/inventory/BOLT/adjustments", restock).await;
    problem(&refused, 403, "forbidden");
    problem(&send(&mut program, Request::get("/api/v1/api-keys")).await, 403, "forbidden");
    let used = eventually("the use is noted", async || {
        let key = get(&mut admin, &*path).await;
        key["last_used_at"].is_string().then_some(key)
    })
    .await;
    let listed = get(&mut admin, "/api/v1/api-keys").await;
    assert_eq!(listed["items"], json!([used]));
    assert!(!listed.to_string().contains(&secret), "{listed}");

    for _ in 0..2 {
        assert_eq!(send(&mut admin, Request::delete(&path)).await.code(), 204);
    }
    problem(&send(&mut program, Request::get("/api/v1/products")).await, 401, "invalid_api_key");
    assert!(get(&mut admin, &*path).await["revoked_at"].is_string());
    let both =
        Request::get("/api/v1/products").header("authorization", "Bearer x").header("x-api-key", &secret);
    problem(&send(&mut guest, both).await, 401, "invalid_token");
    problem(&send(&mut admin, Request::get("/api/v1/api-keys/none")).await, 404, "api_key_not_found");
}

#[tokio::test]
async fn an_api_key_expires_and_gives_no_more_than_its_maker_has() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let made_now = product(&mut admin, "BOLT", "1.00", 1).await;
    let now = humantime::parse_rfc3339(text(&made_now, "created_at")).expect("a time");
    let until = humantime::format_rfc3339_millis(now + LIFE).to_string();
    let new = json!({ "name": "brief", "scopes": ["keys:manage"], "expires_at": until });
    let made = expect(&post(&mut admin, "/api/v1/api-keys", new).await, 201);
    let mut maker = Client::staff(shop.target.clone(), text(&made, "key"));
    let more = json!({ "name": "more", "scopes": ["keys:manage", "audit:read"] });
    problem(&post(&mut maker, "/api/v1/api-keys", more).await, 403, "forbidden");
    let unknown = json!({ "name": "", "scopes": ["everything"], "expires_at": "2001-01-01T00:00:00Z" });
    assert_eq!(
        faults(&post(&mut admin, "/api/v1/api-keys", unknown).await),
        ["name", "scopes", "expires_at"]
    );
    pass(Instant::now() + LIFE).await;
    problem(&send(&mut maker, Request::get("/api/v1/api-keys")).await, 401, "invalid_api_key");
    problem(&send(&mut guest, Request::get("/api/v1/api-keys")).await, 401, "authentication_required");
}

/// What the record says, the newest first.
async fn record(admin: &mut Client, query: &str) -> Vec<Value> {
    let page = get(admin, format!("/api/v1/admin/audit?{query}")).await;
    page["items"].as_array().expect("entries").clone()
}

#[tokio::test]
async fn what_the_shops_people_do_is_on_record() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let sam = colleague(&mut admin, &mut guest, "staff", "sam@example.com").await;
    let ada = colleague(&mut admin, &mut guest, "admin", "ada@example.com").await;
    expect(&sam.send(&mut guest, rename(&ana).header("x-request-id", "request-1")).await, 200);
    problem(&sam.send(&mut guest, rename(&ada).header("x-request-id", "request-2")).await, 403, "forbidden");
    expect(&ana.send(&mut guest, rename(&ana).header("x-request-id", "request-3")).await, 200);

    let by_sam = record(&mut admin, &format!("actor_id={}", sam.id)).await;
    let [refused, done] = &by_sam[..] else { panic!("{by_sam:?}") };
    let expected = json!({
        "at": done["at"], "actor": "user", "actor_id": sam.id, "role": "staff", "method": "PATCH",
        "route": "/api/v1/users/{id}", "path": user(&ana), "status": 200, "from": "127.0.0.1",
        "request_id": "request-1",
    });
    assert_eq!(done, &expected);
    assert_eq!((&refused["status"], &refused["request_id"]), (&json!(403), &json!("request-2")));
    assert_eq!(refused["path"], json!(user(&ada)));
    assert_eq!(record(&mut admin, &format!("actor_id={}", ana.id)).await, Vec::<Value>::new());
    let all = record(&mut admin, "").await;
    assert!(all.iter().any(|entry| entry["actor"] == "bootstrap_key" && entry["method"] == "GET"), "{all:?}");

    let at = text(done, "at");
    let until = record(&mut admin, &format!("actor_id={}&until={at}", sam.id)).await;
    assert_eq!(until.last(), Some(done));
    for never in ["from=2999-01-01T00:00:00Z", "until=2001-01-01T00:00:00Z"] {
        assert_eq!(record(&mut admin, never).await, Vec::<Value>::new());
    }
    let odd = send(&mut admin, Request::get("/api/v1/admin/audit?from=today&actor_id=me&limit=0")).await;
    assert_eq!(faults(&odd), ["limit", "from", "actor_id"]);
    problem(&sam.send(&mut guest, Request::get("/api/v1/admin/audit")).await, 403, "forbidden");
    ada.get(&mut guest, "/api/v1/admin/audit").await;
}

#[tokio::test]
async fn the_record_is_paged_and_outlives_a_crash() {
    let mut shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let sam = colleague(&mut admin, &mut guest, "staff", "sam@example.com").await;
    for n in 0..5 {
        let path = format!("/api/v1/inventory/NONE-{n}");
        problem(&sam.send(&mut guest, Request::get(path)).await, 404, "inventory_not_found");
    }
    shop.crash().await;
    let whole = record(&mut admin, &format!("actor_id={}", sam.id)).await;
    let paths: Vec<&str> = whole.iter().map(|entry| text(entry, "path")).collect();
    let expected: Vec<String> = (0..5).rev().map(|n| format!("/api/v1/inventory/NONE-{n}")).collect();
    assert_eq!(paths, expected);

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("/api/v1/admin/audit?actor_id={}&limit=2{cursor}", sam.id);
        let page = get(&mut admin, query).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, whole);
}
