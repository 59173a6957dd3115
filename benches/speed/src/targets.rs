//! The targets: what each figure must reach, what it aims at, and what was measured.

use std::collections::BTreeSet;

use clap::ValueEnum;

use crate::long::{RECOVERED_ORDERS, Stored};
use crate::probe::{Kind, MANY, Probe, Sample};
use crate::rounds::{Rounds, ceiling};
use crate::server::Contender;
use crate::spread::{Spread, grouped};

const HOT_64: Probe = Probe::closed(Kind::Hot, 64);
const HOT: Probe = Probe::closed(Kind::Hot, 256);
const SPREAD: Probe = Probe::closed(Kind::Spread(MANY), 256);
const SOLD_OUT_64: Probe = Probe::closed(Kind::SoldOut, 64);
const SOLD_OUT: Probe = Probe::closed(Kind::SoldOut, 256);
const CART: Probe = Probe::closed(Kind::Cart, 256);
const OPEN: Probe = Probe { kind: Kind::Hot, connections: 256, rate: 20_000 };

/// A group of figures that is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Figure {
    /// Durable checkouts against a handler that does nothing, one hot sku against many, and their CPU.
    Checkout,
    /// Durable checkouts against PostgreSQL batched in the server.
    PgBatch,
    /// Durable checkouts against a PostgreSQL procedure.
    PgProc,
    /// Answers once everything is sold.
    SoldOut,
    /// Latency at a fixed rate.
    Open,
    /// Create a cart, fill it, check out.
    Cart,
    /// Throughput, disk and memory with many orders stored.
    Stored,
    /// Memory of a live cart.
    LiveCart,
    /// The time to be ready again after a crash.
    Recovery,
}

impl Figure {
    /// The measurements that it takes in every round.
    pub fn probes(self) -> BTreeSet<(Contender, Probe)> {
        use Contender::{Noop, PgBatch, PgProc, Relampago};
        BTreeSet::from_iter(match self {
            Self::Checkout => {
                vec![(Noop, HOT_64), (Noop, HOT), (Relampago, HOT_64), (Relampago, HOT), (Relampago, SPREAD)]
            }
            Self::PgBatch => vec![(PgBatch, HOT), (PgBatch, SPREAD), (Relampago, HOT), (Relampago, SPREAD)],
            Self::PgProc => vec![(PgProc, HOT), (PgProc, SPREAD), (Relampago, HOT), (Relampago, SPREAD)],
            Self::SoldOut => {
                vec![(Noop, HOT_64), (Noop, HOT), (Relampago, SOLD_OUT_64), (Relampago, SOLD_OUT)]
            }
            Self::Open => vec![(PgBatch, OPEN), (Relampago, OPEN)],
            Self::Cart => vec![(Noop, HOT), (Relampago, CART)],
            Self::Stored | Self::LiveCart | Self::Recovery => Vec::new(),
        })
    }
}

/// Everything that was measured; what was not is missing.
#[derive(Debug, Default)]
pub struct Measured {
    /// Side by side.
    pub rounds: Rounds,
    /// Many orders.
    pub stored: Option<Stored>,
    /// Bytes of a live cart.
    pub live_cart: Option<f64>,
    /// Seconds to be ready again.
    pub recovery: Option<f64>,
}

/// Which way a figure is good.
#[derive(Debug, Clone, Copy)]
enum Good {
    High,
    Low,
}

/// One line of the table.
struct Row {
    figure: String,
    good: Good,
    must: f64,
    aim: f64,
    decimals: usize,
    measured: Option<Spread>,
}

impl Row {
    fn new(
        figure: &str,
        good: Good,
        (must, aim): (f64, f64),
        decimals: usize,
        measured: Option<Spread>,
    ) -> Self {
        Self { figure: figure.to_owned(), good, must, aim, decimals, measured }
    }

    fn reaches(&self, bound: f64) -> Option<bool> {
        let median = self.measured?.median;
        Some(match self.good {
            Good::High => median >= bound,
            Good::Low => median <= bound,
        })
    }

    fn text(&self) -> String {
        let sign = match self.good {
            Good::High => "≥",
            Good::Low => "≤",
        };
        let bound = |bound: f64| format!("{sign} {}", grouped(bound, self.decimals));
        let measured = self.measured.map_or("-".into(), |spread| format!("{spread:.0$}", self.decimals));
        let mark = match (self.reaches(self.must), self.reaches(self.aim)) {
            (_, Some(true)) => "aim reached",
            (Some(true), _) => "met",
            (Some(false), _) => "**missed**",
            (None, _) => "-",
        };
        format!("| {} | {} | {} | {measured} | {mark} |\n", self.figure, bound(self.must), bound(self.aim))
    }
}

/// The targets and how far they are reached, as a table in Markdown.
pub fn table(measured: &Measured) -> String {
    let head = "| figure | must | aim | measured | |\n| --- | --- | --- | --- | --- |\n";
    let rows = side_by_side(&measured.rounds).into_iter().chain(at_length(measured));
    rows.fold(head.to_owned(), |table, row| table + &row.text())
}

