//! Sets a field, or the whole key or value, to text made of the record.

use std::sync::Arc;

use connect_api::{
    Error, Record, RecordMeta, Result, Schema, Struct, Value,
    config::Key,
    template::{Escape, Template},
};
use serde_json::Map as JsonMap;

use crate::{
    rebuild::{SchemaCache, copy_basics, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct TemplateFieldConfig {
        /// The field to set; it is added where there is none of that name. Empty: the text stands in place of all.
        field: String = Key::new("field").default("").high(),
        /// The text, as a template in Jinja's syntax over topic, partition, timestamp, key, value, headers and, in
        /// sinks, offset, such as `{{value.system}}/{{value.device}}`. A name that does not exist is an error of
        /// the record; `{{value.device | default('none')}}` is the way out.
        template: String = Key::new("template").high()
            .check(|t: &String| Template::parse(t, Escape::None).map(drop).map_err(|e| e.to_string())),
    }
}

/// Sets a field to text made of the record; Kafka Connect has nothing of the kind.
#[derive(Debug)]
pub struct TemplateField {
    field: Arc<str>,
    template: Template,
    schemas: SchemaCache,
}

const PURPOSE: &str = "setting a field by a template";

impl Sided for TemplateField {
    type Config = TemplateFieldConfig;

    names!(
        "template",
        "io.tocsin.transforms.Template",
        "sets a field, or all of it, to text made of the record. A value that is null, a tombstone, stays null; a key \
         is made although there is none if the text stands for all of it. Kafka Connect has nothing of the kind."
    );

    fn new(config: TemplateFieldConfig) -> Result<Self> {
        let template = Template::parse(&config.template, Escape::None)?;
        Ok(Self { field: config.field.into(), template, schemas: SchemaCache::new() })
    }

    fn change(&mut self, side: Side, record: &mut Record, meta: &RecordMeta) -> Result<()> {
        let whole = self.field.is_empty();
        if side.of(record).1.is_null() && !(whole && side == Side::Key) {
            return Ok(());
        }
        let mut more = JsonMap::new();
        if let Some(offset) = meta.kafka_offset {
            more.insert("offset".into(), offset.into());
        }
        let failed = |e: Error| e.context(format!("making the text of field {:?}", self.field));
        let text = Value::from(self.template.render(record, more).map_err(failed)?);
        if whole {
            side.set(record, Some(Schema::string()), text);
            return Ok(());
        }
        let (schema, value) = side.of(record);
        if schema.is_none() {
            let mut map = require_map(side.take(record), PURPOSE)?;
            Arc::make_mut(&mut map).insert(Value::String(self.field.clone()), text);
            side.set(record, None, Value::Map(map));
            return Ok(());
        }
        let s = require_struct(value, PURPOSE)?;
        let Self { field, schemas, .. } = self;
        let made = schemas.get(s.schema(), || with_field(s.schema(), field))?;
        let mut changed = Struct::new(&made)?;
        for own in s.schema().fields().iter().filter(|f| *f.name() != **field) {
            let value = &s.values()[own.index()];
            if !value.is_null() {
                changed.put(own.name(), value.clone())?;
            }
        }
        changed.put(field, text)?;
        side.set(record, Some(made), changed.into_value());
        Ok(())
    }
}

/// The schema with the field as text, in its place if it was there.
fn with_field(schema: &Schema, field: &Arc<str>) -> Result<Schema> {
    let mut builder = copy_basics(schema, Schema::structure());
    for own in schema.fields() {
        let text = own.name() == &**field;
        builder = builder.field(own.shared_name().clone(), if text { Schema::string() } else { own.schema().clone() });
    }
    if schema.field(field).is_none() {
        builder = builder.field(field.clone(), Schema::string());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(field: &str, template: &str, side: Side, mut record: Record) -> Result<Record> {
        let config = TemplateFieldConfig { field: field.into(), template: template.into() };
        let meta = RecordMeta { kafka_offset: Some(7) };
        TemplateField::new(config)?.change(side, &mut record, &meta)?;
        Ok(record)
    }

    fn record(value: Value) -> Record {
        Record { value, ..Record::new("t") }
    }

    #[test]
    fn a_field_is_added_or_replaced_in_its_place() {
        let map = record(Value::map([("a", Value::Int32(1)), ("b", Value::Int32(2))]));
        let made = apply("a", "{{topic}}-{{value.b}}@{{offset}}", Side::Value, map).expect("made");
        assert_eq!(made.value, Value::map([("a", Value::from("t-2@7")), ("b", Value::Int32(2))]));

        let schema = Schema::structure().name("N").field("a", Schema::int32()).field("b", Schema::optional_int32());
        let schema = schema.build().expect("schema");
        let mut s = Struct::new(&schema).expect("struct");
        s.put("a", 1).expect("put");
        let mut with_schema = record(s.into_value());
        with_schema.value_schema = Some(schema);
        let made = apply("a", "n{{value.a}}", Side::Value, with_schema.clone()).expect("made");
        assert_eq!(made.value.to_string(), "Struct{a=n1}");
        assert_eq!(made.value_schema.as_ref().and_then(|s| s.name()), Some("N"));
        let made = apply("c", "x", Side::Value, with_schema).expect("made");
        assert_eq!(made.value.to_string(), "Struct{a=1,c=x}");
    }

    #[test]
    fn the_whole_key_can_be_made_of_the_value() {
        let made = apply("", "{{value.a}}", Side::Key, record(Value::map([("a", Value::from("k"))]))).expect("made");
        assert_eq!((made.key_schema, made.key), (Some(Schema::string()), Value::from("k")));
    }

    #[test]
    fn tombstones_stay_and_unknown_names_are_errors_of_the_record() {
        let made = apply("", "x", Side::Value, record(Value::Null)).expect("kept");
        assert!(made.value.is_null());
        let e = apply("a", "{{value.nope}}", Side::Value, record(Value::map([("b", Value::Null)]))).expect_err("name");
        assert_eq!(e.class(), connect_api::ErrorClass::Data);
        assert!(e.one_line().contains("nope"), "{e:?}");
    }
}
