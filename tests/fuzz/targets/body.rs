#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| relampago_http::fuzzing::body(input));
