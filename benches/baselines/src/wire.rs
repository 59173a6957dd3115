//! Requests and answers, in the shapes of the real REST interface.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The price of everything, in cents.
pub const PRICE: i32 = 1999;

/// A new order. The baselines take one line only.
#[derive(Debug, Deserialize)]
pub struct NewOrder {
    /// What is bought.
    pub items: [Line; 1],
}

/// So many units of one sku.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Its sku.
    pub sku: String,
    /// How many.
    pub quantity: i32,
}

/// A new product.
#[derive(Debug, Deserialize)]
pub struct NewProduct {
    /// Its sku.
    pub sku: String,
    /// What can be sold.
    pub stock_quantity: i32,
}

/// What the database says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub order: i64,
    /// The price of its units together, in cents.
    pub total: i32,
}

/// The idempotency key of a request: the empty one if it has none.
pub fn key_of(headers: &HeaderMap) -> String {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    key.unwrap_or_default().to_owned()
}

/// 201 with the order.
pub fn created(line: &Line, placed: Placed) -> Response {
    let id = format!("00000000-0000-7000-8000-{:012}", placed.order);
    let total = format!("{}.{:02}", placed.total / 100, placed.total % 100);
    let order = Order {
        id: &id,
        cart_id: None,
        user_id: None,
        items: [OrderLine {
            product_id: "00000000-0000-7000-8000-000000000001",
            sku: &line.sku,
            name: "Item",
            quantity: line.quantity,
            price: "19.99",
            line_total: &total,
        }],
        total: &total,
        currency: "USD",
        status: "created",
        status_label: "Created",
        sub_status: None,
        payment_id: None,
        reservation_expires_at: NOW,
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    };
    (StatusCode::CREATED, Json(order)).into_response()
}

/// 409: less is left than wanted.
pub fn out_of_stock(line: &Line) -> Response {
    let problem = Problem {
        r#type: "urn:relampago:problem:out_of_stock",
        title: "Not enough stock",
        status: 409,
        detail: "Not enough stock.",
        code: "out_of_stock",
        retryable: false,
        items: [Shortage { sku: &line.sku, requested: line.quantity, available: 0 }],
        trace_id: "00000000000000000000000000000000",
    };
    (StatusCode::CONFLICT, Json(problem)).into_response()
}

/// Answers need a time, not the time: a baseline must not lose by formatting one.
const NOW: &str = "2026-01-01T00:00:00.000Z";

#[derive(Serialize)]
struct Order<'a> {
    id: &'a str,
    cart_id: Option<&'a str>,
    user_id: Option<&'a str>,
    items: [OrderLine<'a>; 1],
    total: &'a str,
    currency: &'a str,
    status: &'a str,
    status_label: &'a str,
    sub_status: Option<&'a str>,
    payment_id: Option<&'a str>,
    reservation_expires_at: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    version: u32,
}

#[derive(Serialize)]
struct OrderLine<'a> {
    product_id: &'a str,
    sku: &'a str,
    name: &'a str,
    quantity: i32,
    price: &'a str,
    line_total: &'a str,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    retryable: bool,
    items: [Shortage<'a>; 1],
    trace_id: &'a str,
}

#[derive(Serialize)]
struct Shortage<'a> {
    sku: &'a str,
    requested: i32,
    available: i32,
}
