//! What fuzzing gets hold of: the readers of what callers send, each with what holds for any input. What proves who they
//! are is read here, the rest in the modules below. It is compiled for tests and under the feature `fuzzing` alone.
#![expect(clippy::expect_used, reason = "what does not hold ends a fuzzing run")]

mod body;
mod money;
mod purchase;

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use relampago_actors::Id;

pub use body::body;
pub use money::money;
pub use purchase::purchase;

use crate::access::jwt::{Issuer, Named};
use crate::access::opaque::{ApiKey, RefreshToken};
use crate::page::{Cursor, ListQuery, SortKey, checksum};

const NOW_MS: u64 = 1_800_000_000_500;
const KID: &str = "1";
/// An Ed25519 key in PKCS #8: RFC 8410's head, and the seed of the first test vector of RFC 8032, 7.1.
const PRIVATE: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const PUBLIC: [u8; 32] = *b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\
    \x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
const SECRET: [u8; 32] = [7; 32];

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let (signing, verifying) = (Named { kid: KID, key: PRIVATE }, Named { kid: KID, key: PUBLIC });
    let (name, audience) = ("shop".to_owned(), "shop".to_owned());
    Issuer::new(name, audience, Duration::from_secs(900), signing, &[verifying]).expect("a good key")
});

/// Access tokens. The input is a token, which nobody here signed; and it is header and payload, parted by the first
/// line break, that get a signature by the right key.
pub fn access_token(input: &[u8]) {
    let read = |token: &str| ISSUER.verify(token, NOW_MS);
    let text = String::from_utf8_lossy(input);
    let _refused = read(&text).expect_err("a token that was not signed");
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let [header, payload] = [&input[..end], &input[end + 1..]].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{payload}");
    let key = EncodingKey::from_ed_der(PRIVATE);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).expect("a good key signs");
    let token = format!("{message}.{signature}");
    if let Ok(claims) = read(&token) {
        assert!(claims.issued_at_ms <= NOW_MS && NOW_MS < claims.expires_at_ms, "{claims:?}");
        assert!(read(&format!("{token}A")).is_err() && read(&token[..token.len() - 1]).is_err());
        assert!(ISSUER.verify(&token, claims.expires_at_ms).is_err(), "good after its end");
    }
}

/// Refresh tokens and API keys: one text for each value.
pub fn credential(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let refresh = RefreshToken::decode(&text).ok();
    let key = ApiKey::decode(&text).ok();
    assert!(refresh.is_none() || key.is_none());
    assert!(refresh.is_none_or(|token| token.encode() == text));
    assert!(key.is_none_or(|key| key.encode() == text));
}

/// Queries and cursors. The input is the query of a list; and it is the place within a cursor, with the right
/// checksum; and it is the name that a page ended with.
pub fn cursor(input: &[u8]) {
    let query = [b"/list?", input].concat();
    if let Some(mut query) = Uri::try_from(query).ok().and_then(|uri| ListQuery::of(&uri).ok()) {
        assert!((1..=200).contains(&query.limit()));
        assert_eq!(query.cursor(&SECRET), None, "a cursor that was not written");
        let _page = query.finish();
    }
    let place: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let sum: String = checksum(&SECRET, "/list?", input).iter().map(|byte| format!("{byte:02x}")).collect();
    if let Some(cursor) = read(&format!("/list?cursor={sum}{place}")) {
        assert_eq!(write(cursor).0, format!("{sum}{place}"), "one text for each value");
    }
    let name = String::from_utf8_lossy(input).into();
    let cursor = Cursor { key: SortKey::Text(name), id: Id(1) };
    assert_eq!(read(&write(cursor.clone()).1), Some(cursor));
}

fn read(uri: &str) -> Option<Cursor> {
    ListQuery::of(&uri.parse().ok()?).ok()?.cursor(&SECRET)
}

/// The cursor and the path to the page behind it.
fn write(cursor: Cursor) -> (String, String) {
    let query = ListQuery::of(&Uri::from_static("/list")).expect("a query");
    query.finish().expect("a page").next(&SECRET, cursor, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one that has to be good, so that fuzzing gets as far as the claims.
    const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#;
    const PAYLOAD: &str = r#"{"iss":"shop","aud":"shop","sub":"0192f0c1-2345-7abc-8def-0123456789ab","sid":"0192f0c1-2345-7abc-8def-0123456789ab","role":"staff","iat":1800000000,"nbf":1800000000,"exp":1800000900,"jti":"0192f0c1-2345-7abc-8def-0123456789ab"}"#;

    #[test]
    fn what_fuzzing_asserts_holds_for_good_and_for_broken_input() {
        let token = format!("{HEADER}\n{PAYLOAD}");
        let refresh = format!("rt_{}", "A".repeat(86));
        let key = format!("rk_{}_{}", "A".repeat(22), "A".repeat(43));
        let place = [&[0; 16][..], b"n", &[0; 8]].concat();
        let inputs = [b"".as_slice(), b"\n", b"a.b.c", b"limit=0&cursor=00", &[0xff; 90], &place];
        let texts = [&token, &refresh, &key];
        for input in texts.into_iter().map(String::as_bytes).chain(inputs) {
            access_token(input);
            credential(input);
            cursor(input);
        }
    }

    #[test]
    fn what_fuzzing_asserts_holds_for_its_seeds() {
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 6] = [
            ("access_token", access_token),
            ("credential", credential),
            ("cursor", cursor),
            ("body", body),
            ("money", money),
            ("purchase", purchase),
        ];
        for (target, check) in targets {
            let seeds = format!("{}/../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
            let mut fed = 0;
            for entry in std::fs::read_dir(seeds).expect("the seeds") {
                check(&std::fs::read(entry.expect("a seed").path()).expect("a seed"));
                fed += 1;
            }
            assert!(fed > 1, "{target}: {fed}");
        }
    }
}
