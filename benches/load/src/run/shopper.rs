//! One flow: its steps one after the other, each waited for, judged, recorded and noted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::connection::{Answer, Broken};
use super::json;
use super::pool::{Lease, Pool};
use super::prepared::{Plan, Prepared, look_up, retry_wait};
use crate::ledger::Wanted;
use crate::record::{Kind, Latencies, Outcome, Recorder, Times, no_latencies};
use crate::rng::Rng;
use crate::scenario::answer::Place;
use crate::scenario::generator::unit;
use crate::scenario::template::{Lookup, Slot, Values};
use crate::verify::{Answered, Notes};

/// A wait that ended so much later than planned was the generator's fault; less is how timers are.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// What all flows of one thread share.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) plan: Arc<Plan>,
    pub(super) pool: Rc<Pool>,
    recorder: RefCell<Recorder>,
    pub(super) notes: Arc<Notes>,
    /// How much later than due flows were started, microseconds: the generator's own delay, without any wait for a
    /// connection.
    pub(super) lateness: RefCell<Latencies>,
    /// When no more flows start.
    ends: Cell<Instant>,
    spare: RefCell<Vec<Basket>>,
}

/// What one flow carries along. Kept for the next one, so that a flow allocates little.
#[derive(Clone, Debug, Default)]
struct Basket {
    values: Values,
    request: Vec<u8>,
    body: Vec<u8>,
    /// What the cart of this flow holds, as far as the audit wants to know.
    cart: Vec<Wanted>,
}

/// What became of one request.
#[derive(Clone, Copy, Debug)]
struct Sent {
    kind: Kind,
    /// Whether the step's rules say to send it again.
    again: bool,
    retry_after: Option<Duration>,
    finished: Instant,
}

impl Shop {
    pub(super) fn new(
        plan: Arc<Plan>,
        pool: Rc<Pool>,
        mut recorder: Recorder,
        notes: Arc<Notes>,
        ends: Instant,
    ) -> Self {
        recorder.drains_from(ends);
        let (recorder, lateness) = (RefCell::new(recorder), RefCell::new(no_latencies()));
        Self { plan, pool, recorder, notes, lateness, ends: Cell::new(ends), spare: RefCell::default() }
    }

    /// No flow starts after `moment`, earlier than was planned.
    pub(super) fn ends_early(&self, moment: Instant) {
        self.ends.set(self.ends.get().min(moment));
        self.recorder.borrow_mut().drains_from(self.ends.get());
    }

    /// What was written down so far; from now on it is written to `empty`.
    pub(super) fn hand_over(&self, mut empty: Recorder) -> Recorder {
        empty.drains_from(self.ends.get());
        self.recorder.replace(empty)
    }

    /// Runs the flow of this number, which was due at `due`. Equal seeds and numbers make equal flows, whichever
    /// thread they run on. Returns when it ended.
    pub(super) async fn flow(self: Rc<Self>, number: u64, due: Instant) -> Instant {
        let began = Instant::now();
        let late = began.saturating_duration_since(due).as_micros();
        self.lateness.borrow_mut().saturating_record(u64::try_from(late).unwrap_or(u64::MAX));
        self.recorder.borrow_mut().flow_started(began);
        let mut basket = self.spare.borrow_mut().pop().unwrap_or_default();
        let mut rng = Rng::new(Rng::new(self.plan.globals.seed ^ number.rotate_left(32)).next_u64());
        let finished = self.steps(&mut basket, &mut rng, due).await;
        self.spare.borrow_mut().push(basket);
        self.recorder.borrow_mut().flow_finished(finished);
        finished
    }

    async fn steps(self: &Rc<Self>, basket: &mut Basket, rng: &mut Rng, due: Instant) -> Instant {
        let mut at = due;
        let Some(flow) = self.plan.pick(rng) else { return at };
        basket.values.clear(self.plan.globals.generators.len());
        basket.cart.clear();
        flow.draws.iter().for_each(|slot| self.plan.globals.draw(*slot, rng, &mut basket.values));
        for step in &flow.steps {
            for _ in 0..step.step.repeat {
                if step.step.chance < 1.0 && unit(rng) >= step.step.chance {
                    continue;
                }
                step.step.draw.iter().for_each(|slot| self.plan.globals.draw(*slot, rng, &mut basket.values));
                if let Some(pause) = step.step.think {
                    at = wait_until(at + pause.draw(rng)).await;
                }
                // A step that needs what nobody captured is left out.
                if step.request.write(&basket.values, &mut basket.body, &mut basket.request).is_err() {
                    continue;
                }
                let sent = self.persist(step, basket, at).await;
                at = sent.finished;
                if sent.kind != Kind::Ok && !step.step.optional {
                    return at;
                }
            }
        }
        at
    }

