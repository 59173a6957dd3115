//! How fast the engine is beside an axum handler that does nothing and two shops on PostgreSQL, and how far its targets are reached:
//! `cargo bench -p relampago-benches --bench speed`, and behind `--` the options that `--help` shows.
//!
//! Everything is built, started, measured and ended here; all of it listens on the loopback interface alone.

use std::path::Path;

use clap::Parser;
use relampago_speed::SpeedError;
use relampago_speed::compare::{Options, run};

fn main() -> Result<(), SpeedError> {
    run(&Options::parse(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}
