//! Fuzzes connections of HTTP/2: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::h2_server(input));
