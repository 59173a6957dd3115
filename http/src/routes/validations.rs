//! `/api/v1/validations`: what would be refused, asked beforehand.

use axum::response::Response;
use relampago_actors::order::Violation;
use relampago_actors::{Address, Id, Message, Reply, cart, order};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{self, Stamp};
use crate::error::Problem;
use crate::extract::Call;
use crate::fields::{self, Fields};

/// What is to be looked at: an order or a cart.
#[derive(ToSchema)]
pub(crate) struct Subject {
    /// Would it be paid?
    #[schema(value_type = Option<String>, format = Uuid)]
    order_id: Option<Id>,
    /// Would it be checked out?
    #[schema(value_type = Option<String>, format = Uuid)]
    cart_id: Option<Id>,
}

impl Subject {
    fn read(fields: &mut Fields<'_>) -> Self {
        let faults = fields.faults();
        let order_id = fields.optional("order_id", fields::id);
        let cart_id = fields.optional("cart_id", fields::id);
        if fields.faults() == faults && order_id.is_some() == cart_id.is_some() {
            fields.fault("order_id", "give either order_id or cart_id".into());
        }
        Self { order_id, cart_id }
    }

    fn question(&self) -> Option<(Address, Message)> {
        let order = |id| (Address::order(id), Message::Order(order::Command::Validate));
        let cart = |id| (Address::cart(id), Message::Cart(cart::Command::Validate));
        self.order_id.map(order).or_else(|| self.cart_id.map(cart))
    }
}

/// Whether it would go through.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verdict<'a> {
    valid: bool,
    violations: Vec<ViolationItem<'a>>,
}

/// Something that stands against it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ViolationItem<'a> {
    /// The code that the refusal would have.
    #[schema(example = "out_of_stock")]
    code: &'a str,
    /// Which line, if it is one line's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "LAMP-1")]
    sku: Option<&'a str>,
    #[schema(example = "2 of LAMP-1 wanted, 0 available.")]
    message: &'a str,
}

impl<'a> From<&'a Violation> for ViolationItem<'a> {
    fn from(violation: &'a Violation) -> Self {
        Self { code: violation.code, sku: violation.sku.as_deref(), message: &violation.message }
    }
}

/// Says what stands against checking a cart out or paying an order. Changes nothing, so that an `Idempotency-Key`
/// has no meaning here and is not looked at: every request is answered as things stand.
#[utoipa::path(
    post, path = "/api/v1/validations/validate", tag = "checkout", request_body = Subject,
    responses(
        (status = 200, description = "The verdict.", body = Verdict<'_>),
        (status = 404, description = "`order_not_found`, `cart_not_found`"),
    ),
)]
pub(crate) async fn validate(mut call: Call) -> Result<Response, Problem> {
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let subject = Subject::read(&mut fields);
    let (to, question) = fields.finish(subject.question())?;
    let answered = call.ask(to, question).await?;
    let Reply::Violations(violations) = &answered.reply else { return Err(Problem::unexpected_reply()) };
    let violations: Vec<ViolationItem<'_>> = violations.iter().map(ViolationItem::from).collect();
    let verdict = Verdict { valid: violations.is_empty(), violations };
    answer::report(&verdict, Stamp::from(&answered))
}
