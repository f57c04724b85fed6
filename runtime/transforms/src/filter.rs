//! Drops every record; to be used with a predicate.

use async_trait::async_trait;
use connect_api::{PluginInfo, Record, RecordMeta, Result, TaskContext, Transform, TransformPlugin};

use crate::NoSettings;

/// `org.apache.kafka.connect.transforms.Filter`
#[derive(Debug)]
pub struct Filter;

#[async_trait]
impl TransformPlugin for Filter {
    type Config = NoSettings;
    const INFO: PluginInfo = PluginInfo {
        name: "filter",
        aliases: &["org.apache.kafka.connect.transforms.Filter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Drops every record. With a predicate it drops those that meet it, with negate the others.",
    };

    async fn build(_config: NoSettings, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self))
    }
}

impl Transform for Filter {
    fn apply(&mut self, _record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        Ok(None)
    }
}
