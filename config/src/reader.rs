//! Text to typed values within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use humantime::parse_duration;

use crate::layers::{Layers, Raw, variable_name};
use crate::units::{format_duration, format_size, parse_size};
use crate::{ConfigError, Fault, Secret};

/// Takes each key once and remembers every fault. A refused value is replaced by a stand-in so that
/// reading goes on; the stand-ins never get out, because [`Reader::finish`] fails then.
pub(crate) struct Reader {
    values: BTreeMap<String, Raw>,
    flat_variables: Vec<String>,
    taken: BTreeSet<&'static str>,
    faults: Vec<Fault>,
}

impl Reader {
    pub(crate) fn new(layers: Layers) -> Self {
        let Layers { values, flat_variables } = layers;
        Self { values, flat_variables, taken: BTreeSet::new(), faults: Vec::new() }
    }

    /// A value read by `parse`, which refuses by `None`; `stand_in` replaces a refused one.
    pub(crate) fn value<T>(
        &mut self,
        key: &'static str,
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
    pub(crate) fn count(&mut self, key: &'static str, bounds: RangeInclusive<usize>) -> usize {
        let expected = format!("a whole number {}", span(&bounds, usize::to_string));
        self.value(key, &expected, *bounds.start(), |text| {
            text.parse().ok().filter(|number| bounds.contains(number))
        })
    }

    /// A length of time within bounds.
    pub(crate) fn duration(&mut self, key: &'static str, bounds: RangeInclusive<Duration>) -> Duration {
        let expected =
            format!("a duration such as 250ms, 6s or 15m, {}", span(&bounds, |d| format_duration(*d)));
        self.value(key, &expected, *bounds.start(), |text| {
            parse_duration(text).ok().filter(|duration| bounds.contains(duration))
        })
    }

    /// A number of bytes within bounds that divides by `unit`.
    pub(crate) fn bytes(&mut self, key: &'static str, bounds: RangeInclusive<u64>, unit: u64) -> u64 {
        let multiple = if unit == 1 { String::new() } else { format!(", a multiple of {unit}") };
        let expected =
            format!("a size such as 65536, 64KiB or 32MiB, {}{multiple}", span(&bounds, |b| format_size(*b)));
        self.value(key, &expected, *bounds.start(), |text| {
            parse_size(text).filter(|bytes| bounds.contains(bytes) && bytes.is_multiple_of(unit))
        })
    }

    /// Like [`Reader::bytes`]; empty text is `None`.
    pub(crate) fn optional_bytes(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let given = self.is_given(key);
        let bytes = given.then(|| self.bytes(key, bounds, 1));
        self.taken.insert(key);
        bytes
    }

    /// A path that is not empty.
    pub(crate) fn path(&mut self, key: &'static str) -> PathBuf {
        self.value(key, "a path", PathBuf::new(), |text| (!text.is_empty()).then(|| text.into()))
    }

    /// A path; empty text is `None`.
    pub(crate) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let given = self.is_given(key);
        self.taken.insert(key);
        given.then(|| self.path(key))
    }

    /// A secret of which `accept` approves; empty text is `None`. Faults never show it.
    pub(crate) fn optional_secret(
        &mut self,
        key: &'static str,
        expected: &str,
        accept: impl FnOnce(&str) -> bool,
    ) -> Option<Secret> {
        let given = self.is_given(key);
        let text = self.take(key).unwrap_or_default();
        if given && !accept(&text) {
            self.refuse_shown_as(key, "[redacted]".into(), expected);
        }
        given.then(|| Secret::new(text))
    }

    /// Records that the value of a key that has been read breaks a rule between settings.
    pub(crate) fn refuse(&mut self, key: &'static str, expected: &str) {
        let given = self.values.get(key).and_then(|raw| raw.text.as_ref());
        let given = given.map_or_else(|| "(a table or list)".to_owned(), |text| format!("{text:?}"));
        self.refuse_shown_as(key, given, expected);
    }

    /// Records that a value breaks a rule, without showing it.
    pub(crate) fn refuse_shown_as(&mut self, key: &'static str, given: String, expected: &str) {
        let fault = Fault::Invalid {
            key: key.into(),
            given,
            origin: self.origin(key),
            expected: expected.to_owned(),
        };
        self.faults.push(fault);
    }

    /// Records that the file named by `key` cannot be read.
    pub(crate) fn refuse_file(&mut self, key: &'static str, path: PathBuf, reason: std::io::ErrorKind) {
        let fault = Fault::SecretFile { key: key.into(), path, origin: self.origin(key), reason };
        self.faults.push(fault);
    }

    /// Fails with every fault found, keys that nobody took included.
    pub(crate) fn finish(mut self) -> Result<(), ConfigError> {
        let unknown = self.values.iter().filter(|(key, _)| !self.taken.contains(key.as_str()));
        let unknown: Vec<Fault> = unknown
            .map(|(key, raw)| Fault::Unknown {
                key: key.clone(),
                origin: raw.origin.clone(),
                known: self.neighbours(key),
            })
            .collect();
        let misspelt: Vec<Fault> = self.flat_variables.iter().filter_map(|name| self.meant(name)).collect();
        self.faults.extend(unknown.into_iter().chain(misspelt));
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError::Faults(self.faults)) }
    }

    fn take(&mut self, key: &'static str) -> Option<String> {
        self.taken.insert(key);
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
        let in_section = |known: &&str| known.split('.').next() == Some(section);
        let keys: Vec<&str> = self.taken.iter().copied().filter(in_section).collect();
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
