//! Backups. A panic of sled's is caught by who opens it, so panics must not end the process where they begin.
#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: drop(panic::take_hook()),
    |input: &[u8]| relampago_snapshots::fuzzing::backup(input)
);
