//! From what was recorded to the document.

use super::Exit;
use super::document::{
    Audit, AuditState, Event, Lateness, Load, Outage, OutcomeCount, PartLedger, Percentiles, PlannedRate,
    Run, SCHEMA, Second, ServerSample, Step, StepOfSecond, Stock, Summary, Threshold, Totals, Verdict,
};
use super::threshold::Condition;
use crate::record::{Kind, Latencies, OutcomeRecorded, Recorded, SecondRecorded, StepRecorded, encode};

/// What a run knows beside its requests.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What ran, where and when.
    pub run: Run,
    /// What the generator was to send, and whether it could; its `lateness` is filled in from what was recorded.
    pub load: Load,
    /// Samples of the stock.
    pub stock: Vec<Stock>,
    /// What happened to the run.
    pub events: Vec<Event>,
    /// When nobody could reach the server.
    pub outages: Vec<Outage>,
    /// Samples of the server's metrics.
    pub server: Vec<ServerSample>,
    /// What the audit found.
    pub audit: Audit,
    /// What an audit of the whole run needs, of one generator of several.
    pub ledger: Option<PartLedger>,
}

impl Summary {
    /// The document of a run that met `conditions` or did not.
    pub fn new(recorded: &Recorded, facts: Facts, conditions: &[Condition]) -> Self {
        let Facts { mut run, mut load, stock, events, outages, server, audit, ledger } = facts;
        run.duration_s = rounded(run.duration_s);
        run.drain_s = rounded(run.drain_s);
        load.cpu_share = rounded(load.cpu_share);
        load.cost.cpu_s = rounded(load.cost.cpu_s);
        load.cost.cores = rounded(load.cost.cores);
        load.cost.requests_per_core_s = load.cost.requests_per_core_s.map(rounded);
        load.lateness = Lateness {
            percentiles: Percentiles::of(&recorded.lateness_us),
            histogram: encode(&recorded.lateness_us),
        };
        let counted_s = run.duration_s - run.warm_up_s;
        let mut summary = Self {
            schema: SCHEMA.to_owned(),
            verdict: Verdict::default(),
            steps: recorded.steps.iter().map(|step| Step::of(step, counted_s)).collect(),
            all: Totals::new(
                Kind::ALL.map(|kind| recorded.count(kind)),
                Kind::ALL.map(|kind| recorded.count_in_window(kind)),
                &recorded.latency_us(),
                counted_s,
            ),
            seconds: seconds(recorded, &load.planned),
            run,
            load,
            stock,
            events,
            outages,
            server,
            audit,
            ledger,
            thresholds: conditions.iter().map(|condition| condition.judge(recorded, counted_s)).collect(),
        };
        summary.verdict = Verdict::of(&summary);
        summary
    }
}

impl Verdict {
    /// The verdict on `summary`, whatever it says now.
    pub(super) fn of(summary: &Summary) -> Self {
        let result = result(summary);
        Self { result, passed: result == Exit::Passed, failures: failures(summary) }
    }
}

/// The gravest of what is to be said: unknown books weigh more than figures, and a run that was ended early is no
/// missed threshold.
fn result(summary: &Summary) -> Exit {
    let missed = summary.thresholds.iter().any(|threshold| !threshold.passed);
    if summary.audit.failed() {
        Exit::AuditFailed
    } else if unaudited(summary).is_some() {
        Exit::NotAudited
    } else if cut_short(summary).is_some() {
        Exit::CutShort
    } else if !summary.load.valid {
        Exit::Invalid
    } else if missed || idle(summary).is_some() {
        Exit::ThresholdMissed
    } else {
        Exit::Passed
    }
}

fn failures(summary: &Summary) -> Vec<String> {
    let checks = summary.audit.checks.iter().filter(|check| check.passed == Some(false));
    let audit = checks.map(|check| format!("audit failed: {}: {}", check.name, check.detail));
    let unaudited = unaudited(summary).map(|why| format!("not audited: {why}"));
    let cut_short = cut_short(summary).map(|how| format!("cut short: {how}"));
    let invalid = summary.load.invalid_reasons.iter().map(|reason| format!("invalid: {reason}"));
    let missed = summary.thresholds.iter().filter(|threshold| !threshold.passed).map(Threshold::failure);
    audit.chain(unaudited).chain(cut_short).chain(invalid).chain(idle(summary)).chain(missed).collect()
}

/// Why nobody knows whether the books balance, where somebody should.
fn unaudited(summary: &Summary) -> Option<String> {
    let reason = || summary.audit.reason.clone().unwrap_or_default();
    match summary.audit.state {
        AuditState::NotMade => Some(reason()),
        // A single part leaves it to whoever merges.
        AuditState::Part if !summary.run.parts.is_one_of_several() => Some(reason()),
        _ => None,
    }
}

/// What the user ended early.
fn cut_short(summary: &Summary) -> Option<String> {
    let load = || format!("by the user, {:.1} s after its start", summary.run.duration_s);
    let audit = || format!("the audit, {}", summary.audit.reason.as_deref().unwrap_or("by the user"));
    match (summary.run.interrupted, summary.audit.state == AuditState::CutShort) {
        (true, true) => Some(format!("{}; and {}", load(), audit())),
        (true, false) => Some(load()),
        (false, true) => Some(audit()),
        (false, false) => None,
    }
}

