//! What signing in and verifying needs, put together from the settings and the keys.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use ipnet::IpNet;
use relampago_actors::Millis;
use relampago_actors::keys::Remembered;
use relampago_config::Settings;
use relampago_keys::{Keys, KeysError, SigningSet};
use tokio::sync::Mutex;

use super::jwt::{Issuer, KeyFault, SigningKey, VerifyingKey};
use super::origin::origin;
use super::passwords::Passwords;
use super::throttle::Throttle;

/// Who may come in cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The signing keys cannot be used.
    #[error("a signing key cannot be used: {0}")]
    Signing(String),
    /// The key ring cannot be changed.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The threads that compare passwords cannot be started.
    #[error("cannot start the threads that compare passwords: {0}")]
    Passwords(#[from] io::Error),
}

impl From<KeyFault> for GateError {
    fn from(fault: KeyFault) -> Self {
        Self::Signing(fault.to_string())
    }
}

/// The parts that sign-in is made of.
pub(crate) struct Gate {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) access_ttl_s: u64,
    pub(crate) refresh_ttl_ms: u64,
    pub(crate) reset_ttl_ms: u64,
    pub(crate) verification_ttl_ms: u64,
    /// Rotations of keys that were asked for under an idempotency key, since the start.
    pub(crate) rotations: Mutex<Remembered<String>>,
    trusted: Vec<IpNet>,
}

impl Gate {
    /// # Errors
    /// If the keys cannot sign, or threads cannot be started.
    pub(crate) fn new(settings: &Settings, keys: &Keys) -> Result<Self, GateError> {
        let auth = &settings.auth;
        let (issuer, audience) = (auth.issuer.clone(), auth.audience.clone());
        let set = keys.signing();
        let (signing, verifying) = named(&set);
        let issuer = Issuer::new(issuer, audience, auth.access_token_ttl, signing, &verifying)?;
        let trusted = settings.server.trusted_proxies.iter().filter_map(|text| network(text)).collect();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            issuer: Arc::new(issuer),
            passwords: Passwords::start(NonZeroUsize::new(auth.password_threads), auth.password_queue)?,
            throttle: Throttle::new(),
            access_ttl_s: auth.access_token_ttl.as_secs(),
            refresh_ttl_ms: ms(auth.refresh_token_ttl),
            reset_ttl_ms: ms(auth.reset_token_ttl),
            verification_ttl_ms: ms(auth.verification_ttl),
            rotations: Mutex::default(),
            trusted,
        })
    }

    /// Signs with a new key from now on; gives its name. Keys whose last tokens have expired are dropped.
    ///
    /// # Errors
    /// If the key ring cannot be changed.
    pub(crate) fn rotate_signing(&self, keys: &Keys, now: Millis) -> Result<String, GateError> {
        let active = keys.rotate_signing(now)?;
        keys.drop_retired(now.saturating_sub(2 * self.access_ttl_s * 1000))?;
        let set = keys.signing();
        let (signing, verifying) = named(&set);
        self.issuer.set_keys(signing, &verifying)?;
        Ok(active)
    }

    /// Where a request comes from.
    pub(crate) fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        origin(peer, headers, &self.trusted)
    }
}

/// A network, or a single address as one.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn named(set: &SigningSet) -> (SigningKey<'_>, Vec<VerifyingKey<'_>>) {
    let signing = SigningKey { kid: set.active.kid(), key: set.active.pkcs8() };
    let verifying = set.verifying.iter().map(|key| VerifyingKey { kid: &key.kid, key: key.public });
    (signing, verifying.collect())
}
