//! One-line checkouts of one hot sku in a closed loop, and what they show.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use relampago_load::{Client, Request, Rng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::server::{SKU, Server};

/// Longest latency told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// The header that a buyer identifies with, if any.
pub(crate) type Credential = Option<(&'static str, String)>;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    /// Checkouts acknowledged, a second.
    pub(crate) per_second: f64,
    /// CPU time of the server without hashing, microseconds a checkout.
    pub(crate) cpu_us: f64,
    /// Latency, milliseconds.
    pub(crate) median_ms: f64,
    /// The latency that one in a hundred exceeds, milliseconds.
    pub(crate) p99_ms: f64,
}

/// Lets buyers, one connection each, buy for so long. Every checkout has an idempotency key of its own.
pub(crate) async fn sell(server: &Server, buyers: &[Credential], lasting: Duration) -> Sale {
    let mut seeds = Rng::new(Rng::fresh_seed());
    let (began, cpu) = (Instant::now(), server.serving_cpu());
    let mut crowd = JoinSet::new();
    for credential in buyers {
        let client = Client::guest(server.target.clone());
        crowd.spawn(buy(client, checkout(credential), seeds.fork(), began + lasting));
    }
    let mut latency_us = histogram();
    while let Some(one) = crowd.join_next().await {
        latency_us.add(one.unwrap()).unwrap();
    }
    let (elapsed, cpu) = (began.elapsed(), server.serving_cpu() - cpu);
    let orders = latency_us.len() as f64;
    Sale {
        per_second: orders / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / orders,
        median_ms: latency_us.value_at_quantile(0.5) as f64 / 1000.0,
        p99_ms: latency_us.value_at_quantile(0.99) as f64 / 1000.0,
    }
}

fn checkout(credential: &Credential) -> Request {
    let order = Request::post("/api/v1/orders", &json!({ "items": [{ "sku": SKU, "quantity": 1 }] }));
    match credential {
        Some((header, value)) => order.header(header, value),
        None => order,
    }
}

async fn buy(mut client: Client, checkout: Request, mut rng: Rng, until: Instant) -> Histogram<u64> {
    let mut latency_us = histogram();
    let mut began = Instant::now();
    while began < until {
        let answer = client.send(&checkout.clone().key(&rng.key())).await.unwrap();
        assert_eq!(answer.code(), 201, "{}", answer.kind());
        let ended = Instant::now();
        latency_us.saturating_record((ended - began).as_micros() as u64);
        began = ended;
    }
    latency_us
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).unwrap()
}
