//! A made-up flash sale, told to a recorder as a generator would: a spike, a server killed in the middle, stock that
//! runs out. Every figure comes from a seed.

use std::time::{Duration, Instant};

use relampago_load::Rng;
use relampago_load::record::{Clock, Kind, Outcome, Recorded, Recorder, StepId, Times};
use relampago_load::summary::document::{
    Arrivals, Audit, AuditCheck, AuditState, Cost, Event, Load, Machine, Mode, Outage, Parts, Percentiles,
    PlannedRate, Run, ServerSample, Stock, Versions,
};
use relampago_load::summary::{Condition, Facts, Summary};

const BUY: StepId = StepId(0);
const PAY: StepId = StepId(1);
/// When the server is killed and when it answers again, in seconds.
const DOWN: (f64, f64) = (22.3, 23.9);
const SECONDS: u32 = 60;
const UNITS: [(&str, i64); 3] = [("LAMP-STORM", 26_000), ("LAMP-DECK", 9_000), ("WICK-10", 3_000)];

/// What can be varied about the sale.
#[derive(Clone, Copy)]
pub(crate) struct Plot {
    pub(crate) seed: u64,
    /// Multiplies every latency.
    pub(crate) slowness: f64,
    /// Whether the server is killed in the middle.
    pub(crate) killed: bool,
    /// Multiplies every rate.
    pub(crate) crowd: f64,
}

impl Default for Plot {
    fn default() -> Self {
        Self { seed: 42, slowness: 1.0, killed: true, crowd: 1.0 }
    }
}

/// The document of the sale.
pub(crate) fn told(plot: Plot) -> Summary {
    let conditions = ["buy.ok.p99 < 250ms", "failed_ratio < 1%", "buy.ok_rate > 200"];
    let conditions = conditions.map(|text| Condition::parse(text, &["buy", "pay"]).unwrap());
    let mut teller = Teller::new(plot);
    for second in 0..SECONDS {
        teller.second(second);
    }
    Summary::new(&teller.recorded, teller.facts, &conditions)
}

struct Teller {
    plot: Plot,
    rng: Rng,
    clock: Clock,
    recorder: Recorder,
    recorded: Recorded,
    facts: Facts,
    available: Vec<(&'static str, i64)>,
}

impl Teller {
    fn new(plot: Plot) -> Self {
        let clock = Clock { epoch: Instant::now(), warm_up: Duration::from_secs(3) };
        let steps = ["buy", "pay"].map(str::to_owned);
        let recorded = Recorded::new(steps, clock.warm_up);
        let (rng, recorder) = (Rng::new(plot.seed), Recorder::new(2, clock));
        Self { plot, rng, clock, recorder, recorded, facts: facts_of_sale(plot), available: UNITS.to_vec() }
    }

    fn second(&mut self, second: u32) {
        let start = f64::from(second);
        let count = rate_at(&self.facts.load.planned, start + 0.5).round() as u32;
        for number in 0..count {
            self.buy(start + f64::from(number) / f64::from(count));
        }
        self.recorded.absorb(&self.recorder);
        self.recorder.clear();
        for &(sku, available) in &self.available {
            self.facts.stock.push(Stock { second: start + 1.0, sku: sku.to_owned(), available });
        }
        self.sample_server(start, count);
    }

    fn buy(&mut self, at: f64) {
        let late = 4e-6 * (1.0 + self.normal().abs() * 4.0);
        self.recorder.flow_started(self.at(at + late));
        let sku = self.available.get_mut([0, 0, 0, 1, 2][self.rng.below(5) as usize]).unwrap();
        let sold_out = sku.1 <= 0;
        let down = self.plot.killed && (DOWN.0..DOWN.1).contains(&at);
        let outcome = match self.rng.below(100) {
            0..20 if down => Outcome::Reset,
            20..35 if down => Outcome::Connect,
            0..3 if !down && (8.0..14.0).contains(&at) => {
                Outcome::Status { status: 503, code: Some("overloaded") }
            }
            _ if sold_out => Outcome::Status { status: 409, code: Some("out_of_stock") },
            _ => Outcome::Status { status: 201, code: None },
        };
        let wait = if down { DOWN.1 - at + 0.05 * self.rng.below(100) as f64 / 100.0 } else { 0.0 };
        let ok = outcome.usual_kind() == Kind::Ok;
        if ok {
            self.available.iter_mut().find(|own| own.1 > 0 && !sold_out).unwrap().1 -= 1;
        }
        let mut latency = self.latency(at) * if sold_out { 0.5 } else { 1.0 };
        latency += if outcome.is_waited_for() { wait } else { 0.002 };
        self.request(BUY, outcome, (at, late, latency));
        let end = at + late + latency;
        if ok && self.rng.percent(60) {
            let code = if self.rng.percent(4) { Some("card_declined") } else { None };
            let status = if code.is_some() { 402 } else { 200 };
            let latency = self.latency(at) * 1.3;
            self.request(PAY, Outcome::Status { status, code }, (end, 3e-6, latency));
        }
        self.recorder.flow_finished(self.at(end));
    }

    fn request(&mut self, step: StepId, outcome: Outcome<'_>, (intended, late, latency): (f64, f64, f64)) {
        let times = Times {
            intended: self.at(intended),
            due: self.at(intended),
            sent: self.at(intended + late),
            finished: self.at(intended + late + latency),
        };
        self.recorder.started(step, times.sent);
        self.recorder.answered(step, &outcome, outcome.usual_kind(), times);
    }

