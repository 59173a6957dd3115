//! The document of a run: what [`Recorded`](crate::record::Recorded) and the audit come to, as JSON that other
//! programs read and as text for a terminal.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`document`] | `relampago-load/2`, every field |
//! | `build` | the document out of what was recorded |
//! | `read` | what was recorded out of the document |
//! | `merge` | one document out of those of several generators |
//! | `text` | the document for a terminal |
//! | [`threshold`] | the conditions that a run has to meet, as a scenario writes them |

mod build;
pub mod document;
pub(crate) mod figures;
mod machine;
mod merge;
mod read;
mod text;
pub mod threshold;

use serde::{Deserialize, Serialize};

pub use build::Facts;
pub use document::Summary;
pub use merge::{MergeError, Missing};
pub use read::ReadError;
pub use threshold::Condition;

use document::{Audit, Verdict};

/// What the process says of a run by its exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// It passed.
    #[default]
    Passed = 0,
    /// The books do not balance with what the shop acknowledged.
    AuditFailed = 3,
    /// The figures say nothing of the server: the generator was the limit, or answers were those of an earlier run.
    Invalid = 4,
    /// A threshold was missed, or nothing succeeded.
    ThresholdMissed = 5,
    /// Nobody knows whether the books balance: the server does not answer the audit, or nobody looked at the whole.
    NotAudited = 6,
    /// The user ended the load or the audit early: thresholds are judged on what was measured until then.
    CutShort = 7,
}

impl Summary {
    /// The exit code of the run: the gravest of what is wrong. (1 and 2 are left to errors of the program and of its
    /// arguments.)
    pub fn exit(&self) -> Exit {
        self.verdict.result
    }

    /// The same run with the audit that was made of it as a whole.
    #[must_use]
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self.verdict = Verdict::of(&self);
        self
    }
}
