//! A thread of the generator: its own runtime, its own connections, its share of the flows.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{MissedTickBehavior, interval_at, timeout, timeout_at};

use super::alarm::Alarm;
use super::arrivals::Starts;
use super::crew::Crew;
use super::pool::Pool;
use super::prepared::Plan;
use super::shopper::Shop;
use crate::record::{Clock, Latencies, Recorder, no_latencies};
use crate::scenario::curve::Curve;
use crate::scenario::generator::Part;
use crate::scenario::model::{Arrivals, Load, Shape};
use crate::target::Target;
use crate::verify::Notes;

/// How often a worker hands over what it wrote down.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);
/// Up to this rate of starts, a second on one thread, each has a wake-up of its own.
const EACH_BY_ITSELF: f64 = 4_000.0;
/// Beyond it, so many starts share one on average,
const TOGETHER: f64 = 10.0;
/// but none waits longer for the others.
const MOST_APART: Duration = Duration::from_micros(500);
/// Flows that are started before those that wait for an answer have a turn.
const STARTS_IN_A_ROW: u32 = 32;
/// Connections that are opened at the same time.
const OPENING: usize = 64;

/// How far the run is, as the leader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are opened.
    Opening,
    /// Flows start from this moment on.
    Started(Instant),
    /// No more flows start.
    Stopped,
    /// Flows that have not ended are given up.
    Left,
}

/// What a worker is given.
#[derive(Debug)]
pub(super) struct Orders {
    /// Which worker of this generator.
    pub(super) index: usize,
    pub(super) plan: Arc<Plan>,
    pub(super) notes: Arc<Notes>,
    pub(super) load: Load,
    pub(super) target: Target,
    /// Its part of everything, over all threads of all generators.
    pub(super) part: Part,
    /// Its share of the connections and of the clients of a closed loop.
    pub(super) connections: usize,
    pub(super) clients: usize,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) news: mpsc::Sender<News>,
    /// Empty recorders that come back.
    pub(super) spare: mpsc::Receiver<Recorder>,
    /// Flows started by all threads of a closed loop, which may have a limit.
    pub(super) begun: Arc<AtomicU64>,
}

/// What a worker tells the leader.
#[derive(Debug)]
pub(super) enum News {
    /// Its connections are open, or could not be.
    Ready(Result<(), String>),
    /// Which worker, and what it wrote down.
    Recorded(usize, Box<Recorder>),
    /// It is done.
    Ended(Box<Ended>),
}

/// How a worker did.
#[derive(Debug)]
pub(super) struct Ended {
    /// CPU time of its thread while flows started.
    pub(super) cpu: Duration,
    /// How long that was.
    pub(super) wall: Duration,
    /// How much later than due flows were started, microseconds.
    pub(super) lateness: Latencies,
    /// Flows that had not ended when the time for that was over.
    pub(super) unfinished: usize,
    /// What went wrong in the thread itself.
    pub(super) failures: Vec<String>,
}

