//! From figures to places, and the ticks of an axis.

/// How an axis spreads its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Evenly.
    Linear { low: f64, high: f64 },
    /// By their logarithm; figures below `low` lie at `low`.
    Log { low: f64, high: f64 },
}

impl Scale {
    /// From zero to a round figure at or above `highest`.
    pub(super) fn from_zero(highest: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = step(highest, 4.0);
        Self::Linear { low: 0.0, high: (highest / step).ceil() * step }
    }

    /// From a round figure at or below `lowest` to one at or above `highest`: 1, 2 or 5 times a power of ten.
    pub(super) fn log(lowest: f64, highest: f64) -> Self {
        let low = round_down(lowest.max(1e-9));
        let high = round_up(highest.max(low * 10.0));
        Self::Log { low, high }
    }

    /// Where `figure` lies: 0 at the low end, 1 at the high end.
    pub(super) fn place(self, figure: f64) -> f64 {
        let share = match self {
            Self::Linear { low, high } => (figure - low) / (high - low),
            Self::Log { low, high } => (figure.max(low) / low).log10() / (high / low).log10(),
        };
        share.clamp(0.0, 1.0)
    }

    /// Round figures along the axis, about `count` of them.
    pub(super) fn ticks(self, count: f64) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let step = step(high - low, count);
                let first = (low / step).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                (first..=last).map(|number| number as f64 * step).collect()
            }
            Self::Log { low, high } => log_ticks(low, high, count),
        }
    }
}

/// Seconds apart that ticks of a time axis of `seconds` lie, for about `count` of them.
pub(super) fn time_step(seconds: f64, count: f64) -> f64 {
    const STEPS: [f64; 13] =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];
    let wanted = seconds / count.max(1.0);
    STEPS.into_iter().find(|step| *step >= wanted).unwrap_or_else(|| (wanted / 3600.0).ceil() * 3600.0)
}

/// 1, 2 or 5 times a power of ten, so that `span` has at most about `count` of it.
fn step(span: f64, count: f64) -> f64 {
    round_up(span / count.max(1.0) * 0.999)
}

fn round_up(figure: f64) -> f64 {
    let power = 10_f64.powf((figure * 0.999_999).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|round| *round >= figure * 0.999_999)
        .unwrap_or(power)
}

fn round_down(figure: f64) -> f64 {
    let power = 10_f64.powf((figure * 1.000_001).log10().floor());
    [5.0, 2.0, 1.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|round| *round <= figure * 1.000_001)
        .unwrap_or(power)
}

/// Powers of ten; with 2 and 5 times them where there is room, every other one where there is not.
fn log_ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let factors: &[f64] = if decades * 3.0 <= count + 1.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let each = if decades > count * 1.5 { 2 } else { 1 };
    let first = (low * 1.000_001).log10().floor() as i32;
    let last = (high * 1.000_001).log10().floor() as i32;
    let powers = (first..=last).filter(|power| power.rem_euclid(each) == 0);
    let figures = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
    figures.filter(|figure| (low * 0.999_999..=high * 1.000_001).contains(figure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_about_as_many_as_asked_for() {
        assert_eq!(Scale::from_zero(3_912.0), Scale::Linear { low: 0.0, high: 4_000.0 });
        assert_eq!(Scale::from_zero(4_001.0).ticks(4.0), [0.0, 2_000.0, 4_000.0]);
        assert_eq!(Scale::from_zero(0.0).ticks(4.0), [0.0, 0.5, 1.0]);
        assert_eq!(Scale::log(150.0, 1_600_000.0), Scale::Log { low: 100.0, high: 2_000_000.0 });
        assert_eq!(Scale::log(150.0, 1_600_000.0).ticks(5.0), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(Scale::log(300.0, 900.0).ticks(5.0), [200.0, 500.0, 1e3, 2e3]);
        assert_eq!(
            [60.0, 61.0, 200.0, 90_000.0].map(|seconds| time_step(seconds, 6.0)),
            [10.0, 15.0, 60.0, 18_000.0]
        );
    }

    #[test]
    fn every_figure_has_its_place_on_the_axis() {
        let log = Scale::Log { low: 10.0, high: 1_000.0 };
        assert_eq!(
            [1.0, 10.0, 100.0, 1_000.0, 1e9].map(|figure| log.place(figure)),
            [0.0, 0.0, 0.5, 1.0, 1.0]
        );
        let linear = Scale::Linear { low: 0.0, high: 4.0 };
        assert_eq!([-1.0, 1.0, 4.0].map(|figure| linear.place(figure)), [0.0, 0.25, 1.0]);
    }
}
