//! What is left of the engine under more than it can serve, and beside clients that only hold connections:
//! `cargo bench -p relampago-benches --bench overload`, and behind `--` the options that `--help` shows.
//!
//! It prints a table and fails if a figure is beyond its bound.

use std::path::Path;

use clap::Parser;
use relampago_speed::SpeedError;
use relampago_speed::overload::{Options, run};

fn main() -> Result<(), SpeedError> {
    run(&Options::parse(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}
