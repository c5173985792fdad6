//! Fuzzes streams of frames of `sockeye-message`: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::message_stream(input));
