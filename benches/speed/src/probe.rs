//! One measurement of one server: a scenario, so many connections, a pace.

use std::fmt;
use std::time::Duration;

use crate::load::{Load, Pace, Scenario, Skus};
use crate::outcome::Outcome;
use crate::postgres::Postgres;
use crate::server::{Server, Stage};
use crate::spread::grouped;
use crate::template::Template;
use crate::usage::{Machine, Usage, machine_cpu};
use crate::{SpeedError, disk};

/// More than can be sold.
pub const ENDLESS: u32 = 1_000_000_000;
/// The number of the sku that all of a hot sale want.
pub const HOT: u64 = 0;
/// Skus of a sale that has many.
pub const MANY: u64 = 1_000;
/// The number of the sku that is sold out.
pub const SOLD_OUT: u64 = 9_000_000;

const WARM_UP: Duration = Duration::from_secs(1);
/// Who creates products and fills the shop.
const WORKERS: usize = 64;
/// How many of the sku that is sold out there were, who rushed for them, and how often.
const SCARCE: u32 = 500;
const RUSH: usize = 32;
const ATTEMPTS: u64 = 2_000;

/// What shoppers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Buy one unit of one sku that never ends, in one request.
    Hot,
    /// The same, of a sku out of so many at random.
    Spread(u64),
    /// Ask for a sku that has been sold out.
    SoldOut,
    /// Make a cart, put a unit of one sku out of many into it, check out: three requests.
    Cart,
}

