//! What a load was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency told apart, in microseconds; a longer one counts as this.
const LONGEST_US: u64 = 60_000_000;

/// Answers over a while.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How many by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Units of work that began.
    pub begun: u64,
    /// Answers 429 and 503 that do not say when to come again.
    pub blunt: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The time that the load generator itself spent on a core.
    pub generator_cpu: Duration,
    latencies: Histogram<u64>,
    /// Of what succeeded, from its sending.
    served: Histogram<u64>,
    /// The same of answers 429 and 503.
    refused: Histogram<u64>,
}

impl Default for Outcome {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "three digits up to a minute are always possible")]
        let latencies = Histogram::new_with_max(LONGEST_US, 3).expect("a histogram");
        let (elapsed, generator_cpu) = Default::default();
        let (served, refused) = (latencies.clone(), latencies.clone());
        let statuses = BTreeMap::new();
        Self { statuses, begun: 0, blunt: 0, elapsed, generator_cpu, latencies, served, refused }
    }
}

impl Outcome {
    /// An answer, so long after its request should have been sent, and after it was.
    pub(crate) fn note(&mut self, status: u16, latency: Duration, since_sent: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.latencies.saturating_record(latency.as_micros() as u64);
        match status {
            200..300 => self.served.saturating_record(since_sent.as_micros() as u64),
            429 | 503 => self.refused.saturating_record(since_sent.as_micros() as u64),
            _ => {}
        }
    }

    /// Adds what came after it.
    pub(crate) fn add(&mut self, later: &Self) {
        for (status, count) in &later.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.begun += later.begun;
        self.blunt += later.blunt;
        self.elapsed += later.elapsed;
        self.generator_cpu += later.generator_cpu;
        // Both have the same bounds, so nothing is lost.
        let _added = (
            self.latencies.add(&later.latencies),
            self.served.add(&later.served),
            self.refused.add(&later.refused),
        );
    }

    /// All answers.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Answers 429 and 503, after which one may come again.
    pub fn refused(&self) -> u64 {
        self.with_status(429) + self.with_status(503)
    }

    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.answers() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time from sending to answer that so much of what succeeded kept, in milliseconds.
    pub fn served_ms(&self, quantile: f64) -> f64 {
        self.served.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The same of answers 429 and 503.
    pub fn refused_ms(&self, quantile: f64) -> f64 {
        self.refused.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The latency that so much of all answers kept, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }
}
