//! `/api/v1/inventory`: the stock of a sku.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::inventory::{Command, MAX_UNITS, View};
use relampago_actors::{Address, Message, Reply};
use utoipa::ToSchema;

use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::json::Inventory;

const MAX_REASON: usize = 200;

/// Units to be added or taken away.
#[derive(ToSchema)]
pub(crate) struct Adjustment {
    /// How many, not zero; negative takes away.
    #[schema(example = 5)]
    delta: i64,
    /// Why, for the books.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "found behind the shelf")]
    reason: Arc<str>,
}

impl Adjustment {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let delta = fields.required("delta", fields::whole(-MAX_UNITS..=MAX_UNITS));
        let reason = fields.required("reason", fields::text(1..=MAX_REASON));
        if delta == Some(0) {
            fields.fault("delta", "must not be zero".into());
        }
        Some(Self { delta: delta?, reason: reason? })
    }
}

/// Shows the stock of a sku.
#[utoipa::path(
    get, path = "/api/v1/inventory/{sku}", tag = "inventory",
    params(("sku" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The stock.", body = Inventory<'_>),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`inventory_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let sku = sku(&call)?;
    let answered = call.ask(Address::inventory(sku), Message::Inventory(Command::Get)).await?;
    let stamp = Stamp::from(&answered);
    let view = inventory(&answered.reply)?;
    answer::shown(call.headers(), &Inventory::new(sku, &view), ETag::version(view.version), stamp)
}

/// Adds units or takes them away.
#[utoipa::path(
    post, path = "/api/v1/inventory/{sku}/adjustments", tag = "inventory", request_body = Adjustment,
    params(
        ("sku" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 200, description = "The stock as it is now.", body = Inventory<'_>),
        (status = 404, description = "`inventory_not_found`"),
        (status = 409, description = "`insufficient_stock`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn adjust(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let adjustment = Adjustment::read(&mut fields);
    let Adjustment { delta, reason } = fields.finish(adjustment)?;

    let tag = key.map(|key| call.tag(&key, &body));
    let sku = sku(&call)?;
    let adjust = Command::Adjust { delta, reason: (*reason).to_owned(), tag };
    let answered = call.ask(Address::inventory(sku), Message::Inventory(adjust)).await?;
    let stamp = Stamp::from(&answered);
    let view = inventory(&answered.reply)?;
    answer::entity(StatusCode::OK, &Inventory::new(sku, &view), ETag::version(view.version), stamp)
}

fn sku(call: &Call) -> Result<&str, Problem> {
    call.param("sku").ok_or_else(|| Problem::new(Kind::INVENTORY_NOT_FOUND, "There is no such sku."))
}

fn inventory(reply: &Reply) -> Result<View, Problem> {
    match reply {
        Reply::Inventory(view) => Ok(*view),
        _ => Err(Problem::unexpected_reply()),
    }
}
