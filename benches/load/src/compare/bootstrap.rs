//! Confidence intervals from the seconds of two runs.
//!
//! Seconds that follow each other are alike (a queue that is long now is long in a second), so they are drawn in
//! blocks: the circular block bootstrap of Politis and Romano (1992), blocks of about the cube root of the number of
//! seconds, which is the order that Künsch (1989) finds best for means. Runs of one plan are drawn *paired*, the same
//! seconds of both: a second of the spike meets the same second of the spike, and the curve of arrivals is no noise.
//! Percentiles of a draw are those of its merged histograms. The interval is the middle 95 % of the draws.

use std::collections::BTreeMap;

use crate::record::Counts;
use crate::rng::Rng;

/// Draws of each comparison.
pub(super) const DRAWS: usize = 1_000;
/// More seconds than this are drawn in equal groups of a few.
const MOST_SAMPLES: usize = 300;

/// What one second, or a few, of one run holds of one step or of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    /// Requests that ended.
    pub(super) answered: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    pub(super) latency: Counts,
}

impl Sample {
    pub(super) fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.answered += other.answered;
        self.failed += other.failed;
        self.latency.merge(&other.latency);
    }
}

/// The figures of a set of seconds; `None` of those that nothing was recorded for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    /// Requests a second.
    pub(super) rate: Option<f64>,
    /// Median latency, microseconds.
    pub(super) p50: Option<f64>,
    /// 99th percentile, microseconds.
    pub(super) p99: Option<f64>,
    /// Share of the requests that failed.
    pub(super) failed: Option<f64>,
}

/// The samples of one run, ready to be drawn from.
pub(super) struct Series {
    samples: Vec<(f64, u64, u64)>,
    /// Each sample's latencies: index into `values`, and count.
    latencies: Vec<Vec<(usize, u64)>>,
    /// Every latency of the run, ascending.
    values: Vec<u64>,
}

