//! Searches for streams of frames or requests that one port answers wrongly: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::message_port(input));
