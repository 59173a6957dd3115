//! From the file as it is written to a scenario that can be run. Every fault of the file is collected.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use super::answer::{Pattern, Place};
use super::curve::{Curve, Point};
use super::fault::{Faults, ScenarioError};
use super::model::{
    Arrivals, Audit, Flow, Load, MOST_CLIENTS, Role, Scenario, ServerWatch, Shape, Step, StockWatch, digest,
};
use super::names::{Names, Scope};
use super::raw;
use super::steps::{Defaults, Steps};
use super::template::Escape;
use crate::summary::Condition;

/// The header that most shops with idempotency keys answer with.
const REPLAYED: &str = "idempotent-replayed";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);
const DEFAULT_CONNECTIONS: u32 = 256;
const MOST_CONNECTIONS: u32 = 60_000;
/// A year. Far from where moments have no number any more.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Watching the stock more often than this is load.
const SHORTEST_WATCH: Duration = Duration::from_millis(10);

/// Reads the text of a file. `set` gives variables another value than the file does.
pub(super) fn scenario(name: &str, text: &str, set: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    let shape = |message: String| ScenarioError::Shape { file: name.to_owned(), message };
    let file: raw::File = toml::from_str(text).map_err(|error| unreadable(name, text, &error))?;
    for (name, _) in set {
        if !file.variables.contains_key(name) {
            let known: Vec<&str> = file.variables.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(shape(format!(
                "--set {name}: there is no variable of that name in it; there are {known}"
            )));
        }
    }
    let mut faults = Faults::new(name, text);
    let hash = digest(&format!("{text}\n{set:?}"));
    let built = build(&file, hash, set, &mut faults);
    faults.into_result()?;
    // Whatever is left out of a scenario is a fault.
    built.ok_or_else(|| shape("it is no scenario".to_owned()))
}

/// What the reader of TOML says, in the form of our own faults: with the line that it means, and without names of
/// types that only programmers know.
fn unreadable(name: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    const WHOLE: &str = "expected a whole number, not negative and not larger than its field can be";
    let mut said = error.message().trim().replace('\n', ", ");
    for (type_name, words) in [
        ("expected u8", WHOLE),
        ("expected u32", WHOLE),
        ("expected u64", WHOLE),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list in `[` and `]`"),
        ("expected a map", "expected a table"),
    ] {
        if let Some(start) = said.strip_suffix(type_name) {
            said = format!("{start}{words}");
        }
    }
    let mut faults = Faults::new(name, text);
    let at = error.span().unwrap_or_default();
    let line = faults.line_of(at.start);
    let line = if line.is_empty() { String::new() } else { format!("`{line}`: ") };
    faults.add(at, format!("{line}{said}"));
    faults.into_error()
}

fn build(
    file: &raw::File,
    hash: String,
    set: &[(String, String)],
    faults: &mut Faults<'_>,
) -> Option<Scenario> {
    let mut names = Names::new(file, set, faults);
    let load_span = file.load.span();
    let file_load = file.load.get_ref();
    let timeout =
        file_load.timeout.as_ref().and_then(|text| some_time(text, Duration::from_nanos(1), faults));
    let defaults = Defaults {
        headers: &file.headers,
        identities: &file.identity,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        records: matches!(&file.audit, Some(audit) if matches!(audit.kind.get_ref(), raw::AuditKind::Relampago)),
    };
    let mut steps = Steps { names: &mut names, faults, defaults: &defaults };
    let setup = file.setup.iter().map(|step| steps.step(step, Scope::SetUp)).collect();
    steps.names.generators(&file.generate, steps.faults);
    let flows: Vec<Flow> =
        file.flows.get_ref().iter().filter_map(|written| flow(written, &mut steps)).collect();
    if file.flows.get_ref().is_empty() {
        steps.faults.add(file.flows.span(), "a scenario has at least one flow");
    } else if file.flows.get_ref().iter().all(|flow| flow.weight == 0) {
        steps.faults.add(file.flows.span(), "no flow has a weight, so none would ever start");
    }
    let stock = file.stock.as_ref().and_then(|stock| watched(stock, &mut steps));
    let server = file.server.as_ref().map(|server| published(server, &mut steps)).unwrap_or_default();
    let audit = file.audit.as_ref().map(|audit| audited(audit, &flows, &mut steps)).unwrap_or_default();
    if file.name.get_ref().trim().is_empty() {
        steps.faults.add(file.name.span(), "a scenario has a name");
    }
    let code = file.answers.code.as_ref().and_then(|text| parsed::<Place>(text, steps.faults));
    let replayed = match &file.answers.replayed {
        Some(text) => parsed::<Place>(text, steps.faults),
        None => Some(Place::Header(REPLAYED.to_owned())),
    };
    let thresholds = conditions(&file.thresholds, &flows, faults);
    let load = load(file_load, load_span, faults);
    Some(Scenario {
        name: file.name.get_ref().clone(),
        description: file.description.trim().to_owned(),
        names: names.into_list(),
        code,
        replayed,
        file_hash: hash.clone(),
        hash,
        setup,
        flows,
        load: load?,
        thresholds,
        stock,
        server,
        audit,
    })
}

