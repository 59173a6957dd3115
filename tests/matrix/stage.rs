//! Who calls, and the things that they call about.

use std::collections::BTreeMap;

use relampago_load::{Client, Request, Target};
use serde_json::{Value, json};

use super::OPEN;
use crate::api::{add, expect, get, key, pay, payment, post, product, send, text};
use crate::support::{API_KEY, Shop, eventually};

pub(super) const PASSWORD: &str = "correct horse 9";
pub(super) const ANOTHER_PASSWORD: &str = "another horse 7";
const SKU: &str = "MATRIX-1";
/// Of the product that all carts and orders are about.
const UNITS: i64 = 100_000;

/// Every scope there is.
const SCOPES: [&str; 21] = [
    "catalogue:read",
    "catalogue:write",
    "stock:read",
    "stock:write",
    "carts:use",
    "orders:place",
    "orders:use",
    "orders:list",
    "orders:manage",
    "payments:make",
    "payments:use",
    "payments:manage",
    "users:register",
    "users:self",
    "users:manage",
    "roles:grant",
    "keys:manage",
    "audit:read",
    "security:manage",
    "auth:sign-in",
    "backup:take",
];

/// Scopes that go without saying for who has the second.
const INCLUDED: [(&str, &str); 7] = [
    ("catalogue:read", "catalogue:write"),
    ("stock:read", "stock:write"),
    ("carts:use", "orders:manage"),
    ("orders:use", "orders:manage"),
    ("orders:list", "orders:manage"),
    ("payments:use", "payments:manage"),
    ("users:self", "users:manage"),
];

/// What a key has that may do the same to everybody's things.
const WIDER: [(&str, &[&str]); 11] = [
    ("catalogue:read", &["catalogue:write"]),
    ("stock:read", &["stock:write"]),
    ("carts:use", &["orders:manage"]),
    ("orders:place", &["orders:place", "orders:manage"]),
    ("orders:use", &["orders:manage"]),
    ("orders:list", &["orders:manage"]),
    ("payments:make", &["payments:make", "orders:manage"]),
    ("payments:use", &["payments:manage", "orders:manage"]),
    ("payments:manage", &["payments:manage", "orders:manage"]),
    ("users:register", &["users:register", "roles:grant"]),
    ("users:self", &["users:manage"]),
];

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Nobody,
    /// A customer whose things they are not.
    Another,
    Owner,
    Staff,
    Admin,
    /// A key with the scope of the route alone.
    Scope,
    /// A key with the scope that includes it, or with it and the right to everybody's things; see [`WIDER`].
    Wider,
    /// A key with every scope but those that it takes.
    Wrong,
    Bootstrap,
}

impl Who {
    pub(super) const ALL: [Self; 9] = [
        Self::Nobody,
        Self::Another,
        Self::Owner,
        Self::Staff,
        Self::Admin,
        Self::Scope,
        Self::Wider,
        Self::Wrong,
        Self::Bootstrap,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Another => "another",
            Self::Owner => "owner",
            Self::Staff => "staff",
            Self::Admin => "admin",
            Self::Scope => "scope",
            Self::Wider => "wider",
            Self::Wrong => "wrong",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// The role of an account.
    fn role(self) -> Option<&'static str> {
        match self {
            Self::Another | Self::Owner => Some("customer"),
            Self::Staff => Some("staff"),
            Self::Admin => Some("admin"),
            Self::Nobody | Self::Scope | Self::Wider | Self::Wrong | Self::Bootstrap => None,
        }
    }
}

/// What a caller shows.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    Token(String),
    Key(String),
}

impl Credential {
    pub(super) fn put_on(&self, request: Request) -> Request {
        match self {
            Self::None => request,
            Self::Token(token) => request.header("authorization", &format!("Bearer {token}")),
            Self::Key(key) => request.header("x-api-key", key),
        }
    }
}

/// Whose carts, orders and payments are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Owner,
    Guest,
}

/// How far a payment is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paid {
    Approved,
    WantsAction,
    Authorized,
}

/// What a request is about, made anew for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    Nothing,
    /// A file that the page with the document needs.
    PageFile,
    Product,
    Archived,
    Cart(Of),
    Order(Of),
    Payment(Of, Paid),
    /// An account of this role, with an address; the owner's own for the owner.
    User(&'static str),
    /// The caller's own account.
    Own,
    /// Somebody who can sign in.
    Account,
    /// The letter that a user gets who has to choose a password.
    ResetLetter,
    /// The letter that a user gets whose address is to be verified.
    VerifyLetter,
    ApiKey,
}

/// The keys of a scope: with it, with a wider one, and with all others.
struct Keys {
    right: String,
    wider: Option<String>,
    wrong: String,
}

