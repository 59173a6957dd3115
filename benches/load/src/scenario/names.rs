//! The named values of a scenario, and who may use them where.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::IgnoredAny;
use toml::{Spanned, Value};

use super::fault::Faults;
use super::generator::{Generator, MOST_ITEMS, Zipf};
use super::model::{Builtin, Flow, Name, Origin};
use super::raw;
use super::template::{Lookup, Slot};

const BUILTINS: [(&str, Builtin); 4] =
    [("run", Builtin::Run), ("seed", Builtin::Seed), ("api_key", Builtin::ApiKey), ("index", Builtin::Index)];

/// Where in a file a name is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    SetUp,
    Flow,
    /// What is asked while the run goes on.
    Watch,
    Audit,
}

/// All names of one scenario.
#[derive(Debug)]
pub(super) struct Names {
    list: Vec<Name>,
    slots: HashMap<String, Slot>,
    /// Captured so far, in the flow or the audit that is being read.
    captured: Vec<Slot>,
    /// What each step of a flow keeps, by the step's name; filled before the audit is read.
    kept: HashMap<String, Vec<Slot>>,
    steps: Vec<String>,
}

impl Names {
    /// The names that are known before any step is read.
    pub(super) fn new(file: &raw::File, set: &[(String, String)], faults: &mut Faults<'_>) -> Self {
        let mut names = Self {
            list: Vec::new(),
            slots: HashMap::new(),
            captured: Vec::new(),
            kept: HashMap::new(),
            steps: Vec::new(),
        };
        for (name, builtin) in BUILTINS {
            names.add(name, Origin::Builtin(builtin));
        }
        for (name, value) in &file.variables {
            let given = set.iter().rfind(|(set, _)| set == name).map(|(_, value)| value.clone());
            let text = match given {
                Some(text) => Ok(text),
                None => scalar(value.get_ref()),
            };
            // A value that is wrong has its name all the same, and fits everywhere: who uses it is not to blame.
            let text = faults.note(value.span(), text).unwrap_or_else(|| "0".to_owned());
            names.declare(name, Origin::Constant(text), value, faults);
        }
        // Generators that choose from what the set-up collects are read after it.
        for (name, generate) in &file.generate {
            if let Some(generator) = plain(generate).transpose() {
                let generator = faults.note(generate.span(), generator).unwrap_or_else(placeholder);
                names.declare(name, Origin::Drawn(generator), generate, faults);
            }
        }
        names
    }

    /// Reads the generators that choose from what the set-up collected.
    pub(super) fn generators(
        &mut self,
        written: &BTreeMap<String, Spanned<raw::Generate>>,
        faults: &mut Faults<'_>,
    ) {
        for (name, generate) in written {
            let (of, exponent) = match generate.get_ref() {
                raw::Generate::Uniform { of: Some(of), .. } => (of, None),
                raw::Generate::Zipf { of: Some(of), exponent, .. } => (of, Some(*exponent)),
                _ => continue,
            };
            let slot = self.slots.get(of).copied();
            let collected = slot.filter(|slot| matches!(self.origin(*slot), Some(Origin::SetUp)));
            let Some(slot) = collected else {
                faults.add(generate.span(), format!("no set-up step captures `{of}`"));
                self.declare(name, Origin::Drawn(placeholder()), generate, faults);
                continue;
            };
            let generator = match exponent {
                None => Generator::UniformOf(slot),
                Some(exponent) => Generator::ZipfOf(slot, exponent),
            };
            self.declare(name, Origin::Drawn(generator), generate, faults);
        }
    }

    fn add(&mut self, name: &str, origin: Origin) -> Slot {
        // A file of more than 65,535 names is far beyond what a person writes; the last ones would share a slot.
        let slot = Slot(u16::try_from(self.list.len()).unwrap_or(u16::MAX));
        self.list.push(Name { name: name.to_owned(), origin });
        self.slots.insert(name.to_owned(), slot);
        slot
    }

    fn declare<T>(&mut self, name: &str, origin: Origin, at: &Spanned<T>, faults: &mut Faults<'_>) {
        if let Err(problem) = well_formed(name) {
            faults.add(at.span(), problem);
        } else if self.slots.contains_key(name) {
            faults.add(at.span(), format!("there is a value called `{name}` already"));
        } else {
            self.add(name, origin);
        }
    }

