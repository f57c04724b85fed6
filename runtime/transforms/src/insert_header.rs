//! Adds a header with a fixed value.

use std::sync::Arc;

use async_trait::async_trait;
use connect_api::{
    Header, PluginInfo, Record, RecordMeta, Result, SchemaAndValue, TaskContext, Transform, TransformPlugin,
    config::Key, parse_value,
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct InsertHeaderConfig {
        /// Key of the header.
        header: String = Key::new("header").high(),
        /// The value, read as the simple header converter reads texts: numbers, booleans, dates, lists and maps are
        /// known by their looks, everything else is text.
        value: String = Key::new("value.literal").high(),
    }
}

/// `org.apache.kafka.connect.transforms.InsertHeader`
#[derive(Debug)]
pub struct InsertHeader {
    key: Arc<str>,
    value: SchemaAndValue,
}

#[async_trait]
impl TransformPlugin for InsertHeader {
    type Config = InsertHeaderConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "insert-header",
        aliases: &["org.apache.kafka.connect.transforms.InsertHeader"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Adds a header with a fixed value; headers of that key stay.",
    };

    async fn build(config: InsertHeaderConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self { key: config.header.into(), value: parse_value(&config.value) }))
    }
}

impl Transform for InsertHeader {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let SchemaAndValue { schema, value } = self.value.clone();
        record.headers.push(Header { key: self.key.clone(), schema, value });
        Ok(Some(record))
    }
}
