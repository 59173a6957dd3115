//! A scenario file as it is written: the shapes alone. What the texts in it mean is read in [`super::build`].

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

pub(super) type Text = Spanned<String>;
pub(super) type Texts = BTreeMap<String, Text>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Text,
    pub(super) description: String,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Spanned<Value>>,
    #[serde(default)]
    pub(super) generate: BTreeMap<String, Spanned<Generate>>,
    #[serde(default)]
    pub(super) identity: BTreeMap<String, Identity>,
    #[serde(default)]
    pub(super) headers: Texts,
    #[serde(default)]
    pub(super) answers: Answers,
    #[serde(default)]
    pub(super) setup: Vec<Step>,
    pub(super) flows: Spanned<Vec<Flow>>,
    pub(super) load: Spanned<Load>,
    #[serde(default)]
    pub(super) thresholds: Vec<Text>,
    pub(super) stock: Option<Stock>,
    pub(super) server: Option<Server>,
    pub(super) audit: Option<Audit>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Generate {
    Uuid {},
    Counter {
        #[serde(default)]
        from: u64,
    },
    Uniform {
        from: Option<i64>,
        to: Option<i64>,
        of: Option<String>,
    },
    Zipf {
        items: Option<u64>,
        of: Option<String>,
        exponent: f64,
    },
    Choice {
        among: Vec<String>,
        weights: Option<Vec<u32>>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) headers: Texts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    pub(super) code: Option<Text>,
    pub(super) replayed: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    pub(super) name: Text,
    #[serde(default = "one")]
    pub(super) weight: u32,
    pub(super) steps: Spanned<Vec<Step>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) name: Text,
    #[serde(rename = "as")]
    pub(super) identity: Option<Text>,
    pub(super) request: Text,
    #[serde(default)]
    pub(super) headers: Texts,
    pub(super) json: Option<Spanned<Value>>,
    pub(super) text: Option<Text>,
    pub(super) timeout: Option<Text>,
    #[serde(default)]
    pub(super) expect: Vec<Text>,
    #[serde(default)]
    pub(super) refused: Vec<Text>,
    #[serde(default)]
    pub(super) capture: Texts,
    #[serde(default)]
    pub(super) checks: Vec<Spanned<Check>>,
    pub(super) think: Option<Text>,
    pub(super) chance: Option<Spanned<f64>>,
    pub(super) copies: Option<Spanned<u8>>,
    pub(super) repeat: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) draw: Vec<Text>,
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) retry: Option<Retry>,
    pub(super) record: Option<Text>,
    #[serde(default)]
    pub(super) keep: Vec<Text>,
    pub(super) each: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) name: Option<String>,
    pub(super) at: Option<String>,
    pub(super) sum: Option<Vec<String>>,
    pub(super) equals: Option<String>,
    pub(super) contains: Option<String>,
    pub(super) at_least: Option<String>,
    pub(super) at_most: Option<String>,
    pub(super) exists: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) on: Vec<Text>,
    pub(super) most: Spanned<u32>,
    pub(super) wait: Text,
    pub(super) growth: Option<Spanned<f64>>,
    pub(super) longest: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Arrivals {
    #[default]
    Poisson,
    Constant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    pub(super) mode: Mode,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) rate: Option<f64>,
    pub(super) duration: Option<Text>,
    pub(super) curve: Option<Vec<Point>>,
    pub(super) connections: Option<Spanned<u32>>,
    pub(super) clients: Option<Spanned<u32>>,
    pub(super) flows: Option<Spanned<u64>>,
    pub(super) warm_up: Option<Text>,
    pub(super) drain: Option<Text>,
    pub(super) timeout: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) at: Text,
    pub(super) rate: Spanned<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stock {
    #[serde(rename = "as")]
    pub(super) identity: Option<Text>,
    pub(super) request: Text,
    pub(super) name: Text,
    pub(super) available: Text,
    pub(super) repeat: Option<Spanned<u32>>,
    pub(super) every: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    #[serde(rename = "as")]
    pub(super) identity: Option<Text>,
    pub(super) version: Option<Version>,
    pub(super) metrics: Option<Text>,
    pub(super) batch_size: Option<[String; 2]>,
    pub(super) fsync_seconds: Option<[String; 2]>,
    pub(super) queue_depth: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub(super) request: Text,
    pub(super) at: Text,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AuditKind {
    Relampago,
    Steps,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    pub(super) kind: Spanned<AuditKind>,
    pub(super) patience: Option<Text>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

fn one() -> u32 {
    1
}
