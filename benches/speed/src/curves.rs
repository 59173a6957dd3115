//! How throughput scales, one axis at a time, as `--bench curves` runs it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::SpeedError;
use crate::chart::{Chart, Scale};
use crate::long::settle;
use crate::probe::{ENDLESS, HOT, Kind, MANY, Probe, Sample, add_products, measure, place_orders};
use crate::server::Stage;

const CONNECTIONS: [u64; 7] = [1, 4, 16, 64, 256, 1024, 4096];
const THREADS: [u64; 2] = [1, 2];
const SKUS: [u64; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const ORDERS: [u64; 5] = [0, 250_000, 1_000_000, 2_000_000, 5_000_000];

/// Measures how checkouts a second change along each axis, and draws it.
#[derive(Debug, Parser)]
#[command(name = "curves")]
pub struct Options {
    /// The axes to go along; all of them if none is named.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Axis>,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// The most orders stored.
    #[arg(long, default_value_t = 5_000_000)]
    max_orders: u64,
    /// The most skus.
    #[arg(long, default_value_t = 1_000_000)]
    max_skus: u64,
    /// The folder for the figures and pictures, instead of that of the sources.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// Threads of the server's runtime.
    Threads,
    /// Connections that buy at once.
    Connections,
    /// Skus that are bought at random.
    Skus,
    /// Orders stored before.
    Orders,
}

type Points = Vec<(u64, Sample)>;

/// Goes along each axis and writes one table and one picture of it.
///
/// # Errors
/// If something does not build, a server fails, or a file cannot be written.
pub fn run(options: &Options, scratch: &Path, out: &Path) -> Result<(), SpeedError> {
    let stage = Stage::set(scratch)?;
    let out = options.out.as_deref().unwrap_or(out);
    fs::create_dir_all(out)?;
    let axes = if options.only.is_empty() { Axis::value_variants() } else { &options.only };
    for axis in axes {
        let points = axis.measure(&stage, options)?;
        axis.write(out, &points)?;
    }
    Ok(())
}

impl Axis {
    fn measure(self, stage: &Stage, options: &Options) -> Result<Points, SpeedError> {
        let length = Duration::from_secs(options.seconds);
        match self {
            Self::Threads => threads(stage, length),
            Self::Connections => connections(stage, length),
            Self::Skus => skus(stage, length, options.max_skus),
            Self::Orders => orders(stage, length, options.max_orders),
        }
    }

    /// The name of its files, what stands above the picture and below it, and how that is divided.
    fn texts(self) -> (&'static str, &'static str, &'static str, Scale) {
        match self {
            Self::Threads => {
                ("threads", "one hot sku, 256 connections", "threads of the server", Scale::Linear)
            }
            Self::Connections => ("connections", "one hot sku", "connections", Scale::Logarithmic),
            Self::Skus => ("skus", "256 connections", "skus, bought at random", Scale::Logarithmic),
            Self::Orders => ("orders", "one hot sku, 256 connections", "orders stored before", Scale::Linear),
        }
    }

    fn write(self, out: &Path, points: &Points) -> Result<(), SpeedError> {
        let (name, above, across, scale) = self.texts();
        let table = table(name, points);
        print!("\n{table}");
        fs::write(out.join(format!("{name}.csv")), table)?;
        let points: Vec<(u64, f64)> = points.iter().map(|(at, sample)| (*at, sample.per_second)).collect();
        let title = format!("Durable checkouts: {above}");
        let chart = Chart { title: &title, across, scale, up: "checkouts a second", points: &points };
        chart.draw(&out.join(format!("{name}.svg")))
    }
}

/// The points as comma-separated values.
fn table(name: &str, points: &Points) -> String {
    let mut table =
        format!("{name},checkouts_per_second,p50_ms,p99_ms,server_cpu_us,generator_cpu_us,other_answers\n");
    for (at, sample) in points {
        let Sample { per_second, p50_ms, p99_ms, server_us, generator_us, others, .. } = sample;
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "{at},{per_second:.0},{p50_ms:.3},{p99_ms:.3},{server_us:.2},{generator_us:.2},{others}"
        );
    }
    table
}

fn threads(stage: &Stage, length: Duration) -> Result<Points, SpeedError> {
    let mut points = Vec::new();
    for threads in THREADS {
        eprintln!("{threads} threads");
        let server = stage.start_relampago(&[("RELAMPAGO_SERVER__WORKER_THREADS", &threads.to_string())])?;
        add_products(&server, HOT, 1, ENDLESS)?;
        points.push((threads, measure(stage, &server, Probe::closed(Kind::Hot, 256), length)?));
    }
    Ok(points)
}

fn connections(stage: &Stage, length: Duration) -> Result<Points, SpeedError> {
    let mut points = Vec::new();
    for connections in CONNECTIONS {
        eprintln!("{connections} connections");
        // Each on an empty shop: what the one before has left to be stored is not its matter.
        let server = stage.start_relampago(&[])?;
        add_products(&server, HOT, 1, ENDLESS)?;
        let probe = Probe::closed(Kind::Hot, connections as usize);
        points.push((connections, measure(stage, &server, probe, length)?));
    }
    Ok(points)
}

fn skus(stage: &Stage, length: Duration, most: u64) -> Result<Points, SpeedError> {
    let mut points = Vec::new();
    for skus in SKUS.into_iter().filter(|skus| *skus <= most) {
        eprintln!("{skus} skus");
        let server = stage.start_relampago(&[])?;
        add_products(&server, 0, skus, ENDLESS)?;
        settle(&server)?;
        points.push((skus, measure(stage, &server, Probe::closed(Kind::Spread(skus), 256), length)?));
    }
    Ok(points)
}

fn orders(stage: &Stage, length: Duration, most: u64) -> Result<Points, SpeedError> {
    let mut points = Vec::new();
    let server = stage.start_relampago(&[])?;
    add_products(&server, HOT, MANY, ENDLESS)?;
    for orders in ORDERS.into_iter().filter(|orders| *orders <= most) {
        eprintln!("{orders} orders");
        let placed = server.metric("relampago_orders_total{outcome=\"placed\"}")? as u64;
        place_orders(&server, orders.saturating_sub(placed))?;
        settle(&server)?;
        points.push((orders, measure(stage, &server, Probe::closed(Kind::Hot, 256), length)?));
    }
    Ok(points)
}
