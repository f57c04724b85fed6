//! A complete transform: multiplies numbers.

use connect_api::config::Key;
use connect_api::{Error, PluginInfo, Record, RecordMeta, Result, TaskContext};
use connect_api::{Transform, TransformPlugin, Value, async_trait};

connect_api::config! {
    /// Settings of the transform.
    pub struct ScaleConfig {
        /// What each number is multiplied by.
        factor: i64 = Key::new("factor").high(),
    }
}

pub struct Scale(i64);

#[async_trait]
impl TransformPlugin for Scale {
    type Config = ScaleConfig;
    const INFO: PluginInfo = PluginInfo { name: "scale", aliases: &[], version: "1.0.0", about: "Multiplies numbers." };

    async fn build(config: ScaleConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self(config.factor)))
    }
}

impl Transform for Scale {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let number = record.value.as_i64().and_then(|n| n.checked_mul(self.0));
        // What is wrong with this record alone: errors.tolerance decides what becomes of it.
        let number = number.ok_or_else(|| Error::data(format!("{} cannot be scaled by {}", record.value, self.0)))?;
        record.value = Value::Int64(number);
        Ok(Some(record))
    }
}
