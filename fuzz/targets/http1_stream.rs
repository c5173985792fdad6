//! Fuzzes streams of HTTP/1.1 requests: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::http1_stream(input));
