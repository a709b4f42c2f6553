//! Wiring of libFuzzer; what is checked is in the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::texts::check(data));
