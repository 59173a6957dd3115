//! One document out of those of several generators that shared a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build::Facts;
use super::document::{Audit, AuditCheck, Event, Load, Machine, PlannedRate, Run, Summary};
use super::read::ReadError;
use super::threshold::{Condition, ConditionError};
use crate::record;

/// Second zero of two generators may lie this far apart: the series has no finer grain.
const STARTS_APART: Duration = Duration::from_secs(1);

/// Why documents are not of one run.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("there is no document to merge")]
    Nothing,
    /// A field that parts of one run share differs.
    #[error("not parts of one run: {field} is {first} in the first document and {other} in another")]
    Differs {
        /// Which.
        field: &'static str,
        /// The first document's.
        first: String,
        /// The other one's.
        other: String,
    },
    /// They have other steps or another warm-up.
    #[error("not parts of one run")]
    Recorded(#[from] record::MergeError),
    /// A document cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A threshold in a document is none.
    #[error(transparent)]
    Threshold(#[from] ConditionError),
}

impl Summary {
    /// The run that `parts` are of: what they recorded is added up, percentiles and thresholds are taken from the
    /// sum. Samples of the shop are those of the first generator that took some.
    ///
    /// # Errors
    /// When they are not parts of one run, or one cannot be read.
    pub fn merge(parts: &[Self]) -> Result<Self, MergeError> {
        let [first, others @ ..] = parts else {
            return Err(MergeError::Nothing);
        };
        let mut recorded = first.recorded()?;
        for other in others {
            same_run(first, other)?;
            recorded.merge(&other.recorded()?)?;
        }
        let steps: Vec<&str> = first.steps.iter().map(|step| step.name.as_str()).collect();
        let conditions =
            first.thresholds.iter().map(|threshold| Condition::parse(&threshold.expression, &steps));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        let facts = Facts {
            run: merged_run(parts, first),
            load: merged_load(parts, first),
            stock: first_with(parts, |part| part.stock.as_slice()),
            events: merged_events(parts),
            server: first_with(parts, |part| part.server.as_slice()),
            audit: merged_audit(parts),
        };
        Ok(Self::new(&recorded, facts, &conditions))
    }
}

fn same_run(first: &Summary, other: &Summary) -> Result<(), MergeError> {
    let (a, b) = (&first.run, &other.run);
    let expressions = |part: &Summary| -> Vec<String> {
        part.thresholds.iter().map(|threshold| threshold.expression.clone()).collect()
    };
    let fields = [
        ("the scenario", a.scenario.clone(), b.scenario.clone()),
        ("the seed", a.seed.to_string(), b.seed.to_string()),
        ("the target", a.target.clone(), b.target.clone()),
        ("the kind of load", format!("{:?}", first.load.mode), format!("{:?}", other.load.mode)),
        ("the list of thresholds", format!("{:?}", expressions(first)), format!("{:?}", expressions(other))),
    ];
    for (field, first, other) in fields {
        if first != other {
            return Err(MergeError::Differs { field, first, other });
        }
    }
    if started_together(&a.started, &b.started) {
        return Ok(());
    }
    Err(MergeError::Differs { field: "the start", first: a.started.clone(), other: b.started.clone() })
}

fn started_together(a: &str, b: &str) -> bool {
    let (Ok(a), Ok(b)) = (humantime::parse_rfc3339_weak(a), humantime::parse_rfc3339_weak(b)) else {
        return a == b;
    };
    let apart = a.duration_since(b).unwrap_or_else(|before| before.duration());
    apart < STARTS_APART
}

fn merged_run(parts: &[Summary], first: &Summary) -> Run {
    let runs = || parts.iter().map(|part| &part.run);
    let mut run = first.run.clone();
    run.duration_s = runs().map(|run| run.duration_s).fold(0.0, f64::max);
    run.drain_s = runs().map(|run| run.duration_s + run.drain_s).fold(0.0, f64::max) - run.duration_s;
    run.generators = runs().map(|run| run.generators).sum();
    run.interrupted = runs().any(|run| run.interrupted);
    run.versions.generator = distinct(runs().map(|run| run.versions.generator.as_str()));
    run.versions.server = runs().find_map(|run| run.versions.server.clone());
    run.machine = merged_machine(runs().map(|run| &run.machine));
    run
}

/// Several generators on one machine leave it as it is; several machines add up.
fn merged_machine<'a>(machines: impl Iterator<Item = &'a Machine>) -> Machine {
    let mut different: Vec<&Machine> = Vec::new();
    for machine in machines {
        if !different.contains(&machine) {
            different.push(machine);
        }
    }
    Machine {
        cpus: different.iter().map(|machine| machine.cpus).sum(),
        cpu_model: distinct(different.iter().map(|machine| machine.cpu_model.as_str())),
        kernel: distinct(different.iter().map(|machine| machine.kernel.as_str())),
        memory_bytes: different.iter().map(|machine| machine.memory_bytes).sum(),
    }
}