/// The shop with those who call.
pub(super) struct Stage {
    pub(super) target: Target,
    owner: Value,
    accounts: BTreeMap<Who, Credential>,
    keys: BTreeMap<String, Keys>,
    /// With every scope.
    any_key: String,
}

impl Stage {
    /// Puts something on sale and gives everybody a credential.
    pub(super) async fn set(shop: &Shop, scopes: impl Iterator<Item = &str>) -> Self {
        let mut staff = shop.staff();
        product(&mut staff, SKU, "5.00", UNITS).await;
        let (mut accounts, mut owner) = (BTreeMap::new(), Value::Null);
        for who in Who::ALL {
            let Some(role) = who.role() else { continue };
            let user = account(&mut staff, role).await;
            accounts.insert(who, Credential::Token(text(&user, "access_token").to_owned()));
            if who == Who::Owner {
                owner = user["id"].clone();
            }
        }
        let mut keys = BTreeMap::new();
        for scope in scopes.filter(|scope| *scope != OPEN) {
            if !keys.contains_key(scope) {
                keys.insert(scope.to_owned(), Keys::of(&mut staff, scope).await);
            }
        }
        let any_key = made(&mut staff, &SCOPES).await;
        Self { target: shop.target.clone(), owner, accounts, keys, any_key }
    }

    /// What `who` shows at a route that needs `scope`; `None` if there is no such caller.
    pub(super) fn credential(&self, who: Who, scope: &str) -> Option<Credential> {
        let keys = self.keys.get(scope);
        let key = match who {
            Who::Nobody => return Some(Credential::None),
            Who::Another | Who::Owner | Who::Staff | Who::Admin => return self.accounts.get(&who).cloned(),
            Who::Scope => keys.map(|keys| &keys.right),
            Who::Wider => keys.and_then(|keys| keys.wider.as_ref()),
            Who::Wrong => {
                return Some(Credential::Key(keys.map_or(&self.any_key, |keys| &keys.wrong).clone()));
            }
            Who::Bootstrap => return Some(Credential::Key(API_KEY.to_owned())),
        };
        key.cloned().map(Credential::Key)
    }

    /// Makes what a request of `who` is about, and says what `who` shows instead of the usual, if anything.
    ///
    /// The fields of the thing are those that paths and bodies name; `user_id` is the owner's.
    pub(super) async fn prepare(&self, given: Given, who: Who) -> (Value, Option<Credential>) {
        let mut staff = Client::staff(self.target.clone(), API_KEY);
        let staff = &mut staff;
        let mut thing = match given {
            Given::Nothing => json!({}),
            Given::PageFile => json!({ "file": "swagger-ui.css" }),
            Given::Product => product(staff, &format!("M-{}", key()), "5.00", 10).await,
            Given::Archived => archived(staff).await,
            Given::Cart(of) => self.cart(staff, of).await,
            Given::Order(of) => self.order(staff, of).await,
            Given::Payment(of, paid) => self.payment(staff, of, paid).await,
            Given::User(role) => user_of(staff, role, who).await,
            Given::Own => own(staff, who).await,
            Given::Account => account(staff, "customer").await,
            Given::ResetLetter => reset_letter(staff).await,
            Given::VerifyLetter => {
                let user = register(staff, "customer", Some(PASSWORD)).await;
                json!({ "token": mailed_token(staff, &user).await })
            }
            Given::ApiKey => expect(&create_key(staff, &["catalogue:read"]).await, 201),
        };
        let is_own = matches!(given, Given::User(_) | Given::Own);
        let token = thing["access_token"].as_str().filter(|_| is_own);
        let own = token.map(|token| Credential::Token(token.to_owned()));
        if thing["sku"].is_null() {
            thing["sku"] = SKU.into();
        }
        thing["user_id"] = self.owner.clone();
        (thing, own)
    }

    fn buyer(&self, of: Of) -> Value {
        match of {
            Of::Owner => json!({ "user_id": self.owner }),
            Of::Guest => json!({}),
        }
    }

    async fn cart(&self, staff: &mut Client, of: Of) -> Value {
        let cart = expect(&post(staff, "/api/v1/carts", self.buyer(of)).await, 201);
        let filled = expect(&add(staff, text(&cart, "id"), SKU, 1).await, 200);
        json!({ "id": cart["id"], "item_id": filled["items"][0]["id"] })
    }

    async fn order(&self, staff: &mut Client, of: Of) -> Value {
        let mut body = self.buyer(of);
        body["items"] = json!([{ "sku": SKU, "quantity": 1 }]);
        expect(&post(staff, "/api/v1/orders", body).await, 201)
    }