    fn origin(&self, slot: Slot) -> Option<&Origin> {
        self.list.get(usize::from(slot.0)).map(|name| &name.origin)
    }

    /// Whether a value is drawn.
    pub(super) fn is_drawn(&self, slot: Slot) -> bool {
        matches!(self.origin(slot), Some(Origin::Drawn(_)))
    }

    /// A new flow has captured nothing.
    pub(super) fn enter_flow(&mut self) {
        self.captured.clear();
    }

    /// The audit knows what the steps of flows keep.
    pub(super) fn enter_audit(&mut self, flows: &[Flow]) {
        self.captured.clear();
        for step in flows.iter().flat_map(|flow| &flow.steps) {
            self.steps.push(step.name.clone());
            let kept = self.kept.entry(step.name.clone()).or_default();
            kept.extend(step.keep.iter().copied().filter(|slot| !kept.contains(slot)).collect::<Vec<_>>());
        }
    }

    /// What the step `name` of a flow keeps.
    pub(super) fn kept_by(&self, name: &str) -> Option<&[Slot]> {
        self.kept.get(name).map(Vec::as_slice)
    }

    /// The slot of a new capture.
    pub(super) fn capture(&mut self, name: &str, scope: Scope) -> Result<Slot, String> {
        well_formed(name)?;
        let slot = match self.slots.get(name).copied() {
            None => {
                let origin = if scope == Scope::SetUp { Origin::SetUp } else { Origin::Captured };
                self.add(name, origin)
            }
            Some(slot) => match (self.origin(slot), scope) {
                (Some(Origin::SetUp), Scope::SetUp) => slot,
                (Some(Origin::Captured), Scope::Flow | Scope::Audit) => slot,
                _ => return Err(format!("there is a value called `{name}` already")),
            },
        };
        self.captured.push(slot);
        Ok(slot)
    }

    /// The slot of a name that is used. `repeated` says whether `index` means something there; `each` are the values
    /// kept by the step over which an audit step goes.
    pub(super) fn find(
        &mut self,
        name: &str,
        scope: Scope,
        repeated: bool,
        each: &[Slot],
    ) -> Result<Slot, String> {
        if scope == Scope::Audit && name.contains('.') {
            return self.tally(name);
        }
        let Some(slot) = self.slots.get(name).copied() else { return Err(self.unknown(name)) };
        if each.contains(&slot) {
            return Ok(slot);
        }
        let problem = match (self.origin(slot), scope) {
            (Some(Origin::Builtin(Builtin::Index)), _) if !repeated => {
                "counts only where a step has `repeat`"
            }
            (Some(Origin::Drawn(_)), Scope::Watch | Scope::Audit) => {
                "is drawn for each flow, and this is none"
            }
            (Some(Origin::Captured), _) if !self.captured.contains(&slot) => {
                "is captured by no step before this one"
            }
            _ => return Ok(slot),
        };
        Err(format!("`{name}` {problem}"))
    }

    /// `count.STEP` and `sum.STEP.VALUE`.
    fn tally(&mut self, name: &str) -> Result<Slot, String> {
        if let Some(slot) = self.slots.get(name) {
            return Ok(*slot);
        }
        let parts: Vec<&str> = name.split('.').collect();
        let origin = match parts.as_slice() {
            ["count", step] if self.steps.iter().any(|known| known == step) => {
                Origin::Count((*step).to_owned())
            }
            ["sum", step, value] => {
                let slot = self.slots.get(*value).copied();
                let kept = slot.filter(|slot| self.kept_by(step).is_some_and(|kept| kept.contains(slot)));
                let slot = kept.ok_or_else(|| format!("no step called `{step}` keeps `{value}`"))?;
                Origin::Sum((*step).to_owned(), slot)
            }
            _ => {
                return Err(format!(
                    "`{name}` is neither `count.STEP` nor `sum.STEP.VALUE` of a flow's step"
                ));
            }
        };
        Ok(self.add(name, origin))
    }

