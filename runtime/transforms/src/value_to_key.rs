//! Makes the key of fields of the value.

use std::sync::Arc;

use async_trait::async_trait;
use connect_api::{
    Error, Map, PluginInfo, Record, RecordMeta, Result, Schema, Struct, TaskContext, TextKey, Transform,
    TransformPlugin, Value, config::Key,
};

use crate::rebuild::{SchemaCache, field_value, require_map, require_struct};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct ValueToKeyConfig {
        /// Fields of the value that make the key, in order.
        fields: Vec<String> = Key::new("fields").high().at_least_one(),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

/// `org.apache.kafka.connect.transforms.ValueToKey`
#[derive(Debug)]
pub struct ValueToKey {
    fields: Vec<Arc<str>>,
    with_default: bool,
    schemas: SchemaCache,
}

const PURPOSE: &str = "copying fields from value to key";

#[async_trait]
impl TransformPlugin for ValueToKey {
    type Config = ValueToKeyConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "value-to-key",
        aliases: &["org.apache.kafka.connect.transforms.ValueToKey"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Makes the key a struct, or without schema a map, of fields of the value.",
    };

    async fn build(config: ValueToKeyConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Self {
            fields: config.fields.into_iter().map(Arc::from).collect(),
            with_default: config.replace_null_with_default,
            schemas: SchemaCache::new(),
        }))
    }
}

impl Transform for ValueToKey {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        if record.value_schema.is_none() {
            let map = require_map(record.value.clone(), PURPOSE)?;
            let entry = |field: &Arc<str>| {
                (Value::String(field.clone()), map.get(&TextKey(field)).cloned().unwrap_or_default())
            };
            let key: Map = self.fields.iter().map(entry).collect();
            (record.key_schema, record.key) = (None, Value::Map(Arc::new(key)));
            return Ok(Some(record));
        }
        let s = require_struct(&record.value, PURPOSE)?;
        let Self { fields, schemas, .. } = self;
        let made = schemas.get(s.schema(), || {
            let mut builder = Schema::structure();
            for field in fields.iter() {
                let found = s.schema().field(field);
                let found = found.ok_or_else(|| Error::data(format!("Field does not exist: {field}")))?;
                builder = builder.field(field.clone(), found.schema().clone());
            }
            builder.build()
        })?;
        let mut key = Struct::new(&made)?;
        for field in s.schema().fields().iter().filter(|f| made.field(f.name()).is_some()) {
            key.put(field.name(), field_value(s, field.index(), self.with_default).clone())?;
        }
        record.value_schema = Some(s.schema().clone());
        (record.key_schema, record.key) = (Some(made), key.into_value());
        Ok(Some(record))
    }
}
