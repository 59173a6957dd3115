//! What one worker writes down between two hand-overs.

use std::time::{Duration, Instant};

use super::histogram::{self, Latencies};
use super::{Kind, Outcome, StepId, Times};

/// Outcomes of a step that are told apart; a server that invents more codes than this gets one row for the others.
const MOST_OUTCOMES: usize = 64;
/// Seconds that a recorder has room for from the start. It holds about one second, so two are touched; a worker that
/// was held up touches more, and makes room once.
const USUAL_SECONDS: usize = 3;

/// How the run tells time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Second zero of the run.
    pub epoch: Instant,
    /// Requests intended to start earlier than this after `epoch` appear in the series alone, not in the histograms
    /// and counts of the run.
    pub warm_up: Duration,
}

impl Clock {
    fn second(&self, at: Instant) -> u32 {
        u32::try_from(at.saturating_duration_since(self.epoch).as_secs()).unwrap_or(u32::MAX)
    }

    fn is_warm(&self, intended: Instant) -> bool {
        intended.saturating_duration_since(self.epoch) >= self.warm_up
    }
}

/// What one worker wrote down since its last hand-over; see the [module](super).
#[derive(Debug)]
pub struct Recorder {
    clock: Clock,
    /// When the drain begins; none if that is not known.
    drains_from: Option<Instant>,
    pub(super) steps: Vec<StepSlots>,
    pub(super) lateness_us: Latencies,
    seconds: Vec<SecondSlot>,
    /// How many of `seconds` hold something; the others are spare.
    open: usize,
}

/// The outcomes of one step.
#[derive(Debug, Default)]
pub(super) struct StepSlots {
    pub(super) outcomes: Vec<OutcomeSlot>,
}

/// The latencies of one outcome of one step.
#[derive(Debug)]
pub(super) struct OutcomeSlot {
    key: Key,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) waited_for: bool,
    pub(super) latency_us: Latencies,
    /// How many of them ended in the drain.
    pub(super) drained: u64,
}

/// One second of the series.
#[derive(Debug)]
pub(super) struct SecondSlot {
    pub(super) number: u32,
    pub(super) flows_started: u64,
    pub(super) flows_finished: u64,
    pub(super) lateness_max_us: u64,
    pub(super) steps: Vec<StepSecondSlot>,
}

/// One step in one second.
#[derive(Debug)]
pub(super) struct StepSecondSlot {
    pub(super) started: u64,
    /// Finished requests by [`Kind`].
    pub(super) finished: [u64; 4],
    pub(super) latency_us: Latencies,
}

/// An outcome, owned.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    Status(u16, Option<Box<str>>),
    CheckFailed(Box<str>),
    Timeout,
    Connect,
    Reset,
    Malformed,
    /// Whatever came after [`MOST_OUTCOMES`] others.
    Other,
}

impl Recorder {
    /// An empty recorder of a run with `steps` steps.
    pub fn new(steps: usize, clock: Clock) -> Self {
        Self {
            clock,
            drains_from: None,
            steps: (0..steps).map(|_| StepSlots::default()).collect(),
            lateness_us: histogram::of_run(),
            seconds: (0..USUAL_SECONDS).map(|_| SecondSlot::new(steps)).collect(),
            open: 0,
        }
    }

    /// Requests that end after `at`, when no more flows start, are counted apart: no rate is of them.
    pub fn drains_from(&mut self, at: Instant) {
        self.drains_from = Some(at);
    }

    /// A shopper began a flow of steps at `at`.
    pub fn flow_started(&mut self, at: Instant) {
        self.second(at).flows_started += 1;
    }

    /// A shopper's flow ended at `at`, however it ended.
    pub fn flow_finished(&mut self, at: Instant) {
        self.second(at).flows_finished += 1;
    }

    /// The bytes of a request of `step` went out at `at`. Every request that is told here is told to
    /// [`answered`](Self::answered) too, once.
    pub fn started(&mut self, step: StepId, at: Instant) {
        if let Some(slot) = self.second(at).steps.get_mut(step.index()) {
            slot.started += 1;
        }
    }

    /// A request of `step` ended. A step beyond those of the run is not counted.
    pub fn answered(&mut self, step: StepId, outcome: &Outcome<'_>, kind: Kind, times: Times) {
        let latency = microseconds(times.finished.saturating_duration_since(times.intended));
        let lateness = microseconds(times.sent.saturating_duration_since(times.due));
        let second = self.second(times.finished);
        second.lateness_max_us = second.lateness_max_us.max(lateness);
        if let Some(slot) = second.steps.get_mut(step.index()) {
            slot.finished[kind.index()] += 1;
            if outcome.is_waited_for() {
                slot.latency_us.saturating_record(latency);
            }
        }
        if !self.clock.is_warm(times.intended) {
            return;
        }
        self.lateness_us.saturating_record(lateness);
        let drained = self.drains_from.is_some_and(|from| times.finished > from);
        if let Some(slots) = self.steps.get_mut(step.index()) {
            let slot = slots.of(outcome.bounded(), kind);
            slot.latency_us.saturating_record(latency);
            slot.drained += u64::from(drained);
        }
    }

