//! What survives a restart: source offsets in a file (standalone) or nowhere (embedded broker).
//!
//! The topics of a distributed worker will stand beside these behind the same [`OffsetStore`].

pub mod config_log;
mod java;
pub mod offset_file;
pub mod topic;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use connect_api::{OffsetMap, Result, async_trait};

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

/// Offsets by connector and source partition.
#[async_trait]
pub trait OffsetStore: Send + Sync {
    /// The offset of a partition.
    async fn get(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>>;

    /// Stores offsets, the last of each partition; durable when it returns.
    async fn put(&self, connector: &str, offsets: Vec<(Arc<OffsetMap>, OffsetMap)>) -> Result<()>;
}

/// Kafka Connect's key of an offset: the JSON of `[connector, partition]`, compact, members in order.
pub(crate) fn offset_key(connector: &str, partition: &OffsetMap) -> Vec<u8> {
    serde_json::json!([connector, partition]).to_string().into_bytes()
}

/// Kafka Connect's value of an offset: compact JSON.
pub(crate) fn offset_value(offset: &OffsetMap) -> Vec<u8> {
    serde_json::Value::Object(offset.clone()).to_string().into_bytes()
}

/// Offsets in memory, for the embedded broker, whose records do not survive either.
#[derive(Debug, Default)]
pub struct MemoryOffsets(Mutex<BTreeMap<Vec<u8>, OffsetMap>>);

#[async_trait]
impl OffsetStore for MemoryOffsets {
    async fn get(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(&offset_key(connector, partition)).cloned())
    }

    async fn put(&self, connector: &str, offsets: Vec<(Arc<OffsetMap>, OffsetMap)>) -> Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(offsets.into_iter().map(|(partition, offset)| (offset_key(connector, &partition), offset)));
        Ok(())
    }
}
