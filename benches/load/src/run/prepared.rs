//! Steps with everything in them that is known when a run begins: what is left is written for each request.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::address::Url;
use super::connection::{Answer, Connection};
use super::id::RunId;
use super::json;
use crate::decimal::Decimal;
use crate::record::{Kind, Outcome, StepId};
use crate::rng::Rng;
use crate::scenario::answer::{Pattern, Place};
use crate::scenario::generator::{Generator, Part};
use crate::scenario::model::{Builtin, Check, Flow, Name, Origin, Scenario, Step, Subject, Test};
use crate::scenario::template::{Lookup, RenderError, Slot, Template, Values};

/// What the whole run has in common.
#[derive(Debug)]
pub(crate) struct Globals {
    /// The `host` header, and what stands before every path.
    pub(crate) host: String,
    base: String,
    pub(crate) seed: u64,
    api_key: Option<String>,
    api_key_slot: Option<Slot>,
    pub(crate) part: Part,
    /// Where an answer says that it was given before.
    replayed: Option<Place>,
    /// Values that are the same everywhere.
    pub(crate) values: Values,
    /// What set-up steps captured, in order, by slot.
    pub(crate) collected: Vec<Vec<String>>,
    /// How values are drawn, by slot.
    pub(crate) generators: Vec<Option<Generator>>,
}

/// Why a run cannot begin.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The scenario uses a credential that was not given.
    #[error("the scenario uses {{{{api_key}}}}: give one with --api-key")]
    NoApiKey,
    /// A value cannot stand where the scenario puts it.
    #[error("step {step} cannot be written")]
    Render {
        /// The step.
        step: String,
        /// What is wrong.
        source: RenderError,
    },
    /// Only the first of several generators sets up, so that the others do not know what it was told.
    #[error(
        "flow {flow} uses `{value}`, which the set-up captures: only the first of several generators knows it, so this \
         scenario runs on one"
    )]
    Part {
        /// The flow.
        flow: String,
        /// The value.
        value: String,
    },
    /// There is nothing to choose from.
    #[error("`{0}` chooses among what the set-up captured, and that is nothing")]
    Nothing(String),
}

impl Globals {
    pub(crate) fn new(
        scenario: &Scenario,
        url: &Url,
        seed: u64,
        id: &RunId,
        api_key: Option<String>,
        part: Part,
    ) -> Self {
        let mut values = Values::default();
        values.clear(scenario.names.len());
        let mut generators = Vec::new();
        let mut api_key_slot = None;
        for (slot, name) in slots(scenario) {
            match &name.origin {
                Origin::Constant(text) => values.set(slot, text.as_bytes()),
                Origin::Builtin(Builtin::Run) => values.set(slot, id.as_str().as_bytes()),
                Origin::Builtin(Builtin::Seed) => values.set(slot, seed.to_string().as_bytes()),
                Origin::Builtin(Builtin::ApiKey) => {
                    api_key_slot = Some(slot);
                    if let Some(key) = &api_key {
                        values.set(slot, key.as_bytes());
                    }
                }
                _ => {}
            }
            generators.push(match &name.origin {
                Origin::Drawn(generator) => Some(generator.of_run(id.bits())),
                _ => None,
            });
        }
        let collected = vec![Vec::new(); scenario.names.len()];
        Self {
            host: url.host.clone(),
            base: url.base.clone(),
            seed,
            api_key,
            api_key_slot,
            part,
            replayed: scenario.replayed.clone(),
            values,
            collected,
            generators,
        }
    }

    /// Takes in what the set-up collected: from now on it is known like everything else.
    ///
    /// # Errors
    /// If a generator has nothing to choose from, or a flow needs what this generator was not told.
    pub(crate) fn settle(&mut self, scenario: &Scenario) -> Result<(), PrepareError> {
        for (slot, name) in slots(scenario) {
            let collected = &self.collected[usize::from(slot.0)];
            if let Some(last) = collected.last() {
                self.values.set(slot, last.as_bytes());
            }
            let Some(generator) = &self.generators[usize::from(slot.0)] else { continue };
            let over = generator.over(|of| self.collected[usize::from(of.0)].clone());
            if matches!(&over, Generator::Choice { among } if among.is_empty()) {
                return Err(PrepareError::Nothing(name.name.clone()));
            }
            self.generators[usize::from(slot.0)] = Some(over);
        }
        let is_unknown = |slot: &Slot| {
            matches!(name_of(scenario, *slot), Some(Name { origin: Origin::SetUp, .. }))
                && self.values.value(*slot).is_none()
        };
        for flow in &scenario.flows {
            if let Some(slot) = flow.steps.iter().flat_map(Step::slots).find(is_unknown) {
                let value = name_of(scenario, slot).map(|name| name.name.clone()).unwrap_or_default();
                return Err(PrepareError::Part { flow: flow.name.clone(), value });
            }
        }
        Ok(())
    }

