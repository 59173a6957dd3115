//! Which settings exist, what is accepted for each, and the rules between them.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use iso_currency::Currency;

use crate::layers::Layers;
use crate::reader::{Reader, Remarks};
use crate::settings::{
    Auth, Carts, Configuration, Data, Engine, Journal, Locale, Log, LogFormat, Mail, Orders, Payments,
    Profile, Security, Server, Settings, Shop,
};
use crate::{ConfigError, Flags, production};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Direct writes to the log are whole blocks of this size.
const LOG_BLOCK_BYTES: u64 = 4 * KIB;
/// More threads than any machine we know has cores.
const MOST_THREADS: usize = 1024;
/// A node that stands alone has one journal; more come with the cluster.
const PARTITIONS: usize = 1;

const API_KEY: &str = "8 to 255 visible ASCII characters";

impl Configuration {
    /// Merges the embedded defaults, `file`, `env` (variables that start with `RELAMPAGO_`) and `flags`, later
    /// ones over earlier ones, and checks the result. Reads the files of secrets, and nothing in the data folder.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] and [`ConfigError::Malformed`] for the file; [`ConfigError::Faults`] with
    /// *every* unknown key and refused value.
    pub fn load(
        file: Option<&Path>,
        flags: Flags,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(Layers::read(file, flags, env)?);
        let settings = settings(&mut reader);
        check_order_of_timeouts(&settings, &mut reader);
        production::check(&settings, &mut reader);
        let Remarks { warnings, origins } = reader.finish()?;
        Ok(Self { settings, warnings, origins })
    }
}

impl Settings {
    /// [`Configuration::load`] for those who want the settings alone.
    ///
    /// # Errors
    /// The same.
    pub fn load(
        file: Option<&Path>,
        flags: Flags,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Configuration::load(file, flags, env).map(|configuration| configuration.settings)
    }
}

fn settings(reader: &mut Reader) -> Settings {
    Settings {
        server: server(reader),
        data: Data { dir: reader.path("data.dir") },
        journal: journal(reader),
        engine: engine(reader),
        orders: Orders {
            reservation_ttl: reader.duration("orders.reservation_ttl", 10 * MILLISECOND..=30 * DAY),
        },
        carts: Carts { ttl: reader.duration("carts.ttl", 10 * MILLISECOND..=3650 * DAY) },
        payments: payments(reader),
        auth: auth(reader),
        security: security(reader),
        mail: mail(reader),
        shop: shop(reader),
        log: log(reader),
    }
}

fn server(reader: &mut Reader) -> Server {
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    Server {
        addr: reader.value(
            "server.addr",
            "an IP address and port such as 127.0.0.1:8080",
            anywhere,
            |text| text.parse().ok(),
        ),
        request_timeout: reader.duration("server.request_timeout", 100 * MILLISECOND..=10 * MINUTE),
        header_read_timeout: reader.duration("server.header_read_timeout", 100 * MILLISECOND..=10 * MINUTE),
        keep_alive_timeout: reader.duration("server.keep_alive_timeout", 100 * MILLISECOND..=HOUR),
        body_limit_bytes: in_memory(reader.bytes("server.body_limit_bytes", KIB..=64 * MIB, 1)),
        max_in_flight: reader.count("server.max_in_flight", 1..=1_000_000),
        max_connections: reader.count("server.max_connections", 1..=1_000_000),
        drain_timeout: reader.duration("server.drain_timeout", Duration::ZERO..=HOUR),
        worker_threads: reader.count("server.worker_threads", 0..=MOST_THREADS),
        trusted_proxies: reader.value(
            "server.trusted_proxies",
            "IP addresses and networks such as 10.0.0.0/8, ::1",
            Vec::new(),
            networks,
        ),
    }
}

/// A list with commas; empty text is an empty one.
fn networks(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let is_network = |text: &str| text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
    text.split(',').map(str::trim).map(|network| is_network(network).then(|| network.to_owned())).collect()
}

fn journal(reader: &mut Reader) -> Journal {
    const ARCHIVE_RETENTION: &str = "journal.archive_retention_bytes";
    Journal {
        segment_bytes: reader.bytes("journal.segment_bytes", 64 * KIB..=4 * GIB, LOG_BLOCK_BYTES),
        segments: reader.count("journal.segments", 2..=64),
        feed_interval: reader.duration("journal.feed_interval", MILLISECOND..=10 * SECOND),
        gather_max: reader.duration("journal.gather_max", Duration::ZERO..=100 * MILLISECOND),
        gather_percent: reader.count("journal.gather_percent", 1..=100),
        sled_segment_bytes: sled_segment(reader),
        cache_bytes: reader.bytes("journal.cache_bytes", MIB..=TIB, 1),
        archive_retention_bytes: reader
            .optional(ARCHIVE_RETENTION, |reader| reader.bytes(ARCHIVE_RETENTION, MIB..=1024 * TIB, 1)),
    }
}

