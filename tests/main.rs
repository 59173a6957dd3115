//! The black-box tests: the real binary in a process of its own, over real HTTP, on real files. What each module
//! shows, and how to run the long versions, stands in `README.md` beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod attacks;
mod checkout;
mod configuration;
mod contract;
mod crowd;
mod edges;
mod expiry;
mod failing_disk;
mod idempotency;
mod matrix;
mod payments;
mod people;
mod people_support;
mod power_cut;
mod private;
mod recovery;
mod short_way;
mod support;
mod tools;
