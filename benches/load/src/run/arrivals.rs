//! When flows start in an open loop.
//!
//! The n-th flow is due when the area under the curve of rates reaches a number: n at equal distances, or the n-th
//! point of a Poisson process of rate 1 (the time-rescaling theorem: mapped back through the area, that is a Poisson
//! process of the curve's rate). Several parts (threads, generators) split a run: each takes every k-th flow of the
//! equal distances, or a process of a k-th of the rate, whose sum is again Poisson.

use std::time::Duration;

use crate::rng::Rng;
use crate::scenario::curve::Curve;
use crate::scenario::generator::{Part, unit};
use crate::scenario::model;

/// The starts of one part, in order.
#[derive(Debug)]
pub struct Starts<'a> {
    curve: &'a Curve,
    part: Part,
    /// `None` is equal distances.
    rng: Option<Rng>,
    /// Flows of the whole run due up to the last start.
    due: f64,
    drawn: u64,
}

impl<'a> Starts<'a> {
    /// The starts of `part` under `seed`, which all parts have in common.
    pub fn new(curve: &'a Curve, arrivals: model::Arrivals, part: Part, seed: u64) -> Self {
        let rng = match arrivals {
            model::Arrivals::Constant => None,
            model::Arrivals::Poisson => {
                let mut seeds = Rng::new(seed);
                for _ in 0..part.index {
                    seeds.next_u64();
                }
                Some(seeds.fork())
            }
        };
        Self { curve, part, rng, due: 0.0, drawn: 0 }
    }
}

impl Iterator for Starts<'_> {
    /// The number of the flow over all parts, and when it is due after the start of the load.
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        let flow = self.part.number(self.drawn);
        self.due = match &mut self.rng {
            None => flow as f64 + 0.5,
            Some(rng) => self.due - (1.0 - unit(rng)).ln() * f64::from(self.part.of),
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

    const ALONE: Part = Part { index: 0, of: 1 };

    fn spike() -> Curve {
        let points = [(0, 0.0), (10, 100.0), (10, 1000.0), (20, 1000.0), (30, 0.0)];
        let points = points.map(|(at, rate)| Point { at: Duration::from_secs(at), rate });
        Curve::new(points.to_vec()).unwrap()
    }

    fn starts(arrivals: model::Arrivals, part: Part, seed: u64) -> Vec<(u64, Duration)> {
        Starts::new(&spike(), arrivals, part, seed).collect()
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
    fn parts_add_up_to_the_whole() {
        let whole = starts(model::Arrivals::Constant, ALONE, 0);
        let parts = (0..3).flat_map(|index| starts(model::Arrivals::Constant, Part { index, of: 3 }, 0));
        let mut parts: Vec<_> = parts.collect();
        parts.sort();
        assert_eq!(parts, whole);
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
            (0..4).flat_map(|index| starts(model::Arrivals::Poisson, Part { index, of: 4 }, 11)).collect();
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
