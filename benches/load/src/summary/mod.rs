//! The document of a run: what [`Recorded`](crate::record::Recorded) and the audit come to, as JSON that other
//! programs read and as text for a terminal.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`document`] | `relampago-load/1`, every field |
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

pub use build::Facts;
pub use document::Summary;
pub use merge::MergeError;
pub use read::ReadError;
pub use threshold::Condition;

/// What the process says of a run by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It passed.
    Passed = 0,
    /// The books do not balance with what the shop acknowledged.
    AuditFailed = 3,
    /// The generator was the limit: the figures say nothing of the server.
    Invalid = 4,
    /// A threshold was missed.
    ThresholdMissed = 5,
}

impl Summary {
    /// The exit code of the run: the gravest of what is wrong. (1 and 2 are left to errors of the program and of its
    /// arguments.)
    pub fn exit(&self) -> Exit {
        if self.audit.failed() {
            Exit::AuditFailed
        } else if !self.load.valid {
            Exit::Invalid
        } else if !self.verdict.passed {
            Exit::ThresholdMissed
        } else {
            Exit::Passed
        }
    }
}