    /// Forgets what was written down, and keeps the room for it.
    pub fn clear(&mut self) {
        for slot in self.steps.iter_mut().flat_map(|step| &mut step.outcomes) {
            slot.latency_us.reset();
            slot.drained = 0;
        }
        self.lateness_us.reset();
        self.seconds.iter_mut().take(self.open).for_each(SecondSlot::clear);
        self.open = 0;
    }

    /// The seconds that hold something, in no order.
    pub(super) fn seconds(&self) -> &[SecondSlot] {
        &self.seconds[..self.open]
    }

    pub(super) fn warm_up(&self) -> Duration {
        self.clock.warm_up
    }

    fn second(&mut self, at: Instant) -> &mut SecondSlot {
        let number = self.clock.second(at);
        let known = self.seconds[..self.open].iter().rposition(|slot| slot.number == number);
        let index = known.unwrap_or_else(|| self.open_second(number));
        &mut self.seconds[index]
    }

    #[cold]
    fn open_second(&mut self, number: u32) -> usize {
        let index = self.open;
        if index == self.seconds.len() {
            self.seconds.push(SecondSlot::new(self.steps.len()));
        }
        self.seconds[index].number = number;
        self.open += 1;
        index
    }
}

impl StepSlots {
    fn of(&mut self, outcome: Outcome<'_>, kind: Kind) -> &mut OutcomeSlot {
        let known = self.outcomes.iter().position(|slot| slot.kind == kind && slot.key.is(&outcome));
        let index = known.unwrap_or_else(|| self.meet(outcome, kind));
        &mut self.outcomes[index]
    }

    /// The index of an outcome that is not among the slots by its own name.
    #[cold]
    fn meet(&mut self, outcome: Outcome<'_>, kind: Kind) -> usize {
        let full = self.outcomes.len() >= MOST_OUTCOMES;
        let other = self.outcomes.iter().position(|slot| slot.kind == kind && slot.key == Key::Other);
        match (full, other) {
            (true, Some(index)) => index,
            (true, None) => self.push(OutcomeSlot::other(kind)),
            (false, _) => self.push(OutcomeSlot::new(outcome, kind)),
        }
    }

    fn push(&mut self, slot: OutcomeSlot) -> usize {
        self.outcomes.push(slot);
        self.outcomes.len() - 1
    }
}

impl OutcomeSlot {
    fn new(outcome: Outcome<'_>, kind: Kind) -> Self {
        Self {
            key: Key::from(outcome),
            label: outcome.label(),
            kind,
            waited_for: outcome.is_waited_for(),
            latency_us: histogram::of_run(),
            drained: 0,
        }
    }

    fn other(kind: Kind) -> Self {
        Self {
            key: Key::Other,
            label: format!("other {}", kind.name()),
            kind,
            waited_for: true,
            latency_us: histogram::of_run(),
            drained: 0,
        }
    }
}

impl SecondSlot {
    fn new(steps: usize) -> Self {
        Self {
            number: 0,
            flows_started: 0,
            flows_finished: 0,
            lateness_max_us: 0,
            steps: (0..steps).map(|_| StepSecondSlot::new()).collect(),
        }
    }

    fn clear(&mut self) {
        self.flows_started = 0;
        self.flows_finished = 0;
        self.lateness_max_us = 0;
        for step in &mut self.steps {
            step.started = 0;
            step.finished = [0; 4];
            step.latency_us.reset();
        }
    }
}

impl StepSecondSlot {
    fn new() -> Self {
        Self { started: 0, finished: [0; 4], latency_us: histogram::of_second() }
    }
}

impl Key {
    fn is(&self, outcome: &Outcome<'_>) -> bool {
        match (self, outcome) {
            (Self::Status(own, own_code), Outcome::Status { status, code }) => {
                own == status && own_code.as_deref() == *code
            }
            (Self::CheckFailed(own), Outcome::CheckFailed(name)) => **own == **name,
            (Self::Timeout, Outcome::Timeout)
            | (Self::Connect, Outcome::Connect)
            | (Self::Reset, Outcome::Reset)
            | (Self::Malformed, Outcome::Malformed) => true,
            _ => false,
        }
    }
}

impl From<Outcome<'_>> for Key {
    fn from(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Status { status, code } => Self::Status(status, code.map(Box::from)),
            Outcome::CheckFailed(name) => Self::CheckFailed(Box::from(name)),
            Outcome::Timeout => Self::Timeout,
            Outcome::Connect => Self::Connect,
            Outcome::Reset => Self::Reset,
            Outcome::Malformed => Self::Malformed,
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
