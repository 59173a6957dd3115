//! The black-box tests: the real binary in a process of its own, over real HTTP, on real files. What each module
//! shows, and how to run the long versions, stands in `README.md` beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod attacks;
mod checkout;
mod configuration;
mod contract;
mod crowd;
mod damage;
mod edges;
mod expiry;
mod failing_disk;
mod hostile;
mod idempotency;
mod load;
mod many;
mod matrix;
mod overload;
mod panics;
mod payments;
mod people;
mod people_support;
mod power_cut;
mod private;
mod process;
mod recovery;
mod seeing;
mod short_way;
mod soak;
mod support;
mod tools;
