//! Sessions: what a sign-in opens, and a secret that changes at every refresh keeps alive.

use serde::{Deserialize, Serialize};

use super::{Ask, Event, Kept, Rejection, User};
use crate::access::Role;
use crate::address::{self, Id};
use crate::entity::{Answer, Context, Decision, Millis};
use crate::keys::{KeyTag, Seen};
use crate::secret::{Password, SecretHash};

/// Sessions of one user at the most; the oldest ends when one more is opened.
pub const MAX_SESSIONS: usize = 20;

/// The password was right.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct OpenSession {
    /// The id of the session; the same if the request is repeated.
    pub session: Id,
    /// The hash of its secret; the same if the request is repeated.
    pub secret: SecretHash,
    /// The epoch at which the password was right.
    pub epoch: u32,
    /// The same password hashed in today's way, if it was hashed in an older one.
    pub rehashed: Option<Password>,
    /// How long it lives without a refresh, ms.
    pub ttl_ms: u64,
    /// The client's key.
    pub tag: Option<KeyTag>,
}

/// Why a session ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// The user signed out.
    SignedOut,
    /// A secret came that was used before, or never was one.
    Reused,
}

/// A session that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Whose.
    pub user: Id,
    /// Its id.
    pub session: Id,
    /// What the user is.
    pub role: Role,
    /// When it was opened.
    pub opened_at: Millis,
    /// When it ends unless it is refreshed.
    pub expires_at: Millis,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: Id,
    pub(super) secret: SecretHash,
    ttl_ms: u64,
    pub(super) opened_at: Millis,
    pub(super) expires_at: Millis,
    /// The key of the refresh that the secret comes from.
    refreshed_by: Option<KeyTag>,
}

impl Session {
    pub(super) fn new(opened: &OpenSession, at: Millis) -> Self {
        Self {
            id: opened.session,
            secret: opened.secret,
            ttl_ms: opened.ttl_ms,
            opened_at: at,
            expires_at: at.saturating_add(opened.ttl_ms),
            refreshed_by: None,
        }
    }

    pub(super) fn refresh(&mut self, secret: SecretHash, tag: Option<KeyTag>, at: Millis) {
        (self.secret, self.refreshed_by) = (secret, tag);
        self.expires_at = at.saturating_add(self.ttl_ms);
    }
}

type Decided = Result<Decision<User>, address::Rejection>;

impl User {
    pub(super) fn open_session(&self, opening: Box<OpenSession>, cx: &Context<'_>) -> Decided {
        let account = self.active()?;
        match (self.keyed.look_up(opening.tag), opening.tag) {
            // The repetition gets the same session, or else a client would be given a secret that is not its.
            (Seen::Same(Kept::Session(session)), Some(tag)) if *session == opening.session => {
                return Ok(Decision::replay(Ask::Keyed(tag)));
            }
            (Seen::Same(_) | Seen::Other, _) => return Err(address::Rejection::KeyReused),
            (Seen::Never, _) => {}
        }
        if let Some(known) = account.session(opening.session) {
            return match known.secret == opening.secret && cx.now < known.expires_at {
                true => Ok(Decision::replay(Ask::Session(known.id))),
                false => Err(address::Rejection::KeyReused),
            };
        }
        if account.password.is_none() || account.epoch != opening.epoch {
            return Err(Rejection::CredentialsChanged.into());
        }
        let ask = Ask::Session(opening.session);
        Ok(Decision::record(Event::SessionOpened(opening)).answer(Answer::Settle(ask)))
    }

    /// Every secret is good for one refresh. One that comes again, and not by a repetition of the very
    /// request that used it up, has been copied: nobody can tell who is who, so the session ends.
    pub(super) fn refresh(
        &self,
        session: Id,
        presented: SecretHash,
        next: SecretHash,
        tag: Option<KeyTag>,
        cx: &Context<'_>,
    ) -> Decided {
        let known = self.account().and_then(|account| account.session(session));
        let known = known.filter(|known| cx.now < known.expires_at).ok_or(Rejection::SessionEnded)?;
        if known.secret == presented {
            let same_key =
                matches!((known.refreshed_by, tag), (Some(last), Some(tag)) if last.key == tag.key);
            if same_key || next == presented {
                return Err(address::Rejection::KeyReused);
            }
            let refreshed = Event::SessionRefreshed { session, secret: next, tag };
            return Ok(Decision::record(refreshed).answer(Answer::Settle(Ask::Session(session))));
        }
        if tag.is_some() && tag == known.refreshed_by && known.secret == next {
            return Ok(Decision::replay(Ask::Session(session)));
        }
        let ended = Event::SessionEnded { session, why: Ended::Reused };
        Ok(Decision::record(ended).answer(Answer::Reject(Rejection::RefreshReused.into())))
    }

    pub(super) fn end_session(&self, session: Id) -> Decision<Self> {
        let decision = match self.session_live(session) {
            true => Decision::record(Event::SessionEnded { session, why: Ended::SignedOut }),
            false => Decision::nothing(),
        };
        decision.answer(Answer::Settle(Ask::Done))
    }

    pub(super) fn end_sessions(&self) -> Decision<Self> {
        let decision = match self.sessions().next() {
            Some(_) => Decision::record(Event::SessionsEnded),
            None => Decision::nothing(),
        };
        decision.answer(Answer::Settle(Ask::Done))
    }

    pub(super) fn set_password(
        &self,
        password: Password,
        epoch: u32,
        keep: Option<Id>,
        tag: Option<KeyTag>,
    ) -> Decided {
        let account = self.active()?;
        if let Some(repeated) = self.repeated(tag)? {
            return Ok(repeated);
        }
        if account.password.is_none() || account.epoch != epoch {
            return Err(Rejection::CredentialsChanged.into());
        }
        let set = Event::PasswordSet { password, keep, tag };
        Ok(Decision::record(set).answer(Answer::Settle(Ask::Done)))
    }

    /// The token is good once: setting a password counts the epoch up. A guest profile becomes an account so.
    pub(super) fn reset_password(
        &self,
        password: Password,
        epoch: u32,
        claim: u32,
        tag: Option<KeyTag>,
    ) -> Decided {
        let account = self.account().ok_or(Rejection::InvalidToken)?;
        if let Some(repeated) = self.repeated(tag)? {
            return Ok(repeated);
        }
        if (account.epoch, account.claim) != (epoch, claim) {
            return Err(Rejection::InvalidToken.into());
        }
        let reset = Event::PasswordReset { password, tag };
        Ok(Decision::record(reset).answer(Answer::Settle(Ask::Done)))
    }
}
