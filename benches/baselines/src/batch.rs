//! A checkout waits for the commit before it, and is then written together with all that waited with it.
//!
//! Every sku has one writer, so that no writer waits for another one's row locks: the buyers of one popular sku share
//! their commits, and the buyers of many skus keep all writers busy.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use deadpool_postgres::{Client, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_postgres::Statement;

use crate::schema::DatabaseError;
use crate::wire::{Line, NewOrder, Placed, created, key_of, out_of_stock};

/// The most checkouts in one commit.
const LARGEST_BATCH: usize = 512;
/// Checkouts that may wait for one writer; more wait in front of it.
const QUEUE: usize = 4096;

type Verdict = Result<Option<Placed>, DatabaseError>;

/// A checkout that waits for its writer.
struct Waiting {
    key: String,
    sku: String,
    quantity: i32,
    verdict: oneshot::Sender<Verdict>,
}

/// The way to the writers.
#[derive(Debug, Clone)]
pub struct Writers(Arc<[mpsc::Sender<Waiting>]>);

impl Writers {
    /// Starts so many writers, each with a connection of its own; they end with the last handle to them.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn start(pool: &Pool, count: usize, tasks: &mut JoinSet<()>) -> Result<Self, DatabaseError> {
        let mut senders = Vec::new();
        for _ in 0..count {
            let client = pool.get().await?;
            let (sender, queue) = mpsc::channel(QUEUE);
            let call = "SELECT place, order_id, order_total FROM place_orders($1, $2, $3)";
            let call = client.prepare_cached(call).await?;
            tasks.spawn(write(client, call, queue));
            senders.push(sender);
        }
        Ok(Self(senders.into()))
    }

    async fn place(&self, key: String, line: &Line) -> Verdict {
        let mut hasher = DefaultHasher::new();
        line.sku.hash(&mut hasher);
        let writer = &self.0[hasher.finish() as usize % self.0.len()];
        let (verdict, answer) = oneshot::channel();
        let waiting = Waiting { key, sku: line.sku.clone(), quantity: line.quantity, verdict };
        writer.send(waiting).await.map_err(|_| DatabaseError::WriterGone)?;
        answer.await.map_err(|_| DatabaseError::WriterGone)?
    }
}

/// `POST /api/v1/orders`.
///
/// # Errors
/// If the database cannot say.
pub async fn place_order(
    State(writers): State<Writers>,
    headers: HeaderMap,
    Json(order): Json<NewOrder>,
) -> Result<Response, DatabaseError> {
    let [line] = &order.items;
    let placed = writers.place(key_of(&headers), line).await?;
    Ok(placed.map_or_else(|| out_of_stock(line), |placed| created(line, placed)))
}

/// One writer: commits what waits as soon as the commit before it is done.
async fn write(client: Client, call: Statement, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
        let verdicts = commit(&client, &call, &batch).await;
        if let Err(error) = &verdicts {
            eprintln!("a batch of {} failed: {error}", batch.len());
        }
        let mut verdicts = verdicts.unwrap_or_default().into_iter();
        for waiting in batch.drain(..) {
            let verdict = verdicts.next().ok_or(DatabaseError::BatchFailed);
            // Whoever hung up does not want to know.
            let _ = waiting.verdict.send(verdict);
        }
    }
}

/// One call for all of them: the verdict of each, in their order.
async fn commit(
    client: &Client,
    call: &Statement,
    batch: &[Waiting],
) -> Result<Vec<Option<Placed>>, DatabaseError> {
    let keys: Vec<&str> = batch.iter().map(|waiting| waiting.key.as_str()).collect();
    let skus: Vec<&str> = batch.iter().map(|waiting| waiting.sku.as_str()).collect();
    let quantities: Vec<i32> = batch.iter().map(|waiting| waiting.quantity).collect();
    let mut verdicts = vec![None; batch.len()];
    for row in client.query(call, &[&keys, &skus, &quantities]).await? {
        // Places count from one.
        let place: i32 = row.get(0);
        if let Some(verdict) = verdicts.get_mut(place as usize - 1) {
            *verdict = Some(Placed { order: row.get(1), total: row.get(2) });
        }
    }
    Ok(verdicts)
}