    /// Sends a request, and again as often as the step's rules say.
    async fn persist(self: &Rc<Self>, step: &Prepared, basket: &mut Basket, intended: Instant) -> Sent {
        let mut start = Start { intended, due: intended };
        let most = step.step.retry.as_ref().map_or(0, |retry| retry.most);
        let mut tries = 0;
        loop {
            let last = tries == most;
            let sent = match step.step.copies {
                1 => self.send(step, basket, start, last).await,
                _ => Box::pin(self.send_copies(step, basket, start, last)).await,
            };
            if last || !sent.again {
                return sent;
            }
            start.due = wait_until(sent.finished + retry_wait(&step.step, tries, sent.retry_after)).await;
            tries += 1;
        }
    }

    /// Sends a request several times at the same moment, as an impatient finger does. All successes must say the
    /// same.
    async fn send_copies(
        self: &Rc<Self>,
        step: &Prepared,
        basket: &mut Basket,
        start: Start,
        last: bool,
    ) -> Sent {
        let mut copies = JoinSet::new();
        for _ in 1..step.step.copies {
            let (shop, step, mut basket) = (Rc::clone(self), step.clone(), basket.clone());
            copies.spawn_local(async move {
                let sent = shop.send(&step, &mut basket, start, last).await;
                (sent, basket)
            });
        }
        let mut own = self.send(step, basket, start, last).await;
        while let Some(copy) = copies.join_next().await {
            let Ok((sent, other)) = copy else { continue };
            own.finished = own.finished.max(sent.finished);
            match (own.kind, sent.kind) {
                (Kind::Ok, Kind::Ok) => self.compare(step, basket, &other),
                (_, Kind::Ok) => {
                    basket.clone_from(&other);
                    own = Sent { finished: own.finished, ..sent };
                }
                _ => {}
            }
        }
        own
    }

