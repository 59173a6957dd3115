//! What tells a run from every other one on the same data.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::rng::Rng;

const LONGEST: usize = 32;

/// A run's own name: it stands in the names and keys that the run makes, so that no other run meets them, whatever its
/// seed. The seed alone decides what people do; the id, what their things are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// One that nobody used before: twelve hexadecimal digits.
    pub fn fresh() -> Self {
        Self::digits(Rng::fresh_seed())
    }

    /// The one that all generators of a run come to by themselves, because they agree on seed and start.
    pub fn of(seed: u64, start: SystemTime) -> Self {
        let since = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut text = seed.to_le_bytes().to_vec();
        text.extend_from_slice(&since.to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(&text).as_bytes();
        Self::digits(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    fn digits(bits: u64) -> Self {
        Self(format!("{:012x}", bits >> 16))
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 128 bits of it, which are mixed into every UUID that is drawn.
    pub(crate) fn bits(&self) -> u128 {
        let digest = blake3::hash(self.0.as_bytes());
        digest.as_bytes().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if (1..=LONGEST).contains(&text.len()) && text.chars().all(fine) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("`{text}` is no name of a run; it has 1 to {LONGEST} letters, digits, `-` and `_`"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[test]
    fn generators_that_agree_on_seed_and_start_agree_on_the_run() {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let one = RunId::of(7, start);
        assert_eq!(one, RunId::of(7, start));
        assert_eq!(one.as_str().len(), 12);
        assert_ne!(one, RunId::of(8, start));
        assert_ne!(one, RunId::of(7, start + Duration::from_secs(1)));
        assert_ne!(RunId::fresh(), RunId::fresh());
    }

    #[test]
    fn a_name_that_would_need_quoting_is_refused() {
        assert_eq!("nightly-7".parse::<RunId>().unwrap().as_str(), "nightly-7");
        for text in ["", "a b", "a/b", "ñ", &"x".repeat(33)] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        assert_ne!("a".parse::<RunId>().unwrap().bits(), "b".parse::<RunId>().unwrap().bits());
    }
}
