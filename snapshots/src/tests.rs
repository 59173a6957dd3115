//! Tests across the modules of this crate: both twins against one contract, damage, crashes, order of syncs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod archive;
mod backup;
mod crash;
mod journal_contract;
mod log_damage;
mod model;
mod order;
mod recycling;
mod reopening;
mod sled_damage;
mod store_contract;
mod store_disk;
mod support;
