//! Scenario files against servers in memory: what they measure, and what their audits find.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod books;
mod drain;
mod faults;
mod foreign;
mod running;
mod scenarios;
mod secure;
mod serving;
mod several;
#[path = "../shop/mod.rs"]
mod shop;
mod stall;
mod tls;
