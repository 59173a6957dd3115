//! Conditions that a run has to meet: `buy.p99 < 50ms`, `failed_ratio < 0.1%`, `all.ok_rate > 9000`.
//!
//! ```text
//! [STEP.][KIND.]FIGURE OPERATOR VALUE[UNIT]
//!
//! STEP      a step of the scenario, or `all` (left out: all)
//! KIND      ok | refused | throttled | failed: those requests alone (left out: all, of latencies those waited for)
//! FIGURE    p50 p75 p90 p95 p99 p99_9 p99_99 (any pN or pN_N), max, mean        a latency; UNIT us, ms, s
//!           count                                                               requests; no unit
//!           rate, ok_rate, refused_rate, throttled_rate, failed_rate            a second; UNIT /s or none
//!           ok_ratio, refused_ratio, throttled_ratio, failed_ratio              of all; UNIT % or none (0 to 1)
//! OPERATOR  <  <=  >  >=  ==
//! ```

use std::fmt;

use super::build::rounded;
use super::document::{Threshold, Unit};
use crate::record::{Kind, Latencies, Recorded, StepRecorded, no_latencies};

/// One condition, as a scenario writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    expression: String,
    /// Index of the step; `None` is all of them.
    step: Option<usize>,
    /// The kind of request alone; `None` is all of them.
    kind: Option<Kind>,
    figure: Figure,
    operator: Operator,
    /// In the unit of the figure: microseconds of a latency.
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// The latency that this share (0 to 1) of the requests stayed within.
    Quantile(f64),
    Max,
    Mean,
    Count,
    Rate(Option<Kind>),
    Ratio(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// Why a text is no condition of a scenario. Each message names the part that is wrong and what would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("threshold `{expression}`: {problem}")]
pub struct ConditionError {
    expression: String,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it has no operator; write FIGURE < VALUE with one of <, <=, >, >=, ==")]
    NoOperator,
    #[error("`{0}` is no operator; use one of <, <=, >, >=, ==")]
    Operator(String),
    #[error(
        "`{0}` is no figure; use p50, p99, p99_9 and the like, max, mean, count, rate, ok_rate, failed_ratio and the like"
    )]
    Figure(String),
    #[error("there is no step `{name}`; the steps are {}", .known.join(", "))]
    Step { name: String, known: Vec<String> },
    #[error("`{0}` is no number")]
    Number(String),
    #[error("a latency needs a unit: us, ms or s, as in 50ms")]
    NoTimeUnit,
    #[error("`{unit}` is no unit of {of}; use {instead}")]
    Unit { unit: String, of: &'static str, instead: &'static str },
    #[error("a ratio lies between 0 and 1, or 0% and 100%")]
    Ratio,
    #[error("`{0}` already says which requests; leave the kind before it out")]
    KindTwice(String),
}

impl Condition {
    /// The condition that `expression` states of a scenario with these steps.
    ///
    /// # Errors
    /// When it is none; the message says which part is wrong.
    pub fn parse(expression: &str, steps: &[&str]) -> Result<Self, ConditionError> {
        let expression = expression.trim();
        parse(expression, steps)
            .map_err(|problem| ConditionError { expression: expression.to_owned(), problem })
    }

    /// Whether a run met the condition. `counted_s`: its seconds without the warm-up.
    pub fn judge(&self, recorded: &Recorded, counted_s: f64) -> Threshold {
        let value = self.value(recorded, counted_s);
        Threshold {
            expression: self.expression.clone(),
            unit: self.figure.unit(),
            value: value.map(rounded),
            passed: value.is_some_and(|value| self.operator.holds(value, self.bound)),
        }
    }

    fn value(&self, recorded: &Recorded, counted_s: f64) -> Option<f64> {
        let count = |kind: Option<Kind>| self.sum(recorded, kind, StepRecorded::count) as f64;
        match self.figure {
            Figure::Count => Some(count(self.kind)),
            Figure::Rate(kind) => (counted_s > 0.0).then(|| {
                let ended = self.sum(recorded, kind.or(self.kind), StepRecorded::count_in_window);
                ended as f64 / counted_s
            }),
            Figure::Ratio(kind) => {
                let all = count(None);
                (all > 0.0).then(|| count(Some(kind)) / all)
            }
            Figure::Quantile(_) | Figure::Max | Figure::Mean => {
                let latencies = self.latencies(recorded);
                (!latencies.is_empty()).then(|| self.figure.of(&latencies))
            }
        }
    }