    /// Seconds; longer under the spike, with a heavy tail.
    fn latency(&mut self, at: f64) -> f64 {
        let spike = rate_at(&self.facts.load.planned, at) / (8_000.0 * self.plot.crowd);
        let usual = 0.0018 * (1.0 + 3.0 * spike * spike) * (self.normal() * (0.25 + 0.25 * spike)).exp();
        let tail = if self.rng.below(1_000) < 4 { 0.02 * self.normal().abs() } else { 0.0 };
        (usual + tail) * self.plot.slowness
    }

    fn sample_server(&mut self, second: f64, count: u32) {
        if self.plot.killed && (DOWN.0 - 1.0..DOWN.1).contains(&second) {
            return;
        }
        let noise = 1.0 + 0.08 * self.normal();
        let rounded = |figure: f64| Some((figure * 100.0).round() / 100.0);
        self.facts.server.push(ServerSample {
            second: second + 1.0,
            batch_size: rounded(1.0 + f64::from(count) / 420.0 * noise),
            fsync_us: rounded(310.0 * noise + f64::from(count) / 80.0),
            queue_depth: rounded((f64::from(count) / 310.0 * noise).round()),
        });
    }

    /// Roughly normal, by the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.rng.below(1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
    }

    fn at(&self, seconds: f64) -> Instant {
        self.clock.epoch + Duration::from_secs_f64(seconds)
    }
}

/// What every made-up run has beside its requests: arrivals along a curve, one generator, an audit that found nothing.
pub(crate) fn facts(scenario: &str, seed: u64, curve: &[(f64, f64)]) -> Facts {
    let planned: Vec<_> = curve.iter().map(|&(at_s, rate)| PlannedRate { at_s, rate }).collect();
    let check = |name: &str, detail: &str| AuditCheck {
        name: name.to_owned(),
        passed: Some(true),
        detail: detail.to_owned(),
    };
    Facts {
        run: Run {
            scenario: scenario.to_owned(),
            description: String::new(),
            id: "5ca1ab1e0000".to_owned(),
            scenario_hash: "0123456789abcdef".to_owned(),
            seed,
            started: "2026-03-01T12:00:00Z".to_owned(),
            duration_s: planned.last().map_or(0.0, |point| point.at_s),
            drain_s: 0.0,
            warm_up_s: 0.0,
            target: "http://127.0.0.1:8080".to_owned(),
            versions: Versions { generator: "0.1.0".to_owned(), server: Some("0.1.0".to_owned()) },
            machine: Machine {
                cpus: 2,
                cpu_model: "Example CPU @ 2.60GHz".to_owned(),
                kernel: "Linux 6.1.0".to_owned(),
                memory_bytes: 24 << 30,
            },
            generators: 1,
            parts: Parts::default(),
            interrupted: false,
        },
        load: Load {
            mode: Mode::Open,
            arrivals: Some(Arrivals::Poisson),
            planned,
            connections: 16,
            workers: 1,
            valid: true,
            invalid_reasons: Vec::new(),
            limit_reached: false,
            cpu_share: 0.25,
            cost: Cost {
                cpu_s: 0.75,
                cores: 0.25,
                requests_per_core_s: Some(8.0),
                start_lateness: Percentiles {
                    p50: Some(12),
                    max: Some(90),
                    mean: Some(20.5),
                    ..Percentiles::default()
                },
            },
            lateness: Default::default(),
        },
        stock: Vec::new(),
        events: Vec::new(),
        outages: Vec::new(),
        server: Vec::new(),
        audit: Audit {
            state: AuditState::Made,
            reason: None,
            checks: vec![
                check("conservation", "stocked = available + reserved + sold, none negative"),
                check("orders", "every acknowledged order is there, with equal items and total"),
            ],
        },
        ledger: None,
    }
}

fn facts_of_sale(plot: Plot) -> Facts {
    let curve = [(0.0, 300.0), (5.0, 300.0), (8.0, 4_000.0), (13.0, 4_000.0), (38.0, 500.0), (60.0, 500.0)];
    let event = |second, text: &str| Event { second, text: text.to_owned() };
    let mut facts = facts("flash-sale", plot.seed, &curve.map(|(at_s, rate)| (at_s, rate * plot.crowd)));
    facts.run.description =
        "A quiet minute, then everybody at once; the server is killed in the middle.".to_owned();
    facts.run.warm_up_s = 3.0;
    facts.load.connections = 512;
    facts.load.workers = 2;
    facts.load.cpu_share = 0.37;
    facts.stock =
        UNITS.iter().map(|&(sku, available)| Stock { second: 0.0, sku: sku.to_owned(), available }).collect();
    if plot.killed {
        facts.events = vec![event(DOWN.0, "server killed"), event(DOWN.1, "server ready")];
        facts.outages = vec![Outage { from_s: DOWN.0, to_s: Some(DOWN.1), requests: 900 }];
    }
    facts
}

fn rate_at(curve: &[PlannedRate], at: f64) -> f64 {
    let piece = curve.windows(2).find(|piece| (piece[0].at_s..piece[1].at_s).contains(&at));
    piece.map_or(0.0, |piece| {
        piece[0].rate
            + (piece[1].rate - piece[0].rate) * (at - piece[0].at_s) / (piece[1].at_s - piece[0].at_s)
    })
}
