//! What people think of, in no particular order; where their mail goes, and where their keys are destroyed.

use std::collections::BTreeSet;

use relampago_actors::access::Role;
use relampago_actors::keys::KeyTag;
use relampago_actors::personal::Personal;
use relampago_actors::secret::{Password, SecretHash};
use relampago_actors::user::{
    Authority, Change, Command, Mail, NewEmail, OpenSession, Profile, Purpose, Registration,
};
use relampago_actors::{Address, Id, Message, email};

use crate::support::samples::{id, tag};
use crate::world::clients::Clients;
use crate::world::dice::Dice;
use crate::world::post::Post;

/// Addresses that everybody wants.
pub const ADDRESSES: usize = 4;

/// Ids that users are made under: more than can have an address at once.
const USERS: usize = 14;

#[derive(Default)]
pub struct Crowd {
    keys: u128,
    /// Sessions that somebody wanted to open, and the secrets that may be theirs.
    sessions: Vec<(Address, Id, Vec<SecretHash>)>,
    /// Mail that was delivered.
    pub mailbox: Vec<Mail>,
    /// Users whose keys were destroyed.
    pub destroyed: BTreeSet<Id>,
}

pub type Wish = (Address, Command, Option<u128>);

impl Crowd {
    /// Somebody wants something.
    pub fn go_on(&mut self, clients: &mut Clients, post: &mut Post, dice: &mut Dice) {
        let wish = match dice.weighted(&[12, 8, 2, 10, 20, 5, 2, 1, 2, 5, 4, 8, 4, 4]) {
            0 => Some(self.register(dice)),
            1 => Some(self.change(clients, dice)),
            2 => Some((Self::known(clients, dice), erase(dice), None)),
            3 => Some(self.open_session(clients, dice)),
            4 => self.refresh(clients, dice),
            5 => self.about_session(dice, |session| Command::CheckSession { session }),
            6 => self.about_session(dice, |session| Command::EndSession { session }),
            7 => Some((Self::known(clients, dice), Command::EndSessions, None)),
            8 => Some(self.set_password(clients, dice)),
            9 => self.use_token(dice),
            10 => Some((Self::known(clients, dice), ask_for_mail(dice), None)),
            11 => Some((Self::known(clients, dice), Command::Credentials, None)),
            12 => Some((Self::known(clients, dice), Command::Get, None)),
            _ => Some(self.add_address(clients, dice)),
        };
        if let Some((to, command, key)) = wish {
            clients.request(to, Message::User(command), key, post);
        } else {
            let to = Address::email(id("email", dice.below(ADDRESSES)));
            clients.request(to, Message::Email(email::Command::Find), None, post);
        }
    }

    fn key(&mut self) -> KeyTag {
        self.keys += 1;
        tag(self.keys, 0)
    }

    fn user(dice: &mut Dice) -> Address {
        Address::user(id("user", dice.below(USERS)))
    }

    /// A user that clients have seen, if one is found soon.
    fn known(clients: &Clients, dice: &mut Dice) -> Address {
        let some: Vec<Address> = (0..4).map(|_| Self::user(dice)).collect();
        *some.iter().find(|user| clients.promises.of(**user).is_some()).unwrap_or(&some[0])
    }

    fn register(&mut self, dice: &mut Dice) -> Wish {
        let password = dice.percent(75).then_some("first");
        self.register_at(Self::user(dice), dice.below(ADDRESSES), password)
    }

    /// Somebody wants to be a user with an address.
    pub fn register_at(&mut self, to: Address, address: usize, password: Option<&str>) -> Wish {
        let tag = self.key();
        let registration = Registration {
            profile: Profile { name: Personal::clear("Ana"), phone: None },
            email: new_email(address),
            password: password.map(Password::new),
            role: Role::Customer,
            locale: 0,
            tag: Some(tag),
        };
        (to, Command::Register(Box::new(registration)), Some(tag.key))
    }

    /// Somebody who was never there before wants an address.
    pub fn newcomer(&mut self, address: usize) -> Wish {
        self.register_at(Address::user(id("newcomer", address)), address, None)
    }

