//! The run as a whole: starts the workers, collects what they write down, and sums up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::address::Url;
use super::arrivals::Share;
use super::caller::Caller;
use super::exposed;
use super::prepared::{Globals, Plan, PrepareError, Prepared, step_names};
use super::setup::{SetUpError, index_slot, set_up};
use super::watch::{Seen, StockWatcher, watch_server, watch_stock};
use super::worker::{Ended, News, Orders, Phase, work};
use crate::audit::Auditor;
use crate::record::{Kind, Latencies, Recorded, Recorder, StepId, exposition, no_latencies};
use crate::scenario::Scenario;
use crate::scenario::generator::Part;
use crate::scenario::model::{self, Shape};
use crate::scenario::template::Values;
use crate::summary::document::{
    Arrivals, Audit, Event, Lateness, Load, Machine, Mode, PlannedRate, Run, ServerSample, Stock, Versions,
};
use crate::summary::{Facts, Summary};
use crate::target::Target;
use crate::verify::{Notes, anomalies, audit_steps, books};

/// From the order to start to the first flow: time for every thread to hear of it.
const RUN_UP: Duration = Duration::from_millis(100);
/// Messages of the workers that wait for the leader.
const NEWS: usize = 256;
/// A worker thread that was busy for a larger share of the time was the limit, not the server.
const MOST_BUSY: f64 = 0.9;
/// So was one that started one flow of a hundred later than this.
const MOST_LATE: Duration = Duration::from_millis(10);
/// How long flows under way may take after an interruption.
const HURRY: Duration = Duration::from_secs(5);

/// How to run a scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shop, as the report names it.
    pub url: Url,
    /// Where it listens; may change while the run goes on.
    pub target: Target,
    /// What `{{api_key}}` stands for, and the audit's credential.
    pub api_key: Option<String>,
    /// Decides every choice. All generators of a run have the same.
    pub seed: u64,
    /// Which of several generators this is.
    pub part: Part,
    /// Worker threads; none is a half of the processors.
    pub threads: Option<usize>,
    /// When second zero is; none is as soon as everything is ready.
    pub start_at: Option<SystemTime>,
    /// Where the run's own metrics are to be fetched.
    pub metrics: Option<SocketAddr>,
    /// The version of the program, for the report.
    pub version: String,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// The scenario cannot be run like this.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The set-up failed.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// The connections could not be opened.
    #[error("{0}")]
    Connections(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The run's own metrics cannot be offered.
    #[error("cannot listen on {address}: {source}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The moment has passed.
    #[error("the start was {0:?} ago")]
    TooLate(Duration),
    /// The audit has no credential.
    #[error("an audit of kind `relampago` reads all orders: give a credential of staff with --api-key")]
    NoCredential,
}

/// How a run stands, once a second.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since second zero.
    pub elapsed: Duration,
    /// How long the load takes, with its warm-up.
    pub whole: Duration,
    /// Requests answered in the last second, by [`Kind`].
    pub answered: [u64; 4],
    /// 99th percentile of their latencies, microseconds.
    pub p99_us: Option<u64>,
    /// What is left, by sku.
    pub stock: BTreeMap<String, i64>,
}

/// What happened besides; given to [`run`] by its caller while it goes on.
pub type Events = mpsc::Receiver<String>;

/// Runs a scenario to its end, or until `stop` says so. `events` are put into the report with their time.
///
/// # Errors
/// If there was nothing to report: before the load began.
pub async fn run(
    scenario: &Scenario,
    options: Options,
    stop: watch::Receiver<bool>,
    events: Events,
    progress: impl FnMut(&Progress),
) -> Result<Summary, RunError> {
    if matches!(scenario.audit, model::Audit::Relampago { .. }) && options.api_key.is_none() {
        return Err(RunError::NoCredential);
    }
    let notes = Arc::new(Notes::default());
    let mut globals =
        Globals::new(scenario, &options.url, options.seed, options.api_key.clone(), options.part);
    let mut caller = Caller::new(options.target.clone());
    if options.part.index == 0 {
        set_up(scenario, &mut globals, &mut caller, &notes).await?;
    }
    globals.settle(scenario)?;
    let plan = Plan::new(scenario, globals)?;
    let server_version = version_of_server(scenario, &plan.globals, &mut caller).await?;
    let leader = Leader::start(scenario, &options, &plan, &notes).await?;
    let (mut report, interrupted) = leader.lead(stop, events, progress).await;
    let audit = audit(scenario, &options, &plan, &notes, &report.recorded, &mut caller).await?;
    let load = report.load(scenario, options.part);
    let facts = Facts {
        run: Run {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            seed: options.seed,
            started: humantime::format_rfc3339_millis(report.started).to_string(),
            duration_s: report.duration.as_secs_f64(),
            warm_up_s: scenario.load.warm_up.as_secs_f64(),
            target: options.url.to_string(),
            versions: Versions { generator: options.version.clone(), server: server_version },
            machine: Machine::here(),
            generators: 1,
            interrupted,
        },
        load,
        stock: std::mem::take(&mut report.stock),
        events: std::mem::take(&mut report.events),
        server: std::mem::take(&mut report.server),
        audit,
    };
    Ok(Summary::new(&report.recorded, facts, &scenario.thresholds))
}

