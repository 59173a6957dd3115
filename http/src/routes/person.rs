//! What requests say of people: names, e-mail addresses, telephone numbers, passwords.

use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;
use relampago_actors::Id;
use relampago_actors::user::NewEmail;
use serde_json::value::RawValue;

use crate::access::passwords::Plain;
use crate::error::Problem;
use crate::extract::Call;
use crate::fields::{self, Fault};

/// Longest e-mail address that can be delivered to (RFC 5321), characters.
const MAX_EMAIL: usize = 254;
pub(super) const MAX_NAME: usize = 200;
const MAX_PHONE: usize = 40;
/// A password is looked at by its own rules; this bounds what is read.
const MAX_PASSWORD: usize = 512;
pub(super) const MAX_ADDRESS_BYTES: usize = 8 * 1024;

/// A mailbox as people have them, and no more than one: neither quotes nor comments, which give a mailbox many
/// spellings, nor lists, routes or address literals, which would have mail sent elsewhere too. Whether it can be
/// delivered to shows when it is tried.
pub(super) fn email(raw: &RawValue) -> Result<Arc<str>, Fault> {
    let text = fields::text(3..=MAX_EMAIL)(raw)?;
    let parts = text.rsplit_once('@').filter(|(local, domain)| is_local_part(local) && is_domain(domain));
    if parts.is_some() { Ok(text) } else { Err("must be an e-mail address".into()) }
}

/// An atom as in RFC 6531, dots anywhere: some providers give such addresses out.
fn is_local_part(local: &str) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c);
    !local.is_empty() && !local.contains(special)
}

/// Labels of letters, digits and hyphens, once they are in ASCII. A dot at the end would be another spelling.
fn is_domain(domain: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    idna::domain_to_ascii(domain)
        .is_ok_and(|domain| domain.split('.').all(|label| !label.is_empty() && label.chars().all(plain)))
}

/// A name that shows something.
pub(super) fn name(raw: &RawValue) -> Result<Arc<str>, Fault> {
    let text = fields::text(1..=MAX_NAME)(raw)?;
    let shows = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if shows { Ok(text) } else { Err("must not be blank or hold control characters".into()) }
}

/// A telephone number, loosely: digits, and what people put between them.
pub(super) fn phone(raw: &RawValue) -> Result<Arc<str>, Fault> {
    let text = fields::text(3..=MAX_PHONE)(raw)?;
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let plain = text.chars().all(|c| c.is_ascii_digit() || " +-().#/x".contains(c));
    if plain && digits >= 3 { Ok(text) } else { Err("must be a telephone number".into()) }
}

/// A password as somebody typed it; its rules are for those that are chosen anew.
pub(super) fn password(raw: &RawValue) -> Result<Plain, Fault> {
    fields::text(1..=MAX_PASSWORD)(raw).map(|text| Plain::new((*text).to_owned()))
}

/// One form of an address in all its spellings: letters small and composed (RFC 6532), the domain in ASCII.
pub(super) fn normalised(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
    let local = ComposingNormalizerBorrowed::new_nfc().normalize(&local.to_lowercase()).into_owned();
    format!("{local}@{domain}")
}

/// The id of the claim on an address: who has no secret cannot tell the address from it.
pub(super) fn claim_on(call: &Call, email: &str) -> Id {
    Id::keyed(call.secret(), "email", &[normalised(email).as_bytes()])
}

/// An address to be a user's, sealed under the user's key.
pub(super) async fn new_email(call: &Call, user: Id, email: &str) -> Result<NewEmail, Problem> {
    Ok(NewEmail { claim: claim_on(call, email), address: call.seal(user, email).await? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for spelling in ["Ana@Example.com", "ANA@EXAMPLE.COM", "ana@example.com"] {
            assert_eq!(normalised(spelling), "ana@example.com");
        }
        assert_eq!(normalised("ana@ñandú.ar"), normalised("Ana@ÑANDÚ.ar"));
        assert_eq!(normalised("Jos\u{e9}@x.es"), normalised("jose\u{301}@x.es"));
        assert_eq!(normalised("ana@ｅxam\u{ad}ple.com"), "ana@example.com");
        assert_ne!(normalised("ana+1@example.com"), normalised("ana@example.com"));
    }

    #[test]
    fn an_address_is_one_mailbox() {
        let read = |text: &str| {
            let raw = serde_json::value::to_raw_value(text).unwrap();
            email(&raw).is_ok()
        };
        for good in
            ["ana@example.com", "a@b", "ana+1@x-y.es", "o'neil@x.es", ".a..@x.es", "jos\u{e9}@ñandú.ar"]
        {
            assert!(read(good), "{good}");
        }
        for bad in [
            "@example.com",
            "ana@",
            "ana",
            "ana@example.com.",
            "ana@example..com",
            "ana@.com",
            "ana@exa mple.com",
            "ana@example.com\n",
            "ana@exa_mple.com",
            "ana@[127.0.0.1]",
            "a@b@example.com",
            "\"ana\"@example.com",
            "ana(1)@example.com",
            "eve@x.es,ana@example.com",
            "<ana@example.com>",
            "Ana <ana@example.com>",
            "ana;eve@example.com",
            "ana@example.com,x.es",
            "ana@xn--",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }
}
