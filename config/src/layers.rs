//! The sources of settings, later ones over earlier ones: defaults, file, environment, flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::{ConfigError, Fault};

const DEFAULTS: &str = include_str!("../default.toml");
/// The origin of every value that nobody has given.
pub(crate) const DEFAULT_ORIGIN: &str = "by default";
const PREFIX: &str = "RELAMPAGO_";

/// Settings given on the command line; they override everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--addr`: `server.addr`.
    pub addr: Option<SocketAddr>,
    /// `--data`: `data.dir`.
    pub data: Option<PathBuf>,
}

/// A value as it was given.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    /// The scalar as text; `None` for a table, a list or a date.
    pub(crate) text: Option<String>,
    /// Where it came from, for messages.
    pub(crate) origin: String,
}

/// What all sources say together.
#[derive(Debug)]
pub(crate) struct Layers {
    /// By dotted key (`section.key`), what the last source says.
    pub(crate) values: BTreeMap<String, Raw>,
    /// Variables with the prefix that name no level (`RELAMPAGO_HOME`), for [`crate::check`] to look at.
    pub(crate) flat_variables: Vec<String>,
}

impl Layers {
    /// Reads and merges all sources. Fails only where a file cannot be read or is not TOML.
    pub(crate) fn read(
        file: Option<&Path>,
        flags: Flags,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut merged = Figment::from(Layer {
            origin: DEFAULT_ORIGIN.into(),
            ..Layer::toml(Path::new("default.toml"), DEFAULTS)?
        });
        if let Some(path) = file {
            merged = merged.merge(Layer::file(path)?);
        }
        let mut flat_variables = Vec::new();
        for (variable, value) in env {
            match setting_name(&variable) {
                Some(key) => merged = merged.merge(Layer::value(format!("from {variable}"), &key, value)),
                None if variable.starts_with(PREFIX) => flat_variables.push(variable),
                None => {}
            }
        }
        if let Some(addr) = flags.addr {
            merged = merged.merge(Layer::value("from --addr".into(), "server.addr", addr.to_string()));
        }
        if let Some(dir) = flags.data {
            merged = merged.merge(Layer::value("from --data".into(), "data.dir", utf8(dir)?));
        }
        Ok(Self { values: flatten(&merged)?, flat_variables })
    }
}

/// Settings are text; a folder whose name is not cannot be shown or written to a file.
fn utf8(dir: PathBuf) -> Result<String, ConfigError> {
    dir.into_os_string().into_string().map_err(|dir| {
        ConfigError::Faults(vec![Fault::Invalid {
            key: "data.dir".into(),
            given: format!("{dir:?}"),
            origin: "from --data".into(),
            expected: "a path in UTF-8".into(),
        }])
    })
}

/// The environment variable that sets `key`: `server.addr` is `RELAMPAGO_SERVER__ADDR`.
pub(crate) fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The dotted key that a variable sets. Variables without a `__` are not settings: container platforms
/// put their own (`RELAMPAGO_PORT`) beside ours.
fn setting_name(variable: &str) -> Option<String> {
    let path = variable.strip_prefix(PREFIX)?;
    path.contains("__").then(|| path.replace("__", ".").to_ascii_lowercase())
}

/// One source; figment keeps its name with every value that comes from it.
struct Layer {
    origin: String,
    dict: Dict,
}

impl Layer {
    fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::toml(path, &text)
    }

    fn toml(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let dict = Toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().replace('\n', ", "),
        })?;
        Ok(Self { origin: format!("in {}", path.display()), dict })
    }

    fn value(origin: String, key: &str, text: String) -> Self {
        let nested = figment::util::nest(key, Value::from(text));
        Self { origin, dict: nested.into_dict().unwrap_or_default() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Two levels, `section.key`; whatever lies deeper stays a value without text, which every reader refuses.
fn flatten(merged: &Figment) -> Result<BTreeMap<String, Raw>, ConfigError> {
    let mut profiles = merged.data().map_err(Box::new)?;
    let mut values = BTreeMap::new();
    for (section, value) in profiles.remove(&Profile::Default).unwrap_or_default() {
        match value {
            Value::Dict(_, keys) => values.extend(
                keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), raw(merged, &value))),
            ),
            scalar => {
                values.insert(section, raw(merged, &scalar));
            }
        }
    }
    Ok(values)
}

fn raw(merged: &Figment, value: &Value) -> Raw {
    let text = match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => (number.to_u128().map(|n| n.to_string()))
            .or_else(|| number.to_i128().map(|n| n.to_string()))
            .or_else(|| number.to_f64().map(|n| n.to_string())),
        Value::Char(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    };
    let origin = first_tag(value).and_then(|tag| merged.get_metadata(tag));
    Raw { text, origin: origin.map_or_else(|| "configuration".into(), |source| source.name.to_string()) }
}

/// A table carries no source of its own; its first value's is the one to name.
fn first_tag(value: &Value) -> Option<figment::value::Tag> {
    match value {
        Value::Dict(tag, keys) => keys.values().next().map_or(Some(*tag), first_tag),
        Value::Array(tag, items) => items.first().map_or(Some(*tag), first_tag),
        scalar => Some(scalar.tag()),
    }
}

/// The line, from 1, that the byte offset lies in.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
