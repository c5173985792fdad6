//! Fuzzes records of TLS: see `scripts/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::tls_records(input));
