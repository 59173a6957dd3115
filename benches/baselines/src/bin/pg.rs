//! A shop on PostgreSQL, as a careful team would build it: every checkout durable before it is answered.

use std::path::PathBuf;

use axum::Router;
use axum::routing::post;
use clap::{Parser, ValueEnum};
use relampago_baselines::{batch, procedure, schema, serve};
use tokio::task::JoinSet;

#[derive(Parser)]
struct Arguments {
    /// The folder of the database's unix socket.
    #[arg(long)]
    socket: PathBuf,
    /// How a checkout reaches the database.
    #[arg(long, value_enum)]
    mode: Mode,
    /// Connections to the database that call the function, one checkout at a time each. More of them are better for
    /// many skus (32: half as much again) and worse for a hot one, where they only wait for its row (32: two thirds).
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Connections that write batches: one for each core does best with many skus; a hot one has but one writer.
    #[arg(long, default_value_t = 2)]
    writers: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Proc,
    Batch,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pool = schema::prepare(&arguments.socket, arguments.connections.max(arguments.writers + 1)).await?;
    let products = Router::new().route("/api/v1/products", post(schema::add_product));
    let mut tasks = JoinSet::new();
    let orders = match arguments.mode {
        Mode::Proc => {
            Router::new().route("/api/v1/orders", post(procedure::place_order)).with_state(pool.clone())
        }
        Mode::Batch => {
            let writers = batch::Writers::start(&pool, arguments.writers, &mut tasks).await?;
            Router::new().route("/api/v1/orders", post(batch::place_order)).with_state(writers)
        }
    };
    serve(products.with_state(pool).merge(orders)).await?;
    Ok(())
}