fn conditions(written: &[raw::Text], flows: &[Flow], faults: &mut Faults<'_>) -> Vec<Condition> {
    let names: Vec<&str> = flows.iter().flat_map(|flow| &flow.steps).map(|step| step.name.as_str()).collect();
    let mut steps: Vec<&str> = Vec::new();
    for name in names {
        if !steps.contains(&name) {
            steps.push(name);
        }
    }
    let read = |text: &raw::Text| {
        let condition = Condition::parse(text.get_ref(), &steps).map_err(|error| error.to_string());
        faults.note(text.span(), condition)
    };
    written.iter().filter_map(read).collect()
}

fn flow(written: &raw::Flow, steps: &mut Steps<'_, '_>) -> Option<Flow> {
    steps.names.enter_flow();
    let built: Vec<_> = written.steps.get_ref().iter().map(|step| steps.step(step, Scope::Flow)).collect();
    if written.steps.get_ref().is_empty() {
        steps.faults.add(written.steps.span(), "a flow has at least one step");
        return None;
    }
    let used = built.iter().flat_map(|step| step.slots().chain(step.keep.iter().copied()));
    let mut draws: Vec<_> = used.filter(|slot| steps.names.is_drawn(*slot)).collect();
    draws.sort_unstable();
    draws.dedup();
    Some(Flow { name: written.name.get_ref().clone(), weight: written.weight, steps: built, draws })
}

fn watched(written: &raw::Stock, steps: &mut Steps<'_, '_>) -> Option<StockWatch> {
    let step = steps.read(&written.request, written.identity.as_ref(), written.repeat.as_ref());
    let sku = steps.template(&written.name, Escape::Raw, Scope::Watch)?;
    let every = written.every.as_ref().map(|text| some_time(text, SHORTEST_WATCH, steps.faults));
    Some(StockWatch {
        step,
        sku,
        available: in_body(&written.available, steps.faults)?,
        every: every.unwrap_or(Some(Duration::from_secs(1)))?,
    })
}

fn published(written: &raw::Server, steps: &mut Steps<'_, '_>) -> ServerWatch {
    let version = written.version.as_ref().and_then(|version| {
        let step = steps.read(&version.request, None, None);
        Some((step, in_body(&version.at, steps.faults)?))
    });
    let metrics = written.metrics.as_ref();
    ServerWatch {
        version,
        metrics: metrics.map(|text| steps.read(text, written.identity.as_ref(), None)),
        batch_size: written.batch_size.clone(),
        fsync_seconds: written.fsync_seconds.clone(),
        queue_depth: written.queue_depth.clone(),
    }
}

fn audited(written: &raw::Audit, flows: &[Flow], steps: &mut Steps<'_, '_>) -> Audit {
    let patience = written.patience.as_ref().and_then(|text| duration(text, steps.faults));
    let patience = patience.unwrap_or(DEFAULT_PATIENCE);
    match written.kind.get_ref() {
        raw::AuditKind::Relampago => {
            if !written.steps.is_empty() {
                steps.faults.add(written.kind.span(), "steps are for an audit of kind `steps`");
            }
            let buys = |step: &Step| step.record == Some(Role::Order);
            if !flows.iter().flat_map(|flow| &flow.steps).any(buys) {
                steps.faults.add(
                    written.kind.span(),
                    "an audit of kind `relampago` compares the shop's orders with those that were acknowledged, and no \
                     step of a flow says which these are: give the step that buys `record = \"order\"`, or leave \
                     `[audit]` out",
                );
            }
            Audit::Relampago { patience }
        }
        raw::AuditKind::Steps => {
            if written.steps.is_empty() {
                steps.faults.add(written.kind.span(), "an audit of kind `steps` has at least one step");
            }
            steps.names.enter_audit(flows);
            let built = written.steps.iter().map(|step| steps.step(step, Scope::Audit)).collect();
            Audit::Steps { steps: built, patience }
        }
    }
}

fn load(written: &raw::Load, span: Range<usize>, faults: &mut Faults<'_>) -> Option<Load> {
    let warm_up = written.warm_up.as_ref().map_or(Some(Duration::ZERO), |text| duration(text, faults));
    let drain = written.drain.as_ref().map_or(Some(DEFAULT_DRAIN), |text| duration(text, faults));
    let shape = match written.mode {
        raw::Mode::Open => open(written, span.clone(), faults),
        raw::Mode::Closed => closed(written, span.clone(), faults),
    };
    let connections = bounded(written.connections.as_ref(), MOST_CONNECTIONS, "connections", faults);
    let (shape, warm_up) = (shape?, warm_up?);
    if let Shape::Open { curve, .. } = &shape
        && !warm_up.is_zero()
        && curve.points().first().is_some_and(|point| point.rate == 0.0)
    {
        faults.add(span, "a warm-up runs at the rate with which the curve begins, and that is 0");
    }
    let clients = match &shape {
        Shape::Open { .. } => DEFAULT_CONNECTIONS,
        Shape::Closed { clients, .. } => (*clients).min(MOST_CONNECTIONS),
    };
    let connections = connections.map_or(clients, |given| given) as usize;
    Some(Load { shape, connections, warm_up, drain: drain? })
}

