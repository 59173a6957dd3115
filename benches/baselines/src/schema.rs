//! The database: its tables, its functions, its connections.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use tokio_postgres::{Config, NoTls};

use crate::wire::{NewProduct, PRICE};

/// Why a checkout has no answer from the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database refused, or is gone.
    #[error(transparent)]
    Query(#[from] tokio_postgres::Error),
    /// No connection is to be had.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The writer of the batch ended.
    #[error("the writer of this sku is gone")]
    WriterGone,
    /// The whole batch failed.
    #[error("the batch failed")]
    BatchFailed,
}

impl IntoResponse for DatabaseError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

/// A pool of connections through the socket in a folder, to a database that has the tables and functions.
///
/// # Errors
/// If the database cannot be reached or has the tables already.
pub async fn prepare(socket: &Path, connections: usize) -> anyhow::Result<Pool> {
    let mut config = Config::new();
    // The tables start empty and grow by a million rows before anybody counts them: a plan must not rest on their
    // size of yesterday. Compiling plans costs more than running them.
    config.options("-c enable_seqscan=off -c jit=off");
    config.host_path(socket).user("postgres").dbname("postgres");
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    let pool = Pool::builder(manager).max_size(connections).build()?;
    pool.get().await?.batch_execute(include_str!("schema.sql")).await?;
    Ok(pool)
}

/// `POST /api/v1/products`.
///
/// # Errors
/// If the sku is taken.
pub async fn add_product(
    State(pool): State<Pool>,
    Json(product): Json<NewProduct>,
) -> Result<StatusCode, DatabaseError> {
    let client = pool.get().await?;
    let insert = client.prepare_cached("INSERT INTO stock VALUES ($1, $2, $3)").await?;
    client.execute(&insert, &[&product.sku, &PRICE, &product.stock_quantity]).await?;
    Ok(StatusCode::CREATED)
}
