//! Unpaid orders give their stock back at their deadline, exactly once, whatever happened in between.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{expect, order, order_now, pay, problem, product, state, text, units};
use crate::support::{Shop, eventually, pass, until};
use relampago_load::Client;

const TTL: (&str, &str) = ("ORDERS__RESERVATION_TTL", "2s");
/// The reservation's time to live and a little more.
const PAST_TTL: Duration = Duration::from_millis(2200);
/// Entities leave memory at once, so that the deadline meets a passivated order.
const PASSIVATE: [(&str, &str); 2] =
    [("ENGINE__IDLE_TIMEOUT", "50ms"), ("ENGINE__SNAPSHOT_INTERVAL", "50ms")];

async fn eventually_expired(guest: &mut Client, order: &Value) {
    eventually("the order expires", async || {
        (state(&order_now(guest, order).await) == ("cancelled", Some("expired"))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unpaid_order_expires_and_cannot_be_paid_any_more() {
    let shop = Shop::open(&[TTL]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    assert_eq!(units(&mut staff, "BOLT").await, (3, 2, 0));
    eventually("the stock comes back", async || (units(&mut staff, "BOLT").await == (5, 0, 0)).then_some(()))
        .await;
    eventually_expired(&mut guest, &order).await;
    problem(&pay(&mut guest, &order, "tok_approve").await, 410, "reservation_expired");
    assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));
}

#[tokio::test]
async fn a_paid_order_does_not_expire() {
    let shop = Shop::open(&[TTL]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let paid = order(&mut guest, "BOLT", 2).await;
    expect(&pay(&mut guest, &paid, "tok_approve").await, 201);
    let unpaid = order(&mut guest, "BOLT", 1).await;
    eventually_expired(&mut guest, &unpaid).await;
    assert_eq!(text(&order_now(&mut guest, &paid).await, "status"), "paid");
    assert_eq!(units(&mut staff, "BOLT").await, (3, 0, 2));
}

#[tokio::test]
async fn a_passivated_order_expires() {
    let shop = Shop::open(&[TTL, PASSIVATE[0], PASSIVATE[1]]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let placed = Instant::now();
    let order = order(&mut guest, "BOLT", 2).await;
    // Nobody asks for the order or its stock, so that nothing wakes them.
    pass(placed + PAST_TTL).await;
    eventually_expired(&mut guest, &order).await;
    assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));
}

/// Places an order, takes the server down over the deadline, and looks afterwards.
async fn expire_while_down(settings: &[(&'static str, &str)], rest: Duration) {
    let mut shop = Shop::open(settings).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let placed = Instant::now();
    let order = order(&mut guest, "BOLT", 2).await;
    // Time to be stored and to leave memory, where the settings ask for that.
    pass(placed + rest).await;
    shop.kill().await;
    pass(placed + PAST_TTL).await;
    shop.start().await;
    eventually_expired(&mut guest, &order).await;
    problem(&pay(&mut guest, &order, "tok_approve").await, 410, "reservation_expired");
    assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));

    // Released once: a second start finds nothing left to release.
    shop.crash().await;
    assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));
}

#[tokio::test]
async fn an_order_expires_whose_deadline_passed_while_the_server_was_down() {
    expire_while_down(&[TTL], Duration::ZERO).await;
}

#[tokio::test]
async fn a_passivated_order_expires_whose_deadline_passed_while_the_server_was_down() {
    expire_while_down(&[TTL, PASSIVATE[0], PASSIVATE[1]], Duration::from_millis(800)).await;
}

#[tokio::test]
async fn a_running_payment_extends_the_hold() {
    let shop = Shop::open(&[TTL, ("PAYMENTS__DEADLINE", "20s")]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    let pending = expect(&pay(&mut guest, &order, "tok_late_3500").await, 201);
    assert_eq!(text(&pending, "status"), "pending");
    eventually("the order is paid", async || {
        let (available, reserved, sold) = units(&mut staff, "BOLT").await;
        assert_eq!((available, reserved + sold), (3, 2), "the hold was given up");
        (text(&order_now(&mut guest, &order).await, "status") == "paid").then_some(())
    })
    .await;
    assert_eq!(units(&mut staff, "BOLT").await, (3, 0, 2));
}

#[tokio::test]
async fn an_approval_after_the_end_is_voided() {
    let settings = [
        TTL,
        ("PAYMENTS__DEADLINE", "1s"),
        ("PAYMENTS__PROVIDER_TIMEOUT", "500ms"),
        ("PAYMENTS__WAIT", "100ms"),
    ];
    let shop = Shop::open(&settings).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    let approved_at = Instant::now() + Duration::from_millis(4500);
    let pending = expect(&pay(&mut guest, &order, "tok_late_4000").await, 201);
    eventually_expired(&mut guest, &order).await;
    assert!(Instant::now() < approved_at, "the order outlived the approval; the test shows nothing");

    let path = format!("/api/v1/payments/{}", text(&pending, "id"));
    until(approved_at + Duration::from_secs(1), async || {
        let payment = crate::api::get(&mut guest, &*path).await;
        assert_ne!(text(&payment, "status"), "approved", "charged without stock");
        assert_eq!(state(&order_now(&mut guest, &order).await), ("cancelled", Some("expired")));
        assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));
    })
    .await;
}
