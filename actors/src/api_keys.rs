//! The keys with which programs call the shop: one entity has them all, so that they can be listed and
//! counted.
//!
//! A key's secret is drawn and shown by the edge; here is its hash. Revoking counts from the moment it is
//! recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::{Party, Permissions};
use crate::address::{self, Effect, Id, Kind, Reply};
use crate::entity::{Answer, Context, Decision, Entity, Millis, Stamp};
use crate::keys::{KeyTag, Remembered, Seen};
use crate::secret::SecretHash;

/// Keys at the most that are neither revoked nor expired.
pub const MAX_LIVE: usize = 1_000;

/// Ended keys that stay listed; beyond that the one that ended first goes.
pub const ENDED_KEPT: usize = 1_000;

/// How exactly the last use of a key is known, ms: not every call is worth an event.
pub const USE_NOTED_EVERY_MS: u64 = 60_000;

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// The hash of its secret.
    pub digest: SecretHash,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Millis>,
    /// Who made it; nobody if it was the key that the shop was set up with.
    pub by: Option<Id>,
    /// The client's key of the request.
    pub tag: Option<KeyTag>,
}

/// What can be asked of the API keys.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Make one.
    Create(Box<NewKey>),
    /// End one.
    Revoke {
        /// Which.
        id: Id,
    },
    /// One was used.
    Used {
        /// Which.
        id: Id,
    },
    /// Say what one may do, if this is its secret.
    Check {
        /// Which.
        id: Id,
        /// The hash of what was presented.
        digest: SecretHash,
    },
    /// Show one.
    Get {
        /// Which.
        id: Id,
    },
    /// Show all.
    List,
}

/// What can have happened to the API keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// One was made.
    Created(Box<NewKey>),
    /// One was ended.
    Revoked {
        /// Which.
        id: Id,
    },
    /// One was used, for the first time in a while.
    Used {
        /// Which.
        id: Id,
    },
}

/// What a key shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// When it was made.
    pub created_at: Millis,
    /// Who made it.
    pub created_by: Option<Id>,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Millis>,
    /// When it was last used, to within [`USE_NOTED_EVERY_MS`].
    pub last_used_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

/// Why the API keys say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such key.
    #[error("there is no such API key")]
    NotFound,
    /// It is unknown, of another secret, revoked or expired; which of these is nobody's business.
    #[error("the API key is not valid")]
    Invalid,
    /// There are too many.
    #[error("there are {MAX_LIVE} live API keys; revoke one first")]
    TooMany,
}

/// An open question to the API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A key.
    View(Id),
    /// A key as it was made by the request with this key.
    Keyed(KeyTag),
    /// All of them.
    List,
    /// Whether the use of one is noted.
    Used,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    view: View,
    digest: SecretHash,
}

impl Key {
    /// When it ended or will end.
    fn ends_at(&self) -> Option<Millis> {
        self.view.revoked_at.or(self.view.expires_at)
    }

    fn live(&self, now: Millis) -> bool {
        self.view.revoked_at.is_none() && self.view.expires_at.is_none_or(|end| now < end)
    }
}

/// The state of all API keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKeys {
    keys: BTreeMap<Id, Key>,
    keyed: Remembered<Box<View>>,
}

impl ApiKeys {
    /// Whether a key is there and neither revoked nor expired.
    #[must_use]
    pub fn key_live(&self, id: Id, now: Millis) -> bool {
        self.keys.get(&id).is_some_and(|key| key.live(now))
    }

    fn create(&self, new: Box<NewKey>, now: Millis) -> Result<Decision<Self>, address::Rejection> {
        match (self.keyed.look_up(new.tag), new.tag) {
            // Under the same key comes the same secret, or else a client would be shown one that does not
            // work.
            (Seen::Same(made), Some(tag)) if self.made_as(made.id, &new) => {
                return Ok(Decision::replay(Ask::Keyed(tag)));
            }
            (Seen::Same(_) | Seen::Other, _) => return Err(address::Rejection::KeyReused),
            (Seen::Never, _) if self.keys.contains_key(&new.id) => {
                return Err(address::Rejection::KeyReused);
            }
            (Seen::Never, _) => {}
        }
        if self.keys.values().filter(|key| key.live(now)).count() >= MAX_LIVE {
            return Err(Rejection::TooMany.into());
        }
        let ask = new.tag.map_or(Ask::View(new.id), Ask::Keyed);
        Ok(Decision::record(Event::Created(new)).answer(Answer::Settle(ask)))
    }

    /// Whether the key that was made is the one that is asked for again.
    fn made_as(&self, made: Id, again: &NewKey) -> bool {
        // One that has gone from the list shows no secret that could be wrong for long: it has ended.
        made == again.id && self.keys.get(&made).is_none_or(|key| key.digest == again.digest)
    }

