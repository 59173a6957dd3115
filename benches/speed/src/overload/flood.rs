//! More than the server can do, in an open loop.
//!
//! What it can do is looked for first, with the same requests on the same connections of the same generator: the best
//! rate that it serves of all that are offered. The generator has one core of its own, so a purchase that costs the
//! server hardly more than its sender cannot be offered ten times over; how much was sent is printed beside.

use std::time::{Duration, Instant};

use super::table::{Bound, Table};
use super::{Ground, LEAST_SHARE, MOST_GROWTH_MIB, Options};
use crate::SpeedError;
use crate::load::{Load, Pace, Scenario, Skus};
use crate::outcome::Outcome;
use crate::probe::{ENDLESS, HOT, Kind, add_products, add_products_as};
use crate::server::Server;
use crate::template::Template;

/// More connections than requests that are worked on at once.
const CONNECTIONS: usize = 9_000;
/// The same for a quick look.
const FEW_CONNECTIONS: usize = 5_000;
/// On these, answered one after the other, the server does about its best.
const BUSY: usize = 256;
/// Rates at which its best is looked for, of what [`BUSY`] connections get.
const CURVE: [f64; 6] = [0.6, 0.8, 0.9, 1.0, 1.1, 1.25];
/// Floods, of the best.
const FLOODS: [f64; 2] = [2.0, 10.0];
/// The most lines of one order.
const LINES: u64 = 100;
/// So many sets of [`LINES`] skus, of which an order buys one: five times more skus than stay in memory.
const MANY_SETS: u64 = 1_000;
/// The same for skus that many orders want at once.
const FEW_SETS: u64 = 10;

/// Of a rate; what is sent less is no flood, but as much as the generator can do.
const MOSTLY: f64 = 0.9;
/// The latency of what is served, 99th percentile, seconds.
const LONGEST_S: f64 = 1.0;
/// After an overload, until it is back to normal.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// The memory of the server, and whether it is back to normal, is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Goods {
    /// An order with as many lines as it may have: it costs the server many times what it costs its sender.
    ManySkus,
    /// The same of a hundredth of the skus.
    FewSkus,
    /// One unit of one sku that all want.
    OneLine,
}

impl Goods {
    pub(super) const ALL: [Self; 3] = [Self::ManySkus, Self::FewSkus, Self::OneLine];

