//! What takes a shop with many orders to see: throughput, disk, memory, and the way back after a crash.

use std::time::Duration;

use crate::load::{Load, Pace, Scenario, Skus};
use crate::probe::{ENDLESS, HOT, Kind, MANY, Probe, add_products, measure, place_orders};
use crate::server::{Server, Stage};
use crate::spread::Spread;
use crate::template::Template;
use crate::{SpeedError, disk, pause};

/// Throughput is measured so often in each state of the shop.
const WINDOWS: usize = 3;
/// The engine stores what has changed every ten seconds, and unloads what was idle for a minute.
const SETTLE_WITHIN: Duration = Duration::from_secs(600);
/// The server gives freed memory back after ten seconds.
const FREED_WITHIN: Duration = Duration::from_secs(12);
/// With so few events in it the journal has been cut, and what a sale needed for it is given back.
const CUT_JOURNAL: f64 = 250_000.0;
/// Memory is compared with that after so many orders or carts.
const WARM_UP_ORDERS: u64 = 50_000;
const WARM_UP_CARTS: u64 = 2_000;
/// Carts that stay in memory, each with a line.
const CARTS: u64 = 100_000;
/// Orders stored when the server is killed.
pub const RECOVERED_ORDERS: u64 = 1_000_000;

/// What many stored orders cost.
#[derive(Debug)]
pub struct Stored {
    /// How many were placed between the two states.
    pub orders: u64,
    /// Checkouts a second of servers that begin with none stored.
    pub before: Spread,
    /// Checkouts a second with them stored.
    pub after: Spread,
    /// Bytes that the process wrote for an order, everything behind the journal included.
    pub written: f64,
    /// Bytes that went to the disk's device for an order.
    pub device_written: Option<f64>,
    /// Bytes of memory for an order that is not live any more.
    pub resident: f64,
}

/// Fills a shop with orders and compares it with the empty one.
///
/// # Errors
/// If the server fails or does not settle.
pub fn stored(stage: &Stage, orders: u64, window: Duration) -> Result<Stored, SpeedError> {
    eprintln!("{orders} orders stored");
    let before = (0..WINDOWS).map(|_| {
        let empty = stage.start_relampago(&[])?;
        add_products(&empty, HOT, MANY, ENDLESS)?;
        Ok(measure(stage, &empty, Probe::closed(Kind::Hot, 256), window)?.per_second)
    });
    let before = spread(before.collect::<Result<_, SpeedError>>()?)?;
    let server = stage.start_relampago(&[])?;
    add_products(&server, HOT, MANY, ENDLESS)?;
    place_orders(&server, WARM_UP_ORDERS)?;
    settle_orders(&server)?;
    let (usage, device) = (server.usage(), disk::device_written(stage.scratch()));
    place_orders(&server, orders)?;
    settle_orders(&server)?;
    let now = server.usage();
    let device_written = disk::device_written(stage.scratch()).and_then(|now| Ok(now - device?)).ok();
    let after = throughput(stage, &server, window)?;
    let each = |bytes: u64| bytes as f64 / orders as f64;
    let (written, resident) =
        (each(now.written - usage.written), each(now.resident.saturating_sub(usage.resident)));
    Ok(Stored { orders, before, after, written, device_written: device_written.map(each), resident })
}

/// Bytes of memory that a live cart with one line takes.
///
/// # Errors
/// If the server fails, does not settle, or does not keep all carts live.
pub fn live_cart(stage: &Stage) -> Result<f64, SpeedError> {
    eprintln!("{CARTS} live carts");
    let limits =
        [("RELAMPAGO_ENGINE__RESIDENT_ENTITIES", "1000000"), ("RELAMPAGO_ENGINE__IDLE_TIMEOUT", "1d")];
    let server = stage.start_relampago(&limits)?;
    add_products(&server, HOT, MANY, ENDLESS)?;
    add_carts(&server, WARM_UP_CARTS)?;
    settle(&server)?;
    let before = server.usage().resident;
    add_carts(&server, CARTS)?;
    settle(&server)?;
    let live = server.metric("relampago_actors_live{kind=\"cart\"}")?;
    if live < (CARTS + WARM_UP_CARTS) as f64 {
        return Err(SpeedError::Wrong(format!("only {live} carts are live")));
    }
    Ok(server.usage().resident.saturating_sub(before) as f64 / CARTS as f64)
}

/// The time from its start to its being ready of a server that was killed with orders stored, all of them answered and
/// its files in the page cache.
///
/// # Errors
/// If the server fails.
pub fn recovery(stage: &Stage) -> Result<Duration, SpeedError> {
    eprintln!("killed with {RECOVERED_ORDERS} orders stored");
    let server = stage.start_relampago(&[])?;
    add_products(&server, HOT, MANY, ENDLESS)?;
    place_orders(&server, RECOVERED_ORDERS)?;
    Ok(stage.restart_relampago(server)?.ready_after())
}

/// Checkouts a second.
pub(crate) fn throughput(stage: &Stage, server: &Server, window: Duration) -> Result<Spread, SpeedError> {
    let probe = Probe::closed(Kind::Hot, 256);
    let mut windows = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        windows.push(measure(stage, server, probe, window)?.per_second);
    }
    spread(windows)
}

fn spread(figures: Vec<f64>) -> Result<Spread, SpeedError> {
    Spread::of(figures).ok_or_else(|| SpeedError::Wrong("nothing was measured".into()))
}

/// Waits until everything that has changed is stored.
///
/// # Errors
/// If that takes too long.
pub(crate) fn settle(server: &Server) -> Result<(), SpeedError> {
    server.wait_for("relampago_snapshots_waiting", 0.0, SETTLE_WITHIN)
}

/// Waits until all orders are stored, none is live and the journal is cut.
fn settle_orders(server: &Server) -> Result<(), SpeedError> {
    settle(server)?;
    server.wait_for("relampago_actors_live{kind=\"order\"}", 0.0, SETTLE_WITHIN)?;
    server.wait_for("relampago_journal_live_events", CUT_JOURNAL, SETTLE_WITHIN)?;
    // Unloading may have stored something once more.
    settle(server)?;
    pause(FREED_WITHIN);
    Ok(())
}

fn add_carts(server: &Server, count: u64) -> Result<(), SpeedError> {
    // A key would be remembered for a day, and count as if it were the cart's.
    let line = r#"{"sku":"SKU-{sku}","quantity":1}"#;
    let steps = vec![
        Template::post_without_key("/api/v1/carts", "{}"),
        Template::post_without_key("/api/v1/carts/{id}/items", line),
    ];
    let scenario = Scenario { steps, skus: Skus::RandomBelow(MANY) };
    let outcome = Load::connect(server.address(), &scenario, 64, Pace::Closed)?.run(count)?;
    if (outcome.with_status(201), outcome.with_status(200)) == (count, count) {
        return Ok(());
    }
    Err(SpeedError::Wrong(format!("{count} carts were answered with {:?}", outcome.statuses)))
}
