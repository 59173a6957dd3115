//! Payments against the simulator, whose card tokens decide what the provider does.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{
    any_problem, cancel, expect, get, key, order, order_now, pay, payment, post, problem, product, send,
    state, text, units,
};
use crate::support::{Shop, eventually};
use relampago_load::{Client, Request};

/// A shop with ten bolts, and an order for two of them.
async fn shop_with_order(settings: &[(&'static str, &str)]) -> (Shop, Client, Client, Value) {
    let shop = Shop::open(settings).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "9.99", 10).await;
    let order = order(&mut guest, "BOLT", 2).await;
    (shop, staff, guest, order)
}

async fn payment_now(guest: &mut Client, payment: &Value) -> Value {
    get(guest, format!("/api/v1/payments/{}", text(payment, "id"))).await
}

async fn eventually_payment(guest: &mut Client, payment: &Value, status: &str) -> Value {
    eventually(&format!("the payment is {status}"), async || {
        let now = payment_now(guest, payment).await;
        (text(&now, "status") == status).then_some(now)
    })
    .await
}

#[tokio::test]
async fn an_approved_payment_sells_the_stock() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    assert_eq!(state(&paid), ("approved", None));
    assert_eq!((text(&paid, "amount"), text(&paid, "currency")), ("19.98", "USD"));
    assert_eq!((text(&paid, "payment_method"), &paid["order_id"]), ("credit_card", &order["id"]));
    assert_eq!(payment_now(&mut guest, &paid).await, paid);
    let now = order_now(&mut guest, &order).await;
    assert_eq!((text(&now, "status"), &now["payment_id"]), ("paid", &paid["id"]));
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));

    problem(&pay(&mut guest, &order, "tok_approve").await, 409, "already_paid");
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn a_declined_payment_is_a_result_and_may_be_followed_by_another() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    for (token, code) in [("tok_decline", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")]
    {
        let request = payment(&order, token).key(&key());
        let declined = any_problem(&send(&mut guest, request.clone()).await, 402);
        assert_eq!(text(&declined["payment"], "status"), "rejected");
        assert_eq!(text(&declined["payment"], "failure_code"), code);
        let replayed = send(&mut guest, request).await;
        assert_eq!(any_problem(&replayed, 402)["payment"], declined["payment"]);
        assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
        assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "created");
    }
    assert_eq!(units(&mut staff, "BOLT").await, (8, 2, 0));
    expect(&pay(&mut guest, &order, "tok_delay_50").await, 201);
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn the_amount_must_be_the_total() {
    let (_shop, _staff, mut guest, order) = shop_with_order(&[]).await;
    for amount in [json!("19.97"), json!("19.99"), json!("0.00")] {
        let body = json!({ "order_id": order["id"], "amount": amount, "payment_method": "credit_card" });
        let answer = post(&mut guest, "/api/v1/payments/process", body).await;
        any_problem(&answer, 422);
    }
    let body = json!({ "order_id": order["id"], "amount": "19.97", "payment_method": "credit_card" });
    problem(&post(&mut guest, "/api/v1/payments/process", body).await, 422, "amount_mismatch");
    // The amount as a number, the default token.
    let body = json!({ "order_id": order["id"], "amount": 19.98, "payment_method": "paypal" });
    let paid = expect(&post(&mut guest, "/api/v1/payments/process", body).await, 201);
    assert_eq!(text(&paid, "amount"), "19.98");
}

#[tokio::test]
async fn an_order_that_is_cancelled_or_unknown_cannot_be_paid() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    expect(&cancel(&mut guest, &order).await, 200);
    problem(&pay(&mut guest, &order, "tok_approve").await, 409, "order_not_payable");
    assert_eq!(units(&mut staff, "BOLT").await, (10, 0, 0));
    let nobody = json!({ "id": "00000000-0000-7000-8000-000000000000", "total": "1.00" });
    let answer = pay(&mut guest, &nobody, "tok_approve").await;
    any_problem(&answer, 404);
}

