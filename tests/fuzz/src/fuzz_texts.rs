//! Wiring of libFuzzer; the checks are in the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::texts::check(data));
