//! One document out of those of several generators that shared a run.

mod audit;

use std::time::Duration;

use audit::{merged_audit, merged_ledger};

use super::build::Facts;
use super::document::{Cost, Event, Load, Machine, Outage, Parts, Percentiles, PlannedRate, Run, Summary};
use super::read::ReadError;
use super::text::listed;
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
    /// A part is there more than once.
    #[error("part {part} of {of} is there twice")]
    Twice {
        /// Which, from 1.
        part: u32,
        /// How many there are.
        of: u32,
    },
    /// A part is not there.
    #[error("part {parts} of {of} is missing")]
    Missing {
        /// Which, from 1.
        parts: String,
        /// How many there are.
        of: u32,
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

/// What to do about parts that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no run without them.
    Refuse,
    /// The rest is merged; the document says what is missing, and is not valid.
    Mark,
}

impl Summary {
    /// The run that `parts` are of: what they recorded is added up, percentiles and thresholds are taken from the
    /// sum. Samples of the shop are those of the first generator that took some.
    ///
    /// # Errors
    /// When they are not parts of one run, one is there twice or not at all, or one cannot be read.
    pub fn merge(parts: &[Self], missing: Missing) -> Result<Self, MergeError> {
        let [first, others @ ..] = parts else {
            return Err(MergeError::Nothing);
        };
        let mut recorded = first.recorded()?;
        for other in others {
            same_run(first, other)?;
            recorded.merge(&other.recorded()?)?;
        }
        let present = all_present(parts, missing)?;
        let steps: Vec<&str> = first.steps.iter().map(|step| step.name.as_str()).collect();
        let conditions =
            first.thresholds.iter().map(|threshold| Condition::parse(&threshold.expression, &steps));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        let run = Run { parts: present, ..merged_run(parts, first) };
        let facts = Facts {
            load: merged_load(parts, first, &run.parts),
            run,
            stock: first_with(parts, |part| part.stock.as_slice()),
            events: merged_events(parts),
            outages: merged_outages(parts),
            server: first_with(parts, |part| part.server.as_slice()),
            audit: merged_audit(parts),
            ledger: merged_ledger(parts),
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
        ("the run", a.id.clone(), b.id.clone()),
        ("the digest of the scenario", a.scenario_hash.clone(), b.scenario_hash.clone()),
        ("the seed", a.seed.to_string(), b.seed.to_string()),
        ("the number of generators", a.parts.of.to_string(), b.parts.of.to_string()),
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

/// The parts of all documents, each once.
fn all_present(parts: &[Summary], missing: Missing) -> Result<Parts, MergeError> {
    let of = parts.first().map_or(1, |part| part.run.parts.of);
    let mut present: Vec<u32> = parts.iter().flat_map(|part| part.run.parts.present.clone()).collect();
    present.sort_unstable();
    if let Some(&[twice, _]) = present.windows(2).find(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(MergeError::Twice { part: twice, of });
    }
    let all = Parts { of, present };
    let absent = all.missing();
    if !absent.is_empty() && missing == Missing::Refuse {
        return Err(MergeError::Missing { parts: listed(&absent), of });
    }
    Ok(all)
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

fn merged_load(parts: &[Summary], first: &Summary, present: &Parts) -> Load {
    let loads = || parts.iter().map(|part| &part.load);
    let mut load = first.load.clone();
    load.planned = added_curves(&loads().map(|load| load.planned.as_slice()).collect::<Vec<_>>());
    load.connections = loads().map(|load| load.connections).sum();
    load.workers = loads().map(|load| load.workers).sum();
    load.limit_reached = loads().any(|load| load.limit_reached);
    load.cpu_share = loads().map(|load| load.cpu_share).fold(0.0, f64::max);
    load.cost = merged_cost(&loads().map(|load| &load.cost).collect::<Vec<_>>());
    let reasons = parts.iter().flat_map(|part| {
        let (number, absent) = (listed(&part.run.parts.present), absence(&part.run.parts));
        // What was missing may be there now.
        let reasons = part.load.invalid_reasons.iter().filter(move |reason| Some(*reason) != absent.as_ref());
        reasons.map(move |reason| match parts.len() {
            1 => reason.clone(),
            _ => format!("generator {number}: {reason}"),
        })
    });
    load.invalid_reasons = reasons.chain(absence(present)).collect();
    load.valid = load.invalid_reasons.is_empty();
    load
}

/// Why a run is not valid of which parts are missing.
fn absence(parts: &Parts) -> Option<String> {
    let missing = parts.missing();
    let told =
        || format!("part {} of {} is missing: rates and counts are too low", listed(&missing), parts.of);
    (!missing.is_empty()).then(told)
}

/// What all generators used; of their lateness, each percentile is that of the worst.
fn merged_cost(costs: &[&Cost]) -> Cost {
    let sum = |figure: fn(&Cost) -> f64| costs.iter().map(|cost| figure(cost)).sum::<f64>();
    let requests: f64 =
        costs.iter().map(|cost| cost.requests_per_core_s.unwrap_or_default() * cost.cpu_s).sum();
    let cpu_s = sum(|cost| cost.cpu_s);
    type Pick<T> = fn(&Percentiles) -> Option<T>;
    let worst = |pick: Pick<u64>| costs.iter().filter_map(|cost| pick(&cost.start_lateness)).max();
    let mean: Pick<f64> = |at| at.mean;
    Cost {
        cpu_s,
        cores: sum(|cost| cost.cores),
        requests_per_core_s: (cpu_s > 0.0).then(|| requests / cpu_s),
        start_lateness: Percentiles {
            p50: worst(|at| at.p50),
            p75: worst(|at| at.p75),
            p90: worst(|at| at.p90),
            p95: worst(|at| at.p95),
            p99: worst(|at| at.p99),
            p99_9: worst(|at| at.p99_9),
            p99_99: worst(|at| at.p99_99),
            max: worst(|at| at.max),
            mean: costs.iter().filter_map(|cost| mean(&cost.start_lateness)).max_by(f64::total_cmp),
        },
    }
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

/// The outages that any generator met; those that touch are one.
fn merged_outages(parts: &[Summary]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = parts.iter().flat_map(|part| part.outages.iter().cloned()).collect();
    outages.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    let mut merged: Vec<Outage> = Vec::new();
    for outage in outages {
        match merged.last_mut().filter(|last| last.to_s.is_none_or(|to| to >= outage.from_s)) {
            Some(last) => {
                last.requests += outage.requests;
                last.to_s = last.to_s.zip(outage.to_s).map(|(a, b)| a.max(b));
            }
            None => merged.push(outage),
        }
    }
    merged
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
