//! A user: an account, or a guest profile without a password.
//!
//! A user has one e-mail address, and no two users have the same: registering and changing it are short sagas
//! with the claim on the address ([`crate::email`]). What is owed until somebody has answered (claims,
//! releases, mails, the destruction of the key that the personal data is encrypted under) is part of the
//! state.
//!
//! Whoever proves to know the password gets a session, and keeps it with a secret that changes at every
//! refresh. `epoch` counts what ends all sessions: passwords and roles that were set.

mod account;
mod apply;
mod claim;
mod decide;
mod mail;
mod profile;
mod session;

pub use mail::{Mail, MailToken, OwedMail, Purpose};
pub use profile::{
    Authority, Change, Credentials, EmailChange, MAX_ADDRESSES, NewEmail, PostalAddress, Profile,
    Registration, View,
};
use serde::{Deserialize, Serialize};
pub use session::{Ended, MAX_SESSIONS, OpenSession, SessionView};

use crate::address::{self, Effect, Id, Kind, Reply};
use crate::entity::{Context, Decision, Entity, Facets, Millis, Stamp};
use crate::keys::{KeyTag, Remembered};
use crate::personal::Personal;
use crate::secret::{Password, SecretHash};
use account::Account;

/// What can be asked of a user.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Make it.
    Register(Box<Registration>),
    /// The claim on an address answers.
    EmailAnswered {
        /// Which.
        email: Id,
        /// Which of this user's claims.
        number: u32,
        /// Whether the address is this user's.
        granted: bool,
    },
    /// The claim on an address was given up.
    EmailReleased {
        /// Which.
        email: Id,
        /// Which of this user's claims.
        number: u32,
    },
    /// The key of the personal data is destroyed.
    KeyDestroyed,
    /// A mail was handed over to who delivers it.
    MailSent {
        /// Which of this user's mails.
        number: u32,
    },
    /// Show it.
    Get,
    /// Change it.
    Change {
        /// What.
        change: Box<Change>,
        /// As whom.
        authority: Authority,
        /// The version the client has seen.
        if_version: Option<u64>,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Forget everything personal, for good.
    Erase {
        /// As whom.
        authority: Authority,
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Add a postal address.
    AddAddress {
        /// As the client gave it (JSON).
        address: Personal,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Replace a postal address.
    SetAddress {
        /// Which.
        id: Id,
        /// As the client gave it (JSON).
        address: Personal,
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Take a postal address out.
    RemoveAddress {
        /// Which.
        id: Id,
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Show the postal addresses.
    Addresses,
    /// Say what a sign-in is checked against.
    Credentials,
    /// The password was right: open a session.
    OpenSession(Box<OpenSession>),
    /// Go on with a session under a new secret.
    Refresh {
        /// Which.
        session: Id,
        /// The hash of the secret that the client has.
        presented: SecretHash,
        /// The hash of the one it gets; the same if the request is repeated.
        next: SecretHash,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Say whether a session is live.
    CheckSession {
        /// Which.
        session: Id,
    },
    /// Sign out.
    EndSession {
        /// Which.
        session: Id,
    },
    /// Sign out everywhere.
    EndSessions,
    /// The old password was right: set a new one.
    SetPassword {
        /// The new one.
        password: Password,
        /// The epoch at which the old one was right.
        epoch: u32,
        /// The session that stays.
        keep: Option<Id>,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// A mailed token was right: set a new password.
    ResetPassword {
        /// The new one.
        password: Password,
        /// The epoch of the token.
        epoch: u32,
        /// The claim on the address that the token was sent to.
        claim: u32,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Send a mail with a token.
    RequestMail {
        /// What for.
        purpose: Purpose,
        /// How long its token is good for, ms.
        ttl_ms: u64,
    },
    /// A mailed token was right: the address is the user's.
    VerifyEmail {
        /// The claim on the address that the token was sent to.
        number: u32,
    },
}

/// What can have happened to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was described; the address is being claimed.
    RegistrationBegun {
        /// The number of the claim.
        number: u32,
        /// What it is.
        registration: Box<Registration>,
    },
    /// The address is another user's.
    RegistrationRefused,
    /// The address is its own.
    Registered {
        /// The mail that asks to verify it, if there is a password.
        mail: Option<Box<OwedMail>>,
    },
    /// It was changed at once: no new address.
    Changed {
        /// What.
        change: Box<Change>,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// A change with a new address began; the address is being claimed.
    EmailChangeBegun(Box<EmailChange>),
    /// The new address is another user's: nothing changed.
    EmailChangeRefused,
    /// The new address is its own, and what else was to change has changed.
    EmailChanged {
        /// To the new address, and to the old one.
        mails: Vec<OwedMail>,
    },
    /// An address that it had is given up.
    EmailReleased {
        /// Which.
        email: Id,
        /// Which of its claims.
        number: u32,
    },
    /// The address has proved to be its own.
    EmailVerified,
    /// A mail is to be sent.
    MailOwed(Box<OwedMail>),
    /// It was sent.
    MailSent {
        /// Which.
        number: u32,
    },
    /// It was not sent in time and would be of no use any more.
    MailLapsed {
        /// Which.
        number: u32,
    },
    /// A postal address was added.
    AddressAdded {
        /// As the client gave it.
        address: Personal,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// A postal address was replaced.
    AddressSet {
        /// Which.
        id: Id,
        /// As the client gave it.
        address: Personal,
    },
    /// A postal address was taken out.
    AddressRemoved {
        /// Which.
        id: Id,
    },
    /// A session began.
    SessionOpened(Box<OpenSession>),
    /// A session goes on.
    SessionRefreshed {
        /// Which.
        session: Id,
        /// The hash of its secret from now on.
        secret: SecretHash,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// A session ended.
    SessionEnded {
        /// Which.
        session: Id,
        /// Why.
        why: Ended,
    },
    /// All sessions ended.
    SessionsEnded,
    /// The password was changed.
    PasswordSet {
        /// The new one.
        password: Password,
        /// The session that stays.
        keep: Option<Id>,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// The password was set by who reads the mail.
    PasswordReset {
        /// The new one.
        password: Password,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Everything personal is forgotten.
    Erased,
    /// And the key that it is encrypted under in the journal is destroyed.
    KeyDestroyed,
}

/// Why a user says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The address is another user's.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another change is under way.
    #[error("another change of the user is in progress")]
    Busy,
    /// Who asks may not do this to this user.
    #[error("this is not allowed for this user")]
    NotAllowed,
    /// The user has changed since the client saw it.
    #[error("the user is at version {current}")]
    VersionConflict {
        /// Its version now.
        current: u64,
    },
    /// It has no such postal address.
    #[error("the user has no such address")]
    AddressNotFound,
    /// It has all the postal addresses that it may have.
    #[error("a user has at most {MAX_ADDRESSES} addresses")]
    TooManyAddresses,
    /// The session is unknown, expired or was ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The secret of the session was used before: somebody has a copy, and the session is ended.
    #[error("the refresh token was used before; the session has ended")]
    RefreshReused,
    /// A password or role was set since the password was checked.
    #[error("the credentials have changed")]
    CredentialsChanged,
    /// The mailed token was used, or the password or the address it was for is not any more what it was.
    #[error("the token is not valid any more")]
    InvalidToken,
}

/// An open question to a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    /// How the registration ended.
    Registered(Option<KeyTag>),
    /// How the change of address with this claim, and under this key, ended.
    Changed(u32, Option<KeyTag>),
    /// What the request with this key came to.
    Keyed(KeyTag),
    /// Whether everything is gone: the data, the key, the claim on the address.
    Erased,
    /// Whether it is done.
    Done,
    /// The user.
    View,
    /// The postal addresses.
    Addresses,
    /// One of them.
    Address(Id),
    /// What a sign-in is checked against.
    Credentials,
    /// A session.
    Session(Id),
}

/// What the request under a key came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kept {
    User(Box<View>),
    Address(PostalAddress),
    Session(Id),
    Done,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Blank,
    Registering(Box<Registration>),
    Refused,
    Active(Box<Account>),
    Erased { key_owed: bool },
}

/// A user's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    id: Id,
    phase: Phase,
    /// How many claims on addresses it ever made: the number of the newest.
    claims: u32,
    /// Claims that it gives up and that have not answered yet.
    releases: Vec<(Id, u32)>,
    keyed: Remembered<Kept>,
}

impl User {
    fn account(&self) -> Option<&Account> {
        match &self.phase {
            Phase::Active(account) => Some(account),
            _ => None,
        }
    }

    /// What clients see.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        self.account().map(|account| account.view(self.id))
    }

    /// Whether it was a user and is forgotten.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        matches!(self.phase, Phase::Erased { .. })
    }

    /// Whether a session is there and was not ended; it may be past its time.
    #[must_use]
    pub fn session_live(&self, session: Id) -> bool {
        self.account().is_some_and(|account| account.session(session).is_some())
    }

    /// The sessions that were not ended, oldest first.
    pub fn sessions(&self) -> impl Iterator<Item = Id> {
        self.account().into_iter().flat_map(|account| &account.sessions).map(|session| session.id)
    }

    /// How often a password or role was set, plus one; 0 if it is no user now.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.account().map_or(0, |account| account.epoch)
    }

    /// The claim that makes its address its own, and the number it has.
    #[must_use]
    pub fn claim_held(&self) -> Option<(Id, u32)> {
        self.account().map(|account| (account.email.claim, account.claim))
    }
}

impl Entity for User {
    const KIND: Kind = Kind::User;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self { id, phase: Phase::Blank, claims: 0, releases: Vec::new(), keyed: Remembered::default() }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if !cx.by.reaches(Some(self.id)) {
            return Decision::reject(Rejection::NotFound);
        }
        self.carry_out(command, cx).unwrap_or_else(Decision::reject)
    }

    fn expire(&self, cx: &Context<'_>) -> Decision<Self> {
        let mails = self.account().into_iter().flat_map(|account| &account.mails);
        let lapsed = mails.filter(|mail| mail.token.expires_at <= cx.now);
        lapsed.fold(Decision::nothing(), |decision, mail| {
            decision.and(Event::MailLapsed { number: mail.number })
        })
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        self.make_true(event, stamp.at);
    }

    fn answer(&self, ask: &Ask, cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        match ask {
            Ask::Registered(tag) => self.registered_answer(*tag, cx.now),
            Ask::Changed(number, tag) => self.changed_answer(*number, *tag, cx.now),
            Ask::Erased => self.erased_answer(),
            Ask::Done => Some(Ok(Reply::Done)),
            _ => Some(self.shown(*ask, cx.now).map_err(Into::into)),
        }
    }

    fn pending(&self) -> Vec<Effect> {
        self.owed()
    }

    fn deadline(&self) -> Option<Millis> {
        self.account()?.mails.iter().map(|mail| mail.token.expires_at).min()
    }

    fn facets(&self) -> Option<Facets> {
        let account = self.account()?;
        Some(Facets { user: Some(self.id), status: account.role as u8, created_at: account.created_at })
    }

    fn at_rest(&self) -> bool {
        self.releases.is_empty()
            && match &self.phase {
                Phase::Blank | Phase::Refused => true,
                Phase::Registering(_) => false,
                Phase::Active(account) => account.changing.is_none() && account.mails.is_empty(),
                Phase::Erased { key_owed } => !key_owed,
            }
    }
}
