//! The parts that access is made of. None reads a clock: whoever asks says what time it is, in milliseconds
//! since 1970.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`bootstrap`] | the admin key that a shop starts with |
//! | [`jwt`] | access tokens: issued, verified, and the public keys that verify them |
//! | [`opaque`] | refresh tokens and API keys as text |
//! | [`passwords`] | password hashes, made and compared on threads of their own |
//! | [`password_rules`] | which passwords may be chosen |
//! | [`throttle`] | failed sign-ins, and how long the next one has to wait |
//! | [`origin`] | where a request comes from, behind proxies too |
//! | [`verified`] | credentials that were verified a moment ago |

pub mod bootstrap;
pub mod gate;
pub(crate) mod jwt;
pub(crate) mod opaque;
pub(crate) mod origin;
pub(crate) mod password_rules;
pub(crate) mod passwords;
pub(crate) mod throttle;
pub(crate) mod verified;
