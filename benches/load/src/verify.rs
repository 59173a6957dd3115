//! What is checked when the load of a scenario is over.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`notes`] | what the run writes down for it |
//! | [`books`] | the books of a shop with our interface, as far as one generator knows them |
//! | [`asking`] | purchases that nobody answered, asked for again |
//! | [`whole`] | what the shop as a whole must show, whoever bought |
//! | [`steps`] | the steps of the file, for any other shop |

mod asking;
mod books;
mod notes;
mod steps;
mod whole;

use tokio::sync::watch;

pub(crate) use books::Books;
pub(crate) use notes::{Answered, Notes};
pub(crate) use steps::{StepsAudit, anomalies};
pub(crate) use whole::{Known, Whole};

use crate::client::ClientError;
use crate::run::AuditProgress;
use crate::summary::document::{AuditCheck, AuditState};

/// Where an audit says how far it is.
pub(crate) type Far = watch::Sender<AuditProgress>;

/// Findings that a check tells.
const MOST_TOLD: usize = 5;

/// Who bought in a run, beside this generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nobody: every order must be known here.
    Whole,
    /// Other generators: what concerns all of them is judged when their reports are merged.
    Part,
    /// Nobody any more: what parts left open is judged with what all of them did.
    Merged,
}

/// How an audit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was looked at, and waited for.
    Judged,
    /// Its user ended it.
    CutShort,
    /// It could not go on; why.
    Obstacle(String),
}

impl Ended {
    /// What the report says of it, and why there is no more.
    fn state(&self, scope: Scope, far: &Far) -> (AuditState, Option<String>) {
        match self {
            Self::Judged if scope == Scope::Part => (AuditState::Part, None),
            Self::Judged => (AuditState::Made, None),
            Self::CutShort => (AuditState::CutShort, Some(format!("by the user, at {}", *far.borrow()))),
            Self::Obstacle(why) => (AuditState::NotMade, Some(why.clone())),
        }
    }
}

/// Why an audit cannot go on, in a sentence.
pub(crate) struct Obstacle(pub(crate) String);

impl From<ClientError> for Obstacle {
    fn from(error: ClientError) -> Self {
        if error.is_transient() {
            Self(format!("the server does not answer: {error}"))
        } else {
            Self(format!("the shop cannot be read: {error}"))
        }
    }
}

impl From<Option<Result<(), Obstacle>>> for Ended {
    /// `None` is an audit that was not waited for.
    fn from(done: Option<Result<(), Obstacle>>) -> Self {
        match done {
            None => Self::CutShort,
            Some(Ok(())) => Self::Judged,
            Some(Err(Obstacle(why))) => Self::Obstacle(why),
        }
    }
}

/// A check that passes if nothing was found; `fine` is told then.
fn check(name: &str, findings: &[String], fine: String) -> AuditCheck {
    let detail = if findings.is_empty() { fine } else { told(findings) };
    AuditCheck { name: name.to_owned(), passed: Some(findings.is_empty()), detail }
}

/// A check that nobody can judge, and why.
fn unjudged(name: &str, why: &str) -> AuditCheck {
    AuditCheck { name: name.to_owned(), passed: None, detail: format!("not judged: {why}") }
}

/// The first of many findings.
fn told(findings: &[String]) -> String {
    let shown = findings.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("; ");
    match findings.len().checked_sub(MOST_TOLD) {
        Some(more) if more > 0 => format!("{shown}; and {more} more"),
        _ => shown,
    }
}
