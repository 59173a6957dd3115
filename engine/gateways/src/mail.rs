//! The port to whoever delivers mail, and the mailbox that stands in for them.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use parking_lot::Mutex;
use relampago_actors::{Id, Millis};

/// Letters that the embedded mailbox keeps; then the oldest go.
const KEPT: usize = 1000;

/// A letter, ready to be sent. `Debug` shows neither whom it is for nor what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The same for every try to send it, so that whoever delivers it can tell a repetition.
    pub id: Id,
    /// The address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({})", self.id)
    }
}

/// A letter was not taken; it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTaken;

/// A letter that is on its way to whoever delivers it.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<(), NotTaken>> + Send + 'a>>;

/// Whoever delivers mail.
pub trait Post: Send + Sync {
    /// Hands a letter over. May never answer: the caller gives up after a time.
    fn post(&self, letter: Letter, now: Millis) -> Posting<'_>;
}

/// Keeps letters in memory instead of delivering them: for development, demonstrations and tests.
#[derive(Default)]
pub struct Mailbox {
    letters: Mutex<VecDeque<(Millis, Letter)>>,
}

impl Mailbox {
    /// The newest letters first, those to one address if one is named; with when they came.
    #[must_use]
    pub fn newest(&self, to: Option<&str>, limit: usize) -> Vec<(Millis, Letter)> {
        let letters = self.letters.lock();
        let wanted = letters.iter().rev().filter(|(_, letter)| to.is_none_or(|to| letter.to == to));
        wanted.take(limit).cloned().collect()
    }

    fn keep(&self, letter: Letter, now: Millis) {
        let mut letters = self.letters.lock();
        if letters.iter().any(|(_, known)| known.id == letter.id) {
            return;
        }
        if letters.len() == KEPT {
            letters.pop_front();
        }
        letters.push_back((now, letter));
    }
}

impl Post for Mailbox {
    fn post(&self, letter: Letter, now: Millis) -> Posting<'_> {
        self.keep(letter, now);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: u128, to: &str) -> Letter {
        Letter { id: Id(number), to: to.to_owned(), subject: "s".to_owned(), body: "b".to_owned() }
    }

    #[tokio::test]
    async fn a_letter_is_kept_once_and_the_newest_come_first() {
        let mailbox = Mailbox::default();
        for (now, number) in [(1, 1), (2, 2), (3, 1)] {
            assert_eq!(mailbox.post(letter(number, "ana@example.com"), now).await, Ok(()));
        }
        assert_eq!(mailbox.post(letter(3, "bea@example.com"), 4).await, Ok(()));
        let all: Vec<u128> = mailbox.newest(None, 10).iter().map(|(_, letter)| letter.id.0).collect();
        assert_eq!(all, [3, 2, 1]);
        assert_eq!(mailbox.newest(Some("ana@example.com"), 1)[0].1.id, Id(2));
        assert_eq!(format!("{:?}", letter(7, "ana@example.com")), format!("Letter({})", Id(7)));
    }

    #[tokio::test]
    async fn it_forgets_the_oldest() {
        let mailbox = Mailbox::default();
        for number in 0..=KEPT as u128 {
            assert_eq!(mailbox.post(letter(number, "a@b"), 0).await, Ok(()));
        }
        let kept = mailbox.newest(None, usize::MAX);
        assert_eq!((kept.len(), kept.last().map(|(_, letter)| letter.id)), (KEPT, Some(Id(1))));
    }
}
