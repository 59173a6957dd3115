//! The series in as many parts as a picture can show.

use std::cmp::Ordering;

use crate::record::{Counts, Kind};
use crate::summary::Summary;
use crate::summary::document::{Outage, Second};

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

/// A line through samples of the server. It breaks where nobody saw anything: where a sample is missing, and between
/// the two around an outage.
pub(super) fn sampled(points: Vec<(f64, Option<f64>)>, outages: &[Outage]) -> Vec<(f64, Option<f64>)> {
    let mut usual: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    usual.sort_by(f64::total_cmp);
    let usual = usual.get(usual.len() / 2).copied().unwrap_or(1.0);
    let was_away = |from: f64, to: f64| {
        outages.iter().any(|outage| outage.from_s < to && outage.to_s.is_none_or(|end| end > from))
    };
    let mut with_gaps: Vec<(f64, Option<f64>)> = Vec::with_capacity(points.len());
    for point in points {
        if let Some(&(before, _)) = with_gaps.last()
            && (point.0 - before > usual * 1.6 || was_away(before, point.0))
        {
            with_gaps.push((before, None));
        }
        with_gaps.push(point);
    }
    thinned(&with_gaps)
}

/// As many of `points` as a picture can show: of each group the highest, or a gap where the group has one; the last
/// point stays what it is.
fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
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
    fn a_line_of_samples_breaks_where_nobody_saw_anything() {
        let outage = |from_s, to_s| Outage { from_s, to_s, requests: 9 };
        let samples = |seconds: &[u32]| -> Vec<(f64, Option<f64>)> {
            seconds.iter().map(|&second| (f64::from(second), Some(5.0))).collect()
        };
        let gaps = |seconds: &[u32], outages: &[Outage]| -> Vec<f64> {
            let line = sampled(samples(seconds), outages);
            line.iter().filter(|point| point.1.is_none()).map(|point| point.0).collect()
        };
        let every = [0, 1, 2, 3, 4, 5, 6];
        assert_eq!(gaps(&every, &[]), [0.0; 0]);
        assert_eq!(gaps(&[0, 1, 2, 5, 6], &[]), [2.0], "samples are missing");
        assert_eq!(gaps(&every, &[outage(2.2, Some(2.5))]), [2.0], "shorter than a sample");
        assert_eq!(gaps(&every, &[outage(2.0, Some(4.0))]), [2.0, 3.0]);
        assert_eq!(gaps(&[0, 1, 4, 5, 6], &[outage(1.5, Some(3.5))]), [1.0], "one gap for both reasons");
        assert_eq!(gaps(&every, &[outage(5.5, None)]), [5.0], "it never came back");
    }

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
