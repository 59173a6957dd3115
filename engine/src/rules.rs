//! The rules that keep the engine true: each test here fails without the rule that it is named for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod checking;
mod failing;
mod leaving;
mod living;
mod panicking;
mod restarting;

use std::cell::RefCell;

use parking_lot::Mutex;
use relampago_actors::{Address, Message};

use crate::region::Input;

pub(crate) use asking::{ask, product, until};

/// What an entity makes of a message instead; `None` leaves it as it is.
type Misreading = fn(&Message) -> Option<Message>;

/// Entities with a fault in their code. Addresses tell tests that run at the same time apart.
static FAULTY: Mutex<Vec<(Address, Misreading)>> = Mutex::new(Vec::new());

/// From now on an entity takes messages for others.
pub(crate) fn let_misread(at: Address, misreading: Misreading) {
    FAULTY.lock().push((at, misreading));
}

/// What an entity decides on in the place of what came.
pub(crate) fn misunderstood(at: Address, input: Input) -> Input {
    let Input::Message(message) = &input else { return input };
    let faulty = FAULTY.lock();
    let instead = faulty.iter().filter(|(known, _)| *known == at).find_map(|(_, misread)| misread(message));
    instead.map_or(input, Input::Message)
}

/// Where others may come between two steps of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// The look at the journal's end and the look at the entities.
    EndAndEntities,
    /// The look at the dead and the look at the living.
    DeadAndLiving,
}

type Happening = (Between, Box<dyn FnOnce()>);

thread_local! {
    static NEXT: RefCell<Option<Happening>> = const { RefCell::new(None) };
}

/// The next time that this thread comes to this place, others come between.
pub(crate) fn let_happen(place: Between, what: impl FnOnce() + 'static) {
    NEXT.set(Some((place, Box::new(what))));
}

/// Is called at every such place.
pub(crate) fn meanwhile(here: Between) {
    let next = NEXT.with_borrow_mut(|next| next.take_if(|(place, _)| *place == here));
    if let Some((_, what)) = next {
        what();
    }
}
