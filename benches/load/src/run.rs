//! Runs a scenario against a server: sets up, loads, watches, audits, and sums up.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`address`] | where the load goes, and whether it may |
//! | [`arrivals`] | when flows start in an open loop |
//! | `leader` | the run as a whole |
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
mod pool;
mod prepared;
mod setup;
mod shopper;
mod watch;
mod worker;

pub(crate) use caller::Caller;
pub(crate) use json::find_text;
pub use leader::{Events, Options, Progress, RunError, run};
pub use prepared::PrepareError;
pub(crate) use prepared::{Globals, Prepared};
pub(crate) use setup::set_index;
