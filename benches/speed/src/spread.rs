//! Figures of several rounds as one: the middle, and how far they lie apart.

use std::fmt;

/// The median of some figures, the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub lowest: f64,
    /// The middle one; of an even number the mean of the middle two.
    pub median: f64,
    /// The highest.
    pub highest: f64,
}

impl Spread {
    /// The spread of these figures; none of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (lowest, highest) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[half]
        } else {
            f64::midpoint(figures[half - 1], figures[half])
        };
        Some(Self { lowest, median, highest })
    }

    /// The spread of the ratios of figures that belong together, one pair a round.
    pub fn of_ratios(
        over: impl IntoIterator<Item = f64>,
        under: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        Self::of(
            over.into_iter().zip(under).filter(|(_, under)| *under > 0.0).map(|(over, under)| over / under),
        )
    }
}

impl fmt::Display for Spread {
    /// With the formatter's precision: `0.52 (0.50 to 0.55)`, and only the one figure if there is but one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{}", grouped(self.median, digits))?;
        if self.lowest < self.highest {
            write!(f, " ({} to {})", grouped(self.lowest, digits), grouped(self.highest, digits))?;
        }
        Ok(())
    }
}

/// A number with so many decimals and its thousands apart: `12,345.6`.
pub fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, decimals) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + decimals
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_in_any_order() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.lowest, spread.median, spread.highest), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ratios = Spread::of_ratios([50.0, 10.0, 30.0], [100.0, 10.0, 40.0]).unwrap();
        assert_eq!((ratios.lowest, ratios.median, ratios.highest), (0.5, 0.75, 1.0));
        assert_eq!(Spread::of_ratios([1.0], [0.0]), None);
        assert_eq!(Spread::of_ratios([1.0], []), None);
    }

    #[test]
    fn figures_are_shown_with_their_range() {
        assert_eq!(format!("{:.2}", Spread::of([0.5, 0.75, 1.0]).unwrap()), "0.75 (0.50 to 1.00)");
        assert_eq!(format!("{}", Spread::of([54321.4]).unwrap()), "54,321");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, decimals, expected) in
            [(0.0, 0, "0"), (999.0, 0, "999"), (1000.0, 0, "1,000"), (-1234567.25, 2, "-1,234,567.25")]
        {
            assert_eq!(grouped(number, decimals), expected);
        }
    }
}
