//! The saga of the e-mail address: claimed at registration and at a change, released at a change and at
//! erasure.

use super::mail::NOTICE_TTL_MS;
use super::{
    Account, Ask, Change, EmailChange, Event, NewEmail, OwedMail, Phase, Purpose, Registration, Rejection,
    User,
};
use crate::address::{self, Address, Effect, Id, Message, OutsideCall, Reply};
use crate::email;
use crate::entity::{Answer, Context, Decision, Millis};
use crate::keys::{KeyTag, Seen};

type Decided = Result<Decision<User>, address::Rejection>;
type Answered = Option<Result<Reply, address::Rejection>>;

fn to_claim(email: Id, command: email::Command) -> Effect {
    Effect::Send { to: Address::email(email), message: Message::Email(command) }
}

impl User {
    pub(super) fn register(&self, registration: Box<Registration>) -> Decided {
        let tag = registration.tag;
        match &self.phase {
            Phase::Erased { .. } => Err(Rejection::NotFound.into()),
            Phase::Registering(running) if tag.is_some() && running.tag == tag => {
                Ok(Decision::replay(Ask::Registered(tag)))
            }
            Phase::Registering(_) => Err(address::Rejection::KeyReused),
            Phase::Active(_) => match (self.keyed.look_up(tag), tag) {
                (Seen::Same(_), Some(tag)) => Ok(Decision::replay(Ask::Keyed(tag))),
                _ => Err(address::Rejection::KeyReused),
            },
            Phase::Blank | Phase::Refused => {
                let number = self.claims + 1;
                let claim = self.claim(registration.email.claim, number);
                Ok(Decision::record(Event::RegistrationBegun { number, registration })
                    .owing([claim])
                    .answer(Answer::Settle(Ask::Registered(tag))))
            }
        }
    }

    /// Begins a change of address; what else changes waits for it.
    pub(super) fn begin_email_change(
        &self,
        account: &Account,
        email: NewEmail,
        change: Change,
        tag: Option<KeyTag>,
    ) -> Decided {
        if account.notices_wait() {
            return Err(Rejection::Busy.into());
        }
        let number = self.claims + 1;
        let claim = self.claim(email.claim, number);
        let begun = EmailChange { number, email, change, tag };
        Ok(Decision::record(Event::EmailChangeBegun(Box::new(begun)))
            .owing([claim])
            .answer(Answer::Settle(Ask::Changed(number, tag))))
    }

    pub(super) fn email_answered(
        &self,
        email: Id,
        number: u32,
        granted: bool,
        cx: &Context<'_>,
    ) -> Decision<Self> {
        let answers = |wanted: &NewEmail, waiting: u32| (wanted.claim, waiting) == (email, number);
        let keep = to_claim(email, email::Command::Keep { user: self.id, number });
        match &self.phase {
            Phase::Registering(running) if answers(&running.email, self.claims) => {
                if granted {
                    self.registered(running, cx, keep)
                } else {
                    Decision::record(Event::RegistrationRefused)
                }
            }
            Phase::Active(account) => match &account.changing {
                Some(running) if answers(&running.email, running.number) => match granted {
                    true => self.email_changed(account, running, cx, keep),
                    false => Decision::record(Event::EmailChangeRefused),
                },
                _ if granted && answers(&account.email, account.claim) => Decision::nothing().owing([keep]),
                _ => self.give_back(email, number, granted),
            },
            _ => self.give_back(email, number, granted),
        }
    }

    /// An address that it neither has nor waits for is nothing that it may be left with.
    fn give_back(&self, email: Id, number: u32, granted: bool) -> Decision<Self> {
        if granted { Decision::nothing().owing([self.release(email, number)]) } else { Decision::nothing() }
    }

    fn registered(&self, registration: &Registration, cx: &Context<'_>, keep: Effect) -> Decision<Self> {
        let account = Account::new(registration.clone(), self.claims, cx.now);
        let mail = account.password.is_some().then(|| {
            let to = account.email.address.clone();
            account.mail(Purpose::Verify, to, cx.now.saturating_add(cx.policy.verification_ttl_ms))
        });
        let call = mail.as_ref().map(|mail| self.send(&account, mail));
        Decision::record(Event::Registered { mail: mail.map(Box::new) }).owing([keep]).owing(call)
    }

