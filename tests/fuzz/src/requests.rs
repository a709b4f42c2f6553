//! Wiring of libFuzzer: what is checked stands in the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::check(data));
