//! The sum of what the workers of a run wrote down, and of several runs' parts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counts::Counts;
use super::histogram::{self, Latencies};
use super::recorder::{OutcomeSlot, SecondSlot, StepSecondSlot};
use super::{Kind, Recorder};

/// What happened in a run, or so far.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Requests intended to start earlier than this are in [`seconds`](Self::seconds) alone.
    pub warm_up: Duration,
    /// The steps of the scenario, in its order.
    pub steps: Vec<StepRecorded>,
    /// How much later than intended requests went out, in microseconds.
    pub lateness_us: Latencies,
    /// The series, by second of the run. A second in which nothing happened is missing.
    pub seconds: BTreeMap<u32, SecondRecorded>,
}

/// One step over the whole run.
#[derive(Clone, Debug)]
pub struct StepRecorded {
    /// Its name in the scenario.
    pub name: String,
    /// What its requests came to, in the order of kind and label.
    pub outcomes: Vec<OutcomeRecorded>,
}

/// One outcome of one step over the whole run. How often it came is the length of its histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRecorded {
    /// Its name in reports, such as `409 out_of_stock`.
    pub label: String,
    /// How it counts.
    pub kind: Kind,
    /// Whether its latency says how long a client waits; see [`super::Outcome::is_waited_for`].
    pub waited_for: bool,
    /// Latencies from the intended start, in microseconds.
    pub latency_us: Latencies,
    /// How many of them ended in the drain, when no more flows started.
    pub drained: u64,
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondRecorded {
    /// Flows that began.
    pub flows_started: u64,
    /// Flows that ended.
    pub flows_finished: u64,
    /// The longest time that a request went out later than intended, in microseconds, of those that ended here.
    pub lateness_max_us: u64,
    /// The steps, in the order of the scenario.
    pub steps: Vec<StepSecond>,
}

/// One step in one second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepSecond {
    /// Requests that went out.
    pub started: u64,
    /// Requests that ended, by [`Kind`].
    pub finished: [u64; 4],
    /// Latencies of those that were waited for, to two digits.
    pub latency: Counts,
}

/// Why two parts are not of one run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    /// The steps differ.
    #[error("the steps differ: {0:?} and {1:?}")]
    Steps(Vec<String>, Vec<String>),
    /// The warm-ups differ.
    #[error("the warm-ups differ: {0:?} and {1:?}")]
    WarmUp(Duration, Duration),
}

impl Recorded {
    /// Nothing yet, of a run with these steps.
    pub fn new(step_names: impl IntoIterator<Item = String>, warm_up: Duration) -> Self {
        let steps = step_names.into_iter().map(|name| StepRecorded { name, outcomes: Vec::new() }).collect();
        Self { warm_up, steps, lateness_us: histogram::of_run(), seconds: BTreeMap::new() }
    }

    /// Adds what a worker of this run wrote down since it handed over last.
    pub fn absorb(&mut self, recorder: &Recorder) {
        debug_assert_eq!(self.warm_up, recorder.warm_up(), "a recorder of another run");
        for (step, slots) in self.steps.iter_mut().zip(&recorder.steps) {
            slots
                .outcomes
                .iter()
                .filter(|slot| !slot.latency_us.is_empty())
                .for_each(|slot| step.absorb(slot));
        }
        histogram::add(&mut self.lateness_us, &recorder.lateness_us);
        let steps = self.steps.len();
        for slot in recorder.seconds() {
            self.seconds.entry(slot.number).or_insert_with(|| SecondRecorded::new(steps)).absorb(slot);
        }
    }

    /// Adds another part of the same run: of another worker or another generator.
    ///
    /// # Errors
    /// When the parts have other steps or another warm-up; nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if !self.step_names().eq(other.step_names()) {
            let names = |part: &Self| part.step_names().map(str::to_owned).collect();
            return Err(MergeError::Steps(names(self), names(other)));
        }
        if self.warm_up != other.warm_up {
            return Err(MergeError::WarmUp(self.warm_up, other.warm_up));
        }
        for (step, theirs) in self.steps.iter_mut().zip(&other.steps) {
            theirs.outcomes.iter().for_each(|outcome| step.merge(outcome));
        }
        histogram::add(&mut self.lateness_us, &other.lateness_us);
        let steps = self.steps.len();
        for (&number, theirs) in &other.seconds {
            self.seconds.entry(number).or_insert_with(|| SecondRecorded::new(steps)).merge(theirs);
        }
        Ok(())
    }

    /// Flows that have started and not ended.
    pub fn flows_under_way(&self) -> u64 {
        let (started, finished) = self.seconds.values().fold((0, 0), |(started, finished), second| {
            (started + second.flows_started, finished + second.flows_finished)
        });
        started.saturating_sub(finished)
    }

    /// The names of the steps, in order.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }

    /// Requests that ended with `kind` after the warm-up, over all steps.
    pub fn count(&self, kind: Kind) -> u64 {
        self.steps.iter().map(|step| step.count(kind)).sum()
    }

    /// The same without those that ended in the drain: what a rate is of.
    pub fn count_in_window(&self, kind: Kind) -> u64 {
        self.steps.iter().map(|step| step.count_in_window(kind)).sum()
    }

    /// Latencies of all requests that were waited for, over all steps, in microseconds.
    pub fn latency_us(&self) -> Latencies {
        let mut sum = histogram::of_run();
        self.steps.iter().for_each(|step| step.add_latencies(&mut sum, None));
        sum
    }
}

