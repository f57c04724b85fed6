//! Brings nested structs or maps to one level.

use std::sync::Arc;

use connect_api::{Error, Map, Record, RecordMeta, Result, Schema, SchemaBuilder, Struct, Type, Value, config::Key};

use crate::{
    rebuild::{SchemaCache, class_type, copy_basics, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct FlattenConfig {
        /// What stands between the names of the levels in the names of the fields made.
        delimiter: String = Key::new("delimiter").default("."),
    }
}

/// `org.apache.kafka.connect.transforms.Flatten`
#[derive(Debug)]
pub struct Flatten {
    delimiter: String,
    schemas: SchemaCache,
}

const PURPOSE: &str = "flattening";

impl Sided for Flatten {
    type Config = FlattenConfig;

    names!(
        "flatten",
        "org.apache.kafka.connect.transforms.Flatten",
        "brings nested structs, or without schema nested maps, to one level, with the names of the levels joined. \
         Lists stay as they are."
    );

    fn new(config: FlattenConfig) -> Result<Self> {
        Ok(Self { delimiter: config.delimiter, schemas: SchemaCache::new() })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        if value.is_null() {
            return Ok(());
        }
        let Some(schema) = schema else {
            let map = require_map(side.take(record), PURPOSE)?;
            let mut flat = Map::with_capacity(map.len());
            self.flatten_map(&map, "", &mut flat)?;
            side.set(record, None, Value::Map(Arc::new(flat)));
            return Ok(());
        };
        let s = require_struct(value, PURPOSE)?;
        let delimiter = &self.delimiter;
        let made = self.schemas.get(schema, || {
            let default = match schema.default() {
                Some(Value::Struct(default)) => Some(&**default),
                _ => None,
            };
            let builder = copy_basics(schema, Schema::structure());
            flatten_schema(delimiter, schema, "", builder, schema.is_optional(), default)?.build()
        })?;
        let mut flat = Struct::new(&made)?;
        self.flatten_struct(s, "", &mut flat)?;
        side.set(record, Some(made), flat.into_value());
        Ok(())
    }
}

fn joined(delimiter: &str, prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{delimiter}{name}") }
}

fn unsupported(what: impl std::fmt::Display, with: &str, field: &str) -> Error {
    Error::data(format!(
        "Flatten transformation does not support {what} for record {with} schemas (for field {field})."
    ))
}

impl Flatten {
    fn flatten_map(&self, map: &Map, prefix: &str, flat: &mut Map) -> Result<()> {
        for (key, value) in map {
            let name = joined(&self.delimiter, prefix, &key.to_string());
            match value {
                Value::Map(inner) => self.flatten_map(inner, &name, flat)?,
                Value::Struct(_) => {
                    return Err(unsupported(format!("class {}", value.java_class()), "without", &name));
                }
                value if value.is_null() || class_type(value).is_some() => {
                    flat.insert(name.into(), value.clone());
                }
                other => {
                    return Err(Error::data(format!(
                        "Flatten transformation was passed a value of type class {} which is not supported by \
                         Connect's data API",
                        other.java_class()
                    )));
                }
            }
        }
        Ok(())
    }

    fn flatten_struct(&self, s: &Struct, prefix: &str, flat: &mut Struct) -> Result<()> {
        for field in s.schema().fields() {
            let name = joined(&self.delimiter, prefix, field.name());
            match (field.schema().kind(), &s.values()[field.index()]) {
                (Type::Struct, Value::Struct(inner)) => self.flatten_struct(inner, &name, flat)?,
                // What a struct that is null would hold stays unset; its own default does not count.
                (Type::Struct, _) => {}
                _ => {
                    flat.put(&name, s.at(field.index()).clone())?;
                }
            }
        }
        Ok(())
    }
}

/// Adds the fields of a schema. They are optional where any struct around them is, and take their default
/// from the default of such a struct where they have none.
fn flatten_schema(
    delimiter: &str,
    schema: &Schema,
    prefix: &str,
    mut flat: SchemaBuilder,
    optional: bool,
    around: Option<&Struct>,
) -> Result<SchemaBuilder> {
    for field in schema.struct_fields()? {
        let own = field.schema();
        let name = joined(delimiter, prefix, field.name());
        let optional = optional || own.is_optional();
        let inherited = || around.map(|s| s.at(field.index())).filter(|v| !v.is_null());
        let default = own.default().or_else(inherited);
        match own.kind() {
            Type::Struct => {
                let default = match default {
                    Some(Value::Struct(s)) => Some(&**s),
                    _ => None,
                };
                flat = flatten_schema(delimiter, own, &name, flat, optional, default)?;
            }
            Type::Map => return Err(unsupported(Type::Map, "with", &name)),
            kind => {
                let element = if kind == Type::Array { own.value_schema()? } else { None };
                let mut builder =
                    copy_basics(own, element.map_or_else(|| SchemaBuilder::new(kind), |e| Schema::array(e.clone())));
                if optional {
                    builder = builder.optional();
                }
                if let Some(default) = default {
                    builder = builder.default(default.clone());
                }
                flat = flat.field(name, builder.build()?);
            }
        }
    }
    Ok(flat)
}
