//! Two runs beside each other: what differs by more than chance.
//!
//! The seconds of both runs, without warm-up and a last part of a second, are drawn again and again (see
//! `bootstrap`); a figure differs *significantly* when 95 % of the draws say so. Each interval stands by itself: of
//! twenty figures that do not differ, about one will look as if it did.

mod bootstrap;
mod text;

use serde::Serialize;

use crate::record::Counts;
use crate::rng::Rng;
use crate::summary::Summary;
use crate::summary::document::{Mode, Second, StepOfSecond, Unit};
use crate::summary::figures::share;
use bootstrap::{DRAWS, Figures, Sample, Series};

/// The name and version of the JSON form.
pub const SCHEMA: &str = "relampago-load-compare/1";

/// Fewer seconds than this say little.
const FEW_SECONDS: usize = 20;
/// A run of which a larger share ended in the drain is compared without its slowest requests.
const MOST_DRAINED: f64 = 0.01;

/// Run B against run A.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// How the intervals came about.
    pub method: Method,
    /// The earlier run, the one compared with.
    pub a: Side,
    /// The run that is judged.
    pub b: Side,
    /// What makes the comparison doubtful, one sentence each.
    pub warnings: Vec<String>,
    /// All steps together, then each step that both runs have.
    pub scopes: Vec<Scope>,
}

/// How the intervals came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// In words.
    pub description: String,
    /// Whether the same seconds of both runs were drawn, because both had the same plan.
    pub paired: bool,
    /// Draws.
    pub draws: usize,
    /// Length of a block, in samples of run A.
    pub block: usize,
    /// Share of the draws within an interval.
    pub confidence: f64,
    /// The seed of the draws.
    pub seed: u64,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Its scenario.
    pub scenario: String,
    /// When it began.
    pub started: String,
    /// The server's version, where it is known.
    pub server: Option<String>,
    /// Whole seconds after the warm-up.
    pub seconds: usize,
}

/// The figures of one step, or of all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scope {
    /// `all`, or the step's name.
    pub name: String,
    /// Rate, p50, p99 and the share of failures.
    pub figures: Vec<Figure>,
}

/// One figure of both runs. They are those of the whole seconds, and latencies have two digits: the report of a run,
/// which counts every request to three digits, may differ by a per cent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// `rate`, `p50`, `p99`, `failed_ratio`.
    pub name: &'static str,
    /// Of `a` and `b`.
    pub unit: Unit,
    /// Run A; `None` when nothing was recorded.
    pub a: Option<f64>,
    /// Run B.
    pub b: Option<f64>,
    /// What B has more than A: a share of A (0.1 is 10 % more); of a ratio the difference itself.
    pub change: Option<f64>,
    /// The interval of `change`.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// What that means.
    pub verdict: Verdict,
}

/// What a figure says of run B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More requests a second, or shorter latencies.
    Faster,
    /// Fewer requests a second, or longer latencies.
    Slower,
    /// A smaller share failed.
    FewerFailures,
    /// A larger share failed.
    MoreFailures,
    /// The interval has room for none.
    NoSignificantDifference,
    /// One of the runs has no such figure.
    NotMeasured,
}

impl Comparison {
    /// Run `b` against run `a`. Equal seeds give equal intervals.
    pub fn new(a: &Summary, b: &Summary, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let [seconds_a, seconds_b] = [a, b].map(counted_seconds);
        let paired = same_plan(a, b) && seconds_a.len() == seconds_b.len();
        let scopes = scopes(a, b).into_iter().map(|(name, [step_a, step_b])| {
            let (a, b) = (series(seconds_a, step_a), series(seconds_b, step_b));
            Scope { name, figures: figures(&a, &b, &bootstrap::draws(&a, &b, paired, &mut rng)) }
        });
        let scopes = scopes.collect();
        Self {
            schema: SCHEMA,
            method: Method::new(paired, series(seconds_a, None).len(), seed),
            a: Side::new(a, seconds_a.len()),
            b: Side::new(b, seconds_b.len()),
            warnings: warnings(a, b, seconds_a.len().min(seconds_b.len())),
            scopes,
        }
    }

