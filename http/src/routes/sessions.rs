//! `/api/v1/auth/login`, `/refresh`, `/logout`: sessions and the tokens that go with them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::keys::KeyTag;
use relampago_actors::secret::Password;
use relampago_actors::user::{Command, Credentials, OpenSession, SessionView};
use relampago_actors::{Address, Id, Message, Rejection, Reply, email, user};
use relampago_engine::{Answered, AskError};
use utoipa::ToSchema;

use super::person;
use crate::access::opaque::{RefreshToken, TokenSecret};
use crate::access::passwords::Plain;
use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::idempotency::{Key, id_for};
use crate::json::{IdText, Tokens};
use crate::metrics::Refusal;

/// Bytes of the longest refresh token that is looked at.
const MAX_TOKEN: usize = 200;

/// Who somebody says they are, and how they prove it.
#[derive(ToSchema)]
pub(crate) struct Login {
    #[schema(value_type = String, format = Email, example = "ada@example.com")]
    email: Arc<str>,
    #[schema(value_type = String, format = Password)]
    password: Plain,
}

impl Login {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let email = fields.required("email", person::email);
        let password = fields.required("password", person::password);
        Some(Self { email: email?, password: password? })
    }
}

/// Signs in. After several failures from one place for one account, the next try from there has to wait; nobody else
/// has to.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth", request_body = Login,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 200, description = "The tokens of a new session.", body = Tokens),
        (status = 401, description = "`invalid_credentials`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
        (status = 429, description = "`too_many_attempts`"),
    ),
)]
pub(crate) async fn login(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let login = Login::read(&mut fields);
    let Login { email, password } = fields.finish(login)?;

    let claim = person::claim_on(&call, &email);
    let found = credentials_of(&call, claim).await?;
    let rehash = verified(&call, claim, found.as_deref(), password).await?;
    // Only known credentials are verified.
    let Some(found) = found else { return Err(invalid_credentials()) };

    let tag = key.as_ref().map(|key| call.secret_tag(key, &body));
    let session = id_for(call.secret(), "session", tag);
    let secret = next_secret(&call, key.as_ref(), &body)?;
    let open = OpenSession {
        session,
        secret: secret.hash(),
        epoch: found.epoch,
        rehashed: rehash,
        ttl_ms: call.app.access.refresh_ttl_ms,
        // Without a key of the client's the session's own id, so that a late duplicate opens none anew.
        tag: tag.or(Some(KeyTag { key: session.0, body: 0 })),
    };
    let open = Message::User(Command::OpenSession(Box::new(open)));
    let answered = call.ask_for_shop(Address::user(found.user), open).await?;
    tokens(&call, &answered, secret)
}

