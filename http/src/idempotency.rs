//! Idempotency keys: from a header to the tag that entities remember, and the ids derived from it.

use axum::http::{HeaderMap, HeaderValue};
use relampago_actors::Id;
use relampago_actors::keys::KeyTag;
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Kind, Problem};

const HEADER: &str = "idempotency-key";
/// Characters of the longest key.
pub(crate) const MAX_LENGTH: usize = 255;
/// A key is all that protects a guest's answer; 22 characters of base64 hold 128 bits.
const MIN_LENGTH_OF_GUESTS: usize = 22;

/// A key as the client sent it, well-formed.
#[derive(Debug, Clone)]
pub(crate) struct Key(HeaderValue);

impl Key {
    /// Reads the key, if there is one.
    ///
    /// # Errors
    /// 400 if there are several, or it is not 1 to 255 visible ASCII characters, or too easy to guess.
    pub(crate) fn of(headers: &HeaderMap, caller: Caller) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let bytes = value.as_bytes();
        if values.next().is_some() || !is_key(bytes) {
            let detail = "Send one Idempotency-Key of 1 to 255 visible ASCII characters.";
            return Err(Problem::new(Kind::KEY_INVALID, detail));
        }
        let least = least_length(caller);
        if bytes.len() < least {
            let detail = format!("The Idempotency-Key needs {least} characters or more.");
            return Err(Problem::new(Kind::KEY_INVALID, detail));
        }
        Ok(Some(Self(value.clone())))
    }

    /// As the client sent it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The key in its scope, and the body it came with. `place` is the method, the template of the route and the
    /// parts of the path that it leaves open. Both are hashed under the shop's secret: what is
    /// stored tells nobody anything, and ids derived from it cannot be guessed.
    pub(crate) fn tag(&self, secret: &[u8; 32], caller: Caller, place: &[&[u8]], body: &[u8]) -> KeyTag {
        tag(secret, caller, self.0.as_bytes(), place, body)
    }
}

/// As [`Key::tag`], for a key that [`is_good`].
pub(crate) fn tag(secret: &[u8; 32], caller: Caller, key: &[u8], place: &[&[u8]], body: &[u8]) -> KeyTag {
    let scope = caller.scope();
    let mut scoped: SmallVec<[&[u8]; 6]> = smallvec![&scope[..], key];
    scoped.extend_from_slice(place);
    let body = Id::keyed(secret, "body", &[body]).0;
    // The upper half of an id holds its version; the lower one is 62 bits of the hash.
    KeyTag { key: Id::keyed(secret, "idempotency-key", &scoped).0, body: body as u64 }
}

/// Whether this is a key that this caller may use.
pub(crate) fn is_good(key: &[u8], caller: Caller) -> bool {
    is_key(key) && key.len() >= least_length(caller)
}

fn is_key(key: &[u8]) -> bool {
    key.len() <= MAX_LENGTH && key.iter().all(u8::is_ascii_graphic)
}

fn least_length(caller: Caller) -> usize {
    if caller == Caller::Guest { MIN_LENGTH_OF_GUESTS } else { 1 }
}

/// The id of what a request makes: the same for the same key, or a new one.
pub(crate) fn id_for(secret: &[u8; 32], domain: &str, tag: Option<KeyTag>) -> Id {
    match tag {
        Some(tag) => keyed_id(secret, domain, tag),
        None => Id(Uuid::now_v7().as_u128()),
    }
}

/// The id of what a request under this key makes.
pub(crate) fn keyed_id(secret: &[u8; 32], domain: &str, tag: KeyTag) -> Id {
    Id::keyed(secret, domain, &[&tag.key.to_le_bytes()])
}

/// The id of the one order that a cart can become, whatever key it is checked out under.
pub(crate) fn order_of_cart(secret: &[u8; 32], cart: Id) -> Id {
    Id::keyed(secret, "cart-order", &[&cart.0.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use relampago_actors::access::Role;

    const SERVICE: Caller = Caller::Account { user: Id(7), role: Role::Customer, session: Id(8) };
    const LONG: &str = "0123456789012345678901";

    fn key(value: &str, caller: Caller) -> Result<Key, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        Key::of(&headers, caller).map(Option::unwrap).map_err(|problem| problem.kind().code)
    }

    #[test]
    fn keys_are_visible_ascii_and_long_enough() {
        assert!(key(LONG, Caller::Guest).is_ok());
        assert!(key("k", SERVICE).is_ok());
        assert!(key(&"k".repeat(255), SERVICE).is_ok());
        assert_eq!(key(&LONG[1..], Caller::Guest).unwrap_err(), "idempotency_key_invalid");
        for bad in ["", "two words", "ñ", &"k".repeat(256)] {
            assert_eq!(key(bad, SERVICE).unwrap_err(), "idempotency_key_invalid", "{bad}");
        }
    }

    #[test]
    fn a_tag_tells_caller_place_key_and_body_apart() {
        let secret = [1; 32];
        let tag = |caller, method: &str, path: &str, value, body: &[u8]| {
            let place = [method.as_bytes(), path.as_bytes()];
            key(value, caller).unwrap().tag(&secret, caller, &place, body)
        };
        let first = tag(Caller::Guest, "POST", "/a", LONG, b"{}");
        assert_eq!(first, tag(Caller::Guest, "POST", "/a", LONG, b"{}"));
        let other = "1123456789012345678901";
        for different in [
            tag(SERVICE, "POST", "/a", LONG, b"{}"),
            tag(Caller::Guest, "PUT", "/a", LONG, b"{}"),
            tag(Caller::Guest, "POST", "/b", LONG, b"{}"),
            tag(Caller::Guest, "POST", "/a", other, b"{}"),
        ] {
            assert_ne!(different.key, first.key);
        }
        let changed = tag(Caller::Guest, "POST", "/a", LONG, b"{ }");
        assert_eq!(changed.key, first.key);
        assert_ne!(changed.body, first.body);
    }

    #[test]
    fn derived_ids_need_the_secret() {
        let tag = KeyTag { key: 1, body: 2 };
        assert_eq!(keyed_id(&[1; 32], "order", tag), keyed_id(&[1; 32], "order", tag));
        assert_ne!(keyed_id(&[1; 32], "order", tag), keyed_id(&[2; 32], "order", tag));
        assert_ne!(keyed_id(&[1; 32], "order", tag), keyed_id(&[1; 32], "cart", tag));
        assert_ne!(id_for(&[1; 32], "order", None), id_for(&[1; 32], "order", None));
    }
}
