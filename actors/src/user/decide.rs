//! What a user decides about its profile, and what it shows.

use super::{Account, Ask, Authority, Change, Command, Event, Kept, Phase, Rejection, User};
use crate::access::Role;
use crate::address::{self, Id, Reply};
use crate::entity::{Answer, Context, Decision, Millis};
use crate::keys::{KeyTag, Seen};
use crate::personal::Personal;
use crate::user::MAX_ADDRESSES;

type Decided = Result<Decision<User>, address::Rejection>;

impl User {
    pub(super) fn carry_out(&self, command: Command, cx: &Context<'_>) -> Decided {
        match command {
            Command::Register(registration) => self.register(registration),
            Command::EmailAnswered { email, number, granted } => {
                Ok(self.email_answered(email, number, granted, cx))
            }
            Command::EmailReleased { email, number } => Ok(self.email_released(email, number)),
            Command::KeyDestroyed => Ok(self.key_destroyed()),
            Command::MailSent { number } => Ok(self.mail_sent(number)),
            Command::Get => Ok(Decision::settle(Ask::View)),
            Command::Change { change, authority, if_version, tag } => {
                self.change(*change, authority, if_version, tag)
            }
            Command::Erase { authority, if_version } => self.erase(authority, if_version),
            Command::AddAddress { address, tag } => self.add_address(address, tag),
            Command::SetAddress { id, address, if_version } => self.set_address(id, address, if_version),
            Command::RemoveAddress { id, if_version } => self.remove_address(id, if_version),
            Command::Addresses => Ok(Decision::settle(Ask::Addresses)),
            Command::Credentials => Ok(Decision::settle(Ask::Credentials)),
            Command::OpenSession(opening) => self.open_session(opening, cx),
            Command::Refresh { session, presented, next, tag } => {
                self.refresh(session, presented, next, tag, cx)
            }
            Command::CheckSession { session } => Ok(Decision::settle(Ask::Session(session))),
            Command::EndSession { session } => Ok(self.end_session(session)),
            Command::EndSessions => Ok(self.end_sessions()),
            Command::SetPassword { password, epoch, keep, tag } => {
                self.set_password(password, epoch, keep, tag)
            }
            Command::ResetPassword { password, epoch, claim, tag } => {
                self.reset_password(password, epoch, claim, tag)
            }
            Command::RequestMail { purpose, ttl_ms } => Ok(self.request_mail(purpose, ttl_ms, cx)),
            Command::VerifyEmail { number } => self.verify_email(number),
        }
    }

    pub(super) fn active(&self) -> Result<&Account, Rejection> {
        self.account().ok_or(Rejection::NotFound)
    }

    /// The answer that was given under this key, if it is not new.
    pub(super) fn repeated(&self, tag: Option<KeyTag>) -> Result<Option<Decision<Self>>, address::Rejection> {
        match (self.keyed.look_up(tag), tag) {
            (Seen::Same(_), Some(tag)) => Ok(Some(Decision::replay(Ask::Keyed(tag)))),
            (Seen::Other, _) => Err(address::Rejection::KeyReused),
            _ => Ok(None),
        }
    }

    fn change(
        &self,
        mut change: Change,
        authority: Authority,
        if_version: Option<u64>,
        tag: Option<KeyTag>,
    ) -> Decided {
        let account = self.active()?;
        account.admits(authority)?;
        if let Some(repeated) = self.repeated(tag)? {
            return Ok(repeated);
        }
        if let Some(running) = &account.changing {
            return match (running.tag, tag) {
                (Some(first), Some(tag)) if first == tag => {
                    Ok(Decision::replay(Ask::Changed(running.number, Some(tag))))
                }
                (Some(first), Some(tag)) if first.key == tag.key => Err(address::Rejection::KeyReused),
                _ => Err(Rejection::Busy.into()),
            };
        }
        account.check_version(if_version)?;
        change.role = change.role.filter(|role| *role != account.role);
        if change.role.is_some() && authority != Authority::Admin {
            return Err(Rejection::NotAllowed.into());
        }
        // Another spelling of the address it has is no change.
        let email = change.email.take().filter(|email| email.claim != account.email.claim);
        if let Some(email) = email {
            return self.begin_email_change(account, email, change, tag);
        }
        if tag.is_none() && change == Change::default() {
            return Ok(Decision::settle(Ask::View));
        }
        // One that changes nothing is recorded for its key: it must not be carried out when it comes again.
        let changed = Event::Changed { change: Box::new(change), tag };
        Ok(Decision::record(changed).answer(Answer::Settle(tag.map_or(Ask::View, Ask::Keyed))))
    }