/// The body of the thread.
pub(super) fn work(orders: Orders) {
    let news = orders.news.clone();
    let ended = match runtime() {
        Ok(runtime) => runtime.block_on(Worker::new(orders).run()),
        Err(error) => Ended::failed(format!("cannot start a runtime: {error}")),
    };
    // The leader waits for this; if it is gone, so is the run.
    let _gone = news.blocking_send(News::Ended(Box::new(ended)));
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

impl Ended {
    fn failed(problem: String) -> Self {
        let (cpu, wall) = (Duration::ZERO, Duration::ZERO);
        Self { cpu, wall, lateness: no_latencies(), unfinished: 0, failures: vec![problem] }
    }
}

struct Worker {
    orders: Orders,
    /// The tasks that run flows.
    tasks: JoinSet<()>,
    failures: Vec<String>,
}

impl Worker {
    fn new(orders: Orders) -> Self {
        Self { orders, tasks: JoinSet::new(), failures: Vec::new() }
    }

    async fn run(mut self) -> Ended {
        let connections = self.orders.connections.max(1);
        let pool = Rc::new(Pool::new(self.orders.target.clone(), connections));
        let opened = open_all(&pool, connections).await;
        if self.tell(News::Ready(opened)).await.is_err() {
            return Ended::failed("nobody leads the run".to_owned());
        }
        let Some(epoch) = self.start().await else { return Ended::failed("never started".to_owned()) };
        let clock = Clock { epoch, warm_up: self.orders.load.warm_up };
        let steps = self.orders.plan.step_names.len();
        let recorder = Recorder::new(steps, clock);
        let (plan, notes) = (Arc::clone(&self.orders.plan), Arc::clone(&self.orders.notes));
        let shop = Rc::new(Shop::new(plan, pool, recorder, notes, self.planned_end(epoch)));

        let spare = std::mem::replace(&mut self.orders.spare, mpsc::channel(1).1);
        let hand_over =
            hand_over(self.orders.index, Rc::clone(&shop), self.orders.news.clone(), spare, clock);
        let mut clerk = JoinSet::new();
        clerk.spawn_local(hand_over);

        let cpu = thread_time();
        let crew = Crew::new(Rc::clone(&shop));
        self.load(&shop, &crew, epoch).await;
        crew.close();
        let (cpu, wall) = (thread_time().saturating_sub(cpu), epoch.elapsed());
        let unfinished = self.drain(&crew).await;
        clerk.shutdown().await;
        let last = shop.hand_over(Recorder::new(steps, clock));
        let _gone = self.tell(News::Recorded(self.orders.index, Box::new(last))).await;
        let lateness = shop.lateness.replace(no_latencies());
        Ended { cpu, wall, lateness, unfinished, failures: self.failures }
    }

    async fn tell(&self, news: News) -> Result<(), mpsc::error::SendError<News>> {
        self.orders.news.send(news).await
    }

    /// When no more flows start, if all goes as it should.
    fn planned_end(&self, epoch: Instant) -> Instant {
        epoch + self.orders.load.warm_up + self.orders.load.duration()
    }

    /// Waits for the start; none if there is to be none.
    async fn start(&mut self) -> Option<Instant> {
        let phase = self.orders.phase.wait_for(|phase| *phase != Phase::Opening).await.ok()?;
        match *phase {
            Phase::Started(epoch) => Some(epoch),
            _ => None,
        }
    }

    async fn load(&mut self, shop: &Rc<Shop>, crew: &Crew, epoch: Instant) {
        let mut phase = self.orders.phase.clone();
        let load = self.orders.load.clone();
        let stopped = async move {
            // Without a leader there is nothing to go on for.
            let _gone = phase.wait_for(|phase| matches!(phase, Phase::Stopped | Phase::Left)).await;
        };
        let started = async {
            match &load.shape {
                Shape::Open { arrivals, curve } => {
                    let warm_up = curve.points().first().map_or(0.0, |point| point.rate);
                    let warm = Curve::flat(warm_up, load.warm_up);
                    if let (Ok(warm), false) = (warm, load.warm_up.is_zero()) {
                        self.open_loop(crew, &warm, *arrivals, epoch, WARM_UP).await?;
                    }
                    self.open_loop(crew, curve, *arrivals, epoch + load.warm_up, 0).await
                }
                Shape::Closed { flows, .. } => {
                    let end = self.planned_end(epoch);
                    self.closed_loop(shop, epoch, end, flows.unwrap_or(u64::MAX)).await
                }
            }
        };
        let failed = tokio::select! {
            () = stopped => {
                shop.ends_early(Instant::now());
                None
            }
            result = started => result.err(),
        };
        self.failures.extend(failed.map(|error| error.to_string()));
    }

    /// Starts flows when they are due, whatever became of those before. `numbers` sets the flows of a warm-up apart.
    async fn open_loop(
        &mut self,
        crew: &Crew,
        curve: &Curve,
        arrivals: Arrivals,
        begin: Instant,
        numbers: u64,
    ) -> io::Result<()> {
        let mut alarm = Alarm::new()?;
        let seed = self.orders.plan.globals.seed ^ numbers;
        let parts = f64::from(self.orders.part.of);
        let mut in_a_row = 0;
        for (number, at) in Starts::new(curve, arrivals, self.orders.part, seed) {
            let due = begin + at;
            if Instant::now() < due {
                in_a_row = 0;
                alarm.until(due, apart(curve.rate_at(at) / parts)).await?;
            } else if in_a_row == STARTS_IN_A_ROW {
                in_a_row = 0;
                yield_now().await;
            }
            in_a_row += 1;
            crew.start(number | numbers, due, &mut self.tasks);
        }
        alarm.until(begin + curve.duration(), Duration::ZERO).await
    }

    /// Lets each client start a flow when it has ended the last.
    async fn closed_loop(
        &mut self,
        shop: &Rc<Shop>,
        epoch: Instant,
        end: Instant,
        most: u64,
    ) -> io::Result<()> {
        Alarm::new()?.until(epoch, Duration::ZERO).await?;
        for _ in 0..self.orders.clients {
            let (shop, begun, mut phase) =
                (Rc::clone(shop), Arc::clone(&self.orders.begun), self.orders.phase.clone());
            let part = self.orders.part;
            self.tasks.spawn_local(async move {
                let mut at = epoch;
                while at < end && matches!(*phase.borrow_and_update(), Phase::Started(_)) {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
                        break;
                    }
                    let ended = Rc::clone(&shop).flow(part.number(number), at).await;
                    if ended <= at {
                        // A flow that sent nothing must not keep the thread.
                        yield_now().await;
                    }
                    at = Instant::now();
                }
            });
        }
        // The last flow of a client may take as long as `drain` says, as in an open loop.
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.note(ended);
            }
        };
        let _ended_or_not = timeout_at(end.into(), all_ended).await;
        Ok(())
    }

    fn note(&mut self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.failures.push(format!("a flow died: {error}"));
        }
    }

    /// Waits for the flows under way, as long as they may take. Returns how many had not ended by then.
    async fn drain(&mut self, crew: &Crew) -> usize {
        let patience = self.orders.load.drain;
        let mut phase = self.orders.phase.clone();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.note(ended);
            }
        };
        tokio::select! {
            _over = timeout(patience, all) => {}
            _left = phase.wait_for(|phase| *phase == Phase::Left) => {}
        }
        let unfinished = match self.orders.load.shape {
            // A task may be told that there is nothing more to do, and not have come to it.
            Shape::Open { .. } => crew.under_way(),
            Shape::Closed { .. } => self.tasks.len(),
        };
        self.tasks.shutdown().await;
        unfinished
    }
}

