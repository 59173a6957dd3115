#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| relampago_snapshots::fuzzing::values(input));
