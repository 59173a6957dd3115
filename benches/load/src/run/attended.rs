//! The audit of a run: it says how far it is, and ends when its user says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::caller::Caller;
use super::options::{Options, Progress, Stop, told_more};
use super::prepared::{Plan, PrepareError};
use crate::audit::Auditor;
use crate::record::Recorded;
use crate::scenario::{Scenario, model};
use crate::summary::Summary;
use crate::summary::document::{Audit, AuditState, PartLedger};
use crate::verify::{Books, Ended, Far, Known, Notes, Obstacle, Scope, StepsAudit, Whole, anomalies};

const TOLD_EVERY: Duration = Duration::from_secs(1);

/// A run whose load is over.
pub(super) struct Loaded<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) options: &'a Options,
    pub(super) plan: &'a Plan,
    pub(super) notes: &'a Arc<Notes>,
    pub(super) recorded: &'a Recorded,
}

/// Who hears how an audit goes, and says when it is enough.
pub(super) struct Attendant<P> {
    far: Far,
    stop: watch::Receiver<Stop>,
    progress: P,
}

impl<P: FnMut(&Progress)> Attendant<P> {
    pub(super) fn new(stop: watch::Receiver<Stop>, progress: P) -> Self {
        Self { far: Far::default(), stop, progress }
    }

    /// Waits for an audit, and says how far it is. A user who let the load come to its end lets the audit, too.
    async fn attend(&mut self, audit: impl Future<Output = Result<(), Obstacle>>) -> Ended {
        let known = *self.stop.borrow();
        if known == Stop::Now {
            return Ended::CutShort;
        }
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut audit = std::pin::pin!(audit);
        loop {
            tokio::select! {
                done = &mut audit => return Some(done).into(),
                _more = told_more(&mut self.stop, known) => return None.into(),
                _ = ticks.tick() => (self.progress)(&Progress::Audit(*self.far.borrow())),
            }
        }
    }
}

impl Loaded<'_> {
    /// Audits as the scenario says. One of several generators also tells what an audit of the whole needs.
    pub(super) async fn audit<P: FnMut(&Progress)>(
        &self,
        caller: Caller,
        mut attendant: Attendant<P>,
    ) -> Result<(Audit, Option<PartLedger>), PrepareError> {
        let scope = if self.options.part.of == 1 { Scope::Whole } else { Scope::Part };
        match &self.scenario.audit {
            model::Audit::None => {
                Ok((Audit { checks: anomalies(self.notes).into_iter().collect(), ..Audit::default() }, None))
            }
            model::Audit::Relampago { patience } => {
                let api_key = self.options.api_key.clone().unwrap_or_default();
                let auditor = Auditor { target: self.options.target.clone(), api_key };
                let far = attendant.far.clone();
                let mut books = Books::new(auditor, Arc::clone(self.notes), scope, *patience, far);
                let ended = attendant.attend(books.settle()).await;
                let ledger = (scope == Scope::Part).then(|| books.ledger());
                Ok((books.verdict(&ended), ledger))
            }
            model::Audit::Steps { steps, patience } => {
                let far = attendant.far.clone();
                let (globals, notes) = (&self.plan.globals, self.notes);
                let mut audit = StepsAudit::new(self.scenario, steps, globals, notes, scope, far)?;
                audit.tally(self.recorded);
                let ended = attendant.attend(audit.settle(caller, *patience)).await;
                Ok((audit.verdict(&ended), None))
            }
        }
    }
}

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
