//! `/api/v1/auth/password` and `/auth/email`: what is proved by a mailed token, and changes of the password.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::keys::KeyTag;
use relampago_actors::secret::Password;
use relampago_actors::user::{Command, Purpose};
use relampago_actors::{Address, Id, Message, Rejection, Reply, user};
use relampago_engine::{Answered, AskError};
use relampago_keys::MailedToken;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

use super::person;
use super::sessions::{owner_of, verified};
use super::users::check_new_password;
use crate::access::passwords::Plain;
use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::fields::{self, Fields};

/// Bytes of the longest mailed token that is looked at.
const MAX_TOKEN: usize = 200;
/// A request for a mail is answered after this, whether there is such an account or not.
const MAIL_REQUEST_TAKES: Duration = Duration::from_millis(150);

/// A new password, with either the current one (signed in) or a mailed token.
#[derive(ToSchema)]
pub(crate) struct NewPassword {
    /// With an access token.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Plain>,
    /// From the mail.
    #[schema(value_type = Option<String>)]
    token: Option<Arc<str>>,
    /// 8 to 128 characters, none of the commonest.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    new_password: Plain,
}

impl NewPassword {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let current_password = fields.optional("current_password", person::password);
        let token = fields.optional("token", fields::text(1..=MAX_TOKEN));
        if current_password.is_some() == token.is_some() {
            fields.fault("current_password", "is required, or else token; not both".into());
        }
        let new_password = fields.required("new_password", person::password);
        check_new_password(fields, "new_password", new_password.as_ref(), "", "");
        Some(Self { current_password, token, new_password: new_password? })
    }
}

