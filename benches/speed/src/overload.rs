//! `--bench overload`: more than the engine can serve, and clients that only hold connections. What is served must stay
//! much the same, the rest be refused early, and all of it be over soon after.
//!
//! The server and its generator have cores of their own throughout: see [`Cores`].

mod flood;
mod table;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::cores::Cores;
use crate::load::{Load, Pace, Scenario, Skus};
use crate::outcome::Outcome;
use crate::probe::{ENDLESS, HOT, Kind, MANY, add_products};
use crate::server::{Server, Stage};
use crate::{SpeedError, pause};
use flood::{Goods, flood, resident_mib, served};
use table::{Bound, Table};

/// Connections on which the server does best.
const BEST_AT: usize = 256;
/// Another sku that all want, which is none of the [`MANY`].
const CROWDED: u64 = 8_000_000;
/// A slow client sends its next byte after so long.
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// Of the best.
const LEAST_SHARE: f64 = 0.8;
const MOST_GROWTH_MIB: f64 = 1_024.0;

/// Measures what is left of the engine under more than it can serve.
#[derive(Debug, Parser)]
#[command(name = "overload")]
pub struct Options {
    /// A fifth of everything, for a look whether it holds at all.
    #[arg(long)]
    quick: bool,
    /// Only this part: flood, holders or crowd.
    #[arg(long)]
    only: Option<Part>,
    /// Of the floods only that of these goods: many-skus, few-skus or one-line.
    #[arg(long)]
    goods: Option<Goods>,
    /// Seconds of one measurement: by default as long as snapshots are apart, and a bit.
    #[arg(long, default_value_t = 11)]
    seconds: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// More than can be served.
    Flood,
    /// Idle and slow connections.
    Holders,
    /// One sku that thousands want.
    Crowd,
}

impl Options {
    fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn length(&self) -> Duration {
        Duration::from_secs(if self.quick { self.seconds.div_ceil(5) } else { self.seconds })
    }

    /// So many connections, or a fifth of them.
    fn connections(&self, count: usize) -> usize {
        if self.quick { count / 5 } else { count }
    }
}

/// Where servers run.
struct Ground {
    stage: Stage,
    cores: Cores,
}

impl Ground {
    /// A server on an empty folder, on cores of its own. It bears connections that say nothing: below the best rate some
    /// have no turn within a measurement.
    fn start(&self) -> Result<Server, SpeedError> {
        let bears = ("RELAMPAGO_SERVER__HEADER_READ_TIMEOUT", "75s");
        self.cores.start(|| self.stage.start_relampago(&[bears]))?
    }
}

/// Runs all of it, prints a table and fails if a bound is missed.
///
/// # Errors
/// If the server does not build or fails, or if a figure is beyond its bound.
pub fn run(options: &Options, scratch: &Path) -> Result<(), SpeedError> {
    let ground = Ground { stage: Stage::of_engine(scratch)?, cores: Cores::divide()? };
    println!("cores of the server: {}; of the generator: one", ground.cores.of_server());
    let mut table = Table::default();
    if options.includes(Part::Flood) {
        for goods in Goods::ALL.into_iter().filter(|goods| options.goods.is_none_or(|only| only == *goods)) {
            flood(&ground, options, goods, &mut table)?;
        }
    }
    if options.includes(Part::Holders) {
        holders(&ground, options, &mut table)?;
    }
    if options.includes(Part::Crowd) {
        crowd(&ground, options, &mut table)?;
    }
    table.verdict()
}

fn best(server: &Server, length: Duration) -> Result<f64, SpeedError> {
    let mut load = Load::connect(server.address(), &Kind::Hot.scenario(), BEST_AT, Pace::Closed)?;
    load.run_for(Duration::from_secs(1))?;
    let outcome = load.run_for(length)?;
    load.finish()?;
    Ok(served(&outcome))
}