    /// The comparison as indented JSON with a last line feed.
    #[expect(clippy::expect_used, reason = "every field is plain, and its floats are finite or null")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a comparison of plain fields") + "\n"
    }
}

impl Method {
    fn new(paired: bool, samples: usize, seed: u64) -> Self {
        let which = if paired {
            "the same seconds of both runs, which had one plan"
        } else {
            "seconds of each run by itself"
        };
        let block = bootstrap::block(samples);
        let description = format!(
            "circular block bootstrap over whole seconds after the warm-up: {which}; {DRAWS} draws in blocks of {block} \
             of {samples} samples; intervals are the middle 95 % of the draws, each by itself"
        );
        Self { description, paired, draws: DRAWS, block, confidence: 0.95, seed }
    }
}

impl Side {
    fn new(summary: &Summary, seconds: usize) -> Self {
        Self {
            scenario: summary.run.scenario.clone(),
            started: summary.run.started.clone(),
            server: summary.run.versions.server.clone(),
            seconds,
        }
    }
}

/// The whole seconds after the warm-up and before the drain.
fn counted_seconds(summary: &Summary) -> &[Second] {
    let end = (summary.run.duration_s + 0.05).floor().max(0.0) as usize;
    let start = summary.run.warm_up_s.ceil().max(0.0) as usize;
    let end = end.min(summary.seconds.len());
    summary.seconds.get(start.min(end)..end).unwrap_or_default()
}

/// Whether a second of one run is the same second of the plan in the other.
fn same_plan(a: &Summary, b: &Summary) -> bool {
    a.run.scenario == b.run.scenario
        && a.run.warm_up_s == b.run.warm_up_s
        && a.load.mode == b.load.mode
        && a.load.planned == b.load.planned
}

/// The names of what is compared, each with its index in both runs; `None` is all steps.
fn scopes(a: &Summary, b: &Summary) -> Vec<(String, [Option<usize>; 2])> {
    let place_in_b = |name: &str| b.steps.iter().position(|step| step.name == name);
    let both =
        a.steps.iter().enumerate().filter_map(|(index, step)| {
            Some((step.name.clone(), [Some(index), Some(place_in_b(&step.name)?)]))
        });
    let mut scopes = vec![("all".to_owned(), [None, None])];
    // One step says the same as all.
    scopes.extend(both.filter(|_| a.steps.len().max(b.steps.len()) > 1));
    scopes
}

fn series(seconds: &[Second], step: Option<usize>) -> Series {
    let samples: Vec<Sample> = seconds.iter().map(|second| sample(second, step)).collect();
    Series::new(&bootstrap::grouped(&samples))
}

fn sample(second: &Second, step: Option<usize>) -> Sample {
    let steps: &[StepOfSecond] = match step {
        Some(step) => second.steps.get(step..=step).unwrap_or_default(),
        None => &second.steps,
    };
    let mut latency = Counts::default();
    steps.iter().for_each(|step| latency.merge(&step.histogram));
    let answered = steps.iter().map(|step| step.ok + step.refused + step.throttled + step.failed).sum();
    Sample { seconds: 1.0, answered, failed: steps.iter().map(|step| step.failed).sum(), latency }
}

