//! What everybody tries: a request for every route, and more where it depends on whose the thing is.

use relampago_load::Request;
use serde_json::{Value, json};

use super::stage::Given::{
    Account, ApiKey, Archived, Cart, Nothing, Order, Own, PageFile, Payment, Product, ResetLetter, User,
    VerifyLetter,
};
use super::stage::{ANOTHER_PASSWORD, Given, Of, PASSWORD, Paid};
use crate::api::key;

/// What makes a body out of the thing that a request is about.
pub(super) type Body = fn(&Value) -> Value;

/// A line of the table, to be played by everybody.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    /// As the OpenAPI document has it: method and path.
    pub(super) route: &'static str,
    /// What the thing is, or what is special about the request.
    pub(super) case: &'static str,
    pub(super) given: Given,
    pub(super) query: &'static str,
    pub(super) body: Option<Body>,
}

impl Scene {
    const fn body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }
}

const fn on(route: &'static str, case: &'static str, given: Given) -> Scene {
    Scene { route, case, given, query: "", body: None }
}

/// The request of a scene: names in braces stand for fields of `thing`, or for an id that nothing has.
pub(super) fn request(route: &str, query: &str, thing: &Value, body: Option<Body>) -> Request {
    let (method, path) = route.split_once(' ').expect("method and path");
    let mut filled = String::new();
    for (number, part) in format!("{path}{query}").split(['{', '}']).enumerate() {
        // Every other part stood in braces.
        let field = if number % 2 == 1 { thing[part].as_str().or(Some(NO_ID)) } else { None };
        filled.push_str(field.unwrap_or(part));
    }
    let request = Request::new(method.parse().expect("a method"), filled);
    let request = if method == "POST" { request.key(&key()) } else { request };
    match body {
        Some(body) => request.json(&body(thing)),
        None => request,
    }
}

const NO_ID: &str = "0193b0a0-0000-7000-8000-000000000000";

/// All of them, in the order of the table.
pub(super) fn scenes() -> Vec<Scene> {
    [operators(), catalogue(), carts(), orders(), payments(), users(), signing_in(), securing()].concat()
}

fn operators() -> Vec<Scene> {
    let open = |route| on(route, "", Nothing);
    vec![
        open("GET /livez"),
        open("GET /readyz"),
        open("GET /health"),
        open("GET /metrics"),
        open("GET /openapi.json"),
        open("GET /docs"),
        on("GET /docs/{file}", "", PageFile),
        open("GET /.well-known/jwks.json"),
    ]
}

fn catalogue() -> Vec<Scene> {
    vec![
        on("GET /api/v1/products", "", Nothing),
        on("POST /api/v1/products", "", Nothing).body(|_| json!({ "name": "Lamp", "price": "1.00" })),
        on("GET /api/v1/products/{id}", "on sale", Product),
        on("GET /api/v1/products/{id}", "archived", Archived),
        on("PUT /api/v1/products/{id}", "", Product).body(|_| json!({ "name": "Lamp", "price": "2.00" })),
        on("PATCH /api/v1/products/{id}", "", Product).body(|_| json!({ "price": "3.00" })),
        on("DELETE /api/v1/products/{id}", "", Product),
        on("GET /api/v1/inventory/{sku}", "", Product),
        on("POST /api/v1/inventory/{sku}/adjustments", "", Product)
            .body(|_| json!({ "delta": 1, "reason": "delivery" })),
    ]
}

