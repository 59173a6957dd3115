//! Settings as TOML, for `config show`: what it prints can be loaded again, but for the secrets it leaves out.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;

use crate::Secret;
use crate::settings::{
    Auth, Carts, Configuration, Data, Engine, Journal, Log, Mail, Orders, Payments, Security, Server,
    Settings, Shop,
};
use crate::units::{format_duration, format_size};

impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_sections(f, self, |_| None)
    }
}

impl Display for Configuration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_sections(f, &self.settings, |key| self.origins.get(key).map(String::as_str))
    }
}

/// Writes all settings, each with its origin as a comment if `origin` knows one for the dotted key.
fn write_sections<'a>(
    f: &mut Formatter<'_>,
    settings: &Settings,
    origin: impl Fn(&str) -> Option<&'a str>,
) -> fmt::Result {
    for Section { name, lines } in sections(settings) {
        writeln!(f, "[{name}]")?;
        for Line { key, value } in lines {
            match &value {
                Value::Shown(value) => write!(f, "{key} = {value}")?,
                // A comment, so that loading the output cannot make `[redacted]` the secret.
                Value::Redacted => write!(f, "# {key} = [redacted]")?,
            }
            if let Some(origin) = origin(&format!("{name}.{key}")) {
                write!(f, "  # {}", on_one_line(origin))?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
    }
    Ok(())
}

struct Section {
    name: &'static str,
    lines: Vec<Line>,
}

struct Line {
    key: String,
    value: Value,
}

enum Value {
    /// As TOML.
    Shown(String),
    Redacted,
}

// Every `let` below names each field, so that a new setting cannot be forgotten here.
fn sections(settings: &Settings) -> Vec<Section> {
    let Settings { server, data, journal, engine, orders, carts, payments, auth, security, mail, shop, log } =
        settings;
    let Data { dir } = data;
    let Orders { reservation_ttl } = orders;
    let Carts { ttl } = carts;
    let Security { profile, keys_file } = security;
    let Mail { link } = mail;
    let Shop { currency, locale } = shop;
    let Log { filter, format } = log;
    [
        ("server", server_lines(server)),
        ("data", vec![path("dir", Some(dir))]),
        ("journal", journal_lines(journal)),
        ("engine", engine_lines(engine)),
        ("orders", vec![time("reservation_ttl", *reservation_ttl)]),
        ("carts", vec![time("ttl", *ttl)]),
        ("payments", payments_lines(payments)),
        ("auth", auth_lines(auth)),
        ("security", vec![text("profile", profile.name()), path("keys_file", keys_file.as_deref())]),
        ("mail", vec![text("link", link.as_deref().unwrap_or_default())]),
        ("shop", vec![text("currency", currency), text("locale", locale.tag())]),
        ("log", vec![text("filter", filter), text("format", format.name())]),
    ]
    .into_iter()
    .map(|(name, lines)| Section { name, lines })
    .collect()
}

fn server_lines(server: &Server) -> Vec<Line> {
    let Server {
        addr,
        request_timeout,
        header_read_timeout,
        keep_alive_timeout,
        body_limit_bytes,
        max_in_flight,
        max_connections,
        drain_timeout,
        worker_threads,
        trusted_proxies,
    } = server;
    vec![
        text("addr", &addr.to_string()),
        time("request_timeout", *request_timeout),
        time("header_read_timeout", *header_read_timeout),
        time("keep_alive_timeout", *keep_alive_timeout),
        size("body_limit_bytes", *body_limit_bytes as u64),
        count("max_in_flight", *max_in_flight),
        count("max_connections", *max_connections),
        time("drain_timeout", *drain_timeout),
        count("worker_threads", *worker_threads),
        text("trusted_proxies", &trusted_proxies.join(", ")),
    ]
}

fn journal_lines(journal: &Journal) -> Vec<Line> {
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
    let retention = archive_retention_bytes.map(format_size).unwrap_or_default();
    vec![
        size("segment_bytes", *segment_bytes),
        count("segments", *segments),
        time("feed_interval", *feed_interval),
        time("gather_max", *gather_max),
        count("gather_percent", *gather_percent),
        size("sled_segment_bytes", *sled_segment_bytes as u64),
        size("cache_bytes", *cache_bytes),
        text("archive_retention_bytes", &retention),
    ]
}

fn engine_lines(engine: &Engine) -> Vec<Line> {
    let Engine {
        resident_entities,
        idle_timeout,
        snapshot_interval,
        snapshot_events,
        redrive_interval,
        partitions,
    } = engine;
    vec![
        count("resident_entities", *resident_entities),
        time("idle_timeout", *idle_timeout),
        time("snapshot_interval", *snapshot_interval),
        count("snapshot_events", *snapshot_events),
        time("redrive_interval", *redrive_interval),
        count("partitions", *partitions),
    ]
}

fn payments_lines(payments: &Payments) -> Vec<Line> {
    let Payments { provider_timeout, deadline, wait, retries } = payments;
    vec![
        time("provider_timeout", *provider_timeout),
        time("deadline", *deadline),
        time("wait", *wait),
        count("retries", *retries),
    ]
}

fn auth_lines(auth: &Auth) -> Vec<Line> {
    let Auth {
        bootstrap_api_key,
        issuer,
        audience,
        access_token_ttl,
        refresh_token_ttl,
        reset_token_ttl,
        verification_ttl,
        password_threads,
        password_queue,
    } = auth;
    vec![
        secret("bootstrap_api_key", bootstrap_api_key.as_ref()),
        text("issuer", issuer),
        text("audience", audience),
        time("access_token_ttl", *access_token_ttl),
        time("refresh_token_ttl", *refresh_token_ttl),
        time("reset_token_ttl", *reset_token_ttl),
        time("verification_ttl", *verification_ttl),
        count("password_threads", *password_threads),
        count("password_queue", *password_queue),
    ]
}

/// The file that a secret stands in, or that there is one. The two are alternatives: only the one used is shown.
fn secret(key: &str, secret: Option<&Secret>) -> Line {
    match secret.map(Secret::file) {
        None => text(key, ""),
        Some(None) => Line { key: key.to_owned(), value: Value::Redacted },
        Some(file) => path(&format!("{key}_file"), file),
    }
}

fn time(key: &str, duration: Duration) -> Line {
    text(key, &format_duration(duration))
}

fn size(key: &str, bytes: u64) -> Line {
    text(key, &format_size(bytes))
}

fn count(key: &str, number: impl Display) -> Line {
    Line { key: key.to_owned(), value: Value::Shown(number.to_string()) }
}

fn path(key: &str, path: Option<&Path>) -> Line {
    text(key, &path.map(Path::to_string_lossy).unwrap_or_default())
}

/// A TOML basic string.
fn text(key: &str, text: &str) -> Line {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    Line { key: key.to_owned(), value: Value::Shown(quoted + "\"") }
}

/// A comment ends with its line, and a file may be called anything.
fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}
