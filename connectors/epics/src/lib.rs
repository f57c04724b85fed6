//! EPICS source: watches channels of EPICS control systems over Channel Access, or simulated ones, and turns what they
//! report into records.
//!
//! Both providers of channels speak the same small vocabulary ([`channel`]): a channel is added by name, after which
//! [`Event`](channel::Event)s tell when it connects, changes, fails and disconnects.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`channel`] | events, samples and values: what every provider of channels reports |
//! | [`alarm`] | severities and alarm statuses of EPICS records |
//! | [`ca`] | a Channel Access 4.13 client: protocol, search, circuits, settings |
//! | [`simulation`] | a provider that makes up its channels: ramps, sines and random walks with alarm limits |

pub mod alarm;
pub mod ca;
pub mod channel;
pub mod simulation;
