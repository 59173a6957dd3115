//! Tests of the domain: what every command does in every phase, what holds after any sequence of commands,
//! and a whole shop of entities under a scheduler that interleaves, repeats, loses and crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod properties;
mod support;
mod tables;
mod world;
