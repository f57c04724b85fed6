//! SAL, the middleware of the Rubin Observatory: its plain-text messages as typed records, and its interfaces as Avro.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`transform`] | the `Sal` transform |
//! | [`config`] | its settings, and where they say that schemas come from |
//! | [`message`] | the grammar of messages |
//! | [`plan`] | from the items of a message to a record, as a schema says |
//! | [`schemas`] | the latest schemas, from a registry or a folder |
//! | [`topic`] | from one topic of an interface in XML to its Avro schema |
//! | [`mod@convert`] | the same for files and folders, and back to files |

pub mod config;
pub mod convert;
pub mod message;
pub mod plan;
pub mod schemas;
pub mod topic;
pub mod transform;

pub use config::SalConfig;
pub use convert::{Conversion, OnError, convert};
pub use topic::Topic;
pub use transform::SalTransform;