    fn compare(&self, step: &Prepared, one: &Basket, other: &Basket) {
        let text = |basket: &Basket, slot: Slot| {
            basket.values.value(slot).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        for (slot, place) in &step.step.captures {
            let (one, other) = (text(one, *slot), text(other, *slot));
            if one != other {
                let name = &step.step.name;
                self.notes
                    .anomaly(format!("{name}: copies of one request got {one:?} and {other:?} at {place}"));
            }
        }
    }

    /// Sends a request once. `last`: whether nobody will send it again.
    async fn send(&self, step: &Prepared, basket: &mut Basket, start: Start, last: bool) -> Sent {
        self.notes.asking(step.step.record, &basket.request);
        let mut asked =
            Asked { shop: self, step, request: &basket.request, start, sent: Cell::new(None), open: true };
        let ask = async {
            let mut lease = self.pool.lease().await?;
            asked.goes_out(Instant::now());
            let answer = lease.exchange(&basket.request, step.request.bodiless).await?;
            lease.keeps = answer.keeps;
            Ok((lease, answer))
        };
        let result = timeout(step.step.timeout, ask).await;
        let finished = Instant::now();
        asked.goes_out(finished);
        asked.open = false;
        let times = start.times(asked.sent.get().unwrap_or(finished), finished);
        drop(asked);
        match result {
            Ok(Ok((lease, answer))) => self.take_in(step, basket, lease, &answer, times),
            Ok(Err(broken)) => self.fail(step, basket, &outcome_of(&broken), times, last),
            Err(_) => self.fail(step, basket, &Outcome::Timeout, times, last),
        }
    }

    /// Judges an answer, takes from it what the step wants, and gives the connection back.
    fn take_in(
        &self,
        step: &Prepared,
        basket: &mut Basket,
        lease: Lease<'_>,
        answer: &Answer,
        times: Times,
    ) -> Sent {
        let body = lease.body_of(answer);
        let code = match &self.plan.code {
            Some(Place::Body(path)) if answer.status >= 400 => json::find_text(body, path),
            Some(place) if answer.status >= 400 => look_up(&lease, answer, place).map(Into::into),
            _ => None,
        };
        let mut outcome = Outcome::Status { status: answer.status, code: code.as_deref() };
        let mut kind = step.judge(&outcome);
        let again = wants_more(step, &outcome, kind);
        let failed = if kind == Kind::Ok { self.examine(step, basket, &lease, answer) } else { None };
        if let Some(name) = &failed {
            (outcome, kind) = (Outcome::CheckFailed(name), Kind::Failed);
        }
        // What was sent for the first time and answered before was asked for by an earlier run.
        if kind == Kind::Ok && times.due == times.intended && step.is_replayed(&lease, answer) {
            outcome = Outcome::Status { status: answer.status, code: Some("replayed") };
            self.notes.replayed();
        }
        // A proxy, or a server that recovers, answers for a shop that is not there yet.
        if !matches!(answer.status, 502..=504) {
            self.notes.outages.answered(times.finished);
        }
        self.recorder.borrow_mut().answered(step.id, &outcome, kind, times);
        let told = Answered { status: answer.status, code: code.as_deref(), body, again };
        self.notes.answered(step.step.record, &basket.request, &told, &mut basket.cart);
        if kind == Kind::Ok && !step.step.keep.is_empty() {
            self.notes.keep(&step.step, &basket.values);
        }
        let retry_after = if again { retry_after(&lease, answer) } else { None };
        drop(code);
        lease.give_back();
        Sent { kind, again, retry_after, finished: times.finished }
    }

    /// Takes the captures of a success and checks it; the name of the first check that fails.
    fn examine(
        &self,
        step: &Prepared,
        basket: &mut Basket,
        lease: &Lease<'_>,
        answer: &Answer,
    ) -> Option<String> {
        for (slot, place) in &step.step.captures {
            let found = match place {
                Place::Body(path) => json::find_text(lease.body_of(answer), path),
                Place::Header(name) => lease.header_of(answer, name).map(Into::into),
            };
            match found {
                Some(text) => basket.values.set(*slot, text.as_bytes()),
                None => return Some(format!("{place} is there")),
            }
        }
        let failed = |check: &&crate::scenario::model::Check| {
            check.holds(|place| look_up(lease, answer, place), &basket.values).is_err()
        };
        step.step.checks.iter().find(failed).map(|check| check.name.clone())
    }

    fn fail(
        &self,
        step: &Prepared,
        basket: &Basket,
        outcome: &Outcome<'_>,
        times: Times,
        last: bool,
    ) -> Sent {
        let kind = step.judge(outcome);
        let again = wants_more(step, outcome, kind);
        self.recorder.borrow_mut().answered(step.id, outcome, kind, times);
        if matches!(outcome, Outcome::Connect | Outcome::Reset) {
            self.notes.outages.broken(times.finished);
        }
        // A connection that was never made carried nothing.
        if (last || !again) && !matches!(outcome, Outcome::Connect) {
            self.notes.unanswered(step.step.record, &basket.request);
        }
        Sent { kind, again, retry_after: None, finished: times.finished }
    }
}

/// When a try of a request starts.
#[derive(Clone, Copy)]
struct Start {
    /// When the first one should have.
    intended: Instant,
    /// When this one should have.
    due: Instant,
}

impl Start {
    fn times(self, sent: Instant, finished: Instant) -> Times {
        Times { intended: self.intended, due: self.due, sent, finished }
    }
}

/// A request on its way. Should its flow be dropped before the answer is there, it counts as a time-out.
struct Asked<'a> {
    shop: &'a Shop,
    step: &'a Prepared,
    request: &'a [u8],
    start: Start,
    sent: Cell<Option<Instant>>,
    open: bool,
}

impl Asked<'_> {
    fn goes_out(&self, at: Instant) {
        if self.sent.get().is_none() {
            self.sent.set(Some(at));
            self.shop.recorder.borrow_mut().started(self.step.id, at);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.open {
            let finished = Instant::now();
            self.goes_out(finished);
            let sent = self.sent.get().unwrap_or(finished);
            let times = self.start.times(sent, finished);
            self.shop.recorder.borrow_mut().answered(self.step.id, &Outcome::Timeout, Kind::Failed, times);
            self.shop.notes.unanswered(self.step.step.record, self.request);
        }
    }
}

fn outcome_of(broken: &Broken) -> Outcome<'static> {
    match broken {
        Broken::Connect(_) => Outcome::Connect,
        Broken::Reset(_) => Outcome::Reset,
        Broken::Malformed(_) => Outcome::Malformed,
    }
}

fn wants_more(step: &Prepared, outcome: &Outcome<'_>, kind: Kind) -> bool {
    let rules = step.step.retry.as_ref().filter(|_| kind != Kind::Ok);
    rules.is_some_and(|retry| retry.on.iter().any(|pattern| pattern.means(outcome)))
}

fn retry_after(lease: &Lease<'_>, answer: &Answer) -> Option<Duration> {
    let seconds = lease.header_of(answer, "retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Waits until `moment`. Returns the moment from which what follows counts.
async fn wait_until(moment: Instant) -> Instant {
    sleep_until(moment.into()).await;
    let woken = Instant::now();
    if woken.saturating_duration_since(moment) <= TIMER_GRAIN { woken } else { moment }
}
