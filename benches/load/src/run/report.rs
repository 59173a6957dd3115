//! What a run came to: collected while it goes on, and summed up.

use std::time::{Duration, Instant, SystemTime};

use super::options::Options;
use super::worker::Ended;
use crate::record::{Latencies, Recorded, SecondRecorded, no_latencies};
use crate::scenario::Scenario;
use crate::scenario::generator::Part;
use crate::scenario::model::{self, Shape};
use crate::summary::document::{
    Arrivals, Audit, Cost, Event, Lateness, Load, Machine, Mode, Outage, PartLedger, Parts, Percentiles,
    PlannedRate, Run, ServerSample, Stock, Versions,
};
use crate::summary::{Facts, Summary};

/// A worker thread that was busy for a larger share of the time was the limit, not the server.
const MOST_BUSY: f64 = 0.9;
/// So was one that started one flow of a hundred later than this.
const MOST_LATE: Duration = Duration::from_millis(10);

/// What a run came to, before it is audited.
pub(super) struct Report {
    pub(super) recorded: Recorded,
    pub(super) started: SystemTime,
    /// How long flows started.
    pub(super) duration: Duration,
    /// How long those under way took after that.
    pub(super) drain: Duration,
    pub(super) stock: Vec<Stock>,
    pub(super) server: Vec<ServerSample>,
    pub(super) events: Vec<Event>,
    pub(super) outages: Vec<Outage>,
    pub(super) ended: Vec<Ended>,
    pub(super) connections: usize,
    /// Whether it was stopped before its end.
    pub(super) interrupted: bool,
}

impl Report {
    pub(super) fn new(recorded: Recorded, started: SystemTime, connections: usize) -> Self {
        Self {
            recorded,
            started,
            duration: Duration::ZERO,
            drain: Duration::ZERO,
            stock: Vec::new(),
            server: Vec::new(),
            events: Vec::new(),
            outages: Vec::new(),
            ended: Vec::new(),
            connections,
            interrupted: false,
        }
    }

    /// Writes down that something happens now.
    pub(super) fn event(&mut self, epoch: Instant, text: String) {
        self.events.push(Event { second: epoch.elapsed().as_secs_f64(), text });
    }

    /// Its document, with the verdict of the scenario's thresholds. `replays`: answers that were given to an earlier
    /// run.
    pub(super) fn sum_up(
        mut self,
        scenario: &Scenario,
        options: &Options,
        server_version: Option<String>,
        (audit, ledger): (Audit, Option<PartLedger>),
        replays: u64,
    ) -> Summary {
        let load = self.load(scenario, options.part, replays);
        let facts = Facts {
            run: self.run(scenario, options, server_version),
            load,
            stock: self.stock,
            events: self.events,
            outages: self.outages,
            server: self.server,
            audit,
            ledger,
        };
        Summary::new(&self.recorded, facts, &scenario.thresholds)
    }

    fn run(&self, scenario: &Scenario, options: &Options, server_version: Option<String>) -> Run {
        Run {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            id: options.id.to_string(),
            scenario_hash: scenario.hash.clone(),
            seed: options.seed,
            started: humantime::format_rfc3339_millis(self.started).to_string(),
            duration_s: self.duration.as_secs_f64(),
            drain_s: self.drain.as_secs_f64(),
            warm_up_s: scenario.load.warm_up.as_secs_f64(),
            target: options.url.to_string(),
            versions: Versions { generator: options.version.clone(), server: server_version },
            machine: Machine::here(),
            generators: 1,
            parts: Parts { of: options.part.of, present: vec![options.part.index + 1] },
            interrupted: self.interrupted,
        }
    }

