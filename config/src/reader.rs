//! Text to typed values within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use humantime::parse_duration;

use crate::layers::{DEFAULT_ORIGIN, Layers, Raw, variable_name};
use crate::units::{format_duration, format_size, parse_size};
use crate::{ConfigError, Fault, Risk, Secret};

/// Takes each key once and remembers every fault. A refused value is replaced by a stand-in so that
/// reading goes on; the stand-ins never get out, because [`Reader::finish`] fails then.
pub(crate) struct Reader {
    values: BTreeMap<String, Raw>,
    flat_variables: Vec<String>,
    taken: BTreeSet<String>,
    secrets: Vec<(String, Secret)>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// What is left to say about settings without a fault.
pub(crate) struct Remarks {
    /// What should be looked at, but stops nothing.
    pub(crate) warnings: Vec<Fault>,
    /// Where each value that is not a default comes from, by dotted key.
    pub(crate) origins: BTreeMap<String, String>,
}

impl Reader {
    pub(crate) fn new(layers: Layers) -> Self {
        let Layers { values, flat_variables } = layers;
        Self {
            values,
            flat_variables,
            taken: BTreeSet::new(),
            secrets: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A value read by `parse`, which refuses by `None`; `stand_in` replaces a refused one.
    pub(crate) fn value<T>(
        &mut self,
        key: &str,
        expected: &str,
        stand_in: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let text = self.take(key);
        let parsed = text.as_deref().and_then(parse);
        parsed.unwrap_or_else(|| {
            self.refuse(key, expected);
            stand_in
        })
    }

    /// A whole number within bounds.
    pub(crate) fn count(&mut self, key: &str, bounds: RangeInclusive<usize>) -> usize {
        let expected = format!("a whole number {}", span(&bounds, usize::to_string));
        self.value(key, &expected, *bounds.start(), |text| {
            text.parse().ok().filter(|number| bounds.contains(number))
        })
    }

    /// A length of time within bounds.
    pub(crate) fn duration(&mut self, key: &str, bounds: RangeInclusive<Duration>) -> Duration {
        let expected =
            format!("a duration such as 250ms, 6s or 15m, {}", span(&bounds, |d| format_duration(*d)));
        self.value(key, &expected, *bounds.start(), |text| {
            parse_duration(text).ok().filter(|duration| bounds.contains(duration))
        })
    }

    /// A number of bytes within bounds that divides by `unit`.
    pub(crate) fn bytes(&mut self, key: &str, bounds: RangeInclusive<u64>, unit: u64) -> u64 {
        let multiple = if unit == 1 { String::new() } else { format!(", a multiple of {unit}") };
        let expected =
            format!("a size such as 65536, 64KiB or 32MiB, {}{multiple}", span(&bounds, |b| format_size(*b)));
        self.value(key, &expected, *bounds.start(), |text| {
            parse_size(text).filter(|bytes| bounds.contains(bytes) && bytes.is_multiple_of(unit))
        })
    }

    /// A path that is not empty.
    pub(crate) fn path(&mut self, key: &str) -> PathBuf {
        self.value(key, "a path", PathBuf::new(), |text| (!text.is_empty()).then(|| text.into()))
    }

    /// What `read` makes of a setting that may be left empty; empty text is `None`.
    pub(crate) fn optional<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.taken.insert(key.to_owned());
        self.is_given(key).then(|| read(self))
    }

    /// A secret of which `accept` approves, given directly or by a file that holds it: the file is the setting's
    /// twin, its key with `_file` behind it. Both empty is `None`. Faults never show a secret.
    pub(crate) fn secret(
        &mut self,
        key: &str,
        expected: &str,
        accept: impl Fn(&str) -> bool,
    ) -> Option<Secret> {
        let twin = format!("{key}_file");
        // A refused path is empty: there is nothing to read.
        let file = self.optional(&twin, |reader| reader.path(&twin)).filter(|path| *path != PathBuf::new());
        let direct = self.optional(key, |reader| Secret::new(reader.take(key).unwrap_or_default()));
        let (source, secret) = match (direct, file) {
            (Some(direct), None) => (key, direct),
            (Some(direct), Some(_)) => {
                self.refuse(&twin, &format!("nothing, since {key} is given too"));
                (key, direct)
            }
            (None, Some(path)) => {
                let read = Secret::read(path.clone());
                (&*twin, read.map_err(|error| self.refuse_file(&twin, path, error.kind())).ok()?)
            }
            (None, None) => return None,
        };
        if !accept(secret.expose()) {
            match secret.file() {
                Some(_) => self.refuse(source, &format!("a file that holds {expected}")),
                None => self.refuse_shown_as(source, "[redacted]".into(), expected),
            }
            return None;
        }
        self.secrets.push((source.to_owned(), secret.clone()));
        Some(secret)
    }

    /// Every secret that has been read, with the key that gave it: its own or its file's.
    pub(crate) fn secrets(&self) -> &[(String, Secret)] {
        &self.secrets
    }

    /// Records that the value of a key that has been read breaks a rule between settings.
    pub(crate) fn refuse(&mut self, key: &str, expected: &str) {
        let given = self.values.get(key).and_then(|raw| raw.text.as_ref());
        let given = given.map_or_else(|| "(a table or list)".to_owned(), |text| format!("{text:?}"));
        self.refuse_shown_as(key, given, expected);
    }

    /// Refuses the value of a key, or its lack, because of what could come of it.
    pub(crate) fn refuse_risk(&mut self, key: &str, risk: Risk) {
        let fault = self.risky(key, risk);
        self.faults.push(fault);
    }

    /// Takes the value of a key, and says what could come of it.
    pub(crate) fn warn(&mut self, key: &str, risk: Risk) {
        let warning = self.risky(key, risk);
        self.warnings.push(warning);
    }

    fn risky(&self, key: &str, risk: Risk) -> Fault {
        Fault::Risky { key: key.to_owned(), origin: self.origin(key), risk }
    }

    fn refuse_shown_as(&mut self, key: &str, given: String, expected: &str) {
        let fault = Fault::Invalid {
            key: key.into(),
            given,
            origin: self.origin(key),
            expected: expected.to_owned(),
        };
        self.faults.push(fault);
    }

    fn refuse_file(&mut self, key: &str, path: PathBuf, reason: std::io::ErrorKind) {
        let fault = Fault::SecretFile { key: key.into(), path, origin: self.origin(key), reason };
        self.faults.push(fault);
    }

    /// Fails with every fault found, keys that nobody took included.
    pub(crate) fn finish(mut self) -> Result<Remarks, ConfigError> {
        let unknown = self.values.iter().filter(|(key, _)| !self.taken.contains(*key));
        let unknown: Vec<Fault> = unknown
            .map(|(key, raw)| Fault::Unknown {
                key: key.clone(),
                origin: raw.origin.clone(),
                known: self.neighbours(key),
            })
            .collect();
        let misspelt: Vec<Fault> = self.flat_variables.iter().filter_map(|name| self.meant(name)).collect();
        self.faults.extend(unknown.into_iter().chain(misspelt));
        if !self.faults.is_empty() {
            return Err(ConfigError::Faults(self.faults));
        }
        let given = self.values.into_iter().filter(|(_, raw)| raw.origin != DEFAULT_ORIGIN);
        let origins = given.map(|(key, raw)| (key, raw.origin)).collect();
        Ok(Remarks { warnings: self.warnings, origins })
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.taken.insert(key.to_owned());
        self.values.get(key).and_then(|raw| raw.text.clone())
    }

    /// Whether a setting that may be left empty has been given, in whatever form.
    fn is_given(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|raw| raw.text.as_deref() != Some(""))
    }

