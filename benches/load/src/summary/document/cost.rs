//! Latencies, and what the load cost the generator.

use serde::{Deserialize, Serialize};

/// What the load cost the generator, all its worker threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds of CPU while flows started, in the kernel too.
    pub cpu_s: f64,
    /// Processors that this kept busy, on average.
    pub cores: f64,
    /// Requests that went out for each second of CPU; `None` if the clock of the threads did not move.
    pub requests_per_core_s: Option<f64>,
    /// How much later than due flows were started, microseconds, without any wait for a connection.
    pub start_lateness: Percentiles,
}

/// How much later than intended requests went out, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// Percentiles.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// HdrHistogram V2 in base64, three digits, microseconds.
    pub histogram: String,
}

/// Latencies in microseconds: the value that so many per cent of the requests stayed within. A percentile is `None`
/// unless at least one request lies beyond it (p99 takes 100 requests): of fewer it would be the longest by another
/// name. All are `None` of no requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<u64>,
    /// 75 %.
    pub p75: Option<u64>,
    /// 90 %.
    pub p90: Option<u64>,
    /// 95 %.
    pub p95: Option<u64>,
    /// 99 %.
    pub p99: Option<u64>,
    /// 99.9 %.
    pub p99_9: Option<u64>,
    /// 99.99 %.
    pub p99_99: Option<u64>,
    /// The longest.
    pub max: Option<u64>,
    /// The mean.
    pub mean: Option<f64>,
}
