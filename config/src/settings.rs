//! The checked settings. Units, defaults and meaning of every field stand in `default.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Secret;

/// Every setting, checked. Made by [`Settings::load`]; shown as TOML, without secrets, by `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The HTTP front.
    pub server: Server,
    /// Where the data is.
    pub data: Data,
    /// The commit log and the journal behind it.
    pub journal: Journal,
    /// Actors and their snapshots.
    pub engine: Engine,
    /// Orders.
    pub orders: Orders,
    /// Carts.
    pub carts: Carts,
    /// Payments and their provider.
    pub payments: Payments,
    /// Who may call.
    pub auth: Auth,
    /// The shop's own defaults.
    pub shop: Shop,
    /// Logs.
    pub log: Log,
}

/// Limits and timeouts of the HTTP front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address to listen on; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Longest time from a request read to its answer.
    pub request_timeout: Duration,
    /// Longest time from a request's first byte to its last header.
    pub header_read_timeout: Duration,
    /// Largest request body.
    pub body_limit_bytes: usize,
    /// Requests worked on at once; at least 1.
    pub max_in_flight: usize,
    /// Open connections; at least 1.
    pub max_connections: usize,
    /// Time for the requests in flight after SIGTERM.
    pub drain_timeout: Duration,
    /// Threads of the runtime; 0 is one for each core.
    pub worker_threads: usize,
}

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Folder of commit log, journal, snapshots and archive.
    pub dir: PathBuf,
}

/// The commit log and the journal behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Size of one file of the commit log; a multiple of 4,096.
    pub segment_bytes: u64,
    /// Log files kept ready; at least 2.
    pub segments: usize,
    /// How often the log is packed into the store behind it.
    pub feed_interval: Duration,
    /// Longest time a commit waits for company.
    pub gather_max: Duration,
    /// Share of the admitted requests that ends the wait, 1 to 100.
    pub gather_percent: usize,
    /// Segment size of the store; a power of two.
    pub sled_segment_bytes: usize,
    /// Page cache of the store.
    pub cache_bytes: u64,
    /// Archived history to keep; `None` keeps everything.
    pub archive_retention_bytes: Option<u64>,
}

/// Actors and their snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Live actors above which the longest idle ones are unloaded.
    pub resident_entities: usize,
    /// Idle time after which an entity is unloaded.
    pub idle_timeout: Duration,
    /// How often changed entities are stored.
    pub snapshot_interval: Duration,
    /// Events after which they are stored earlier.
    pub snapshot_events: u64,
    /// How often unacknowledged effects are sent again.
    pub redrive_interval: Duration,
    /// Journals on this node.
    pub partitions: usize,
}

/// Orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// How long an unpaid order holds its stock.
    pub reservation_ttl: Duration,
}

/// Carts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carts {
    /// Time without a change after which a cart expires.
    pub ttl: Duration,
}

/// Payments and their provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payments {
    /// Longest single call to the provider; at most `deadline`.
    pub provider_timeout: Duration,
    /// Time after which an undecided payment is rejected.
    pub deadline: Duration,
    /// Time after which a payment request is answered "pending"; under the server's `request_timeout`.
    pub wait: Duration,
    /// Further calls, under the same charge key, after one without an answer.
    pub retries: usize,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Admin API key, 8 to 255 visible ASCII characters, given directly or through the file.
    pub bootstrap_api_key: Option<Secret>,
    /// The file that `bootstrap_api_key` was read from, if it was.
    pub bootstrap_api_key_file: Option<PathBuf>,
}

/// The shop's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    /// ISO 4217 code of products and carts that name no currency.
    pub currency: String,
    /// Language of callers whose `Accept-Language` names none that we speak.
    pub locale: Locale,
}

/// A language that labels are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// English.
    En,
    /// Spanish.
    Es,
}

impl Locale {
    /// Its language tag: `en` or `es`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
        }
    }
}

/// Logs, written to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Filter directives as `tracing` reads them.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As the setting spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
