//! Casts fields, or the whole key or value, to other types.

use std::sync::Arc;

use connect_api::{
    Error, Record, RecordMeta, Result, Schema, SchemaBuilder, Struct, Type, Value,
    config::Key,
    json::base64,
    logical::{self, DATE, TIME, TIMESTAMP},
    value_text,
};

use crate::{
    numbers,
    rebuild::{SchemaCache, class_type, copy_basics, field_value, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the cast.
    #[derive(Debug)]
    pub struct CastConfig {
        /// Fields and the type to cast them to, as field1:type,field2:type; a single type casts the entire key or
        /// value. Types are int8, int16, int32, int64, float32, float64, boolean and string. Bytes can only be cast
        /// to string.
        spec: Vec<String> = Key::new("spec").high().rule(|s: &Vec<String>| Spec::parse(s).map(drop)),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

const OUTPUT: [Type; 8] =
    [Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Float32, Type::Float64, Type::Boolean, Type::String];

#[derive(Debug)]
enum Spec {
    Whole(Type),
    Fields(Vec<(Arc<str>, Type)>),
}

impl Spec {
    fn parse(items: &[String]) -> Result<Self, String> {
        let mut whole = None;
        let mut fields: Vec<(Arc<str>, Type)> = Vec::new();
        for item in items {
            let mut parts: Vec<&str> = item.split(':').map(str::trim).collect();
            // What is empty at the end is no part, as Java splits.
            while parts.len() > 1 && parts.last().is_some_and(|p| p.is_empty()) {
                parts.pop();
            }
            match parts[..] {
                [kind] => whole = Some(output_type(kind)?),
                [field, kind] => {
                    let kind = output_type(kind)?;
                    fields.retain(|(name, _)| &**name != field);
                    fields.push((field.into(), kind));
                }
                _ => {
                    return Err(format!(
                        "Invalid value [{}] for configuration spec: Invalid cast: {item}; write field:type",
                        items.join(", ")
                    ));
                }
            }
        }
        match whole {
            Some(_) if items.len() > 1 => Err("Cast transformations that specify a type to cast the entire value to \
                                               may only specify a single cast in their spec"
                .into()),
            Some(kind) => Ok(Self::Whole(kind)),
            None if fields.is_empty() => Err("Must specify at least one field to cast.".into()),
            None => Ok(Self::Fields(fields)),
        }
    }

    fn of(fields: &[(Arc<str>, Type)], name: &str) -> Option<Type> {
        fields.iter().find(|(field, _)| &**field == name).map(|(_, kind)| *kind)
    }
}

fn output_type(text: &str) -> Result<Type, String> {
    let upper = text.to_ascii_uppercase();
    if let Some(kind) = OUTPUT.iter().find(|t| t.name() == upper) {
        return Ok(*kind);
    }
    if ["BYTES", "ARRAY", "MAP", "STRUCT"].contains(&upper.as_str()) {
        return Err(format!(
            "Cast transformation does not support casting to {upper}; supported types are {}",
            listed(&OUTPUT)
        ));
    }
    Err(format!("Invalid type found in casting spec: {text}"))
}

fn listed(types: &[Type]) -> String {
    format!("[{}]", types.iter().map(|t| t.name()).collect::<Vec<_>>().join(", "))
}

/// `org.apache.kafka.connect.transforms.Cast`
#[derive(Debug)]
pub struct Cast {
    spec: Spec,
    with_default: bool,
    schemas: SchemaCache,
}

const PURPOSE: &str = "cast types";

impl Sided for Cast {
    type Config = CastConfig;

    names!(
        "cast",
        "org.apache.kafka.connect.transforms.Cast",
        "casts fields, or all of it, to another type. Integers wrap, floats are cut off, texts must be numbers of the \
         type; bytes become base64 texts, dates ISO texts."
    );

    fn new(config: CastConfig) -> Result<Self> {
        let spec = Spec::parse(&config.spec).map_err(Error::fatal)?;
        Ok(Self { spec, with_default: config.replace_null_with_default, schemas: SchemaCache::new() })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        if value.is_null() {
            return Ok(());
        }
        let Some(schema) = schema else {
            let value = self.schemaless(side.take(record))?;
            side.set(record, None, value);
            return Ok(());
        };
        let Self { spec, schemas, .. } = self;
        let made = schemas.get(schema, || updated_schema(spec, schema))?;
        let cast = match &self.spec {
            Spec::Whole(kind) => cast_value(Some(schema), value, *kind)?,
            Spec::Fields(fields) => {
                let s = require_struct(value, PURPOSE)?;
                let mut changed = Struct::new(&made)?;
                for field in s.schema().fields() {
                    let value = field_value(s, field.index(), self.with_default);
                    match Spec::of(fields, field.name()) {
                        Some(kind) => changed.put(field.name(), cast_value(Some(field.schema()), value, kind)?)?,
                        None => changed.put(field.name(), value.clone())?,
                    };
                }
                changed.into_value()
            }
        };
        side.set(record, Some(made), cast);
        Ok(())
    }
}

impl Cast {
    fn schemaless(&self, value: Value) -> Result<Value> {
        match &self.spec {
            Spec::Whole(kind) => cast_value(None, &value, *kind),
            Spec::Fields(fields) => {
                let mut map = require_map(value, PURPOSE)?;
                let entries = Arc::make_mut(&mut map);
                for (field, kind) in fields {
                    let entry = entries.entry(Value::String(field.clone())).or_default();
                    *entry = cast_value(None, entry, *kind)?;
                }
                Ok(Value::Map(map))
            }
        }
    }
}

fn updated_schema(spec: &Spec, schema: &Schema) -> Result<Schema> {
    let kind = match spec {
        Spec::Whole(kind) => *kind,
        Spec::Fields(_) => Type::Struct,
    };
    let mut builder = copy_basics(schema, SchemaBuilder::new(kind));
    if let Spec::Fields(fields) = spec {
        for field in schema.struct_fields()? {
            let own = field.schema();
            let cast = match Spec::of(fields, field.name()) {
                Some(kind) => with_default(SchemaBuilder::new(kind), own, kind)?,
                None => own.clone(),
            };
            builder = builder.field(field.shared_name().clone(), cast);
        }
    }
    with_default(builder, schema, kind)
}

fn with_default(mut builder: SchemaBuilder, source: &Schema, kind: Type) -> Result<Schema> {
    if source.is_optional() {
        builder = builder.optional();
    }
    if let Some(default) = source.default() {
        builder = builder.default(cast_value(Some(source), default, kind)?);
    }
    builder.build()
}

fn cast_value(schema: Option<&Schema>, value: &Value, target: Type) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let kind = schema.map(Schema::kind).or_else(|| class_type(value)).ok_or_else(|| {
        Error::data(format!(
            "Cast transformation was passed a value of type class {} which is not supported by Connect's data API",
            value.java_class()
        ))
    })?;
    if !kind.is_primitive() {
        let supported = [&OUTPUT[..], &[Type::Bytes]].concat();
        return Err(Error::data(format!(
            "Cast transformation does not support casting from {kind}; supported types are {}",
            listed(&supported)
        )));
    }
    if target == Type::String {
        return Ok(match value {
            Value::String(_) => value.clone(),
            Value::Bytes(bytes) => base64(bytes).into(),
            other => value_text(other).into(),
        });
    }
    let encoded = match schema.and_then(Schema::name) {
        Some(DATE | TIME | TIMESTAMP) => logical::to_physical(schema.unwrap_or(&Schema::int64()), value)?,
        _ => value.clone(),
    };
    match &encoded {
        Value::Boolean(v) => Ok(of_bool(*v, target)),
        Value::String(text) => of_text(text, target)
            .ok_or_else(|| Error::data(format!("Value ({text}) was out of range for requested data type"))),
        number => of_number(number, target).ok_or_else(|| {
            Error::data(format!("Unexpected type in Cast transformation: class {}", number.java_class()))
        }),
    }
}

fn of_bool(v: bool, target: Type) -> Value {
    match target {
        Type::Int8 => Value::Int8(v.into()),
        Type::Int16 => Value::Int16(v.into()),
        Type::Int32 => Value::Int32(v.into()),
        Type::Int64 => Value::Int64(v.into()),
        Type::Float32 => Value::Float32(v.into()),
        Type::Float64 => Value::Float64(v.into()),
        _ => Value::Boolean(v),
    }
}

fn of_text(text: &str, target: Type) -> Option<Value> {
    Some(match target {
        Type::Int8 => Value::Int8(text.parse().ok()?),
        Type::Int16 => Value::Int16(text.parse().ok()?),
        Type::Int32 => Value::Int32(text.parse().ok()?),
        Type::Int64 => Value::Int64(text.parse().ok()?),
        Type::Float32 => Value::Float32(numbers::java_float(text)?.parse().ok()?),
        Type::Float64 => Value::Float64(numbers::java_float(text)?.parse().ok()?),
        _ => Value::Boolean(text.eq_ignore_ascii_case("true")),
    })
}

fn of_number(v: &Value, target: Type) -> Option<Value> {
    Some(match target {
        Type::Int8 => Value::Int8(numbers::int(v)? as i8),
        Type::Int16 => Value::Int16(numbers::int(v)? as i16),
        Type::Int32 => Value::Int32(numbers::int(v)?),
        Type::Int64 => Value::Int64(numbers::long(v)?),
        Type::Float32 => Value::Float32(numbers::float(v)?),
        Type::Float64 => Value::Float64(numbers::double(v)?),
        _ => Value::Boolean(numbers::long(v)? != 0),
    })
}
