//! The least that a server on axum can do: reads an order, keeps nothing, answers with one.

use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use relampago_baselines::wire::{NewOrder, PRICE, Placed, created};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    relampago_baselines::serve(Router::new().route("/api/v1/orders", post(place_order))).await
}

async fn place_order(Json(order): Json<NewOrder>) -> Response {
    let [line] = &order.items;
    created(line, Placed { order: 1, total: PRICE.saturating_mul(line.quantity) })
}
