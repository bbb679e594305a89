//! Feeds `leon::fuzzing::header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::header(bytes));
