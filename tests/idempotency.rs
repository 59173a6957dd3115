//! One key, one effect, one answer.

use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{
    adjust, any_problem, cart_with, check_out, commit, expect, get, key, order, pay, payment, post, problem,
    product, purchase, send, text, units,
};
use crate::support::{Shop, eventually};

const AT_ONCE: usize = 50;

/// Sends `request` many times at once, each over a connection of its own.
async fn at_once(shop: &Shop, request: &Request) -> Vec<Answer> {
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (mut guest, request) = (shop.guest(), request.clone());
        callers.spawn(async move { send(&mut guest, request).await });
    }
    callers.join_all().await
}

/// All answers are `status` with one body, and all but one are marked as replayed.
fn assert_one_answer(answers: &[Answer], status: u16) -> Value {
    let first = expect(&answers[0], status);
    for answer in answers {
        assert_eq!(expect(answer, status), first);
    }
    let fresh = answers.iter().filter(|answer| answer.header("idempotent-replayed") != Some("true")).count();
    assert_eq!(fresh, 1, "{fresh} answers claim to be the first");
    first
}

async fn orders(staff: &mut Client) -> usize {
    get(staff, "/api/v1/orders").await["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn fifty_equal_purchases_make_one_order() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    product(&mut staff, "BOLT", "1.00", 100).await;
    assert_one_answer(&at_once(&shop, &purchase("BOLT", 2).key(&key())).await, 201);
    assert_eq!(units(&mut staff, "BOLT").await, (98, 2, 0));
    eventually("the order is listed", async || (orders(&mut staff).await == 1).then_some(())).await;
}

#[tokio::test]
async fn fifty_equal_checkouts_make_one_order() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let cart = cart_with(&mut guest, "BOLT", 2).await;
    let request = Request::post(format!("/api/v1/carts/{cart}/checkout"), &json!({})).key(&key());
    assert_one_answer(&at_once(&shop, &request).await, 201);
    assert_eq!(units(&mut staff, "BOLT").await, (98, 2, 0));
}

#[tokio::test]
async fn fifty_equal_payments_charge_once() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let order = order(&mut guest, "BOLT", 2).await;
    let paid = assert_one_answer(&at_once(&shop, &payment(&order, "tok_delay_100").key(&key())).await, 201);
    assert_eq!(text(&paid, "status"), "approved");
    assert_eq!(units(&mut staff, "BOLT").await, (98, 0, 2));
}

#[tokio::test]
async fn two_keys_on_one_cart_make_one_order() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let cart = cart_with(&mut guest, "BOLT", 2).await;
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (mut guest, cart) = (shop.guest(), cart.clone());
        callers.spawn(async move { check_out(&mut guest, &cart, &key()).await });
    }
    let answers = callers.join_all().await;
    let (won, lost): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.code() == 201);
    assert_eq!(won.len(), 1);
    let order = expect(&won[0], 201);
    for answer in &lost {
        assert_eq!(problem(answer, 409, "cart_checked_out")["order_id"], order["id"]);
    }
    assert_eq!(units(&mut staff, "BOLT").await, (98, 2, 0));
}

#[tokio::test]
async fn a_changed_body_is_refused() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let key = key();
    let first = expect(&send(&mut guest, purchase("BOLT", 1).key(&key)).await, 201);
    problem(&send(&mut guest, purchase("BOLT", 2).key(&key)).await, 422, "idempotency_key_reused");
    let again = send(&mut guest, purchase("BOLT", 1).key(&key)).await;
    assert_eq!(expect(&again, 201), first);
    assert_eq!(units(&mut staff, "BOLT").await, (99, 1, 0));
}

#[tokio::test]
async fn a_refused_checkout_succeeds_under_its_key_once_there_is_stock() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 1).await;
    let cart = cart_with(&mut guest, "BOLT", 2).await;
    let (cart_key, buy_key) = (key(), key());
    problem(&check_out(&mut guest, &cart, &cart_key).await, 409, "out_of_stock");
    problem(&send(&mut guest, purchase("BOLT", 2).key(&buy_key)).await, 409, "out_of_stock");

    expect(&adjust(&mut staff, "BOLT", 3).await, 200);
    let order = expect(&check_out(&mut guest, &cart, &cart_key).await, 201);
    let bought = expect(&send(&mut guest, purchase("BOLT", 2).key(&buy_key)).await, 201);
    assert_eq!(units(&mut staff, "BOLT").await, (0, 4, 0));

    // Sold out again: the earlier success still wins over the refusal.
    assert_eq!(expect(&check_out(&mut guest, &cart, &cart_key).await, 201), order);
    assert_eq!(expect(&send(&mut guest, purchase("BOLT", 2).key(&buy_key)).await, 201), bought);
}