    fn email_changed(
        &self,
        account: &Account,
        running: &EmailChange,
        cx: &Context<'_>,
        keep: Effect,
    ) -> Decision<Self> {
        let mails = Self::mails_of_change(account, running, cx);
        let mut changed = account.clone();
        changed.change(running.change.clone());
        let calls: Vec<Effect> = mails.iter().map(|mail| self.send(&changed, mail)).collect();
        Decision::record(Event::EmailChanged { mails })
            .owing([keep, self.release(account.email.claim, account.claim)])
            .owing(calls)
    }

    /// To the old address that it is replaced, and to the new one, if it is an account's, a token to prove it
    /// by.
    fn mails_of_change(account: &Account, running: &EmailChange, cx: &Context<'_>) -> Vec<OwedMail> {
        let old = account.email.address.clone();
        let mut mails = vec![account.mail(Purpose::Notice, old, cx.now.saturating_add(NOTICE_TTL_MS))];
        if account.password.is_some() {
            let mut verify = account.mail(
                Purpose::Verify,
                running.email.address.clone(),
                cx.now.saturating_add(cx.policy.verification_ttl_ms),
            );
            verify.number += 1;
            verify.token.claim = running.number;
            mails.push(verify);
        }
        mails
    }

    pub(super) fn email_released(&self, email: Id, number: u32) -> Decision<Self> {
        if self.releases.contains(&(email, number)) {
            return Decision::record(Event::EmailReleased { email, number });
        }
        Decision::nothing()
    }

    pub(super) fn erase_effects(&self, account: &Account) -> [Effect; 2] {
        [self.release(account.email.claim, account.claim), self.destroy_key()]
    }

    /// Everything that somebody has yet to answer.
    pub(super) fn owed(&self) -> Vec<Effect> {
        let releases = self.releases.iter().map(|(email, number)| self.release(*email, *number));
        let mut owed: Vec<Effect> = releases.collect();
        match &self.phase {
            Phase::Blank | Phase::Refused | Phase::Erased { key_owed: false } => {}
            Phase::Registering(running) => owed.push(self.claim(running.email.claim, self.claims)),
            Phase::Active(account) => {
                let running = account.changing.as_ref();
                owed.extend(running.map(|running| self.claim(running.email.claim, running.number)));
                owed.extend(account.mails.iter().map(|mail| self.send(account, mail)));
            }
            Phase::Erased { key_owed: true } => owed.push(self.destroy_key()),
        }
        owed
    }

    fn claim(&self, email: Id, number: u32) -> Effect {
        to_claim(email, email::Command::Claim { user: self.id, number })
    }

    fn release(&self, email: Id, number: u32) -> Effect {
        to_claim(email, email::Command::Release { user: self.id, number })
    }

    fn destroy_key(&self) -> Effect {
        Effect::Call(OutsideCall::DestroyKey { user: self.id })
    }

    pub(super) fn registered_answer(&self, tag: Option<KeyTag>, now: Millis) -> Answered {
        let reply = match (&self.phase, tag) {
            (Phase::Blank | Phase::Registering(_), _) => return None,
            (Phase::Refused, _) => Err(Rejection::EmailTaken),
            (Phase::Active(_), Some(tag)) => self.keyed_answer(tag, now),
            (Phase::Active(account), None) => Ok(Reply::User(Box::new(account.view(self.id)))),
            (Phase::Erased { .. }, _) => Err(Rejection::NotFound),
        };
        Some(reply.map_err(Into::into))
    }

    /// Asked at every event, so that a claim that is neither waited for nor the account's has just been
    /// refused.
    pub(super) fn changed_answer(&self, number: u32, tag: Option<KeyTag>, now: Millis) -> Answered {
        let Some(account) = self.account() else { return Some(Err(Rejection::NotFound.into())) };
        if account.changing.as_ref().is_some_and(|running| running.number == number) {
            return None;
        }
        if account.claim < number {
            return Some(Err(Rejection::EmailTaken.into()));
        }
        // The old address can be taken by anybody once the answer is out.
        self.releases.is_empty().then(|| match tag {
            Some(tag) => self.keyed_answer(tag, now).map_err(Into::into),
            None => Ok(Reply::User(Box::new(account.view(self.id)))),
        })
    }

    pub(super) fn erased_answer(&self) -> Answered {
        let gone = matches!(self.phase, Phase::Erased { key_owed: false }) && self.releases.is_empty();
        gone.then_some(Ok(Reply::Done))
    }
}
