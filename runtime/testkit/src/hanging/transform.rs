//! A transform that hangs where it is told to.

use async_trait::async_trait;
use connect_api::{PluginInfo, Record, RecordMeta, Result, TaskContext, Transform, TransformPlugin};

use super::{HangingConfig, Place};

/// Leaves records as they are, and hangs where `hang.in` is `transform`.
pub struct HangingTransform;

#[async_trait]
impl TransformPlugin for HangingTransform {
    type Config = HangingConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "Hanging",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Hangs where it is told to; for tests.",
    };

    async fn build(config: HangingConfig, _: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Hanging(config)))
    }
}

struct Hanging(HangingConfig);

impl Transform for Hanging {
    fn apply(&mut self, record: Record, _: &RecordMeta) -> Result<Option<Record>> {
        self.0.block(Place::Transform);
        Ok(Some(record))
    }
}
