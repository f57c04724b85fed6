//! JSON text straight into values, guided by a schema.

use std::{cell::Cell, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connect_api::{
    Error, Map, Result, Schema, Struct, Type, Value,
    logical::{self, Logical},
    parse_decimal,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json_read::{Schemaless, Text};

/// The value of a well-formed document that follows the schema.
pub(crate) fn typed(schema: &Schema, text: &[u8], replace_null_with_default: bool) -> Result<Value> {
    let context = Context { replace_null_with_default, failure: Cell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Typed { schema, context: &context }.deserialize(&mut deserializer);
    value.map_err(|e| {
        context.failure.take().unwrap_or_else(|| {
            let text = "Converting byte[] to Kafka Connect data failed due to serialization error: ";
            Error::data(text).caused_by(e)
        })
    })
}

struct Context {
    replace_null_with_default: bool,
    // serde's errors are texts with a position; the error proper is handed past them.
    failure: Cell<Option<Error>>,
}

impl Context {
    fn fail<T, E: serde::de::Error>(&self, error: Error) -> Result<T, E> {
        self.failure.set(Some(error));
        Err(E::custom("data"))
    }

    fn null(&self, schema: &Schema) -> Result<Value> {
        match schema.default() {
            Some(default) if self.replace_null_with_default => Ok(default.clone()),
            _ if schema.is_optional() => Ok(Value::Null),
            _ => Err(Error::data(format!("Invalid null value for required {} field", schema.kind()))),
        }
    }
}

#[derive(Clone, Copy)]
struct Typed<'a> {
    schema: &'a Schema,
    context: &'a Context,
}

impl<'a> Typed<'a> {
    fn element(self, schema: Option<&'a Schema>) -> Element<'a> {
        Element { schema, context: self.context }
    }

    // What Jackson's accessors give for a node of another type: zero, false or null. Containers are refused.
    fn other<E: serde::de::Error>(self, node: &str) -> Result<Value, E> {
        let schema = self.schema;
        let should = |what: &str| Error::data(format!("{what}, but found {node}"));
        let invalid = |what: &str| Error::data(format!("Invalid type for {what} but was {node}"));
        match Logical::of(schema) {
            Some(Logical::Decimal) => {
                return self.context.fail(invalid("Decimal, underlying representation should be numeric or bytes"));
            }
            Some(Logical::Date) => {
                return self.context.fail(invalid("Date, underlying representation should be integer"));
            }
            Some(Logical::Time) => {
                return self.context.fail(invalid("Time, underlying representation should be integer"));
            }
            Some(Logical::Timestamp) => {
                return self.context.fail(invalid("Timestamp, underlying representation should be integral"));
            }
            None => {}
        }
        match schema.kind() {
            Type::Int8 => Ok(Value::Int8(0)),
            Type::Int16 => Ok(Value::Int16(0)),
            Type::Int32 => Ok(Value::Int32(0)),
            Type::Int64 => Ok(Value::Int64(0)),
            Type::Float32 => Ok(Value::Float32(0.0)),
            Type::Float64 => Ok(Value::Float64(0.0)),
            Type::Boolean => Ok(Value::Boolean(false)),
            Type::String | Type::Bytes => Ok(Value::Null),
            Type::Struct => self.context.fail(should("Structs should be encoded as JSON objects")),
            Type::Array => self.context.fail(should("Arrays should be encoded as JSON arrays")),
            Type::Map if string_keys(schema) => {
                self.context.fail(should("Maps with string fields should be encoded as JSON objects"))
            }
            Type::Map => {
                self.context.fail(should("Maps with non-string fields should be encoded as JSON array of tuples"))
            }
        }
    }

    fn decimal<E: serde::de::Error>(self, raw: &RawValue) -> Result<Value, E> {
        let text = raw.get();
        let node = match text.as_bytes().first() {
            Some(b'n') => return self.context.null(self.schema).or_else(|e| self.context.fail(e)),
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(E::custom)?;
                return self.bytes(&text);
            }
            Some(b'{') => "OBJECT",
            Some(b'[') => "ARRAY",
            Some(b't' | b'f') => "BOOLEAN",
            _ => match parse_decimal(text) {
                Some(d) => return Ok(Value::Decimal(Arc::new(d))),
                None => "NUMBER",
            },
        };
        self.other(node)
    }

    fn bytes<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        let decoded = match STANDARD.decode(text) {
            Ok(decoded) => Value::Bytes(Bytes::from(decoded)),
            Err(e) => return self.context.fail(Error::data(self.invalid_bytes()).caused_by(e)),
        };
        let logical = logical::from_physical(self.schema, decoded);
        logical.or_else(|e| self.context.fail(Error::data(self.invalid_bytes()).caused_by(e)))
    }

    fn invalid_bytes(self) -> &'static str {
        match Logical::of(self.schema) {
            Some(Logical::Decimal) => "Invalid bytes for Decimal field",
            _ => "Invalid bytes field",
        }
    }

    fn whole<E: serde::de::Error>(self, v: i64) -> Result<Value, E> {
        match (Logical::of(self.schema), self.schema.kind()) {
            (Some(Logical::Timestamp), _) => Ok(Value::Timestamp(v)),
            (Some(Logical::Date | Logical::Time), _) => match i32::try_from(v) {
                Ok(v) => logical::from_physical(self.schema, Value::Int32(v)).or_else(|e| self.context.fail(e)),
                Err(_) => self.other("NUMBER"),
            },
            // Narrow integers wrap, as in Java.
            (_, Type::Int8) => Ok(Value::Int8(v as i8)),
            (_, Type::Int16) => Ok(Value::Int16(v as i16)),
            (_, Type::Int32) => Ok(Value::Int32(v as i32)),
            (_, Type::Int64) => Ok(Value::Int64(v)),
            (_, Type::Float32) => Ok(Value::Float32(v as f32)),
            (_, Type::Float64) => Ok(Value::Float64(v as f64)),
            _ => self.other("NUMBER"),
        }
    }

    fn pairs<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let (Ok(key), Ok(value)) = (self.schema.key_schema(), self.schema.value_schema()) else {
            return Err(A::Error::custom("not a map"));
        };
        let mut entries = Map::new();
        while let Some((k, v)) = seq.next_element_seed(Pair { key: self.element(key), value: self.element(value) })? {
            entries.insert(k, v);
        }
        Ok(Value::Map(Arc::new(entries)))
    }

    fn fields<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let fields = self.schema.fields();
        let mut values: Vec<Option<Value>> = vec![None; fields.len()];
        while let Some(index) = map.next_key_seed(FieldName(self.schema))? {
            match index {
                Some(i) => {
                    let seed = Typed { schema: fields[i].schema(), context: self.context };
                    values[i] = Some(map.next_value_seed(seed)?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let mut complete = Vec::with_capacity(values.len());
        for (field, value) in fields.iter().zip(values) {
            let value = match value {
                Some(value) => value,
                None => match self.context.null(field.schema()) {
                    Ok(value) => value,
                    Err(e) => return self.context.fail(e),
                },
            };
            if value.is_null() && !field.schema().is_optional() {
                // What `Struct.put` says; a default does not help there.
                return self.context.fail(Error::data(format!(
                    "Invalid value: null used for required field: \"{}\", schema type: {}",
                    field.name(),
                    field.schema().kind()
                )));
            }
            complete.push(value);
        }
        match Struct::from_values(self.schema, complete) {
            Ok(made) => Ok(made.into_value()),
            Err(e) => self.context.fail(e),
        }
    }
}

fn string_keys(map: &Schema) -> bool {
    matches!(map.key_schema(), Ok(Some(key)) if key.kind() == Type::String)
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if Logical::of(self.schema) == Some(Logical::Decimal) {
            // Digits survive only in the text.
            let raw = <&RawValue>::deserialize(deserializer)?;
            return self.decimal(raw);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.schema)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.context.null(self.schema).or_else(|e| self.context.fail(e))
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<Value, E> {
        if self.schema.kind() == Type::Boolean { Ok(Value::Boolean(v)) } else { self.other("BOOLEAN") }
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Value, E> {
        self.whole(v)
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Value, E> {
        match i64::try_from(v) {
            Ok(v) => self.whole(v),
            Err(_) => self.visit_f64(v as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        if Logical::of(self.schema).is_some() {
            return self.other("NUMBER");
        }
        match self.schema.kind() {
            Type::Float32 => Ok(Value::Float32(v as f32)),
            Type::Float64 => Ok(Value::Float64(v)),
            // Java would keep the low 64 bits, a number without meaning.
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 if v.abs() >= i64::MAX as f64 => {
                let kind = self.schema.kind();
                self.context.fail(Error::data(format!("Invalid value for {kind}: the number is beyond 64 bits")))
            }
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => self.whole(v as i64),
            _ => self.other("NUMBER"),
        }
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Value, E> {
        match self.schema.kind() {
            Type::String => Ok(Value::String(v.into())),
            Type::Bytes => self.bytes(v),
            _ => self.other("STRING"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        match self.schema.kind() {
            Type::Array => {
                let Ok(element) = self.schema.value_schema() else { return Err(A::Error::custom("not an array")) };
                let mut items = Vec::new();
                while let Some(item) = seq.next_element_seed(self.element(element))? {
                    items.push(item);
                }
                Ok(Value::array(items))
            }
            Type::Map if !string_keys(self.schema) => self.pairs(seq),
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                self.other("ARRAY")
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        match self.schema.kind() {
            Type::Struct => self.fields(map),
            Type::Map if string_keys(self.schema) => {
                let Ok(element) = self.schema.value_schema() else { return Err(A::Error::custom("not a map")) };
                let mut entries = Map::new();
                while let Some(key) = map.next_key_seed(Text)? {
                    entries.insert(Value::String(key), map.next_value_seed(self.element(element))?);
                }
                Ok(Value::Map(Arc::new(entries)))
            }
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.other("OBJECT")
            }
        }
    }
}

// An element, whose schema is absent in the special containers of unknown elements.
#[derive(Clone, Copy)]
struct Element<'a> {
    schema: Option<&'a Schema>,
    context: &'a Context,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.schema {
            Some(schema) => Typed { schema, context: self.context }.deserialize(deserializer),
            None => Schemaless.deserialize(deserializer),
        }
    }
}

// A map entry with a key that is not text: an array of two.
struct Pair<'a> {
    key: Element<'a>,
    value: Element<'a>,
}

impl Pair<'_> {
    fn not_a_pair<T, E: serde::de::Error>(&self, node: &str) -> Result<T, E> {
        let text = format!("Found invalid map entry instead of array tuple: {node}");
        self.key.context.fail(Error::data(text))
    }
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = (Value, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = (Value, Value);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of two")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let key = seq.next_element_seed(self.key)?;
        let value = if key.is_some() { seq.next_element_seed(self.value)? } else { None };
        let mut length = usize::from(key.is_some()) + usize::from(value.is_some());
        while seq.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        match (key, value, length) {
            (Some(key), Some(value), 2) => Ok((key, value)),
            _ => {
                let text = format!("Found invalid map entry, expected length 2 but found :{length}");
                self.key.context.fail(Error::data(text))
            }
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        self.not_a_pair("NULL")
    }

    fn visit_bool<E: serde::de::Error>(self, _v: bool) -> Result<Self::Value, E> {
        self.not_a_pair("BOOLEAN")
    }

    fn visit_i64<E: serde::de::Error>(self, _v: i64) -> Result<Self::Value, E> {
        self.not_a_pair("NUMBER")
    }

    fn visit_u64<E: serde::de::Error>(self, _v: u64) -> Result<Self::Value, E> {
        self.not_a_pair("NUMBER")
    }

    fn visit_f64<E: serde::de::Error>(self, _v: f64) -> Result<Self::Value, E> {
        self.not_a_pair("NUMBER")
    }

    fn visit_str<E: serde::de::Error>(self, _v: &str) -> Result<Self::Value, E> {
        self.not_a_pair("STRING")
    }

    fn visit_map<A: MapAccess<'de>>(self, _map: A) -> Result<Self::Value, A::Error> {
        self.not_a_pair("OBJECT")
    }
}

// The index of a field, without making a text of its name.
struct FieldName<'a>(&'a Schema);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(self.0.field(v).map(|f| f.index()))
    }
}