async fn version_of_server(
    scenario: &Scenario,
    globals: &Globals,
    caller: &mut Caller,
) -> Result<Option<String>, PrepareError> {
    let Some((step, place)) = &scenario.server.version else { return Ok(None) };
    let prepared = Prepared::new(step, StepId(0), globals)?;
    Ok(caller.figure(&prepared, place, &Values::default()).await)
}

async fn audit(
    scenario: &Scenario,
    options: &Options,
    plan: &Plan,
    notes: &Notes,
    recorded: &Recorded,
    caller: &mut Caller,
) -> Result<Audit, PrepareError> {
    let checks = match &scenario.audit {
        model::Audit::None => Vec::from_iter(anomalies(notes)),
        model::Audit::Relampago { patience } => {
            let api_key = options.api_key.clone().unwrap_or_default();
            let auditor = Auditor { target: options.target.clone(), api_key };
            books(&auditor, notes, options.part.of == 1, *patience).await
        }
        model::Audit::Steps { steps, patience } => {
            audit_steps(caller, scenario, steps, &plan.globals, notes, recorded, *patience).await?
        }
    };
    Ok(Audit { ran: !checks.is_empty(), checks })
}

/// A run whose workers are at work.
struct Leader<'a> {
    scenario: &'a Scenario,
    phase: watch::Sender<Phase>,
    news: mpsc::Receiver<News>,
    spare: Vec<mpsc::Sender<Recorder>>,
    threads: Vec<thread::JoinHandle<()>>,
    recorded: Recorded,
    epoch: Instant,
    started: SystemTime,
    watchers: JoinSet<()>,
    seen: mpsc::Receiver<Seen>,
    page: watch::Sender<String>,
    exposed: bool,
    /// Connections of this generator.
    connections: usize,
}

/// What a run came to, before it is audited.
struct Report {
    recorded: Recorded,
    started: SystemTime,
    duration: Duration,
    stock: Vec<Stock>,
    server: Vec<ServerSample>,
    events: Vec<Event>,
    ended: Vec<Ended>,
    connections: usize,
}

impl<'a> Leader<'a> {
    /// Opens all connections, and starts the clock.
    async fn start(
        scenario: &'a Scenario,
        options: &Options,
        plan: &Arc<Plan>,
        notes: &Arc<Notes>,
    ) -> Result<Self, RunError> {
        let (phase, phases) = watch::channel(Phase::Opening);
        let (tell, news) = mpsc::channel(NEWS);
        let (page, pages) = watch::channel(String::new());
        let mut watchers = JoinSet::new();
        if let Some(address) = options.metrics {
            let listener = exposed::listen(address).await;
            let listener = listener.map_err(|source| RunError::Metrics { address, source })?;
            watchers.spawn(exposed::serve(listener, pages));
        }
        let count = threads(options, &scenario.load);
        let begun = Arc::new(AtomicU64::new(0));
        let (mut spare, mut threads, mut connections) = (Vec::new(), Vec::new(), 0);
        let load = share_of_flows(&scenario.load, options.part);
        for index in 0..count {
            let (give_back, given_back) = mpsc::channel(2);
            let share = Share {
                index: options.part.index * count as u32 + index as u32,
                of: options.part.of * count as u32,
            };
            let clients = match scenario.load.shape {
                Shape::Closed { clients, .. } => share.of_whole(clients as usize),
                Shape::Open { .. } => 0,
            };
            let orders = Orders {
                plan: Arc::clone(plan),
                notes: Arc::clone(notes),
                load: load.clone(),
                target: options.target.clone(),
                share,
                connections: share.of_whole(scenario.load.connections),
                clients,
                phase: phases.clone(),
                index,
                news: tell.clone(),
                spare: given_back,
                begun: Arc::clone(&begun),
            };
            let thread = thread::Builder::new().name(format!("load-{index}"));
            connections += orders.connections;
            threads.push(thread.spawn(move || work(orders)).map_err(RunError::Thread)?);
            spare.push(give_back);
        }
        drop(tell);
        let news = all_ready(news, count).await?;
        let (epoch, started) = moment(options.start_at)?;
        phase.send_replace(Phase::Started(epoch));
        let (see, seen) = mpsc::channel(NEWS);
        watch_all(scenario, options, plan, epoch, &see, &mut watchers)?;
        let recorded = Recorded::new(step_names(scenario), scenario.load.warm_up);
        let exposed = options.metrics.is_some();
        Ok(Self {
            scenario,
            phase,
            news,
            spare,
            threads,
            recorded,
            epoch,
            started,
            watchers,
            seen,
            page,
            exposed,
            connections,
        })
    }

