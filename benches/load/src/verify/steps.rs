//! An audit by the steps of the file: for a shop with any interface.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::notes::{Kept, Notes};
use super::{Ended, Far, Obstacle, Scope, check, told, unjudged};
use crate::decimal::Decimal;
use crate::record::{Kind, Recorded, StepId};
use crate::run::{AuditProgress, CallError, Caller, Globals, PrepareError, Prepared, set_index};
use crate::scenario::model::{Name, Origin, Scenario, Step};
use crate::scenario::template::{Lookup, Slot, Values};
use crate::summary::document::{Audit, AuditCheck, PartLedger, StepsLedger};

/// The steps of the audit; each is a check.
pub(crate) struct StepsAudit<'a> {
    scenario: &'a Scenario,
    notes: &'a Notes,
    globals: &'a Globals,
    scope: Scope,
    far: Far,
    steps: Vec<Prepared>,
    values: Values,
    /// What steps capture that are not done.
    open: HashSet<Slot>,
    /// Of the steps that were done.
    checks: Vec<AuditCheck>,
}

impl<'a> StepsAudit<'a> {
    pub(crate) fn new(
        scenario: &'a Scenario,
        steps: &[Step],
        globals: &'a Globals,
        notes: &'a Notes,
        scope: Scope,
        far: Far,
    ) -> Result<Self, PrepareError> {
        let steps = steps.iter().map(|step| Prepared::new(step, StepId(0), globals));
        let steps = steps.collect::<Result<_, _>>()?;
        let mut values = Values::default();
        values.clear(scenario.names.len());
        let (open, checks) = (HashSet::new(), Vec::new());
        Ok(Self { scenario, notes, globals, scope, far, steps, values, open, checks })
    }

    /// Sets `count.STEP` and `sum.STEP.VALUE` to what this generator did.
    pub(crate) fn tally(&mut self, recorded: &Recorded) {
        tallies(self.scenario, self.notes, recorded, &mut self.values);
    }

    /// Sets them to what several generators did together.
    pub(crate) fn tally_of(&mut self, ledger: &StepsLedger) {
        for (slot, name) in slots(self.scenario) {
            if let Some(Some(text)) = ledger.tallies.get(&name.name) {
                self.values.set(slot, text.as_bytes());
            }
        }
    }

    /// What a later audit of the whole needs to know; none if it needs nothing.
    pub(crate) fn ledger(&self, patience: Duration) -> Option<PartLedger> {
        let text = |slot| self.values.value(slot).map(|text| String::from_utf8_lossy(text).into_owned());
        let tallies: BTreeMap<_, _> = slots(self.scenario)
            .filter(|(_, name)| is_tally(&name.origin))
            .map(|(slot, name)| (name.name.clone(), text(slot)))
            .collect();
        let steps = StepsLedger { file: self.scenario.file_hash.clone(), tallies };
        let patience_s = patience.as_secs_f64();
        (!steps.tallies.is_empty()).then(|| PartLedger {
            patience_s,
            steps: Some(steps),
            ..PartLedger::default()
        })
    }

    /// Does the steps one after the other. What is not yet as it should be has until `patience` is over, all of it
    /// together.
    pub(crate) async fn settle(&mut self, mut caller: Caller, patience: Duration) -> Result<(), Obstacle> {
        let mut left = patience;
        for index in 0..self.steps.len() {
            let prepared = &self.steps[index];
            let check = match self.why_not(&prepared.step) {
                Some(why) => {
                    self.open.extend(prepared.step.captures.iter().map(|(slot, _)| *slot));
                    unjudged(&prepared.step.name, why)
                }
                None => self.settle_step(index, &mut caller, &mut left).await?,
            };
            self.checks.push(check);
        }
        Ok(())
    }

    async fn settle_step(
        &mut self,
        index: usize,
        caller: &mut Caller,
        left: &mut Duration,
    ) -> Result<AuditCheck, Obstacle> {
        let prepared = &self.steps[index];
        let step = &prepared.step;
        let kept = match &step.each {
            Some(of) => self.notes.kept_by(of),
            None => vec![Kept::new()],
        };
        let of = kept.len() as u64 * u64::from(step.repeat);
        self.far.send_replace(AuditProgress {
            what: "steps of the audit",
            done: 0,
            of: Some(of),
            waits: None,
        });
        let (mut findings, mut done) = (Vec::new(), 0);
        for (kept, index) in kept.iter().flat_map(|kept| (0..step.repeat).map(move |index| (kept, index))) {
            kept.iter().for_each(|(slot, text)| self.values.set(*slot, text.as_bytes()));
            set_index(self.scenario, index, &mut self.values);
            // Once something is wrong, waiting for the rest would only take long.
            let patience = if findings.is_empty() { *left } else { Duration::ZERO };
            let began = Instant::now();
            let code = self.scenario.code.as_ref();
            let waited = match caller.persist(prepared, code, &mut self.values, began + patience).await {
                Ok(answer) => {
                    done += 1;
                    answer.tries > 1
                }
                Err(CallError::Wrong(problem)) => {
                    findings.push(problem);
                    true
                }
                Err(CallError::NoAnswer(problem)) => {
                    return Err(Obstacle(format!("the server does not answer: {problem}")));
                }
            };
            if waited {
                *left = left.saturating_sub(began.elapsed());
            }
            self.far.send_modify(|progress| progress.done += 1);
        }
        Ok(check(&step.name, &findings, format!("{done} answers as expected")))
    }

