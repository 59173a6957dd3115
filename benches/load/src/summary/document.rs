//! `relampago-load/2`, the JSON document of a run.
//!
//! The schema only grows: a field keeps its name, meaning and unit, new fields may appear, and readers ignore those
//! that they do not know. Times are microseconds (`_us`) or seconds (`_s`), counts are whole numbers, and
//! histograms are HdrHistogram V2 in base64. `REPORT.md` beside the crate's manifest is the same for people.

mod audit;
mod cost;

use serde::{Deserialize, Serialize};

pub use audit::{Audit, AuditCheck, AuditState, PartLedger, StepsLedger};
pub use cost::{Cost, Lateness, Percentiles};

use super::Exit;
use crate::record::{Counts, Kind};

/// The name and version of the schema.
pub const SCHEMA: &str = "relampago-load/2";

/// One run of a scenario, or several generators' parts of one run merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// Whether the run passed, and why not.
    pub verdict: Verdict,
    /// What ran, where and when.
    pub run: Run,
    /// What the generator was to send, and whether it could.
    pub load: Load,
    /// Outcomes and latencies by step, after the warm-up, in the order of the scenario.
    pub steps: Vec<Step>,
    /// All steps together, after the warm-up.
    pub all: Totals,
    /// The series, one entry a second from zero, the warm-up included.
    pub seconds: Vec<Second>,
    /// Units that could still be bought, as sampled from the shop.
    #[serde(default)]
    pub stock: Vec<Stock>,
    /// What happened to the run, such as "server killed".
    #[serde(default)]
    pub events: Vec<Event>,
    /// When nobody could reach the server.
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// What the server said of itself on `/metrics`.
    #[serde(default)]
    pub server: Vec<ServerSample>,
    /// Whether the shop's books balance with what it acknowledged.
    #[serde(default)]
    pub audit: Audit,
    /// The conditions that the run had to meet.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// What an audit of the whole run needs of a part; `None` of a run that had one generator or was audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<PartLedger>,
}

/// Whether a run passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The gravest of what is to be said of it.
    pub result: Exit,
    /// Whether `result` is [`Exit::Passed`]: the audit (if there was one) and every threshold passed, the run is valid
    /// and came to its end.
    pub passed: bool,
    /// Why not, one sentence each: what the audit found first, then why there was none, that the run was cut short,
    /// what makes it invalid, and thresholds that were missed.
    pub failures: Vec<String>,
}

/// What ran, where and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// Its description, for people.
    #[serde(default)]
    pub description: String,
    /// What made its names and keys its own.
    #[serde(default)]
    pub id: String,
    /// A digest of the scenario's text and of what the command line changed in it.
    #[serde(default)]
    pub scenario_hash: String,
    /// The seed that every random choice came from.
    pub seed: u64,
    /// When second zero was, RFC 3339 in UTC.
    pub started: String,
    /// Seconds from second zero in which flows started.
    pub duration_s: f64,
    /// Seconds after that until the last of them had ended.
    #[serde(default)]
    pub drain_s: f64,
    /// Seconds at the start that count in the series alone.
    #[serde(default)]
    pub warm_up_s: f64,
    /// Base address of the shop.
    pub target: String,
    /// Versions of the two programs.
    #[serde(default)]
    pub versions: Versions,
    /// Where the generator ran.
    #[serde(default)]
    pub machine: Machine,
    /// How many generators' figures these are.
    pub generators: u32,
    /// Which parts of the run these are.
    #[serde(default)]
    pub parts: Parts,
    /// Whether its user ended it early, by Ctrl-C for one.
    #[serde(default)]
    pub interrupted: bool,
}

/// Which parts of a run that several generators shared a document holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// How many there were.
    pub of: u32,
    /// Those in this document, counted from 1, ascending.
    pub present: Vec<u32>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { of: 1, present: vec![1] }
    }
}

impl Parts {
    /// Those that are not there.
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.of).filter(|part| !self.present.contains(part)).collect()
    }

    /// Whether this is what one of several generators saw, and not yet what they came to.
    pub fn is_one_of_several(&self) -> bool {
        self.of > 1 && self.present.len() == 1
    }
}

/// Versions of generator and server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The load tester's.
    pub generator: String,
    /// What the server said, where it said something.
    #[serde(default)]
    pub server: Option<String>,
}

/// The machine of the generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the generator may use.
    pub cpus: u32,
    /// Their model, as the kernel names it.
    pub cpu_model: String,
    /// The kernel and its version.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

/// What the generator was to send, and whether it could.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Whether arrivals wait for answers.
    pub mode: Mode,
    /// How arrivals spread; `None` of a closed loop.
    #[serde(default)]
    pub arrivals: Option<Arrivals>,
    /// The planned rate of arrivals, straight between these points; empty of a closed loop.
    #[serde(default)]
    pub planned: Vec<PlannedRate>,
    /// Connections kept open at most, all generators together.
    #[serde(default)]
    pub connections: u32,
    /// Worker threads, all generators together.
    #[serde(default)]
    pub workers: u32,
    /// Whether the server was the limit, and not the generator.
    pub valid: bool,
    /// Why the run is not valid.
    #[serde(default)]
    pub invalid_reasons: Vec<String>,
    /// Whether the generator was the limit; then the run is not valid.
    #[serde(default)]
    pub limit_reached: bool,
    /// The busiest worker thread's use of its processor, 0 to 1.
    #[serde(default)]
    pub cpu_share: f64,
    /// What the load cost the generator.
    #[serde(default)]
    pub cost: Cost,
    /// How much later than intended requests went out.
    pub lateness: Lateness,
}

