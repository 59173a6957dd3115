//! The audit of a run: it says how far it is, and ends when its user says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::caller::Caller;
use super::options::{Options, Progress, Stop, told_more};
use super::prepared::{Plan, PrepareError};
use crate::audit::Auditor;
use crate::record::Recorded;
use crate::scenario::{Scenario, model};
use crate::summary::document::{Audit, PartLedger};
use crate::verify::{Books, Ended, Far, Notes, Obstacle, Scope, StepsAudit, anomalies};

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
    pub(super) far: Far,
    stop: watch::Receiver<Stop>,
    progress: P,
}

impl<P: FnMut(&Progress)> Attendant<P> {
    pub(super) fn new(stop: watch::Receiver<Stop>, progress: P) -> Self {
        Self { far: Far::default(), stop, progress }
    }

    /// Waits for an audit, and says how far it is. A user who let the load come to its end lets the audit, too.
    pub(super) async fn attend(&mut self, audit: impl Future<Output = Result<(), Obstacle>>) -> Ended {
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
                let ledger = if scope == Scope::Part { audit.ledger(*patience) } else { None };
                Ok((audit.verdict(&ended), ledger))
            }
        }
    }
}