    /// Collects until all workers have ended.
    async fn lead(
        mut self,
        mut stop: watch::Receiver<bool>,
        mut events: Events,
        mut progress: impl FnMut(&Progress),
    ) -> (Report, bool) {
        let mut report = Report::new(&self);
        let mut stock = BTreeMap::new();
        let mut ticks =
            interval_at((self.epoch + Duration::from_millis(1_050)).into(), Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut interrupted = false;
        let mut deadline = None;
        while report.ended.len() < self.threads.len() {
            tokio::select! {
                news = self.news.recv() => match news {
                    None => break,
                    Some(News::Recorded(worker, recorder)) => self.absorb(worker, recorder),
                    Some(News::Ended(ended)) => report.ended.push(*ended),
                    Some(News::Ready(_)) => {}
                },
                Some(seen) = self.seen.recv() => match seen {
                    Seen::Server(sample) => report.server.push(sample),
                    Seen::Stock(samples) => {
                        stock.extend(samples.iter().map(|sample| (sample.sku.clone(), sample.available)));
                        report.stock.extend(samples);
                    }
                },
                Some(text) = events.recv() => report.event(self.epoch, text),
                _ = ticks.tick() => {
                    let elapsed = self.epoch.elapsed();
                    progress(&self.progress(elapsed, &stock));
                    if self.exposed {
                        self.page.send_replace(exposition(&self.recorded));
                    }
                }
                () = asked(&mut stop), if !interrupted => {
                    interrupted = true;
                    report.event(self.epoch, "interrupted".to_owned());
                    self.phase.send_replace(Phase::Stopped);
                    deadline = Some(Instant::now() + HURRY);
                }
                () = sleep_until(deadline) => {
                    deadline = None;
                    self.phase.send_replace(Phase::Left);
                }
            }
        }
        report.duration = self.epoch.elapsed();
        while let Ok(text) = events.try_recv() {
            report.event(self.epoch, text);
        }
        self.watchers.shutdown().await;
        for thread in self.threads {
            if thread.join().is_err() {
                report.event(self.epoch, "a worker thread died".to_owned());
            }
        }
        report.recorded = self.recorded;
        (report, interrupted)
    }
}

impl Leader<'_> {
    /// Adds up what a worker wrote down, and gives the recorder back.
    fn absorb(&mut self, worker: usize, mut recorder: Box<Recorder>) {
        self.recorded.absorb(&recorder);
        recorder.clear();
        if let Some(spare) = self.spare.get(worker) {
            // A worker that has one already, or has ended, needs none.
            let _full = spare.try_send(*recorder);
        }
    }

    fn progress(&self, elapsed: Duration, stock: &BTreeMap<String, i64>) -> Progress {
        let last = u32::try_from(elapsed.as_secs().saturating_sub(1)).unwrap_or(u32::MAX);
        let second = self.recorded.seconds.get(&last);
        Progress {
            elapsed,
            whole: self.scenario.load.warm_up + self.scenario.load.duration(),
            answered: Kind::ALL.map(|kind| second.map_or(0, |second| second.finished(kind))),
            p99_us: second.and_then(|second| second.latency().quantile(0.99)),
            stock: stock.clone(),
        }
    }
}

impl Report {
    fn new(leader: &Leader<'_>) -> Self {
        Self {
            recorded: leader.recorded.clone(),
            started: leader.started,
            duration: Duration::ZERO,
            stock: Vec::new(),
            server: Vec::new(),
            events: Vec::new(),
            ended: Vec::new(),
            connections: leader.connections,
        }
    }

    fn event(&mut self, epoch: Instant, text: String) {
        self.events.push(Event { second: epoch.elapsed().as_secs_f64(), text });
    }