/// Sets a password. It ends all other sessions of the account. A mailed token also shows that the address is the
/// owner's, and makes a guest profile an account.
#[utoipa::path(
    post, path = "/api/v1/auth/password", tag = "auth", request_body = NewPassword,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 204, description = "It is set."),
        (status = 401, description = "`invalid_credentials`, `authentication_required`"),
        (status = 409, description = "`credentials_changed`"),
        (status = 422, description = "`mailed_token_invalid`, `validation_failed`, `idempotency_key_reused`"),
        (status = 429, description = "`too_many_attempts`"),
    ),
)]
pub(crate) async fn set(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let new = NewPassword::read(&mut fields);
    let NewPassword { current_password, token, new_password } = fields.finish(new)?;
    let tag = key.map(|key| call.secret_tag(&key, &body));
    let (user, command) = match (token, current_password) {
        (Some(token), _) => {
            let MailedToken { user, epoch, claim, .. } = mailed(&call, &token, Purpose::Reset)?;
            let password = call.hash_password(new_password).await?;
            (user, Command::ResetPassword { password, epoch, claim, tag })
        }
        (None, Some(current)) => {
            let (user, session) = call.caller.account()?;
            if let Some(tag) = tag
                && let Some(done) = repeated(&call, user, tag).await?
            {
                return Ok(answer::gone(Stamp::from(&done)));
            }
            let ask = Message::User(Command::Credentials);
            let Reply::Credentials(found) = call.ask_for_shop(Address::user(user), ask).await?.reply else {
                return Err(Problem::unexpected_reply());
            };
            verified(&call, user, Some(&found), current).await?;
            let password = call.hash_password(new_password).await?;
            (user, Command::SetPassword { password, epoch: found.epoch, keep: Some(session), tag })
        }
        (None, None) => return Err(Problem::field("current_password", "is required")),
    };
    let answered = call.ask_for_shop(Address::user(user), Message::User(command)).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

/// The answer to a repetition of a change that was made: its current password is not the current one any more.
async fn repeated(call: &Call, user: Id, tag: KeyTag) -> Result<Option<Answered>, Problem> {
    // No account is at epoch 0, so nothing but a repetition is let through.
    let set = Command::SetPassword { password: Password::new(""), epoch: 0, keep: None, tag: Some(tag) };
    match call.try_ask_for_shop(Address::user(user), Message::User(set)).await {
        Ok(answered) => Ok(Some(answered)),
        Err(AskError::Rejected {
            rejection: Rejection::User(user::Rejection::CredentialsChanged), ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a mailed token says, if the shop wrote it, for this purpose, and its time has not passed.
fn mailed(call: &Call, token: &str, purpose: Purpose) -> Result<MailedToken, Problem> {
    let read = call.engine().keys().read_mailed(token);
    let now = call.engine().now();
    read.filter(|token| token.purpose == purpose as u8 && token.expires_at > now)
        .ok_or_else(|| Problem::new(Kind::MAILED_TOKEN_INVALID, "The token is not good, or not any more."))
}

/// An address to write to.
#[derive(ToSchema)]
pub(crate) struct MailRequest {
    #[schema(value_type = String, format = Email, example = "ada@example.com")]
    email: Arc<str>,
}

/// Nothing is told of whether there is such an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// What happens now.
    #[schema(example = "If the address is an account's, a mail is on its way to it.")]
    message: &'static str,
}

/// Sends a token to set a password by, if the address is an account's or a guest profile's.
#[utoipa::path(
    post, path = "/api/v1/auth/password/reset", tag = "auth", request_body = MailRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses((status = 202, description = "Whether there is such an account or not.", body = Accepted)),
)]
pub(crate) async fn request_reset(mut call: Call) -> Result<Response, Problem> {
    let until = Instant::now() + MAIL_REQUEST_TAKES;
    call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let email = fields.required("email", person::email);
    let MailRequest { email } = fields.finish(email.map(|email| MailRequest { email }))?;
    let claim = person::claim_on(&call, &email);
    let owner = owner_of(&call, claim).await?;
    let ttl_ms = call.app.access.reset_ttl_ms;
    // Nobody is asked for a mail if there is nobody, which takes the same steps.
    let ask = Message::User(Command::RequestMail { purpose: Purpose::Reset, ttl_ms });
    call.ask_for_shop(Address::user(owner.unwrap_or(claim)), ask).await?;
    sleep_until(until).await;
    accepted("If the address is an account's, a mail is on its way to it.")
}

fn accepted(message: &'static str) -> Result<Response, Problem> {
    answer::json(StatusCode::ACCEPTED, &Accepted { message })
}

/// Sends the caller another token to verify the e-mail address by.
#[utoipa::path(
    post, path = "/api/v1/auth/email/verification", tag = "auth",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses((status = 202, description = "A mail is on its way, unless the address is verified.", body = Accepted)),
)]
pub(crate) async fn request_verification(mut call: Call) -> Result<Response, Problem> {
    call.key()?;
    let body = call.body().await?;
    Fields::parse_or_empty(&body)?.finish(Some(()))?;
    let (user, _) = call.caller.account()?;
    let ttl_ms = call.app.access.verification_ttl_ms;
    let ask = Message::User(Command::RequestMail { purpose: Purpose::Verify, ttl_ms });
    call.ask_for_shop(Address::user(user), ask).await?;
    accepted("A mail is on its way, unless the address is verified.")
}

/// A token from the mail.
#[derive(ToSchema)]
pub(crate) struct Verification {
    #[schema(value_type = String)]
    token: Arc<str>,
}

/// Shows that an e-mail address is the account's.
#[utoipa::path(
    post, path = "/api/v1/auth/email/verify", tag = "auth", request_body = Verification,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 204, description = "The address is verified."),
        (status = 422, description = "`mailed_token_invalid`, `validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn verify(mut call: Call) -> Result<Response, Problem> {
    call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let token = fields.required("token", fields::text(1..=MAX_TOKEN));
    let Verification { token } = fields.finish(token.map(|token| Verification { token }))?;
    let MailedToken { user, claim, .. } = mailed(&call, &token, Purpose::Verify)?;
    let verify = Message::User(Command::VerifyEmail { number: claim });
    let answered = call.ask_for_shop(Address::user(user), verify).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}
