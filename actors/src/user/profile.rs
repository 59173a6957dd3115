//! What describes a user.

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::address::Id;
use crate::entity::Millis;
use crate::keys::KeyTag;
use crate::personal::Personal;
use crate::secret::Password;

/// Postal addresses of one user at the most.
pub const MAX_ADDRESSES: usize = 50;

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// Name.
    pub name: Personal,
    /// Telephone number.
    pub phone: Option<Personal>,
}

/// An e-mail address to be a user's.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct NewEmail {
    /// The entity that gives it out.
    pub claim: Id,
    /// The address as the client wrote it.
    pub address: Personal,
}

/// What a user is made with.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Registration {
    /// Who it is.
    pub profile: Profile,
    /// Where to write to.
    pub email: NewEmail,
    /// The password; none for a guest profile.
    pub password: Option<Password>,
    /// What it is.
    pub role: Role,
    /// The language of its mails: 0 English, 1 Spanish.
    pub locale: u8,
    /// The client's key.
    pub tag: Option<KeyTag>,
}

/// A change of some things; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// New name.
    pub name: Option<Personal>,
    /// New telephone number, or none.
    pub phone: Option<Option<Personal>>,
    /// New e-mail address.
    pub email: Option<NewEmail>,
    /// New role.
    pub role: Option<Role>,
}

/// A change with a new e-mail address, under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmailChange {
    /// The number of the claim on the new address.
    pub number: u32,
    /// The new address.
    pub email: NewEmail,
    /// What else is to change, without an address.
    pub change: Change,
    /// The client's key.
    pub tag: Option<KeyTag>,
}

/// As whom somebody changes or erases a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The user.
    Owner,
    /// Staff: customers only, and no roles.
    Staff,
    /// An administrator.
    Admin,
}

/// A postal address of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostalAddress {
    /// Its id.
    pub id: Id,
    /// As the client gave it (JSON).
    pub address: Personal,
}

/// What a sign-in is checked against.
#[derive(Clone, Debug, PartialEq)]
pub struct Credentials {
    /// Whose.
    pub user: Id,
    /// What they are.
    pub role: Role,
    /// The hashed password; a guest profile has none.
    pub password: Option<Password>,
    /// To be shown again when the session is opened.
    pub epoch: u32,
}

/// What a user shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// Name.
    pub name: Personal,
    /// E-mail address as it was given.
    pub email: Personal,
    /// Telephone number.
    pub phone: Option<Personal>,
    /// What it is.
    pub role: Role,
    /// Whether it is an account and not a guest profile.
    pub has_password: bool,
    /// Whether the address has proved to be its own.
    pub verified: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Grows with every change of the profile and the postal addresses.
    pub version: u64,
}