    /// Why a step of one of several generators, or of all of them together, is not judged.
    fn why_not(&self, step: &Step) -> Option<&'static str> {
        let needs = |wanted: &dyn Fn(Slot) -> bool| step.slots().chain(step.checked_slots()).any(wanted);
        let is = |slot: Slot, of: &dyn Fn(&Origin) -> bool| {
            self.scenario.names.get(usize::from(slot.0)).is_some_and(|name| of(&name.origin))
        };
        match self.scope {
            Scope::Whole => None,
            Scope::Part if needs(&|slot| is(slot, &is_tally)) => {
                Some("it takes what all generators did, and this is one of several")
            }
            Scope::Merged if step.each.is_some() => {
                Some("it takes what each generator kept, and no other one knows that")
            }
            _ if needs(&|slot| {
                is(slot, &|origin| matches!(origin, Origin::SetUp)) && !self.is_known(slot)
            }) =>
            {
                Some("it takes what the set-up captured, and the first generator alone knows that")
            }
            _ if needs(&|slot| self.open.contains(&slot)) => {
                Some("it takes what a step before it captures, and that was not done")
            }
            _ => None,
        }
    }

    /// Whether the set-up captured a value here.
    fn is_known(&self, slot: Slot) -> bool {
        self.globals.values.value(slot).is_some()
    }

    /// What was found, however far the audit came.
    pub(crate) fn verdict(&self, ended: &Ended) -> Audit {
        let (state, reason) = ended.state(self.scope, &self.far);
        let mut checks = self.checks.clone();
        let rest = self.steps.iter().skip(checks.len());
        checks.extend(rest.map(|step| unjudged(&step.step.name, "the audit did not come to its end")));
        checks.extend(anomalies(self.notes));
        Audit { state, reason, checks }
    }
}

/// Answers that must never be given, if there were any.
pub(crate) fn anomalies(notes: &Notes) -> Option<AuditCheck> {
    let found = notes.anomalies();
    let name = "one answer to one request".to_owned();
    (!found.is_empty()).then(|| AuditCheck { name, passed: Some(false), detail: told(&found) })
}

fn slots(scenario: &Scenario) -> impl Iterator<Item = (Slot, &Name)> {
    (0..).map(Slot).zip(&scenario.names)
}

/// Whether a value is of all that was done.
fn is_tally(origin: &Origin) -> bool {
    matches!(origin, Origin::Count(_) | Origin::Sum(..))
}

/// `count.STEP` and `sum.STEP.VALUE`.
fn tallies(scenario: &Scenario, notes: &Notes, recorded: &Recorded, values: &mut Values) {
    for (slot, name) in slots(scenario) {
        let text = match &name.origin {
            Origin::Count(step) => successes(recorded, step).to_string(),
            Origin::Sum(step, of) => match sum(notes, step, *of) {
                Some(sum) => sum.to_string(),
                // Left out, so that the check says that a value is missing.
                None => continue,
            },
            _ => continue,
        };
        values.set(slot, text.as_bytes());
    }
}

/// Successes of a step, those of the warm-up too.
fn successes(recorded: &Recorded, step: &str) -> u64 {
    let index = recorded.step_names().position(|name| name == step);
    let of_second = |second: &crate::record::SecondRecorded| {
        index.and_then(|index| second.steps.get(index)).map_or(0, |step| step.finished[Kind::Ok as usize])
    };
    recorded.seconds.values().map(of_second).sum()
}

fn sum(notes: &Notes, step: &str, slot: Slot) -> Option<Decimal> {
    let kept = notes.kept_by(step);
    let mut texts = kept.iter().flatten().filter(|(of, _)| *of == slot).map(|(_, text)| text);
    texts.try_fold(Decimal::ZERO, |sum, text| sum.checked_add(text.parse().ok()?))
}
