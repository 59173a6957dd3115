//! Who calls, and who may call what.
//!
//! The table of routes in [`crate::routes`] names an [`Access`] for every route, and [`permit`] is the one place
//! where it is enforced. What a role may do stands in [`relampago_actors::access`]. Whose carts, orders and
//! accounts a caller reaches is decided by these themselves: they are told in whose name they are asked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use relampago_actors::access::{Permission, Permissions, Role};
use relampago_actors::audit::Actor;
use relampago_actors::{Address, Id, Message, Millis, Party, Rejection, Reply, api_keys, user};
use relampago_engine::{Answered, AskError, Engine, Watch};

use crate::access::jwt::Issuer;
use crate::access::opaque::ApiKey;
use crate::access::verified::{Fingerprint, Verified};
use crate::error::{Kind, Problem};

const API_KEY: &str = "x-api-key";
/// Credentials that are not verified again while they are in use.
const REMEMBERED: usize = 100_000;
/// A key is asked for again after this at the latest, ms: its own end may have come.
const KEY_REMEMBERED_MS: Millis = 60_000;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; credentials are not even looked at, so that a probe need not know any.
    Open,
    /// Everybody whose credential is good, or who has none.
    Anyone,
    /// Who has this permission.
    Needs(Permission),
}

impl From<Permission> for Access {
    fn from(permission: Permission) -> Self {
        Self::Needs(permission)
    }
}

/// Which API key a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceKey {
    /// The one that the shop was set up with.
    Bootstrap,
    /// One that was made for it.
    Made(Id),
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody without a credential.
    Guest,
    /// Somebody who has signed in.
    Account {
        /// Who.
        user: Id,
        /// As what.
        role: Role,
        /// In which session.
        session: Id,
    },
    /// A program with an API key.
    Service {
        /// Which key.
        key: ServiceKey,
        /// What it is good for.
        permissions: Permissions,
    },
}

impl Caller {
    /// Who has the key that the shop was set up with.
    fn bootstrap() -> Self {
        Self::Service { key: ServiceKey::Bootstrap, permissions: Role::Admin.permissions() }
    }

    /// What the caller may do.
    pub(crate) fn permissions(self) -> Permissions {
        match self {
            Self::Guest => Permissions::of_guests(),
            Self::Account { role, .. } => role.permissions(),
            Self::Service { permissions, .. } => permissions,
        }
    }

    /// Whether the caller may do this.
    pub(crate) fn may(self, permission: Permission) -> bool {
        self.permissions().allow(permission)
    }

    /// In whose name the caller asks.
    pub(crate) fn party(self) -> Party {
        if self.may(Permission::OrdersManage) {
            return Party::Shop;
        }
        match self {
            Self::Account { user, .. } => Party::User(user),
            Self::Guest | Self::Service { .. } => Party::Guest,
        }
    }

    /// The caller's account.
    pub(crate) fn user(self) -> Option<Id> {
        match self {
            Self::Account { user, .. } => Some(user),
            Self::Guest | Self::Service { .. } => None,
        }
    }

    /// The caller's account and session, for what only accounts can do.
    ///
    /// # Errors
    /// 401 for somebody without a credential, 403 for a program.
    pub(crate) fn account(self) -> Result<(Id, Id), Problem> {
        match self {
            Self::Account { user, session, .. } => Ok((user, session)),
            Self::Guest => {
                Err(Problem::new(Kind::AUTHENTICATION_REQUIRED, "Sign in and send the access token."))
            }
            Self::Service { .. } => {
                Err(Problem::new(Kind::FORBIDDEN, "This is for accounts, not for programs."))
            }
        }
    }

    /// What the record says of the caller.
    pub(crate) fn actor(self) -> Actor {
        match self {
            Self::Guest => Actor::Guest,
            Self::Account { user, .. } => Actor::User(user),
            Self::Service { key: ServiceKey::Bootstrap, .. } => Actor::Bootstrap,
            Self::Service { key: ServiceKey::Made(id), .. } => Actor::Key(id),
        }
    }

    /// As what the caller has signed in.
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Account { role, .. } => Some(role),
            Self::Guest | Self::Service { .. } => None,
        }
    }

    /// What tells the caller's idempotency keys from those of others: a kind and an id.
    pub(crate) fn scope(self) -> [u8; 17] {
        let (kind, id) = match self {
            Self::Guest => (0, 0),
            Self::Account { user, .. } => (1, user.0),
            Self::Service { key: ServiceKey::Bootstrap, .. } => (2, 0),
            Self::Service { key: ServiceKey::Made(id), .. } => (3, id.0),
        };
        let mut scope = [kind; 17];
        scope[1..].copy_from_slice(&id.to_be_bytes());
        scope
    }
}

