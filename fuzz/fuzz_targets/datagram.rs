//! Feeds `leon::fuzzing::datagram`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leon::fuzzing::datagram(bytes));
