//! Money: whole minor units and a currency. No floating point anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The largest price that is accepted, minor units: 999 units of it do not overflow.
pub const MAX_MINOR: i64 = i64::MAX / 1000;

/// Why a price or an amount is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number.
    #[error("must be a decimal number such as \"19.99\"")]
    Malformed,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// More digits after the point than the currency has.
    #[error("has more digits after the point than the currency has")]
    TooPrecise,
    /// Above [`MAX_MINOR`].
    #[error("is too large")]
    TooLarge,
    /// Not an ISO 4217 code that is in use.
    #[error("must be an ISO 4217 currency code")]
    UnknownCurrency,
}

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self { code: *b"USD", digits: 2 };

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        // Only ISO codes get in, which are ASCII.
        std::str::from_utf8(&self.code).unwrap_or("XXX")
    }

    /// Digits after the point.
    #[must_use]
    pub const fn digits(self) -> u8 {
        self.digits
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        let known = iso_currency::Currency::from_code(code).ok_or(MoneyError::UnknownCurrency)?;
        let digits = known.exponent().ok_or(MoneyError::UnknownCurrency)?;
        let code = code.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency)?;
        Ok(Self { code, digits: u8::try_from(digits).map_err(|_| MoneyError::UnknownCurrency)? })
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A decimal number as a client wrote it, before its currency is known: `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    digits: i64,
    scale: u8,
}

impl Decimal {
    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.digits < 0
    }

    /// The amount in minor units of `currency`.
    ///
    /// # Errors
    /// If it is negative, too large, or finer than the currency.
    pub fn minor(self, currency: Currency) -> Result<i64, MoneyError> {
        if self.digits < 0 {
            return Err(MoneyError::Negative);
        }
        let missing = currency.digits.checked_sub(self.scale).ok_or(MoneyError::TooPrecise)?;
        let minor = 10i64.checked_pow(missing.into()).and_then(|factor| self.digits.checked_mul(factor));
        minor.filter(|minor| *minor <= MAX_MINOR).ok_or(MoneyError::TooLarge)
    }
}

impl FromStr for Decimal {
    type Err = MoneyError;

    /// Digits with an optional sign, point and exponent: what JSON calls a number.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::Malformed)?)
            }
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Malformed),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(MoneyError::Malformed);
        }
        let mut digits = 0i64;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let shifted = digits.checked_mul(10).ok_or(MoneyError::TooLarge)?;
            digits = shifted.checked_add(i64::from(digit - b'0')).ok_or(MoneyError::TooLarge)?;
        }
        let scale = i64::try_from(fraction.len()).map_err(|_| MoneyError::TooLarge)? - i64::from(exponent);
        Self::shifted(if negative { -digits } else { digits }, scale)
    }
}

impl Decimal {
    /// `digits / 10^scale`, where a negative scale means trailing zeros.
    fn shifted(digits: i64, scale: i64) -> Result<Self, MoneyError> {
        if digits == 0 {
            return Ok(Self { digits, scale: u8::try_from(scale.clamp(0, 255)).unwrap_or(u8::MAX) });
        }
        if scale >= 0 {
            return Ok(Self { digits, scale: u8::try_from(scale).map_err(|_| MoneyError::TooPrecise)? });
        }
        let factor = u32::try_from(-scale).ok().and_then(|zeros| 10i64.checked_pow(zeros));
        let digits = factor.and_then(|factor| digits.checked_mul(factor)).ok_or(MoneyError::TooLarge)?;
        Ok(Self { digits, scale: 0 })
    }
}

/// `minor` units of `currency` as a decimal number: 1999 USD is `19.99`, 1999 JPY is `1999`. Written digit by digit:
/// it stands in every answer several times.
#[must_use]
pub fn format_minor(minor: i64, currency: Currency) -> SmallVec<[u8; 24]> {
    let mut backwards = SmallVec::new();
    let (mut rest, mut written) = (minor.unsigned_abs(), 0);
    while rest > 0 || written <= currency.digits {
        if written == currency.digits && written > 0 {
            backwards.push(b'.');
        }
        // One digit, so that it fits.
        backwards.push(b'0' + (rest % 10) as u8);
        (rest, written) = (rest / 10, written + 1);
    }
    if minor < 0 {
        backwards.push(b'-');
    }
    backwards.reverse();
    backwards
}

/// `quantity` units at `price`, if it does not overflow.
#[must_use]
pub fn line_total(price: i64, quantity: u32) -> Option<i64> {
    price.checked_mul(i64::from(quantity))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn minor(text: &str, code: &str) -> Result<i64, MoneyError> {
        text.parse::<Decimal>()?.minor(code.parse()?)
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        let table = [
            ("19.99", "USD", Ok(1999)),
            ("19.9", "USD", Ok(1990)),
            ("19", "USD", Ok(1900)),
            ("0", "USD", Ok(0)),
            ("0.01", "USD", Ok(1)),
            ("1999", "JPY", Ok(1999)),
            ("1.234", "KWD", Ok(1234)),
            ("1e2", "USD", Ok(10_000)),
            ("1.5E1", "USD", Ok(1500)),
            ("199e-2", "USD", Ok(199)),
            ("90071992547409.93", "USD", Ok(9_007_199_254_740_993)),
            ("92233720368547.75", "USD", Ok(MAX_MINOR)),
            ("92233720368547.76", "USD", Err(MoneyError::TooLarge)),
            ("19.999", "USD", Err(MoneyError::TooPrecise)),
            ("19.990", "USD", Err(MoneyError::TooPrecise)),
            ("1.5", "JPY", Err(MoneyError::TooPrecise)),
            ("-1", "USD", Err(MoneyError::Negative)),
            ("-0.01", "USD", Err(MoneyError::Negative)),
            ("1e400", "USD", Err(MoneyError::TooLarge)),
            ("1e99999999999", "USD", Err(MoneyError::Malformed)),
            ("99999999999999999999", "USD", Err(MoneyError::TooLarge)),
            ("", "USD", Err(MoneyError::Malformed)),
            (".5", "USD", Err(MoneyError::Malformed)),
            ("5.", "USD", Err(MoneyError::Malformed)),
            ("1.2.3", "USD", Err(MoneyError::Malformed)),
            ("1,5", "USD", Err(MoneyError::Malformed)),
            (" 1", "USD", Err(MoneyError::Malformed)),
            ("+1", "USD", Err(MoneyError::Malformed)),
            ("NaN", "USD", Err(MoneyError::Malformed)),
            ("١", "USD", Err(MoneyError::Malformed)),
            ("1", "usd", Err(MoneyError::UnknownCurrency)),
            ("1", "XYZ", Err(MoneyError::UnknownCurrency)),
        ];
        for (text, code, expected) in table {
            assert_eq!(minor(text, code), expected, "{text} {code}");
        }
    }

    #[test]
    fn minor_units_are_written_with_the_digits_of_the_currency() {
        let written = |minor, code: &str| {
            String::from_utf8(format_minor(minor, code.parse().unwrap()).to_vec()).unwrap()
        };
        assert_eq!(written(1999, "USD"), "19.99");
        assert_eq!(written(5, "USD"), "0.05");
        assert_eq!(written(-1999, "USD"), "-19.99");
        assert_eq!(written(1999, "JPY"), "1999");
        assert_eq!(written(1234, "KWD"), "1.234");
        assert_eq!(written(0, "USD"), "0.00");
        assert_eq!(written(0, "JPY"), "0");
        assert_eq!(written(i64::MIN, "KWD"), "-9223372036854775.808");
    }

    proptest::proptest! {
        #[test]
        fn written_amounts_read_back(minor in 0..=MAX_MINOR, code in "USD|JPY|KWD|EUR") {
            let currency: Currency = code.parse().unwrap();
            let text = String::from_utf8(format_minor(minor, currency).to_vec()).unwrap();
            proptest::prop_assert_eq!(text.parse::<Decimal>().unwrap().minor(currency), Ok(minor));
        }
    }
}
