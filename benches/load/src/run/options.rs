//! What a run is told, what it tells while it goes on, and why it may not begin.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_millis;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::address::Url;
use super::id::RunId;
use super::prepared::PrepareError;
use super::setup::SetUpError;
use crate::scenario::generator::Part;
use crate::target::Target;

/// How to run a scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shop, as the report names it.
    pub url: Url,
    /// Where it listens; may change while the run goes on.
    pub target: Target,
    /// What `{{api_key}}` stands for, and the audit's credential.
    pub api_key: Option<String>,
    /// Decides every choice. All generators of a run have the same.
    pub seed: u64,
    /// Makes names and keys the run's own. All generators of a run have the same.
    pub id: RunId,
    /// Which of several generators this is.
    pub part: Part,
    /// Worker threads; none is a half of the processors.
    pub threads: Option<usize>,
    /// When second zero is; none is as soon as everything is ready.
    pub start_at: Option<SystemTime>,
    /// Where the run's own metrics are to be fetched.
    pub metrics: Option<SocketAddr>,
    /// The version of the program, for the report.
    pub version: String,
}

/// What a run is told by its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Start nothing more. During the load, what is under way may end, and the audit follows; an audit ends.
    Soon,
    /// End everything, and report what there is.
    Now,
}

/// Returns when a run that was told `known` is told more; never, if nobody can say so any more.
pub(crate) async fn told_more(stop: &mut watch::Receiver<Stop>, known: Stop) -> Stop {
    match stop.wait_for(|stop| *stop > known).await {
        Ok(stop) => *stop,
        Err(_) => std::future::pending().await,
    }
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// The scenario cannot be run like this.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The set-up failed.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// The connections could not be opened.
    #[error("cannot open the connections to the shop: {0}")]
    Connections(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The run's own metrics cannot be offered.
    #[error("--metrics-addr: cannot listen on {address}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The moment has passed.
    #[error(
        "--start-at {}: that has passed, now it is {}; set-up and connections must be ready before it",
        format_rfc3339_millis(*.at), format_rfc3339_millis(*.now)
    )]
    TooLate {
        /// The moment.
        at: SystemTime,
        /// When that was found.
        now: SystemTime,
    },
    /// Its user ended it.
    #[error("ended before the load began")]
    Stopped,
    /// The audit has no credential.
    #[error("an audit of kind `relampago` reads all orders: give a credential of staff with --api-key")]
    NoCredential,
}

/// How a run stands, once a second.
#[derive(Clone, Debug)]
pub enum Progress {
    /// While flows start and end.
    Load(LoadProgress),
    /// Afterwards.
    Audit(AuditProgress),
}

/// How the load stands.
#[derive(Clone, Debug)]
pub struct LoadProgress {
    /// Since second zero.
    pub elapsed: Duration,
    /// How long flows start, the warm-up included.
    pub whole: Duration,
    /// Flows that have not ended, when no more start.
    pub draining: Option<u64>,
    /// Requests answered in the last second, by [`Kind`](crate::record::Kind).
    pub answered: [u64; 4],
    /// 99th percentile of their latencies, microseconds.
    pub p99_us: Option<u64>,
    /// What is left, by sku.
    pub stock: BTreeMap<String, i64>,
}

/// How the audit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditProgress {
    /// What is looked at, such as `orders`.
    pub what: &'static str,
    /// How many of them are done.
    pub done: u64,
    /// How many there are, where that is known.
    pub of: Option<u64>,
    /// How many were not as they should be the last time, if they are looked at again.
    pub waits: Option<u64>,
}

impl fmt::Display for AuditProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.what.is_empty() { "its beginning" } else { self.what };
        write!(f, "{what}")?;
        match self.of {
            Some(of) => write!(f, ", {} of {of}", self.done)?,
            None if self.done > 0 => write!(f, ", {} so far", self.done)?,
            None => {}
        }
        match self.waits {
            Some(0) => write!(f, "; looked at again"),
            Some(waits) => write!(f, "; {waits} were not as they should be, and are looked at again"),
            None => Ok(()),
        }
    }
}

/// What happened besides; given to [`run`](super::run()) by its caller while it goes on.
pub type Events = mpsc::Receiver<String>;
