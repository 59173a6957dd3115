//! Whether a secret can be guessed: rules that random text hardly ever breaks, and invented text mostly does.

use std::collections::BTreeSet;
use std::fmt;

/// 32 random hexadecimal digits are 128 bits.
const FEWEST_CHARACTERS: usize = 32;
/// 32 random hexadecimal digits have 14 different ones on average, and fewer than 12 in 17 cases of 1,000; for 64
/// of them, or for base64, it does not happen.
const FEWEST_DIFFERENT: usize = 12;
/// 32 characters have 30 runs of three. Random ones repeat hardly any; a block that is repeated has no more than
/// its length.
const FEWEST_RUNS: usize = 24;
/// What stands in examples, tests and defaults, ours and everybody's. Compared as [`letters`].
const KNOWN: [&str; 14] = [
    "adminkey",
    "benchadmin",
    "blackbox",
    "changeit",
    "changeme",
    "default",
    "example",
    "insecure",
    "mysecret",
    "password",
    "placeholder",
    "relampago",
    "replaceme",
    "touroftheshop",
];

/// Why a secret can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// Under 32 characters.
    Short,
    /// Fewer than 12 different characters.
    FewCharacters,
    /// A block of characters again and again, or a stretch of the alphabet.
    Pattern,
    /// Contains what stands in examples and defaults.
    Known,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "under 32 characters",
            Self::FewCharacters => "fewer than 12 different characters",
            Self::Pattern => "a repeated block or a sequence",
            Self::Known => "an example or a default",
        })
    }
}

/// All that is weak about a secret; nothing for a good one.
pub(crate) fn weaknesses(secret: &str) -> Vec<Weakness> {
    let characters: Vec<char> = secret.chars().collect();
    let different = BTreeSet::from_iter(&characters).len();
    let letters = letters(secret);
    let found = [
        (characters.len() < FEWEST_CHARACTERS, Weakness::Short),
        (different < FEWEST_DIFFERENT, Weakness::FewCharacters),
        (has_pattern(&characters), Weakness::Pattern),
        (KNOWN.iter().any(|known| letters.contains(known)), Weakness::Known),
    ];
    found.into_iter().filter_map(|(applies, weakness)| applies.then_some(weakness)).collect()
}

/// Whether most of the text follows from what stands before it. Says nothing about short texts, which are refused
/// anyhow.
fn has_pattern(characters: &[char]) -> bool {
    let runs = BTreeSet::from_iter(characters.windows(3)).len();
    let neighbours =
        characters.windows(2).filter(|pair| u32::from(pair[0]).abs_diff(u32::from(pair[1])) <= 1);
    characters.len() >= FEWEST_CHARACTERS && (runs < FEWEST_RUNS || neighbours.count() * 2 > characters.len())
}

/// Small letters and digits alone, so that `Change-Me` is `changeme`.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::Weakness::{FewCharacters, Known, Pattern, Short};
    use super::*;

    #[test]
    fn what_people_invent_is_weak() {
        for (secret, expected) in [
            ("change-me", &[Short, FewCharacters, Known][..]),
            ("bench-admin-key", &[Short, Known]),
            ("tour-of-the-shop", &[Short, FewCharacters, Known]),
            ("Change_Me-to-32-characters-or-so-9", &[Known]),
            ("kV9#xQ2!mZ7@pL4$wN8%rT5^bH3&cJ6", &[Short]),
            ("a8f3a8f3b7b7a8f3f3a8b7a8f3a8b7f3a8", &[FewCharacters, Pattern]),
            (&"Xk3vQ9zLw7Tm".repeat(3), &[Pattern]),
            ("Xk3vQ9zLw7TmXk3vQ9zLw7TmXk3vQ9zLw7T!", &[Pattern]),
            ("abcdefghijklmnopqrstuvwxyz0123456789", &[Pattern]),
            (&"s".repeat(255), &[FewCharacters, Pattern]),
            ("", &[Short, FewCharacters]),
        ] {
            assert_eq!(weaknesses(secret), expected, "{secret}");
        }
    }

    #[test]
    fn what_a_generator_makes_is_not() {
        for secret in [
            "kV9#xQ2!mZ7@pL4$wN8%rT5^bH3&cJ6*",
            "9f86d081884c7d659a2feaa0c55ad015",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "u4oP0c1Y3T0rJm2f9dWqZ8hLxN6vBtEsKgRaViQyUjXzHwCbMn5DlOeFpSkI7GAA",
            "rk_mF1Yp0aC4sJkVw2Zq8TgUuNdRx7LhBvEo3Xi9SyPl5Q",
        ] {
            assert_eq!(weaknesses(secret), [], "{secret}");
        }
    }
}
