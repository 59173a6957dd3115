//! Idempotency keys as entities know them.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::entity::Millis;

/// How long a key of an entity that lives on is remembered, ms: a day and an hour.
pub const KEY_LIFE_MS: u64 = 25 * 60 * 60 * 1000;

/// How many keys one entity remembers at the most; beyond that the oldest goes. Far more than the changes
/// that one entity sees in a day, and a bound on what a caller can make it remember.
pub const KEYS_KEPT: usize = 50_000;

/// A client's key in its scope (caller, method, path), and the request body it came with; both hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyTag {
    /// Hash of scope and key.
    pub key: u128,
    /// Hash of the body.
    pub body: u64,
}

/// What an entity remembers of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a, T> {
    /// Nothing: carry the command out.
    Never,
    /// The same request: give the same answer.
    Same(&'a T),
    /// The key came with another body.
    Other,
}

/// The answers an entity gave under idempotency keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered<T> {
    /// By key: the body it came with, and the answer.
    answers: FxHashMap<u128, (u64, T)>,
    /// Keys and when they were used, oldest first.
    used: VecDeque<(Millis, u128)>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { answers: FxHashMap::default(), used: VecDeque::new() }
    }
}

impl<T> Remembered<T> {
    /// What is known of `tag`.
    pub fn look_up(&self, tag: Option<KeyTag>) -> Seen<'_, T> {
        match tag.and_then(|tag| Some((tag, self.answers.get(&tag.key)?))) {
            None => Seen::Never,
            Some((tag, (body, answer))) if *body == tag.body => Seen::Same(answer),
            Some(_) => Seen::Other,
        }
    }

    /// The answer that was given under this key.
    pub fn get(&self, tag: KeyTag) -> Option<&T> {
        match self.look_up(Some(tag)) {
            Seen::Same(answer) => Some(answer),
            _ => None,
        }
    }

    /// Remembers an answer, and forgets those that are older than [`KEY_LIFE_MS`] or too many.
    pub fn insert(&mut self, tag: KeyTag, at: Millis, answer: T) {
        while let Some((then, oldest)) = self.used.front() {
            if at.saturating_sub(*then) < KEY_LIFE_MS && self.used.len() < KEYS_KEPT {
                break;
            }
            self.answers.remove(oldest);
            self.used.pop_front();
        }
        if self.answers.insert(tag.key, (tag.body, answer)).is_none() {
            self.used.push_back((at, tag.key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: u128, body: u64) -> Option<KeyTag> {
        Some(KeyTag { key, body })
    }

    #[test]
    fn a_key_is_the_same_the_other_or_new() {
        let mut keys = Remembered::default();
        keys.insert(KeyTag { key: 1, body: 7 }, 0, 'a');
        assert_eq!(keys.look_up(tag(1, 7)), Seen::Same(&'a'));
        assert_eq!(keys.look_up(tag(1, 8)), Seen::Other);
        assert_eq!(keys.look_up(tag(2, 7)), Seen::Never);
        assert_eq!(keys.look_up(None), Seen::Never);
    }

    #[test]
    fn old_keys_go_and_their_number_is_bounded() {
        let mut keys = Remembered::default();
        keys.insert(KeyTag { key: 1, body: 0 }, 0, ());
        keys.insert(KeyTag { key: 2, body: 0 }, KEY_LIFE_MS - 1, ());
        assert_eq!(keys.look_up(tag(1, 0)), Seen::Same(&()));
        keys.insert(KeyTag { key: 3, body: 0 }, KEY_LIFE_MS, ());
        assert_eq!(keys.look_up(tag(1, 0)), Seen::Never);
        for key in 10..10 + 2 * KEYS_KEPT as u128 {
            keys.insert(KeyTag { key, body: 0 }, KEY_LIFE_MS, ());
        }
        assert_eq!((keys.answers.len(), keys.used.len()), (KEYS_KEPT, KEYS_KEPT));
    }
}
