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
    /// How long it took.
    pub elapsed: Duration,
    /// The time that the load generator itself spent on a core.
    pub generator_cpu: Duration,
    latencies: Histogram<u64>,
}

impl Default for Outcome {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "three digits up to a minute are always possible")]
        let latencies = Histogram::new_with_max(LONGEST_US, 3).expect("a histogram");
        let (elapsed, generator_cpu) = Default::default();
        Self { statuses: BTreeMap::new(), elapsed, generator_cpu, latencies }
    }
}

impl Outcome {
    pub(crate) fn note(&mut self, status: u16, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.latencies.saturating_record(latency.as_micros() as u64);
    }

    /// All answers.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.answers() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that so much of all answers kept, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }
}
