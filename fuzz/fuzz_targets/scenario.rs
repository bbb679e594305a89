//! Feeds `leon::fuzzing::scenario`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::scenario(bytes));