/// Flows of the warm-up have numbers of their own.
const WARM_UP: u64 = 1 << 63;

/// How far apart a thread is woken for its starts, of which there are `rate` a second. To be woken costs it more than a
/// request does, so at a high rate several starts share a wake-up; none is later for that than [`MOST_APART`].
fn apart(rate: f64) -> Duration {
    if rate < EACH_BY_ITSELF {
        Duration::ZERO
    } else {
        MOST_APART.min(Duration::from_secs_f64(TOGETHER / rate))
    }
}

/// Opens all connections of a pool, some at a time.
async fn open_all(pool: &Rc<Pool>, connections: usize) -> Result<(), String> {
    let mut opening = JoinSet::new();
    let mut result = Ok(());
    for _ in 0..connections {
        if opening.len() >= OPENING
            && let Some(Ok(Err(problem))) = opening.join_next().await
        {
            result = Err(problem);
            break;
        }
        let pool = Rc::clone(pool);
        opening.spawn_local(async move { pool.open_one().await.map_err(|broken| broken.to_string()) });
    }
    while let Some(opened) = opening.join_next().await {
        if let Ok(Err(problem)) = opened {
            result = Err(problem);
        }
    }
    result
}

/// Hands over what was written down, once a second, until it is dropped.
async fn hand_over(
    index: usize,
    shop: Rc<Shop>,
    news: mpsc::Sender<News>,
    mut spare: mpsc::Receiver<Recorder>,
    clock: Clock,
) {
    let steps = shop.plan.step_names.len();
    let mut ticks = interval_at((clock.epoch + HAND_OVER_EVERY).into(), HAND_OVER_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        // A leader that has not taken the last one yet gets more with the next.
        let Ok(place) = news.try_reserve() else { continue };
        let empty = spare.try_recv().unwrap_or_else(|_| Recorder::new(steps, clock));
        place.send(News::Recorded(index, Box::new(shop.hand_over(empty))));
    }
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_share_a_wake_up_at_high_rates_alone() {
        for (rate, microseconds) in
            [(0.0, 0), (3_999.0, 0), (4_000.0, 500), (20_000.0, 500), (100_000.0, 100), (1e6, 10)]
        {
            assert_eq!(apart(rate), Duration::from_micros(microseconds), "{rate}");
        }
    }
}
