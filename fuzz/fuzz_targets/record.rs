//! Feeds `leon::fuzzing::record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::record(bytes));