    fn unknown(&self, name: &str) -> String {
        let mut known: Vec<&str> = self.list.iter().map(|name| name.name.as_str()).collect();
        known.sort_unstable();
        format!("no value is called `{name}`; there are {}", known.join(", "))
    }

    /// What a value is that cannot be written as JSON of its own; none if it can, or nobody knows yet.
    pub(super) fn no_json(&self, slot: Slot) -> Option<String> {
        let name = self.list.get(usize::from(slot.0))?;
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        let what = match &name.origin {
            Origin::Constant(text) if !is_json(text) => format!("`{text}`"),
            Origin::Drawn(Generator::Choice { among }) => {
                format!("`{}` at times", among.iter().find(|(text, _)| !is_json(text))?.0)
            }
            Origin::Drawn(Generator::Uuid(_)) => "a UUID".to_owned(),
            Origin::Builtin(Builtin::Run) => "a name".to_owned(),
            _ => return None,
        };
        let name = &name.name;
        Some(format!(
            "`{{{{{name}:json}}}}` stands for a number or other JSON, and `{name}` is {what}; a text is `{{{{{name}}}}}`"
        ))
    }

    pub(super) fn into_list(self) -> Vec<Name> {
        self.list
    }
}

/// What is known when the file is read.
impl Lookup for Names {
    fn value(&self, slot: Slot) -> Option<&[u8]> {
        match self.origin(slot) {
            Some(Origin::Constant(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }
}

fn well_formed(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(fine) {
        return Ok(());
    }
    Err(format!("`{name}` is no name; it has letters, digits and `_`"))
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        _ => Err("a variable is a text, a number or a truth value".to_owned()),
    }
}

/// Stands for a generator that is wrong, so that who uses its name is not blamed.
fn placeholder() -> Generator {
    Generator::Counter { from: 0, drawn: Arc::default() }
}

/// A generator that needs nothing of the set-up; none if it does.
fn plain(written: &Spanned<raw::Generate>) -> Result<Option<Generator>, String> {
    let read = match written.get_ref() {
        raw::Generate::Uuid {} => Ok(Generator::Uuid(0)),
        raw::Generate::Counter { from } => Ok(Generator::Counter { from: *from, drawn: Arc::default() }),
        raw::Generate::Uniform { from: None, to: None, of: Some(_) } => return Ok(None),
        raw::Generate::Uniform { from: Some(from), to: Some(to), of: None } if from <= to => {
            Ok(Generator::Uniform { from: *from, to: *to })
        }
        raw::Generate::Uniform { .. } => {
            Err("`uniform` has either `from` and `to`, in order, or `of`".to_owned())
        }
        raw::Generate::Zipf { exponent, .. } if !(0.0..=10.0).contains(exponent) => {
            Err("`exponent` is from 0 to 10".to_owned())
        }
        raw::Generate::Zipf { items: None, of: Some(_), .. } => return Ok(None),
        raw::Generate::Zipf { items: Some(items), of: None, exponent } => zipf(*items, *exponent),
        raw::Generate::Zipf { .. } => Err("`zipf` has either `items` or `of`".to_owned()),
        raw::Generate::Choice { among, weights } => choice(among, weights.as_deref()),
    };
    read.map(Some)
}

fn zipf(items: u64, exponent: f64) -> Result<Generator, String> {
    let count = usize::try_from(items).ok().filter(|_| (1..=MOST_ITEMS).contains(&items));
    let count = count.ok_or_else(|| format!("`items` is from 1 to {MOST_ITEMS}, not {items}"))?;
    Ok(Generator::Zipf(Arc::new(Zipf::new(count, exponent))))
}

fn choice(among: &[String], weights: Option<&[u32]>) -> Result<Generator, String> {
    if weights.is_some_and(|weights| weights.len() != among.len()) {
        return Err("`weights` has one number for each of `among`".to_owned());
    }
    let mut sum = 0;
    let weigh = |(index, text): (usize, &String)| {
        sum += weights.map_or(1, |weights| u64::from(weights[index]));
        (text.clone(), sum)
    };
    let among: Arc<[(String, u64)]> = among.iter().enumerate().map(weigh).collect();
    if sum == 0 {
        Err("`choice` has nothing to choose among".to_owned())
    } else {
        Ok(Generator::Choice { among })
    }
}
