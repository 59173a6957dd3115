//! The whole comparison, as `--bench speed` runs it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::SpeedError;
use crate::long::{self, Stored};
use crate::postgres::Postgres;
use crate::probe::Probe;
use crate::rounds::{Plan, Rounds};
use crate::server::{Contender, Stage};
use crate::spread::grouped;
use crate::targets::{Figure, Measured, table};

/// The servers that need PostgreSQL.
const ON_POSTGRES: &[Contender] = &[Contender::PgProc, Contender::PgBatch];

/// Compares the engine with an axum handler that does nothing and with two shops on PostgreSQL, side by side on this machine.
#[derive(Debug, Parser)]
#[command(name = "speed")]
pub struct Options {
    /// The figures to measure; all of them if none is named.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Figure>,
    /// Rounds; in each of them every server runs once.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Orders stored for the figures of a shop that has many.
    #[arg(long, default_value_t = 1_000_000)]
    orders: u64,
    /// Let the engine store what it owes before each measurement, as no checkpoint of PostgreSQL's falls into one.
    #[arg(long)]
    settle: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Runs it in a scratch folder, whose disk is the one measured, and prints two tables in Markdown.
///
/// # Errors
/// If something does not build or a server fails. Without PostgreSQL its columns stay empty.
pub fn run(options: &Options, scratch: &Path) -> Result<(), SpeedError> {
    let stage = Stage::set(scratch)?;
    let figures = if options.only.is_empty() { Figure::value_variants() } else { &options.only };
    let length = Duration::from_secs(options.seconds);
    let wanted: BTreeSet<_> = figures.iter().flat_map(|figure| figure.probes()).collect();
    let obstacle = obstacle(&wanted, scratch);
    let missing = if obstacle.is_some() { ON_POSTGRES } else { &[] };
    let plan = Plan { rounds: options.rounds, length, settle: options.settle };
    let rounds = Rounds::run(&stage, &wanted, missing, plan)?;
    report_rounds(options, obstacle.as_deref(), &rounds);
    let mut measured = Measured { rounds, ..Measured::default() };
    if figures.contains(&Figure::Recovery) {
        measured.recovery = Some(long::recovery(&stage)?.as_secs_f64());
    }
    if figures.contains(&Figure::LiveCart) {
        measured.live_cart = Some(long::live_cart(&stage)?);
    }
    if figures.contains(&Figure::Stored) {
        let stored = long::stored(&stage, options.orders, length)?;
        report_stored(&stored);
        measured.stored = Some(stored);
    }
    println!("## Targets\n\n{}", table(&measured));
    Ok(())
}

/// Why no server on PostgreSQL can run here, if one is wanted; said before the long wait, too.
fn obstacle(wanted: &BTreeSet<(Contender, Probe)>, scratch: &Path) -> Option<String> {
    if !wanted.iter().any(|(contender, _)| ON_POSTGRES.contains(contender)) {
        return None;
    }
    let error = Postgres::start(scratch).err()?;
    let obstacle = format!("**{error}: its figures are missing.** On Debian: `apt-get install postgresql`.");
    eprintln!("{obstacle}");
    Some(obstacle)
}

fn report_rounds(options: &Options, obstacle: Option<&str>, samples: &Rounds) {
    let Options { rounds, seconds, .. } = options;
    let rest = if options.settle { "; the engine had stored everything before each" } else { "" };
    println!("\n## Side by side\n");
    println!(
        "Rounds: {rounds}. A measurement: {seconds} s{rest}. Medians (lowest to highest); ratios are taken within a \
         round. CPU is that of the server with its database. Disk bytes are what reached the device, from whomever.\n"
    );
    if let Some(obstacle) = obstacle {
        println!("{obstacle}\n");
    }
    println!("{}", samples.table());
}

fn report_stored(stored: &Stored) {
    println!("## {} orders stored\n", grouped(stored.orders as f64, 0));
    println!("| checkouts/s before | with them | bytes written an order, by the process | by the device |");
    println!("| --- | --- | --- | --- |");
    let written = grouped(stored.written, 0);
    let device = stored.device_written.map_or("-".into(), |bytes| grouped(bytes, 0));
    println!("| {:.0} | {:.0} | {written} | {device} |\n", stored.before, stored.after);
}