fn merged_load(parts: &[Summary], first: &Summary) -> Load {
    let loads = || parts.iter().map(|part| &part.load);
    let mut load = first.load.clone();
    load.planned = added_curves(&loads().map(|load| load.planned.as_slice()).collect::<Vec<_>>());
    load.connections = loads().map(|load| load.connections).sum();
    load.workers = loads().map(|load| load.workers).sum();
    load.valid = loads().all(|load| load.valid);
    load.cpu_share = loads().map(|load| load.cpu_share).fold(0.0, f64::max);
    let reasons = loads().enumerate().flat_map(|(number, load)| {
        load.invalid_reasons.iter().map(move |reason| format!("generator {}: {reason}", number + 1))
    });
    load.invalid_reasons = reasons.collect();
    load
}

/// The sum of curves of straight pieces: their corners together, two where a curve jumps.
fn added_curves(curves: &[&[PlannedRate]]) -> Vec<PlannedRate> {
    let mut corners: Vec<f64> = curves.iter().copied().flatten().map(|point| point.at_s).collect();
    corners.sort_by(f64::total_cmp);
    corners.dedup();
    let mut sum: Vec<PlannedRate> = Vec::new();
    for at_s in corners {
        let before: f64 = curves.iter().map(|curve| rate_at(curve, at_s, Side::Before)).sum();
        let after: f64 = curves.iter().map(|curve| rate_at(curve, at_s, Side::After)).sum();
        if !sum.is_empty() {
            sum.push(PlannedRate { at_s, rate: before });
        }
        if sum.last().is_none_or(|last| (last.rate - after).abs() > f64::EPSILON) {
            sum.push(PlannedRate { at_s, rate: after });
        }
    }
    // The end of the last piece falls to zero by itself.
    if sum.len() > 1 && sum.last().is_some_and(|last| last.rate == 0.0) && ends_with_a_jump(&sum) {
        sum.pop();
    }
    sum
}

fn ends_with_a_jump(curve: &[PlannedRate]) -> bool {
    matches!(curve, [.., before, last] if before.at_s == last.at_s)
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

/// The rate of one curve just before or just after `at_s`; zero outside of it.
fn rate_at(curve: &[PlannedRate], at_s: f64, side: Side) -> f64 {
    let within = |from: &PlannedRate, to: &PlannedRate| match side {
        Side::Before => from.at_s < at_s && at_s <= to.at_s,
        Side::After => from.at_s <= at_s && at_s < to.at_s,
    };
    let piece = curve.windows(2).find_map(|piece| match piece {
        [from, to] if within(from, to) => Some((from, to)),
        _ => None,
    });
    piece.map_or(0.0, |(from, to)| {
        from.rate + (to.rate - from.rate) * (at_s - from.at_s) / (to.at_s - from.at_s)
    })
}

/// What happened, in order; what several generators saw in the same second is told once.
fn merged_events(parts: &[Summary]) -> Vec<Event> {
    let mut events: Vec<Event> = parts.iter().flat_map(|part| part.events.iter().cloned()).collect();
    events.sort_by(|a, b| a.second.total_cmp(&b.second));
    let mut told: Vec<Event> = Vec::new();
    for event in events {
        let again = told.iter().any(|own| own.text == event.text && event.second - own.second < 1.0);
        if !again {
            told.push(event);
        }
    }
    told
}

/// Each generator audits what was acknowledged to it: there was an audit when all did, and a check passes when it
/// passed for all.
fn merged_audit(parts: &[Summary]) -> Audit {
    let mut checks: Vec<AuditCheck> = Vec::new();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for check in parts.iter().flat_map(|part| &part.audit.checks) {
        let Some(&index) = found.get(check.name.as_str()) else {
            found.insert(&check.name, checks.len());
            checks.push(check.clone());
            continue;
        };
        let own = &mut checks[index];
        own.passed &= check.passed;
        if !own.detail.split("; ").any(|detail| detail == check.detail) {
            own.detail = format!("{}; {}", own.detail, check.detail);
        }
    }
    Audit { ran: parts.iter().all(|part| part.audit.ran), checks }
}

fn first_with<T: Clone>(parts: &[Summary], samples: impl Fn(&Summary) -> &[T]) -> Vec<T> {
    parts.iter().map(samples).find(|samples| !samples.is_empty()).map(<[T]>::to_vec).unwrap_or_default()
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut different: Vec<&str> = Vec::new();
    for text in texts {
        if !different.contains(&text) {
            different.push(text);
        }
    }
    different.join(", ")
}
