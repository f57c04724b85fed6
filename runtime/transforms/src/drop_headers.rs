//! Removes headers by their keys.

use async_trait::async_trait;
use connect_api::{PluginInfo, Record, RecordMeta, Result, TaskContext, Transform, TransformPlugin, config::Key};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct DropHeadersConfig {
        /// Keys of the headers to remove.
        headers: Vec<String> = Key::new("headers").high().at_least_one(),
    }
}

/// `org.apache.kafka.connect.transforms.DropHeaders`
#[derive(Debug)]
pub struct DropHeaders(Vec<String>);

#[async_trait]
impl TransformPlugin for DropHeaders {
    type Config = DropHeadersConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "drop-headers",
        aliases: &["org.apache.kafka.connect.transforms.DropHeaders"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Removes all headers of the keys.",
    };

    async fn build(config: DropHeadersConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self(config.headers)))
    }
}

impl Transform for DropHeaders {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        for key in &self.0 {
            record.headers.remove(key);
        }
        Ok(Some(record))
    }
}