impl StepRecorded {
    /// Requests that ended with `kind` after the warm-up.
    pub fn count(&self, kind: Kind) -> u64 {
        self.outcomes.iter().filter(|outcome| outcome.kind == kind).map(OutcomeRecorded::count).sum()
    }

    /// The same without those that ended in the drain: what a rate is of.
    pub fn count_in_window(&self, kind: Kind) -> u64 {
        let of_kind = self.outcomes.iter().filter(|outcome| outcome.kind == kind);
        of_kind.map(|outcome| outcome.count().saturating_sub(outcome.drained)).sum()
    }

    /// Latencies of the requests that were waited for, in microseconds.
    pub fn latency_us(&self) -> Latencies {
        let mut sum = histogram::of_run();
        self.add_latencies(&mut sum, None);
        sum
    }

    /// Adds the latencies of the requests that were waited for to `sum`: of one kind, or of all.
    pub(crate) fn add_latencies(&self, sum: &mut Latencies, kind: Option<Kind>) {
        let of_kind = |outcome: &&OutcomeRecorded| kind.is_none_or(|kind| outcome.kind == kind);
        let waited_for = self.outcomes.iter().filter(|outcome| outcome.waited_for);
        waited_for.filter(of_kind).for_each(|outcome| histogram::add(sum, &outcome.latency_us));
    }

    fn absorb(&mut self, slot: &OutcomeSlot) {
        let own = self.outcome(&slot.label, slot.kind, slot.waited_for);
        histogram::add(&mut own.latency_us, &slot.latency_us);
        own.drained += slot.drained;
    }

    /// Adds an outcome of the same step, recorded elsewhere.
    pub(crate) fn merge(&mut self, other: &OutcomeRecorded) {
        let own = self.outcome(&other.label, other.kind, other.waited_for);
        histogram::add(&mut own.latency_us, &other.latency_us);
        own.drained += other.drained;
    }

    fn outcome(&mut self, label: &str, kind: Kind, waited_for: bool) -> &mut OutcomeRecorded {
        let place = self.outcomes.binary_search_by(|own| (own.kind, own.label.as_str()).cmp(&(kind, label)));
        let index = place.unwrap_or_else(|index| {
            let (label, latency_us) = (label.to_owned(), histogram::of_run());
            self.outcomes.insert(index, OutcomeRecorded { label, kind, waited_for, latency_us, drained: 0 });
            index
        });
        &mut self.outcomes[index]
    }
}

impl OutcomeRecorded {
    /// How often it came.
    pub fn count(&self) -> u64 {
        self.latency_us.len()
    }
}

impl SecondRecorded {
    pub(crate) fn new(steps: usize) -> Self {
        Self { steps: vec![StepSecond::default(); steps], ..Self::default() }
    }

    /// Requests that went out.
    pub fn started(&self) -> u64 {
        self.steps.iter().map(|step| step.started).sum()
    }

    /// Requests that ended with `kind`.
    pub fn finished(&self, kind: Kind) -> u64 {
        self.steps.iter().map(|step| step.finished[kind.index()]).sum()
    }

    /// Latencies of all steps.
    pub fn latency(&self) -> Counts {
        let mut sum = Counts::default();
        self.steps.iter().for_each(|step| sum.merge(&step.latency));
        sum
    }

    fn absorb(&mut self, slot: &SecondSlot) {
        self.flows_started += slot.flows_started;
        self.flows_finished += slot.flows_finished;
        self.lateness_max_us = self.lateness_max_us.max(slot.lateness_max_us);
        self.steps.iter_mut().zip(&slot.steps).for_each(|(step, slot)| step.absorb(slot));
    }

    fn merge(&mut self, other: &Self) {
        self.flows_started += other.flows_started;
        self.flows_finished += other.flows_finished;
        self.lateness_max_us = self.lateness_max_us.max(other.lateness_max_us);
        self.steps.iter_mut().zip(&other.steps).for_each(|(step, other)| step.merge(other));
    }
}

impl StepSecond {
    fn absorb(&mut self, slot: &StepSecondSlot) {
        self.count(slot.started, slot.finished);
        self.latency.absorb(&slot.latency_us);
    }

    fn merge(&mut self, other: &Self) {
        self.count(other.started, other.finished);
        self.latency.merge(&other.latency);
    }

    fn count(&mut self, started: u64, finished: [u64; 4]) {
        self.started += started;
        self.finished.iter_mut().zip(finished).for_each(|(own, more)| *own += more);
    }
}
