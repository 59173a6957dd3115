//! Mails that a user owes: content of events, so that none is lost, and ended by the answer of who sends
//! them.

use serde::{Deserialize, Serialize};

use super::{Account, Ask, Event, Rejection, User};
use crate::address::{self, Effect, Id, OutsideCall};
use crate::entity::{Answer, Context, Decision, Millis};
use crate::personal::Personal;

/// How long it is worth telling an old address that it was replaced, ms: a week.
pub(super) const NOTICE_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How soon a mail of one purpose may be asked for again, ms.
pub(super) const MAIL_EVERY_MS: u64 = 60_000;

/// Notices that may wait to be sent: none is dropped for a newer one, so nobody can push out the first by
/// changing the address again and again.
pub(super) const MAX_NOTICES: usize = 10;

/// What a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// To set a password by.
    Reset,
    /// To prove the address by.
    Verify,
    /// To tell an old address that it was replaced.
    Notice,
}

/// What the token in a mail says, besides whose it is and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailToken {
    /// The user's epoch when it was owed.
    pub epoch: u32,
    /// The claim on the address it is sent to.
    pub claim: u32,
    /// Until when it is good.
    pub expires_at: Millis,
}

/// A mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwedMail {
    /// Which of the user's mails.
    pub number: u32,
    /// What for.
    pub purpose: Purpose,
    /// Where to.
    pub to: Personal,
    /// What its token says; a notice has none, and is of no use after its time either.
    pub token: MailToken,
}

/// A mail, as the outside world is asked to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// Whose.
    pub user: Id,
    /// Which of the user's mails: the same mail has the same number when it is asked for again.
    pub number: u32,
    /// What for.
    pub purpose: Purpose,
    /// Where to.
    pub to: Personal,
    /// The user's name.
    pub name: Personal,
    /// What its token says.
    pub token: MailToken,
    /// Its language: 0 English, 1 Spanish.
    pub locale: u8,
}

impl User {
    /// Done whatever comes of it: the answer tells nothing of who is a user.
    pub(super) fn request_mail(&self, purpose: Purpose, ttl_ms: u64, cx: &Context<'_>) -> Decision<Self> {
        let done = Answer::Settle(Ask::Done);
        let Some(account) = self.account().filter(|account| account.may_ask_for(purpose, cx.now)) else {
            return Decision::nothing().answer(done);
        };
        let owed = account.mail(purpose, account.email.address.clone(), cx.now.saturating_add(ttl_ms));
        let call = self.send(account, &owed);
        Decision::record(Event::MailOwed(Box::new(owed))).owing([call]).answer(done)
    }

    pub(super) fn mail_sent(&self, number: u32) -> Decision<Self> {
        let owed =
            self.account().is_some_and(|account| account.mails.iter().any(|mail| mail.number == number));
        if owed { Decision::record(Event::MailSent { number }) } else { Decision::nothing() }
    }

    pub(super) fn verify_email(&self, number: u32) -> Result<Decision<Self>, address::Rejection> {
        let account = self.account().filter(|account| account.claim == number);
        let account = account.ok_or(Rejection::InvalidToken)?;
        let decision = match account.verified {
            true => Decision::nothing(),
            false => Decision::record(Event::EmailVerified),
        };
        Ok(decision.answer(Answer::Settle(Ask::Done)))
    }

    /// The call that sends a mail of an account of this user.
    pub(super) fn send(&self, account: &Account, owed: &OwedMail) -> Effect {
        let OwedMail { number, purpose, to, token } = owed.clone();
        let (name, locale) = (account.name.clone(), account.locale);
        Effect::Call(OutsideCall::Mail(Mail { user: self.id, number, purpose, to, name, token, locale }))
    }
}
