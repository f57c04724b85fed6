//! What survives a restart: connectors, source offsets and states.
//!
//! A distributed worker keeps them in the three compacted topics of Kafka Connect, a standalone one its source
//! offsets in a file and the rest in memory. What is above does not know which.
//!
//! - [`configs`]: connectors and their tasks; [`config_log`]: the records of the configuration topic
//! - [`status_topic`]: states and active topics; [`status_log`]: the records of the status topic
//! - [`source_offsets`]: source offsets; [`offset_file`], `java`: the file of a standalone worker
//! - [`topic`]: a compacted topic that is created or checked, followed and written

pub mod config_log;
pub mod configs;
mod java;
pub mod offset_file;
pub mod source_offsets;
pub mod status_log;
pub mod status_topic;
pub mod topic;

pub use configs::Configs;
pub use source_offsets::SourceOffsets;

/// What should be the case for a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kafka Connect's target states")]
pub enum Target {
    Started,
    Paused,
    Stopped,
}

impl Target {
    /// The name in records and requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    /// The target of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Started, Self::Paused, Self::Stopped].into_iter().find(|t| t.name() == name)
    }
}
