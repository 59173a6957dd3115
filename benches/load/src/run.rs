//! Runs a scenario against a server: sets up, loads, watches, audits, and sums up.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`address`] | where the load goes, and whether it may |
//! | [`arrivals`] | when flows start in an open loop |
//! | [`id`] | what tells a run from every other one on the same data |
//! | `options` | what a run is told, what it tells meanwhile, why it may not begin |
//! | `leader` | the load: its workers, and what they write down |
//! | `outage` | when nobody could reach the server |
//! | `attended` | an audit that says how far it is, and can be ended |
//! | `merged` | the audit of a run that several generators shared |
//! | `report` | what the load came to, summed up |
//! | `worker` | a thread: its own runtime, connections and share of the flows |
//! | `shopper` | one flow |
//! | `crew` | the tasks that run the flows of an open loop |
//! | `prepared` | steps with everything in them that is known when a run begins |
//! | `connection`, `pool` | HTTP/1.1, and the connections of a thread |
//! | `caller` | one step at a time, outside of the load |
//! | `watch` | stock and server metrics while the run goes on |
//! | `exposed` | the run's own metrics, for Prometheus |

pub mod address;
mod alarm;
pub mod arrivals;
mod attended;
mod caller;
mod connection;
mod crew;
mod exposed;
pub mod id;
mod json;
mod leader;
mod merged;
mod options;
mod outage;
mod pool;
mod prepared;
mod report;
mod setup;
mod shopper;
mod watch;
mod worker;

use std::sync::Arc;

use tokio::sync::watch::Receiver;

pub(crate) use caller::{CallError, Caller};
pub(crate) use json::find_text;
pub use merged::{MergedError, MergedRun, audit_steps, audit_whole};
pub(crate) use options::told_more;
pub use options::{AuditProgress, Events, LoadProgress, Options, Progress, RunError, Stop};
pub(crate) use outage::Outages;
pub use prepared::PrepareError;
pub(crate) use prepared::{Globals, Prepared};
pub(crate) use setup::set_index;

use crate::record::StepId;
use crate::scenario::template::Values;
use crate::scenario::{Scenario, model};
use crate::summary::Summary;
use crate::verify::Notes;
use attended::{Attendant, Loaded};
use leader::{Leader, moment};
use prepared::Plan;
use setup::set_up;

/// Runs a scenario to its end, or until `stop` says so. `events` are put into the report with their time.
///
/// # Errors
/// If there was nothing to report: before the load began.
pub async fn run(
    scenario: &Scenario,
    options: Options,
    mut stop: Receiver<Stop>,
    events: Events,
    mut progress: impl FnMut(&Progress),
) -> Result<Summary, RunError> {
    // Nothing is set up for a run that cannot begin.
    moment(options.start_at)?;
    if matches!(scenario.audit, model::Audit::Relampago { .. }) && options.api_key.is_none() {
        return Err(RunError::NoCredential);
    }
    let notes = Arc::new(Notes::default());
    let mut caller = Caller::new(options.target.clone());
    let begun = tokio::select! {
        begun = begin(scenario, &options, &notes, &mut caller) => begun?,
        _told = told_more(&mut stop, Stop::No) => return Err(RunError::Stopped),
    };
    let Begun { plan, server_version, leader } = begun;
    let report = leader.lead(stop.clone(), events, &mut progress).await;
    let loaded =
        Loaded { scenario, options: &options, plan: &plan, notes: &notes, recorded: &report.recorded };
    let audited = loaded.audit(caller, Attendant::new(stop, &mut progress)).await?;
    Ok(report.sum_up(scenario, &options, server_version, audited, notes.replays()))
}

/// A run whose load is about to start.
struct Begun<'a> {
    plan: Arc<Plan>,
    server_version: Option<String>,
    leader: Leader<'a>,
}

/// Sets up, and opens all connections.
async fn begin<'a>(
    scenario: &'a Scenario,
    options: &Options,
    notes: &Arc<Notes>,
    caller: &mut Caller,
) -> Result<Begun<'a>, RunError> {
    let mut globals = Globals::new(
        scenario,
        &options.url,
        options.seed,
        &options.id,
        options.api_key.clone(),
        options.part,
    );
    if options.part.index == 0 {
        set_up(scenario, &mut globals, caller, notes).await?;
    }
    globals.settle(scenario)?;
    let plan = Plan::new(scenario, globals)?;
    let server_version = version_of_server(scenario, &plan.globals, caller).await?;
    let leader = Leader::start(scenario, options, &plan, notes).await?;
    Ok(Begun { plan, server_version, leader })
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
