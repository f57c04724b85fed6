//! Moves or copies fields into headers.

use std::sync::Arc;

use connect_api::{Error, Record, RecordMeta, Result, Schema, Struct, TextKey, Value, config::Key};

use crate::{
    rebuild::{SchemaCache, copy_basics, field_value, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config_enum! {
    /// What becomes of the fields.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Operation {
        /// They are removed.
        Move = "move",
        /// They stay.
        Copy = "copy",
    }
}

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct HeaderFromConfig {
        /// Fields to move or copy.
        fields: Vec<String> = Key::new("fields").high().at_least_one(),
        /// Keys of the headers, in the order of the fields.
        headers: Vec<String> = Key::new("headers").high().at_least_one(),
        /// move removes the fields, copy keeps them.
        operation: Operation = Key::new("operation").high(),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

/// `org.apache.kafka.connect.transforms.HeaderFrom`
#[derive(Debug)]
pub struct HeaderFrom {
    pairs: Vec<(String, Arc<str>)>,
    operation: Operation,
    with_default: bool,
    schemas: SchemaCache,
}

impl Sided for HeaderFrom {
    type Config = HeaderFromConfig;

    names!(
        "header-from",
        "org.apache.kafka.connect.transforms.HeaderFrom",
        "moves or copies fields into headers of the record; headers of the same keys stay."
    );

    fn new(config: HeaderFromConfig) -> Result<Self> {
        if config.fields.len() != config.headers.len() {
            let text = "'fields' config must have the same number of elements as 'headers' config.";
            return Err(Error::fatal(text).exception("org.apache.kafka.common.config.ConfigException"));
        }
        Ok(Self {
            pairs: config.fields.into_iter().zip(config.headers.into_iter().map(Arc::from)).collect(),
            operation: config.operation,
            with_default: config.replace_null_with_default,
            schemas: SchemaCache::new(),
        })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let purpose = match self.operation {
            Operation::Move => "header move",
            Operation::Copy => "header copy",
        };
        let schema = side.of(record).0.cloned();
        let value = side.take(record);
        match schema {
            None => {
                let mut map = require_map(value, purpose)?;
                for (field, header) in &self.pairs {
                    let value = map.get(&TextKey(field)).cloned().unwrap_or_default();
                    record.headers.add(header.clone(), value, None)?;
                }
                if self.operation == Operation::Move {
                    let entries = Arc::make_mut(&mut map);
                    for (field, _) in &self.pairs {
                        entries.shift_remove(&TextKey(field));
                    }
                }
                side.set(record, None, Value::Map(map));
            }
            Some(schema) => {
                let s = require_struct(&value, purpose)?;
                let (left_schema, left) = match self.operation {
                    Operation::Move => self.without_fields(&schema, s)?,
                    Operation::Copy => (schema.clone(), value.clone()),
                };
                for (field, header) in &self.pairs {
                    let unknown = || Error::data(format!("Field does not exist: {field}"));
                    let described = schema.field(field).ok_or_else(unknown)?;
                    let own = s.schema().field(field).map(|f| field_value(s, f.index(), self.with_default).clone());
                    record.headers.add(header.clone(), own.unwrap_or_default(), Some(described.schema().clone()))?;
                }
                side.set(record, Some(left_schema), left);
            }
        }
        Ok(())
    }
}

impl HeaderFrom {
    fn without_fields(&mut self, schema: &Schema, s: &Struct) -> Result<(Schema, Value)> {
        let Self { pairs, schemas, .. } = self;
        let made = schemas.get(schema, || {
            let kept = schema.struct_fields()?.iter().filter(|f| !pairs.iter().any(|(name, _)| name == f.name()));
            let builder = copy_basics(schema, Schema::structure());
            kept.fold(builder, |b, f| b.field(f.shared_name().clone(), f.schema().clone())).build()
        })?;
        let mut left = Struct::new(&made)?;
        for field in made.fields() {
            let value = s.schema().field(field.name()).map(|f| field_value(s, f.index(), self.with_default).clone());
            left.put(field.name(), value.unwrap_or_default())?;
        }
        Ok((made, left.into_value()))
    }
}