    fn erase(&self, authority: Authority, if_version: Option<u64>) -> Decided {
        let account = self.active()?;
        account.admits(authority)?;
        account.check_version(if_version)?;
        let effects = self.erase_effects(account);
        Ok(Decision::record(Event::Erased).owing(effects).answer(Answer::Settle(Ask::Erased)))
    }

    fn key_destroyed(&self) -> Decision<Self> {
        match self.phase {
            Phase::Erased { key_owed: true } => Decision::record(Event::KeyDestroyed),
            _ => Decision::nothing(),
        }
    }

    fn add_address(&self, address: Personal, tag: Option<KeyTag>) -> Decided {
        let account = self.active()?;
        if let Some(repeated) = self.repeated(tag)? {
            return Ok(repeated);
        }
        if account.addresses.len() >= MAX_ADDRESSES {
            return Err(Rejection::TooManyAddresses.into());
        }
        let ask =
            tag.map_or(Ask::Address(Account::address_id(self.id, account.addresses_made + 1)), Ask::Keyed);
        Ok(Decision::record(Event::AddressAdded { address, tag }).answer(Answer::Settle(ask)))
    }

    fn set_address(&self, id: Id, address: Personal, if_version: Option<u64>) -> Decided {
        let account = self.active()?;
        let known = account.addresses.iter().find(|known| known.id == id);
        let known = known.ok_or(Rejection::AddressNotFound)?;
        account.check_version(if_version)?;
        let decision = match known.address == address {
            true => Decision::nothing(),
            false => Decision::record(Event::AddressSet { id, address }),
        };
        Ok(decision.answer(Answer::Settle(Ask::Address(id))))
    }

    fn remove_address(&self, id: Id, if_version: Option<u64>) -> Decided {
        let account = self.active()?;
        if account.addresses.iter().any(|known| known.id == id) {
            account.check_version(if_version)?;
            return Ok(Decision::record(Event::AddressRemoved { id }).answer(Answer::Settle(Ask::Done)));
        }
        // One that it had is gone already.
        match (1..=u128::from(account.addresses_made)).contains(&(id.0 ^ self.id.0)) {
            true => Ok(Decision::settle(Ask::Done)),
            false => Err(Rejection::AddressNotFound.into()),
        }
    }

    /// What the state shows at once.
    pub(super) fn shown(&self, ask: Ask, now: Millis) -> Result<Reply, Rejection> {
        match ask {
            Ask::Keyed(tag) => self.keyed_answer(tag, now),
            Ask::Session(session) => {
                let view = self.account().and_then(|account| account.session_view(self.id, session, now));
                view.map(Reply::Session).ok_or(Rejection::SessionEnded)
            }
            Ask::Addresses => Ok(Reply::PostalAddresses(self.active()?.addresses.clone())),
            Ask::Address(id) => {
                let known = self.active()?.addresses.iter().find(|known| known.id == id);
                known.cloned().map(Reply::PostalAddress).ok_or(Rejection::AddressNotFound)
            }
            Ask::Credentials => Ok(Reply::Credentials(Box::new(self.active()?.credentials(self.id)))),
            _ => Ok(Reply::User(Box::new(self.active()?.view(self.id)))),
        }
    }

    /// What the request under this key came to; [`Rejection::NotFound`] once that is erased.
    pub(super) fn keyed_answer(&self, tag: KeyTag, now: Millis) -> Result<Reply, Rejection> {
        match self.keyed.get(tag).ok_or(Rejection::NotFound)? {
            Kept::User(view) => Ok(Reply::User(view.clone())),
            Kept::Address(address) => Ok(Reply::PostalAddress(address.clone())),
            Kept::Session(session) => self.shown(Ask::Session(*session), now),
            Kept::Done => Ok(Reply::Done),
        }
    }
}

impl Account {
    fn admits(&self, authority: Authority) -> Result<(), Rejection> {
        match authority {
            Authority::Staff if self.role != Role::Customer => Err(Rejection::NotAllowed),
            _ => Ok(()),
        }
    }

    fn check_version(&self, seen: Option<u64>) -> Result<(), Rejection> {
        match seen {
            Some(seen) if seen != self.version => Err(Rejection::VersionConflict { current: self.version }),
            _ => Ok(()),
        }
    }
}
