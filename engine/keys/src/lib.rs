//! Keys: those that personal data is sealed under, and those that tokens are signed and authenticated with.
//!
//! Two files. The *key ring* holds master keys and signing keys. The *vault* holds one data key an owner,
//! wrapped under a master key; personal data is sealed under its owner's data key, so destroying that key
//! erases the data wherever copies of it lie: in journals, snapshots, archives.
//!
//! * [`Keys`]: everything that can be done with them.
//! * `mailed`: tokens that are mailed.
//! * `ring`, `vault` with its `slot`s: the two files; `files`: how they are replaced and wiped.
//! * `rotation`: changes of the ring, and what a crash in the middle leaves.
//! * `secret`, `master`, `sealing`, `signing`: the cryptography, all of it from AWS-LC and BLAKE3.
//! * `opened`: data keys used lately.

mod error;
mod files;
mod keys;
mod mailed;
mod master;
mod opened;
mod ring;
mod rotation;
mod sealing;
mod secret;
mod signing;
mod slot;
mod vault;

pub use error::{KeysError, Unreadable};
pub use keys::{Counts, DataKey, Keys};
pub use mailed::MailedToken;
pub use signing::{SigningKey, SigningSet, VerifyingKey};