    fn revoke(&self, id: Id) -> Result<Decision<Self>, address::Rejection> {
        let key = self.keys.get(&id).ok_or(Rejection::NotFound)?;
        let decision = match key.view.revoked_at {
            Some(_) => Decision::nothing(),
            None => Decision::record(Event::Revoked { id }),
        };
        Ok(decision.answer(Answer::Settle(Ask::View(id))))
    }

    fn used(&self, id: Id, now: Millis) -> Decision<Self> {
        let noted = |key: &Key| {
            key.view.last_used_at.is_some_and(|last| now.saturating_sub(last) < USE_NOTED_EVERY_MS)
        };
        let decision = match self.keys.get(&id) {
            Some(key) if key.live(now) && !noted(key) => Decision::record(Event::Used { id }),
            _ => Decision::nothing(),
        };
        decision.answer(Answer::Settle(Ask::Used))
    }

    fn check(&self, id: Id, digest: SecretHash, now: Millis) -> Result<Decision<Self>, address::Rejection> {
        let key = self.keys.get(&id).filter(|key| key.digest == digest && key.live(now));
        key.ok_or(Rejection::Invalid)?;
        Ok(Decision::settle(Ask::View(id)))
    }

    fn get(&self, id: Id) -> Result<Decision<Self>, address::Rejection> {
        self.keys.get(&id).ok_or(Rejection::NotFound)?;
        Ok(Decision::settle(Ask::View(id)))
    }

    fn list(&self) -> Vec<View> {
        let mut all: Vec<View> = self.keys.values().map(|key| key.view.clone()).collect();
        all.sort_by_key(|view| (view.created_at, view.id));
        all
    }

    fn add(&mut self, new: NewKey, at: Millis) {
        let view = View {
            id: new.id,
            name: new.name,
            permissions: new.permissions,
            created_at: at,
            created_by: new.by,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        if let Some(tag) = new.tag {
            self.keyed.insert(tag, at, Box::new(view.clone()));
        }
        self.keys.insert(new.id, Key { view, digest: new.digest });
        self.forget_ended(at);
    }

    fn forget_ended(&mut self, now: Millis) {
        let mut ended: Vec<(Option<Millis>, Id)> = self
            .keys
            .iter()
            .filter(|(_, key)| !key.live(now))
            .map(|(id, key)| (key.ends_at(), *id))
            .collect();
        ended.sort_unstable();
        for (_, id) in &ended[..ended.len().saturating_sub(ENDED_KEPT)] {
            self.keys.remove(id);
        }
    }
}

impl Entity for ApiKeys {
    const KIND: Kind = Kind::ApiKeys;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(_id: Id) -> Self {
        Self { keys: BTreeMap::new(), keyed: Remembered::default() }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if cx.by != Party::Shop {
            // Who may see and make keys is the edge's to say, and then it asks in the shop's name.
            return Decision::reject(Rejection::NotFound);
        }
        let decided = match command {
            Command::Create(new) => self.create(new, cx.now),
            Command::Revoke { id } => self.revoke(id),
            Command::Used { id } => Ok(self.used(id, cx.now)),
            Command::Check { id, digest } => self.check(id, digest, cx.now),
            Command::Get { id } => self.get(id),
            Command::List => Ok(Decision::settle(Ask::List)),
        };
        decided.unwrap_or_else(Decision::reject)
    }

    fn expire(&self, _cx: &Context<'_>) -> Decision<Self> {
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        match event {
            Event::Created(new) => self.add(*new, stamp.at),
            Event::Revoked { id } => {
                if let Some(key) = self.keys.get_mut(&id) {
                    key.view.revoked_at = Some(stamp.at);
                }
                self.forget_ended(stamp.at);
            }
            Event::Used { id } => {
                if let Some(key) = self.keys.get_mut(&id) {
                    key.view.last_used_at = Some(stamp.at);
                }
            }
        }
    }

    fn answer(&self, ask: &Ask, _cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        let shown = |view: Option<&View>| match view {
            Some(view) => Ok(Reply::ApiKey(Box::new(view.clone()))),
            None => Err(Rejection::NotFound.into()),
        };
        Some(match ask {
            Ask::View(id) => shown(self.keys.get(id).map(|key| &key.view)),
            Ask::Keyed(tag) => shown(self.keyed.get(*tag).map(|view| &**view)),
            Ask::List => Ok(Reply::ApiKeys(self.list())),
            Ask::Used => Ok(Reply::Done),
        })
    }

    fn pending(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn deadline(&self) -> Option<Millis> {
        None
    }

    /// Only while there are none: every call with a key looks at them.
    fn at_rest(&self) -> bool {
        self.keys.is_empty()
    }
}
