//! What must hold of users and their addresses after every single event.

use std::collections::{BTreeMap, BTreeSet};

use relampago_actors::Id;
use relampago_actors::email::{Email, Owner};
use relampago_actors::secret::SecretHash;
use relampago_actors::user::{Event, MAX_SESSIONS, User};

/// The books of all users and addresses.
#[derive(Default)]
pub struct PeopleWatch {
    /// Whose each address is, as its claim says.
    owners: BTreeMap<Id, Owner>,
    /// Which address each user has, as the user says.
    held: BTreeMap<Id, Owner>,
    epochs: BTreeMap<Id, u32>,
    live: BTreeMap<Id, BTreeSet<Id>>,
    ended: BTreeSet<Id>,
    secrets: BTreeSet<(Id, [u8; 32])>,
    erased: BTreeSet<Id>,
}

impl PeopleWatch {
    pub fn claim_changed(&mut self, email: Id, claim: &Email) {
        match claim.owner() {
            Some(owner) => self.owners.insert(email, owner),
            None => self.owners.remove(&email),
        };
        self.check_address(email);
    }

    /// A user's address is the user's alone.
    fn check_address(&self, email: Id) {
        if let Some(held) = self.held.get(&email) {
            assert_eq!(
                Some(held),
                self.owners.get(&email),
                "address {email} is held by another than its owner"
            );
        }
    }

    pub fn user_changed(&mut self, id: Id, user: &User, event: &Event) {
        self.address_changed(id, user);
        self.sessions_changed(id, user, event);
        if let Event::Erased = event {
            self.erased.insert(id);
        }
        assert!(!self.erased.contains(&id) || user.view().is_none(), "{id} is shown after {event:?}");
    }

    fn address_changed(&mut self, id: Id, user: &User) {
        self.held.retain(|_, owner| owner.user != id);
        if let Some((email, number)) = user.claim_held() {
            let held = self.held.insert(email, Owner { user: id, number });
            assert_eq!(held, None, "two users have the address {email}");
            self.check_address(email);
        }
    }

    fn sessions_changed(&mut self, id: Id, user: &User, event: &Event) {
        let before = self.epochs.insert(id, user.epoch()).unwrap_or(0);
        let sessions: BTreeSet<Id> = user.sessions().collect();
        match event {
            Event::Registered { .. } => assert_eq!(user.epoch(), 1),
            Event::PasswordSet { keep, .. } => {
                assert_eq!(user.epoch(), before + 1);
                assert!(
                    sessions.iter().all(|session| Some(*session) == *keep),
                    "{sessions:?} after {event:?}"
                );
            }
            Event::PasswordReset { .. } => assert_eq!((user.epoch(), sessions.len()), (before + 1, 0)),
            Event::Erased => assert_eq!((user.epoch(), sessions.len()), (0, 0)),
            _ => assert!(user.epoch() >= before, "after {event:?}"),
        }
        match event {
            Event::SessionOpened(opened) => {
                assert_eq!(opened.epoch, user.epoch(), "a password that is not valid any more: {event:?}");
                self.secret_given(opened.session, opened.secret);
            }
            Event::SessionRefreshed { session, secret, .. } => self.secret_given(*session, *secret),
            _ => {}
        }
        assert!(sessions.len() <= MAX_SESSIONS);
        assert!(sessions.is_disjoint(&self.ended), "a session of {id} is back after {event:?}");
        let known = self.live.insert(id, sessions.clone()).unwrap_or_default();
        self.ended.extend(known.difference(&sessions));
    }

    fn secret_given(&mut self, session: Id, SecretHash(secret): SecretHash) {
        assert!(self.secrets.insert((session, secret)), "a secret of {session} is good again");
    }

    /// Whose an address is, as its claim says.
    pub fn owner(&self, email: Id) -> Option<Owner> {
        self.owners.get(&email).copied()
    }

    /// Whose it is, as the users say.
    pub fn holder(&self, email: Id) -> Option<Owner> {
        self.held.get(&email).copied()
    }

    /// Whether it is or was a user.
    pub fn was_registered(&self, user: Id) -> bool {
        self.erased.contains(&user) || self.epochs.get(&user).is_some_and(|epoch| *epoch > 0)
    }

    /// Users that were there once.
    pub fn registered(&self) -> usize {
        self.epochs.values().filter(|epoch| **epoch > 0).count() + self.erased.len()
    }
}
