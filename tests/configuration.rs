//! `config check` and `config show`: what they say, what they must not say, and that they touch nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{binary, scratch};

const ACCEPTED: i32 = 0;
const REFUSED: i32 = 2;
const STRONG: &str = "u4oP0c1Y3T0rJm2f9dWqZ8hLxN6vBtEsKgRaViQyUjXzHwCb";
const KEY: &str = "AUTH__BOOTSTRAP_API_KEY";
const KEY_FILE: &str = "AUTH__BOOTSTRAP_API_KEY_FILE";
const PRODUCTION: (&str, &str) = ("SECURITY__PROFILE", "production");

/// How a run of the program ended.
#[derive(Debug)]
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

/// Runs the program. Settings are named without their prefix.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAMPAGO_")) {
        command.env_remove(name);
    }
    command.envs(settings.iter().map(|(name, value)| (format!("RELAMPAGO_{name}"), value)));
    let output = command.args(arguments).output().unwrap();
    Outcome {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn check(settings: &[(&str, &str)]) -> Outcome {
    run(&["config", "check"], settings)
}

fn write(folder: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_defaults_are_acceptable() {
    let outcome = check(&[]);
    assert_eq!(outcome.code, ACCEPTED, "{outcome:?}");
    assert_eq!(outcome.stdout, "configuration is acceptable\n");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn every_fault_is_a_line_of_its_own() {
    let settings = [
        ("CARTS__TTL", "never"),
        ("SHOP__CURRENCY", "usd"),
        ("SHOP__COLOUR", "red"),
        ("SHOP_LOCALE", "es"),
        ("SERVER__TRUSTED_PROXIES", "everybody"),
    ];
    for command in ["check", "show"] {
        let outcome = run(&["config", command], &settings);
        assert_eq!(outcome.code, REFUSED, "{outcome:?}");
        assert_eq!(outcome.stdout, "", "{outcome:?}");
        let mut lines: Vec<&str> = outcome.stderr.lines().collect();
        lines.sort_unstable();
        let expected = [
            "RELAMPAGO_SHOP_LOCALE: a single _ does not separate levels; write RELAMPAGO_SHOP__LOCALE",
            "carts.ttl = \"never\" (from RELAMPAGO_CARTS__TTL): expected a duration such as 250ms, 6s or 15m, \
             from 10ms to 3650d",
            "server.trusted_proxies = \"everybody\" (from RELAMPAGO_SERVER__TRUSTED_PROXIES): expected IP \
             addresses and networks such as 10.0.0.0/8, ::1",
            "shop.colour (from RELAMPAGO_SHOP__COLOUR): unknown setting; [shop] has shop.currency, shop.locale",
            "shop.currency = \"usd\" (from RELAMPAGO_SHOP__CURRENCY): expected an ISO 4217 code in capitals such \
             as USD",
        ];
        assert_eq!(lines, expected);
    }
}

#[test]
fn files_and_filters_that_cannot_be_understood_are_named() {
    let scratch = scratch();
    let broken = write(&scratch, "broken.toml", "[server]\naddr = nowhere-at-all\n", 0o600);
    let missing = scratch.path().join("missing.toml");
    for (arguments, settings, expected) in [
        (&["--config", text(&broken)][..], &[][..], format!("{}, line 2: not valid TOML", broken.display())),
        (
            &["--config", text(&missing)],
            &[],
            format!("cannot read the configuration file {}", missing.display()),
        ),
        (
            &[],
            &[("LOG__FILTER", "info,ractor=loud")],
            "log.filter = \"info,ractor=loud\" (from RELAMPAGO_LOG__FILTER): expected directives".to_owned(),
        ),
    ] {
        let outcome = run(&[&["config", "check"], arguments].concat(), settings);
        assert_eq!(outcome.code, REFUSED, "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.starts_with(&expected), "{expected}\nis not\n{}", outcome.stderr);
        assert!(!outcome.says("nowhere-at-all"), "a broken line may hold a secret: {outcome:?}");
    }
}

#[test]
fn what_is_shown_has_its_origin_and_can_be_used() {
    let scratch = scratch();
    let file = write(&scratch, "shop.toml", "[shop]\nlocale = \"es\"\ncurrency = \"EUR\"\n", 0o644);
    let sources = ["--config", text(&file), "--addr", "127.0.0.1:0", "--data", "somewhere"];
    let shown = run(&[&["config", "show"], &sources[..]].concat(), &[("SHOP__CURRENCY", "CLP")]);
    assert_eq!((shown.code, &*shown.stderr), (ACCEPTED, ""), "{shown:?}");
    for line in [
        "addr = \"127.0.0.1:0\"  # from --addr".to_owned(),
        "dir = \"somewhere\"  # from --data".to_owned(),
        format!("locale = \"es\"  # in {}", file.display()),
        "currency = \"CLP\"  # from RELAMPAGO_SHOP__CURRENCY".to_owned(),
        "max_in_flight = 16384".to_owned(),
        "profile = \"development\"".to_owned(),
    ] {
        assert!(shown.stdout.lines().any(|shown| shown == line), "{line}\nis missing in\n{}", shown.stdout);
    }

    let copy = write(&scratch, "copy.toml", &shown.stdout, 0o600);
    let again = run(&["config", "show", "--config", text(&copy)], &[]);
    let values = |toml: &str| -> Vec<String> {
        toml.lines().map(|line| line.split("  # ").next().unwrap_or(line).to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&shown.stdout));
}

#[test]
fn no_output_has_a_secret_in_it() {
    let scratch = scratch();
    let weak = "sesame-sesame";
    let unfit = "sesame sesame";
    let strong_file = write(&scratch, "strong", STRONG, 0o600);
    let open_file = write(&scratch, "open", STRONG, 0o644);
    let weak_file = write(&scratch, "weak", weak, 0o600);
    let unfit_file = write(&scratch, "unfit", unfit, 0o600);
    let in_toml = write(&scratch, "in.toml", &format!("[auth]\nbootstrap_api_key = \"{STRONG}\"\n"), 0o600);
    let broken = write(&scratch, "broken.toml", &format!("[auth]\nbootstrap_api_key = {STRONG}\n"), 0o600);
    let misplaced = write(&scratch, "misplaced.toml", &format!("[auth]\nkey = \"{STRONG}\"\n"), 0o600);
    let keys = ("SECURITY__KEYS_FILE", "/srv/relampago/keys.json");
    let cases = [
        (&[(KEY, STRONG)][..], None, ACCEPTED),
        (&[(KEY, weak)], None, ACCEPTED),
        (&[(KEY, unfit)], None, REFUSED),
        (&[(KEY_FILE, text(&open_file))], None, ACCEPTED),
        (&[(KEY_FILE, text(&unfit_file))], None, REFUSED),
        (&[(KEY, STRONG), (KEY_FILE, text(&weak_file))], None, REFUSED),
        (&[PRODUCTION, keys, (KEY, STRONG)], None, ACCEPTED),
        (&[PRODUCTION, keys, (KEY_FILE, text(&strong_file))], None, ACCEPTED),
        (&[PRODUCTION, keys, (KEY_FILE, text(&weak_file))], None, REFUSED),
        (&[], Some(&*in_toml), ACCEPTED),
        (&[], Some(&*broken), REFUSED),
        (&[], Some(&*misplaced), REFUSED),
    ];
    for (settings, file, expected) in cases {
        for command in ["check", "show"] {
            let mut arguments = vec!["config", command];
            arguments.extend(file.map(text).into_iter().flat_map(|file| ["--config", file]));
            let outcome = run(&arguments, settings);
            assert_eq!(outcome.code, expected, "{arguments:?} {settings:?}: {outcome:?}");
            for secret in [STRONG, weak, unfit, &STRONG[..12]] {
                assert!(!outcome.says(secret), "{arguments:?} {settings:?}: {outcome:?}");
            }
        }
    }
    let shown = run(&["config", "show"], &[(KEY, STRONG)]);
    let line = "# bootstrap_api_key = [redacted]  # from RELAMPAGO_AUTH__BOOTSTRAP_API_KEY";
    assert!(shown.stdout.lines().any(|shown| shown == line), "{}", shown.stdout);
}

#[test]
fn production_is_refused_with_all_its_dangers() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    let key = write(&scratch, "key", "bench-admin-key\n", 0o644);
    let settings = [
        PRODUCTION,
        ("DATA__DIR", text(&data)),
        ("SECURITY__KEYS_FILE", &*format!("{}/../data/keys.json", data.display())),
        (KEY_FILE, text(&key)),
    ];
    let dangers =
        ["is inside data.dir", "too weak for production: under 32 characters", "(mode 644); chmod 600 it"];
    let checked = check(&settings);
    assert_eq!(checked.code, REFUSED, "{checked:?}");
    assert_eq!(checked.stderr.lines().count(), dangers.len(), "{checked:?}");
    let served = run(&["serve", "--addr", "127.0.0.1:0"], &settings);
    assert_ne!(served.code, ACCEPTED, "{served:?}");
    for danger in dangers {
        assert!(checked.stderr.contains(danger), "{danger}: {checked:?}");
        assert!(served.stderr.contains(danger), "{danger}: {served:?}");
    }
    assert!(!checked.says("bench-admin-key") && !served.says("bench-admin-key"));
    assert!(!data.exists(), "a refused server leaves no data behind");
}

#[test]
fn development_is_warned_of_secrets_that_others_can_use() {
    let scratch = scratch();
    let key = write(&scratch, "key", "sesame-sesame", 0o644);
    let outcome = check(&[(KEY_FILE, text(&key))]);
    assert_eq!(outcome.code, ACCEPTED, "{outcome:?}");
    let warning = format!(
        "warning: auth.bootstrap_api_key_file (from RELAMPAGO_AUTH__BOOTSTRAP_API_KEY_FILE): others can use {} \
         (mode 644); chmod 600 it\n",
        key.display()
    );
    assert_eq!(outcome.stderr, warning);
}

#[test]
fn looking_leaves_the_data_alone() {
    let scratch = scratch();
    let absent = scratch.path().join("absent");
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for command in ["check", "show"] {
        for data in [&absent, &empty] {
            let outcome = run(&["config", command, "--data", text(data)], &[]);
            assert_eq!(outcome.code, ACCEPTED, "{outcome:?}");
        }
    }
    assert!(!absent.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}
