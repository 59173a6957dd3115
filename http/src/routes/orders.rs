//! `/api/v1/orders`: what became of purchases.

use axum::http::StatusCode;
use axum::response::Response;
use relampago_actors::access::Permission;
use relampago_actors::order::{Command, View};
use relampago_actors::{Address, Id, Message, Rejection, Reply, order};
use relampago_engine::{AskError, OrderQuery};
use tokio::task::JoinSet;

use crate::answer::{self, Stamp};
use crate::error::{Kind, Problem};
use crate::etag::ETag;
use crate::extract::Call;
use crate::fields::Fields;
use crate::json::{History, Order, OrderList};
use crate::locale::order_status;
use crate::page::{Cursor, ListQuery, SortKey};

/// Lists orders, newest first.
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders",
    params(
        ("user_id" = Option<String>, Query, description = "Whose: the caller's own, or anybody's for staff."),
        ("status" = Option<String>, Query, description = "Where they stand, by the English or Spanish name."),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of orders.", body = OrderList<'_>)),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let caller = call.caller;
    page_of(&call, |named| match caller.user() {
        _ if caller.may(Permission::OrdersManage) => Ok(named),
        Some(own) if named.is_none_or(|named| named == own) => Ok(Some(own)),
        _ => Err(Problem::new(Kind::FORBIDDEN, "The orders of others are for staff.")),
    })
    .await
}

/// A page of orders: those of the user that `whose` makes of the one named in the query, or everybody's.
pub(super) async fn page_of(
    call: &Call,
    whose: impl FnOnce(Option<Id>) -> Result<Option<Id>, Problem>,
) -> Result<Response, Problem> {
    let mut query = ListQuery::of(call.uri())?;
    let limit = query.limit();
    let status_message = "must be created, paid, shipped, delivered or cancelled";
    let named = query.parsed("user_id", "must be a UUID", |text| text.parse().ok());
    let mut wanted = OrderQuery {
        user: named,
        status: query.parsed("status", status_message, order_status),
        after: query.cursor(call.secret()).and_then(|cursor| Some((cursor.key.number()?, cursor.id))),
        limit,
    };
    let paging = query.finish()?;
    wanted.user = whose(named)?;
    let page = call.in_time(call.engine().list_orders(&wanted)).await?;
    let ids = page.items.iter().map(|(_, id)| *id);
    let mut views = call.in_time(views_of(call, ids)).await?;
    // An order may have moved on since it was listed.
    views.retain(|view| wanted.status.is_none_or(|status| view.status == status));
    let last = page.items.last().filter(|_| page.more);
    let next =
        last.map(|(at, id)| paging.next(call.secret(), Cursor { key: SortKey::Number(*at), id: *id }, limit));
    let (cursor, path) = next.unzip();
    let locale = call.locale();
    let items = views.iter().map(|view| Order::new(view, locale)).collect();
    answer::page(&OrderList { items, next_cursor: cursor.as_deref() }, page.position, path)
}

/// The orders with these ids, in their order; all are asked at once. Those that are not there are left out.
async fn views_of(call: &Call, ids: impl Iterator<Item = Id>) -> Result<Vec<Box<View>>, AskError> {
    let (by, patience) = (call.caller.party(), call.app.request_timeout);
    let mut asked = JoinSet::new();
    for (index, id) in ids.enumerate() {
        let engine = call.engine().clone();
        let get = Message::Order(Command::Get);
        asked.spawn(async move { (index, engine.ask(Address::order(id), by, get, patience).await) });
    }
    let mut views = Vec::with_capacity(asked.len());
    while let Some(answer) = asked.join_next().await {
        let Ok((index, answer)) = answer else { return Err(AskError::Faulted) };
        match answer.map(|answered| answered.reply) {
            Ok(Reply::Order(view)) => views.push((index, view)),
            Ok(_) => return Err(AskError::Faulted),
            Err(AskError::Rejected { rejection: Rejection::Order(order::Rejection::NotFound), .. }) => {}
            Err(error) => return Err(error),
        }
    }
    views.sort_unstable_by_key(|(index, _)| *index);
    Ok(views.into_iter().map(|(_, view)| view).collect())
}

/// Shows an order to whoever knows its id.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", tag = "orders",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The order.", body = Order<'_>),
        (status = 304, description = "It is as the caller has it."),
        (status = 404, description = "`order_not_found`"),
    ),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::ORDER_NOT_FOUND)?;
    let answered = call.ask(Address::order(id), Message::Order(Command::Get)).await?;
    let (view, locale) = (order(&answered.reply)?, call.locale());
    let etag = ETag::in_language(view.version, locale);
    answer::shown(call.headers(), &Order::new(view, locale), etag, Stamp::from(&answered))
}

/// Shows every event of an order, oldest first.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/history", tag = "orders", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The events.", body = History<'_>),
        (status = 404, description = "`order_not_found`"),
    ),
)]
pub(crate) async fn history(call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::ORDER_NOT_FOUND)?;
    let answered = call.ask(Address::order(id), Message::Order(Command::History)).await?;
    let Reply::History(events) = &answered.reply else { return Err(Problem::unexpected_reply()) };
    answer::report(&History::new(events), Stamp::from(&answered))
}

/// Cancels an order: its stock is released, and what was paid is given back first.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat."),
    ),
    responses(
        (status = 200, description = "The cancelled order.", body = Order<'_>),
        (status = 404, description = "`order_not_found`"),
        (status = 409, description = "`order_not_cancellable`, `payment_in_progress`, `refund_failed`, `idempotency_in_flight`"),
        (status = 422, description = "`validation_failed`, `idempotency_key_reused`"),
    ),
)]
pub(crate) async fn cancel(mut call: Call) -> Result<Response, Problem> {
    let id = call.id("id", Kind::ORDER_NOT_FOUND)?;
    let key = call.key()?;
    let body = call.body().await?;
    Fields::parse_or_empty(&body)?.finish(Some(()))?;
    let tag = key.map(|key| call.tag(&key, &body));
    let answered = call.ask(Address::order(id), Message::Order(Command::Cancel { tag })).await?;
    let (view, locale) = (order(&answered.reply)?, call.locale());
    let etag = ETag::in_language(view.version, locale);
    answer::entity(StatusCode::OK, &Order::new(view, locale), etag, Stamp::from(&answered))
}

pub(crate) fn order(reply: &Reply) -> Result<&View, Problem> {
    match reply {
        Reply::Order(view) => Ok(view),
        _ => Err(Problem::unexpected_reply()),
    }
}