#[tokio::test]
async fn a_provider_that_never_answers_rejects_at_the_deadline() {
    let settings = [
        ("PAYMENTS__PROVIDER_TIMEOUT", "100ms"),
        ("PAYMENTS__RETRIES", "1"),
        ("PAYMENTS__WAIT", "200ms"),
        ("PAYMENTS__DEADLINE", "1500ms"),
    ];
    let (_shop, mut staff, mut guest, order) = shop_with_order(&settings).await;
    let pending = expect(&pay(&mut guest, &order, "tok_timeout").await, 201);
    assert_eq!(text(&pending, "status"), "pending");
    problem(&pay(&mut guest, &order, "tok_approve").await, 409, "payment_in_progress");
    problem(&cancel(&mut guest, &order).await, 409, "payment_in_progress");

    let rejected = eventually_payment(&mut guest, &pending, "rejected").await;
    assert_eq!(text(&rejected, "failure_code"), "provider_timeout");
    assert_eq!(units(&mut staff, "BOLT").await, (8, 2, 0));
    expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn a_lost_answer_of_the_provider_is_asked_for_again() {
    let settings = [("PAYMENTS__PROVIDER_TIMEOUT", "100ms")];
    let (_shop, mut staff, mut guest, order) = shop_with_order(&settings).await;
    let paid = expect(&pay(&mut guest, &order, "tok_lost").await, 201);
    let paid = eventually_payment(&mut guest, &paid, "approved").await;
    assert_eq!(text(&paid, "amount"), "19.98");
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "paid");
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn a_late_approval_pays_the_order() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let pending = expect(&pay(&mut guest, &order, "tok_late_300").await, 201);
    assert_eq!(text(&pending, "status"), "pending");
    eventually_payment(&mut guest, &pending, "approved").await;
    eventually("the order is paid", async || {
        (text(&order_now(&mut guest, &order).await, "status") == "paid").then_some(())
    })
    .await;
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn a_pending_payment_survives_a_crash() {
    let settings = [("PAYMENTS__DEADLINE", "3s")];
    let (mut shop, mut staff, mut guest, order) = shop_with_order(&settings).await;
    let pending = expect(&pay(&mut guest, &order, "tok_action").await, 201);
    assert_eq!(state(&pending), ("pending", Some("requires_action")));
    shop.crash().await;
    let now = payment_now(&mut guest, &pending).await;
    assert_eq!((&now["id"], &now["amount"]), (&pending["id"], &pending["amount"]));
    // Nobody confirms it, so its deadline decides, and that is kept over the crash.
    eventually_payment(&mut guest, &pending, "rejected").await;
    assert_eq!(units(&mut staff, "BOLT").await, (8, 2, 0));
}

#[tokio::test]
async fn a_payment_that_needs_its_buyer_waits_for_the_confirmation() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let pending = expect(&pay(&mut guest, &order, "tok_action").await, 201);
    assert_eq!(state(&pending), ("pending", Some("requires_action")));
    assert_eq!(units(&mut staff, "BOLT").await, (8, 2, 0));
    let confirm = format!("/api/v1/payments/{}/confirm", text(&pending, "id"));
    let confirmed = post(&mut guest, confirm, json!({})).await;
    assert!(confirmed.status.is_success(), "{confirmed:?}");
    eventually_payment(&mut guest, &pending, "approved").await;
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "paid");
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn a_manual_payment_is_authorised_and_then_captured() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let body = json!({
        "order_id": order["id"], "amount": order["total"], "payment_method": "credit_card",
        "capture_method": "manual",
    });
    let held = expect(&post(&mut guest, "/api/v1/payments/process", body).await, 201);
    assert_eq!(state(&held), ("pending", Some("authorized")));
    assert_eq!(units(&mut staff, "BOLT").await, (8, 2, 0));
    let capture = format!("/api/v1/payments/{}/capture", text(&held, "id"));
    let captured = post(&mut staff, capture, json!({})).await;
    assert!(captured.status.is_success(), "{captured:?}");
    eventually_payment(&mut guest, &held, "approved").await;
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}

#[tokio::test]
async fn refunds_are_staffs_and_never_more_than_was_paid() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    let path = format!("/api/v1/payments/{}/refunds", text(&paid, "id"));
    let part = json!({ "amount": "9.99" });
    let refused = post(&mut guest, &*path, part.clone()).await;
    any_problem(&refused, 401);

    let request = Request::post(&*path, &part).key(&key());
    for _ in 0..2 {
        let answer = send(&mut staff, request.clone()).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
    let now = payment_now(&mut guest, &paid).await;
    assert_eq!(state(&now), ("approved", Some("partially_refunded")));
    let too_much = post(&mut staff, &*path, json!({ "amount": "10.00" })).await;
    assert!(too_much.status.is_client_error(), "{too_much:?}");
    let rest = post(&mut staff, &*path, part).await;
    assert!(rest.status.is_success(), "{rest:?}");
    eventually_payment(&mut guest, &paid, "refunded").await;
}

#[tokio::test]
async fn cancelling_a_paid_order_refunds_it_and_restocks() {
    let (_shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    expect(&cancel(&mut guest, &order).await, 200);
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "cancelled");
    assert_eq!(units(&mut staff, "BOLT").await, (10, 0, 0));
    eventually_payment(&mut guest, &paid, "refunded").await;
}

#[tokio::test]
async fn of_many_payments_at_once_one_wins() {
    let (shop, mut staff, mut guest, order) = shop_with_order(&[]).await;
    let mut payers = JoinSet::new();
    for _ in 0..20 {
        let (mut guest, order) = (shop.guest(), order.clone());
        payers.spawn(async move { pay(&mut guest, &order, "tok_delay_50").await });
    }
    let answers = payers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.code() == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.code() != 201) {
        let body = any_problem(answer, 409);
        assert!(matches!(text(&body, "code"), "payment_in_progress" | "already_paid"), "{body}");
    }
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "paid");
    assert_eq!(units(&mut staff, "BOLT").await, (8, 0, 2));
}