#[tokio::test]
async fn keys_are_required_where_money_or_stock_moves() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let order = order(&mut guest, "BOLT", 1).await;
    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    let refund = format!("/api/v1/payments/{}/refunds", text(&paid, "id"));
    let requests = [
        purchase("BOLT", 1),
        Request::post(format!("/api/v1/carts/{cart}/checkout"), &json!({})),
        payment(&order, "tok_approve"),
    ];
    for request in requests {
        problem(&send(&mut guest, request).await, 400, "idempotency_key_required");
    }
    let refund = Request::post(refund, &json!({ "amount": "1.00" }));
    problem(&send(&mut staff, refund).await, 400, "idempotency_key_required");

    // A guest's key is all that protects the answer, so it must not be guessable.
    let guessable = send(&mut guest, purchase("BOLT", 1).key("short")).await;
    assert!(matches!(guessable.code(), 400 | 422), "{guessable:?}");
    any_problem(&guessable, guessable.code());
    expect(&send(&mut staff, purchase("BOLT", 1).key("short")).await, 201);
    let long = "k".repeat(256);
    let too_long = send(&mut guest, purchase("BOLT", 1).key(&long)).await;
    assert!(matches!(too_long.code(), 400 | 422), "{too_long:?}");
}

#[tokio::test]
async fn a_key_belongs_to_one_path_and_one_caller() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let key = key();
    let order = expect(&send(&mut guest, purchase("BOLT", 1).key(&key)).await, 201);
    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let from_cart = expect(&check_out(&mut guest, &cart, &key).await, 201);
    let paid = expect(&send(&mut guest, payment(&order, "tok_approve").key(&key)).await, 201);
    let by_staff = expect(&send(&mut staff, purchase("BOLT", 1).key(&key)).await, 201);
    assert_ne!(order["id"], from_cart["id"]);
    assert_ne!(order["id"], by_staff["id"]);
    assert_eq!(paid["order_id"], order["id"]);
    assert_eq!(units(&mut staff, "BOLT").await, (97, 2, 1));
}

#[tokio::test]
async fn keys_are_honoured_on_every_other_post() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let (create, open, change) = (key(), key(), key());
    let body = json!({ "name": "bolt", "sku": "BOLT", "price": "1.00", "stock_quantity": 5 });
    let product = Request::post("/api/v1/products", &body).key(&create);
    let cart = Request::post("/api/v1/carts", &json!({})).key(&open);
    let delta = json!({ "delta": 2, "reason": "delivery" });
    let adjustment = Request::post("/api/v1/inventory/BOLT/adjustments", &delta).key(&change);
    let first = expect(&send(&mut staff, product.clone()).await, 201);
    assert_eq!(expect(&send(&mut staff, product).await, 201), first);
    let first = expect(&send(&mut guest, cart.clone()).await, 201);
    assert_eq!(expect(&send(&mut guest, cart).await, 201), first);
    for _ in 0..3 {
        expect(&send(&mut staff, adjustment.clone()).await, 200);
    }
    assert_eq!(units(&mut staff, "BOLT").await, (7, 0, 0));

    let add = json!({ "sku": "BOLT", "quantity": 1 });
    let add = Request::post(format!("/api/v1/carts/{}/items", text(&first, "id")), &add).key(&key());
    for _ in 0..3 {
        assert_eq!(expect(&send(&mut guest, add.clone()).await, 200)["items"][0]["quantity"], 1);
    }
}

#[tokio::test]
async fn answers_are_replayed_after_a_crash() {
    let mut shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let buy = purchase("BOLT", 1).key(&key());
    let order = expect(&send(&mut guest, buy.clone()).await, 201);
    let (declined, approved) =
        (payment(&order, "tok_decline").key(&key()), payment(&order, "tok_approve").key(&key()));
    let refusal = problem(&send(&mut guest, declined.clone()).await, 402, "payment_declined");
    let answer = send(&mut guest, approved.clone()).await;
    let (paid, position) = (expect(&answer, 201), commit(&answer));

    shop.crash().await;
    let replayed = send(&mut guest, buy).await;
    assert_eq!(expect(&replayed, 201), order);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let replayed = send(&mut guest, declined).await;
    assert_eq!(problem(&replayed, 402, "payment_declined")["payment"], refusal["payment"]);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let replayed = send(&mut guest, approved).await;
    assert_eq!(expect(&replayed, 201), paid);
    assert!(commit(&replayed) >= position);
    assert_eq!(units(&mut staff, "BOLT").await, (9, 0, 1));
    let cart = post(&mut guest, "/api/v1/carts", json!({})).await;
    assert!(commit(&cart).1 > position.1, "a sequence was used twice");
}