impl Series {
    pub(super) fn new(samples: &[Sample]) -> Self {
        let values: BTreeMap<u64, usize> =
            samples.iter().flat_map(|sample| sample.latency.iter()).map(|(value, _)| (value, 0)).collect();
        let values: Vec<u64> = values.into_keys().collect();
        let place = |value| values.partition_point(|own| *own < value);
        let latencies = samples
            .iter()
            .map(|sample| sample.latency.iter().map(|(value, count)| (place(value), count)).collect());
        Self {
            samples: samples.iter().map(|sample| (sample.seconds, sample.answered, sample.failed)).collect(),
            latencies: latencies.collect(),
            values,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The figures of all samples.
    pub(super) fn figures(&self) -> Figures {
        self.drawn(&vec![1; self.samples.len()])
    }

    /// The figures of the samples, each as often as `times` says.
    pub(super) fn drawn(&self, times: &[u64]) -> Figures {
        let (mut seconds, mut answered, mut failed) = (0.0, 0, 0);
        let mut counts = vec![0_u64; self.values.len()];
        for ((sample, latencies), &times) in self.samples.iter().zip(&self.latencies).zip(times) {
            if times == 0 {
                continue;
            }
            seconds += sample.0 * times as f64;
            answered += sample.1 * times;
            failed += sample.2 * times;
            latencies.iter().for_each(|&(place, count)| counts[place] += count * times);
        }
        let measured: u64 = counts.iter().sum();
        let quantile = |quantile| self.quantile(&counts, measured, quantile);
        Figures {
            rate: (seconds > 0.0).then(|| answered as f64 / seconds),
            p50: quantile(0.5),
            p99: quantile(0.99),
            failed: (answered > 0).then(|| failed as f64 / answered as f64),
        }
    }

    fn quantile(&self, counts: &[u64], measured: u64, quantile: f64) -> Option<f64> {
        let wanted = ((measured as f64 * quantile).ceil() as u64).max(1);
        let mut passed = 0;
        let place = counts.iter().position(|count| {
            passed += count;
            passed >= wanted
        });
        place.map(|place| self.values[place] as f64)
    }
}

/// Samples of equal groups of seconds, few enough to draw from.
pub(super) fn grouped(seconds: &[Sample]) -> Vec<Sample> {
    let width = seconds.len().div_ceil(MOST_SAMPLES).max(1);
    // A group that is not full would weigh as much as a full one.
    let groups = seconds.chunks_exact(width).map(|group| {
        let mut sum = Sample::default();
        group.iter().for_each(|second| sum.merge(second));
        sum
    });
    groups.collect()
}

/// Length of a block, in samples.
pub(super) fn block(samples: usize) -> usize {
    ((samples as f64).cbrt().round() as usize).max(1)
}

/// The figures of both runs for every draw.
pub(super) fn draws(a: &Series, b: &Series, paired: bool, rng: &mut Rng) -> Vec<(Figures, Figures)> {
    let draw = |_| {
        let of_a = drawn_times(a.len(), rng);
        if paired {
            return (a.drawn(&of_a), b.drawn(&of_a));
        }
        let of_b = drawn_times(b.len(), rng);
        (a.drawn(&of_a), b.drawn(&of_b))
    };
    (0..DRAWS).map(draw).collect()
}

/// How often each of `samples` is drawn when blocks are drawn until there are as many again.
fn drawn_times(samples: usize, rng: &mut Rng) -> Vec<u64> {
    let mut times = vec![0; samples];
    let length = block(samples);
    let mut left = samples;
    while left > 0 {
        let start = rng.below(samples as u64) as usize;
        for offset in 0..length.min(left) {
            times[(start + offset) % samples] += 1;
        }
        left = left.saturating_sub(length);
    }
    times
}

/// The middle 95 % of `draws`; `None` of fewer draws than can tell.
pub(super) fn interval(mut draws: Vec<f64>) -> Option<(f64, f64)> {
    if draws.len() < DRAWS / 2 {
        return None;
    }
    draws.sort_by(f64::total_cmp);
    let at = |quantile: f64| draws[((draws.len() - 1) as f64 * quantile).round() as usize];
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn as_many_samples_are_drawn_as_there_are_and_all_alike() {
        let mut rng = Rng::new(1);
        for samples in [0, 1, 2, 7, 60, 300] {
            let mut sums = vec![0; samples];
            for _ in 0..400 {
                let times = drawn_times(samples, &mut rng);
                assert_eq!(times.iter().sum::<u64>(), samples as u64);
                sums.iter_mut().zip(times).for_each(|(sum, times)| *sum += times);
            }
            assert!(sums.iter().all(|sum| (250..600).contains(sum)), "{sums:?}");
        }
    }

    /// The interval of a mean is as wide as the textbook says: 2 * 1.96 * sigma / sqrt(n).
    #[test]
    fn an_interval_of_a_mean_has_the_width_that_it_should_have() {
        let mut rng = Rng::new(7);
        let samples: Vec<Sample> = (0..100)
            .map(|_| Sample { seconds: 1.0, answered: 900 + rng.below(201), ..Sample::default() })
            .collect();
        let series = Series::new(&samples);
        let draws = draws(&series, &series, false, &mut rng);
        let (low, high) = interval(draws.iter().map(|(a, _)| a.rate.unwrap()).collect()).unwrap();
        let sigma = (201.0_f64 * 201.0 / 12.0).sqrt();
        let textbook = 2.0 * 1.96 * sigma / 10.0;
        assert!((0.7..1.4).contains(&((high - low) / textbook)), "{low} {high} {textbook}");
        assert!((low..high).contains(&series.figures().rate.unwrap()));
        let paired = super::draws(&series, &series, true, &mut rng);
        assert!(paired.iter().all(|(a, b)| a == b), "a run differs from itself");
    }

    #[test]
    fn seconds_of_a_long_run_are_drawn_in_groups() {
        let second = Sample { seconds: 1.0, answered: 3, failed: 1, latency: Counts::default() };
        let groups = grouped(&vec![second; 3_601]);
        assert_eq!(groups.len(), 277);
        assert_eq!((groups[0].seconds, groups[0].answered, groups[0].failed), (13.0, 39, 13));
        assert_eq!(grouped(&[]).len(), 0);
    }
}
