//! Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), read as RFC 8725 advises: the
//! algorithm is ours and never the token's choice, the key is one that we know by name, and the type says what
//! the token is for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto};
use parking_lot::RwLock;
use relampago_actors::Id;
use relampago_actors::access::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest token that is looked at, in bytes; ours have about 500.
const MAX_TOKEN: usize = 4096;
/// Longest name of a key, in bytes.
const MAX_KID: usize = 64;
/// What our tokens say they are (RFC 9068), so that no other token under the same keys passes for one.
const ISSUED_TYPE: &str = "at+jwt";
/// What a token may say it is.
const TYPES: [&str; 2] = [ISSUED_TYPE, "JWT"];
const ALGORITHM: Algorithm = Algorithm::EdDSA;

/// A key under its name, 1 to 64 visible ASCII characters. It has no `Debug`: nothing may show a private one.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a, K> {
    /// The name: the `kid` of headers.
    pub(crate) kid: &'a str,
    /// The key.
    pub(crate) key: K,
}

/// A private Ed25519 key: PKCS #8, DER.
pub(crate) type SigningKey<'a> = Named<'a, &'a [u8]>;
/// A public Ed25519 key.
pub(crate) type VerifyingKey<'a> = Named<'a, [u8; 32]>;

/// What a token says, once it is known to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Whose it is.
    pub(crate) user: Id,
    /// The session that it was issued for.
    pub(crate) session: Id,
    /// What the user was when it was issued.
    pub(crate) role: Role,
    /// The token's own id.
    pub(crate) token: Id,
    /// When it was issued, to the second.
    pub(crate) issued_at_ms: u64,
    /// The first moment at which it is good for nothing.
    pub(crate) expires_at_ms: u64,
}

/// Why a token is refused. For logs and metrics; the caller is only told that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("longer than {MAX_TOKEN} bytes")]
    TooLong,
    #[error("not three parts of base64url with JSON in them")]
    Malformed,
    #[error("signed with another algorithm")]
    Algorithm,
    #[error("not an access token")]
    Type,
    #[error("asks for an extension that nobody here knows")]
    Critical,
    #[error("signed with an unknown key")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("a claim is missing or malformed")]
    Claim,
    #[error("issued by somebody else")]
    Issuer,
    #[error("issued for somebody else")]
    Audience,
    #[error("not valid yet")]
    NotYetValid,
    #[error("expired")]
    Expired,
}

/// Why a set of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFault {
    /// A name that no header should carry.
    #[error("a key's name must be 1 to {MAX_KID} visible ASCII characters: {0:?}")]
    Name(String),
    /// Two keys of one name.
    #[error("two keys are named {0}")]
    Twice(String),
    /// The private key is none.
    #[error("{0} is not an Ed25519 key in PKCS #8")]
    NotEd25519(String),
    /// What it signs cannot be verified.
    #[error("no verifying key fits the signing key {0}")]
    Unverifiable(String),
}

/// Issues access tokens and verifies them.
pub(crate) struct Issuer {
    name: String,
    audience: String,
    ttl: Duration,
    validation: Validation,
    keys: RwLock<Arc<Keys>>,
}

/// Keys in the form that signing and verifying need.
struct Keys {
    header: Header,
    signing: EncodingKey,
    verifying: Vec<(String, DecodingKey)>,
    jwks: Value,
}

/// A token's claims as they are written.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    role: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
}

impl Issuer {
    /// Issues tokens in the name of `name` for `audience`, each good for `ttl` and the rest of its last second.
    ///
    /// # Errors
    /// As [`Issuer::set_keys`].
    pub(crate) fn new(
        name: String,
        audience: String,
        ttl: Duration,
        signing: SigningKey<'_>,
        verifying: &[VerifyingKey<'_>],
    ) -> Result<Self, KeyFault> {
        let mut validation = Validation::new(ALGORITHM);
        // The library would ask the system's clock, and lets a missing claim pass. We look at all of them.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let keys = RwLock::new(Arc::new(Keys::new(signing, verifying)?));
        Ok(Self { name, audience, ttl, validation, keys })
    }

    /// From now on signs with `signing`, and knows the keys in `verifying` and no others. The two change together,
    /// and `verifying` has the public half of `signing` in it.
    ///
    /// # Errors
    /// If a key or its name is unusable; the keys of before stay.
    pub(crate) fn set_keys(
        &self,
        signing: SigningKey<'_>,
        verifying: &[VerifyingKey<'_>],
    ) -> Result<(), KeyFault> {
        let keys = Arc::new(Keys::new(signing, verifying)?);
        *self.keys.write() = keys;
        Ok(())
    }

    /// The public keys, as RFC 7517 has them: `{"keys": [...]}`.
    pub(crate) fn jwks(&self) -> Value {
        self.keys.read().jwks.clone()
    }

    /// A token that says who calls, until it expires.
    #[expect(clippy::expect_used, reason = "the key signed a sample when it was taken in")]
    pub(crate) fn issue(&self, user: Id, session: Id, role: Role, now_ms: u64) -> String {
        let issued_at = now_ms / 1000;
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let payload = Payload {
            iss: self.name.clone(),
            aud: self.audience.clone(),
            sub: user.to_string(),
            sid: session.to_string(),
            role: role.name().to_owned(),
            iat: issued_at,
            nbf: issued_at,
            exp: now_ms.saturating_add(ttl_ms).div_ceil(1000),
            jti: Id::derived("access token", &[&session.0.to_be_bytes(), &now_ms.to_be_bytes()]).to_string(),
        };
        let keys = Arc::clone(&self.keys.read());
        jsonwebtoken::encode(&keys.header, &payload, &keys.signing).expect("a proven key signs")
    }

    /// What the token says, if it is one of ours and good now.
    ///
    /// # Errors
    /// The first reason found to refuse it.
    pub(crate) fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, TokenFault> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFault::TooLong);
        }
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(TokenFault::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Malformed)?;
        let kid = check_header(&header)?;
        let keys = Arc::clone(&self.keys.read());
        let key = keys.verifying_key(kid).ok_or(TokenFault::UnknownKey)?;
        let payload = jsonwebtoken::decode::<Payload>(token, key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenFault::Signature,
                ErrorKind::InvalidAlgorithm => TokenFault::Algorithm,
                ErrorKind::Base64(_) => TokenFault::Malformed,
                _ => TokenFault::Claim,
            })?
            .claims;
        self.check(&payload, now_ms)
    }

    fn check(&self, payload: &Payload, now_ms: u64) -> Result<Claims, TokenFault> {
        if payload.iss != self.name {
            return Err(TokenFault::Issuer);
        }
        if payload.aud != self.audience {
            return Err(TokenFault::Audience);
        }
        let claims = payload.claims()?;
        if claims.issued_at_ms > now_ms || payload.nbf.saturating_mul(1000) > now_ms {
            return Err(TokenFault::NotYetValid);
        }
        if claims.expires_at_ms <= now_ms {
            return Err(TokenFault::Expired);
        }
        Ok(claims)
    }
}

