//! A Channel Access 4.13 client.
//!
//! [`Client`] is what the rest of the crate uses. One task owns the table of channels; it has names searched for
//! ([`search`], [`name_server`]) and hands the channels that were found to one [`circuit`] per server and
//! priority.
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
//! | [`beacon`] | servers that come up are searched at once; the repeater |
//! | [`link`] | one TCP connection with its watchdog |
//! | [`circuit`] | the channels of one server |
//! | [`client`] | the table of channels, start and stop |

pub mod beacon;
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
