//! `/api/v1/carts`: carts and their lines.

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::cart::{Command, View};
use relampago_actors::money::Currency;
use relampago_actors::{Address, Id, Message, Reply};
use relampago_engine::Answered;
use utoipa::ToSchema;

use super::users::buyer;
use super::wanted::{Item, Quantity};
use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::idempotency::id_for;
use crate::json::Cart;

/// A cart to be made; all of it may be left out.
#[derive(ToSchema)]
pub(crate) struct NewCart {
    /// Whose: the caller's own, or anybody's for staff.
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<Id>,
    /// ISO 4217; that of the first line if left out.
    #[schema(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
}

impl NewCart {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            user_id: fields.optional("user_id", fields::id),
            currency: fields.optional("currency", fields::currency),
        }
    }
}

/// Makes a cart.
#[utoipa::path(
    post, path = "/api/v1/carts", tag = "carts", request_body(content = Option<NewCart>),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The cart.", body = Cart<'_>, headers(("Location" = String))),
        (status = 403, description = "`forbidden`: the `user_id` is another's"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn create(mut call: Call) -> Result<Response, Problem> {
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse_or_empty(&body)?;
    let new = NewCart::read(&mut fields);
    let NewCart { user_id, currency } = fields.finish(Some(new))?;
    let user = buyer(call.caller, user_id)?;

    let tag = key.map(|key| call.tag(&key, &body));
    let id = id_for(call.secret(), "cart", tag);
    drop(body);
    call.let_go();
    let create = Message::Cart(Command::Create { user, currency, tag });
    let answered = call.ask(Address::cart(id), create).await?;
    let response = shown(&call, StatusCode::CREATED, &answered)?;
    Ok(answer::located(response, format_args!("/api/v1/carts/{id}")))
}

/// Shows a cart.
#[utoipa::path(
    get, path = "/api/v1/carts/{id}", tag = "carts",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The cart.", body = Cart<'_>),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`cart_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::CART_NOT_FOUND)?;
    let answered = call.ask(Address::cart(id), Message::Cart(Command::Get)).await?;
    let view = cart(&answered.reply)?;
    let body = Cart::new(view, call.app.currency);
    answer::shown(call.headers(), &body, ETag::version(view.version), Stamp::from(&answered))
}

/// Throws a cart away.
#[utoipa::path(
    delete, path = "/api/v1/carts/{id}", tag = "carts",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`cart_not_found`"),
        (status = 409, description = "`cart_checked_out`, `checkout_in_progress`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn delete(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::CART_NOT_FOUND)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    let answered = call.ask(Address::cart(id), Message::Cart(Command::Delete { if_version })).await?;
    Ok(answer::gone(Stamp::from(&answered)))
}

/// Adds units of a product. More of the same product adds up. Stock is not looked at before checkout.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/items", tag = "carts", request_body = Item,
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 200, description = "The cart as it is now.", body = Cart<'_>),
        (status = 404, description = "`cart_not_found`, `product_not_found`"),
        (status = 409, description = "`cart_checked_out`, `checkout_in_progress`, `cart_expired`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn add(mut call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::CART_NOT_FOUND)?;
    let key = call.key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let wanted = Item::read(&mut fields).and_then(Item::wanted);
    let wanted = fields.finish(wanted)?;
    let tag = key.map(|key| call.tag(&key, &body));
    drop(body);
    call.let_go();
    change(&call, id, Command::Add { wanted, tag }).await
}

/// Takes all lines out.
#[utoipa::path(
    delete, path = "/api/v1/carts/{id}/items", tag = "carts",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The cart as it is now.", body = Cart<'_>),
        (status = 404, description = "`cart_not_found`"),
        (status = 409, description = "`cart_checked_out`, `checkout_in_progress`, `cart_expired`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn clear(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::CART_NOT_FOUND)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    change(&call, id, Command::Clear { if_version }).await
}

/// Sets the units of a line, at today's price: this is how a storefront confirms a changed price.
#[utoipa::path(
    patch, path = "/api/v1/carts/{id}/items/{item_id}", tag = "carts", request_body = Quantity,
    params(("id" = String, Path), ("item_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The cart as it is now.", body = Cart<'_>),
        (status = 404, description = "`cart_not_found`, `item_not_found`"),
        (status = 409, description = "`cart_checked_out`, `checkout_in_progress`, `cart_expired`, `product_unavailable`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn set_quantity(mut call: Call) -> Result<Response, Problem> {
    let (id, item) = line_of(&call)?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let quantity = Quantity::read(&mut fields);
    let Quantity { quantity } = fields.finish(quantity)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    change(&call, id, Command::SetQuantity { item, quantity, if_version }).await
}

/// Takes a line out. Doing it twice is fine.
#[utoipa::path(
    delete, path = "/api/v1/carts/{id}/items/{item_id}", tag = "carts",
    params(("id" = String, Path), ("item_id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The cart as it is now.", body = Cart<'_>),
        (status = 404, description = "`cart_not_found`, `item_not_found`"),
        (status = 409, description = "`cart_checked_out`, `checkout_in_progress`, `cart_expired`"),
        (status = 412, description = "`version_conflict`"),
    ),
)]
pub(crate) async fn remove(call: Call) -> Result<Response, Problem> {
    let (id, item) = line_of(&call)?;
    let if_version = call.expected_version(current_version(&call, id)).await?;
    change(&call, id, Command::Remove { item, if_version }).await
}

async fn change(call: &Call, id: Id, command: Command) -> Result<Response, Problem> {
    let answered = call.ask(Address::cart(id), Message::Cart(command)).await?;
    shown(call, StatusCode::OK, &answered)
}

fn line_of(call: &Call) -> Result<(Id, Id), Problem> {
    Ok((call.id("id", Kind::CART_NOT_FOUND)?, call.id("item_id", Kind::ITEM_NOT_FOUND)?))
}

fn shown(call: &Call, status: StatusCode, answered: &Answered) -> Result<Response, Problem> {
    let view = cart(&answered.reply)?;
    let body = Cart::new(view, call.app.currency);
    answer::entity(status, &body, ETag::version(view.version), Stamp::from(answered))
}

async fn current_version(call: &Call, id: Id) -> Result<u64, Problem> {
    let answered = call.ask(Address::cart(id), Message::Cart(Command::Get)).await?;
    cart(&answered.reply).map(|view| view.version)
}

fn cart(reply: &Reply) -> Result<&View, Problem> {
    match reply {
        Reply::Cart(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}
