//! The rate at which flows should start, over time.

use std::time::Duration;

/// Flows a second; no generator starts as many.
const MOST_RATE: f64 = 1e6;

/// A rate at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Since the start of the load.
    pub at: Duration,
    /// Flows a second.
    pub rate: f64,
}

/// A rate that runs in straight lines from point to point; two points at one moment are a jump. It ends with the
/// last point.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
    /// Flows due until each point: the area under the curve.
    due: Vec<f64>,
}

impl Curve {
    /// The curve through `points`.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn new(points: Vec<Point>) -> Result<Self, String> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err("a curve has at least two points".to_owned());
        };
        if first.at != Duration::ZERO {
            return Err("a curve begins at 0s".to_owned());
        }
        if last.at == Duration::ZERO {
            return Err("a curve takes longer than no time".to_owned());
        }
        if points.windows(2).any(|pair| pair[1].at < pair[0].at) {
            return Err("the points of a curve come in order of time".to_owned());
        }
        if points.iter().any(|point| !(0.0..=MOST_RATE).contains(&point.rate)) {
            return Err(format!("a rate is a number of flows a second, from 0 to {MOST_RATE}"));
        }
        let mut due = vec![0.0];
        for pair in points.windows(2) {
            let area = (pair[0].rate + pair[1].rate) / 2.0 * (pair[1].at - pair[0].at).as_secs_f64();
            due.push(due.last().copied().unwrap_or(0.0) + area);
        }
        let curve = Self { points, due };
        if curve.total() == 0.0 { Err("no flow ever starts on this curve".to_owned()) } else { Ok(curve) }
    }

    /// A rate that never changes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn flat(rate: f64, duration: Duration) -> Result<Self, String> {
        Self::new(vec![Point { at: Duration::ZERO, rate }, Point { at: duration, rate }])
    }

    /// The same with every rate times `rates` and every moment times `times`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn scaled(&self, rates: f64, times: f64) -> Result<Self, String> {
        let points = self.points.iter();
        Self::new(points.map(|p| Point { at: p.at.mul_f64(times), rate: p.rate * rates }).collect())
    }

    /// Its points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How long it takes.
    pub fn duration(&self) -> Duration {
        self.points.last().map_or(Duration::ZERO, |point| point.at)
    }

    /// Flows in all.
    pub fn total(&self) -> f64 {
        self.due.last().copied().unwrap_or(0.0)
    }

    /// The rate at a moment, flows a second; nothing after the end.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let end = self.points.partition_point(|point| point.at <= at);
        let (Some(from), Some(to)) = (self.points.get(end.wrapping_sub(1)), self.points.get(end)) else {
            return 0.0;
        };
        let passed = (at - from.at).as_secs_f64() / (to.at - from.at).as_secs_f64();
        from.rate + (to.rate - from.rate) * passed
    }

    /// When `flows` flows are due; none if that is beyond the end.
    pub fn when(&self, flows: f64) -> Option<Duration> {
        if flows > self.total() {
            return None;
        }
        let end = self.due.partition_point(|due| *due < flows).max(1);
        let (from, to) = (self.points.get(end - 1)?, self.points.get(end)?);
        let width = (to.at - from.at).as_secs_f64();
        let (rate, slope) = (from.rate, if width > 0.0 { (to.rate - from.rate) / width } else { 0.0 });
        let wanted = flows - self.due[end - 1];
        // rate·t + slope·t²/2 = wanted, in the form that does not lose digits where the slope is small.
        let root = (rate * rate + 2.0 * slope * wanted).max(0.0).sqrt();
        let denominator = rate + root;
        let after = if denominator > 0.0 { 2.0 * wanted / denominator } else { 0.0 };
        Some(from.at + Duration::from_secs_f64(after.clamp(0.0, width)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn curve(points: &[(u64, f64)]) -> Result<Curve, String> {
        Curve::new(
            points.iter().map(|(at, rate)| Point { at: Duration::from_secs(*at), rate: *rate }).collect(),
        )
    }

    #[test]
    fn flows_are_due_where_the_area_says() {
        // A ramp to 100 a second, a spike to 1,000 at once, a decay to nothing.
        let curve = curve(&[(0, 0.0), (10, 100.0), (10, 1000.0), (20, 1000.0), (30, 0.0)]).unwrap();
        assert_eq!(curve.total(), 500.0 + 10_000.0 + 5_000.0);
        for (flows, seconds) in
            [(0.0, 0.0), (125.0, 5.0), (500.0, 10.0), (1_500.0, 11.0), (10_500.0, 20.0), (15_500.0, 30.0)]
        {
            let at = curve.when(flows).unwrap().as_secs_f64();
            assert!((at - seconds).abs() < 1e-6, "{flows} flows are due at {at}, not {seconds}");
        }
        assert_eq!(curve.when(15_501.0), None);
        for (seconds, rate) in [(0, 0.0), (5, 50.0), (10, 1000.0), (19, 1000.0), (25, 500.0), (30, 0.0)] {
            assert_eq!(curve.rate_at(Duration::from_secs(seconds)), rate, "after {seconds} s");
        }
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        for (points, expected) in [
            (&[][..], "a curve has at least two points"),
            (&[(1, 1.0), (2, 1.0)], "a curve begins at 0s"),
            (&[(0, 1.0)], "a curve takes longer than no time"),
            (&[(0, 1.0), (5, 1.0), (4, 1.0)], "the points of a curve come in order of time"),
            (&[(0, 1.0), (5, -1.0)], "a rate is a number of flows a second, from 0 to 1000000"),
            (&[(0, 0.0), (5, 0.0)], "no flow ever starts on this curve"),
        ] {
            assert_eq!(curve(points).unwrap_err(), expected);
        }
    }
}