    fn origin(&self, key: &str) -> String {
        self.values.get(key).map_or_else(|| "nowhere given".into(), |raw| raw.origin.clone())
    }

    /// What may stand where the unknown key stands: the keys of its section, or else the sections.
    fn neighbours(&self, key: &str) -> String {
        let section = key.split('.').next().unwrap_or(key);
        let in_section = |known: &&String| known.split('.').next() == Some(section);
        let keys: Vec<&str> = self.taken.iter().filter(in_section).map(String::as_str).collect();
        if keys.is_empty() {
            let sections: BTreeSet<&str> =
                self.taken.iter().filter_map(|known| known.split('.').next()).collect();
            return format!("the sections are {}", Vec::from_iter(sections).join(", "));
        }
        format!("[{section}] has {}", keys.join(", "))
    }

    fn meant(&self, variable: &str) -> Option<Fault> {
        let meant = self.taken.iter().map(|key| variable_name(key));
        meant
            .into_iter()
            .find(|name| name.replace("__", "_") == variable)
            .map(|meant| Fault::Misspelt { variable: variable.to_owned(), meant })
    }
}

fn span<T, S: fmt::Display>(bounds: &RangeInclusive<T>, show: impl Fn(&T) -> S) -> String {
    format!("from {} to {}", show(bounds.start()), show(bounds.end()))
}
