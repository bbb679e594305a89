//! Feeds `leon::fuzzing::control`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::control(bytes));
