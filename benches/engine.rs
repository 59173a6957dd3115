//! Durable one-line checkouts through the engine, without HTTP: `cargo bench --bench engine`.
//!
//! Each iteration is one checkout on a hot sku, answered once it is on disk; `N` callers ask at a time, so
//! that the time of an iteration is the reciprocal of the throughput, not a latency.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Source};
use relampago_actors::{Address, Id, Message, Party, product};
use relampago_config::{Flags, Settings};
use relampago_engine::Engine;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SKU: &str = "HOT";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn buy(engine: &Engine, number: u64) {
    let id = Id::derived("bench-order", &[&number.to_le_bytes()]);
    let wanted = Wanted { product: ProductRef::Sku(SKU.into()), quantity: 1 };
    let tag = KeyTag { key: id.0, body: 1 };
    let place = order::Command::Place { source: Source::Items(vec![wanted]), buyer: Buyer::default(), tag };
    engine.ask(Address::order(id), Party::Shop, Message::Order(place), PATIENCE).await.unwrap();
}

async fn start(data: &std::path::Path) -> Engine {
    let flags = Flags { addr: None, data: Some(data.to_owned()) };
    let engine = Engine::start(&Settings::load(None, flags, std::iter::empty()).unwrap()).await.unwrap();
    let details = product::Details {
        sku: SKU.into(),
        name: SKU.into(),
        description: "".into(),
        category: None,
        price: 1999,
        currency: Currency::USD,
    };
    let create = product::Command::Create { details, stock: 1_000_000_000_000, tag: None };
    engine.ask(Address::product(Id(1)), Party::Shop, Message::Product(create), PATIENCE).await.unwrap();
    engine
}

/// Time for `orders` checkouts by `callers` who each wait for their answer before they ask again.
async fn crowd(engine: &Engine, next: &Arc<AtomicU64>, callers: u64, orders: u64) -> Duration {
    let last = next.load(Ordering::Relaxed) + orders;
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    for _ in 0..callers {
        let (engine, next) = (engine.clone(), Arc::clone(next));
        crowd.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= last {
                    return;
                }
                buy(&engine, number).await;
            }
        });
    }
    crowd.join_all().await;
    began.elapsed()
}

fn checkouts(criterion: &mut Criterion) {
    let data = tempfile::tempdir_in(".").unwrap();
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(start(data.path()));
    let next = Arc::new(AtomicU64::new(0));
    let mut group = criterion.benchmark_group("durable checkout");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for callers in [64, 256, 1024] {
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            bencher.iter_custom(|orders| runtime.block_on(crowd(&engine, &next, callers, orders)));
        });
    }
    group.finish();
    runtime.block_on(engine.drain()).unwrap();
}

criterion_group!(benches, checkouts);
criterion_main!(benches);
