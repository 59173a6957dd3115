//! What production refuses, and what development is told of it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use relampago_config::Weakness::{FewCharacters, Known, Pattern, Short};
use relampago_config::{ConfigError, Configuration, Fault, Flags, Risk};
use tempfile::TempDir;

const GOOD: &str = "u4oP0c1Y3T0rJm2f9dWqZ8hLxN6vBtEsKgRaViQyUjXzHwCb";
const KEY: &str = "auth.bootstrap_api_key";
const KEY_FILE: &str = "auth.bootstrap_api_key_file";
const KEYS_FILE: &str = "security.keys_file";

/// Loads the settings by their dotted keys.
fn load(settings: &[(&str, &str)]) -> Result<Configuration, ConfigError> {
    let variable = |key: &str| format!("RELAMPAGO_{}", key.to_uppercase().replace('.', "__"));
    let env = settings.iter().map(|(key, value)| (variable(key), (*value).to_owned()));
    Configuration::load(None, Flags::default(), env)
}

/// The dangers that production refuses the settings for, by key.
fn risks(settings: &[(&str, &str)]) -> Vec<(String, Risk)> {
    let production: Vec<_> = [("security.profile", "production")].iter().chain(settings).copied().collect();
    let faults = match load(&production) {
        Ok(_) => return Vec::new(),
        Err(ConfigError::Faults(faults)) => faults,
        Err(other) => panic!("expected faults, got {other:?}"),
    };
    let risk = |fault| match fault {
        Fault::Risky { key, risk, .. } => (key, risk),
        other => panic!("expected a danger, got {other:?}"),
    };
    faults.into_iter().map(risk).collect()
}

/// Writes a file in the folder; returns its path.
fn write(folder: &TempDir, name: &str, text: &str, mode: u32) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn production_takes_a_good_key_and_keys_outside_the_data() {
    let scratch = tempfile::tempdir().unwrap();
    let file = write(&scratch, "key", &format!("{GOOD}\n"), 0o600);
    let keys = write(&scratch, "keys.json", "{}", 0o400);
    for settings in [
        &[(KEYS_FILE, "/srv/keys.json")][..],
        &[(KEYS_FILE, "/srv/keys.json"), (KEY, GOOD)],
        &[(KEYS_FILE, &keys), (KEY_FILE, &file)],
    ] {
        assert_eq!(risks(settings), [], "{settings:?}");
    }
}

#[test]
fn production_refuses_keys_beside_the_data() {
    assert_eq!(risks(&[]), [(KEYS_FILE.to_owned(), Risk::NoKeysFile)]);
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let link = scratch.path().join("link");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for path in [data.join("keys.json"), data.join("deep/../keys.json"), link.join("keys.json"), link] {
        let settings = [("data.dir", data.to_str().unwrap()), (KEYS_FILE, path.to_str().unwrap())];
        assert_eq!(risks(&settings), [(KEYS_FILE.to_owned(), Risk::KeysInData { path })]);
    }
    for path in ["../data/keys.json", "data2/keys.json"] {
        assert_eq!(risks(&[("data.dir", "data"), (KEYS_FILE, path)]), [], "{path}");
    }
}

#[test]
fn production_refuses_weak_secrets_however_they_are_given() {
    let scratch = tempfile::tempdir().unwrap();
    for (secret, expected) in [
        ("change-me", vec![Short, FewCharacters, Known]),
        ("bench-admin-key", vec![Short, Known]),
        (&GOOD[..31], vec![Short]),
        ("aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", vec![FewCharacters, Pattern]),
    ] {
        let risk = Risk::Weak(expected);
        let settings = [(KEYS_FILE, "/srv/keys.json"), (KEY, secret)];
        assert_eq!(risks(&settings), [(KEY.to_owned(), risk.clone())]);
        let file = write(&scratch, "weak", secret, 0o600);
        let settings = [(KEYS_FILE, "/srv/keys.json"), (KEY_FILE, &file)];
        assert_eq!(risks(&settings), [(KEY_FILE.to_owned(), risk)]);
        assert_eq!(load(&[(KEY, secret)]).unwrap().warnings, [], "development takes it");
    }
}

#[test]
fn files_that_others_can_use_are_refused_or_warned_of() {
    let scratch = tempfile::tempdir().unwrap();
    for (mode, is_exposed) in
        [(0o600, false), (0o400, false), (0o620, true), (0o640, true), (0o604, true), (0o444, true)]
    {
        let file = write(&scratch, &format!("{mode:o}"), GOOD, mode);
        let risk = Risk::Exposed { path: Path::new(&file).to_owned(), mode };

        let secret = [(KEYS_FILE, "/srv/keys.json"), (KEY_FILE, &*file)];
        let expected = if is_exposed { vec![(KEY_FILE.to_owned(), risk.clone())] } else { Vec::new() };
        assert_eq!(risks(&secret), expected, "{mode:o}");
        assert_eq!(load(&secret).unwrap().warnings.len(), expected.len(), "{mode:o}");

        let keys = [(KEYS_FILE, &*file)];
        let expected = if is_exposed { vec![(KEYS_FILE.to_owned(), risk)] } else { Vec::new() };
        assert_eq!(risks(&keys), expected, "{mode:o}");
        assert_eq!(load(&keys).is_ok(), !is_exposed, "no profile starts with keys of mode {mode:o}");
    }
}

#[test]
fn all_dangers_come_at_once_and_say_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let file = write(&scratch, "key", "change-me", 0o644);
    let settings = [("security.profile", "production"), (KEY_FILE, &file), ("auth.password_queue", "0")];
    let message = load(&settings).unwrap_err().to_string();
    let from = "(from RELAMPAGO_AUTH__BOOTSTRAP_API_KEY_FILE)";
    for line in [
        "4 settings refused:".to_owned(),
        "auth.password_queue = \"0\"".to_owned(),
        "security.keys_file (by default): production keeps its keys apart from its data; name a file outside \
         data.dir"
            .to_owned(),
        format!(
            "{KEY_FILE} {from}: too weak for production: under 32 characters, fewer than 12 different \
             characters, an example or a default; `openssl rand -base64 48` makes a good one"
        ),
        format!("{KEY_FILE} {from}: others can use {file} (mode 644); chmod 600 it"),
    ] {
        assert!(message.contains(&line), "{line}\nis missing in\n{message}");
    }
    assert!(!message.contains("change-me"), "{message}");
}
