//! Searches for streams of messages that are answered wrongly: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::message_stream(input));
