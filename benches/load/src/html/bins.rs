//! The series in as many parts as a picture can show.

use std::cmp::Ordering;

use crate::record::{Counts, Kind};
use crate::summary::Summary;
use crate::summary::document::Second;

/// A picture has room for about this many points.
const MOST: usize = 240;

/// Some seconds of the run together.
pub(super) struct Bin {
    /// Where it begins and ends, in seconds of the run.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Planned arrivals a second; `None` of a closed loop.
    pub(super) planned: Option<f64>,
    /// Requests that ended a second, by [`Kind`].
    pub(super) rates: [f64; 4],
    /// Latencies in microseconds of those that were waited for; `None` of none.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    /// The most requests on the way at the end of one of the seconds.
    pub(super) in_flight: u64,
}

impl Bin {
    /// Its middle, where its figures are drawn.
    pub(super) fn middle(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }

    /// Requests that ended a second.
    pub(super) fn rate(&self) -> f64 {
        self.rates.iter().sum()
    }
}

/// The seconds of `summary`, several together when there are more than a picture can show. A last second that the
/// run only touched is left out: it would look like a fall.
pub(super) fn bins(summary: &Summary) -> Vec<Bin> {
    let full = (summary.run.duration_s + summary.run.drain_s + 0.05).floor().max(1.0) as usize;
    let seconds = &summary.seconds[..summary.seconds.len().min(full)];
    seconds.chunks(seconds.len().div_ceil(MOST).max(1)).filter_map(bin).collect()
}

/// As many of `points` as a picture can show: of each group the highest, or a gap where the group has one; the last
/// point stays what it is.
pub(super) fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let width = points.len().div_ceil(MOST).max(1);
    if width == 1 {
        return points.to_vec();
    }
    let highest = |group: &[(f64, Option<f64>)]| {
        let gap = group.iter().find(|point| point.1.is_none());
        gap.or_else(|| group.iter().max_by(|a, b| a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal))).copied()
    };
    points.chunks(width).filter_map(highest).chain(points.last().copied()).collect()
}

fn bin(seconds: &[Second]) -> Option<Bin> {
    let (first, last) = (seconds.first()?, seconds.last()?);
    let width = seconds.len() as f64;
    let mut latency = Counts::default();
    seconds.iter().flat_map(|second| &second.steps).for_each(|step| latency.merge(&step.histogram));
    let rate = |kind| seconds.iter().map(|second| second.count_of(kind)).sum::<u64>() as f64 / width;
    Some(Bin {
        from: f64::from(first.second),
        to: f64::from(last.second) + 1.0,
        planned: seconds.iter().map(|second| second.planned).sum::<Option<f64>>().map(|sum| sum / width),
        rates: Kind::ALL.map(rate),
        p50: latency.quantile(0.5).map(|latency| latency as f64),
        p99: latency.quantile(0.99).map(|latency| latency as f64),
        in_flight: seconds.iter().map(|second| second.in_flight).max().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_keeps_its_peaks_gaps_and_end() {
        let mut points: Vec<_> = (0..2_400).map(|second| (f64::from(second), Some(1.0))).collect();
        points[777].1 = Some(9.0);
        points[1_500].1 = None;
        points[2_399].1 = Some(0.5);
        let thin = thinned(&points);
        assert_eq!(thin.len(), 241);
        assert!(thin.contains(&(777.0, Some(9.0))) && thin.contains(&(1_500.0, None)));
        assert_eq!(thin.last(), Some(&(2_399.0, Some(0.5))));
        assert_eq!(thinned(&points[..200]), points[..200]);
    }
}
