//! Whatever a server or a stranger sends: `cargo +nightly fuzz run channel_access`.
#![no_main]

#[path = "../../connectors/epics/tests/decoding/mod.rs"]
mod decoding;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoding::decode(input));