/// sled takes powers of two up to 16 MiB. An event is bounded by an 80th of it: with 512 KiB, which is for tests
/// on small disks, a request with many lines or a long text is refused.
fn sled_segment(reader: &mut Reader) -> usize {
    let expected = "a power of two from 512KiB to 16MiB";
    let bytes = reader.value("journal.sled_segment_bytes", expected, MIB, |text| {
        let accepted = |bytes: &u64| bytes.is_power_of_two() && (512 * KIB..=16 * MIB).contains(bytes);
        crate::units::parse_size(text).filter(accepted)
    });
    in_memory(bytes)
}

fn engine(reader: &mut Reader) -> Engine {
    Engine {
        resident_entities: reader.count("engine.resident_entities", 1..=100_000_000),
        idle_timeout: reader.duration("engine.idle_timeout", 10 * MILLISECOND..=DAY),
        snapshot_interval: reader.duration("engine.snapshot_interval", 10 * MILLISECOND..=HOUR),
        snapshot_events: reader.count("engine.snapshot_events", 1..=100_000_000) as u64,
        redrive_interval: reader.duration("engine.redrive_interval", 10 * MILLISECOND..=HOUR),
        partitions: reader.count("engine.partitions", 1..=PARTITIONS),
    }
}

fn payments(reader: &mut Reader) -> Payments {
    Payments {
        provider_timeout: reader.duration("payments.provider_timeout", 10 * MILLISECOND..=10 * MINUTE),
        deadline: reader.duration("payments.deadline", 10 * MILLISECOND..=30 * DAY),
        wait: reader.duration("payments.wait", Duration::ZERO..=10 * MINUTE),
        retries: reader.count("payments.retries", 0..=100),
    }
}

fn auth(reader: &mut Reader) -> Auth {
    Auth {
        bootstrap_api_key: reader.secret("auth.bootstrap_api_key", API_KEY, is_api_key),
        issuer: name(reader, "auth.issuer"),
        audience: name(reader, "auth.audience"),
        access_token_ttl: reader.duration("auth.access_token_ttl", SECOND..=DAY),
        refresh_token_ttl: reader.duration("auth.refresh_token_ttl", SECOND..=365 * DAY),
        reset_token_ttl: reader.duration("auth.reset_token_ttl", SECOND..=7 * DAY),
        verification_ttl: reader.duration("auth.verification_ttl", SECOND..=30 * DAY),
        password_threads: reader.count("auth.password_threads", 0..=64),
        password_queue: reader.count("auth.password_queue", 1..=10_000),
    }
}

fn is_api_key(text: &str) -> bool {
    (8..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A name that stands in tokens.
fn name(reader: &mut Reader, key: &str) -> String {
    reader.value(key, "1 to 255 characters, no control characters", String::new(), |text| {
        let accepted = (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        accepted.then(|| text.to_owned())
    })
}

fn security(reader: &mut Reader) -> Security {
    const KEYS_FILE: &str = "security.keys_file";
    Security {
        profile: reader.value(
            "security.profile",
            "development or production",
            Profile::Development,
            |text| {
                [Profile::Development, Profile::Production].into_iter().find(|profile| profile.name() == text)
            },
        ),
        keys_file: reader.optional(KEYS_FILE, |reader| reader.path(KEYS_FILE)),
    }
}

fn mail(reader: &mut Reader) -> Mail {
    const LINK: &str = "mail.link";
    let expected = "an address that starts with http:// or https://";
    let read = |reader: &mut Reader| {
        reader.value(LINK, expected, String::new(), |text| is_web_address(text).then(|| text.to_owned()))
    };
    Mail { link: reader.optional(LINK, read) }
}

/// As much as can be told without asking: the page itself is the storefront's.
fn is_web_address(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| host.starts_with(|c: char| c.is_alphanumeric() || c == '['))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn shop(reader: &mut Reader) -> Shop {
    Shop {
        currency: reader.value(
            "shop.currency",
            "an ISO 4217 code in capitals such as USD",
            String::new(),
            |text| Currency::from_code(text).map(|currency| currency.code().to_owned()),
        ),
        locale: reader.value("shop.locale", "en or es", Locale::En, |text| {
            [Locale::En, Locale::Es].into_iter().find(|locale| locale.tag() == text)
        }),
    }
}

fn log(reader: &mut Reader) -> Log {
    Log {
        filter: reader.value("log.filter", "directives such as info,ractor=warn", String::new(), |text| {
            (!text.trim().is_empty()).then(|| text.to_owned())
        }),
        format: reader.value("log.format", "auto, text or json", LogFormat::Auto, |text| {
            [LogFormat::Auto, LogFormat::Text, LogFormat::Json]
                .into_iter()
                .find(|format| format.name() == text)
        }),
    }
}

/// A timeout that encloses another must be the longer one, or the outer answer hides the inner.
fn check_order_of_timeouts(settings: &Settings, reader: &mut Reader) {
    let Settings { server, payments, .. } = settings;
    if payments.wait >= server.request_timeout {
        reader.refuse("payments.wait", "less than server.request_timeout");
    }
    if payments.provider_timeout > payments.deadline {
        reader.refuse("payments.provider_timeout", "at most payments.deadline");
    }
}

/// Sizes of things held in memory are bounded far below any `usize`.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
