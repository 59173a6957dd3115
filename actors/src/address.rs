//! Entity addresses, and the envelope types that cross from one entity to another or to a client.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::entity::Sequence;
use crate::{api_keys, audit, cart, email, inventory, order, payment, product, user};

/// How many slots ids hash to; the unit in which partitions are placed.
pub const SLOTS: u16 = 1024;

/// A 128-bit id, written as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub u128);

impl Id {
    /// An id derived from `parts` and nothing else: the same parts always give the same id.
    /// Parts are framed by their lengths, so that no two lists of parts run together.
    #[must_use]
    pub fn derived(domain: &str, parts: &[&[u8]]) -> Self {
        framed(domain, parts, |bytes| Self::version_8(blake3::hash(bytes)))
    }

    /// As [`Id::derived`], but only who holds `secret` can tell or guess the id.
    #[must_use]
    pub fn keyed(secret: &[u8; 32], domain: &str, parts: &[&[u8]]) -> Self {
        framed(domain, parts, |bytes| Self::version_8(blake3::keyed_hash(secret, bytes)))
    }

    /// The first 16 bytes of a hash, with version 8 (RFC 9562: vendor specific) and the variant stamped on them.
    fn version_8(hash: blake3::Hash) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(u128::from_be_bytes(bytes))
    }

    /// The canonical lower-case form, 36 ASCII bytes.
    #[must_use]
    pub fn encode(self) -> [u8; 36] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.to_be_bytes().iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            out[at] = HEX[usize::from(byte >> 4)];
            out[at + 1] = HEX[usize::from(byte & 15)];
            at += 2;
        }
        out
    }
}

/// Hands on every part with its length in front: hashing it at once costs a third of hashing it part by part.
fn framed<T>(domain: &str, parts: &[&[u8]], hash: impl FnOnce(&[u8]) -> T) -> T {
    let mut bytes = SmallVec::<[u8; 256]>::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    hash(&bytes)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are hex digits and dashes, so the lossless path is always taken.
        f.write_str(&String::from_utf8_lossy(&self.encode()))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID in its canonical, hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct MalformedId;

impl FromStr for Id {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(MalformedId);
        }
        let mut value = 0u128;
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(MalformedId);
                }
                continue;
            }
            let digit = char::from(*byte).to_digit(16).ok_or(MalformedId)?;
            value = (value << 4) | u128::from(digit);
        }
        Ok(Self(value))
    }
}

/// What an entity is. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// A product of the catalogue.
    Product = 1,
    /// The stock of one sku.
    Inventory = 2,
    /// A shopping cart.
    Cart = 3,
    /// An order: the process manager of checkout.
    Order = 4,
    /// A payment of an order.
    Payment = 5,
    /// An account or a guest profile.
    User = 6,
    /// The claim on an e-mail address.
    Email = 7,
    /// The keys of the programs that may call.
    ApiKeys = 8,
    /// Who did what in one minute.
    Audit = 9,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Product,
        Self::Inventory,
        Self::Cart,
        Self::Order,
        Self::Payment,
        Self::User,
        Self::Email,
        Self::ApiKeys,
        Self::Audit,
    ];

    /// The kind with this stored number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Lower-case name, used as a metric label and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Inventory => "inventory",
            Self::Cart => "cart",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::User => "user",
            Self::Email => "email",
            Self::ApiKeys => "api_keys",
            Self::Audit => "audit",
        }
    }
}

/// Where a message goes: the one writer of one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: Id,
}

impl Address {
    /// The inventory of a sku. Its id is derived from the sku, so that a sku has one inventory only.
    #[must_use]
    pub fn inventory(sku: &str) -> Self {
        Self { kind: Kind::Inventory, id: Id::derived("inventory", &[sku.as_bytes()]) }
    }

    /// A product by its id.
    #[must_use]
    pub const fn product(id: Id) -> Self {
        Self { kind: Kind::Product, id }
    }

    /// A cart by its id.
    #[must_use]
    pub const fn cart(id: Id) -> Self {
        Self { kind: Kind::Cart, id }
    }

    /// An order by its id.
    #[must_use]
    pub const fn order(id: Id) -> Self {
        Self { kind: Kind::Order, id }
    }

    /// A payment by its id.
    #[must_use]
    pub const fn payment(id: Id) -> Self {
        Self { kind: Kind::Payment, id }
    }

    /// A user by its id.
    #[must_use]
    pub const fn user(id: Id) -> Self {
        Self { kind: Kind::User, id }
    }

    /// The claim on an e-mail address. Its id is a keyed hash of the normalised address ([`Id::keyed`]), so
    /// that an address has one claim only and the id tells nothing of it.
    #[must_use]
    pub const fn email(id: Id) -> Self {
        Self { kind: Kind::Email, id }
    }

