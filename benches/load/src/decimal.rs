//! Decimal numbers as texts have them: amounts of money and counts, without ever becoming a float.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Digits behind the point.
const DIGITS: usize = 9;
const ONE: i128 = 1_000_000_000;

/// A number with nine digits behind the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

/// Why a text is no number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no decimal number")]
pub struct DecimalError(String);

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self(0);

    /// The sum, unless it is beyond all bounds.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it is beyond all bounds.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let refused = || DecimalError(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || part.len() > DIGITS || !all_digits(whole) || !all_digits(part) {
            return Err(refused());
        }
        if digits.ends_with('.') {
            return Err(refused());
        }
        let whole: i128 = whole.parse().map_err(|_| refused())?;
        let part: i128 = format!("{part:0<DIGITS$}").parse().map_err(|_| refused())?;
        let number = whole.checked_mul(ONE).and_then(|whole| whole.checked_add(part)).ok_or_else(refused)?;
        Ok(Self(if negative { -number } else { number }))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) =
            (self.0.unsigned_abs() / ONE.unsigned_abs(), self.0.unsigned_abs() % ONE.unsigned_abs());
        let part = format!("{part:0>DIGITS$}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            part => write!(f, "{sign}{whole}.{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_exact() {
        for (text, expected) in
            [("0", "0"), ("19.90", "19.9"), ("-3.50", "-3.5"), ("0.1", "0.1"), ("007", "7"), ("-0.0", "0")]
        {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), expected);
        }
        let tenth: Decimal = "0.1".parse().unwrap();
        let sum = (0..10).try_fold(Decimal::ZERO, |sum, _| sum.checked_add(tenth));
        assert_eq!(sum, "1.00".parse().ok());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "1e3",
            "0x1",
            "1,5",
            "--1",
            "1.0123456789",
            "9999999999999999999999999999999999",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
