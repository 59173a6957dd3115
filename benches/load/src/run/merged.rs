//! The audit of a run that several generators shared, when their reports are merged: what none of them could judge.

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::watch;

use super::address::Url;
use super::attended::Attendant;
use super::caller::Caller;
use super::options::{Progress, Stop};
use super::prepared::{Globals, PrepareError};
use crate::audit::Auditor;
use crate::scenario::generator::Part;
use crate::scenario::{Scenario, model};
use crate::summary::Summary;
use crate::summary::document::{AuditCheck, AuditState};
use crate::target::Target;
use crate::verify::{Ended, Known, Notes, Scope, StepsAudit, Whole};

/// Audits the books of a run whose parts were merged: what none of them could judge alone. A run without such parts
/// stays as it is.
pub async fn audit_whole(
    mut summary: Summary,
    auditor: Auditor,
    stop: watch::Receiver<Stop>,
    progress: impl FnMut(&Progress),
) -> Summary {
    let Some(ledger) = summary.ledger.take() else { return summary };
    let patience = Duration::try_from_secs_f64(ledger.patience_s).unwrap_or_default();
    let mut attendant = Attendant::new(stop, progress);
    let known = Known::of(ledger.clone(), !summary.run.parts.missing().is_empty());
    let mut whole = Whole::new(auditor, known, Instant::now() + patience, attendant.far.clone());
    let ended = attendant.attend(whole.settle(patience)).await;
    let mut audit = summary.audit.clone();
    match ended {
        Ended::Judged => {
            for own in whole.checks() {
                match audit.checks.iter_mut().find(|check| check.name == own.name) {
                    Some(check) => *check = own,
                    None => audit.checks.push(own),
                }
            }
            // What kept a part from judging what it knows is not made up for.
            if audit.state == AuditState::Part {
                (audit.state, audit.reason) = (AuditState::Made, None);
            }
        }
        Ended::CutShort => {
            let at = *attendant.far.borrow();
            (audit.state, audit.reason) = (AuditState::CutShort, Some(format!("by the user, at {at}")));
            summary.ledger = Some(ledger);
        }
        Ended::Obstacle(why) => {
            (audit.state, audit.reason) = (AuditState::NotMade, Some(why));
            summary.ledger = Some(ledger);
        }
    }
    summary.audited(audit)
}

/// The scenario of a run whose parts were merged, with what its steps need to be written.
#[derive(Debug)]
pub struct MergedRun<'a> {
    /// As it ran.
    pub scenario: &'a Scenario,
    /// The shop, as requests name it.
    pub url: &'a Url,
    /// Where it listens.
    pub target: Target,
    /// What `{{api_key}}` stands for.
    pub api_key: Option<String>,
}

/// Audits by its steps a run whose parts were merged: what none of them could judge alone. A run without such parts
/// stays as it is, and so does one of which parts are missing.
///
/// # Errors
/// If the scenario is not the one that ran, or its steps cannot be written.
pub async fn audit_steps(
    mut summary: Summary,
    merged: MergedRun<'_>,
    stop: watch::Receiver<Stop>,
    progress: impl FnMut(&Progress),
) -> Result<Summary, MergedError> {
    let Some(ledger) = summary.ledger.clone() else { return Ok(summary) };
    let MergedRun { scenario, url, target, api_key } = merged;
    let (Some(known), model::Audit::Steps { steps, patience }) = (&ledger.steps, &scenario.audit) else {
        return Err(MergedError::Other);
    };
    if known.file != scenario.file_hash {
        return Err(MergedError::Other);
    }
    let mut audit = summary.audit.clone();
    if !summary.run.parts.missing().is_empty() {
        audit.reason = Some("parts of the run are missing, and what they did with them".to_owned());
        return Ok(summary.audited(audit));
    }
    let id = summary.run.id.parse().map_err(MergedError::Id)?;
    let whole = Part { index: 0, of: 1 };
    let globals = Globals::new(scenario, url, summary.run.seed, &id, api_key, whole);
    let (notes, mut attendant) = (Notes::default(), Attendant::new(stop, progress));
    let far = attendant.far.clone();
    let mut own = StepsAudit::new(scenario, steps, &globals, &notes, Scope::Merged, far)?;
    own.tally_of(known);
    let ended = attendant.attend(own.settle(Caller::new(target), *patience)).await;
    let own = own.verdict(&ended);
    for check in own.checks.into_iter().filter(|check| check.passed.is_some()) {
        match audit.checks.iter_mut().find(|known| known.name == check.name) {
            // What the parts found wrong stays wrong.
            Some(known) if known.passed == Some(false) => {}
            Some(known) => *known = check,
            None => audit.checks.push(check),
        }
    }
    if ended != Ended::Judged {
        (audit.state, audit.reason) = (own.state, own.reason);
        return Ok(summary.audited(audit));
    }
    if audit.state == AuditState::Part {
        (audit.state, audit.reason) = state_of(&audit.checks);
    }
    summary.ledger = None;
    Ok(summary.audited(audit))
}

/// How far the audit of the whole came that has these checks.
fn state_of(checks: &[AuditCheck]) -> (AuditState, Option<String>) {
    let open: Vec<&str> =
        checks.iter().filter(|check| check.passed.is_none()).map(|check| check.name.as_str()).collect();
    if open.is_empty() {
        return (AuditState::Made, None);
    }
    let why = format!("nobody could judge {}: run this scenario on one generator", open.join(", "));
    (AuditState::Part, Some(why))
}

/// Why the audit of a run whose parts were merged cannot begin.
#[derive(Debug, Error)]
pub enum MergedError {
    /// Its text, or what its variables are set to, is not that of the run.
    #[error("--scenario is not what ran: it takes the same file, and the same --set")]
    Other,
    /// The run has a name that no run has.
    #[error("the run's id: {0}")]
    Id(String),
    /// A step cannot be written.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}
