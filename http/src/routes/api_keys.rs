//! `/api/v1/api-keys`: the keys with which programs call.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::access::{Permission, Permissions};
use relampago_actors::api_keys::{Command, NewKey, View};
use relampago_actors::{Address, Message, Millis, Reply};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::access::opaque::{ApiKey as KeyText, TokenSecret};
use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::extract::Call;
use crate::fields::{self, Fault, Fields};
use crate::idempotency::id_for;
use crate::json::{ApiKey, ApiKeyList};

const MAX_NAME: usize = 100;

/// A key to be made.
#[derive(ToSchema)]
pub(crate) struct NewApiKey {
    /// What people call it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "storefront")]
    name: Arc<str>,
    /// What it may do, none of which its maker may not: `catalogue:read`, `orders:place` and so on.
    #[schema(value_type = Vec<String>, example = json!(["catalogue:read", "carts:use", "orders:place"]))]
    scopes: Permissions,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Millis>,
}

impl NewApiKey {
    fn read(fields: &mut Fields<'_>, now: Millis) -> Option<Self> {
        let name = fields.required("name", fields::text(1..=MAX_NAME));
        let scopes = fields.required("scopes", scopes);
        let expires_at = fields.optional("expires_at", |raw| in_future(raw, now));
        Some(Self { name: name?, scopes: scopes?, expires_at })
    }
}

fn scopes(raw: &RawValue) -> Result<Permissions, Fault> {
    let names: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| "must be a list of strings")?;
    if names.is_empty() {
        return Err("must have one entry or more".into());
    }
    let known = names.iter().map(|name| Permission::from_scope(name).ok_or(name));
    known.collect::<Result<Permissions, _>>().map_err(|name| format!("has no scope {name:?}").into())
}

fn in_future(raw: &RawValue, now: Millis) -> Result<Millis, Fault> {
    let text = fields::text(1..=40)(raw)?;
    let at =
        humantime::parse_rfc3339(&text).map_err(|_| Fault::from("must be a time as in RFC 3339, in UTC"))?;
    let at = millis(at).filter(|at| *at > now);
    at.ok_or_else(|| "must be in the future".into())
}

fn millis(at: SystemTime) -> Option<Millis> {
    Millis::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Makes an API key. The key itself is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/api/v1/api-keys", tag = "api-keys", request_body = NewApiKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The key.", body = ApiKey<'_>, headers(("Location" = String))),
        (status = 403, description = "`forbidden`: a scope that the caller does not have"),
        (status = 409, description = "`too_many_api_keys`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn create(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let new = NewApiKey::read(&mut fields, call.engine().now());
    let NewApiKey { name, scopes, expires_at } = fields.finish(new)?;
    if let Some(more) = scopes.iter().find(|scope| !call.caller.may(*scope)) {
        let detail = format!("The caller does not have the scope {:?} and cannot give it.", more.scope());
        return Err(Problem::new(Kind::FORBIDDEN, detail));
    }

    let tag = key.as_ref().map(|key| call.tag(key, &body));
    let id = id_for(call.secret(), "api-key", tag);
    let secret = match &key {
        Some(key) => TokenSecret::new(call.derived_secret("api key", key, &body)),
        None => TokenSecret::fresh().map_err(|error| Problem::internal(&error))?,
    };
    let create = NewKey {
        id,
        name: (*name).to_owned(),
        permissions: scopes,
        digest: secret.hash(),
        expires_at,
        by: call.caller.user(),
        tag,
    };
    let create = Message::ApiKeys(Command::Create(Box::new(create)));
    let answered = call.ask_for_shop(Address::api_keys(), create).await?;
    let body = ApiKey::made(view(&answered.reply)?, KeyText { id, secret }.encode());
    let response = answer::unversioned(StatusCode::CREATED, &body, Stamp::from(&answered))?;
    Ok(answer::located(answer::private(response), format_args!("/api/v1/api-keys/{id}")))
}

/// Lists API keys, oldest first.
#[utoipa::path(
    get, path = "/api/v1/api-keys", tag = "api-keys",
    responses((status = 200, description = "All of them.", body = ApiKeyList<'_>)),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let answered = call.ask_for_shop(Address::api_keys(), Message::ApiKeys(Command::List)).await?;
    let Reply::ApiKeys(views) = &answered.reply else { return Err(Problem::unexpected_reply()) };
    let items = views.iter().map(ApiKey::new).collect();
    answer::report(&ApiKeyList { items }, Stamp::from(&answered))
}

/// Shows an API key, without the key itself.
#[utoipa::path(
    get, path = "/api/v1/api-keys/{id}", tag = "api-keys", params(("id" = String, Path)),
    responses(
        (status = 200, description = "What is known of it.", body = ApiKey<'_>),
        (status = 404, description = "`api_key_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::API_KEY_NOT_FOUND)?;
    let answered = call.ask_for_shop(Address::api_keys(), Message::ApiKeys(Command::Get { id })).await?;
    answer::report(&ApiKey::new(view(&answered.reply)?), Stamp::from(&answered))
}

/// Revokes an API key: the next call with it is refused. Doing it twice is fine.
#[utoipa::path(
    delete, path = "/api/v1/api-keys/{id}", tag = "api-keys", params(("id" = String, Path)),
    responses(
        (status = 204, description = "It is good for nothing any more."),
        (status = 404, description = "`api_key_not_found`"),
    ),
)]
pub(crate) async fn revoke(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::API_KEY_NOT_FOUND)?;
    let answered = call.ask_for_shop(Address::api_keys(), Message::ApiKeys(Command::Revoke { id })).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

fn view(reply: &Reply) -> Result<&View, Problem> {
    match reply {
        Reply::ApiKey(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}
