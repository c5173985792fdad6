//! Fuzzes header blocks of HTTP/2: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::hpack(input));
