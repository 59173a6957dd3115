//! Data folders. A panic of sled's on damaged files is caught by who opens it, so panics must not end the process where
//! they begin.
#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: drop(panic::take_hook()),
    |input: &[u8]| relampago_snapshots::fuzzing::recovery(input)
);
