//! The keys from outside: two files, and what can be done with them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod erasure;
mod model;
mod ring;
mod rotation;
mod sealing;
mod support;
mod tokens;