    fn steps<'a>(&self, recorded: &'a Recorded) -> &'a [StepRecorded] {
        match self.step {
            Some(step) => recorded.steps.get(step..=step).unwrap_or_default(),
            None => &recorded.steps,
        }
    }

    /// Counts of one kind or of all, over the steps that are meant.
    fn sum(
        &self,
        recorded: &Recorded,
        kind: Option<Kind>,
        count: impl Fn(&StepRecorded, Kind) -> u64,
    ) -> u64 {
        let kinds = Kind::ALL.into_iter().filter(|own| kind.is_none_or(|kind| *own == kind));
        kinds.map(|kind| self.steps(recorded).iter().map(|step| count(step, kind)).sum::<u64>()).sum()
    }

    fn latencies(&self, recorded: &Recorded) -> Latencies {
        let mut sum = no_latencies();
        for step in self.steps(recorded) {
            step.add_latencies(&mut sum, self.kind);
        }
        sum
    }
}

impl Figure {
    fn unit(self) -> Unit {
        match self {
            Self::Quantile(_) | Self::Max | Self::Mean => Unit::Microseconds,
            Self::Count => Unit::Requests,
            Self::Rate(_) => Unit::PerSecond,
            Self::Ratio(_) => Unit::Ratio,
        }
    }

    fn of(self, latencies: &Latencies) -> f64 {
        match self {
            Self::Quantile(quantile) => latencies.value_at_quantile(quantile) as f64,
            Self::Mean => latencies.mean(),
            _ => latencies.max() as f64,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let of_kind = |suffix: &str| text.strip_suffix(suffix).and_then(kind);
        match text {
            "max" => Some(Self::Max),
            "mean" => Some(Self::Mean),
            "count" => Some(Self::Count),
            "rate" => Some(Self::Rate(None)),
            _ => percentile(text)
                .map(|percentile| Self::Quantile(percentile / 100.0))
                .or_else(|| of_kind("_rate").map(|kind| Self::Rate(Some(kind))))
                .or_else(|| of_kind("_ratio").map(Self::Ratio)),
        }
    }
}

impl Operator {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "<" => Ok(Self::Less),
            "<=" => Ok(Self::LessOrEqual),
            ">" => Ok(Self::Greater),
            ">=" => Ok(Self::GreaterOrEqual),
            "==" => Ok(Self::Equal),
            other => Err(Problem::Operator(other.to_owned())),
        }
    }

    #[expect(clippy::float_cmp, reason = "== is meant for counts and for ratios of 0 and 1, which are exact")]
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
            Self::Equal => value == bound,
        }
    }
}

fn parse(expression: &str, steps: &[&str]) -> Result<Condition, Problem> {
    let is_operator = |letter: char| "<>=!".contains(letter);
    let end = expression.rfind(is_operator).ok_or(Problem::NoOperator)? + 1;
    let start = expression[..end].trim_end_matches(is_operator).len();
    let operator = Operator::parse(&expression[start..end])?;
    let (subject, value) = (expression[..start].trim(), expression[end..].trim());

    let (scope, name) = subject.rsplit_once('.').unwrap_or(("", subject));
    let figure = Figure::parse(name).ok_or_else(|| Problem::Figure(name.to_owned()))?;
    let (step, kind) = parse_scope(scope, steps)?;
    if kind.is_some() && matches!(figure, Figure::Rate(Some(_)) | Figure::Ratio(_)) {
        return Err(Problem::KindTwice(name.to_owned()));
    }
    let bound = parse_bound(value, figure)?;
    Ok(Condition { expression: expression.to_owned(), step, kind, figure, operator, bound })
}

/// The step and kind in front of the figure. A step's own name wins over the kind of that name.
fn parse_scope(scope: &str, steps: &[&str]) -> Result<(Option<usize>, Option<Kind>), Problem> {
    let step = |name: &str| steps.iter().position(|step| *step == name);
    if scope.is_empty() || scope == "all" {
        return Ok((None, None));
    }
    if let Some(index) = step(scope) {
        return Ok((Some(index), None));
    }
    if let Some(kind) = kind(scope) {
        return Ok((None, Some(kind)));
    }
    let (name, last) = scope.rsplit_once('.').unwrap_or((scope, ""));
    match (step(name), kind(last)) {
        (None, Some(kind)) if name == "all" => Ok((None, Some(kind))),
        (Some(index), Some(kind)) => Ok((Some(index), Some(kind))),
        (_, kind) => {
            let name = if kind.is_some() { name } else { scope };
            let known = steps.iter().copied().chain(["all"]).map(str::to_owned).collect();
            Err(Problem::Step { name: name.to_owned(), known })
        }
    }
}

