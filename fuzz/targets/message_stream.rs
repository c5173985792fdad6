//! Fuzzes streams of message frames: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::message_stream(input));
