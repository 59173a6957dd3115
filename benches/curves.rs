//! How checkouts a second change with threads, connections, skus and stored orders:
//! `cargo bench -p relampago-benches --bench curves`, and behind `--` the options that `--help` shows.
//!
//! The figures and pictures of every axis go to `benches/curves/`.

use std::path::Path;

use clap::Parser;
use relampago_speed::SpeedError;
use relampago_speed::curves::{Options, run};

fn main() -> Result<(), SpeedError> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("curves");
    run(&Options::parse(), Path::new(env!("CARGO_TARGET_TMPDIR")), &out)
}
