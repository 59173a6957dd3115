//! A registered user.

use serde::{Deserialize, Serialize};

use super::mail::{MAIL_EVERY_MS, MAX_NOTICES};
use super::session::Session;
use super::{
    Change, Credentials, EmailChange, MAX_SESSIONS, MailToken, NewEmail, OpenSession, OwedMail,
    PostalAddress, Purpose, Registration, SessionView, View,
};
use crate::access::Role;
use crate::address::Id;
use crate::entity::Millis;
use crate::personal::Personal;
use crate::secret::Password;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) name: Personal,
    pub(super) phone: Option<Personal>,
    pub(super) email: NewEmail,
    /// The number of the claim that made the address its own.
    pub(super) claim: u32,
    pub(super) verified: bool,
    pub(super) password: Option<Password>,
    pub(super) role: Role,
    pub(super) locale: u8,
    /// Counts from 1, up whenever a password or role is set.
    pub(super) epoch: u32,
    /// Oldest first.
    pub(super) sessions: Vec<Session>,
    pub(super) addresses: Vec<PostalAddress>,
    /// How many postal addresses it ever had: an address's id is made from its number.
    pub(super) addresses_made: u32,
    pub(super) changing: Option<Box<EmailChange>>,
    pub(super) mails: Vec<OwedMail>,
    /// How many mails it ever owed: the number of the newest.
    mails_made: u32,
    reset_asked_at: Option<Millis>,
    verify_asked_at: Option<Millis>,
    pub(super) created_at: Millis,
    pub(super) updated_at: Millis,
    pub(super) version: u64,
}

impl Account {
    pub(super) fn new(registration: Registration, claim: u32, at: Millis) -> Self {
        let Registration { profile, email, password, role, locale, tag: _ } = registration;
        Self {
            name: profile.name,
            phone: profile.phone,
            email,
            claim,
            verified: false,
            password,
            role,
            locale,
            epoch: 1,
            sessions: Vec::new(),
            addresses: Vec::new(),
            addresses_made: 0,
            changing: None,
            mails: Vec::new(),
            mails_made: 0,
            reset_asked_at: None,
            verify_asked_at: None,
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    pub(super) fn view(&self, id: Id) -> View {
        View {
            id,
            name: self.name.clone(),
            email: self.email.address.clone(),
            phone: self.phone.clone(),
            role: self.role,
            has_password: self.password.is_some(),
            verified: self.verified,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        }
    }

    pub(super) fn credentials(&self, user: Id) -> Credentials {
        Credentials { user, role: self.role, password: self.password.clone(), epoch: self.epoch }
    }

    /// A session that was not ended; it may be past its time.
    pub(super) fn session(&self, id: Id) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// A session that is live now.
    pub(super) fn session_view(&self, user: Id, session: Id, now: Millis) -> Option<SessionView> {
        let session = self.session(session).filter(|session| now < session.expires_at)?;
        let Session { id, opened_at, expires_at, .. } = *session;
        Some(SessionView { user, session: id, role: self.role, opened_at, expires_at })
    }

    /// Whether a mail can be asked for by who is not signed in.
    pub(super) fn may_ask_for(&self, purpose: Purpose, now: Millis) -> bool {
        let asked_at = match purpose {
            Purpose::Reset => self.reset_asked_at,
            // A guest profile proves its address when it gets a password.
            Purpose::Verify if !self.verified && self.password.is_some() => self.verify_asked_at,
            Purpose::Verify | Purpose::Notice => return false,
        };
        asked_at.is_none_or(|then| now.saturating_sub(then) >= MAIL_EVERY_MS)
    }

    /// A mail that could be owed next.
    pub(super) fn mail(&self, purpose: Purpose, to: Personal, expires_at: Millis) -> OwedMail {
        let token = MailToken { epoch: self.epoch, claim: self.claim, expires_at };
        OwedMail { number: self.mails_made + 1, purpose, to, token }
    }

    /// Whether as many notices wait to be sent as may.
    pub(super) fn notices_wait(&self) -> bool {
        self.mails.iter().filter(|mail| mail.purpose == Purpose::Notice).count() >= MAX_NOTICES
    }

    pub(super) fn owe(&mut self, mail: OwedMail, at: Millis) {
        self.mails_made = mail.number;
        match mail.purpose {
            Purpose::Reset => self.reset_asked_at = Some(at),
            Purpose::Verify => self.verify_asked_at = Some(at),
            Purpose::Notice => {}
        }
        if mail.purpose != Purpose::Notice {
            // The newer one says all that the older would.
            self.forget_mails(mail.purpose);
        }
        self.mails.push(mail);
    }

    fn forget_mails(&mut self, purpose: Purpose) {
        self.mails.retain(|mail| mail.purpose != purpose);
    }

    pub(super) fn open_session(&mut self, opened: OpenSession, at: Millis) {
        self.sessions.retain(|session| at < session.expires_at);
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Session::new(&opened, at));
        if opened.rehashed.is_some() {
            self.password = opened.rehashed;
        }
    }

    /// A new password or role: who was in has to come in again, and what was mailed for the old one is void.
    pub(super) fn begin_epoch(&mut self, keep: Option<Id>) {
        self.epoch += 1;
        self.sessions.retain(|session| Some(session.id) == keep);
        self.forget_mails(Purpose::Reset);
    }

    pub(super) fn reset_password(&mut self, password: Password, at: Millis) {
        if self.password.is_none() || !self.verified {
            self.touch(at);
        }
        self.password = Some(password);
        self.verified = true;
        self.begin_epoch(None);
        self.forget_mails(Purpose::Verify);
    }

    pub(super) fn change(&mut self, change: Change) {
        let Change { name, phone, email: _, role } = change;
        if let Some(name) = name {
            self.name = name;
        }
        if let Some(phone) = phone {
            self.phone = phone;
        }
        if let Some(role) = role.filter(|role| *role != self.role) {
            self.role = role;
            self.begin_epoch(None);
        }
    }

    /// Gives it another address; the claim on the old one.
    pub(super) fn change_email(&mut self, email: NewEmail, claim: u32) -> (Id, u32) {
        // They name the old address.
        self.forget_mails(Purpose::Reset);
        self.forget_mails(Purpose::Verify);
        let old = (self.email.claim, self.claim);
        (self.email, self.claim, self.verified) = (email, claim, false);
        old
    }

    pub(super) fn add_address(&mut self, user: Id, address: Personal) -> PostalAddress {
        self.addresses_made += 1;
        let added = PostalAddress { id: Self::address_id(user, self.addresses_made), address };
        self.addresses.push(added.clone());
        added
    }

    /// The id of the postal address of a user with this number, from 1.
    pub(super) fn address_id(user: Id, number: u32) -> Id {
        Id(user.0 ^ u128::from(number))
    }

    /// A change that clients can see.
    pub(super) fn touch(&mut self, at: Millis) {
        (self.updated_at, self.version) = (at, self.version + 1);
    }
}