    fn change(&mut self, clients: &Clients, dice: &mut Dice) -> Wish {
        let change = Change {
            name: dice.percent(30).then(|| Personal::clear("Bea")),
            email: dice.percent(80).then(|| new_email(dice.below(ADDRESSES))),
            role: dice.percent(10).then(|| *dice.pick(&Role::ALL).unwrap_or(&Role::Customer)),
            ..Change::default()
        };
        self.changed(Self::known(clients, dice), change)
    }

    /// A user wants another address.
    pub fn move_to(&mut self, user: Address, address: usize) -> Wish {
        self.changed(user, Change { email: Some(new_email(address)), ..Change::default() })
    }

    fn changed(&mut self, user: Address, change: Change) -> Wish {
        let tag = self.key();
        let authority = if change.role.is_some() { Authority::Admin } else { Authority::Owner };
        let change = Box::new(change);
        let command = Command::Change { change, authority, if_version: None, tag: Some(tag) };
        (user, command, Some(tag.key))
    }

    fn open_session(&mut self, clients: &Clients, dice: &mut Dice) -> Wish {
        let (to, tag) = (Self::known(clients, dice), self.key());
        let (session, secret) = (Id::derived("session", &[&tag.key.to_le_bytes()]), secret(tag));
        self.sessions.push((to, session, vec![secret]));
        let opening = OpenSession {
            session,
            secret,
            epoch: clients.doors.epoch(to),
            rehashed: dice.percent(10).then(|| Password::new("rehashed")),
            ttl_ms: 60_000,
            tag: Some(tag),
        };
        (to, Command::OpenSession(Box::new(opening)), None)
    }

    fn refresh(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let tag = self.key();
        let open: Vec<usize> = (0..self.sessions.len())
            .filter(|index| clients.doors.secret(self.sessions[*index].1).is_some())
            .collect();
        let (to, session, secrets) = &mut self.sessions[*dice.pick(&open)?];
        let newest = clients.doors.secret(*session).filter(|_| dice.percent(85));
        let presented = newest.or_else(|| dice.pick(secrets).copied())?;
        let next = secret(tag);
        secrets.push(next);
        Some((*to, Command::Refresh { session: *session, presented, next, tag: Some(tag) }, None))
    }

    fn about_session(&self, dice: &mut Dice, ask: impl Fn(Id) -> Command) -> Option<Wish> {
        let (to, session, _) = dice.pick(&self.sessions)?;
        Some((*to, ask(*session), None))
    }

    fn set_password(&mut self, clients: &Clients, dice: &mut Dice) -> Wish {
        let (to, tag) = (Self::known(clients, dice), self.key());
        let keep = dice.pick(&self.sessions).map(|(_, session, _)| *session);
        let epoch = clients.doors.epoch(to);
        let command = Command::SetPassword { password: Password::new("next"), epoch, keep, tag: Some(tag) };
        (to, command, Some(tag.key))
    }

    fn use_token(&mut self, dice: &mut Dice) -> Option<Wish> {
        let tag = self.key();
        let Mail { user, purpose, token, .. } = dice.pick(&self.mailbox)?;
        let to = Address::user(*user);
        Some(match purpose {
            Purpose::Reset => {
                let (epoch, claim) = (token.epoch, token.claim);
                let password = Password::new("reset");
                (to, Command::ResetPassword { password, epoch, claim, tag: Some(tag) }, Some(tag.key))
            }
            Purpose::Verify => (to, Command::VerifyEmail { number: token.claim }, None),
            Purpose::Notice => return None,
        })
    }

    fn add_address(&mut self, clients: &Clients, dice: &mut Dice) -> Wish {
        let tag = self.key();
        let add = Command::AddAddress { address: Personal::clear("{}"), tag: Some(tag) };
        (Self::known(clients, dice), add, Some(tag.key))
    }
}

fn secret(tag: KeyTag) -> SecretHash {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&tag.key.to_le_bytes());
    SecretHash(hash)
}

fn new_email(address: usize) -> NewEmail {
    NewEmail { claim: id("email", address), address: Personal::clear(&format!("{address}@example.com")) }
}

fn erase(dice: &mut Dice) -> Command {
    let authority = if dice.percent(50) { Authority::Owner } else { Authority::Staff };
    Command::Erase { authority, if_version: None }
}

fn ask_for_mail(dice: &mut Dice) -> Command {
    let purpose = if dice.percent(60) { Purpose::Reset } else { Purpose::Verify };
    Command::RequestMail { purpose, ttl_ms: 30_000 }
}
