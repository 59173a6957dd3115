//! Buying: a cart's checkout, and the one-request buy.

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::access::Permission::OrdersPlace;
use relampago_actors::line::{MAX_LINES, Wanted};
use relampago_actors::order::{Command, Source};
use relampago_actors::{Address, Id, Message, cart};
use relampago_config::Locale;
use relampago_engine::{Answered, Engine};
use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, Ref, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::buyer::BuyerBody;
use super::orders::order;
use super::wanted::{Item, wanted};
use crate::answer::{self, Stamp};
use crate::app::Listed;
use crate::auth::{Access, Caller};
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::Fields;
use crate::idempotency::{self, keyed_id, order_of_cart};
use crate::json::Order;

/// A purchase as nearly everybody sends it: skus and quantities, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    items: Vec<PlainItem<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainItem<'a> {
    sku: &'a str,
    quantity: u32,
}

/// What is bought, and by whom.
#[derive(Debug, PartialEq)]
pub(crate) struct Purchase {
    items: Vec<Wanted>,
    buyer: BuyerBody,
}

impl Purchase {
    /// Reads a plain purchase in one pass. `None` for whatever is different or wrong in any way, which
    /// [`Purchase::read`] knows what to make of.
    fn plain(body: &[u8]) -> Option<Self> {
        // An array may stand for a struct where types are derived.
        if body.first() != Some(&b'{') || body.iter().filter(|byte| **byte == b'[').count() != 1 {
            return None;
        }
        let Plain { items } = serde_json::from_slice(body).ok()?;
        let items: Option<Vec<Wanted>> =
            items.into_iter().map(|item| wanted(item.sku, item.quantity)).collect();
        let items = items.filter(|items| (1..=MAX_LINES).contains(&items.len()))?;
        Some(Self { items, buyer: BuyerBody::default() })
    }

    /// Reads any purchase.
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        if let Some(plain) = Self::plain(body) {
            return Ok(plain);
        }
        let mut fields = Fields::parse(body)?;
        let purchase = Self::read(&mut fields)?;
        fields.finish(purchase)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Option<Self>, Problem> {
        let items = fields.objects("items", MAX_LINES, |fields| Item::read(fields)?.wanted())?;
        let buyer = BuyerBody::read(fields);
        Ok(items.map(|items| Self { items, buyer }))
    }
}

impl PartialSchema for Purchase {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new()
            .items(Ref::from_schema_name(Item::name()))
            .min_items(Some(1))
            .max_items(Some(MAX_LINES));
        let items = ObjectBuilder::new().property("items", items).required("items");
        let buyer = Ref::from_schema_name(BuyerBody::name());
        AllOfBuilder::new().item(items).item(buyer).description(Some("What is bought, and by whom.")).into()
    }
}

impl ToSchema for Purchase {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Item::name().into_owned(), Item::schema()));
        schemas.push((BuyerBody::name().into_owned(), BuyerBody::schema()));
    }
}

/// Turns a cart into an order and reserves its stock. A cart becomes one order at most.
#[utoipa::path(
    post, path = "/api/v1/carts/{id}/checkout", tag = "checkout", request_body(content = Option<BuyerBody>),
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 201, description = "The order.", body = Order<'_>, headers(("Location" = String))),
        (status = 403, description = "`forbidden`: the `user_id` is another's"),
        (status = 404, description = "`cart_not_found`"),
        (status = 409, description = "`idempotency_in_flight`, `cart_empty`, `cart_checked_out` (with `order_id`), `cart_expired`, \
            `price_changed` (with `items`), `product_unavailable`, `out_of_stock` (with `items`)"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
        (status = 503, description = "`overloaded`, `outcome_unknown`, `checkout_interrupted`, `shutting_down`"),
    ),
)]
pub(crate) async fn check_out(mut call: Call) -> Result<Response, Problem> {
    let cart = call.id("id", Kind::CART_NOT_FOUND)?;
    let key = call.required_key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse_or_empty(&body)?;
    let buyer = BuyerBody::read(&mut fields);
    let buyer = fields.finish(Some(buyer))?;
    let buyer = buyer.buyer(&call).await?;

    let id = order_of_cart(call.secret(), cart);
    let tag = call.tag(&key, &body);
    let locale = call.locale();
    drop((key, body));
    call.let_go();
    let check_out = cart::Command::Checkout { order: id, buyer, tag };
    let answered = call.ask(Address::cart(cart), Message::Cart(check_out)).await?;
    created(id, &answered, locale)
}