/// A credential that was good a moment ago.
#[derive(Clone)]
struct Known {
    caller: Caller,
    /// Tells when it is good no more.
    watch: Arc<Watch>,
    /// When the use of a key was last noted.
    noted: Arc<AtomicU64>,
}

/// The credentials that are accepted.
pub(crate) struct Auth {
    bootstrap: blake3::Hash,
    issuer: Arc<Issuer>,
    known: Verified<Known>,
    /// Longest time to wait for the entity that knows a credential.
    patience: Duration,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// Accepts `bootstrap` for everything, the tokens of `issuer`, and the API keys that were made.
    pub(crate) fn new(bootstrap: blake3::Hash, issuer: Arc<Issuer>, patience: Duration) -> Self {
        Self { bootstrap, issuer, known: Verified::with_capacity(REMEMBERED), patience }
    }

    /// Who calls.
    ///
    /// # Errors
    /// 401 for a bad credential.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        access: Access,
        engine: &Engine,
    ) -> Result<Caller, Problem> {
        if access == Access::Open {
            return Ok(Caller::Guest);
        }
        let credentials =
            headers.get_all(AUTHORIZATION).iter().count() + headers.get_all(API_KEY).iter().count();
        match (headers.get(AUTHORIZATION), headers.get(API_KEY)) {
            // Whoever stands in between must not read another one than we do.
            _ if credentials > 1 => Err(invalid_token("Send one credential, not two.")),
            (Some(token), _) => self.by_token(token, engine).await,
            (None, Some(key)) => self.by_key(key.as_bytes(), engine).await,
            (None, None) => Ok(Caller::Guest),
        }
    }

    /// Who calls with what these headers hold, if that is known without asking anybody.
    pub(crate) fn known(
        &self,
        authorization: Option<&[u8]>,
        api_key: Option<&[u8]>,
        engine: &Engine,
    ) -> Option<Caller> {
        let known = match (authorization, api_key) {
            (None, None) => return Some(Caller::Guest),
            (Some(token), None) => self.known_token(&Fingerprint::of(bearer(token)?), engine.now())?,
            (None, Some(key)) => {
                let fingerprint = Fingerprint::of(key);
                if fingerprint.digest() == self.bootstrap {
                    return Some(Caller::bootstrap());
                }
                let now = engine.now();
                let known = self.known_key(&fingerprint, now)?;
                note_use(&known, now, engine, self.patience);
                known
            }
            (Some(_), Some(_)) => return None,
        };
        known.watch.ended().is_none().then_some(known.caller)
    }

    fn known_token(&self, fingerprint: &Fingerprint, now: Millis) -> Option<Known> {
        // An API key is no access token, wherever it was seen before.
        self.known.get(fingerprint, now).filter(|known| known.caller.user().is_some())
    }

    fn known_key(&self, fingerprint: &Fingerprint, now: Millis) -> Option<Known> {
        // An access token is no API key either.
        self.known.get(fingerprint, now).filter(|known| known.caller.user().is_none())
    }

    async fn by_token(&self, value: &HeaderValue, engine: &Engine) -> Result<Caller, Problem> {
        let token = bearer(value.as_bytes()).and_then(|token| std::str::from_utf8(token).ok());
        let Some(token) = token else {
            return Err(invalid_token("Send the access token as \"Bearer\"."));
        };
        let (fingerprint, now) = (Fingerprint::of(token.as_bytes()), engine.now());
        if let Some(known) = self.known_token(&fingerprint, now) {
            return self.still_good(&known, engine, Kind::INVALID_TOKEN).await;
        }
        let claims = self.issuer.verify(token, now).map_err(|fault| {
            tracing::debug!(%fault, "an access token is refused");
            not_ours()
        })?;
        let at = Address::user(claims.user);
        let watch = engine.watch(at, claims.session);
        let check = Message::User(user::Command::CheckSession { session: claims.session });
        match engine.ask(at, Party::Shop, check, self.patience).await {
            Ok(Answered { reply: Reply::Session(live), .. }) if live.role == claims.role => {
                let caller =
                    Caller::Account { user: claims.user, role: claims.role, session: claims.session };
                let known = Known { caller, watch, noted: Arc::default() };
                self.known.insert(fingerprint, known, claims.expires_at_ms);
                Ok(caller)
            }
            Ok(_) | Err(AskError::Rejected { rejection: Rejection::User(_), .. }) => Err(not_ours()),
            Err(error) => Err(error.into()),
        }
    }

    async fn by_key(&self, text: &[u8], engine: &Engine) -> Result<Caller, Problem> {
        let (fingerprint, now) = (Fingerprint::of(text), engine.now());
        // Digests compare in constant time.
        if fingerprint.digest() == self.bootstrap {
            return Ok(Caller::bootstrap());
        }
        if let Some(known) = self.known_key(&fingerprint, now) {
            note_use(&known, now, engine, self.patience);
            return self.still_good(&known, engine, Kind::INVALID_API_KEY).await;
        }
        let key = std::str::from_utf8(text).ok().and_then(|text| ApiKey::decode(text).ok());
        let Some(key) = key else { return Err(unknown_key()) };
        let at = Address::api_keys();
        let watch = engine.watch(at, key.id);
        let digest = key.secret.hash();
        let check = Message::ApiKeys(api_keys::Command::Check { id: key.id, digest });
        match engine.ask(at, Party::Shop, check, self.patience).await {
            Ok(Answered { reply: Reply::ApiKey(view), .. }) => {
                let caller =
                    Caller::Service { key: ServiceKey::Made(view.id), permissions: view.permissions };
                let known = Known { caller, watch, noted: Arc::default() };
                note_use(&known, now, engine, self.patience);
                let until = view.expires_at.unwrap_or(Millis::MAX).min(now + KEY_REMEMBERED_MS);
                self.known.insert(fingerprint, known, until);
                Ok(caller)
            }
            Ok(_) | Err(AskError::Rejected { rejection: Rejection::ApiKey(_), .. }) => Err(unknown_key()),
            Err(error) => Err(error.into()),
        }
    }

    /// The caller, unless the credential has ended meanwhile. That is told once it is durable.
    async fn still_good(&self, known: &Known, engine: &Engine, ended: Kind) -> Result<Caller, Problem> {
        let Some(sequence) = known.watch.ended() else { return Ok(known.caller) };
        engine.durable(sequence).await?;
        Err(Problem::new(ended, "The credential is no longer good."))
    }
}

