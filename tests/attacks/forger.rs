//! Who has read the shop's key ring: signs what they like, as the shop would.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// RFC 8410: version 0, Ed25519, and the seed as an octet string within an octet string, which follows.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A signing key under a name.
pub(super) struct Forger {
    pub(super) kid: String,
    key: EncodingKey,
}

impl Forger {
    /// With the key that the shop signs with.
    pub(super) fn of_shop(data: &Path) -> Self {
        let ring: Value = serde_json::from_slice(&fs::read(data.join("keys.json")).unwrap()).unwrap();
        let active = ring["signing"].as_array().unwrap().iter().find(|key| key["retired_ms"].is_null());
        let active = active.expect("a key that signs");
        let seed = STANDARD.decode(active["seed"].as_str().unwrap()).unwrap();
        Self::new(active["kid"].as_str().unwrap(), &seed)
    }

    /// With a key of their own under any name.
    pub(super) fn new(kid: &str, seed: &[u8]) -> Self {
        let key = EncodingKey::from_ed_der(&[&PKCS8_HEAD, seed].concat());
        Self { kid: kid.to_owned(), key }
    }

    /// The header that the shop would write.
    pub(super) fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid })
    }

    /// A token of this header and these claims, well signed.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// As [`Forger::sign`] for what is no JSON object, or a strange one.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }
}

/// A token under a shared secret.
pub(super) fn hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(&header.to_string()), encode(&claims.to_string()));
    let signature =
        crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// The claims of a token, or its header as part 0.
pub(super) fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// `value` with one member set, or taken out by a null.
pub(super) fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().expect("an object");
    if member.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), member)
    };
    value
}

/// Base64url of a text.
pub(super) fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