fn idle(summary: &Summary) -> Option<String> {
    let all = &summary.all;
    (all.count > 0 && all.ok == 0).then(|| format!("none of {} requests was a success", all.count))
}

impl Percentiles {
    /// The percentiles of `latencies`, as far as there are enough of them.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let count = latencies.len();
        // One of `share` requests lies beyond the percentile; there must be that many.
        let at = |quantile, share| (count >= share).then(|| latencies.value_at_quantile(quantile));
        let any = count > 0;
        Self {
            p50: at(0.5, 2),
            p75: at(0.75, 4),
            p90: at(0.9, 10),
            p95: at(0.95, 20),
            p99: at(0.99, 100),
            p99_9: at(0.999, 1_000),
            p99_99: at(0.9999, 10_000),
            max: any.then(|| latencies.max()),
            mean: any.then(|| rounded(latencies.mean())),
        }
    }
}

impl Totals {
    /// `counts` by kind, and those of them that ended in the `counted_s` seconds `in_window`.
    fn new(counts: [u64; 4], in_window: [u64; 4], latencies: &Latencies, counted_s: f64) -> Self {
        let [ok, refused, throttled, failed] = counts;
        let count = counts.iter().sum();
        let a_second = |count: u64| if counted_s > 0.0 { count as f64 / counted_s } else { 0.0 };
        let rate = rounded(a_second(in_window.iter().sum()));
        let ok_rate = rounded(a_second(in_window[Kind::Ok.index()]));
        Self { count, ok, refused, throttled, failed, rate, ok_rate, latency: Percentiles::of(latencies) }
    }
}

impl Step {
    fn of(step: &StepRecorded, counted_s: f64) -> Self {
        Self {
            name: step.name.clone(),
            outcomes: step.outcomes.iter().map(OutcomeCount::of).collect(),
            all: Totals::new(
                Kind::ALL.map(|kind| step.count(kind)),
                Kind::ALL.map(|kind| step.count_in_window(kind)),
                &step.latency_us(),
                counted_s,
            ),
        }
    }
}

impl OutcomeCount {
    fn of(outcome: &OutcomeRecorded) -> Self {
        Self {
            outcome: outcome.label.clone(),
            kind: outcome.kind,
            count: outcome.count(),
            drained: outcome.drained,
            waited_for: outcome.waited_for,
            latency: Percentiles::of(&outcome.latency_us),
            histogram: encode(&outcome.latency_us),
        }
    }
}

/// To a millionth: figures that people can read, and that JSON readers of every kind read alike.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}

/// The series without gaps, so that a second in which nothing happened shows as such.
fn seconds(recorded: &Recorded, planned: &[PlannedRate]) -> Vec<Second> {
    let Some((&last, _)) = recorded.seconds.last_key_value() else {
        return Vec::new();
    };
    let nothing = SecondRecorded::new(recorded.steps.len());
    let mut in_flight: u64 = 0;
    (0..=last)
        .map(|number| {
            let recorded = recorded.seconds.get(&number).unwrap_or(&nothing);
            let mut second = Second::of(number, recorded);
            in_flight = (in_flight + second.started).saturating_sub(second.answered);
            second.in_flight = in_flight;
            second.planned = planned_flows(planned, f64::from(number));
            second
        })
        .collect()
}

impl Second {
    fn of(number: u32, recorded: &SecondRecorded) -> Self {
        let [ok, refused, throttled, failed] = Kind::ALL.map(|kind| recorded.finished(kind));
        let latency = recorded.latency();
        Self {
            second: number,
            planned: None,
            flows_started: recorded.flows_started,
            flows_finished: recorded.flows_finished,
            started: recorded.started(),
            answered: ok + refused + throttled + failed,
            ok,
            refused,
            throttled,
            failed,
            p50_us: latency.quantile(0.5),
            p99_us: latency.quantile(0.99),
            in_flight: 0,
            lateness_max_us: recorded.lateness_max_us,
            steps: recorded.steps.iter().map(StepOfSecond::from).collect(),
        }
    }
}

impl From<&crate::record::StepSecond> for StepOfSecond {
    fn from(step: &crate::record::StepSecond) -> Self {
        let [ok, refused, throttled, failed] = step.finished;
        Self { started: step.started, ok, refused, throttled, failed, histogram: step.latency.clone() }
    }
}

/// Flows that a curve of straight pieces plans between `second` and the next one; `None` without a curve.
fn planned_flows(curve: &[PlannedRate], second: f64) -> Option<f64> {
    if curve.is_empty() {
        return None;
    }
    let pieces = curve.windows(2).map(|piece| {
        let [from, to] = piece else { return 0.0 };
        let (start, end) = (from.at_s.max(second), to.at_s.min(second + 1.0));
        if end <= start {
            return 0.0;
        }
        let slope = (to.rate - from.rate) / (to.at_s - from.at_s);
        let rate_at = |at: f64| from.rate + slope * (at - from.at_s);
        (end - start) * f64::midpoint(rate_at(start), rate_at(end))
    });
    Some(rounded(pieces.sum()))
}