/// What a sign-in for this claim is checked against. It takes the same steps if there is nobody.
async fn credentials_of(call: &Call, claim: Id) -> Result<Option<Box<Credentials>>, Problem> {
    let owner = owner_of(call, claim).await?;
    let ask = Message::User(Command::Credentials);
    match call.try_ask_for_shop(Address::user(owner.unwrap_or(claim)), ask).await {
        Ok(Answered { reply: Reply::Credentials(found), .. }) => Ok(Some(found)),
        Ok(_) => Err(Problem::unexpected_reply()),
        Err(AskError::Rejected { rejection: Rejection::User(user::Rejection::NotFound), .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whose an address is.
pub(super) async fn owner_of(call: &Call, claim: Id) -> Result<Option<Id>, Problem> {
    let find = Message::Email(email::Command::Find);
    match call.ask_for_shop(Address::email(claim), find).await?.reply {
        Reply::Owner(owner) => Ok(owner),
        _ => Err(Problem::unexpected_reply()),
    }
}

/// Compares a password, unless the place it comes from has to wait; gives the same password in today's hash if the
/// stored one is older.
///
/// # Errors
/// 401 if it is wrong, 429 for too many failures, 503 if too many passwords wait.
pub(super) async fn verified(
    call: &Call,
    account: Id,
    found: Option<&Credentials>,
    password: Plain,
) -> Result<Option<Password>, Problem> {
    let access = &call.app.access;
    let source: IpAddr = call.source();
    let attempt = access.throttle.check(account.0, source, call.engine().now()).map_err(|wait| {
        call.app.admission.refuse(Refusal::Attempts);
        Problem::new(Kind::TOO_MANY_ATTEMPTS, "Too many failed attempts. Wait, then try again.")
            .retry_after(wait.retry_after)
    })?;
    let stored = found.and_then(|found| found.password.clone());
    let again = Plain::new(password.expose().to_owned());
    let verdict = match access.passwords.verify(stored, password).await {
        Ok(verdict) => verdict,
        Err(busy) => {
            access.throttle.withdrawn(attempt);
            return Err(call.busy(busy));
        }
    };
    if !verdict.matches {
        access.throttle.failed(attempt, call.engine().now());
        return Err(invalid_credentials());
    }
    access.throttle.succeeded(attempt);
    if verdict.needs_rehash { call.hash_password(again).await.map(Some) } else { Ok(None) }
}

pub(super) fn invalid_credentials() -> Problem {
    Problem::new(Kind::INVALID_CREDENTIALS, "The e-mail address or the password is wrong.")
}

/// The secret of a session from now on: the same for the same idempotency key and body, so that a repeated request
/// gets the same token. Neither of the two is stored.
fn next_secret(call: &Call, key: Option<&Key>, body: &[u8]) -> Result<TokenSecret, Problem> {
    match key {
        Some(key) => Ok(TokenSecret::new(call.derived_secret("refresh token", key, body))),
        None => TokenSecret::fresh().map_err(|error| Problem::internal(&error)),
    }
}

fn tokens(call: &Call, answered: &Answered, secret: TokenSecret) -> Result<Response, Problem> {
    let Reply::Session(SessionView { user, session, role, expires_at, .. }) = answered.reply else {
        return Err(Problem::unexpected_reply());
    };
    let access = &call.app.access;
    // When the session was opened or last refreshed: a repetition gets the same tokens.
    let at = expires_at.saturating_sub(access.refresh_ttl_ms).min(call.engine().now());
    let body = Tokens {
        access_token: access.issuer.issue(user, session, role, at),
        token_type: "Bearer",
        expires_in: access.access_ttl_s,
        refresh_token: RefreshToken { user, session, secret }.encode(),
        refresh_expires_in: expires_at.saturating_sub(at) / 1000,
        user_id: IdText(user),
        session_id: IdText(session),
    };
    let response = answer::unversioned(StatusCode::OK, &body, Stamp::from(answered))?;
    Ok(answer::private(response))
}

/// A session's refresh token.
#[derive(ToSchema)]
pub(crate) struct Refresh {
    #[schema(value_type = String, example = "rt_...")]
    refresh_token: Arc<str>,
}

/// Goes on with a session: a new access token, and a new refresh token in place of this one. A refresh token that
/// comes a second time has been copied: it ends the session.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", request_body = Refresh,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 200, description = "The session's new tokens.", body = Tokens),
        (status = 401, description = "`invalid_refresh_token`, `refresh_token_reused`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn refresh(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let refresh_token = fields.required("refresh_token", fields::text(1..=MAX_TOKEN));
    let refresh = refresh_token.map(|refresh_token| Refresh { refresh_token });
    let Refresh { refresh_token } = fields.finish(refresh)?;
    let Ok(RefreshToken { user, session, secret }) = RefreshToken::decode(&refresh_token) else {
        return Err(Problem::new(Kind::INVALID_REFRESH_TOKEN, "The refresh token is not one of this shop."));
    };
    let tag = key.as_ref().map(|key| call.secret_tag(key, &body));
    let next = next_secret(&call, key.as_ref(), &body)?;
    let (presented, hash) = (secret.hash(), next.hash());
    let refresh = Message::User(Command::Refresh { session, presented, next: hash, tag });
    let asked = call.try_ask_for_shop(Address::user(user), refresh).await;
    let answered = asked.map_err(|error| match error {
        AskError::Rejected {
            rejection: Rejection::User(user::Rejection::NotFound | user::Rejection::SessionEnded),
            commit,
        } => Problem::new(Kind::INVALID_REFRESH_TOKEN, "The session has ended.").at(commit),
        error => error.into(),
    })?;
    tokens(&call, &answered, next)
}

/// Which sessions are to end.
#[derive(ToSchema)]
pub(crate) struct Logout {
    /// All of the account, not only this one.
    #[schema(value_type = Option<bool>)]
    all: bool,
}

/// Signs out: the session's tokens are good for nothing from now on.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", request_body(content = Option<Logout>),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses((status = 204, description = "The session has ended.")),
)]
pub(crate) async fn logout(mut call: Call) -> Result<Response, Problem> {
    call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse_or_empty(&body)?;
    let all = fields.optional("all", fields::flag).unwrap_or(false);
    let Logout { all } = fields.finish(Some(Logout { all }))?;
    let (user, session) = call.caller.account()?;
    let end = if all { Command::EndSessions } else { Command::EndSession { session } };
    let answered = call.ask_for_shop(Address::user(user), Message::User(end)).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}
