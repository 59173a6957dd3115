//! The document of a run: what [`Recorded`](crate::record::Recorded) and the audit come to, as JSON that other
//! programs read and as text for a terminal.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`document`] | `relampago-load/1`, every field |
//! | [`threshold`] | the conditions that a run has to meet, as a scenario writes them |

mod build;
pub mod document;
pub mod threshold;

pub use build::Facts;
pub use document::Summary;
pub use threshold::Condition;
