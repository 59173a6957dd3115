//! An audit by the steps of the file: for a shop with any interface.

use std::time::Duration;

use super::notes::Notes;
use super::relampago::told;
use crate::decimal::Decimal;
use crate::record::{Kind, Recorded, StepId};
use crate::run::{Caller, Globals, PrepareError, Prepared, set_index};
use crate::scenario::model::{Origin, Scenario, Step};
use crate::scenario::template::{Slot, Values};
use crate::summary::document::AuditCheck;

/// Does the steps one after the other; each is a check.
pub(crate) async fn audit_steps(
    caller: &mut Caller,
    scenario: &Scenario,
    steps: &[Step],
    globals: &Globals,
    notes: &Notes,
    recorded: &Recorded,
    patience: Duration,
) -> Result<Vec<AuditCheck>, PrepareError> {
    let mut values = Values::default();
    values.clear(scenario.names.len());
    tallies(scenario, notes, recorded, &mut values);
    let mut checks = Vec::new();
    for step in steps {
        let prepared = Prepared::new(step, StepId(0), globals)?;
        let mut findings = Vec::new();
        let mut done = 0;
        let kept = match &step.each {
            Some(of) => notes.kept_by(of),
            None => vec![Vec::new()],
        };
        let rounds = kept.iter().flat_map(|kept| (0..step.repeat).map(move |index| (kept, index)));
        for (kept, index) in rounds {
            kept.iter().for_each(|(slot, text)| values.set(*slot, text.as_bytes()));
            set_index(scenario, index, &mut values);
            // Once something is wrong, waiting for the rest would only take long.
            let patience = if findings.is_empty() { patience } else { Duration::ZERO };
            match caller.persist(&prepared, scenario.code.as_ref(), &mut values, patience).await {
                Ok(_) => done += 1,
                Err(problem) => findings.push(problem),
            }
        }
        let detail =
            if findings.is_empty() { format!("{done} answers as expected") } else { told(&findings) };
        checks.push(AuditCheck { name: step.name.clone(), passed: findings.is_empty(), detail });
    }
    checks.extend(anomalies(notes));
    Ok(checks)
}

/// Answers that must never be given, if there were any.
pub(crate) fn anomalies(notes: &Notes) -> Option<AuditCheck> {
    let found = notes.anomalies();
    let name = "one answer to one request".to_owned();
    (!found.is_empty()).then(|| AuditCheck { name, passed: false, detail: told(&found) })
}

fn slots(scenario: &Scenario) -> impl Iterator<Item = (Slot, &Origin)> {
    (0..).map(Slot).zip(scenario.names.iter().map(|name| &name.origin))
}

/// `count.STEP` and `sum.STEP.VALUE`.
fn tallies(scenario: &Scenario, notes: &Notes, recorded: &Recorded, values: &mut Values) {
    for (slot, origin) in slots(scenario) {
        let text = match origin {
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
