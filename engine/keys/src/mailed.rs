//! Tokens that are mailed: they prove that somebody reads a mailbox. Nothing of them is stored; what they are
//! good for ends when the number in them is not the account's any more.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relampago_actors::{Id, Millis};

use crate::keys::Keys;

const CONTEXT: &str = "relampago 2026 mailed token";
const CONTENT: usize = 1 + 16 + 4 + 4 + 8;
const MAC: usize = 32;
/// Content and code.
const LENGTH: usize = CONTENT + MAC;

/// What a mailed token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailedToken {
    /// The number of what it is for.
    pub purpose: u8,
    /// Whose mailbox it went to.
    pub user: Id,
    /// The epoch of the account that it is good for.
    pub epoch: u32,
    /// The number of the claim on the address that it went to.
    pub claim: u32,
    /// From when it is good for nothing.
    pub expires_at: Millis,
}

impl MailedToken {
    fn content(&self) -> [u8; CONTENT] {
        let mut bytes = [0; CONTENT];
        bytes[0] = self.purpose;
        bytes[1..17].copy_from_slice(&self.user.0.to_be_bytes());
        bytes[17..21].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[21..25].copy_from_slice(&self.claim.to_be_bytes());
        bytes[25..].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes
    }

    fn of(content: &[u8; CONTENT]) -> Option<Self> {
        let (purpose, rest) = content.split_first_chunk::<1>()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (claim, rest) = rest.split_first_chunk()?;
        Some(Self {
            purpose: purpose[0],
            user: Id(u128::from_be_bytes(*user)),
            epoch: u32::from_be_bytes(*epoch),
            claim: u32::from_be_bytes(*claim),
            expires_at: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

impl Keys {
    /// The token as it is mailed: 87 characters of base64url.
    #[must_use]
    pub fn sign_mailed(&self, token: &MailedToken) -> String {
        let content = token.content();
        let mac = self.token_mac(CONTEXT, &content);
        URL_SAFE_NO_PAD.encode([&content[..], &mac].concat())
    }

    /// What a token says that [`Keys::sign_mailed`] wrote; `None` for everything else. Its time is not looked at.
    #[must_use]
    pub fn read_mailed(&self, text: &str) -> Option<MailedToken> {
        if text.len() > LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (content, mac) = bytes.split_first_chunk::<CONTENT>()?;
        let ours = self.check_token_mac(CONTEXT, content, mac.try_into().ok()?);
        if ours { MailedToken::of(content) } else { None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_no_other_is() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(&folder.path().join("ring"), &folder.path().join("vault"), true, 1).unwrap();
        let token = MailedToken { purpose: 2, user: Id(77), epoch: 3, claim: 4, expires_at: 5_000 };
        let text = keys.sign_mailed(&token);
        assert_eq!(keys.read_mailed(&text), Some(token));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.read_mailed(std::str::from_utf8(&other).unwrap()), None, "{at}");
        }
        for refused in ["", "A", &text[1..], &format!("{text}A"), &format!("{text}="), "\u{e9}"] {
            assert_eq!(keys.read_mailed(refused), None, "{refused}");
        }
    }
}
