//! Fuzzes streams of HTTP requests: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::http1_stream(input));
