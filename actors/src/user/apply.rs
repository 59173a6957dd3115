//! What the events of a user come to.

use super::{Account, Change, Event, Kept, Phase, User};
use crate::entity::Millis;
use crate::keys::{KeyTag, Remembered};

impl User {
    pub(super) fn make_true(&mut self, event: Event, at: Millis) {
        match event {
            Event::RegistrationBegun { number, registration } => {
                self.claims = number;
                self.phase = Phase::Registering(registration);
            }
            Event::RegistrationRefused => self.phase = Phase::Refused,
            Event::Registered { mail } => self.register_now(mail.map(|mail| *mail), at),
            Event::EmailReleased { email, number } => {
                self.releases.retain(|owed| *owed != (email, number));
            }
            Event::Erased => self.forget_all(),
            Event::KeyDestroyed => self.phase = Phase::Erased { key_owed: false },
            Event::EmailChangeBegun(begun) => {
                self.claims = begun.number;
                if let Phase::Active(account) = &mut self.phase {
                    account.changing = Some(begun);
                }
            }
            event => self.change_account(event, at),
        }
    }

    fn register_now(&mut self, mail: Option<super::OwedMail>, at: Millis) {
        let Phase::Registering(registration) = std::mem::replace(&mut self.phase, Phase::Refused) else {
            return;
        };
        let tag = registration.tag;
        let mut account = Account::new(*registration, self.claims, at);
        if let Some(mail) = mail {
            account.owe(mail, at);
        }
        self.phase = Phase::Active(Box::new(account));
        self.remember_view(tag, at);
    }

    fn forget_all(&mut self) {
        if let Phase::Active(account) = &self.phase {
            self.releases.push((account.email.claim, account.claim));
        }
        self.phase = Phase::Erased { key_owed: true };
        self.keyed = Remembered::default();
    }

    fn change_account(&mut self, event: Event, at: Millis) {
        let id = self.id;
        let Phase::Active(account) = &mut self.phase else { return };
        match event {
            Event::Changed { change, tag } => {
                if *change != Change::default() {
                    account.change(*change);
                    account.touch(at);
                }
                self.remember_view(tag, at);
            }
            Event::EmailChangeRefused => account.changing = None,
            Event::EmailChanged { mails } => {
                let Some(running) = account.changing.take() else { return };
                self.releases.push(account.change_email(running.email, running.number));
                account.change(running.change);
                mails.into_iter().for_each(|mail| account.owe(mail, at));
                account.touch(at);
                self.remember_view(running.tag, at);
            }
            Event::EmailVerified => {
                account.verified = true;
                account.touch(at);
            }
            Event::MailOwed(mail) => account.owe(*mail, at),
            Event::MailSent { number } | Event::MailLapsed { number } => {
                account.mails.retain(|mail| mail.number != number);
            }
            Event::AddressAdded { address, tag } => {
                let added = account.add_address(id, address);
                account.touch(at);
                self.remember(tag, at, Kept::Address(added));
            }
            Event::AddressSet { id, address } => {
                if let Some(known) = account.addresses.iter_mut().find(|known| known.id == id) {
                    known.address = address;
                }
                account.touch(at);
            }
            Event::AddressRemoved { id } => {
                account.addresses.retain(|known| known.id != id);
                account.touch(at);
            }
            event => self.change_sessions(event, at),
        }
    }

    fn change_sessions(&mut self, event: Event, at: Millis) {
        let Phase::Active(account) = &mut self.phase else { return };
        match event {
            Event::SessionOpened(opened) => {
                let (tag, session) = (opened.tag, opened.session);
                account.open_session(*opened, at);
                self.remember(tag, at, Kept::Session(session));
            }
            Event::SessionRefreshed { session, secret, tag } => {
                if let Some(known) = account.sessions.iter_mut().find(|known| known.id == session) {
                    known.refresh(secret, tag, at);
                }
            }
            Event::SessionEnded { session, why: _ } => account.sessions.retain(|known| known.id != session),
            Event::SessionsEnded => account.sessions.clear(),
            Event::PasswordSet { password, keep, tag } => {
                account.password = Some(password);
                account.begin_epoch(keep);
                self.remember(tag, at, Kept::Done);
            }
            Event::PasswordReset { password, tag } => {
                account.reset_password(password, at);
                self.remember(tag, at, Kept::Done);
            }
            _ => {}
        }
    }

    fn remember_view(&mut self, tag: Option<KeyTag>, at: Millis) {
        if let Some(view) = self.view() {
            self.remember(tag, at, Kept::User(Box::new(view)));
        }
    }

    fn remember(&mut self, tag: Option<KeyTag>, at: Millis, kept: Kept) {
        if let Some(tag) = tag {
            self.keyed.insert(tag, at, kept);
        }
    }
}
