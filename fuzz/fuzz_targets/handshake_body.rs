//! Feeds `leon::fuzzing::handshake_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::handshake_body(bytes));
