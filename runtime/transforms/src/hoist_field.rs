//! Wraps the whole key or value into a struct or map of one field.

use connect_api::{Record, RecordMeta, Result, Schema, Struct, Value, config::Key};

use crate::{
    rebuild::SchemaCache,
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct HoistFieldConfig {
        /// Name of the one field.
        field: String = Key::new("field"),
    }
}

/// `org.apache.kafka.connect.transforms.HoistField`
#[derive(Debug)]
pub struct HoistField {
    field: std::sync::Arc<str>,
    schemas: SchemaCache,
}

impl Sided for HoistField {
    type Config = HoistFieldConfig;

    names!(
        "hoist-field",
        "org.apache.kafka.connect.transforms.HoistField",
        "wraps all of it into a struct, or without schema into a map, of one field."
    );

    fn new(config: HoistFieldConfig) -> Result<Self> {
        Ok(Self { field: config.field.into(), schemas: SchemaCache::new() })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let schema = side.of(record).0.cloned();
        let value = side.take(record);
        let Some(schema) = schema else {
            side.set(record, None, Value::map([(self.field.clone(), value)]));
            return Ok(());
        };
        let field = &self.field;
        let made = self.schemas.get(&schema, || Schema::structure().field(field.clone(), schema.clone()).build())?;
        let mut wrapped = Struct::new(&made)?;
        wrapped.put(field, value)?;
        side.set(record, Some(made), wrapped.into_value());
        Ok(())
    }
}