fn open(written: &raw::Load, span: Range<usize>, faults: &mut Faults<'_>) -> Option<Shape> {
    if written.clients.is_some() || written.flows.is_some() {
        faults.add(span.clone(), "`clients` and `flows` are for mode `closed`");
    }
    let arrivals = match written.arrivals.unwrap_or_default() {
        raw::Arrivals::Poisson => Arrivals::Poisson,
        raw::Arrivals::Constant => Arrivals::Constant,
    };
    let curve = match (&written.curve, written.rate, &written.duration) {
        (Some(points), None, None) => {
            let read = |point: &raw::Point| {
                Some(Point { at: duration(&point.at, faults)?, rate: *point.rate.get_ref() })
            };
            Curve::new(points.iter().map(read).collect::<Option<_>>()?)
        }
        (None, Some(rate), Some(text)) => {
            Curve::flat(rate, some_time(text, Duration::from_nanos(1), faults)?)
        }
        _ => Err("mode `open` has either `rate` and `duration`, or `curve`".to_owned()),
    };
    Some(Shape::Open { arrivals, curve: faults.note(span, curve)? })
}

fn closed(written: &raw::Load, span: Range<usize>, faults: &mut Faults<'_>) -> Option<Shape> {
    if written.arrivals.is_some() || written.rate.is_some() || written.curve.is_some() {
        faults.add(span.clone(), "`arrivals`, `rate` and `curve` are for mode `open`");
    }
    let (Some(clients), Some(text)) = (&written.clients, &written.duration) else {
        faults.add(span, "mode `closed` has `clients` and `duration`");
        return None;
    };
    let flows = written.flows.as_ref().map(|flows| *flows.get_ref());
    if let Some(at) = written.flows.as_ref().filter(|_| flows == Some(0)) {
        faults.add(at.span(), "`flows` is at least 1: that many are done in all");
    }
    let clients = bounded(Some(clients), MOST_CLIENTS, "clients", faults);
    let duration = some_time(text, Duration::from_nanos(1), faults);
    Some(Shape::Closed { clients: clients?, duration: duration?, flows })
}

/// A place that is no header.
fn in_body(text: &raw::Text, faults: &mut Faults<'_>) -> Option<Place> {
    let place = parsed(text, faults)?;
    if matches!(place, Place::Body(_)) {
        return Some(place);
    }
    faults.add(text.span(), format!("`{}` is read in the body; say `/items/0/id`", text.get_ref()));
    None
}

/// A number from 1 to `most`.
pub(super) fn bounded(
    written: Option<&Spanned<u32>>,
    most: u32,
    what: &str,
    faults: &mut Faults<'_>,
) -> Option<u32> {
    let written = written?;
    let number = *written.get_ref();
    if (1..=most).contains(&number) {
        return Some(number);
    }
    faults.add(written.span(), format!("`{what}` is from 1 to {most}, not {number}"));
    None
}

/// A duration such as `250ms`, `5s` or `2m`.
pub(super) fn duration(text: &raw::Text, faults: &mut Faults<'_>) -> Option<Duration> {
    faults.note(text.span(), read_duration(text.get_ref()))
}

/// A duration that is not shorter than `least`.
pub(super) fn some_time(text: &raw::Text, least: Duration, faults: &mut Faults<'_>) -> Option<Duration> {
    let read = duration(text, faults)?;
    if read >= least {
        return Some(read);
    }
    let problem =
        if read.is_zero() { "is no time at all".to_owned() } else { format!("is less than {least:?}") };
    faults.add(text.span(), format!("`{}` {problem}; say `250ms`, `5s`, `2m` or `1h`", text.get_ref()));
    None
}

pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is no duration; say `250ms`, `5s`, `2m` or `1h`")),
    };
    let number: f64 = number.parse().map_err(|_| {
        let digits = if number.is_empty() { "it has no number" } else { "that is no number" };
        format!("`{text}` is no duration, {digits}; say `250ms`, `5s`, `2m` or `1h`")
    })?;
    let read = Duration::try_from_secs_f64(number * seconds).ok().filter(|read| *read <= LONGEST);
    read.ok_or_else(|| format!("`{text}` is too long; a duration is at most 8760h, a year"))
}

/// A text that is one of our own small forms.
pub(super) fn parsed<T: FromStr<Err = String>>(text: &raw::Text, faults: &mut Faults<'_>) -> Option<T> {
    faults.note(text.span(), text.get_ref().parse())
}

/// Several of them.
pub(super) fn patterns(texts: &[raw::Text], faults: &mut Faults<'_>) -> Vec<Pattern> {
    texts.iter().filter_map(|text| parsed(text, faults)).collect()
}