    /// A template with what is known everywhere.
    pub(crate) fn bind(&self, template: &Template, step: &str) -> Result<Template, PrepareError> {
        template.bind(&self.values).map_err(|source| PrepareError::Render { step: step.to_owned(), source })
    }

    /// Draws a value.
    pub(crate) fn draw(&self, slot: Slot, rng: &mut Rng, values: &mut Values) {
        if let Some(Some(generator)) = self.generators.get(usize::from(slot.0)) {
            values.write(slot, |out| generator.draw(rng, self.part, out));
        }
    }
}

fn slots(scenario: &Scenario) -> impl Iterator<Item = (Slot, &Name)> {
    (0..).map(Slot).zip(&scenario.names)
}

fn name_of(scenario: &Scenario, slot: Slot) -> Option<&Name> {
    scenario.names.get(usize::from(slot.0))
}

/// A step that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) id: StepId,
    pub(crate) step: Step,
    pub(crate) request: Request,
    /// Where an answer says that it was given before; `None` of a step that only reads, or sends copies.
    replayed: Option<Place>,
}

/// The text of a request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Up to the number of `content-length`, or the whole head if there is no body.
    head: Template,
    body: Option<Template>,
    pub(crate) bodiless: bool,
}

impl Prepared {
    pub(crate) fn new(step: &Step, id: StepId, globals: &Globals) -> Result<Self, PrepareError> {
        if globals.api_key.is_none() && step.slots().any(|slot| Some(slot) == globals.api_key_slot) {
            return Err(PrepareError::NoApiKey);
        }
        let known = &globals.values;
        let named = |source| PrepareError::Render { step: step.name.clone(), source };
        let mut head = Template::plain(&format!("{} {}", step.method, globals.base));
        head.append(&step.path.bind(known).map_err(named)?);
        head.append(&Template::plain(" HTTP/1.1\r\n"));
        if !step.headers.iter().any(|(name, _)| name == "host") {
            head.append(&Template::plain(&format!("host: {}\r\n", globals.host)));
        }
        for (name, value) in &step.headers {
            head.append(&Template::plain(&format!("{name}: ")));
            head.append(&value.bind(known).map_err(named)?);
            head.append(&Template::plain("\r\n"));
        }
        let body = step.body.as_ref().map(|body| body.bind(known)).transpose().map_err(named)?;
        head.append(&Template::plain(match &body {
            Some(_) => "content-length: ",
            None if matches!(step.method.as_str(), "POST" | "PUT" | "PATCH") => "content-length: 0\r\n\r\n",
            None => "\r\n",
        }));
        let mut step = step.clone();
        for check in &mut step.checks {
            check.bind(known).map_err(named)?;
        }
        let bodiless = step.method == "HEAD";
        let asks_once = !bodiless && step.method != "GET" && step.copies == 1;
        let replayed = globals.replayed.clone().filter(|_| asks_once);
        Ok(Self { id, step, request: Request { head, body, bodiless }, replayed })
    }

    /// Whether an answer says that it was given before.
    pub(crate) fn is_replayed(&self, connection: &Connection, answer: &Answer) -> bool {
        let told = self.replayed.as_ref().and_then(|place| look_up(connection, answer, place));
        told.is_some_and(|told| told != "false")
    }

    /// What an outcome counts as.
    pub(crate) fn judge(&self, outcome: &Outcome<'_>) -> Kind {
        let means = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.means(outcome));
        if means(&self.step.expect) {
            return Kind::Ok;
        }
        if means(&self.step.refused) {
            return Kind::Refused;
        }
        match outcome.usual_kind() {
            Kind::Ok => Kind::Failed,
            Kind::Refused if !self.step.refused.is_empty() => Kind::Failed,
            usual => usual,
        }
    }
}

impl Request {
    /// Writes the request to `out`, over what is there; `body` is room for its body.
    pub(crate) fn write(
        &self,
        values: &Values,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        out.clear();
        self.head.render(values, out)?;
        if let Some(template) = &self.body {
            body.clear();
            template.render(values, body)?;
            out.extend_from_slice(body.len().to_string().as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(body);
        }
        Ok(())
    }
}

/// A place in an answer, as text.
pub(crate) fn look_up(connection: &Connection, answer: &Answer, place: &Place) -> Option<String> {
    match place {
        Place::Header(name) => connection.header_of(answer, name).map(str::to_owned),
        Place::Body(path) => json::find_text(connection.body_of(answer), path).map(Into::into),
    }
}

impl Check {
    fn bind(&mut self, known: &Values) -> Result<(), RenderError> {
        if let Subject::Sum(parts) = &mut self.subject {
            for part in parts {
                *part = part.bind(known)?;
            }
        }
        if let Test::Equals(text) | Test::Contains(text) | Test::AtLeast(text) | Test::AtMost(text) =
            &mut self.test
        {
            *text = text.bind(known)?;
        }
        Ok(())
    }