    /// The one entity with all API keys.
    #[must_use]
    pub fn api_keys() -> Self {
        Self { kind: Kind::ApiKeys, id: Id::derived("api keys", &[]) }
    }

    /// What was done in a minute; they are counted since the Unix epoch.
    #[must_use]
    pub fn audit(minute: u64) -> Self {
        Self { kind: Kind::Audit, id: Id::derived("audit", &[&minute.to_be_bytes()]) }
    }

    /// The slot of this address, `0..SLOTS`. Kinds of one id share a slot on purpose.
    #[must_use]
    pub const fn slot(self) -> u16 {
        // Ids are hashes or carry 62 random bits at the end; the last bits are well mixed in both.
        (self.id.0 % SLOTS as u128) as u16
    }

    /// 17 bytes: the kind's number, then the id, big-endian.
    #[must_use]
    pub fn key(self) -> [u8; 17] {
        let mut key = [self.kind as u8; 17];
        key[1..].copy_from_slice(&self.id.0.to_be_bytes());
        key
    }

    /// The address written by [`Address::key`], if the kind is known.
    #[must_use]
    pub fn from_key(key: &[u8; 17]) -> Option<Self> {
        let mut id = [0; 16];
        id.copy_from_slice(&key[1..]);
        Some(Self { kind: Kind::from_u8(key[0])?, id: Id(u128::from_be_bytes(id)) })
    }
}

/// A command or an answer on its way to an entity.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Message {
    /// To a product.
    Product(product::Command),
    /// To an inventory.
    Inventory(inventory::Command),
    /// To a cart.
    Cart(cart::Command),
    /// To an order.
    Order(order::Command),
    /// To a payment.
    Payment(payment::Command),
    /// To a user.
    User(user::Command),
    /// To the claim on an e-mail address.
    Email(email::Command),
    /// To the API keys.
    ApiKeys(api_keys::Command),
    /// To the record of a minute.
    Audit(audit::Command),
}

/// A call on the outside world, owed until its answer is recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum OutsideCall {
    /// A payment provider is to do something; it answers the payment entity.
    Gateway(payment::GatewayCall),
    /// A mail is to be sent; [`user::Command::MailSent`] answers.
    Mail(user::Mail),
    /// The key of a user's personal data is to be destroyed; [`user::Command::KeyDestroyed`] answers.
    DestroyKey {
        /// Whose.
        user: Id,
    },
}

/// What an entity owes after an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message to another entity.
    Send {
        /// Whom.
        to: Address,
        /// What.
        message: Message,
    },
    /// A call on the outside world.
    Call(OutsideCall),
}

/// What a client gets when the domain says yes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A product.
    Product(Box<product::View>),
    /// The stock of a sku.
    Inventory(inventory::View),
    /// A cart.
    Cart(Box<cart::View>),
    /// An order.
    Order(Box<order::View>),
    /// The events of an order, oldest first.
    History(Vec<order::Recorded>),
    /// A payment.
    Payment(Box<payment::View>),
    /// What stands against an order or a cart; empty if nothing.
    Violations(Vec<order::Violation>),
    /// Done, nothing to show.
    Done,
    /// A user.
    User(Box<user::View>),
    /// A postal address of a user.
    PostalAddress(user::PostalAddress),
    /// All of a user, oldest first.
    PostalAddresses(Vec<user::PostalAddress>),
    /// What a sign-in is checked against.
    Credentials(Box<user::Credentials>),
    /// A session that is live.
    Session(user::SessionView),
    /// Whose an e-mail address is, if anybody's.
    Owner(Option<Id>),
    /// An API key.
    ApiKey(Box<api_keys::View>),
    /// All API keys, oldest first.
    ApiKeys(Vec<api_keys::View>),
    /// Who did what in a minute, in the order of recording.
    Audit(Vec<(Sequence, audit::Entry)>),
}

/// What a client gets when the domain says no.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// By a product.
    #[error(transparent)]
    Product(#[from] product::Rejection),
    /// By an inventory.
    #[error(transparent)]
    Inventory(#[from] inventory::Rejection),
    /// By a cart.
    #[error(transparent)]
    Cart(#[from] cart::Rejection),
    /// By an order.
    #[error(transparent)]
    Order(#[from] order::Rejection),
    /// By a payment.
    #[error(transparent)]
    Payment(#[from] payment::Rejection),
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used before with another request body")]
    KeyReused,
    /// By a user.
    #[error(transparent)]
    User(#[from] user::Rejection),
    /// By the API keys.
    #[error(transparent)]
    ApiKey(#[from] api_keys::Rejection),
}