    async fn payment(&self, staff: &mut Client, of: Of, paid: Paid) -> Value {
        let order = self.order(staff, of).await;
        let answer = match paid {
            Paid::Approved => pay(staff, &order, "tok_approve").await,
            Paid::WantsAction => pay(staff, &order, "tok_action").await,
            Paid::Authorized => {
                let request = payment(&order, "tok_approve");
                let mut body: Value = serde_json::from_slice(&request.body).unwrap();
                body["capture_method"] = "manual".into();
                send(staff, request.json(&body).key(&key())).await
            }
        };
        expect(&answer, 201)
    }
}

impl Keys {
    async fn of(staff: &mut Client, scope: &str) -> Self {
        let takes = |other: &&str| *other == scope || INCLUDED.contains(&(scope, *other));
        let others: Vec<&str> = SCOPES.into_iter().filter(|other| !takes(other)).collect();
        assert!(others.len() < SCOPES.len(), "an unknown scope: {scope}");
        let wider = match WIDER.iter().find(|(narrow, _)| *narrow == scope) {
            Some((_, scopes)) => Some(made(staff, scopes).await),
            None => None,
        };
        Self { right: made(staff, &[scope]).await, wider, wrong: made(staff, &others).await }
    }
}

async fn create_key(staff: &mut Client, scopes: &[&str]) -> relampago_load::Answer {
    post(staff, "/api/v1/api-keys", json!({ "name": "matrix", "scopes": scopes })).await
}

/// The text of a new API key.
async fn made(staff: &mut Client, scopes: &[&str]) -> String {
    let key = expect(&create_key(staff, scopes).await, 201);
    text(&key, "key").to_owned()
}

async fn archived(staff: &mut Client) -> Value {
    let product = product(staff, &format!("M-{}", key()), "5.00", 10).await;
    let path = format!("/api/v1/products/{}", text(&product, "id"));
    expect(&send(staff, Request::delete(path)).await, 204);
    product
}

/// Somebody new; a profile that nobody can sign in to if there is no password.
async fn register(staff: &mut Client, role: &str, password: Option<&str>) -> Value {
    let email = format!("m-{}@example.com", key()).to_lowercase();
    let mut body = json!({ "name": "Matilde", "email": email, "role": role });
    if let Some(password) = password {
        body["password"] = password.into();
    }
    expect(&post(staff, "/api/v1/users", body).await, 201)
}

/// Somebody new who has signed in: the user with the tokens.
async fn account(staff: &mut Client, role: &str) -> Value {
    let mut user = register(staff, role, Some(PASSWORD)).await;
    let login = json!({ "email": user["email"], "password": PASSWORD });
    let tokens = expect(&post(staff, "/api/v1/auth/login", login).await, 200);
    for token in ["access_token", "refresh_token"] {
        user[token] = tokens[token].clone();
    }
    user
}

/// A user with an address, who has signed in if it is the owner's turn.
async fn user_of(staff: &mut Client, role: &str, who: Who) -> Value {
    let user = match who {
        Who::Owner => account(staff, role).await,
        _ => register(staff, role, None).await,
    };
    with_address(staff, user).await
}

async fn with_address(staff: &mut Client, mut user: Value) -> Value {
    let path = format!("/api/v1/users/{}/addresses", text(&user, "id"));
    let address = json!({ "address": { "line1": "Calle 1", "city": "Lima" } });
    user["address_id"] = expect(&post(staff, path, address).await, 201)["id"].clone();
    user
}

/// The account of the caller, if the caller has one: a new one of the same role.
async fn own(staff: &mut Client, who: Who) -> Value {
    let Some(role) = who.role() else { return json!({ "id": "me" }) };
    let user = account(staff, role).await;
    let mut user = with_address(staff, user).await;
    user["id"] = "me".into();
    user
}

async fn reset_letter(staff: &mut Client) -> Value {
    let user = register(staff, "customer", None).await;
    let request = json!({ "email": user["email"] });
    expect(&post(staff, "/api/v1/auth/password/reset", request).await, 202);
    json!({ "token": mailed_token(staff, &user).await })
}

/// The token in the letter that is on its way to a user.
async fn mailed_token(staff: &mut Client, user: &Value) -> String {
    let path = format!("/api/v1/admin/mail?to={}", text(user, "email"));
    eventually("the letter arrives", async || {
        let letters = get(staff, path.as_str()).await;
        let lines = letters["items"][0]["body"].as_str()?.lines();
        let token = lines.into_iter().find(|line| line.len() > 60 && !line.contains(' '));
        Some(token.expect("a token in the letter").to_owned())
    })
    .await
}
