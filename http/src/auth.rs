//! Who calls, and who may call what.
//!
//! The table of routes in [`crate::routes`] names an [`Access`] for every route. Until there are customers'
//! tokens, the id of a cart, an order or a payment is all that is needed to use it: ids cannot be guessed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use relampago_actors::Party;
use relampago_config::Secret;

use crate::error::{Kind, Problem};

const API_KEY: &str = "x-api-key";
/// Where the digest of the admin key that we made ourselves is kept, in the data folder.
const KEY_FILE: &str = "admin-key.blake3";
const KEY_PREFIX: &str = "rk_";
/// Characters of a made key behind its prefix: 258 bits.
const KEY_LENGTH: usize = 43;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; credentials are not even looked at, so that a probe need not know any.
    Open,
    /// Everybody.
    Anyone,
    /// The shop's own people and programs.
    Staff,
}

/// What an API key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Admin,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody without a credential.
    Guest,
    /// A program with an API key.
    Service {
        /// Which key: the first bytes of its digest.
        key: [u8; 16],
        /// What it is good for.
        role: Role,
    },
}

impl Caller {
    /// Whether the shop's own people and programs are calling.
    pub(crate) fn is_staff(self) -> bool {
        match self {
            Self::Guest => false,
            Self::Service { role: Role::Admin, .. } => true,
        }
    }

    /// In whose name the caller asks.
    pub(crate) fn party(self) -> Party {
        if self.is_staff() { Party::Shop } else { Party::Guest }
    }

    /// What tells the caller's idempotency keys from those of others.
    pub(crate) fn scope(&self) -> &[u8] {
        match self {
            Self::Guest => b"guest",
            Self::Service { key, .. } => key,
        }
    }
}

/// The credentials that are accepted.
#[derive(Debug)]
pub struct Auth {
    admin: blake3::Hash,
}

/// How the admin key came to be.
#[derive(Debug)]
pub enum AdminKey {
    /// It was set, or made by an earlier start.
    Known(Auth),
    /// It was made now. Show it once: only its digest is kept.
    Made(Auth, Secret),
}

impl Auth {
    /// The admin key of the settings.
    pub fn with_key(key: &Secret) -> Self {
        Self { admin: digest(key.expose().as_bytes()) }
    }

    /// The admin key whose digest is kept in the data folder; makes one if there is none.
    ///
    /// # Errors
    /// If the digest cannot be read or stored.
    pub fn from_data(folder: &Path) -> io::Result<AdminKey> {
        match fs::read_to_string(folder.join(KEY_FILE)) {
            Ok(text) => {
                let admin = blake3::Hash::from_hex(text.trim()).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("{KEY_FILE}: {error}"))
                })?;
                Ok(AdminKey::Known(Self { admin }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = fresh_key()?;
                let auth = Self::with_key(&key);
                store(folder, &auth.admin)?;
                Ok(AdminKey::Made(auth, key))
            }
            Err(error) => Err(error),
        }
    }

    /// Who calls, if they may.
    ///
    /// # Errors
    /// 401 for a bad credential, and for none where one is needed.
    pub(crate) fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Problem> {
        if access == Access::Open {
            return Ok(Caller::Guest);
        }
        let caller = self.identify(headers)?;
        match access {
            Access::Open | Access::Anyone => Ok(caller),
            Access::Staff if caller.is_staff() => Ok(caller),
            Access::Staff => {
                let detail = "This is for the shop's staff: send an API key in X-API-Key.";
                Err(Problem::new(Kind::AUTHENTICATION_REQUIRED, detail))
            }
        }
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if headers.contains_key(AUTHORIZATION) {
            return Err(Problem::new(Kind::INVALID_TOKEN, "The access token is not one of this shop."));
        }
        let Some(key) = headers.get(API_KEY) else { return Ok(Caller::Guest) };
        let digest = digest(key.as_bytes());
        // Digests compare in constant time.
        if digest != self.admin {
            return Err(Problem::new(Kind::INVALID_API_KEY, "The API key is not one of this shop."));
        }
        let mut key = [0; 16];
        key.copy_from_slice(&digest.as_bytes()[..16]);
        Ok(Caller::Service { key, role: Role::Admin })
    }
}

fn digest(key: &[u8]) -> blake3::Hash {
    blake3::hash(key)
}

fn fresh_key() -> io::Result<Secret> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; KEY_LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    // 64 letters divide 256, so every letter is as likely as another.
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)]));
    Ok(Secret::new(KEY_PREFIX.chars().chain(letters).collect::<String>()))
}

/// Writes the digest aside, then puts it in its place: a crash leaves the whole of it or nothing.
fn store(folder: &Path, digest: &blake3::Hash) -> io::Result<()> {
    let aside = folder.join(format!("{KEY_FILE}.new"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    writeln!(file, "{}", digest.to_hex())?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(KEY_FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn refusal(auth: &Auth, headers: &HeaderMap, access: Access) -> &'static str {
        auth.admit(headers, access).unwrap_err().kind().code
    }

    #[test]
    fn staff_routes_need_a_good_key_and_no_route_takes_a_bad_one() {
        let auth = Auth::with_key(&Secret::new("a-good-key"));
        assert_eq!(auth.admit(&HeaderMap::new(), Access::Anyone).unwrap(), Caller::Guest);
        assert_eq!(refusal(&auth, &HeaderMap::new(), Access::Staff), "authentication_required");
        assert!(auth.admit(&with(API_KEY, "a-good-key"), Access::Staff).unwrap().is_staff());
        for bad in ["a-good-kez", "", "a-good-key2"] {
            assert_eq!(refusal(&auth, &with(API_KEY, bad), Access::Anyone), "invalid_api_key");
        }
        assert!(auth.admit(&with("authorization", "Basic x"), Access::Open).is_ok());
        assert_eq!(refusal(&auth, &with("authorization", "Bearer x"), Access::Anyone), "invalid_token");
    }

    #[test]
    fn a_made_key_is_shown_once_and_kept_as_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let AdminKey::Made(_, key) = Auth::from_data(folder.path()).unwrap() else {
            panic!("a key was there")
        };
        assert!(key.expose().starts_with(KEY_PREFIX) && key.expose().len() == KEY_PREFIX.len() + KEY_LENGTH);
        let file = folder.path().join(KEY_FILE);
        assert!(!fs::read_to_string(&file).unwrap().contains(key.expose()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let AdminKey::Known(auth) = Auth::from_data(folder.path()).unwrap() else { panic!("made twice") };
        assert!(auth.admit(&with(API_KEY, key.expose()), Access::Staff).is_ok());
    }
}
