//! Commands that made their entity's code fail.
//!
//! Deciding is pure: on the same state the same command fails again. So it is not tried again while the state
//! stands; but not for ever, since it may also have looked at the catalogue and the time.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use relampago_actors::{Address, Message, Millis, Party, Sequence};
use rustc_hash::{FxHashMap, FxHasher};

/// For so long a command is not tried again.
pub(crate) const REMEMBERED_MS: u64 = 60_000;

/// More are not remembered, only answered.
const MOST: usize = 1_024;

/// What tells a command to one entity from the others to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(message: &Message, by: Party) -> Self {
        let mut hasher = FxHasher::default();
        (message, by).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// On which state a command failed, and until when that is remembered.
#[derive(Clone, Copy, Debug)]
struct Failed {
    state: Sequence,
    until: Millis,
}

/// The commands that failed of late.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    failed: Mutex<FxHashMap<(Address, Fingerprint), Failed>>,
    /// How many there are: as a rule none, which every command asks.
    count: AtomicUsize,
}

impl Quarantine {
    /// Remembers that a command failed on the entity's state after the event `state`.
    pub(crate) fn remember(&self, at: Address, command: Fingerprint, state: Sequence, now: Millis) {
        let mut failed = self.failed.lock();
        if failed.len() >= MOST {
            failed.retain(|_, known| now < known.until);
        }
        if failed.len() < MOST || failed.contains_key(&(at, command)) {
            failed.insert((at, command), Failed { state, until: now + REMEMBERED_MS });
        }
        self.count.store(failed.len(), Ordering::Release);
    }

    /// Whether a command is known to fail on the entity's state after the event `state`.
    pub(crate) fn holds(&self, at: Address, command: Fingerprint, state: Sequence, now: Millis) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut failed = self.failed.lock();
        let Some(known) = failed.get(&(at, command)) else { return false };
        if known.state == state && now < known.until {
            return true;
        }
        failed.remove(&(at, command));
        self.count.store(failed.len(), Ordering::Release);
        false
    }

    /// How many commands are remembered, those included whose time has passed and that nobody repeated.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relampago_actors::{Id, cart, order};

    const ORDER: Address = Address::order(Id(1));
    const GET: Message = Message::Order(order::Command::Get);

    #[test]
    fn a_command_is_held_on_its_state_for_its_time_and_no_other_is() {
        let quarantine = Quarantine::default();
        let command = Fingerprint::of(&GET, Party::Shop);
        assert!(!quarantine.holds(ORDER, command, 7, 1_000));
        quarantine.remember(ORDER, command, 7, 1_000);
        assert!(quarantine.holds(ORDER, command, 7, 1_000 + REMEMBERED_MS - 1));

        let others = [
            (Address::order(Id(2)), command),
            (ORDER, Fingerprint::of(&GET, Party::Guest)),
            (ORDER, Fingerprint::of(&Message::Cart(cart::Command::Get), Party::Shop)),
        ];
        for (at, other) in others {
            assert!(!quarantine.holds(at, other, 7, 1_000), "{at:?} {other:?}");
        }
        assert_eq!(quarantine.len(), 1);

        // Its time has passed, or its entity has changed.
        assert!(!quarantine.holds(ORDER, command, 7, 1_000 + REMEMBERED_MS));
        quarantine.remember(ORDER, command, 7, 1_000);
        assert!(!quarantine.holds(ORDER, command, 8, 1_000));
        assert_eq!(quarantine.len(), 0);
    }

    #[test]
    fn it_is_bounded_and_makes_room_by_time() {
        let quarantine = Quarantine::default();
        let command = Fingerprint::of(&GET, Party::Shop);
        for id in 0..MOST as u128 + 10 {
            quarantine.remember(Address::order(Id(id)), command, 0, 1_000);
        }
        assert_eq!(quarantine.len(), MOST);
        let late = Address::order(Id(MOST as u128 + 5));
        assert!(!quarantine.holds(late, command, 0, 1_000));
        let now = 1_000 + REMEMBERED_MS;
        quarantine.remember(late, command, 0, now);
        assert!(quarantine.holds(late, command, 0, now));
        assert_eq!(quarantine.len(), 1);
    }
}
