//! What clients were told of sessions and mailed tokens, and whether that is kept to.

use std::collections::{BTreeMap, BTreeSet};

use relampago_actors::keys::KeyTag;
use relampago_actors::secret::SecretHash;
use relampago_actors::user::{Command, Rejection as UserRejection};
use relampago_actors::{Address, Id, Message, Rejection, Reply};

/// What clients knew of a session when they sent a request about it.
#[derive(Clone, Copy, Default)]
pub struct Glance {
    opened: bool,
    ended: bool,
}

#[derive(Default)]
pub struct Doors {
    /// The newest secret that clients know of a session.
    secrets: BTreeMap<Id, SecretHash>,
    /// Sessions that have ended, as clients were told.
    ended: BTreeSet<Id>,
    /// The request that used a secret up.
    refreshed: BTreeMap<(Id, [u8; 32]), KeyTag>,
    /// The request that used a reset token up.
    reset: BTreeMap<(Address, u32), KeyTag>,
    epochs: BTreeMap<Address, u32>,
}

impl Doors {
    pub fn glance(&self, message: &Message) -> Glance {
        let session = match message {
            Message::User(Command::OpenSession(opening)) => opening.session,
            Message::User(
                Command::Refresh { session, .. }
                | Command::CheckSession { session }
                | Command::EndSession { session },
            ) => *session,
            _ => return Glance::default(),
        };
        Glance { opened: self.secrets.contains_key(&session), ended: self.ended.contains(&session) }
    }

    /// The newest secret of a session that clients know.
    pub fn secret(&self, session: Id) -> Option<SecretHash> {
        self.secrets.get(&session).copied()
    }

    /// The epoch that clients saw last.
    pub fn epoch(&self, user: Address) -> u32 {
        self.epochs.get(&user).copied().unwrap_or(1)
    }

    pub fn answered(
        &mut self,
        of: Address,
        command: &Command,
        outcome: &Result<Reply, Rejection>,
        glance: Glance,
    ) {
        if let (Ok(Reply::Session(_)), true) = (outcome, glance.ended) {
            panic!("{command:?} succeeds, and clients knew that the session had ended");
        }
        match (command, outcome) {
            (Command::OpenSession(opening), Ok(Reply::Session(view))) => {
                assert_eq!(view.session, opening.session);
                self.secrets.entry(opening.session).or_insert(opening.secret);
            }
            (Command::Refresh { session, presented, next, tag: Some(tag) }, Ok(_)) => {
                let first = *self.refreshed.entry((*session, presented.0)).or_insert(*tag);
                assert_eq!(first, *tag, "a secret of {session} worked twice");
                self.secrets.insert(*session, *next);
            }
            (Command::Refresh { session, .. }, Err(Rejection::User(UserRejection::RefreshReused))) => {
                self.ended.insert(*session);
            }
            // One that was not opened when this was sent may still be.
            (Command::EndSession { session }, Ok(_)) if glance.opened => {
                self.ended.insert(*session);
            }
            (Command::ResetPassword { epoch, tag: Some(tag), .. }, Ok(_)) => {
                let first = *self.reset.entry((of, *epoch)).or_insert(*tag);
                assert_eq!(first, *tag, "two reset tokens of {of:?} and epoch {epoch} worked");
            }
            (Command::Credentials, Ok(Reply::Credentials(found))) => {
                self.epochs.insert(of, found.epoch);
            }
            _ => {}
        }
    }

    /// Requests that used up a secret or a token.
    pub fn used(&self) -> (usize, usize) {
        (self.refreshed.len(), self.reset.len())
    }
}
