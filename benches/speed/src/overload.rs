//! `--bench overload`: more than the engine can serve, and clients that only hold connections. What is served must stay
//! much the same, the rest be refused early, and all of it be over soon after.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::load::{Load, Pace, Scenario, Skus};
use crate::outcome::Outcome;
use crate::probe::{ENDLESS, HOT, Kind, MANY, add_products};
use crate::server::{Server, Stage};
use crate::{SpeedError, pause};

/// Connections on which the server does best.
const BEST_AT: usize = 256;
/// Another sku that all want, which is none of the [`MANY`].
const CROWDED: u64 = 8_000_000;
/// The memory of the server is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A slow client sends its next byte after so long.
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// Of the best.
const LEAST_SHARE: f64 = 0.8;
const LEAST_SHARE_BESIDE_A_CROWD: f64 = 0.8;
/// The latency of what is served, 99th percentile, seconds.
const LONGEST_S: f64 = 3.0;
const MOST_GROWTH_MIB: f64 = 1_024.0;
/// After an overload, until it is back to normal.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Measures what is left of the engine under more than it can serve.
#[derive(Debug, Parser)]
#[command(name = "overload")]
pub struct Options {
    /// A fifth of everything, for a look whether it holds at all.
    #[arg(long)]
    quick: bool,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn length(&self) -> Duration {
        Duration::from_secs(if self.quick { self.seconds.div_ceil(5) } else { self.seconds })
    }

    /// So many connections, or a fifth of them.
    fn connections(&self, count: usize) -> usize {
        if self.quick { count / 5 } else { count }
    }
}

/// One figure beside its bound.
struct Row {
    what: String,
    figure: f64,
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

impl Row {
    fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.figure >= least,
            Bound::AtMost(most) => self.figure <= most,
            Bound::None => true,
        }
    }

    fn print(&self) {
        let (what, figure) = (&self.what, self.figure);
        let bound = match self.bound {
            Bound::AtLeast(least) => format!(">= {least}"),
            Bound::AtMost(most) => format!("<= {most}"),
            Bound::None => String::new(),
        };
        println!("{what:<58} {figure:>12.2} {bound:>10} {}", if self.holds() { "" } else { "MISSED" });
    }
}

/// The figures so far, printed as they come.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, what: impl Into<String>, figure: f64, bound: Bound) {
        let row = Row { what: what.into(), figure, bound };
        row.print();
        self.0.push(row);
    }
}

/// Runs all of it, prints a table and fails if a bound is missed.
///
/// # Errors
/// If the server does not build or fails, or if a figure is beyond its bound.
pub fn run(options: &Options, scratch: &Path) -> Result<(), SpeedError> {
    let stage = Stage::of_engine(scratch)?;
    let mut table = Table::default();
    flood(&stage, options, &mut table)?;
    holders(&stage, options, &mut table)?;
    crowd(&stage, options, &mut table)?;
    match table.0.iter().filter(|row| !row.holds()).count() {
        0 => Ok(()),
        missed => {
            Err(SpeedError::Wrong(format!("{missed} of {} figures are beyond their bound", table.0.len())))
        }
    }
}

/// Purchases a second.
fn served(outcome: &Outcome) -> f64 {
    outcome.with_status(201) as f64 / outcome.elapsed.as_secs_f64()
}

fn resident_mib(server: &Server) -> f64 {
    server.usage().resident as f64 / f64::from(1 << 20)
}

fn best(server: &Server, length: Duration) -> Result<f64, SpeedError> {
    let mut load = Load::connect(server.address(), &Kind::Hot.scenario(), BEST_AT, Pace::Closed)?;
    load.run_for(Duration::from_secs(1))?;
    let outcome = load.run_for(length)?;
    load.finish()?;
    Ok(served(&outcome))
}

/// Twice and ten times what the server can do, in an open loop.
fn flood(stage: &Stage, options: &Options, table: &mut Table) -> Result<(), SpeedError> {
    let server = stage.start_relampago(&[])?;
    add_products(&server, HOT, 1, ENDLESS)?;
    let best = best(&server, options.length())?;
    table.add("best: purchases/s on 256 connections", best, Bound::None);
    for times in [2.0, 10.0] {
        // More connections than requests that are worked on at once.
        let connections = options.connections(9_000).max(4_500);
        let before = resident_mib(&server);
        let mut load = Load::connect(
            server.address(),
            &Kind::Hot.scenario(),
            connections,
            Pace::PerSecond(best * times),
        )?;
        let (mut peak, mut sum) = (before, Outcome::default());
        let began = Instant::now();
        while began.elapsed() < options.length() {
            sum.add(&load.run_for(LOOK_EVERY)?);
            peak = peak.max(resident_mib(&server));
        }
        sum.add(&load.finish()?);
        drop(load);
        let name = |what: &str| format!("{times} times as much: {what}");
        let refused = sum.with_status(503) + sum.with_status(429);
        table.add(name("answers/s"), sum.per_second(), Bound::None);
        table.add(name("goodput, of the best"), served(&sum) / best, Bound::AtLeast(LEAST_SHARE));
        table.add(name("refused, of all"), refused as f64 / sum.answers() as f64, Bound::None);
        table.add(name("refused without Retry-After"), sum.blunt as f64, Bound::AtMost(0.0));
        let others = sum.answers() - refused - sum.with_status(201);
        table.add(name("answered otherwise"), others as f64, Bound::AtMost(0.0));
        table.add(name("p99 of what is served, s"), sum.served_ms(0.99) / 1_000.0, Bound::AtMost(LONGEST_S));
        table.add(name("memory at the most, MiB more"), peak - before, Bound::AtMost(MOST_GROWTH_MIB));
        table.add(
            name("back to normal after, s"),
            back_after(&server, best)?,
            Bound::AtMost(BACK_WITHIN.as_secs_f64()),
        );
        table.add(name("memory after, MiB more"), resident_mib(&server) - before, Bound::None);
    }
    Ok(())
}

/// How long it takes until the server does as well as before, nearly.
fn back_after(server: &Server, best: f64) -> Result<f64, SpeedError> {
    let began = Instant::now();
    let mut load = Load::connect(server.address(), &Kind::Hot.scenario(), BEST_AT, Pace::Closed)?;
    while began.elapsed() < BACK_WITHIN * 2 {
        let seconds = began.elapsed().as_secs_f64();
        let outcome = load.run_for(LOOK_EVERY)?;
        if served(&outcome) >= best * LEAST_SHARE {
            load.finish()?;
            return Ok(seconds);
        }
    }
    load.finish()?;
    Ok(began.elapsed().as_secs_f64())
}

/// Connections on which nothing happens, or hardly anything.
fn holders(stage: &Stage, options: &Options, table: &mut Table) -> Result<(), SpeedError> {
    let server = stage.start_relampago(&[])?;
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
fn crowd(stage: &Stage, options: &Options, table: &mut Table) -> Result<(), SpeedError> {
    let server = stage.start_relampago(&[])?;
    add_products(&server, 0, MANY, ENDLESS)?;
    add_products(&server, CROWDED, 1, ENDLESS)?;
    let shoppers = options.connections(4_096);
    let spread = beside(&server, options, shoppers, Skus::RandomBelow(MANY))?;
    let hot = beside(&server, options, shoppers, Skus::One(CROWDED))?;
    let name = |what: &str| format!("{shoppers} shoppers on one sku: {what}");
    table.add(name("other skus/s, when spread"), served(&spread), Bound::None);
    table.add(
        name("other skus, of that"),
        served(&hot) / served(&spread),
        Bound::AtLeast(LEAST_SHARE_BESIDE_A_CROWD),
    );
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
