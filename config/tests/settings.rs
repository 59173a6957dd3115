//! Settings as their users give them: by file, environment and flags.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use relampago_config::{ConfigError, Configuration, Fault, Flags, Locale, LogFormat, Profile, Settings};

const DEFAULTS: &str = include_str!("../default.toml");

fn load(file: Option<&Path>, env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(file, Flags::default(), env)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn faults(result: Result<Settings, ConfigError>) -> Vec<Fault> {
    match result {
        Err(ConfigError::Faults(faults)) => faults,
        other => panic!("expected faults, got {other:?}"),
    }
}

/// Every `section.key` of a TOML text in the plain style of `default.toml`.
fn keys(toml: &str) -> Vec<String> {
    let mut section = "";
    let mut keys = Vec::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys
}

fn variable(key: &str) -> String {
    format!("RELAMPAGO_{}", key.to_uppercase().replace('.', "__"))
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = load(None, &[]).unwrap();
    assert_eq!(settings.server.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.body_limit_bytes, 1_048_576);
    assert_eq!(settings.server.max_in_flight, 16_384);
    assert_eq!(settings.data.dir, PathBuf::from("./data"));
    assert_eq!(settings.journal.segment_bytes, 33_554_432);
    assert_eq!(settings.journal.archive_retention_bytes, None);
    assert_eq!(settings.orders.reservation_ttl, Duration::from_secs(900));
    assert_eq!(settings.carts.ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.server.trusted_proxies, [""; 0]);
    assert_eq!(settings.auth.bootstrap_api_key, None);
    assert_eq!(settings.auth.issuer, "relampago");
    assert_eq!(settings.auth.access_token_ttl, Duration::from_secs(900));
    assert_eq!(settings.auth.verification_ttl, Duration::from_secs(86_400));
    assert_eq!(settings.security.profile, Profile::Development);
    assert_eq!(settings.security.keys_file, None);
    assert_eq!(settings.keys_file(), PathBuf::from("./data/keys.json"));
    assert_eq!(settings.mail.link, None);
    assert_eq!(settings.shop.currency, "USD");
    assert_eq!(settings.shop.locale, Locale::En);
    assert_eq!(settings.log.format, LogFormat::Auto);
}

#[test]
fn flags_override_environment_overrides_file_overrides_defaults() {
    let file = file("[server]\naddr = \"127.0.0.1:1\"\nmax_in_flight = 7\n[carts]\nttl = \"1h\"\n");
    let env = [("RELAMPAGO_SERVER__ADDR", "127.0.0.1:2"), ("RELAMPAGO_SERVER__MAX_IN_FLIGHT", "8")];
    let settings = load(Some(file.path()), &env).unwrap();
    assert_eq!(settings.server.addr.port(), 2);
    assert_eq!(settings.server.max_in_flight, 8);
    assert_eq!(settings.carts.ttl, Duration::from_secs(3600));
    assert_eq!(settings.server.max_connections, 16_384);

    let flags = Flags { addr: Some("[::1]:3".parse().unwrap()), data: Some("/srv/shop".into()) };
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::load(Some(file.path()), flags, env.into_iter()).unwrap();
    assert_eq!(settings.server.addr.to_string(), "[::1]:3");
    assert_eq!(settings.data.dir, PathBuf::from("/srv/shop"));
}

#[test]
fn a_number_reads_the_same_with_and_without_quotes() {
    for text in ["64 MiB", "67108864"] {
        let settings =
            load(Some(file(&format!("[journal]\nsegment_bytes = \"{text}\"")).path()), &[]).unwrap();
        assert_eq!(settings.journal.segment_bytes, 67_108_864);
    }
    let settings = load(Some(file("[journal]\nsegment_bytes = 67108864").path()), &[]).unwrap();
    assert_eq!(settings.journal.segment_bytes, 67_108_864);
}

#[test]
fn refused_values_name_key_value_origin_and_what_is_accepted() {
    let whole = "a whole number from 1 to 1000000";
    let duration = "a duration such as 250ms, 6s or 15m, from 100ms to 10m";
    let size = "a size such as 65536, 64KiB or 32MiB, from 64KiB to 4GiB, a multiple of 4096";
    let networks = "IP addresses and networks such as 10.0.0.0/8, ::1";
    let link = "an address that starts with http:// or https://";
    for (key, value, expected) in [
        ("server.addr", "localhost", "an IP address and port such as 127.0.0.1:8080"),
        ("server.addr", "", "an IP address and port such as 127.0.0.1:8080"),
        ("server.max_in_flight", "0", whole),
        ("server.max_in_flight", "1000001", whole),
        ("server.max_in_flight", "-1", whole),
        ("server.max_in_flight", "1.5", whole),
        ("server.max_in_flight", "true", whole),
        ("server.header_read_timeout", "10", duration),
        ("server.header_read_timeout", "99ms", duration),
        ("server.header_read_timeout", "11m", duration),
        ("server.header_read_timeout", "soon", duration),
        ("server.keep_alive_timeout", "61m", "a duration such as 250ms, 6s or 15m, from 100ms to 1h"),
        ("journal.segment_bytes", "60KiB", size),
        ("journal.segment_bytes", "65537", size),
        ("journal.segment_bytes", "32MB", size),
        ("journal.sled_segment_bytes", "3MiB", "a power of two from 512KiB to 16MiB"),
        ("journal.sled_segment_bytes", "32MiB", "a power of two from 512KiB to 16MiB"),
        ("journal.gather_percent", "101", "a whole number from 1 to 100"),
        (
            "journal.archive_retention_bytes",
            "1",
            "a size such as 65536, 64KiB or 32MiB, from 1MiB to 1024TiB",
        ),
        ("data.dir", "", "a path"),
        ("server.trusted_proxies", "10.0.0.0/33", networks),
        ("server.trusted_proxies", "10.0.0.0/8,", networks),
        ("server.trusted_proxies", "proxy.internal", networks),
        ("auth.issuer", "", "1 to 255 characters, no control characters"),
        ("auth.audience", &"a".repeat(256), "1 to 255 characters, no control characters"),
        ("auth.access_token_ttl", "25h", "a duration such as 250ms, 6s or 15m, from 1s to 1d"),
        ("auth.refresh_token_ttl", "366d", "a duration such as 250ms, 6s or 15m, from 1s to 365d"),
        ("auth.reset_token_ttl", "8d", "a duration such as 250ms, 6s or 15m, from 1s to 7d"),
        ("auth.verification_ttl", "999ms", "a duration such as 250ms, 6s or 15m, from 1s to 30d"),
        ("auth.password_threads", "65", "a whole number from 0 to 64"),
        ("auth.password_queue", "0", "a whole number from 1 to 10000"),
        ("security.profile", "Production", "development or production"),
        ("mail.link", "shop.example.com/reset", link),
        ("mail.link", "https://", link),
        ("mail.link", "ftp://shop.example.com", link),
        ("mail.link", "https://shop.example.com/a b", link),
        ("shop.currency", "usd", "an ISO 4217 code in capitals such as USD"),
        ("shop.currency", "ABC", "an ISO 4217 code in capitals such as USD"),
        ("shop.locale", "fr", "en or es"),
        ("log.format", "xml", "auto, text or json"),
        ("log.filter", " ", "directives such as info,ractor=warn"),
        ("payments.wait", "10s", "less than server.request_timeout"),
        ("payments.provider_timeout", "61s", "at most payments.deadline"),
    ] {
        let variable = variable(key);
        let fault = Fault::Invalid {
            key: key.into(),
            given: format!("{value:?}"),
            origin: format!("from {variable}"),
            expected: expected.into(),
        };
        assert_eq!(faults(load(None, &[(&variable, value)])), [fault], "{key} = {value:?}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let file = file("colour = 1\n[server]\nmax_inflight = 1\naddr = [1]\n[orders.reservation_ttl]\nx = 1\n");
    let env = [
        ("RELAMPAGO_CARTS__TTL", "never"),
        ("RELAMPAGO_CART__TTL", "1d"),
        ("RELAMPAGO_ORDERS_RESERVATION_TTL", "6s"),
        ("RELAMPAGO_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    let message = load(Some(file.path()), &env).unwrap_err().to_string();
    let origin = format!("in {}", file.path().display());
    let sections = "auth, carts, data, engine, journal, log, mail, orders, payments, security, server, shop";
    for line in [
        "7 settings refused:".to_owned(),
        format!("colour ({origin}): unknown setting; the sections are {sections}"),
        format!(
            "server.max_inflight ({origin}): unknown setting; [server] has server.addr, server.body_limit"
        ),
        format!("server.addr = (a table or list) ({origin}): expected an IP address"),
        format!("orders.reservation_ttl = (a table or list) ({origin}): expected a duration"),
        "carts.ttl = \"never\" (from RELAMPAGO_CARTS__TTL): expected a duration".to_owned(),
        "cart.ttl (from RELAMPAGO_CART__TTL): unknown setting; the sections are".to_owned(),
        "RELAMPAGO_ORDERS_RESERVATION_TTL: a single _ does not separate levels; write \
         RELAMPAGO_ORDERS__RESERVATION_TTL"
            .to_owned(),
    ] {
        assert!(message.contains(&line), "{line}\nis missing in\n{message}");
    }
    assert!(!message.contains("RELAMPAGO_PORT") && !message.contains("PATH"), "{message}");
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_named() {
    let missing = load(Some(Path::new("no/such.toml")), &[]).unwrap_err();
    assert!(matches!(&missing, ConfigError::Unreadable { path, .. } if path == Path::new("no/such.toml")));
    let broken = file("[server\n");
    let message = load(Some(broken.path()), &[]).unwrap_err().to_string();
    assert!(message.contains(&broken.path().display().to_string()), "{message}");
}

#[test]
fn the_api_key_is_checked_and_never_shown() {
    for (key, accepted) in [
        ("sesame12", true),
        ("sesame1", false),
        ("sésame123", false),
        ("sesame 123", false),
        (&*"s".repeat(255), true),
        (&*"s".repeat(256), false),
    ] {
        let shown = match load(None, &[("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", key)]) {
            Ok(settings) => {
                assert!(accepted, "{key:?}");
                assert_eq!(settings.auth.bootstrap_api_key.as_ref().unwrap().expose(), key);
                format!("{settings} {settings:?}")
            }
            Err(error) => {
                assert!(!accepted, "{key:?}");
                format!("{error} {error:?}")
            }
        };
        assert!(!shown.contains(key), "{shown}");
        assert!(shown.contains("[redacted]"), "{shown}");
    }
}

#[test]
fn the_api_key_may_stand_in_a_file() {
    const DIRECT: &str = "RELAMPAGO_AUTH__BOOTSTRAP_API_KEY";
    const FILE: &str = "RELAMPAGO_AUTH__BOOTSTRAP_API_KEY_FILE";
    let good = file("sesame-from-a-file\n");
    let path = good.path().to_str().unwrap();
    let settings = load(None, &[(FILE, path), (DIRECT, "")]).unwrap();
    assert_eq!(settings.auth.bootstrap_api_key.as_ref().unwrap().expose(), "sesame-from-a-file");
    assert_eq!(settings.auth.bootstrap_api_key.as_ref().unwrap().file(), Some(good.path()));
    assert!(!settings.to_string().contains("sesame"));

    let short = file("short\n");
    let short_path = short.path().to_str().unwrap();
    let long = file(&"long".repeat(20_000));
    let long_path = long.path().to_str().unwrap();
    let table = file("[auth.bootstrap_api_key_file]\npath = \"sesame\"\n");
    let found = faults(load(Some(table.path()), &[]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].to_string().contains("(a table or list)"), "{}", found[0]);

    for (env, message) in [
        (
            &[(FILE, path), (DIRECT, "sesame123")][..],
            "expected nothing, since auth.bootstrap_api_key is given too",
        ),
        (&[(FILE, short_path)], "expected a file that holds 8 to 255 visible ASCII characters"),
        (&[(FILE, long_path)], "invalid data"),
        (&[(FILE, "no/such")], "entity not found"),
    ] {
        let found = faults(load(None, env));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains(message), "{}", found[0]);
    }
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let changed = [
        ("RELAMPAGO_SERVER__REQUEST_TIMEOUT", "7500ms"),
        ("RELAMPAGO_CARTS__TTL", "400d"),
        ("RELAMPAGO_DATA__DIR", "C:\\shop \"one\"\n"),
        ("RELAMPAGO_JOURNAL__ARCHIVE_RETENTION_BYTES", "3GiB"),
        ("RELAMPAGO_SERVER__TRUSTED_PROXIES", "10.0.0.0/8 ,::1"),
        ("RELAMPAGO_SECURITY__KEYS_FILE", "/srv/keys.json"),
        ("RELAMPAGO_MAIL__LINK", "https://shop.example.com/account?token="),
        ("RELAMPAGO_SHOP__LOCALE", "es"),
        ("RELAMPAGO_LOG__FORMAT", "json"),
    ];
    for env in [&[][..], &changed] {
        let settings = load(None, env).unwrap();
        let shown = file(&settings.to_string());
        assert_eq!(load(Some(shown.path()), &[]).unwrap(), settings);
    }
}

#[test]
fn every_setting_is_shown_and_settable() {
    let shown = keys(&load(None, &[]).unwrap().to_string());
    for key in keys(DEFAULTS) {
        // The key and its file are alternatives; only the one that is used is shown.
        assert!(shown.contains(&key) || key == "auth.bootstrap_api_key_file", "{key} is not shown");
        match load(None, &[(&variable(&key), "\u{1}")]) {
            Ok(_) => assert!(
                matches!(&*key, "data.dir" | "log.filter" | "security.keys_file"),
                "{key} takes anything"
            ),
            Err(error) => assert!(error.to_string().contains(&key), "{error}"),
        }
    }
}

#[test]
fn a_syntax_error_does_not_show_the_line_it_is_in() {
    let broken = file("[auth]\nbootstrap_api_key = sesame123\n");
    let error = load(Some(broken.path()), &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn a_configuration_shows_where_its_values_come_from() {
    let key = file("sesame-from-a-file\n");
    let file = file(&format!(
        "[shop]\ncurrency = \"EUR\"\n[auth]\nbootstrap_api_key_file = \"{}\"\n",
        key.path().display()
    ));
    let flags = Flags { addr: Some("[::1]:3".parse().unwrap()), data: None };
    let env = [("RELAMPAGO_SHOP__LOCALE".to_owned(), "es".to_owned())];
    let configuration = Configuration::load(Some(file.path()), flags, env.into_iter()).unwrap();
    let shown = configuration.to_string();
    let origin = format!("in {}", file.path().display());
    for line in [
        "addr = \"[::1]:3\"  # from --addr".to_owned(),
        "max_in_flight = 16384".to_owned(),
        format!("currency = \"EUR\"  # {origin}"),
        "locale = \"es\"  # from RELAMPAGO_SHOP__LOCALE".to_owned(),
        format!("bootstrap_api_key_file = \"{}\"  # {origin}", key.path().display()),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nis missing in\n{shown}");
    }
    let again = self::file(&shown);
    assert_eq!(load(Some(again.path()), &[]).unwrap(), configuration.settings);
}

/// Its variables are commented out, one a line, without blanks; everything else is prose.
fn example() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example");
    let text = std::fs::read_to_string(path).unwrap();
    let given = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    given
        .filter(|(name, _)| name.starts_with("RELAMPAGO_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_example_of_an_environment_is_accepted() {
    let known: Vec<String> = keys(DEFAULTS).iter().map(|key| variable(key)).collect();
    let example = example();
    assert!(example.len() > 10, "{example:?}");
    let unknown: Vec<_> = example.iter().filter(|(name, _)| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");

    // A secret stands in it by its file alone; those files are not here.
    let secrets: Vec<&String> = known.iter().filter(|name| known.contains(&format!("{name}_FILE"))).collect();
    let direct: Vec<_> = example.iter().filter(|(name, _)| secrets.contains(&name)).collect();
    assert!(!secrets.is_empty() && direct.is_empty(), "{direct:?}");
    let is_twin = |name: &str| name.strip_suffix("_FILE").is_some_and(|key| known.iter().any(|k| k == key));
    let others = example.into_iter().filter(|(name, _)| !is_twin(name));
    let settings = Settings::load(None, Flags::default(), others).unwrap();
    assert_eq!(settings.security.profile, Profile::Production);
}

#[test]
fn nothing_in_the_example_is_taken_for_a_secret() {
    for (name, value) in example() {
        let env =
            [("RELAMPAGO_SECURITY__PROFILE", "production"), ("RELAMPAGO_AUTH__BOOTSTRAP_API_KEY", &value)];
        let found = faults(load(None, &env));
        let refused = |fault: &Fault| fault.to_string().starts_with("auth.bootstrap_api_key ");
        assert!(found.iter().any(refused), "{name}: {found:?}");
    }
}