/// The same on the owner's thing and on a guest's.
fn of_both(scene: impl Fn(Of, &'static str) -> Scene) -> [Scene; 2] {
    [scene(Of::Owner, "the owner's"), scene(Of::Guest, "a guest's")]
}

fn carts() -> Vec<Scene> {
    let mut scenes = vec![
        on("POST /api/v1/carts", "", Nothing),
        on("POST /api/v1/carts", "for the owner", Nothing).body(|it| json!({ "user_id": it["user_id"] })),
    ];
    scenes.extend(of_both(|of, case| on("GET /api/v1/carts/{id}", case, Cart(of))));
    scenes.extend(of_both(|of, case| on("DELETE /api/v1/carts/{id}", case, Cart(of))));
    scenes.extend(of_both(|of, case| {
        on("POST /api/v1/carts/{id}/items", case, Cart(of))
            .body(|it| json!({ "sku": it["sku"], "quantity": 1 }))
    }));
    scenes.extend(of_both(|of, case| on("DELETE /api/v1/carts/{id}/items", case, Cart(of))));
    scenes.extend(of_both(|of, case| {
        on("PATCH /api/v1/carts/{id}/items/{item_id}", case, Cart(of)).body(|_| json!({ "quantity": 2 }))
    }));
    scenes.extend(of_both(|of, case| on("DELETE /api/v1/carts/{id}/items/{item_id}", case, Cart(of))));
    scenes.extend(of_both(|of, case| on("POST /api/v1/carts/{id}/checkout", case, Cart(of))));
    scenes.push(
        on("POST /api/v1/carts/{id}/checkout", "a guest's, for the owner", Cart(Of::Guest))
            .body(|it| json!({ "user_id": it["user_id"] })),
    );
    scenes
}

fn orders() -> Vec<Scene> {
    let mut scenes = vec![
        on("GET /api/v1/orders", "", Nothing),
        Scene { query: "?user_id={user_id}", ..on("GET /api/v1/orders", "the owner's", Nothing) },
        on("POST /api/v1/orders", "", Nothing)
            .body(|it| json!({ "items": [{ "sku": it["sku"], "quantity": 1 }] })),
        on("POST /api/v1/orders", "for the owner", Nothing)
            .body(|it| json!({ "items": [{ "sku": it["sku"], "quantity": 1 }], "user_id": it["user_id"] })),
    ];
    scenes.extend(of_both(|of, case| on("GET /api/v1/orders/{id}", case, Order(of))));
    scenes.extend(of_both(|of, case| on("GET /api/v1/orders/{id}/history", case, Order(of))));
    scenes.extend(of_both(|of, case| on("POST /api/v1/orders/{id}/cancel", case, Order(of))));
    let validate = "POST /api/v1/validations/validate";
    let [owners, guests] = of_both(|of, case| on(validate, case, Order(of)));
    scenes.push(Scene { case: "an order, the owner's", ..owners }.body(|it| json!({ "order_id": it["id"] })));
    scenes.push(Scene { case: "an order, a guest's", ..guests }.body(|it| json!({ "order_id": it["id"] })));
    let [owners, guests] = of_both(|of, case| on(validate, case, Cart(of)));
    scenes.push(Scene { case: "a cart, the owner's", ..owners }.body(|it| json!({ "cart_id": it["id"] })));
    scenes.push(Scene { case: "a cart, a guest's", ..guests }.body(|it| json!({ "cart_id": it["id"] })));
    scenes
}

fn payments() -> Vec<Scene> {
    let mut scenes = Vec::new();
    scenes.extend(of_both(|of, case| {
        on("POST /api/v1/payments/process", case, Order(of)).body(
            |it| json!({ "order_id": it["id"], "amount": it["total"], "payment_method": "credit_card" }),
        )
    }));
    for (route, paid) in [
        ("GET /api/v1/payments/{id}", Paid::Approved),
        ("POST /api/v1/payments/{id}/confirm", Paid::WantsAction),
        ("POST /api/v1/payments/{id}/capture", Paid::Authorized),
        ("POST /api/v1/payments/{id}/refunds", Paid::Approved),
    ] {
        scenes.extend(of_both(|of, case| on(route, case, Payment(of, paid))));
    }
    scenes
}

/// The same on a customer's account, on that of somebody of the shop, and on the caller's own.
fn of_users(route: &'static str, body: Option<Body>) -> [Scene; 3] {
    let scene = |case, given| Scene { body, ..on(route, case, given) };
    [scene("a customer's", User("customer")), scene("one of staff", User("staff")), scene("me", Own)]
}

fn users() -> Vec<Scene> {
    let somebody: Body = |_| json!({ "name": "Ana", "email": format!("a-{}@example.com", key()) });
    let of_staff: Body =
        |_| json!({ "name": "Ana", "email": format!("a-{}@example.com", key()), "role": "staff" });
    let address: Body = |_| json!({ "address": { "line1": "Calle 2", "city": "Cusco" } });
    let promotion: Body = |_| json!({ "role": "admin" });
    let mut scenes = vec![
        on("POST /api/v1/users", "", Nothing).body(somebody),
        on("POST /api/v1/users", "one of staff", Nothing).body(of_staff),
    ];
    scenes.extend(of_users("GET /api/v1/users/{id}", None));
    scenes.extend(of_users("PATCH /api/v1/users/{id}", Some(|_| json!({ "name": "Bea" }))));
    scenes.push(on("PATCH /api/v1/users/{id}", "a customer's role", User("customer")).body(promotion));
    scenes.push(on("PATCH /api/v1/users/{id}", "my role", Own).body(promotion));
    scenes.extend(of_users("DELETE /api/v1/users/{id}", None));
    scenes.extend(of_users("GET /api/v1/users/{id}/orders", None));
    scenes.extend(of_users("GET /api/v1/users/{id}/addresses", None));
    scenes.extend(of_users("POST /api/v1/users/{id}/addresses", Some(address)));
    scenes.extend(of_users("PUT /api/v1/users/{id}/addresses/{address_id}", Some(address)));
    scenes.extend(of_users("DELETE /api/v1/users/{id}/addresses/{address_id}", None));
    scenes
}

fn signing_in() -> Vec<Scene> {
    vec![
        on("POST /api/v1/auth/login", "", Account)
            .body(|it| json!({ "email": it["email"], "password": PASSWORD })),
        on("POST /api/v1/auth/refresh", "", Account)
            .body(|it| json!({ "refresh_token": it["refresh_token"] })),
        on("POST /api/v1/auth/logout", "", Own),
        on("POST /api/v1/auth/password", "by the current one", Own)
            .body(|_| json!({ "current_password": PASSWORD, "new_password": ANOTHER_PASSWORD })),
        on("POST /api/v1/auth/password", "by a letter", ResetLetter)
            .body(|it| json!({ "token": it["token"], "new_password": ANOTHER_PASSWORD })),
        on("POST /api/v1/auth/password/reset", "", Account).body(|it| json!({ "email": it["email"] })),
        on("POST /api/v1/auth/email/verify", "", VerifyLetter).body(|it| json!({ "token": it["token"] })),
        on("POST /api/v1/auth/email/verification", "", Own),
    ]
}

fn securing() -> Vec<Scene> {
    let own: Body = |_| json!({ "name": "a", "scopes": ["keys:manage"] });
    let more: Body = |_| json!({ "name": "a", "scopes": ["keys:manage", "audit:read"] });
    vec![
        on("GET /api/v1/api-keys", "", Nothing),
        on("POST /api/v1/api-keys", "to manage keys", Nothing).body(own),
        on("POST /api/v1/api-keys", "to read the record too", Nothing).body(more),
        on("GET /api/v1/api-keys/{id}", "", ApiKey),
        on("DELETE /api/v1/api-keys/{id}", "", ApiKey),
        on("GET /api/v1/admin/audit", "", Nothing),
        on("GET /api/v1/admin/mail", "", Nothing),
        on("POST /api/v1/admin/keys/rotate", "", Nothing).body(|_| json!({ "keys": "signing" })),
        on("GET /api/v1/admin/backup", "", Nothing),
    ]
}
