//! Adds fields with the record's topic, partition, offset or time stamp, or with a fixed text.

use std::sync::Arc;

use connect_api::{Error, Record, RecordMeta, Result, Schema, Struct, Value, config::Key, logical};

use crate::{
    rebuild::{SchemaCache, copy_basics, field_value, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct InsertFieldConfig {
        /// Field for the topic. With `!` at the end the field is required, with `?` or nothing it is optional.
        topic: Option<String> = Key::new("topic.field"),
        /// Field for the Kafka partition, `!` and `?` as for the topic.
        partition: Option<String> = Key::new("partition.field"),
        /// Field for the Kafka offset, which only sinks know, `!` and `?` as for the topic.
        offset: Option<String> = Key::new("offset.field"),
        /// Field for the record's time stamp, `!` and `?` as for the topic.
        timestamp: Option<String> = Key::new("timestamp.field"),
        /// Field for the fixed text, `!` and `?` as for the topic.
        fixed: Option<String> = Key::new("static.field"),
        /// The fixed text.
        fixed_value: Option<String> = Key::new("static.value"),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

#[derive(Debug, Clone)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(Value),
}

#[derive(Debug)]
struct Insertion {
    field: Arc<str>,
    schema: Schema,
    what: What,
}

impl Insertion {
    fn new(spec: &str, what: What) -> Self {
        let (field, optional) = match spec.strip_suffix('!') {
            Some(field) => (field, false),
            None => (spec.strip_suffix('?').unwrap_or(spec), true),
        };
        let schema = match what {
            What::Topic | What::Static(_) => Schema::string(),
            What::Partition => Schema::int32(),
            What::Offset => Schema::int64(),
            What::Timestamp => logical::timestamp(),
        };
        Self { field: field.into(), schema: schema.with_optional(optional), what }
    }

    /// The value, if the record has it.
    fn value(&self, record: &Record, meta: &RecordMeta, with_schema: bool) -> Result<Option<Value>> {
        Ok(match &self.what {
            What::Topic => Some(Value::String(record.topic.clone())),
            What::Partition => record.partition.map(Value::Int32),
            What::Offset => Some(Value::Int64(meta.kafka_offset.ok_or_else(|| {
                Error::data(format!(
                    "Only SinkRecord supported for [{PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord"
                ))
            })?)),
            What::Timestamp if with_schema => record.timestamp.map(Value::Timestamp),
            What::Timestamp => record.timestamp.map(Value::Int64),
            What::Static(text) => Some(text.clone()),
        })
    }
}

/// `org.apache.kafka.connect.transforms.InsertField`
#[derive(Debug)]
pub struct InsertField {
    insertions: Vec<Insertion>,
    with_default: bool,
    schemas: SchemaCache,
}

const PURPOSE: &str = "field insertion";

impl Sided for InsertField {
    type Config = InsertFieldConfig;

    names!(
        "insert-field",
        "org.apache.kafka.connect.transforms.InsertField",
        "adds fields with the record's topic, partition, offset or time stamp, or with a fixed text."
    );

    fn new(config: InsertFieldConfig) -> Result<Self> {
        let wrong = |text: String| Err(Error::fatal(text).exception("org.apache.kafka.common.config.ConfigException"));
        let fixed = match (&config.fixed, config.fixed_value) {
            (Some(field), None) => {
                return wrong(format!(
                    "Invalid value null for configuration static.value: No value specified for static field: {field}"
                ));
            }
            (_, text) => What::Static(text.into()),
        };
        let specs = [
            (config.topic, What::Topic),
            (config.partition, What::Partition),
            (config.offset, What::Offset),
            (config.timestamp, What::Timestamp),
            (config.fixed, fixed),
        ];
        let insertions: Vec<_> =
            specs.into_iter().filter_map(|(spec, what)| spec.map(|spec| Insertion::new(&spec, what))).collect();
        if insertions.is_empty() {
            return wrong("No field insertion configured".into());
        }
        Ok(Self { insertions, with_default: config.replace_null_with_default, schemas: SchemaCache::new() })
    }

    fn change(&mut self, side: Side, record: &mut Record, meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        if value.is_null() {
            return Ok(());
        }
        if schema.is_none() {
            let mut map = require_map(side.take(record), PURPOSE)?;
            let entries = Arc::make_mut(&mut map);
            for insertion in &self.insertions {
                if let Some(value) = insertion.value(record, meta, false)? {
                    entries.insert(Value::String(insertion.field.clone()), value);
                }
            }
            side.set(record, None, Value::Map(map));
            return Ok(());
        }
        let s = require_struct(value, PURPOSE)?;
        let Self { insertions, schemas, .. } = self;
        let made = schemas.get(s.schema(), || {
            let own = s.schema().fields().iter().map(|f| (f.shared_name(), f.schema()));
            let all = own.chain(insertions.iter().map(|i| (&i.field, &i.schema)));
            let builder = copy_basics(s.schema(), Schema::structure());
            all.fold(builder, |b, (name, schema)| b.field(name.clone(), schema.clone())).build()
        })?;
        let mut changed = Struct::new(&made)?;
        for field in s.schema().fields() {
            changed.put(field.name(), field_value(s, field.index(), self.with_default).clone())?;
        }
        for insertion in &self.insertions {
            if let Some(value) = insertion.value(record, meta, true)? {
                changed.put(&insertion.field, value)?;
            }
        }
        side.set(record, Some(made), changed.into_value());
        Ok(())
    }
}
