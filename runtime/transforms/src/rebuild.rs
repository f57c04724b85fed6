//! What transforms share that take structs and maps apart and put them together again.

use std::sync::Arc;

use connect_api::{Error, Map, Result, Schema, SchemaBuilder, Struct, Type, Value};

/// The map of a record without schema, to be changed.
pub(crate) fn require_map(value: Value, purpose: &str) -> Result<Arc<Map>> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(Error::data(format!(
            "Only Map objects supported in absence of schema for [{purpose}], found: {}",
            other.java_class()
        ))),
    }
}

/// The struct of a record with schema.
pub(crate) fn require_struct<'a>(value: &'a Value, purpose: &str) -> Result<&'a Arc<Struct>> {
    match value {
        Value::Struct(s) => Ok(s),
        other => {
            Err(Error::data(format!("Only Struct objects supported for [{purpose}], found: {}", other.java_class())))
        }
    }
}

/// As [`require_struct`]; null is none.
pub(crate) fn require_struct_or_null<'a>(value: &'a Value, purpose: &str) -> Result<Option<&'a Arc<Struct>>> {
    if value.is_null() { Ok(None) } else { require_struct(value, purpose).map(Some) }
}

/// The type that Kafka Connect takes a value without schema for; it knows none for logical types.
pub(crate) fn class_type(value: &Value) -> Option<Type> {
    match value {
        Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => None,
        other => other.schema_type(),
    }
}

/// The value of a field, with or without the default in place of null.
pub(crate) fn field_value(s: &Struct, index: usize, with_default: bool) -> &Value {
    if with_default { s.at(index) } else { &s.values()[index] }
}

/// Name, version, documentation and parameters of one schema on another that is being built.
pub(crate) fn copy_basics(source: &Schema, mut builder: SchemaBuilder) -> SchemaBuilder {
    if let Some(name) = source.name() {
        builder = builder.name(name);
    }
    if let Some(version) = source.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = source.doc() {
        builder = builder.doc(doc);
    }
    for (name, value) in source.parameters().unwrap_or_default() {
        builder = builder.parameter(name.clone(), value.clone());
    }
    builder
}

/// The schemas made of the last few schemas seen: building one costs more than the record, and converters
/// know schemas by their address.
#[derive(Debug)]
pub(crate) struct SchemaCache<T = Schema>(Vec<(Schema, T)>);

const REMEMBERED: usize = 16;

impl<T: Clone> SchemaCache<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// What was made of the schema, or what `make` makes now.
    pub(crate) fn get(&mut self, schema: &Schema, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let known =
            self.0.iter().find(|(from, _)| from.same(schema)).or_else(|| self.0.iter().find(|(f, _)| f == schema));
        if let Some((_, made)) = known {
            return Ok(made.clone());
        }
        let made = make()?;
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push((schema.clone(), made.clone()));
        Ok(made)
    }
}