fn parse_bound(text: &str, figure: Figure) -> Result<f64, Problem> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '_');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = number.replace('_', "").parse::<f64>().map_err(|_| Problem::Number(text.to_owned()))?;
    let wrong = |of, instead| Problem::Unit { unit: unit.trim().to_owned(), of, instead };
    let factor = match (figure.unit(), unit.trim()) {
        (Unit::Microseconds, "us" | "µs") => 1.0,
        (Unit::Microseconds, "ms") => 1e3,
        (Unit::Microseconds, "s") => 1e6,
        (Unit::Microseconds, "") => return Err(Problem::NoTimeUnit),
        (Unit::Microseconds, _) => return Err(wrong("a latency", "us, ms or s")),
        (Unit::Ratio, "%") => 0.01,
        (Unit::Ratio | Unit::Requests | Unit::PerSecond, "") | (Unit::PerSecond, "/s") => 1.0,
        (Unit::Ratio, _) => return Err(wrong("a ratio", "% or none")),
        (Unit::Requests, _) => return Err(wrong("a count", "none")),
        (Unit::PerSecond, _) => return Err(wrong("a rate", "/s or none")),
    };
    let bound = number * factor;
    if figure.unit() == Unit::Ratio && bound > 1.0 {
        return Err(Problem::Ratio);
    }
    Ok(bound)
}

fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// `p99_9` is 99.9.
fn percentile(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('p')?;
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let percentile = is_number.then(|| digits.replacen('_', ".", 1).parse::<f64>().ok())??;
    (0.0..=100.0).contains(&percentile).then_some(percentile)
}

impl Threshold {
    /// What the verdict says of a condition that was not met.
    pub(super) fn failure(&self) -> String {
        format!("threshold missed: {}: {}", self.expression, self.measured())
    }

    /// The figure of the run for people, with its unit.
    pub fn measured(&self) -> impl fmt::Display {
        match (self.value, self.unit) {
            (None, _) => "nothing was measured".to_owned(),
            (Some(value), Unit::Microseconds) => format!("it was {} ms", to_thousandth(value / 1e3)),
            (Some(value), Unit::Requests) => format!("it was {value}"),
            (Some(value), Unit::PerSecond) => format!("it was {}/s", to_thousandth(value)),
            (Some(value), Unit::Ratio) => format!("it was {} %", to_thousandth(value * 100.0)),
        }
    }
}

