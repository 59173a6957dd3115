//! `/api/v1/payments`: paying orders and giving money back.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::keys::KeyTag;
use relampago_actors::payment::Rejection::RefundAmount;
use relampago_actors::payment::{Command, Method, Status, View};
use relampago_actors::{Address, Id, Message, Party, Rejection, Reply, order};
use relampago_engine::{Answered, AskError};
use utoipa::ToSchema;

use crate::answer::{self, Stamp};
use crate::error::{Extra, Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::{self, Fields};
use crate::idempotency::keyed_id;
use crate::json::{Amount, METHODS, Payment};

const MAX_TOKEN: usize = 255;
const MAX_REASON: usize = 200;
/// What `capture_method` may say, and whether that means to only authorize.
const CAPTURE_METHODS: &[(&str, bool)] = &[("automatic", false), ("manual", true)];
/// Why money goes back if nobody says.
const REQUESTED: &str = "requested";

/// A try to pay an order.
#[derive(ToSchema)]
pub(crate) struct PaymentRequest {
    #[schema(value_type = String, format = Uuid)]
    order_id: Id,
    /// The order's total.
    amount: Amount,
    /// `credit_card`, `debit_card` or `paypal`.
    #[schema(value_type = String, example = "credit_card")]
    payment_method: Method,
    /// The provider's name of the card. The embedded simulator decides by it:
    ///
    /// | token | what happens |
    /// | --- | --- |
    /// | none, `tok_approve`, any other | approved |
    /// | `tok_decline` | declined, `card_declined` |
    /// | `tok_insufficient_funds` | declined, `insufficient_funds` |
    /// | `tok_delay_<ms>` | approved after so long |
    /// | `tok_late_<ms>` | pending; approved on its own after so long |
    /// | `tok_timeout` | no answer ever; rejected at the deadline |
    /// | `tok_lost` | charged, and the first answer is lost |
    /// | `tok_action` | wants the buyer to act; approved once confirmed |
    /// | `tok_refund_fail` | approved; refunds are declined |
    ///
    /// A delay that is not a number is declined, `invalid_token`.
    #[schema(value_type = Option<String>, max_length = 255, example = "tok_approve")]
    token: Option<Arc<str>>,
    /// `automatic` (default), or `manual` to only authorize.
    #[schema(value_type = Option<String>, example = "automatic")]
    capture_method: Option<bool>,
}

impl PaymentRequest {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let order_id = fields.required("order_id", fields::id);
        let amount = fields.required("amount", fields::decimal);
        let payment_method = fields.required("payment_method", fields::one_of(METHODS));
        let token = fields.optional("token", fields::text(1..=MAX_TOKEN));
        let capture_method = fields.optional("capture_method", fields::one_of(CAPTURE_METHODS));
        let (order_id, amount) = (order_id?, Amount(amount?));
        Some(Self { order_id, amount, payment_method: payment_method?, token, capture_method })
    }
}

/// Money to be given back.
#[derive(ToSchema)]
pub(crate) struct RefundRequest {
    /// All that is left if left out.
    amount: Option<Amount>,
    /// Why, for the books.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "damaged")]
    reason: Option<Arc<str>>,
}

impl RefundRequest {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            amount: fields.optional("amount", fields::decimal).map(Amount),
            reason: fields.optional("reason", fields::text(1..=MAX_REASON)),
        }
    }
}

/// Pays an order. The answer is final (approved, or 402), or `pending` where the provider decides later.
#[utoipa::path(
    post, path = "/api/v1/payments/process", tag = "payments", request_body = PaymentRequest,
    params(("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat.")),
    responses(
        (status = 201, description = "The payment.", body = Payment<'_>, headers(("Location" = String))),
        (status = 402, description = "`payment_declined` (the rejected payment is under `payment`)"),
        (status = 404, description = "`order_not_found`"),
        (status = 409, description = "`already_paid`, `payment_in_progress`, `order_not_payable`, `idempotency_in_flight`"),
        (status = 410, description = "`reservation_expired`"),
        (status = 422, description = "`amount_mismatch`, `validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn process(mut call: Call) -> Result<Response, Problem> {
    let key = call.required_key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse(&body)?;
    let request = PaymentRequest::read(&mut fields);
    let request = fields.finish(request)?;
    reach_order(&call, request.order_id).await?;

    let tag = call.tag(&key, &body);
    let id = keyed_id(call.secret(), "payment", tag);
    let process = Command::Process {
        order: request.order_id,
        amount: request.amount.0,
        method: request.payment_method,
        token: request.token.map(|token| (*token).to_owned()),
        manual: request.capture_method.unwrap_or(false),
        tag,
    };
    let response = carry_out(&call, id, process, StatusCode::CREATED).await?;
    Ok(answer::located(response, format_args!("/api/v1/payments/{id}")))
}

/// Shows a payment to whoever knows its id.
#[utoipa::path(
    get, path = "/api/v1/payments/{id}", tag = "payments",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The payment.", body = Payment<'_>),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`payment_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PAYMENT_NOT_FOUND)?;
    let answered = call.ask(Address::payment(id), Message::Payment(Command::Get)).await?;
    let (stamp, locale) = (Stamp::from(&answered), call.locale());
    let view = payment(answered.reply)?;
    reach(&call, &view).await?;
    let etag = ETag::in_language(view.version, locale);
    answer::shown(call.headers(), &Payment::new(&view, locale), etag, stamp)
}

/// Goes on with a payment once its buyer has done what the provider asked for.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/confirm", tag = "payments",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 200, description = "The payment.", body = Payment<'_>),
        (status = 402, description = "`payment_declined` (the rejected payment is under `payment`)"),
        (status = 404, description = "`payment_not_found`"),
        (status = 409, description = "`payment_not_confirmable`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn confirm(call: Call) -> Result<Response, Problem> {
    go_on(call, |tag| Command::Confirm { tag }).await
}

/// Takes the money of an authorized payment.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/capture", tag = "payments",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 200, description = "The payment.", body = Payment<'_>),
        (status = 402, description = "`payment_declined` (the rejected payment is under `payment`)"),
        (status = 404, description = "`payment_not_found`"),
        (status = 409, description = "`payment_not_capturable`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn capture(call: Call) -> Result<Response, Problem> {
    go_on(call, |tag| Command::Capture { tag }).await
}

async fn go_on(mut call: Call, command: impl FnOnce(KeyTag) -> Command) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PAYMENT_NOT_FOUND)?;
    let key = call.required_key()?;
    let body = call.body().await?;
    Fields::parse_or_empty(&body)?.finish(Some(()))?;
    reach_payment(&call, id).await?;
    let tag = call.tag(&key, &body);
    carry_out(&call, id, command(tag), StatusCode::OK).await
}

