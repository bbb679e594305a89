//! Feeds `leon::fuzzing::ethernet`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::ethernet(bytes));
