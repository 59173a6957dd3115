//! The checked settings. Units, defaults and meaning of every field stand in `default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Fault, Secret};

/// Settings with what there is to say about them. Made by [`Configuration::load`]; shown as TOML like
/// [`Settings`], with the origin of every value that is not a default, by `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The settings.
    pub settings: Settings,
    /// What should be looked at, but stops nothing.
    pub warnings: Vec<Fault>,
    /// Where each value that is not a default comes from, by dotted key.
    pub origins: BTreeMap<String, String>,
}

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
    /// How strict we are, and where the keys are.
    pub security: Security,
    /// Mail to customers.
    pub mail: Mail,
    /// The shop's own defaults.
    pub shop: Shop,
    /// Logs.
    pub log: Log,
}

impl Settings {
    /// The file of the master and signing keys: `security.keys_file`, or else `keys.json` in the data folder.
    pub fn keys_file(&self) -> PathBuf {
        self.security.keys_file.clone().unwrap_or_else(|| self.data.dir.join("keys.json"))
    }
}

/// Limits and timeouts of the HTTP front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address to listen on; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Longest time from a request read to its answer.
    pub request_timeout: Duration,
    /// Longest time from a request's first byte to its last header, and from a new connection to its first byte.
    pub header_read_timeout: Duration,
    /// Longest time from an answer to the first byte of the next request on its connection.
    pub keep_alive_timeout: Duration,
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
    /// IP addresses and networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
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
    /// Page cache of the snapshots.
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
    /// Who signs access tokens, their `iss`; 1 to 255 characters.
    pub issuer: String,
    /// Whom access tokens are for, their `aud`; 1 to 255 characters.
    pub audience: String,
    /// How long an access token is good for.
    pub access_token_ttl: Duration,
    /// How long a session lives without a refresh.
    pub refresh_token_ttl: Duration,
    /// How long a mailed token sets a password.
    pub reset_token_ttl: Duration,
    /// How long a mailed token verifies an address.
    pub verification_ttl: Duration,
    /// Passwords hashed at once; 0 is half the cores.
    pub password_threads: usize,
    /// Passwords that wait to be hashed; at least 1.
    pub password_queue: usize,
}

/// How strict we are, and where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// What the node is used for.
    pub profile: Profile,
    /// The file of the master and signing keys; see [`Settings::keys_file`].
    pub keys_file: Option<PathBuf>,
}

/// What a node is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Weak secrets are accepted, and keys beside the data.
    Development,
    /// Neither is.
    Production,
}

impl Profile {
    /// As the setting spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// Mail to customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Address of the storefront's page for mailed tokens, ready for the token to be put behind it.
    pub link: Option<String>,
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
