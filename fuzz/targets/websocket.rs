//! Fuzzes WebSockets: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::websocket(input));
