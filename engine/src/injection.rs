//! Panics on order, at the places that matter: what happens when an entity's code fails can be tried.
//!
//! This is part of the crate's own tests and of a build of the server that only tests make (feature `injection`). That
//! one is told by the file that the variable `PANICS` names, again at every place: a line has the place, a kind of
//! entity or `inventory:` and a sku, and `once` or `always`.
//!
//! ```text
//! submitted inventory:BOLT once
//! deciding:Adjust inventory:BOLT always
//! appended - once
//! ```

#[cfg(test)]
use parking_lot::Mutex;
use relampago_actors::Address;
#[cfg(test)]
use relampago_actors::Party;

/// Where something can be made to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Before anything has happened.
    Deciding,
    /// The same, for what comes in one name alone.
    #[cfg(test)]
    DecidingFor(Party),
    /// The events are in the commit queue and not in memory.
    Submitted,
    /// One event is about to be made true.
    Applying,
    /// The events are true and nothing was sent.
    Applied,
    /// Everything was sent; only the answer is left to find.
    Answering,
    /// The entity is about to become live.
    Activating,
    /// Its state rests, and it is still live.
    Retiring,
    /// Its deadline has passed.
    Waking,
    /// It is looked after.
    Sweeping,
    /// The provider has said something unasked.
    Listening,
    /// The committer has a batch and has not written it.
    Appending,
    /// The batch is durable, and nobody was told.
    Appended,
}

/// What can be made to happen.
#[cfg(test)]
pub(crate) enum Happening {
    /// The code there panics.
    Panic,
    /// It does so again and again.
    PanicAlways,
    /// Something comes between.
    Run(Box<dyn FnOnce() + Send>),
}

/// What happens next, where, and to whom.
#[cfg(test)]
static NEXT: Mutex<Vec<(At, Address, Happening)>> = Mutex::new(Vec::new());

/// Makes something happen once. Addresses tell tests that run at the same time apart.
#[cfg(test)]
pub(crate) fn let_fall(at: At, whom: Address, what: Happening) {
    NEXT.lock().push((at, whom, what));
}

/// Whether something is still to happen to an entity.
#[cfg(test)]
pub(crate) fn is_to_fall(whom: Address) -> bool {
    NEXT.lock().iter().any(|(_, who, _)| *who == whom)
}

/// Panics, or does what else was asked for.
pub(crate) fn fall(at: At, whom: impl Into<Option<Address>>) {
    let whom = whom.into();
    #[cfg(feature = "injection")]
    told::fall(&format!("{at:?}"), whom);
    #[cfg(test)]
    fall_in_tests(at, whom);
}

#[cfg(test)]
fn fall_in_tests(at: At, whom: Option<Address>) {
    let hit = {
        let mut next = NEXT.lock();
        let position = next.iter().position(|(when, who, _)| (*when, Some(*who)) == (at, whom));
        position.map(|position| match next[position].2 {
            Happening::PanicAlways => Happening::PanicAlways,
            _ => next.swap_remove(position).2,
        })
    };
    match hit {
        Some(Happening::Panic | Happening::PanicAlways) => panic!("injected: {whom:?} falls while {at:?}"),
        Some(Happening::Run(what)) => what(),
        None => {}
    }
}

/// Panics if that was asked for when an entity decides on a command of this name.
#[cfg(feature = "injection")]
pub(crate) fn fall_over(message: &relampago_actors::Message, whom: Address) {
    let text = format!("{message:?}");
    let command = text.split_once('(').map_or("", |(_, command)| command);
    let name = command.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    told::fall(&format!("{:?}:{name}", At::Deciding), Some(whom));
}

/// What a build for tests is told.
#[cfg(feature = "injection")]
mod told {
    use std::collections::BTreeSet;

    use parking_lot::Mutex;
    use relampago_actors::{Address, Kind};

    const INVENTORY: &str = "inventory:";

    /// Lines that have happened and were to happen once.
    static DONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

    pub(super) fn fall(at: &str, whom: Option<Address>) {
        let rules = std::env::var_os("PANICS").and_then(|path| std::fs::read_to_string(path).ok());
        if rules.is_some_and(|rules| rules.lines().any(|rule| applies(rule, at, whom))) {
            panic!("injected: {whom:?} falls while {at}");
        }
    }

    fn applies(rule: &str, at: &str, whom: Option<Address>) -> bool {
        let mut words = rule.split(' ');
        let here = words.next().is_some_and(|word| word.eq_ignore_ascii_case(at));
        here && words.next().is_some_and(|word| means(word, whom))
            && (words.next() == Some("always") || DONE.lock().insert(rule.to_owned()))
    }

    fn means(word: &str, whom: Option<Address>) -> bool {
        match (whom, word.strip_prefix(INVENTORY)) {
            (Some(whom), Some(sku)) => whom.kind == Kind::Inventory && whom == Address::inventory(sku),
            (Some(whom), None) => whom.kind.name() == word,
            (None, _) => word == "-",
        }
    }
}
