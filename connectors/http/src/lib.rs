//! HTTP in and out for connectors: one client, one mapping from answers to errors, one listener.
//!
//! A sink composes its settings with [`HttpConfig`] through [`Joined`], makes a [`Client`] of it and lets
//! [`Client::deliver`] classify what comes back; [`Progress`] remembers what of a slice was delivered, so
//! that its retry does not deliver twice. A webhook source takes paths of a [`Listener`], which connectors
//! with the same address share.
//!
//! - [`config`]: settings of the client, and how a connector joins them with its own
//! - [`client`]: the client and what it hides
//! - [`oauth`]: tokens of OAuth 2 by client credentials
//! - `reach`: whether a server takes connections, for test calls; `handshake`: what is wrong with its TLS
//! - `requests`: counts of requests for the page `/metrics`
//! - [`status`]: from answers and transport failures to [`connect_api::Error`]
//! - `certificates`: what is wrong with those of either side
//! - [`statuses`]: sets of statuses
//! - [`delivery`]: several requests at once, in the order of keys
//! - [`signing`]: signatures of bodies, made and checked
//! - [`progress`]: which records of a slice were delivered
//! - [`listener`]: the HTTP server of webhook sources; `connection`: what serves one client;
//!   [`tls`]: certificates of any listener; `patience`: how long a client may take to read

mod certificates;
pub mod client;
pub mod config;
mod connection;
pub mod delivery;
mod handshake;
pub mod listener;
pub mod oauth;
mod patience;
pub mod progress;
mod reach;
mod requests;
pub mod signing;
pub mod status;
pub mod statuses;
pub mod tls;

pub use certificates::CertificateTrouble;
pub use client::{Client, Keys, shown_url};
pub use config::{AuthConfig, HttpConfig, Joined};
pub use delivery::{Delivery, DeliveryConfig};
pub use listener::{ListenConfig, Listener, Reply, Request, Route};
pub use oauth::{OAuthConfig, OAuthKeys};
pub use progress::Progress;
pub use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
pub use signing::{Signer, SigningConfig};
pub use status::Answer;
pub use statuses::Statuses;
