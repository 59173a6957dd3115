//! The load of a run: starts the workers and those who watch, and collects what they write down.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::caller::Caller;
use super::exposed;
use super::options::{Events, LoadProgress, Options, Progress, RunError, Stop, told_more};
use super::prepared::{Plan, PrepareError, Prepared, step_names};
use super::report::Report;
use super::setup::index_slot;
use super::watch::{Seen, StockWatcher, watch_server, watch_stock};
use super::worker::{News, Orders, Phase, work};
use crate::record::{Kind, Recorded, Recorder, StepId, exposition};
use crate::scenario::Scenario;
use crate::scenario::generator::Part;
use crate::scenario::model::{self, Shape};
use crate::scenario::template::Values;
use crate::verify::Notes;

/// From the order to start to the first flow: time for every thread to hear of it.
const RUN_UP: Duration = Duration::from_millis(100);
/// Messages of the workers that wait for the leader.
const NEWS: usize = 256;
/// How long flows under way may take after an interruption.
const HURRY: Duration = Duration::from_secs(5);

/// A run whose workers are at work.
pub(super) struct Leader<'a> {
    scenario: &'a Scenario,
    notes: Arc<Notes>,
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

impl<'a> Leader<'a> {
    /// Opens all connections, and starts the clock.
    pub(super) async fn start(
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
            let part = options.part.nested(index as u32, count as u32);
            let clients = match scenario.load.shape {
                Shape::Closed { clients, .. } => part.of_whole(u64::from(clients)) as usize,
                Shape::Open { .. } => 0,
            };
            let orders = Orders {
                plan: Arc::clone(plan),
                notes: Arc::clone(notes),
                load: load.clone(),
                target: options.target.clone(),
                part,
                connections: part.of_whole(scenario.load.connections as u64) as usize,
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
            notes: Arc::clone(notes),
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
    pub(super) async fn lead(
        mut self,
        mut stop: watch::Receiver<Stop>,
        mut events: Events,
        mut progress: impl FnMut(&Progress),
    ) -> Report {
        let mut report = Report::new(self.recorded.clone(), self.started, self.connections);
        let mut stock = BTreeMap::new();
        let mut ticks =
            interval_at((self.epoch + Duration::from_millis(1_050)).into(), Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut deadline, mut told) = (None, Stop::No);
        let mut window = self.scenario.load.warm_up + self.scenario.load.duration();
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
                    progress(&Progress::Load(self.progress(elapsed, window, &stock)));
                    if self.exposed {
                        self.page.send_replace(exposition(&self.recorded));
                    }
                }
                more = told_more(&mut stop, told) => {
                    if told == Stop::No {
                        report.interrupted = true;
                        report.event(self.epoch, "cut short by the user".to_owned());
                        window = window.min(self.epoch.elapsed());
                    }
                    told = more;
                    self.phase.send_replace(if more == Stop::Now { Phase::Left } else { Phase::Stopped });
                    deadline = (more == Stop::Soon).then(|| Instant::now() + HURRY);
                }
                () = sleep_until(deadline) => {
                    deadline = None;
                    self.phase.send_replace(Phase::Left);
                }
            }
        }
        report.duration = window.min(self.epoch.elapsed());
        report.drain = self.epoch.elapsed().saturating_sub(report.duration);
        report.outages = self.notes.outages.since(self.epoch, Instant::now());
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
        report
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

    /// `window`: how long flows start.
    fn progress(&self, elapsed: Duration, window: Duration, stock: &BTreeMap<String, i64>) -> LoadProgress {
        let last = u32::try_from(elapsed.as_secs().saturating_sub(1)).unwrap_or(u32::MAX);
        let second = self.recorded.seconds.get(&last);
        LoadProgress {
            elapsed,
            whole: window,
            draining: (elapsed > window).then(|| self.recorded.flows_under_way()),
            answered: Kind::ALL.map(|kind| second.map_or(0, |second| second.finished(kind))),
            p99_us: second.and_then(|second| second.latency().quantile(0.99)),
            stock: stock.clone(),
        }
    }
}

/// The load with this generator's share of the flows of a closed loop.
fn share_of_flows(load: &model::Load, part: Part) -> model::Load {
    let mut load = load.clone();
    if let Shape::Closed { flows: Some(flows), .. } = &mut load.shape {
        *flows = part.of_whole(*flows);
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

/// Second zero by both clocks: the given one, or soon.
///
/// # Errors
/// If the moment has passed.
#[expect(clippy::disallowed_methods, reason = "several generators agree on a moment of the day")]
pub(super) fn moment(start_at: Option<SystemTime>) -> Result<(Instant, SystemTime), RunError> {
    let (now, day) = (Instant::now(), SystemTime::now());
    let Some(at) = start_at else { return Ok((now + RUN_UP, day + RUN_UP)) };
    let left = at.duration_since(day).map_err(|_| RunError::TooLate { at, now: day })?;
    Ok((now + left, at))
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

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