fn figures(a: &Series, b: &Series, draws: &[(Figures, Figures)]) -> Vec<Figure> {
    type Pick = fn(&Figures) -> Option<f64>;
    let picks: [(&'static str, Unit, Pick); 4] = [
        ("rate", Unit::PerSecond, |figures| figures.rate),
        ("p50", Unit::Microseconds, |figures| figures.p50),
        ("p99", Unit::Microseconds, |figures| figures.p99),
        ("failed_ratio", Unit::Ratio, |figures| figures.failed),
    ];
    let (of_a, of_b) = (a.figures(), b.figures());
    let figure = |(name, unit, pick): (&'static str, Unit, Pick)| {
        let change = |a: &Figures, b: &Figures| change(unit, pick(a)?, pick(b)?);
        let drawn: Vec<f64> = draws.iter().filter_map(|(a, b)| change(a, b)).collect();
        let (whole, interval) = (change(&of_a, &of_b), bootstrap::interval(drawn));
        Figure {
            name,
            unit,
            a: pick(&of_a),
            b: pick(&of_b),
            change: whole,
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
            verdict: Verdict::of(unit, whole.and(interval)),
        }
    };
    picks.into_iter().map(figure).collect()
}

/// What `b` has more than `a`; `None` against nothing.
fn change(unit: Unit, a: f64, b: f64) -> Option<f64> {
    match unit {
        Unit::Ratio => Some(b - a),
        _ => (a > 0.0).then(|| b / a - 1.0),
    }
}

impl Verdict {
    fn of(unit: Unit, interval: Option<(f64, f64)>) -> Self {
        let Some((low, high)) = interval else {
            return Self::NotMeasured;
        };
        match (unit, low > 0.0, high < 0.0) {
            (Unit::PerSecond, true, _) | (Unit::Microseconds, _, true) => Self::Faster,
            (Unit::PerSecond, _, true) | (Unit::Microseconds, true, _) => Self::Slower,
            (_, true, _) => Self::MoreFailures,
            (_, _, true) => Self::FewerFailures,
            (_, false, false) => Self::NoSignificantDifference,
        }
    }

    /// The words for it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::FewerFailures => "fewer failures",
            Self::MoreFailures => "more failures",
            Self::NoSignificantDifference => "no significant difference",
            Self::NotMeasured => "not measured",
        }
    }
}

/// What makes the comparison doubtful.
fn warnings(a: &Summary, b: &Summary, seconds: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, run) in [("A", a), ("B", b)] {
        if !run.load.valid {
            let why = run.load.invalid_reasons.first().map_or("no reason given", String::as_str);
            warnings.push(format!("run {name} is invalid, its generator was the limit: {why}"));
        }
        if run.audit.failed() {
            warnings.push(format!("the audit of run {name} failed"));
        }
        let missing = run.run.parts.missing();
        if !missing.is_empty() {
            warnings.push(format!(
                "run {name} is not whole: {} of its {} parts are missing",
                missing.len(),
                run.run.parts.of
            ));
        }
        if run.run.interrupted {
            warnings.push(format!("run {name} was cut short by its user"));
        }
        let outcomes = run.steps.iter().flat_map(|step| &step.outcomes);
        let drained: u64 = outcomes.map(|outcome| outcome.drained).sum();
        if drained as f64 > run.all.count as f64 * MOST_DRAINED {
            warnings.push(format!(
                "{} of the requests of run {name} ended in its drain and are not compared: it was overloaded",
                share(drained, run.all.count)
            ));
        }
    }
    let mut differs = |what: &str, a: String, b: String| {
        if a != b {
            warnings.push(format!("{what}: {a} and {b}"));
        }
    };
    let load = |run: &Summary| match run.load.mode {
        Mode::Closed => format!("closed loop of {} connections", run.load.connections),
        Mode::Open => {
            let flows: f64 = run.seconds.iter().filter_map(|second| second.planned).sum();
            format!("open loop of {flows:.0} arrivals in {:.0} s", run.run.duration_s)
        }
    };
    let machine = |run: &Summary| {
        let machine = &run.run.machine;
        format!(
            "{} x {}, {}, {} MiB",
            machine.cpus,
            machine.cpu_model,
            machine.kernel,
            machine.memory_bytes >> 20
        )
    };
    differs("the scenarios differ", a.run.scenario.clone(), b.run.scenario.clone());
    let text = "the texts of the scenarios differ, or what the command line changed in them";
    differs(text, a.run.scenario_hash.clone(), b.run.scenario_hash.clone());
    differs("the loads differ", load(a), load(b));
    differs("the seeds differ", a.run.seed.to_string(), b.run.seed.to_string());
    differs("the targets differ", a.run.target.clone(), b.run.target.clone());
    differs("the machines differ", machine(a), machine(b));
    differs("the generators differ", a.run.versions.generator.clone(), b.run.versions.generator.clone());
    let server = |run: &Summary| run.run.versions.server.clone().unwrap_or_else(|| "unknown".to_owned());
    differs("the servers differ", server(a), server(b));
    let steps =
        |run: &Summary| run.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
    differs("the steps differ", steps(a), steps(b));
    if seconds < FEW_SECONDS {
        warnings.push(format!("only {seconds} whole seconds after the warm-up: the intervals are rough"));
    }
    warnings
}