/// Buys in one request: an order of the named items, its stock reserved.
#[utoipa::path(
    post, path = "/api/v1/orders", tag = "checkout",
    request_body(content = Purchase, example = json!({
        "items": [{"sku": "LAMP-1", "quantity": 2}], "email": "ada@example.com",
    })),
    params(("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The order.", body = Order<'_>, headers(("Location" = String))),
        (status = 403, description = "`forbidden`: the `user_id` is another's"),
        (status = 404, description = "`product_not_found`"),
        (status = 409, description = "`out_of_stock` (with `items`), `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
        (status = 503, description = "`overloaded`, `outcome_unknown`, `checkout_interrupted`, `shutting_down`"),
    ),
)]
pub(crate) async fn place(mut call: Call) -> Result<Response, Problem> {
    let key = call.required_key()?;
    let body = call.body().await?;
    let Purchase { items, buyer } = Purchase::parse(&body)?;
    let buyer = buyer.buyer(&call).await?;

    let tag = call.tag(&key, &body);
    let id = keyed_id(call.secret(), "order", tag);
    let locale = call.locale();
    drop((key, body));
    call.let_go();
    let place = Command::Place { source: Source::Items(items), buyer, tag };
    let answered = call.ask(Address::order(id), Message::Order(place)).await?;
    created(id, &answered, locale)
}

/// The route of [`place`], and who may call it.
pub(crate) const PLACE: Listed =
    Listed { method: "POST", template: "/api/v1/orders", access: Access::Needs(OrdersPlace) };

/// What [`place`] asks for, if that can be told at once; whatever is refused is left to it.
pub(crate) fn at_once(engine: &Engine, caller: Caller, key: &[u8], body: &[u8]) -> Option<(Id, Command)> {
    let Purchase { items, buyer } = Purchase::parse(body).ok()?;
    let buyer = buyer.buyer_at_once(caller, engine)?;
    let place = [PLACE.method.as_bytes(), PLACE.template.as_bytes()];
    let tag = idempotency::tag(engine.secret(), caller, key, &place, body);
    let id = keyed_id(engine.secret(), "order", tag);
    Some((id, Command::Place { source: Source::Items(items), buyer, tag }))
}

/// Panics if a purchase that is read in one pass means another when it is read field by field.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn same_read_quickly(body: &[u8]) {
    if let Some(plain) = Purchase::plain(body) {
        assert_eq!(Some(plain), slowly(body));
    }
}

#[cfg(any(test, feature = "fuzzing"))]
fn slowly(body: &[u8]) -> Option<Purchase> {
    let mut fields = Fields::parse(body).ok()?;
    let purchase = Purchase::read(&mut fields).ok()?;
    fields.finish(purchase).ok()
}

fn created(id: Id, answered: &Answered, locale: Locale) -> Result<Response, Problem> {
    let view = order(&answered.reply)?;
    let etag = ETag::in_language(view.version, locale);
    let body = Order::new(view, locale);
    let response = answer::entity(StatusCode::CREATED, &body, etag, Stamp::from(answered))?;
    Ok(answer::located(response, format_args!("/api/v1/orders/{id}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plain_purchase_is_what_it_is_when_read_slowly() {
        for body in [
            r#"{"items":[{"sku":"LAMP-1","quantity":2}]}"#,
            r#"{ "items" : [ {"quantity": 999, "sku": "ñandú"}, {"sku":"B","quantity":1} ] } "#,
        ] {
            let plain = Purchase::plain(body.as_bytes());
            assert!(plain.is_some(), "{body}");
            assert_eq!(plain, slowly(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_is_not_plain_is_read_slowly() {
        let line = r#"{"sku":"A","quantity":1}"#;
        let many = format!(r#"{{"items":[{}]}}"#, vec![line; MAX_LINES + 1].join(","));
        let long = format!(r#"{{"items":[{{"sku":"{}","quantity":1}}]}}"#, "x".repeat(1_000));
        for body in [
            "",
            "[]",
            r#"[[{"sku":"A","quantity":1}]]"#,
            r#"{"items":[["A",1]]}"#,
            r#"{"items":[]}"#,
            r#"{"items":[{"sku":"","quantity":1}]}"#,
            r#"{"items":[{"sku":"A","quantity":0}]}"#,
            r#"{"items":[{"sku":"A","quantity":1000}]}"#,
            r#"{"items":[{"sku":"A","quantity":1.0}]}"#,
            r#"{"items":[{"sku":"A","quantity":-0}]}"#,
            r#"{"items":[{"sku":"A","quantity":"1"}]}"#,
            r#"{"items":[{"sku":"\u0041","quantity":1}]}"#,
            r#"{"items":[{"sku":"A","quantity":1,"quantity":1}]}"#,
            r#"{"items":[{"sku":"A","quantity":1}],"items":[]}"#,
            r#"{"items":[{"sku":"A","quantity":1,"product_id":null}]}"#,
            r#"{"items":[{"sku":"A","quantity":1}],"email":null}"#,
            r#"{"items":[{"sku":"A","quantity":1}]} {}"#,
            r#"{"items":[{"sku":"[","quantity":1}]}"#,
            &many,
            &long,
        ] {
            assert_eq!(Purchase::plain(body.as_bytes()), None, "{body}");
        }
    }
}