/// Precise enough to tell which side of a bound it lies, without digits that say nothing.
fn to_thousandth(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::record::{Clock, Outcome, Recorder, StepId, Times};

    const STEPS: [&str; 3] = ["buy", "pay.card", "ok"];

    /// 99 buys of 1 to 99 ms and one failure after a second, and one refused payment of 7 ms.
    fn recorded() -> Recorded {
        let clock = Clock { epoch: Instant::now(), warm_up: Duration::ZERO };
        let mut recorder = Recorder::new(STEPS.len(), clock);
        let status = |status| Outcome::Status { status, code: None };
        let buys = (1..=99).map(|milliseconds| (0, status(201), milliseconds));
        for (step, outcome, milliseconds) in buys.chain([(0, status(500), 1_000), (1, status(402), 7)]) {
            let finished = clock.epoch + Duration::from_millis(milliseconds);
            let times = Times { intended: clock.epoch, due: clock.epoch, sent: clock.epoch, finished };
            recorder.answered(StepId(step), &outcome, outcome.usual_kind(), times);
        }
        let mut recorded = Recorded::new(STEPS.map(str::to_owned), Duration::ZERO);
        recorded.absorb(&recorder);
        recorded
    }

    fn judged(expression: &str) -> Threshold {
        Condition::parse(expression, &STEPS).unwrap().judge(&recorded(), 10.0)
    }

    #[test]
    fn conditions_are_judged() {
        let table = [
            ("buy.p99 < 100ms", true),
            ("buy.p99 < 0.099s", false),
            ("buy.p50<=50.1 ms", true),
            ("buy.p99_99 > 999_000us", true),
            ("buy.ok.max < 100ms", true),
            ("buy.failed.mean >= 1s", true),
            ("all.max < 1s", false),
            ("max < 1.01s", true),
            ("refused.p50 < 7.1ms", true),
            ("all.refused.p50 < 7.1ms", true),
            ("pay.card.p99 < 8ms", true),
            ("pay.card.refused.count == 1", true),
            ("count == 101", true),
            ("buy.count >= 101", false),
            ("buy.rate == 10/s", true),
            ("ok_rate > 9.8", true),
            ("buy.ok.rate > 9.9", false),
            ("buy.failed_ratio <= 1%", true),
            ("failed_ratio < 0.0099", false),
            ("buy.ok_ratio > 98%", true),
        ];
        for (expression, passed) in table {
            assert_eq!(judged(expression).passed, passed, "{expression}: {:?}", judged(expression));
        }
    }

    #[test]
    fn what_was_not_measured_fails() {
        // A step named as a kind is the step.
        for expression in ["ok.p99 < 1s", "ok.p99 > 1us", "ok.failed_ratio < 1%", "throttled.p50 < 1s"] {
            let threshold = judged(expression);
            assert_eq!((threshold.value, threshold.passed), (None, false), "{expression}");
            assert!(threshold.failure().ends_with("nothing was measured"), "{}", threshold.failure());
        }
        assert_eq!(judged("ok.count == 0").value, Some(0.0));
    }

    #[test]
    fn a_missed_condition_says_by_how_much() {
        let failures = ["buy.p50 < 1ms", "count < 5", "rate < 1", "failed_ratio < 0.1%"]
            .map(|text| judged(text).failure());
        assert_eq!(
            failures,
            [
                "threshold missed: buy.p50 < 1ms: it was 50.015 ms",
                "threshold missed: count < 5: it was 101",
                "threshold missed: rate < 1: it was 10.1/s",
                "threshold missed: failed_ratio < 0.1%: it was 0.99 %",
            ]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("buy.p99", "it has no operator; write FIGURE < VALUE with one of <, <=, >, >=, =="),
            ("", "it has no operator; write FIGURE < VALUE with one of <, <=, >, >=, =="),
            ("buy.p99 != 5ms", "`!=` is no operator; use one of <, <=, >, >=, =="),
            ("buy.p99 =< 5ms", "`=<` is no operator; use one of <, <=, >, >=, =="),
            ("buy.p99 = 5ms", "`=` is no operator; use one of <, <=, >, >=, =="),
            ("buy.pp < 5ms", "`pp` is no figure"),
            ("buy.p101 < 5ms", "`p101` is no figure"),
            ("p99.9 < 5ms", "`9` is no figure"),
            ("< 5ms", "`` is no figure"),
            ("bye.p99 < 5ms", "there is no step `bye`; the steps are buy, pay.card, ok, all"),
            ("bye.ok.p99 < 5ms", "there is no step `bye`; the steps are buy, pay.card, ok, all"),
            ("buy.good.p99 < 5ms", "there is no step `buy.good`; the steps are buy, pay.card, ok, all"),
            (
                "buy.ok.failed_ratio < 1%",
                "`failed_ratio` already says which requests; leave the kind before it out",
            ),
            ("buy.p99 < 50", "a latency needs a unit: us, ms or s, as in 50ms"),
            ("buy.p99 < 50 m", "`m` is no unit of a latency; use us, ms or s"),
            ("buy.p99 < fast", "`fast` is no number"),
            ("buy.p99 < -5ms", "`-5ms` is no number"),
            ("buy.p99 < 1.2.3ms", "`1.2.3ms` is no number"),
            ("buy.p99 <", "`` is no number"),
            ("rate > 5ms", "`ms` is no unit of a rate; use /s or none"),
            ("count > 5%", "`%` is no unit of a count; use none"),
            ("ok_ratio > 5/s", "`/s` is no unit of a ratio; use % or none"),
            ("ok_ratio > 99", "a ratio lies between 0 and 1, or 0% and 100%"),
        ];
        for (expression, message) in table {
            let error = Condition::parse(expression, &STEPS).unwrap_err().to_string();
            let told = error.strip_prefix(&format!("threshold `{expression}`: "));
            assert!(told.is_some_and(|told| told.starts_with(message)), "{expression}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = Condition::parse(&text, &STEPS);
            let _ = Condition::parse(&format!("buy.p99 < {text}"), &STEPS);
            let _ = Condition::parse(&format!("{text} < 5ms"), &STEPS);
        }
    }
}
