//! Settings as TOML, for `config show`: what it prints can be loaded again, but for the secrets it leaves out.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;

use crate::settings::{Auth, Carts, Data, Engine, Journal, Log, Orders, Payments, Server, Settings, Shop};
use crate::units::{format_duration, format_size};

// Every `let` below names each field, so that a new setting cannot be forgotten here.
impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { server, data, journal, engine, orders, carts, payments, auth, shop, log } = self;
        write_server(f, server)?;
        let Data { dir } = data;
        write_section(f, "data", &[("dir", path(dir))])?;
        write_journal(f, journal)?;
        write_engine(f, engine)?;
        let Orders { reservation_ttl } = orders;
        write_section(f, "orders", &[("reservation_ttl", time(*reservation_ttl))])?;
        let Carts { ttl } = carts;
        write_section(f, "carts", &[("ttl", time(*ttl))])?;
        write_payments(f, payments)?;
        write_auth(f, auth)?;
        let Shop { currency, locale } = shop;
        write_section(f, "shop", &[("currency", text(currency)), ("locale", text(locale.tag()))])?;
        let Log { filter, format } = log;
        write_section(f, "log", &[("filter", text(filter)), ("format", text(format.name()))])
    }
}

fn write_server(f: &mut Formatter<'_>, server: &Server) -> fmt::Result {
    let Server {
        addr,
        request_timeout,
        header_read_timeout,
        body_limit_bytes,
        max_in_flight,
        max_connections,
        drain_timeout,
        worker_threads,
    } = server;
    let lines = [
        ("addr", text(&addr.to_string())),
        ("request_timeout", time(*request_timeout)),
        ("header_read_timeout", time(*header_read_timeout)),
        ("body_limit_bytes", bytes(*body_limit_bytes as u64)),
        ("max_in_flight", max_in_flight.to_string()),
        ("max_connections", max_connections.to_string()),
        ("drain_timeout", time(*drain_timeout)),
        ("worker_threads", worker_threads.to_string()),
    ];
    write_section(f, "server", &lines)
}

fn write_journal(f: &mut Formatter<'_>, journal: &Journal) -> fmt::Result {
    let Journal {
        segment_bytes,
        segments,
        feed_interval,
        gather_max,
        gather_percent,
        sled_segment_bytes,
        cache_bytes,
        archive_retention_bytes,
    } = journal;
    let lines = [
        ("segment_bytes", bytes(*segment_bytes)),
        ("segments", segments.to_string()),
        ("feed_interval", time(*feed_interval)),
        ("gather_max", time(*gather_max)),
        ("gather_percent", gather_percent.to_string()),
        ("sled_segment_bytes", bytes(*sled_segment_bytes as u64)),
        ("cache_bytes", bytes(*cache_bytes)),
        ("archive_retention_bytes", archive_retention_bytes.map_or_else(|| text(""), bytes)),
    ];
    write_section(f, "journal", &lines)
}

fn write_engine(f: &mut Formatter<'_>, engine: &Engine) -> fmt::Result {
    let Engine {
        resident_entities,
        idle_timeout,
        snapshot_interval,
        snapshot_events,
        redrive_interval,
        partitions,
    } = engine;
    let lines = [
        ("resident_entities", resident_entities.to_string()),
        ("idle_timeout", time(*idle_timeout)),
        ("snapshot_interval", time(*snapshot_interval)),
        ("snapshot_events", snapshot_events.to_string()),
        ("redrive_interval", time(*redrive_interval)),
        ("partitions", partitions.to_string()),
    ];
    write_section(f, "engine", &lines)
}

fn write_payments(f: &mut Formatter<'_>, payments: &Payments) -> fmt::Result {
    let Payments { provider_timeout, deadline, wait, retries } = payments;
    let lines = [
        ("provider_timeout", time(*provider_timeout)),
        ("deadline", time(*deadline)),
        ("wait", time(*wait)),
        ("retries", retries.to_string()),
    ];
    write_section(f, "payments", &lines)
}

/// A key given directly is a comment, so that loading the output cannot make `[redacted]` the key.
fn write_auth(f: &mut Formatter<'_>, auth: &Auth) -> fmt::Result {
    let Auth { bootstrap_api_key, bootstrap_api_key_file } = auth;
    match (bootstrap_api_key, bootstrap_api_key_file) {
        (_, Some(file)) => write_section(f, "auth", &[("bootstrap_api_key_file", path(file))]),
        (Some(key), None) => write_section(f, "auth", &[("# bootstrap_api_key", format!("{key:?}"))]),
        (None, None) => write_section(f, "auth", &[("bootstrap_api_key", text(""))]),
    }
}

fn write_section(f: &mut Formatter<'_>, name: &str, lines: &[(&str, String)]) -> fmt::Result {
    writeln!(f, "[{name}]")?;
    for (key, value) in lines {
        writeln!(f, "{key} = {value}")?;
    }
    writeln!(f)
}

fn time(duration: Duration) -> String {
    format!("\"{}\"", format_duration(duration))
}

fn bytes(bytes: u64) -> String {
    format!("\"{}\"", format_size(bytes))
}

fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

/// A TOML basic string.
fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