impl Kind {
    /// The requests of one unit of work.
    pub fn scenario(self) -> Scenario {
        let steps = match self {
            Self::Hot | Self::Spread(_) | Self::SoldOut => vec![buy()],
            Self::Cart => vec![
                Template::post("/api/v1/carts", "{}"),
                Template::post("/api/v1/carts/{id}/items", r#"{"sku":"SKU-{sku}","quantity":1}"#),
                Template::post("/api/v1/carts/{id}/checkout", r#"{"email":"shopper@example.com"}"#),
            ],
        };
        let skus = match self {
            Self::Hot => Skus::One(HOT),
            Self::Spread(skus) => Skus::RandomBelow(skus),
            Self::Cart => Skus::RandomBelow(MANY),
            Self::SoldOut => Skus::One(SOLD_OUT),
        };
        Scenario { steps, skus }
    }

    /// Whether this is how a request of this kind is answered.
    fn expects(self, status: u16) -> bool {
        match self {
            Self::Hot | Self::Spread(_) => status == 201,
            Self::SoldOut => status == 409,
            Self::Cart => matches!(status, 200 | 201),
        }
    }
}

/// One unit of the sku, bought in one request.
pub fn buy() -> Template {
    Template::post("/api/v1/orders", r#"{"items":[{"sku":"SKU-{sku}","quantity":1}]}"#)
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// What shoppers do.
    pub kind: Kind,
    /// How many there are.
    pub connections: usize,
    /// Units of work that begin a second; 0 is as many as the server takes.
    pub rate: u32,
}

impl Probe {
    /// As fast as the server answers.
    pub const fn closed(kind: Kind, connections: usize) -> Self {
        Self { kind, connections, rate: 0 }
    }

    fn pace(self) -> Pace {
        if self.rate == 0 { Pace::Closed } else { Pace::PerSecond(self.rate.into()) }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hot => f.write_str("checkout, one hot sku"),
            Kind::Spread(skus) => write!(f, "checkout, {} skus", grouped(skus as f64, 0)),
            Kind::SoldOut => f.write_str("sold out"),
            Kind::Cart => write!(f, "cart flow, {} skus", grouped(MANY as f64, 0)),
        }?;
        if self.rate > 0 {
            write!(f, ", {}/s", grouped(self.rate.into(), 0))?;
        }
        Ok(())
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Requests a second that were answered as they should.
    pub per_second: f64,
    /// Half of the answers took no longer, milliseconds.
    pub p50_ms: f64,
    /// 99 % of the answers took no longer, milliseconds.
    pub p99_ms: f64,
    /// Microseconds on a core that the server, with its database, spent on a request.
    pub server_us: f64,
    /// Microseconds on a core that the generator spent on a request.
    pub generator_us: f64,
    /// Bytes that went to the disk's device for a request; none where the device cannot be looked at.
    pub written: Option<f64>,
    /// Answers that were not as they should be.
    pub others: f64,
    /// The part of the machine's cores that went elsewhere.
    pub elsewhere: f64,
}

/// Measures a server for so long, after a warm-up and once the disk is quiet.
///
/// # Errors
/// If a connection fails.
pub fn measure(stage: &Stage, server: &Server, probe: Probe, length: Duration) -> Result<Sample, SpeedError> {
    disk::wait_until_quiet(stage.scratch())?;
    let mut load = Load::connect(server.address(), &probe.kind.scenario(), probe.connections, probe.pace())?;
    load.run_for(WARM_UP)?;
    let (before, machine, device) = (server.usage(), machine_cpu()?, disk::device_written(stage.scratch()));
    let outcome = load.run_for(length)?;
    let (used, machine) = (server.usage() - before, machine_cpu()? - machine);
    let written = disk::device_written(stage.scratch()).and_then(|now| Ok(now.saturating_sub(device?)));
    load.finish()?;
    Ok(sample(probe, &outcome, used, machine, written.ok()))
}

fn sample(probe: Probe, outcome: &Outcome, used: Usage, machine: Machine, written: Option<u64>) -> Sample {
    let expected: u64 = outcome
        .statuses
        .iter()
        .filter(|(status, _)| probe.kind.expects(**status))
        .map(|(_, count)| count)
        .sum();
    let answers = outcome.answers().max(1) as f64;
    let ours = used.cpu + outcome.generator_cpu;
    Sample {
        per_second: expected as f64 / outcome.elapsed.as_secs_f64(),
        p50_ms: outcome.latency_ms(0.5),
        p99_ms: outcome.latency_ms(0.99),
        server_us: used.cpu.as_secs_f64() * 1e6 / answers,
        generator_us: outcome.generator_cpu.as_secs_f64() * 1e6 / answers,
        written: written.map(|bytes| bytes as f64 / answers),
        others: (outcome.answers() - expected) as f64,
        elsewhere: machine.busy.saturating_sub(ours).as_secs_f64() / machine.all.as_secs_f64(),
    }
}

/// Puts the products that the scenarios need on sale, and sells one of them out, which must go exactly.
///
/// # Errors
/// If a server refuses a product, or sells more or less than there is.
pub fn stock(server: &Server) -> Result<(), SpeedError> {
    add_products(server, 0, MANY, ENDLESS)?;
    add_products(server, SOLD_OUT, 1, SCARCE)?;
    let rush = Kind::SoldOut.scenario();
    let outcome = Load::connect(server.address(), &rush, RUSH, Pace::Closed)?.run(ATTEMPTS)?;
    let (sold, refused) = (outcome.with_status(201), outcome.with_status(409));
    if (sold, refused) != (SCARCE.into(), ATTEMPTS - u64::from(SCARCE)) {
        return Err(SpeedError::Wrong(format!(
            "of {SCARCE} units {sold} were sold and {refused} buyers refused"
        )));
    }
    server.postgres().map_or(Ok(()), books_agree)
}

/// Whether the database shows as many units sold, and none left, as the buyers were told.
fn books_agree(postgres: &Postgres) -> Result<(), SpeedError> {
    let sku = format!("SKU-{SOLD_OUT}");
    let sold = format!("SELECT sum(quantity) FROM order_lines WHERE sku = '{sku}'");
    let books = postgres.run(&format!("SELECT available, ({sold}) FROM stock WHERE sku = '{sku}'"))?;
    if books == format!("0|{SCARCE}") {
        return Ok(());
    }
    Err(SpeedError::Wrong(format!("of {SCARCE} units all were sold, but the database shows {books}")))
}

/// Puts so many products on sale, from this number on.
///
/// # Errors
/// If a server refuses one.
pub fn add_products(server: &Server, first: u64, count: u64, units: u32) -> Result<(), SpeedError> {
    add_products_as(server, "SKU-{sku}", first, count, units)
}

/// As [`add_products`], with skus of this form: `{sku}` stands for the number.
///
/// # Errors
/// If a server refuses one.
pub fn add_products_as(
    server: &Server,
    sku: &str,
    first: u64,
    count: u64,
    units: u32,
) -> Result<(), SpeedError> {
    let body = format!(r#"{{"name":"Item","sku":"{sku}","price":"19.99","stock_quantity":{units}}}"#);
    let steps = vec![Template::post("/api/v1/products", &body)];
    let scenario = Scenario { steps, skus: Skus::From(first) };
    let outcome = Load::connect(server.address(), &scenario, WORKERS, Pace::Closed)?.run(count)?;
    if outcome.with_status(201) == count {
        return Ok(());
    }
    Err(SpeedError::Wrong(format!("{count} new products were answered with {:?}", outcome.statuses)))
}

/// Places so many orders, of many skus.
///
/// # Errors
/// If a server refuses one.
pub fn place_orders(server: &Server, count: u64) -> Result<Outcome, SpeedError> {
    let outcome = Load::connect(server.address(), &Kind::Spread(MANY).scenario(), 4 * WORKERS, Pace::Closed)?
        .run(count)?;
    if outcome.with_status(201) == count {
        return Ok(outcome);
    }
    Err(SpeedError::Wrong(format!("{count} orders were answered with {:?}", outcome.statuses)))
}
