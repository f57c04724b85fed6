//! Development tasks of the workspace, run as `cargo xtask …`.
//!
//! The library half is [`servers`]: it obtains, starts and stops the real peers that the end-to-end tests talk to. The
//! commands themselves live in the binary.

pub mod servers;
