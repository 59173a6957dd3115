//! A checkout is one call of a function: one round trip, one transaction, one commit.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use crate::schema::DatabaseError;
use crate::wire::{Line, NewOrder, Placed, created, key_of, out_of_stock};

/// What the function raises when the last unit went to somebody else meanwhile.
const LOST_THE_RACE: &str = "OUT01";

/// `POST /api/v1/orders`.
///
/// # Errors
/// If the database cannot say.
pub async fn place_order(
    State(pool): State<Pool>,
    headers: HeaderMap,
    Json(order): Json<NewOrder>,
) -> Result<Response, DatabaseError> {
    let [line] = &order.items;
    let placed = call(&pool, &key_of(&headers), line).await?;
    Ok(placed.map_or_else(|| out_of_stock(line), |placed| created(line, placed)))
}

/// The order, or none if too little is left.
async fn call(pool: &Pool, key: &str, line: &Line) -> Result<Option<Placed>, DatabaseError> {
    let client = pool.get().await?;
    let call = client.prepare_cached("SELECT order_id, order_total FROM place_order($1, $2, $3)").await?;
    match client.query_opt(&call, &[&key, &line.sku, &line.quantity]).await {
        Ok(row) => Ok(row.as_ref().map(placed)),
        Err(error) if error.code().is_some_and(|code| code.code() == LOST_THE_RACE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn placed(row: &Row) -> Placed {
    Placed { order: row.get(0), total: row.get(1) }
}