/// The token in `Bearer <token>`.
pub(crate) fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = (&authorization[..space], &authorization[space + 1..]);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

/// Whether a caller may call a route: the one place where this is enforced.
///
/// # Errors
/// 401 for no credential where one is needed; 403 for one that is not good for this.
pub(crate) fn permit(caller: Caller, access: Access) -> Result<(), Problem> {
    match access {
        Access::Needs(permission) if !caller.may(permission) => Err(refused(caller, permission)),
        _ => Ok(()),
    }
}

/// Notes the use of an API key, at most once in a while.
fn note_use(known: &Known, now: Millis, engine: &Engine, patience: Duration) {
    let Caller::Service { key: ServiceKey::Made(id), .. } = known.caller else { return };
    let last = known.noted.load(Ordering::Relaxed);
    if now < last + api_keys::USE_NOTED_EVERY_MS {
        return;
    }
    if known.noted.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        let engine = engine.clone();
        #[expect(clippy::disallowed_methods, reason = "once a minute and key, and bounded by the patience")]
        tokio::spawn(async move {
            let used = Message::ApiKeys(api_keys::Command::Used { id });
            // It is noted at the next use if not now.
            let _noted = engine.ask(Address::api_keys(), Party::Shop, used, patience).await;
        });
    }
}

fn refused(caller: Caller, permission: Permission) -> Problem {
    let scope = permission.scope();
    match caller {
        Caller::Guest => {
            let detail = "Sign in and send the access token, or send an API key in X-API-Key.";
            Problem::new(Kind::AUTHENTICATION_REQUIRED, detail)
        }
        Caller::Account { .. } => Problem::new(Kind::FORBIDDEN, format!("This needs {scope:?}.")),
        Caller::Service { .. } => {
            Problem::new(Kind::FORBIDDEN, format!("The API key does not have the scope {scope:?}."))
        }
    }
}

fn invalid_token(detail: &'static str) -> Problem {
    Problem::new(Kind::INVALID_TOKEN, detail)
}

fn not_ours() -> Problem {
    invalid_token("The access token is not one of this shop, or has ended.")
}

fn unknown_key() -> Problem {
    Problem::new(Kind::INVALID_API_KEY, "The API key is not one of this shop.")
}