    /// What was to be sent, and whether the generator could.
    fn load(&mut self, scenario: &Scenario, part: Part) -> Load {
        let busiest = self.ended.iter().map(Ended::cpu_share).fold(0.0, f64::max);
        let mut late = no_latencies();
        self.ended.iter().for_each(|ended| add(&mut late, &ended.lateness));
        let (mode, arrivals, planned) = planned(&scenario.load, part);
        let mut reasons: Vec<String> = self.ended.iter().flat_map(|ended| ended.failures.clone()).collect();
        if busiest > MOST_BUSY {
            reasons.push(format!(
                "the generator was the limit: its busiest thread used {:.0} % of a processor; give it more --threads",
                busiest * 100.0
            ));
        }
        let p99 = Duration::from_micros(late.value_at_quantile(0.99));
        if mode == Mode::Open && p99 > MOST_LATE {
            reasons.push(format!(
                "the generator was the limit: one flow of a hundred started {p99:?} late or more, without any wait for \
                 a connection"
            ));
        }
        self.tell_cost(&late);
        let unfinished: usize = self.ended.iter().map(|ended| ended.unfinished).sum();
        if unfinished > 0 {
            let second = self.duration.as_secs_f64();
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
            cpu_share: busiest,
            lateness: Lateness::default(),
        }
    }

    /// What a request cost the generator.
    fn tell_cost(&mut self, late: &Latencies) {
        let requests: u64 = self.recorded.seconds.values().map(crate::record::SecondRecorded::started).sum();
        let cpu: Duration = self.ended.iter().map(|ended| ended.cpu).sum();
        if requests > 0 && !cpu.is_zero() {
            let each = cpu.as_secs_f64() * 1e6 / requests as f64;
            let late = Duration::from_micros(late.value_at_quantile(0.99));
            let text = format!(
                "the generator used {each:.1} µs of CPU a request, and started flows {late:?} late (p99)"
            );
            self.events.push(Event { second: self.duration.as_secs_f64(), text });
        }
    }
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

/// The load with this generator's share of the flows of a closed loop.
fn share_of_flows(load: &model::Load, part: Part) -> model::Load {
    let mut load = load.clone();
    if let Shape::Closed { flows: Some(flows), .. } = &mut load.shape {
        let (of, index) = (u64::from(part.of), u64::from(part.index));
        *flows = *flows / of + u64::from(index < *flows % of);
    }
    load
}

/// Half of the processors: the server may need the others.
fn threads(options: &Options, load: &model::Load) -> usize {
    let most = match load.shape {
        Shape::Closed { clients, .. } => load.connections.min(clients as usize),
        Shape::Open { .. } => load.connections,
    };
    options
        .threads
        .unwrap_or(thread::available_parallelism().map_or(1, NonZero::get) / 2)
        .clamp(1, most.max(1))
}

/// Waits until every worker has its connections.
async fn all_ready(mut news: mpsc::Receiver<News>, count: usize) -> Result<mpsc::Receiver<News>, RunError> {
    for _ in 0..count {
        match news.recv().await {
            Some(News::Ready(Ok(()))) => {}
            Some(News::Ready(Err(problem))) => return Err(RunError::Connections(problem)),
            Some(News::Ended(ended)) => return Err(RunError::Connections(ended.failures.join("; "))),
            _ => return Err(RunError::Connections("a worker thread died".to_owned())),
        }
    }
    Ok(news)
}

/// Second zero by both clocks.
#[expect(clippy::disallowed_methods, reason = "several generators agree on a moment of the day")]
fn moment(start_at: Option<SystemTime>) -> Result<(Instant, SystemTime), RunError> {
    let (now, day) = (Instant::now(), SystemTime::now());
    let Some(at) = start_at else { return Ok((now + RUN_UP, day + RUN_UP)) };
    match at.duration_since(day) {
        Ok(left) => Ok((now + left, at)),
        Err(past) => Err(RunError::TooLate(past.duration())),
    }
}

/// Starts to look at the stock and at the server's metrics, as the scenario says. One generator of several does.
fn watch_all(
    scenario: &Scenario,
    options: &Options,
    plan: &Plan,
    epoch: Instant,
    see: &mpsc::Sender<Seen>,
    watchers: &mut JoinSet<()>,
) -> Result<(), PrepareError> {
    if options.part.index > 0 {
        return Ok(());
    }
    let mut values = Values::default();
    values.clear(scenario.names.len());
    if let (Some(stock), Some(index)) = (&scenario.stock, index_slot(scenario)) {
        let watcher = StockWatcher {
            step: Prepared::new(&stock.step, StepId(0), &plan.globals)?,
            sku: plan.globals.bind(&stock.sku, "stock")?,
            available: stock.available.clone(),
            index,
            values,
        };
        let caller = Caller::new(options.target.clone());
        watchers.spawn(watch_stock(watcher, caller, stock.every, epoch, see.clone()));
    }
    if let Some(metrics) = &scenario.server.metrics {
        let step = Prepared::new(metrics, StepId(0), &plan.globals)?;
        let caller = Caller::new(options.target.clone());
        watchers.spawn(watch_server(step, scenario.server.clone(), caller, epoch, see.clone()));
    }
    Ok(())
}

/// Returns when the run is to be stopped; never, if nobody can say so any more.
async fn asked(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