    /// Whether it holds; else what was found, and what should be.
    pub(crate) fn holds(
        &self,
        found: impl FnOnce(&Place) -> Option<String>,
        values: &Values,
    ) -> Result<(), String> {
        let subject = match &self.subject {
            Subject::Place(place) => found(place),
            Subject::Sum(parts) => sum(parts, values),
        };
        let text = |template: &Template| template.text(values).ok();
        let (holds, wanted) = match &self.test {
            Test::Exists(exists) => (subject.is_some() == *exists, None),
            Test::Contains(part) => {
                let part = text(part);
                (matches!((&subject, &part), (Some(whole), Some(part)) if whole.contains(part)), part)
            }
            Test::Equals(other) => {
                let other = text(other);
                (matches!((&subject, &other), (Some(one), Some(other)) if equal(one, other)), other)
            }
            Test::AtLeast(bound) | Test::AtMost(bound) => {
                let bound = text(bound);
                let order = compare(subject.as_deref(), bound.as_deref());
                let right = match &self.test {
                    Test::AtLeast(_) => order.is_some_and(std::cmp::Ordering::is_ge),
                    _ => order.is_some_and(std::cmp::Ordering::is_le),
                };
                (right, bound)
            }
        };
        if holds {
            return Ok(());
        }
        let subject = subject.map_or("nothing".to_owned(), |subject| format!("`{subject}`"));
        let wanted = wanted.map(|wanted| format!(" against `{wanted}`")).unwrap_or_default();
        Err(format!("{}: found {subject}{wanted}", self.name))
    }
}

fn sum(parts: &[Template], values: &Values) -> Option<String> {
    let mut sum = Decimal::ZERO;
    for part in parts {
        sum = sum.checked_add(part.text(values).ok()?.parse().ok()?)?;
    }
    Some(sum.to_string())
}

fn equal(one: &str, other: &str) -> bool {
    one == other || compare(Some(one), Some(other)).is_some_and(std::cmp::Ordering::is_eq)
}

fn compare(one: Option<&str>, other: Option<&str>) -> Option<std::cmp::Ordering> {
    let (one, other): (Decimal, Decimal) = (one?.parse().ok()?, other?.parse().ok()?);
    Some(one.cmp(&other))
}

/// The flows of a scenario, ready to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) globals: Globals,
    pub(crate) flows: Vec<PreparedFlow>,
    /// The sum of all weights.
    weights: u64,
    pub(crate) step_names: Vec<String>,
    pub(crate) code: Option<Place>,
}

/// A flow, ready to be run.
#[derive(Debug)]
pub(crate) struct PreparedFlow {
    weight: u64,
    pub(crate) draws: Vec<Slot>,
    pub(crate) steps: Vec<Prepared>,
}

impl Plan {
    pub(crate) fn new(scenario: &Scenario, globals: Globals) -> Result<Arc<Self>, PrepareError> {
        let step_names = step_names(scenario);
        let prepare = |flow: &Flow| {
            let steps = flow.steps.iter().map(|step| {
                let id = step_names.iter().position(|name| *name == step.name).unwrap_or_default();
                Prepared::new(step, StepId(u16::try_from(id).unwrap_or(u16::MAX)), &globals)
            });
            let steps = steps.collect::<Result<_, _>>()?;
            Ok(PreparedFlow { weight: flow.weight.into(), draws: flow.draws.clone(), steps })
        };
        let flows = scenario.flows.iter().map(prepare).collect::<Result<Vec<_>, PrepareError>>()?;
        let weights = flows.iter().map(|flow: &PreparedFlow| flow.weight).sum();
        Ok(Arc::new(Self { flows, weights, step_names, code: scenario.code.clone(), globals }))
    }

    /// One of the flows, by weight.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<&PreparedFlow> {
        if let [only] = self.flows.as_slice() {
            return Some(only);
        }
        let mut drawn = rng.below(self.weights);
        self.flows.iter().find(|flow| {
            let mine = drawn < flow.weight;
            drawn = drawn.wrapping_sub(flow.weight);
            mine
        })
    }
}

/// The names of the steps that are counted, in the order of the file, each once.
pub(crate) fn step_names(scenario: &Scenario) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for step in scenario.flows.iter().flat_map(|flow| &flow.steps) {
        if !names.contains(&step.name) {
            names.push(step.name.clone());
        }
    }
    names
}

/// How long a step waits before it is sent again for the n-th time, counted from 0.
pub(crate) fn retry_wait(step: &Step, n: u32, retry_after: Option<Duration>) -> Duration {
    let Some(retry) = &step.retry else { return Duration::ZERO };
    let grown = retry.wait.as_secs_f64() * retry.growth.powi(n.min(64).cast_signed());
    let longest = retry.longest.max(retry.wait);
    let wait = Duration::try_from_secs_f64(grown).unwrap_or(longest);
    wait.max(retry_after.unwrap_or_default()).min(longest)
}