fn side_by_side(rounds: &Rounds) -> Vec<Row> {
    use Contender::{Noop, PgBatch, PgProc, Relampago};
    use Good::{High, Low};
    let rate: fn(&Sample) -> f64 = |sample| sample.per_second;
    let of_noop = |probe| rounds.ratio(probe, (Noop, ceiling(probe)), rate);
    let of = |contender, probe| rounds.ratio(probe, (contender, probe), rate);
    let cpu = rounds.ratio(HOT, (Noop, HOT), |sample| sample.server_us);
    let p99 = rounds.ratio(OPEN, (PgBatch, OPEN), |sample| sample.p99_ms);
    vec![
        Row::new("checkout / noop, 64 connections, hot", High, (0.45, 0.60), 2, of_noop(HOT_64)),
        Row::new("checkout / noop, 256 connections, hot", High, (0.50, 0.65), 2, of_noop(HOT)),
        Row::new("checkout / noop, 256 connections, spread", High, (0.50, 0.65), 2, of_noop(SPREAD)),
        Row::new("checkout / pg-batch, 256 connections, hot", High, (1.4, 2.0), 2, of(PgBatch, HOT)),
        Row::new("checkout / pg-batch, 256 connections, spread", High, (1.4, 2.0), 2, of(PgBatch, SPREAD)),
        Row::new("checkout / pg-proc, 256 connections, hot", High, (12.0, 20.0), 1, of(PgProc, HOT)),
        Row::new("checkout / pg-proc, 256 connections, spread", High, (6.0, 10.0), 1, of(PgProc, SPREAD)),
        Row::new("sold-out answers / noop, 64 connections", High, (0.85, 0.95), 2, of_noop(SOLD_OUT_64)),
        Row::new("sold-out answers / noop, 256 connections", High, (0.85, 0.95), 2, of_noop(SOLD_OUT)),
        Row::new(
            "hot / spread, 256 connections",
            High,
            (0.9, 1.0),
            2,
            rounds.ratio(HOT, (Relampago, SPREAD), rate),
        ),
        Row::new("server CPU, checkout / no-op request", Low, (2.5, 1.8), 2, cpu),
        Row::new("p99 at 20,000/s, checkout / pg-batch", Low, (1.0, 0.5), 2, p99),
        Row::new("cart flow / noop, requests/s", High, (0.45, 0.60), 2, of_noop(CART)),
    ]
}

fn at_length(measured: &Measured) -> Vec<Row> {
    use Good::{High, Low};
    let one = |figure: Option<f64>| Spread::of(figure);
    let stored = measured.stored.as_ref();
    let orders = stored.map_or("many".into(), |stored| grouped(stored.orders as f64, 0));
    let ratio = one(stored.map(|stored| stored.after.median / stored.before.median));
    let recovery = format!("ready after kill -9 with {} orders, s", grouped(RECOVERED_ORDERS as f64, 0));
    vec![
        Row::new(&format!("throughput, {orders} orders stored / none"), High, (0.85, 0.95), 2, ratio),
        Row::new("memory of a live cart, bytes", Low, (10_000.0, 7_000.0), 0, one(measured.live_cart)),
        Row::new(
            &format!("memory of a passivated order, bytes ({orders} orders)"),
            Low,
            (250.0, 100.0),
            0,
            one(stored.map(|stored| stored.resident)),
        ),
        Row::new(&recovery, Low, (5.0, 2.0), 2, one(measured.recovery)),
        Row::new(
            &format!("disk bytes a checkout, all copies ({orders} orders)"),
            Low,
            (2_000.0, 1_000.0),
            0,
            one(stored.map(|stored| stored.written)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_met_missed_or_not_measured() {
        for (good, measured, expected) in [
            (Good::High, Some(0.7), "| f | ≥ 0.5 | ≥ 0.6 | 0.7 | aim reached |\n"),
            (Good::High, Some(0.55), "| f | ≥ 0.5 | ≥ 0.6 | 0.6 | met |\n"),
            (Good::High, Some(0.4), "| f | ≥ 0.5 | ≥ 0.6 | 0.4 | **missed** |\n"),
            (Good::High, None, "| f | ≥ 0.5 | ≥ 0.6 | - | - |\n"),
            (Good::Low, Some(0.7), "| f | ≤ 0.5 | ≤ 0.6 | 0.7 | **missed** |\n"),
        ] {
            assert_eq!(Row::new("f", good, (0.5, 0.6), 1, Spread::of(measured)).text(), expected);
        }
    }

    #[test]
    fn every_target_stands_in_the_table_even_if_nothing_was_measured() {
        let table = table(&Measured::default());
        assert_eq!(table.lines().count(), 20);
        assert!(table.lines().skip(2).all(|line| line.ends_with("| - | - |")), "{table}");
    }
}
