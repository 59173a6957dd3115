//! What is good enough for development and not for production.

use std::path::{Path, PathBuf};

use crate::Risk;
use crate::reader::Reader;
use crate::secret::mode_if_open_to_others;
use crate::settings::{Profile, Settings};
use crate::strength::weaknesses;

const KEYS_FILE: &str = "security.keys_file";

/// Refuses every risk in production. Development is warned of what is a mistake anywhere, and of nothing else;
/// a file of keys that others can use is refused there too, because nothing starts with it.
pub(crate) fn check(settings: &Settings, reader: &mut Reader) {
    if let Some(risk) = exposure(&settings.keys_file()) {
        reader.refuse_risk(KEYS_FILE, risk);
    }
    let exposed = exposed_secrets(reader);
    match settings.security.profile {
        Profile::Development => exposed.into_iter().for_each(|(key, risk)| reader.warn(&key, risk)),
        Profile::Production => {
            let keys_file = risk_of_keys_file(settings).map(|risk| (KEYS_FILE.to_owned(), risk));
            let weak = weak_secrets(reader);
            let risks = keys_file.into_iter().chain(weak).chain(exposed);
            risks.for_each(|(key, risk)| reader.refuse_risk(&key, risk));
        }
    }
}

fn risk_of_keys_file(settings: &Settings) -> Option<Risk> {
    let Some(path) = &settings.security.keys_file else { return Some(Risk::NoKeysFile) };
    let inside = resolved(path)?.starts_with(resolved(&settings.data.dir)?);
    inside.then(|| Risk::KeysInData { path: path.clone() })
}

fn weak_secrets(reader: &Reader) -> Vec<(String, Risk)> {
    let secrets = reader.secrets().iter();
    let found = secrets.map(|(key, secret)| (key.clone(), weaknesses(secret.expose())));
    found
        .filter(|(_, weaknesses)| !weaknesses.is_empty())
        .map(|(key, found)| (key, Risk::Weak(found)))
        .collect()
}

fn exposed_secrets(reader: &Reader) -> Vec<(String, Risk)> {
    let secrets = reader.secrets().iter();
    secrets.filter_map(|(key, secret)| Some((key.clone(), exposure(secret.file()?)?))).collect()
}

fn exposure(path: &Path) -> Option<Risk> {
    mode_if_open_to_others(path).map(|mode| Risk::Exposed { path: path.to_owned(), mode })
}

/// The absolute path without links and `..`, as far as there is something at it; `None` for an empty one.
fn resolved(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        if component == std::path::Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(component);
        // What is not there yet, or may not be looked at, stands for itself.
        if let Ok(target) = resolved.canonicalize() {
            resolved = target;
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn paths_are_compared_without_links_and_dots() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        for (path, expected) in [
            ("data/keys.json", "data/keys.json"),
            ("link/keys.json", "data/keys.json"),
            ("link/../keys.json", "keys.json"),
            ("none/../data/./deep/keys.json", "data/deep/keys.json"),
            ("database/keys.json", "database/keys.json"),
        ] {
            assert_eq!(resolved(&root.join(path)), Some(root.join(expected)), "{path}");
        }
        assert_eq!(resolved(Path::new("")), None);
    }
}
