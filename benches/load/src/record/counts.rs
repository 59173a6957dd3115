//! The latencies of one second, small enough to keep every second of a long run.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::histogram::{self, HistogramError, Latencies};

/// Latencies in microseconds with how often each came, ascending. A histogram of a second has some hundred values in
/// a few thousand slots; only those values are kept. In JSON it is an HdrHistogram V2 of two digits, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(u32, u64)>);

impl Counts {
    /// How many latencies.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|&(_, count)| count).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each value (microseconds) with its count, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|&(value, count)| (u64::from(value), count))
    }

    /// The latency in microseconds that a share of `quantile` (0 to 1) of all stays within; `None` of no latencies.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let wanted = ((self.len() as f64 * quantile).ceil() as u64).max(1);
        let mut passed = 0;
        let reached = self.0.iter().find(|&&(_, count)| {
            passed += count;
            passed >= wanted
        });
        reached.map(|&(value, _)| u64::from(value))
    }

    /// Adds every latency of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let own = std::mem::take(&mut self.0);
        let mut merged = Vec::with_capacity(own.len() + other.0.len());
        let (mut left, mut right) = (own.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a, x)), Some(&&(b, y))) = (left.peek(), right.peek()) {
            merged.push(if a == b {
                (a, x + y)
            } else if a < b {
                (a, x)
            } else {
                (b, y)
            });
            if a <= b {
                left.next();
            }
            if b <= a {
                right.next();
            }
        }
        merged.extend(left);
        merged.extend(right);
        self.0 = merged;
    }

    /// Adds every latency of `histogram`.
    pub(super) fn absorb(&mut self, histogram: &Latencies) {
        if !histogram.is_empty() {
            self.merge(&Self::from(histogram));
        }
    }

    fn to_histogram(&self) -> Latencies {
        let mut histogram = histogram::of_second();
        for (value, count) in self.iter() {
            histogram.saturating_record_n(value, count);
        }
        histogram
    }
}

impl From<&Latencies> for Counts {
    fn from(histogram: &Latencies) -> Self {
        let recorded = histogram.iter_recorded();
        Self(
            recorded
                .map(|step| {
                    let value = step.value_iterated_to().min(histogram::LONGEST_US);
                    (u32::try_from(value).unwrap_or(u32::MAX), step.count_at_value())
                })
                .collect(),
        )
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = if self.is_empty() { String::new() } else { histogram::encode(&self.to_histogram()) };
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let histogram = histogram::decode(&text);
        histogram
            .map(|histogram| Self::from(&histogram))
            .map_err(|error: HistogramError| serde::de::Error::custom(format_args!("a histogram: {error}")))
    }
}
