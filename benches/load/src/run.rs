//! Runs a scenario against a server: sets up, loads, watches, audits, and sums up.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`address`] | where the load goes, and whether it may |
//! | [`arrivals`] | when flows start in an open loop |
//! | `options` | what a run is told, what it tells meanwhile, why it may not begin |
//! | `leader` | the load: its workers, and what they write down |
//! | `report` | what the load came to, summed up |
//! | `worker` | a thread: its own runtime, connections and share of the flows |
//! | `shopper` | one flow |
//! | `prepared` | steps with everything in them that is known when a run begins |
//! | `connection`, `pool` | HTTP/1.1, and the connections of a thread |
//! | `caller` | one step at a time, outside of the load |
//! | `watch` | stock and server metrics while the run goes on |
//! | `exposed` | the run's own metrics, for Prometheus |

pub mod address;
mod alarm;
pub mod arrivals;
mod caller;
mod connection;
mod exposed;
mod json;
mod leader;
mod options;
mod pool;
mod prepared;
mod report;
mod setup;
mod shopper;
mod watch;
mod worker;

use std::sync::Arc;

use tokio::sync::watch::Receiver;

pub(crate) use caller::Caller;
pub(crate) use json::find_text;
pub use options::{Events, Options, Progress, RunError};
pub use prepared::PrepareError;
pub(crate) use prepared::{Globals, Prepared};
pub(crate) use setup::set_index;

use crate::audit::Auditor;
use crate::record::{Recorded, StepId};
use crate::scenario::template::Values;
use crate::scenario::{Scenario, model};
use crate::summary::Summary;
use crate::summary::document::Audit;
use crate::verify::{Notes, anomalies, audit_steps, books};
use leader::Leader;
use prepared::Plan;
use setup::set_up;

/// Runs a scenario to its end, or until `stop` says so. `events` are put into the report with their time.
///
/// # Errors
/// If there was nothing to report: before the load began.
pub async fn run(
    scenario: &Scenario,
    options: Options,
    stop: Receiver<bool>,
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
    let report = leader.lead(stop, events, progress).await;
    let audit = audit(scenario, &options, &plan, &notes, &report.recorded, &mut caller).await?;
    Ok(report.sum_up(scenario, &options, server_version, audit))
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
