//! The claim on one normalised e-mail address: it is one user's at a time, or nobody's.
//!
//! The entity never sees the address; its id is made from it. A claim is *offered* to the first who asks, and
//! theirs once they say that they keep it. Until then the offer is owed: it is repeated until the user keeps
//! it or gives it back. So an offer that comes to nothing (a repeated claim that arrives late, a user who was
//! erased meanwhile) strands no address, whatever is lost on the way; and an address is never offered to a
//! second user before the first has given it back.

use serde::{Deserialize, Serialize};

use crate::access::Party;
use crate::address::{self, Address, Effect, Id, Kind, Message, Reply};
use crate::entity::{Answer, Context, Decision, Entity, Millis, Stamp};
use crate::user;

/// Whose claim, and the user's own number of it: a user's claims are counted, so that an old one is not taken
/// for a newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub user: Id,
    /// Which of the user's claims, from 1.
    pub number: u32,
}

/// What can be asked of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// A user wants the address.
    Claim {
        /// Who.
        user: Id,
        /// Which of the user's claims.
        number: u32,
    },
    /// The user has taken note that the address is theirs.
    Keep {
        /// Who.
        user: Id,
        /// Which of the user's claims.
        number: u32,
    },
    /// The user gives it back.
    Release {
        /// Who.
        user: Id,
        /// Which of the user's claims.
        number: u32,
    },
    /// Say whose it is.
    Find,
}

/// What can have happened to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// It was offered to a user: nobody else gets it.
    Claimed {
        /// Whom.
        user: Id,
        /// Which of the user's claims.
        number: u32,
    },
    /// The user keeps it.
    Kept,
    /// It is nobody's.
    Released,
}

/// An open question to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whose it is.
    Owner,
}

/// The state of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Email {
    id: Id,
    owner: Option<Owner>,
    /// Whether the owner has said that they keep it.
    kept: bool,
}

impl Email {
    /// Whose it is, if anybody's; also while it is only offered.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    fn claim(&self, wanted: Owner) -> Decision<Self> {
        let takes = match self.owner {
            None => true,
            Some(owner) => owner.user == wanted.user && owner.number < wanted.number,
        };
        let answer = self.answer_to(wanted, takes || self.owner == Some(wanted));
        let decision = Decision::nothing().owing([answer]);
        if takes {
            return decision.and(Event::Claimed { user: wanted.user, number: wanted.number });
        }
        decision
    }

    fn answer_to(&self, Owner { user, number }: Owner, granted: bool) -> Effect {
        let answer = user::Command::EmailAnswered { email: self.id, number, granted };
        Effect::Send { to: Address::user(user), message: Message::User(answer) }
    }

    fn keep(&self, by: Owner) -> Decision<Self> {
        if self.owner == Some(by) && !self.kept {
            return Decision::record(Event::Kept);
        }
        Decision::nothing()
    }

    fn release(&self, by: Owner) -> Decision<Self> {
        let released = user::Command::EmailReleased { email: self.id, number: by.number };
        let decision = Decision::nothing().send(Address::user(by.user), Message::User(released));
        if self.owner == Some(by) { decision.and(Event::Released) } else { decision }
    }
}

impl Entity for Email {
    const KIND: Kind = Kind::Email;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self { id, owner: None, kept: false }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if cx.by != Party::Shop {
            // No caller speaks to a claim: only users do, and the edge in the shop's name.
            return Decision::nothing();
        }
        match command {
            Command::Claim { user, number } => self.claim(Owner { user, number }),
            Command::Keep { user, number } => self.keep(Owner { user, number }),
            Command::Release { user, number } => self.release(Owner { user, number }),
            Command::Find => Decision::nothing().answer(Answer::Settle(Ask::Owner)),
        }
    }

    fn expire(&self, _cx: &Context<'_>) -> Decision<Self> {
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, _stamp: Stamp) {
        (self.owner, self.kept) = match event {
            Event::Claimed { user, number } => (Some(Owner { user, number }), false),
            Event::Kept => (self.owner, true),
            Event::Released => (None, false),
        };
    }

    fn answer(&self, ask: &Ask, _cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        match ask {
            Ask::Owner => Some(Ok(Reply::Owner(self.owner.map(|owner| owner.user)))),
        }
    }

    fn pending(&self) -> Vec<Effect> {
        let offered = self.owner.filter(|_| !self.kept);
        offered.map(|owner| self.answer_to(owner, true)).into_iter().collect()
    }

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn at_rest(&self) -> bool {
        self.owner.is_none() || self.kept
    }
}