impl Keys {
    fn new(signing: SigningKey<'_>, verifying: &[VerifyingKey<'_>]) -> Result<Self, KeyFault> {
        for (index, key) in verifying.iter().enumerate() {
            check_kid(key.kid)?;
            if verifying[..index].iter().any(|earlier| earlier.kid == key.kid) {
                return Err(KeyFault::Twice(key.kid.to_owned()));
            }
        }
        let mut header = Header::new(ALGORITHM);
        header.typ = Some(ISSUED_TYPE.to_owned());
        header.kid = Some(signing.kid.to_owned());
        let keys = Self {
            header,
            signing: EncodingKey::from_ed_der(signing.key),
            // The name is historical: the library takes the 32 bytes of the public key as they are.
            verifying: verifying
                .iter()
                .map(|key| (key.kid.to_owned(), DecodingKey::from_ed_der(&key.key)))
                .collect(),
            jwks: json!({ "keys": verifying.iter().map(jwk).collect::<Vec<_>>() }),
        };
        keys.prove(signing.kid)?;
        Ok(keys)
    }

    /// Signs a sample and verifies it.
    fn prove(&self, kid: &str) -> Result<(), KeyFault> {
        const SAMPLE: &[u8] = b"sample";
        let unverifiable = || KeyFault::Unverifiable(kid.to_owned());
        let key = self.verifying_key(kid).ok_or_else(unverifiable)?;
        let signature = crypto::sign(SAMPLE, &self.signing, ALGORITHM)
            .map_err(|_| KeyFault::NotEd25519(kid.to_owned()))?;
        match crypto::verify(&signature, SAMPLE, key, ALGORITHM) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(unverifiable()),
        }
    }

    /// The name is compared and used for nothing else: there are a few keys, all in memory.
    fn verifying_key(&self, kid: &str) -> Option<&DecodingKey> {
        self.verifying.iter().find(|(name, _)| name == kid).map(|(_, key)| key)
    }
}

fn jwk(key: &VerifyingKey<'_>) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": URL_SAFE_NO_PAD.encode(key.key),
        "kid": key.kid,
        "use": "sig",
        "alg": "EdDSA",
    })
}

impl Payload {
    fn claims(&self) -> Result<Claims, TokenFault> {
        let id = |text: &str| text.parse::<Id>().map_err(|_| TokenFault::Claim);
        Ok(Claims {
            user: id(&self.sub)?,
            session: id(&self.sid)?,
            role: Role::from_name(&self.role).ok_or(TokenFault::Claim)?,
            token: id(&self.jti)?,
            issued_at_ms: self.iat.saturating_mul(1000),
            expires_at_ms: self.exp.saturating_mul(1000),
        })
    }
}

/// The role that a token claims to be for, whoever wrote it. It lets nobody in: it only says who has to be looked at
/// before they are refused.
pub(crate) fn claimed_role(token: &[u8]) -> Option<Role> {
    #[derive(Deserialize)]
    struct Claimed<'a> {
        role: Cow<'a, str>,
    }
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    Role::from_name(&serde_json::from_slice::<Claimed<'_>>(&payload).ok()?.role)
}

/// The name of the key, if the rest of the header is as we write it.
fn check_header(header: &Header) -> Result<&str, TokenFault> {
    if header.alg != ALGORITHM {
        return Err(TokenFault::Algorithm);
    }
    if header.crit.is_some() {
        return Err(TokenFault::Critical);
    }
    if !header.typ.as_deref().is_some_and(|typ| TYPES.contains(&typ)) {
        return Err(TokenFault::Type);
    }
    header.kid.as_deref().filter(|kid| kid.len() <= MAX_KID).ok_or(TokenFault::UnknownKey)
}

fn check_kid(kid: &str) -> Result<(), KeyFault> {
    let acceptable = (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic());
    if acceptable { Ok(()) } else { Err(KeyFault::Name(kid.to_owned())) }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
