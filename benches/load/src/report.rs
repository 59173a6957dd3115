//! What the shoppers saw: throughput, latency percentiles a step, answers by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::client::{Attempt, ClientError};

/// Longest latency told apart, in microseconds; longer ones count as this.
const LONGEST_US: u64 = 60_000_000;
/// Three digits: percentiles are off by at most 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `POST /orders`: the one-request purchase.
    Buy,
    /// `POST /carts`.
    OpenCart,
    /// `POST /carts/{id}/items`.
    AddItem,
    /// `POST /carts/{id}/checkout`.
    Checkout,
    /// `POST /payments/process`.
    Pay,
    /// `POST /orders/{id}/cancel`.
    Cancel,
    /// `POST /inventory/{sku}/adjustments`.
    Adjust,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Buy => "buy",
            Self::OpenCart => "open cart",
            Self::AddItem => "add item",
            Self::Checkout => "checkout",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::Adjust => "adjust stock",
        })
    }
}

/// Latencies and answers of one step.
#[derive(Clone, Debug)]
struct Tally {
    /// Microseconds from request to answer; lost requests are not in it.
    latency_us: Histogram<u64>,
    /// Answers by kind (`201`, `409 out_of_stock`, `lost`).
    answers: BTreeMap<String, u64>,
}

/// The counts of a run so far or of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Time from the first shopper's start to the last one's end.
    pub elapsed: Duration,
    /// Orders acknowledged.
    pub orders: u64,
    /// Purchases refused with 409.
    pub refused: u64,
    /// Requests that got no answer and were sent again.
    pub lost: u64,
    steps: BTreeMap<Step, Tally>,
}

impl Report {
    /// Counts one try of a request.
    pub fn record(&mut self, step: Step, attempt: &Attempt<'_>) {
        let tally = self.steps.entry(step).or_insert_with(Tally::new);
        let kind = match attempt.outcome {
            Ok(answer) => {
                tally.latency_us.saturating_record(microseconds(attempt.latency));
                answer.kind()
            }
            Err(error) => {
                self.lost += 1;
                loss(error).to_owned()
            }
        };
        *tally.answers.entry(kind).or_default() += 1;
    }

    /// Acknowledged orders a second over the whole run.
    pub fn orders_per_second(&self) -> f64 {
        self.orders as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Latency at `percentile` (0-100) of one step; zero if the step never was answered.
    pub fn latency(&self, step: Step, percentile: f64) -> Duration {
        let value = self.steps.get(&step).map_or(0, |tally| tally.latency_us.value_at_percentile(percentile));
        Duration::from_micros(value)
    }

    /// Latency at `percentile` of the steps that place an order.
    pub fn purchase_latency(&self, percentile: f64) -> Duration {
        self.latency(Step::Buy, percentile).max(self.latency(Step::Checkout, percentile))
    }

    /// How often `step` was answered with `kind`.
    pub fn answers(&self, step: Step, kind: &str) -> u64 {
        self.steps.get(&step).and_then(|tally| tally.answers.get(kind)).copied().unwrap_or(0)
    }

    /// Every kind of answer that `step` got, with its count.
    pub fn kinds(&self, step: Step) -> BTreeMap<String, u64> {
        self.steps.get(&step).map(|tally| tally.answers.clone()).unwrap_or_default()
    }
}

impl Tally {
    #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram accepts")]
    fn new() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LONGEST_US, SIGNIFICANT_DIGITS)
            .expect("a histogram of constant bounds");
        Self { latency_us, answers: BTreeMap::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} orders in {:.1} s ({:.0} a second), {} refused, {} requests lost and sent again",
            self.orders,
            self.elapsed.as_secs_f64(),
            self.orders_per_second(),
            self.refused,
            self.lost
        )?;
        writeln!(
            f,
            "{:<13}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "step (ms)", "answers", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (step, tally) in &self.steps {
            write!(f, "{step:<13}{:>9}", tally.latency_us.len())?;
            for percentile in [50.0, 90.0, 99.0, 99.9, 100.0] {
                let latency = tally.latency_us.value_at_percentile(percentile);
                write!(f, "{:>9.2}", latency as f64 / 1000.0)?;
            }
            writeln!(f)?;
        }
        for (step, tally) in &self.steps {
            let kinds: Vec<String> =
                tally.answers.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
            writeln!(f, "{step:<13}{}", kinds.join(", "))?;
        }
        Ok(())
    }
}

fn microseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}

fn loss(error: &ClientError) -> &'static str {
    match error {
        ClientError::Connect { .. } => "no connection",
        ClientError::Unanswered(_) => "no answer",
        _ => "connection lost",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::message::Answer;

    fn answer(status: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn latencies_and_answers_are_counted_by_step_and_kind() {
        let mut report = Report::default();
        let (sold, sold_out) = (answer(201, "{}"), answer(409, r#"{"code":"out_of_stock"}"#));
        for (milliseconds, outcome) in [(1, &sold), (3, &sold), (100, &sold_out)] {
            let latency = Duration::from_millis(milliseconds);
            report.record(Step::Buy, &Attempt { latency, outcome: Ok(outcome) });
        }
        let lost = ClientError::Unanswered(Duration::from_secs(30));
        report.record(Step::Buy, &Attempt { latency: Duration::from_secs(30), outcome: Err(&lost) });

        assert_eq!(report.answers(Step::Buy, "201"), 2);
        assert_eq!(report.answers(Step::Buy, "409 out_of_stock"), 1);
        assert_eq!(report.answers(Step::Buy, "no answer"), 1);
        assert_eq!(report.lost, 1);
        assert_eq!(report.latency(Step::Buy, 50.0).as_millis(), 3);
        assert_eq!(report.latency(Step::Buy, 100.0).as_millis(), 100);
        assert_eq!(report.latency(Step::Checkout, 50.0), Duration::ZERO);
        let text = report.to_string();
        assert!(text.contains("409 out_of_stock: 1") && text.contains("p99.9"), "{text}");
    }
}
