//! What the parts of a checkout cost, each alone: `cargo bench -p relampago-benches --bench parts`.
//!
//! The domain and the codec work in memory; the journal, the HTTP front and the recovery on real files below the
//! folder that the command runs in. The front is asked without a socket, by 64 callers at a time, so that its time is
//! the reciprocal of a throughput.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "parts/shop.rs"]
mod shop;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relampago_actors::address::Effect;
use relampago_actors::entity::{Context, Entity, Policy, Stamp};
use relampago_actors::inventory::{self, Inventory};
use relampago_actors::order::Order;
use relampago_actors::{Address, Id, Message};
use relampago_snapshots::codec::{self, RecordType};
use relampago_snapshots::{Batch, DiskJournal, Journal, JournalOptions};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: u64 = 1_732_233_600_000;
const POLICY: Policy = Policy {
    reservation_ttl_ms: 900_000,
    payment_deadline_ms: 60_000,
    cart_ttl_ms: 86_400_000,
    verification_ttl_ms: 86_400_000,
};
const STATE: RecordType = RecordType { id: 1, version: 1 };
/// Events of a checkout.
const EVENTS: u64 = 3;
/// Bytes of an event of a checkout, about.
const EVENT_BYTES: usize = 230;
const CALLERS: u64 = 64;

fn opened(order: &mut Order, cx: &Context<'_>) -> Vec<Effect> {
    let decision = order.decide(shop::place(1), cx);
    for event in decision.events {
        order.apply(event, Stamp { sequence: 1, at: NOW });
    }
    decision.effects.into_iter().collect()
}

/// An inventory with stock, and the reservation that an order of one line sends it.
fn reservation(cx: &Context<'_>) -> (Inventory, inventory::Command) {
    let mut stock = Inventory::blank(Address::inventory(shop::SKU).id);
    let claim = inventory::Command::Claim { product: Id(1), sku: shop::SKU.into(), initial: 1_000_000 };
    for event in stock.decide(claim, cx).events {
        stock.apply(event, Stamp { sequence: 1, at: NOW });
    }
    let effects = opened(&mut Order::blank(Id(7)), cx);
    let reserve = effects.into_iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Inventory(command), .. } => Some(command),
        _ => None,
    });
    (stock, reserve.unwrap())
}

fn domain(criterion: &mut Criterion) {
    let catalogue = shop::Shelf::new();
    let cx = Context::new(NOW, &catalogue, &POLICY);
    let mut group = criterion.benchmark_group("domain");
    group.bench_function("an order opens", |bencher| {
        bencher.iter_batched(
            || Order::blank(Id(7)),
            |mut order| black_box(opened(&mut order, &cx)),
            BatchSize::SmallInput,
        );
    });
    let (stock, reserve) = reservation(&cx);
    group.bench_function("a unit is reserved", |bencher| {
        bencher.iter_batched(
            || (stock.clone(), reserve.clone()),
            |(mut stock, reserve)| {
                for event in stock.decide(reserve, &cx).events {
                    stock.apply(event, Stamp { sequence: 2, at: NOW });
                }
                stock
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn stored_forms(criterion: &mut Criterion) {
    let catalogue = shop::Shelf::new();
    let mut order = Order::blank(Id(7));
    opened(&mut order, &Context::new(NOW, &catalogue, &POLICY));
    let mut record = Vec::new();
    codec::encode(STATE, &order, &mut record).unwrap();
    let mut group = criterion.benchmark_group("codec, an order's state");
    group.throughput(Throughput::Bytes(record.len() as u64));
    group.bench_function("encode", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            codec::encode(STATE, black_box(&order), &mut out).unwrap();
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let (_, payload) = codec::decode_header(black_box(&record)).unwrap();
            codec::decode_payload::<Order>(payload).unwrap()
        });
    });
    group.finish();
}

/// Records that differ as events do: an id in each, the rest alike.
fn batch(first: u64, events: u64) -> Batch {
    let mut bytes = Vec::new();
    for sequence in first..first + events {
        let id = Id::derived("bench", &[&sequence.to_le_bytes()]).0.to_le_bytes();
        bytes.extend_from_slice(&(EVENT_BYTES as u32).to_le_bytes());
        bytes.extend_from_slice(&id);
        bytes.resize(bytes.len() + EVENT_BYTES - id.len(), 7);
    }
    Batch { first, count: events as u32, bytes }
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal, one durable batch of checkouts");
    group.sample_size(20);
    for orders in [1, 50, 200] {
        let data = tempfile::tempdir_in(".").unwrap();
        let (journal, _) = DiskJournal::open(JournalOptions {
            dir: data.path().to_owned(),
            journal_id: [1; 16],
            segment_bytes: 32 << 20,
            segments: 3,
            feed_interval: Duration::from_millis(500),
            sled_segment_bytes: 8 << 20,
            cache_bytes: 1 << 20,
            archive_retention_bytes: None,
        })
        .unwrap();
        group.throughput(Throughput::Elements(orders));
        group.bench_function(BenchmarkId::from_parameter(orders), |bencher| {
            bencher.iter_batched(
                || batch(journal.last() + 1, EVENTS * orders),
                |batch| journal.append(batch).unwrap(),
                // The next batch begins where the last one ends.
                BatchSize::PerIteration,
            );
        });
        journal.close().unwrap();
    }
    group.finish();
}

fn front(criterion: &mut Criterion) {
    let data = tempfile::tempdir_in(".").unwrap();
    let runtime = Runtime::new().unwrap();
    let shop = runtime.block_on(shop::Shop::open(data.path()));
    let mut group = criterion.benchmark_group("HTTP front, without a socket");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.bench_function("a durable purchase", |bencher| {
        bencher.iter_custom(|requests| runtime.block_on(shop.purchases(CALLERS, requests)));
    });
    group.bench_function("a product is shown", |bencher| {
        bencher.iter_custom(|requests| runtime.block_on(shop.views(CALLERS, requests)));
    });
    group.finish();
    runtime.block_on(shop.close());
}

fn recovery(criterion: &mut Criterion) {
    const ORDERS: u64 = 20_000;
    let data = tempfile::tempdir_in(".").unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let shop = shop::Shop::open(data.path()).await;
        shop.purchases(CALLERS, ORDERS).await;
        shop.close().await;
    });
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(ORDERS)).sample_size(10);
    group.bench_function("a drained shop of 20,000 orders", |bencher| {
        bencher.iter_custom(|starts| {
            (0..starts)
                .map(|_| {
                    let began = Instant::now();
                    let shop = runtime.block_on(shop::Shop::reopen(data.path()));
                    let took = began.elapsed();
                    runtime.block_on(shop.close());
                    took
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, domain, stored_forms, journal, front, recovery);
criterion_main!(benches);
