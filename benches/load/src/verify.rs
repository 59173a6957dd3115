//! What is checked when the load of a scenario is over.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`notes`] | what the run writes down for it |
//! | [`relampago`] | the books of a shop with our interface |
//! | [`steps`] | the steps of the file, for any other shop |

mod notes;
mod relampago;
mod steps;

pub(crate) use notes::{Answered, Notes};
pub(crate) use relampago::books;
pub(crate) use steps::{anomalies, audit_steps};
