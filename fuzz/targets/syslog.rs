//! Whatever anybody sends to the syslog source: `cargo +nightly fuzz run syslog`.
#![no_main]

#[path = "../../connectors/syslog/tests/decoding/mod.rs"]
mod decoding;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoding::decode(input));
