//! The rules that keep the engine true: each test here fails without the rule that it is named for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod failing;
mod leaving;
mod living;
mod panicking;
mod restarting;

use std::cell::RefCell;

pub(crate) use asking::{ask, product, until};

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