/// Whether arrivals wait for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Shoppers arrive when they want to; how fast the shop answers does not keep them.
    Open,
    /// A fixed number of shoppers, each waiting for the answer.
    Closed,
}

/// How arrivals of an open loop spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Independently of each other, as people do.
    Poisson,
}

/// A point of the planned curve of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRate {
    /// Seconds of the run.
    pub at_s: f64,
    /// Flows a second from here on, straight to the next point.
    pub rate: f64,
}

/// One step of the scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What its requests came to, those that count as ok first.
    pub outcomes: Vec<OutcomeCount>,
    /// All its requests.
    pub all: Totals,
}

/// How often a step came to one outcome, and how long that took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// `201`, `409 out_of_stock`, `check NAME`, `timeout`, `no connection`, `connection lost`, `malformed answer`.
    pub outcome: String,
    /// How it counts.
    pub kind: Kind,
    /// How often.
    pub count: u64,
    /// How many of them ended in the drain; no rate is of these.
    #[serde(default)]
    pub drained: u64,
    /// Whether its latencies are among those of the step: yes of answers and time-outs.
    pub waited_for: bool,
    /// Latencies from the intended start, in microseconds.
    pub latency: Percentiles,
    /// HdrHistogram V2 in base64, three digits, microseconds.
    pub histogram: String,
}

/// Requests of one step or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that ended.
    pub count: u64,
    /// Of these: what the shopper wanted.
    pub ok: u64,
    /// Of these: a proper no, such as sold out.
    pub refused: u64,
    /// Of these: turned away by a server with too much to do.
    pub throttled: u64,
    /// Of these: the rest.
    pub failed: u64,
    /// Requests that ended a second, over the run without its warm-up and its drain.
    pub rate: f64,
    /// Requests that ended well a second.
    pub ok_rate: f64,
    /// Latencies from the intended start of all that were waited for, in microseconds.
    pub latency: Percentiles,
}

impl Totals {
    /// Requests of one kind.
    pub fn count_of(&self, kind: Kind) -> u64 {
        [self.ok, self.refused, self.throttled, self.failed][kind.index()]
    }
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which, from zero.
    pub second: u32,
    /// Flows that the plan has here; `None` of a closed loop.
    #[serde(default)]
    pub planned: Option<f64>,
    /// Flows that began.
    #[serde(default)]
    pub flows_started: u64,
    /// Flows that ended.
    #[serde(default)]
    pub flows_finished: u64,
    /// Requests that went out.
    pub started: u64,
    /// Requests that ended; the sum of the next four.
    pub answered: u64,
    /// What the shopper wanted.
    pub ok: u64,
    /// A proper no.
    pub refused: u64,
    /// Turned away.
    pub throttled: u64,
    /// The rest.
    pub failed: u64,
    /// Median latency of those that ended here and were waited for, in microseconds; `None` of none.
    pub p50_us: Option<u64>,
    /// Their 99th percentile.
    pub p99_us: Option<u64>,
    /// Requests that had gone out and not ended by the end of this second.
    pub in_flight: u64,
    /// The longest time that a request that ended here went out later than intended, in microseconds.
    #[serde(default)]
    pub lateness_max_us: u64,
    /// The same by step, in the order of the scenario.
    #[serde(default)]
    pub steps: Vec<StepOfSecond>,
}

impl Second {
    /// Requests of one kind.
    pub fn count_of(&self, kind: Kind) -> u64 {
        [self.ok, self.refused, self.throttled, self.failed][kind.index()]
    }
}

/// One step in one second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOfSecond {
    /// Requests that went out.
    pub started: u64,
    /// What the shopper wanted.
    pub ok: u64,
    /// A proper no.
    pub refused: u64,
    /// Turned away.
    pub throttled: u64,
    /// The rest.
    pub failed: u64,
    /// Latencies of those that were waited for: HdrHistogram V2 in base64, two digits, microseconds; `""` of none.
    pub histogram: Counts,
}

/// Units of one sku that could still be bought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stock {
    /// Seconds of the run.
    pub second: f64,
    /// Which.
    pub sku: String,
    /// How many.
    pub available: i64,
}

/// Something that happened to the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds of the run.
    pub second: f64,
    /// What, in a few words.
    pub text: String,
}

/// A while in which connections were refused or broke and nothing was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// When the first request met it, in seconds of the run.
    pub from_s: f64,
    /// When a request was answered again; `None` if none was until the end.
    pub to_s: Option<f64>,
    /// Requests that found no connection, or lost it.
    pub requests: u64,
}

/// What the server said of itself; each is `None` when the server does not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSample {
    /// Seconds of the run.
    pub second: f64,
    /// Mean number of submissions that shared one write to the disk since the sample before.
    #[serde(default)]
    pub batch_size: Option<f64>,
    /// Mean time to make a write durable since the sample before, in microseconds.
    #[serde(default)]
    pub fsync_us: Option<f64>,
    /// Requests waiting inside the server.
    #[serde(default)]
    pub queue_depth: Option<f64>,
}

/// A condition that the run had to meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// As the scenario writes it: `buy.p99 < 50ms`.
    pub expression: String,
    /// The unit of `value`, whatever unit the expression is written in.
    pub unit: Unit,
    /// The figure of the run; `None` when nothing was recorded that has one, which fails.
    pub value: Option<f64>,
    /// Whether it was met.
    pub passed: bool,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Latencies.
    Microseconds,
    /// Numbers of requests.
    Requests,
    /// Requests a second.
    PerSecond,
    /// A share, 0 to 1.
    Ratio,
}
