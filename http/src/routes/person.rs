//! What requests say of people: names, e-mail addresses, telephone numbers, passwords.

use std::sync::Arc;

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

/// Something, an at sign, something: whether it can be delivered to shows when it is tried.
pub(super) fn email(raw: &RawValue) -> Result<Arc<str>, Fault> {
    let text = fields::text(3..=MAX_EMAIL)(raw)?;
    let parts = text.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.is_some() && plain { Ok(text) } else { Err("must be an e-mail address".into()) }
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

/// One form of an address in all its spellings: letters small, the domain in ASCII.
pub(super) fn normalised(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
    format!("{}@{domain}", local.to_lowercase())
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
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for spelling in ["Ana@Example.com", "ANA@EXAMPLE.COM", "ana@example.com"] {
            assert_eq!(normalised(spelling), "ana@example.com");
        }
        assert_eq!(normalised("ana@ñandú.ar"), normalised("Ana@ÑANDÚ.ar"));
        assert_eq!(normalised("a@b@Ñ.es"), "a@b@xn--ida.es");
    }
}
