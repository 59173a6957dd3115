//! How an order is stored: as its events, which make it what it is.

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::{Order, Recorded};
use crate::address::Id;
use crate::entity::{Entity, Stamp};

impl Serialize for Order {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.id, &self.events).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, events) = <(Id, Vec<Recorded>)>::deserialize(deserializer)?;
        let mut order = Self::blank(id);
        for Recorded { sequence, at, event } in events {
            order.apply(event, Stamp { sequence, at });
        }
        Ok(order)
    }
}
