//! People as the tests know them: how they register, sign in, call and read their mail.

use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};

use crate::api::{expect, get, post, send, text};
use crate::support::eventually;

/// A password that everybody here may choose.
pub(crate) const PASSWORD: &str = "correct horse 9";
/// What the letter that carries a token to set a password by is about.
pub(crate) const RESET: &str = "Choose a new password";
/// What the letter that carries a token to prove an address by is about.
pub(crate) const VERIFY: &str = "Confirm your e-mail address";
/// What the letter to an address that was replaced is about.
pub(crate) const NOTICE: &str = "Your e-mail address was changed";

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) session: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Person {
    /// From the answer to a sign-in or a refresh.
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        let tokens = expect(answer, 200);
        assert_eq!(tokens["token_type"], "Bearer");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Self {
            id: text(&tokens, "user_id").to_owned(),
            session: text(&tokens, "session_id").to_owned(),
            access: text(&tokens, "access_token").to_owned(),
            refresh: text(&tokens, "refresh_token").to_owned(),
        }
    }

    /// Sends `request` in the person's name.
    pub(crate) async fn send(&self, client: &mut Client, request: Request) -> Answer {
        let request = request.header("authorization", &format!("Bearer {}", self.access));
        send(client, request).await
    }

    /// Reads `path` in the person's name, which must be there.
    pub(crate) async fn get(&self, client: &mut Client, path: &str) -> Value {
        expect(&self.send(client, Request::get(path)).await, 200)
    }
}

/// Registers an account, or a guest profile if there is no password.
pub(crate) async fn register(client: &mut Client, name: &str, email: &str, password: Option<&str>) -> Value {
    let mut body = json!({ "name": name, "email": email });
    if let Some(password) = password {
        body["password"] = password.into();
    }
    expect(&post(client, "/api/v1/users", body).await, 201)
}

/// Tries to sign in.
pub(crate) async fn login(client: &mut Client, email: &str, password: &str) -> Answer {
    post(client, "/api/v1/auth/login", json!({ "email": email, "password": password })).await
}

/// Somebody new with an account, signed in.
pub(crate) async fn account(client: &mut Client, name: &str, email: &str) -> Person {
    register(client, name, email, Some(PASSWORD)).await;
    Person::of(&login(client, email, PASSWORD).await)
}

/// Somebody of the shop, signed in. `admin` makes them.
pub(crate) async fn colleague(admin: &mut Client, guest: &mut Client, role: &str, email: &str) -> Person {
    let body = json!({ "name": role, "email": email, "password": PASSWORD, "role": role });
    expect(&post(admin, "/api/v1/users", body).await, 201);
    Person::of(&login(guest, email, PASSWORD).await)
}

/// Goes on with a session.
pub(crate) async fn refresh(client: &mut Client, token: &str) -> Answer {
    post(client, "/api/v1/auth/refresh", json!({ "refresh_token": token })).await
}

/// The body of the newest letter to `to` about `subject`, once it is there.
pub(crate) async fn letter(admin: &mut Client, to: &str, subject: &str) -> String {
    eventually(&format!("a letter about {subject:?} to {to}"), async || {
        let letters = get(admin, format!("/api/v1/admin/mail?to={to}")).await;
        let letters = letters["items"].as_array().expect("letters").clone();
        let letter = letters.into_iter().find(|letter| letter["subject"] == subject)?;
        Some(text(&letter, "body").to_owned())
    })
    .await
}

/// The token in the newest letter to `to` about `subject`: a line of its own.
pub(crate) async fn mailed_token(admin: &mut Client, to: &str, subject: &str) -> String {
    let body = letter(admin, to, subject).await;
    let token = body.lines().find(|line| line.len() > 60 && !line.contains(' '));
    token.unwrap_or_else(|| panic!("no token in {body:?}")).to_owned()
}