/// Whether the caller reaches the payment with this id.
///
/// # Errors
/// 404 if not.
async fn reach_payment(call: &Call, id: Id) -> Result<(), Problem> {
    if call.caller.party() != Party::Shop {
        let shown = call.ask(Address::payment(id), Message::Payment(Command::Get)).await?;
        reach(call, &*payment(shown.reply)?).await?;
    }
    Ok(())
}

/// Whether the caller reaches the order of a payment, and so the payment.
///
/// # Errors
/// 404 if not.
async fn reach(call: &Call, view: &View) -> Result<(), Problem> {
    let missing = |_| Problem::new(Kind::PAYMENT_NOT_FOUND, "There is no such payment.");
    match reach_order(call, view.order).await {
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Err(missing(problem)),
        reached => reached,
    }
}

/// Whether the caller reaches an order. Whose it is never changes, so that this may be looked at beforehand.
///
/// # Errors
/// 404 if not.
async fn reach_order(call: &Call, order: Id) -> Result<(), Problem> {
    if call.caller.party() != Party::Shop {
        call.ask(Address::order(order), Message::Order(order::Command::Get)).await?;
    }
    Ok(())
}

/// Gives money back: all that is left, or a part of it.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/refunds", tag = "payments",
    request_body(content = Option<RefundRequest>),
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = String, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 201, description = "The payment with its refunds.", body = Payment<'_>),
        (status = 404, description = "`payment_not_found`"),
        (status = 409, description = "`payment_not_refundable`, `refund_in_progress`, `refund_failed`, `idempotency_in_flight`"),
        (status = 422, description = "`refund_exceeds_payment`, `validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn refund(mut call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::PAYMENT_NOT_FOUND)?;
    let key = call.required_key()?;
    let body = call.body().await?;
    let mut fields = Fields::parse_or_empty(&body)?;
    let request = RefundRequest::read(&mut fields);
    let RefundRequest { amount, reason } = fields.finish(Some(request))?;
    reach_payment(&call, id).await?;

    let reason = reason.as_deref().unwrap_or(REQUESTED).to_owned();
    let tag = call.tag(&key, &body);
    let refund = Command::Refund { amount: amount.map(|amount| amount.0), reason, tag };
    let asked = call.try_ask(Address::payment(id), Message::Payment(refund)).await;
    let answered = asked.map_err(|error| match (&error, amount) {
        (
            AskError::Rejected { rejection: Rejection::Payment(RefundAmount { currency, .. }), commit },
            Some(amount),
        ) => match amount.0.minor(*currency) {
            Ok(_) => Problem::from(error),
            Err(fault) => Problem::field("amount", fault.to_string()).at(*commit),
        },
        _ => Problem::from(error),
    })?;
    outcome(&call, answered, StatusCode::CREATED)
}

/// Asks a payment for something and shows it; a declined one is a problem that shows it.
async fn carry_out(call: &Call, id: Id, command: Command, status: StatusCode) -> Result<Response, Problem> {
    let answered = call.ask(Address::payment(id), Message::Payment(command)).await?;
    outcome(call, answered, status)
}

fn outcome(call: &Call, answered: Answered, status: StatusCode) -> Result<Response, Problem> {
    let (stamp, locale) = (Stamp::from(&answered), call.locale());
    let Answered { reply, commit, replayed } = answered;
    let view = payment(reply)?;
    if view.status == Status::Rejected {
        return Err(Problem::new(Kind::PAYMENT_DECLINED, "The provider declined the payment.")
            .with_extra(Extra::Payment(view, locale))
            .at(commit)
            .replayed(replayed));
    }
    let etag = ETag::in_language(view.version, locale);
    answer::entity(status, &Payment::new(&view, locale), etag, stamp)
}

fn payment(reply: Reply) -> Result<Box<View>, Problem> {
    match reply {
        Reply::Payment(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}
