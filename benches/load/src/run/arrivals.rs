//! When flows start in an open loop.
//!
//! The n-th flow is due when the area under the curve of rates reaches a number: n at equal distances, or the n-th
//! point of a Poisson process of rate 1 (the time-rescaling theorem: mapped back through the area, that is a Poisson
//! process of the curve's rate). Several shares (threads, generators) split a run: each takes every k-th flow of the
//! equal distances, or a process of a k-th of the rate, whose sum is again Poisson.

use std::time::Duration;

use crate::rng::Rng;
use crate::scenario::curve::Curve;
use crate::scenario::generator::unit;
use crate::scenario::model;

/// One of several equal shares of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Counted from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Share {
    /// The number, over all shares, of the n-th flow of this one.
    pub fn flow(self, n: u64) -> u64 {
        n * u64::from(self.of) + u64::from(self.index)
    }

    /// How many of `whole` fall to this share.
    pub fn of_whole(self, whole: usize) -> usize {
        let (of, index) = (self.of as usize, self.index as usize);
        whole / of + usize::from(index < whole % of)
    }
}

/// The starts of one share, in order.
#[derive(Debug)]
pub struct Starts<'a> {
    curve: &'a Curve,
    share: Share,
    /// `None` is equal distances.
    rng: Option<Rng>,
    /// Flows of the whole run due up to the last start.
    due: f64,
    drawn: u64,
}

impl<'a> Starts<'a> {
    /// The starts of `share` under `seed`, which all shares have in common.
    pub fn new(curve: &'a Curve, arrivals: model::Arrivals, share: Share, seed: u64) -> Self {
        let rng = match arrivals {
            model::Arrivals::Constant => None,
            model::Arrivals::Poisson => {
                let mut seeds = Rng::new(seed);
                for _ in 0..share.index {
                    seeds.next_u64();
                }
                Some(seeds.fork())
            }
        };
        Self { curve, share, rng, due: 0.0, drawn: 0 }
    }
}

impl Iterator for Starts<'_> {
    /// The number of the flow over all shares, and when it is due after the start of the load.
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        let flow = self.share.flow(self.drawn);
        self.due = match &mut self.rng {
            None => flow as f64 + 0.5,
            Some(rng) => self.due - (1.0 - unit(rng)).ln() * f64::from(self.share.of),
        };
        self.drawn += 1;
        Some((flow, self.curve.when(self.due)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scenario::curve::Point;

    const ALONE: Share = Share { index: 0, of: 1 };

    fn spike() -> Curve {
        let points = [(0, 0.0), (10, 100.0), (10, 1000.0), (20, 1000.0), (30, 0.0)];
        let points = points.map(|(at, rate)| Point { at: Duration::from_secs(at), rate });
        Curve::new(points.to_vec()).unwrap()
    }

    fn starts(arrivals: model::Arrivals, share: Share, seed: u64) -> Vec<(u64, Duration)> {
        Starts::new(&spike(), arrivals, share, seed).collect()
    }

    fn within(starts: &[(u64, Duration)], from: u64, to: u64) -> usize {
        let seconds = Duration::from_secs(from)..Duration::from_secs(to);
        starts.iter().filter(|(_, at)| seconds.contains(at)).count()
    }

    #[test]
    fn equal_distances_give_exact_counts() {
        let starts = starts(model::Arrivals::Constant, ALONE, 0);
        assert_eq!(starts.len(), 15_500);
        assert_eq!(within(&starts, 0, 10), 500);
        assert_eq!(within(&starts, 10, 20), 10_000);
        assert_eq!(within(&starts, 20, 31), 5_000);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let whole = starts(model::Arrivals::Constant, ALONE, 0);
        let shares = (0..3).flat_map(|index| starts(model::Arrivals::Constant, Share { index, of: 3 }, 0));
        let mut shares: Vec<_> = shares.collect();
        shares.sort();
        assert_eq!(shares, whole);
        assert_eq!((0..3).map(|index| Share { index, of: 3 }.of_whole(128)).sum::<usize>(), 128);
    }

    #[test]
    fn poisson_repeats_with_its_seed_and_differs_without() {
        let one = starts(model::Arrivals::Poisson, ALONE, 7);
        assert_eq!(one, starts(model::Arrivals::Poisson, ALONE, 7));
        assert_ne!(one, starts(model::Arrivals::Poisson, ALONE, 8));
        assert!(one.is_sorted());
    }

    #[test]
    fn poisson_has_the_mean_and_the_variance_of_poisson() {
        let starts: Vec<_> =
            (0..4).flat_map(|index| starts(model::Arrivals::Poisson, Share { index, of: 4 }, 11)).collect();
        // 10,000 are expected in the spike; five standard deviations are 500.
        let spike = within(&starts, 10, 20);
        assert!((9_500..10_500).contains(&spike), "{spike}");
        // Hundredths of a second with 10 expected in each: the variance is the mean.
        let mut counts = vec![0_i64; 1000];
        for (_, at) in starts.iter().filter(|(_, at)| (10..20).contains(&at.as_secs())) {
            counts[(at.as_millis() as usize - 10_000) / 10] += 1;
        }
        let mean = counts.iter().sum::<i64>() as f64 / 1000.0;
        let variance = counts.iter().map(|n| (*n as f64 - mean).powi(2)).sum::<f64>() / 999.0;
        assert!((0.8..1.2).contains(&(variance / mean)), "{variance} {mean}");
    }
}