    /// What was to be sent, and whether the generator could.
    fn load(&mut self, scenario: &Scenario, part: Part, replays: u64) -> Load {
        let busiest = self.ended.iter().map(Ended::cpu_share).fold(0.0, f64::max);
        let mut late = no_latencies();
        self.ended.iter().for_each(|ended| add(&mut late, &ended.lateness));
        let (mode, arrivals, planned) = planned(&scenario.load, part);
        let mut reasons: Vec<String> = self.ended.iter().flat_map(|ended| ended.failures.clone()).collect();
        // Replays come first: they say how to do better.
        reasons.extend((replays > 0).then(|| {
            format!(
                "{replays} answers were given before, to another run with the same names and keys: these figures are \
                 of replays; take another --run-id, or none"
            )
        }));
        let limits = limits(mode, busiest, &late);
        let limit_reached = !limits.is_empty();
        reasons.extend(limits);
        let unfinished: usize = self.ended.iter().map(|ended| ended.unfinished).sum();
        if unfinished > 0 {
            let second = (self.duration + self.drain).as_secs_f64();
            self.events
                .push(Event { second, text: format!("{unfinished} flows had not ended and were given up") });
        }
        Load {
            mode,
            arrivals,
            planned,
            connections: u32::try_from(self.connections).unwrap_or(u32::MAX),
            workers: u32::try_from(self.ended.len()).unwrap_or(u32::MAX),
            valid: reasons.is_empty(),
            invalid_reasons: reasons,
            limit_reached,
            cpu_share: busiest,
            cost: self.cost(&late),
            lateness: Lateness::default(),
        }
    }

    /// What the load cost the generator.
    fn cost(&self, late: &Latencies) -> Cost {
        let requests: u64 = self.recorded.seconds.values().map(SecondRecorded::started).sum();
        let cpu_s = self.ended.iter().map(|ended| ended.cpu).sum::<Duration>().as_secs_f64();
        let wall_s = self.ended.iter().map(|ended| ended.wall).max().unwrap_or_default().as_secs_f64();
        Cost {
            cpu_s,
            cores: if wall_s > 0.0 { cpu_s / wall_s } else { 0.0 },
            requests_per_core_s: (cpu_s > 0.0).then(|| requests as f64 / cpu_s),
            start_lateness: Percentiles::of(late),
        }
    }
}

/// In what the generator was the limit, and not the server.
fn limits(mode: Mode, busiest: f64, late: &Latencies) -> Vec<String> {
    let mut limits = Vec::new();
    if busiest > MOST_BUSY {
        limits.push(format!(
            "the generator was the limit: its busiest thread used {:.0} % of a processor; give it more --threads",
            busiest * 100.0
        ));
    }
    let p99 = Duration::from_micros(late.value_at_quantile(0.99));
    if mode == Mode::Open && p99 > MOST_LATE {
        limits.push(format!(
            "the generator was the limit: one flow of a hundred started {p99:?} late or more, without any wait for \
             a connection"
        ));
    }
    limits
}

impl Ended {
    fn cpu_share(&self) -> f64 {
        if self.wall.is_zero() { 0.0 } else { self.cpu.as_secs_f64() / self.wall.as_secs_f64() }
    }
}

fn add(sum: &mut Latencies, other: &Latencies) {
    for step in other.iter_recorded() {
        sum.saturating_record_n(step.value_iterated_to(), step.count_at_value());
    }
}

/// The plan as the report shows it, this generator's part of it.
fn planned(load: &model::Load, part: Part) -> (Mode, Option<Arrivals>, Vec<PlannedRate>) {
    let Shape::Open { arrivals, curve } = &load.shape else { return (Mode::Closed, None, Vec::new()) };
    let arrivals = match arrivals {
        model::Arrivals::Poisson => Arrivals::Poisson,
        model::Arrivals::Constant => Arrivals::Constant,
    };
    let point =
        |at: Duration, rate: f64| PlannedRate { at_s: at.as_secs_f64(), rate: rate / f64::from(part.of) };
    let first = curve.points().first().filter(|_| !load.warm_up.is_zero());
    let warm_up = first.map(|first| point(Duration::ZERO, first.rate));
    let curve = curve.points().iter().map(|at| point(load.warm_up + at.at, at.rate));
    (Mode::Open, Some(arrivals), warm_up.into_iter().chain(curve).collect())
}
