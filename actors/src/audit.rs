//! Who did what in one minute: entries that are only ever added.
//!
//! An entity a minute: what has been written is left alone by what comes later, and a time is found by its
//! number.

use serde::{Deserialize, Serialize};

use crate::access::{Party, Role};
use crate::address::{self, Effect, Id, Kind, Reply};
use crate::entity::{Answer, Context, Decision, Entity, Facets, Millis, Sequence, Stamp};

/// How long the time of one entity is, ms.
pub const MINUTE_MS: u64 = 60_000;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Actor {
    /// An account.
    User(Id),
    /// A program, by its API key.
    Key(Id),
    /// Who holds the key that the shop was set up with.
    Bootstrap,
    /// Somebody without a credential.
    Guest,
}

/// One thing that was done, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended.
    pub at: Millis,
    /// Who did it.
    pub actor: Actor,
    /// As what, if it was an account.
    pub role: Option<Role>,
    /// The HTTP method.
    pub method: String,
    /// The route, with its parameters by name.
    pub route: String,
    /// The path as it was asked for, without the query.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The network address it came from.
    pub from: String,
    /// The id of the request.
    pub request_id: String,
}

/// What can be asked of a minute.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Note this.
    Record(Box<Entry>),
    /// Show everything.
    List,
}

/// What can have happened to a minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Something was noted.
    Recorded(Box<Entry>),
}

/// An open question to a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whether it is noted.
    Recorded,
    /// Everything.
    List,
}

/// The state of a minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    entries: Vec<(Sequence, Entry)>,
}

impl Audit {
    /// Which minute a time is in; see [`address::Address::audit`].
    #[must_use]
    pub const fn minute_of(at: Millis) -> u64 {
        at / MINUTE_MS
    }
}

impl Entity for Audit {
    const KIND: Kind = Kind::Audit;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(_id: Id) -> Self {
        Self { entries: Vec::new() }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if cx.by != Party::Shop {
            // Who may read it is the edge's to say, and then it asks in the shop's name.
            return Decision::nothing();
        }
        match command {
            Command::Record(entry) => {
                Decision::record(Event::Recorded(entry)).answer(Answer::Settle(Ask::Recorded))
            }
            Command::List => Decision::settle(Ask::List),
        }
    }

    fn expire(&self, _cx: &Context<'_>) -> Decision<Self> {
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        let Event::Recorded(entry) = event;
        self.entries.push((stamp.sequence, *entry));
    }

    fn answer(&self, ask: &Ask, _cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        Some(Ok(match ask {
            Ask::Recorded => Reply::Done,
            Ask::List => Reply::Audit(self.entries.clone()),
        }))
    }

    fn pending(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn facets(&self) -> Option<Facets> {
        let (_, first) = self.entries.first()?;
        let created_at = Self::minute_of(first.at) * MINUTE_MS;
        Some(Facets { user: None, status: 0, created_at })
    }

    /// Only while nothing is written: else its whole state would be stored with every entry.
    fn at_rest(&self) -> bool {
        self.entries.is_empty()
    }
}