    fn name(self) -> &'static str {
        match self {
            Self::ManySkus => "100 lines, 100,000 skus",
            Self::FewSkus => "100 lines, 1,000 skus",
            Self::OneLine => "one line",
        }
    }

    /// Sets of skus; none where one sku is all there is.
    fn sets(self) -> Option<u64> {
        match self {
            Self::ManySkus => Some(MANY_SETS),
            Self::FewSkus => Some(FEW_SETS),
            Self::OneLine => None,
        }
    }

    fn scenario(self) -> Scenario {
        match self.sets() {
            None => Kind::Hot.scenario(),
            Some(sets) => {
                let line = |line| format!(r#"{{"sku":"{}","quantity":1}}"#, sku_of(line));
                let lines: Vec<String> = (0..LINES).map(line).collect();
                let body = format!(r#"{{"items":[{}]}}"#, lines.join(","));
                Scenario {
                    steps: vec![Template::post("/api/v1/orders", &body)],
                    skus: Skus::RandomBelow(sets),
                }
            }
        }
    }

    /// Puts on sale what is bought.
    fn stock(self, server: &Server) -> Result<(), SpeedError> {
        match self.sets() {
            None => add_products(server, HOT, 1, ENDLESS),
            Some(sets) => {
                (0..LINES).try_for_each(|line| add_products_as(server, &sku_of(line), 0, sets, ENDLESS))
            }
        }
    }
}

/// The form of a line's skus: the number of the set, and behind it that of the line.
fn sku_of(line: u64) -> String {
    format!("SKU-{{sku}}-{line}")
}

/// Offers twice and ten times what the server can do. Its best is looked for anew before each flood: what it can do
/// changes as orders come together.
pub(super) fn flood(
    ground: &Ground,
    options: &Options,
    goods: Goods,
    table: &mut Table,
) -> Result<(), SpeedError> {
    let server = ground.start()?;
    goods.stock(&server)?;
    for times in FLOODS {
        let normal = busy(&server, goods, options.length())?;
        println!("{}, on {BUSY} connections as fast as they are answered: {normal:.0}/s", goods.name());
        let best = best(&server, options, goods, normal)?;
        table.add(format!("{}: best, purchases/s", goods.name()), best, Bound::None);
        flood_with(&server, options, goods, (best, normal), times, table)?;
    }
    Ok(())
}

/// So many times the best.
fn flood_with(
    server: &Server,
    options: &Options,
    goods: Goods,
    (best, normal): (f64, f64),
    times: f64,
    table: &mut Table,
) -> Result<(), SpeedError> {
    let before = resident_mib(server);
    let (flood, peak) = offer(server, options, goods, best * times)?;
    let name = |what: &str| format!("{}, {times} times the best: {what}", goods.name());
    let sent = sent(&flood) / (best * times);
    let others = flood.answers() - flood.refused() - flood.with_status(201);
    let back = back_after(server, goods, normal)?;
    table.add(
        name("sent, of that"),
        sent,
        if goods == Goods::OneLine { Bound::None } else { Bound::AtLeast(MOSTLY) },
    );
    table.add(name("goodput, of the best"), served(&flood) / best, Bound::AtLeast(LEAST_SHARE));
    table.add(name("refused, of all"), flood.refused() as f64 / flood.answers() as f64, Bound::None);
    table.add(name("p99 of what is refused, s"), flood.refused_ms(0.99) / 1_000.0, Bound::AtMost(LONGEST_S));
    table.add(name("refused without Retry-After"), flood.blunt as f64, Bound::AtMost(0.0));
    table.add(name("answered otherwise"), others as f64, Bound::AtMost(0.0));
    table.add(name("p50 of what is served, s"), flood.served_ms(0.5) / 1_000.0, Bound::None);
    table.add(name("p99 of what is served, s"), flood.served_ms(0.99) / 1_000.0, Bound::AtMost(LONGEST_S));
    table.add(name("memory at the most, MiB more"), peak - before, Bound::AtMost(MOST_GROWTH_MIB));
    table.add(name("back to normal after, s"), back, Bound::AtMost(BACK_WITHIN.as_secs_f64()));
    table.add(name("memory after, MiB more"), resident_mib(server) - before, Bound::None);
    Ok(())
}

/// The best rate that is served of those that are offered.
fn best(server: &Server, options: &Options, goods: Goods, about: f64) -> Result<f64, SpeedError> {
    let mut best: f64 = 0.0;
    for share in CURVE {
        let (outcome, _) = offer(server, options, goods, about * share)?;
        best = best.max(served(&outcome));
    }
    Ok(best)
}

/// What comes of a rate, and the most memory that the server had meanwhile, MiB.
fn offer(server: &Server, options: &Options, goods: Goods, rate: f64) -> Result<(Outcome, f64), SpeedError> {
    let connections = if options.quick { FEW_CONNECTIONS } else { CONNECTIONS };
    let mut load = Load::connect(server.address(), &goods.scenario(), connections, Pace::PerSecond(rate))?;
    let (mut peak, mut sum) = (resident_mib(server), Outcome::default());
    let cpu = server.usage().cpu;
    let began = Instant::now();
    while began.elapsed() < options.length() {
        sum.add(&load.run_for(LOOK_EVERY)?);
        peak = peak.max(resident_mib(server));
    }
    let cores = (server.usage().cpu - cpu).as_secs_f64() / sum.elapsed.as_secs_f64();
    println!(
        "{}: offered {rate:.0}/s, sent {:.0}, served {:.0}, refused {:.0}; served p50 {:.0} ms, p99 {:.0} ms, \
         refused p50 {:.0} ms, p99 {:.0} ms; cores of the server {cores:.2}, of the generator {:.2}",
        goods.name(),
        sent(&sum),
        served(&sum),
        sum.refused() as f64 / sum.elapsed.as_secs_f64(),
        sum.served_ms(0.5),
        sum.served_ms(0.99),
        sum.refused_ms(0.5),
        sum.refused_ms(0.99),
        sum.generator_cpu.as_secs_f64() / sum.elapsed.as_secs_f64(),
    );
    load.finish()?;
    Ok((sum, peak))
}

/// Purchases a second on [`BUSY`] connections, as fast as they are answered.
fn busy(server: &Server, goods: Goods, length: Duration) -> Result<f64, SpeedError> {
    let mut load = Load::connect(server.address(), &goods.scenario(), BUSY, Pace::Closed)?;
    load.run_for(Duration::from_secs(1))?;
    let outcome = load.run_for(length)?;
    load.finish()?;
    Ok(served(&outcome))
}

/// How long it takes until the server does as well as before, nearly.
fn back_after(server: &Server, goods: Goods, normal: f64) -> Result<f64, SpeedError> {
    let began = Instant::now();
    let mut load = Load::connect(server.address(), &goods.scenario(), BUSY, Pace::Closed)?;
    let mut seconds = 0.0;
    while began.elapsed() < BACK_WITHIN * 2 {
        seconds = began.elapsed().as_secs_f64();
        if served(&load.run_for(LOOK_EVERY)?) >= normal * LEAST_SHARE {
            break;
        }
    }
    load.finish()?;
    Ok(seconds)
}

/// Purchases a second.
pub(super) fn served(outcome: &Outcome) -> f64 {
    outcome.with_status(201) as f64 / outcome.elapsed.as_secs_f64()
}

/// Requests a second.
fn sent(outcome: &Outcome) -> f64 {
    outcome.begun as f64 / outcome.elapsed.as_secs_f64()
}

pub(super) fn resident_mib(server: &Server) -> f64 {
    server.usage().resident as f64 / f64::from(1 << 20)
}
