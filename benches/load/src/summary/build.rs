//! From what was recorded to the document.

use super::document::{
    Audit, Event, Lateness, Load, OutcomeCount, Percentiles, PlannedRate, Run, SCHEMA, Second, ServerSample,
    Step, StepOfSecond, Stock, Summary, Threshold, Totals, Verdict,
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
    /// Samples of the server's metrics.
    pub server: Vec<ServerSample>,
    /// What the audit found.
    pub audit: Audit,
}

impl Summary {
    /// The document of a run that met `conditions` or did not.
    pub fn new(recorded: &Recorded, facts: Facts, conditions: &[Condition]) -> Self {
        let Facts { mut run, mut load, stock, events, server, audit } = facts;
        run.duration_s = rounded(run.duration_s);
        run.drain_s = rounded(run.drain_s);
        load.cpu_share = rounded(load.cpu_share);
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
            server,
            audit,
            thresholds: conditions.iter().map(|condition| condition.judge(recorded, counted_s)).collect(),
        };
        summary.verdict = Verdict::of(&summary);
        summary
    }
}

impl Verdict {
    /// The verdict on `summary`, whatever it says now.
    pub(super) fn of(summary: &Summary) -> Self {
        let checks = summary.audit.checks.iter().filter(|check| !check.passed);
        let audit = checks.map(|check| format!("audit failed: {}: {}", check.name, check.detail));
        let missed = summary.thresholds.iter().filter(|threshold| !threshold.passed).map(Threshold::failure);
        let invalid = summary.load.invalid_reasons.iter().map(|reason| format!("invalid: {reason}"));
        let all = &summary.all;
        let idle =
            (all.count > 0 && all.ok == 0).then(|| format!("none of {} requests was a success", all.count));
        let failures: Vec<String> = audit.chain(invalid).chain(idle).chain(missed).collect();
        Self { passed: failures.is_empty() && summary.load.valid, failures }
    }
}

impl Percentiles {
    /// The percentiles of `latencies`.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let at = |quantile| latencies.value_at_quantile(quantile);
        Self {
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: latencies.max(),
            mean: rounded(latencies.mean()),
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
