//! What is done once, before the load.

use std::time::Instant;

use thiserror::Error;

use super::caller::Caller;
use super::prepared::{Globals, PrepareError, Prepared};
use crate::record::StepId;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::scenario::model::{Builtin, Origin, Step};
use crate::scenario::template::{Lookup, Slot, Values};
use crate::verify::{Answered, Notes};

/// Why nothing could be loaded.
#[derive(Debug, Error)]
pub enum SetUpError {
    /// A step cannot be written.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A step was not answered as it should be.
    #[error("set-up: {0}")]
    Step(String),
}

/// Does the steps in order, and takes what they capture into `globals`.
pub(super) async fn set_up(
    scenario: &Scenario,
    globals: &mut Globals,
    caller: &mut Caller,
    notes: &Notes,
) -> Result<(), SetUpError> {
    let mut rng = Rng::new(globals.seed);
    for step in &scenario.setup {
        let prepared = Prepared::new(step, StepId(0), globals)?;
        for index in 0..step.repeat {
            let mut values = Values::default();
            values.clear(scenario.names.len());
            set_index(scenario, index, &mut values);
            let drawn: Vec<Slot> = step.slots().collect();
            drawn.iter().for_each(|slot| globals.draw(*slot, &mut rng, &mut values));
            let until = Instant::now() + patience(step);
            let done = caller.persist(&prepared, scenario.code.as_ref(), &mut values, until).await;
            let done = done.map_err(|problem| SetUpError::Step(problem.to_string()))?;
            let told = Answered { status: done.status, code: None, body: &done.body, again: false };
            notes.answered(step.record, &done.request, &told, &mut Vec::new());
            if done.replayed {
                notes.replayed();
            }
            for (slot, _) in &step.captures {
                if let Some(value) = values.value(*slot) {
                    let text = String::from_utf8_lossy(value).into_owned();
                    globals.values.set(*slot, text.as_bytes());
                    globals.collected[usize::from(slot.0)].push(text);
                }
            }
        }
    }
    Ok(())
}

/// How long a step is tried: as long as its own rules would take.
fn patience(step: &Step) -> std::time::Duration {
    step.retry.as_ref().map_or(std::time::Duration::ZERO, |retry| retry.longest * retry.most)
}

/// Sets `{{index}}`.
pub(crate) fn set_index(scenario: &Scenario, index: u32, values: &mut Values) {
    if let Some(slot) = index_slot(scenario) {
        values.set(slot, index.to_string().as_bytes());
    }
}

/// The slot of `{{index}}`.
pub(super) fn index_slot(scenario: &Scenario) -> Option<Slot> {
    let is_index =
        |name: &crate::scenario::model::Name| matches!(name.origin, Origin::Builtin(Builtin::Index));
    let index = scenario.names.iter().position(is_index)?;
    u16::try_from(index).ok().map(Slot)
}
