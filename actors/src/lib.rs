//! The domain of the shop: pure state machines, one file an entity.
//!
//! Nothing here does I/O, reads a clock or draws a random number. An [`Entity`] takes a command and the
//! time, and *decides*: events to record, messages to other entities, and what to tell whoever asked. The
//! engine hosts entities on actors, journals their events and delivers their messages.
//!
//! * [`entity`]: the contract between the domain and the engine.
//! * [`address`]: who is who, and the messages entities send each other.
//! * [`product`], [`inventory`], [`cart`], [`order`], [`payment`]: what is sold, and the sale.
//! * [`user`], [`email`], [`api_keys`], [`audit`]: who they are, and what they did.
//! * [`access`]: who may do what.
//! * [`money`], [`keys`], [`personal`], [`secret`], [`line`], [`catalogue`]: the values they share.

pub mod access;
pub mod address;
pub mod api_keys;
pub mod audit;
pub mod cart;
pub mod catalogue;
pub mod email;
pub mod entity;
pub mod inventory;
pub mod keys;
pub mod line;
pub mod money;
pub mod order;
pub mod payment;
pub mod personal;
pub mod product;
pub mod secret;
pub mod user;

pub use access::Party;
pub use address::{Address, Effect, Id, Kind, Message, OutsideCall, Rejection, Reply};
pub use entity::{Answer, Context, Decision, Entity, Facets, Millis, Policy, Sequence, Stamp};
