//! Whether the record has no value.

use connect_api::{PluginInfo, Predicate, PredicatePlugin, Record, RecordMeta, Result};

use crate::NoSettings;

/// `org.apache.kafka.connect.transforms.predicates.RecordIsTombstone`
#[derive(Debug)]
pub struct RecordIsTombstone;

impl PredicatePlugin for RecordIsTombstone {
    type Config = NoSettings;
    const INFO: PluginInfo = PluginInfo {
        name: "record-is-tombstone",
        aliases: &["org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Holds for records whose value is null.",
    };

    fn build(_config: NoSettings) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Self))
    }
}

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record, _meta: &RecordMeta) -> Result<bool> {
        Ok(record.value.is_null())
    }
}