/// Connections on which nothing happens, or hardly anything.
fn holders(ground: &Ground, options: &Options, table: &mut Table) -> Result<(), SpeedError> {
    let server = ground.start()?;
    add_products(&server, HOT, 1, ENDLESS)?;
    let best = best(&server, options.length())?;
    let before = resident_mib(&server);
    let (idle, slow) = (options.connections(10_000), options.connections(500));
    let idle = open(server.address(), idle, "GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n")?;
    let heads = open(server.address(), slow, "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nX-Slow: ")?;
    let body = "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n\
        Idempotency-Key: 0123456789012345678901\r\nContent-Length: 4096\r\n\r\n{";
    let bodies = open(server.address(), slow, body)?;
    let held = idle.len() + heads.len() + bodies.len();
    let until = Instant::now() + options.length() + Duration::from_secs(2);
    let dripping = thread::spawn(move || drip(heads, bodies, until));
    let beside = self::best(&server, options.length())?;
    table.add(
        format!("{held} idle and slow connections: memory, MiB more"),
        resident_mib(&server) - before,
        Bound::AtMost(MOST_GROWTH_MIB),
    );
    table.add(
        format!("{held} idle and slow connections: served, of the best"),
        beside / best,
        Bound::AtLeast(LEAST_SHARE),
    );
    let _dripped = dripping.join();
    drop(idle);
    Ok(())
}

/// Connections on which these bytes were sent.
fn open(server: SocketAddr, count: usize, bytes: &str) -> io::Result<Vec<TcpStream>> {
    let connect = |_| {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(bytes.as_bytes())?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}

/// Sends a byte on each now and then. Those that the server closes are let go.
fn drip(mut heads: Vec<TcpStream>, mut bodies: Vec<TcpStream>, until: Instant) {
    while Instant::now() < until {
        for streams in [&mut heads, &mut bodies] {
            streams.retain_mut(|stream| stream.write_all(b"x").is_ok());
        }
        pause(DRIP_EVERY);
    }
}

/// A sku that thousands want at once, and others beside it; compared with as many who want other skus.
fn crowd(ground: &Ground, options: &Options, table: &mut Table) -> Result<(), SpeedError> {
    let server = ground.start()?;
    add_products(&server, 0, MANY, ENDLESS)?;
    add_products(&server, CROWDED, 1, ENDLESS)?;
    let shoppers = options.connections(4_096);
    let spread = beside(&server, options, shoppers, Skus::RandomBelow(MANY))?;
    let hot = beside(&server, options, shoppers, Skus::One(CROWDED))?;
    let name = |what: &str| format!("{shoppers} shoppers on one sku: {what}");
    table.add(name("other skus/s, when spread"), served(&spread), Bound::None);
    table.add(name("other skus, of that"), served(&hot) / served(&spread), Bound::AtLeast(LEAST_SHARE));
    table.add(name("other skus, p99, ms, when spread"), spread.served_ms(0.99), Bound::None);
    table.add(name("other skus, p99, ms"), hot.served_ms(0.99), Bound::None);
    Ok(())
}

/// What 64 buyers of many skus get beside so many buyers of these.
fn beside(server: &Server, options: &Options, shoppers: usize, skus: Skus) -> Result<Outcome, SpeedError> {
    let scenario = |skus| Scenario { steps: Kind::Hot.scenario().steps, skus };
    let (address, length) = (server.address(), options.length());
    let mut others = Load::connect(address, &scenario(Skus::RandomBelow(MANY)), 64, Pace::Closed)?;
    let of_crowd = scenario(skus);
    // Connected where it is driven: what the kernel fills in cannot change threads.
    let crowding = thread::spawn(move || {
        let mut crowd = Load::connect(address, &of_crowd, shoppers, Pace::Closed)?;
        crowd.run_for(length + Duration::from_secs(2))?;
        crowd.finish()
    });
    others.run_for(Duration::from_secs(1))?;
    let outcome = others.run_for(length)?;
    others.finish()?;
    crowding.join().map_err(|_panic| io::Error::other("the crowd has fallen over"))??;
    Ok(outcome)
}
