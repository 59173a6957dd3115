//! Histograms of latencies: their bounds, and the text form in which they travel.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

/// Latencies in microseconds.
pub type Latencies = Histogram<u64>;

/// Longest latency told apart, in microseconds (ten minutes); longer ones count as this.
pub(crate) const LONGEST_US: u64 = 600_000_000;
/// Three digits: percentiles of the run are off by at most 0.1 %.
const DIGITS_OF_RUN: u8 = 3;
/// Two digits: percentiles of one second are off by at most 1 %, and a second's histogram is a few hundred bytes.
const DIGITS_OF_SECOND: u8 = 2;

/// Why a text is not a histogram.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// The text is not base64.
    #[error("not base64")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are not an HdrHistogram V2.
    #[error("not an HdrHistogram V2: {0}")]
    Form(String),
}

pub(crate) fn of_run() -> Latencies {
    with_digits(DIGITS_OF_RUN)
}

pub(crate) fn of_second() -> Latencies {
    with_digits(DIGITS_OF_SECOND)
}

#[expect(clippy::expect_used, reason = "the bounds are constants that the histogram accepts")]
fn with_digits(digits: u8) -> Latencies {
    Histogram::new_with_bounds(1, LONGEST_US, digits).expect("a histogram of constant bounds")
}

/// Adds `other` to `sum`; what lies beyond the bounds of `sum` counts as its longest.
pub(crate) fn add(sum: &mut Latencies, other: &Latencies) {
    if sum.add(other).is_err() {
        for step in other.iter_recorded() {
            sum.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
    }
}

/// HdrHistogram V2 in base64, as the tools of other languages read it.
#[expect(clippy::expect_used, reason = "writing to a Vec does not fail, and our bounds fit the form")]
pub(crate) fn encode(histogram: &Latencies) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram of our own bounds has a V2 form");
    STANDARD.encode(bytes)
}

/// The histogram in `text`: the V2 form, or the V2 form deflated.
pub(crate) fn decode(text: &str) -> Result<Latencies, HistogramError> {
    let bytes = STANDARD.decode(text)?;
    // The deserializer would set aside whatever length the header claims, up to 4 GiB.
    let claimed = bytes.get(4..8).and_then(|length| length.try_into().ok()).map_or(0, u32::from_be_bytes);
    if claimed as usize > bytes.len() {
        return Err(HistogramError::Form("it ends before the length in its header".to_owned()));
    }
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| HistogramError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_text_form_keeps_every_count() {
        for mut histogram in [of_run(), of_second()] {
            for value in [0, 1, 900, 2_000, 2_001, 1_000_000, LONGEST_US] {
                histogram.record_n(value, value + 1).unwrap();
            }
            assert_eq!(decode(&encode(&histogram)).unwrap(), histogram);
        }
        assert_eq!(decode(&encode(&of_run())).unwrap(), of_run());
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(matches!(decode("%"), Err(HistogramError::Base64(_))));
        for bytes in [&b""[..], b"HIST", &[0x1c, 0x84, 0x93, 0x13, 0xff, 0xff, 0xff, 0xff]] {
            let text = STANDARD.encode(bytes);
            assert!(matches!(decode(&text), Err(HistogramError::Form(_))), "{bytes:?}");
        }
    }

    #[test]
    fn adding_what_lies_beyond_counts_as_the_longest() {
        let mut wide = Histogram::new_with_bounds(1, LONGEST_US * 100, 3).unwrap();
        wide.record(LONGEST_US * 50).unwrap();
        let mut sum = of_run();
        add(&mut sum, &wide);
        assert_eq!(sum.len(), 1);
        assert!(sum.max() >= LONGEST_US, "{}", sum.max());
    }
}
