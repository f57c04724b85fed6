//! A Channel Access 4.13 client.
//!
//! [`Client`] is what the rest of the crate uses. One task owns the table of channels; it has names searched for
//! ([`search`], [`name_server`]) and hands the channels that were found to one [`circuit`] per server.
//!
//! ```text
//! Client ─add/remove→ manager ─find/forget→ search ⇄ UDP, name servers
//!                        ├─ create/remove→ circuit ⇄ server ─events→ receiver
//!                        └─←── lost, search again ──┘
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`protocol`] | messages to bytes and back, without I/O; `frame` has their headers and boundaries |
//! | [`dbr`] | payloads of values: `DBR_TIME` and `DBR_CTRL`, without I/O |
//! | [`settings`] | `EPICS_CA_*` and what overrides them |
//! | [`search`] | who serves a channel: back-off and UDP |
//! | [`name_server`] | the same question over TCP |
//! | [`link`] | one TCP connection with its watchdog |
//! | [`circuit`] | the channels of one server |
//! | [`client`] | the table of channels, start and stop |
//!
//! Beacons are not listened to (that takes the repeater): a server that appears while its channels are already searched
//! for is found with the next search, at the latest after the longest search period, or as soon as any other channel of
//! that server is found.

pub mod circuit;
pub mod client;
pub mod dbr;
mod frame;
pub mod link;
pub mod name_server;
pub mod protocol;
pub mod search;
pub mod settings;

pub use client::{Client, StartError};
pub use settings::{Overrides, Settings, SettingsError};
