//! Credentials that say nothing to who holds them: refresh tokens and API keys.
//!
//! Both are base64url without padding (RFC 4648) and read strictly: one text for each value, and nothing around it.
//! Integers are big-endian. The shop keeps hashes of the secrets and never the secrets themselves.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relampago_actors::Id;
use relampago_actors::secret::SecretHash;
use zeroize::Zeroizing;

const REFRESH_PREFIX: &str = "rt_";
const API_KEY_PREFIX: &str = "rk_";

/// The text is not a credential of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form of this credential")]
pub(crate) struct Malformed;

/// 256 random bits. `Debug` never shows them, they are wiped from memory when dropped, and comparing them takes a time
/// that does not tell where they differ.
#[derive(Clone, Eq)]
pub(crate) struct TokenSecret(Zeroizing<[u8; 32]>);

/// Renews a session: `rt_` and base64url of user, session and secret; 89 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// Whose session.
    pub(crate) user: Id,
    /// Which one.
    pub(crate) session: Id,
    /// Used once.
    pub(crate) secret: TokenSecret,
}

/// Identifies a program: `rk_`, base64url of the id, `_`, base64url of the secret; 69 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// Which key.
    pub(crate) id: Id,
    /// What proves it.
    pub(crate) secret: TokenSecret,
}

impl TokenSecret {
    /// One that is known already, or derived from what nobody else knows.
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub(crate) fn fresh() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    /// What is kept of it: its BLAKE3 hash. It needs no salt, for nobody can try 2^256 secrets.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(*blake3::hash(self.0.as_slice()).as_bytes())
    }
}

impl PartialEq for TokenSecret {
    fn eq(&self, other: &Self) -> bool {
        SecretHash(*self.0) == SecretHash(*other.0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl RefreshToken {
    /// The token as text.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Zeroizing::new([0; 64]);
        bytes[..16].copy_from_slice(&self.user.0.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.session.0.to_be_bytes());
        bytes[32..].copy_from_slice(self.secret.0.as_slice());
        format!("{REFRESH_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }

    /// Reads what [`RefreshToken::encode`] wrote.
    ///
    /// # Errors
    /// For everything else.
    pub(crate) fn decode(text: &str) -> Result<Self, Malformed> {
        let bytes = exactly::<64>(text.strip_prefix(REFRESH_PREFIX).ok_or(Malformed)?.as_bytes())?;
        let mut fields = Fields(bytes.as_slice());
        let (user, session) = (fields.id()?, fields.id()?);
        Ok(Self { user, session, secret: TokenSecret(Zeroizing::new(fields.take()?)) })
    }
}

impl ApiKey {
    /// The key as text.
    pub(crate) fn encode(&self) -> String {
        let id = URL_SAFE_NO_PAD.encode(self.id.0.to_be_bytes());
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.0.as_slice()));
        format!("{API_KEY_PREFIX}{id}_{}", *secret)
    }

    /// Reads what [`ApiKey::encode`] wrote.
    ///
    /// # Errors
    /// For everything else.
    pub(crate) fn decode(text: &str) -> Result<Self, Malformed> {
        // Parted by place and not at the `_`, which is a letter of base64url as well.
        let rest = text.strip_prefix(API_KEY_PREFIX).ok_or(Malformed)?.as_bytes();
        let (id, rest) = rest.split_at_checked(encoded_len(16)).ok_or(Malformed)?;
        let secret = rest.strip_prefix(b"_").ok_or(Malformed)?;
        Ok(Self { id: Id(u128::from_be_bytes(*exactly(id)?)), secret: TokenSecret(exactly(secret)?) })
    }
}

/// Reads bytes field by field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    fn id(&mut self) -> Result<Id, Malformed> {
        Ok(Id(u128::from_be_bytes(self.take()?)))
    }
}

/// The `N` bytes that the text stands for. The decoder refuses padding and bits that say nothing.
fn exactly<const N: usize>(text: &[u8]) -> Result<Zeroizing<[u8; N]>, Malformed> {
    if text.len() != encoded_len(N) {
        return Err(Malformed);
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed)?);
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| Malformed)?))
}

/// Characters of base64url without padding for so many bytes.
const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            (user, other) in any::<(u128, u128)>(),
            bytes in any::<[u8; 32]>(),
        ) {
            let refresh = RefreshToken { user: Id(user), session: Id(other), secret: TokenSecret::new(bytes) };
            let text = refresh.encode();
            prop_assert_eq!(text.len(), 89);
            prop_assert_eq!(RefreshToken::decode(&text), Ok(refresh));

            let key = ApiKey { id: Id(user), secret: TokenSecret::new(bytes) };
            let text = key.encode();
            prop_assert_eq!(text.len(), 69);
            prop_assert_eq!(ApiKey::decode(&text), Ok(key));
        }

        #[test]
        fn there_is_one_text_for_a_value(text in "rt_[A-Za-z0-9_-]{86}|rk_[A-Za-z0-9_-]{22}_[A-Za-z0-9_-]{42}[A-Z048]") {
            // Letters of the right number are a credential now and then; then they are its only text.
            if let Ok(token) = RefreshToken::decode(&text) {
                prop_assert_eq!(token.encode(), text.clone());
            }
            if let Ok(key) = ApiKey::decode(&text) {
                prop_assert_eq!(key.encode(), text);
            }
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), prefix in "rt_|rk_|") {
            let text = format!("{prefix}{}", String::from_utf8_lossy(&bytes));
            let _ = (RefreshToken::decode(&text), ApiKey::decode(&text));
        }
    }

    #[test]
    fn nothing_may_stand_around_or_be_missing() {
        let key = ApiKey { id: Id(1), secret: TokenSecret::new([0xff; 32]) }.encode();
        let refresh =
            RefreshToken { user: Id(1), session: Id(2), secret: TokenSecret::new([0xff; 32]) }.encode();
        for (text, read) in [
            (&key, (|text| ApiKey::decode(text).is_ok()) as fn(&str) -> bool),
            (&refresh, |text| RefreshToken::decode(text).is_ok()),
        ] {
            assert!(read(text));
            let shorter = &text[..text.len() - 1];
            // The last letter holds bits that no byte has; they must be zero.
            let unclean = format!("{shorter}{}", if text.ends_with('w') { 'x' } else { '9' });
            let padded = format!("{text}=");
            let plus = text.replacen(['_', '-'], "+", 9);
            for bad in [
                shorter,
                &unclean,
                &padded,
                &plus,
                &format!(" {text}"),
                &format!("{text}\n"),
                "",
                "rt_",
                "rk_",
            ] {
                assert!(!read(bad), "{bad}");
            }
        }
        assert!(RefreshToken::decode(&key).is_err() && ApiKey::decode(&refresh).is_err());
    }

    #[test]
    fn secrets_are_not_shown_and_differ() {
        let (one, other) = (TokenSecret::fresh().unwrap(), TokenSecret::fresh().unwrap());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        assert_eq!(one.hash(), one.clone().hash());
        let key = ApiKey { id: Id(1), secret: TokenSecret::new([7; 32]) };
        assert_eq!(
            format!("{key:?}"),
            "ApiKey { id: 00000000-0000-0000-0000-000000000001, secret: [redacted] }"
        );
    }
}
