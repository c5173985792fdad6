//! Fuzzes a port that accepts message frames and HTTP: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::message_port(input));
