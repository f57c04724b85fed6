//! Values: what a record's key, value and headers are made of.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use bigdecimal::BigDecimal;
use bytes::Bytes;
use indexmap::{Equivalent, IndexMap};

use crate::{Schema, Struct, Type};

/// A value of Kafka Connect's data model.
///
/// Containers are shared, so that a clone costs a reference count. Equality and hash follow Java's
/// (`Double.equals`: NaN equals itself, 0.0 differs from -0.0).
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value; for a whole record's value this is a tombstone.
    #[default]
    Null,
    /// Signed 8-bit integer.
    Int8(i8),
    /// Signed 16-bit integer.
    Int16(i16),
    /// Signed 32-bit integer.
    Int32(i32),
    /// Signed 64-bit integer.
    Int64(i64),
    /// 32-bit IEEE number.
    Float32(f32),
    /// 64-bit IEEE number.
    Float64(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Bytes),
    /// List.
    Array(Arc<Vec<Value>>),
    /// Map with keys of any type, in insertion order.
    Map(Arc<Map>),
    /// Fields by index, described by a schema.
    Struct(Arc<Struct>),
    /// Logical type Decimal: a decimal number with its scale.
    Decimal(Arc<BigDecimal>),
    /// Logical type Date: days since 1970-01-01.
    Date(i32),
    /// Logical type Time: milliseconds after midnight.
    Time(i32),
    /// Logical type Timestamp: milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// A map in insertion order whose keys are any values.
pub type Map = IndexMap<Value, Value>;

/// Looks up a text key without making a [`Value`] of it: `map.get(&TextKey("a"))`.
#[derive(Debug, Clone, Copy)]
pub struct TextKey<'a>(pub &'a str);

impl Hash for TextKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(8);
        self.0.hash(state);
    }
}

impl Equivalent<Value> for TextKey<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        matches!(key, Value::String(s) if &**s == self.0)
    }
}

impl Value {
    /// Text.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    pub fn array(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }

    /// A map with text keys, in the order given.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(Arc::new(entries.into_iter().map(|(k, v)| (Value::String(k.into()), v)).collect()))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// Any integer as 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int8(v) => Some(v.into()),
            Self::Int16(v) => Some(v.into()),
            Self::Int32(v) => Some(v.into()),
            Self::Int64(v) => Some(v),
            _ => None,
        }
    }

    /// Any number as a 64-bit float; big decimals lose digits.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float32(v) => Some((*v).into()),
            Self::Float64(v) => Some(*v),
            Self::Decimal(d) => d.to_plain_string().parse().ok(),
            other => other.as_i64().map(|v| v as f64),
        }
    }

    /// A member of a struct or of a map with text keys; `None` when there is none of that name.
    ///
    /// A struct's default stands in for an absent field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(s) => s.get(name),
            Self::Map(m) => m.get(&TextKey(name)),
            _ => None,
        }
    }

    /// The type that a value without schema has; `None` for null.
    pub fn schema_type(&self) -> Option<Type> {
        Some(match self {
            Self::Null => return None,
            Self::Int8(_) => Type::Int8,
            Self::Int16(_) => Type::Int16,
            Self::Int32(_) | Self::Date(_) | Self::Time(_) => Type::Int32,
            Self::Int64(_) | Self::Timestamp(_) => Type::Int64,
            Self::Float32(_) => Type::Float32,
            Self::Float64(_) => Type::Float64,
            Self::Boolean(_) => Type::Boolean,
            Self::String(_) => Type::String,
            Self::Bytes(_) | Self::Decimal(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Map(_) => Type::Map,
            Self::Struct(_) => Type::Struct,
        })
    }

    /// The Java class that Kafka Connect's error texts name for such a value.
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int8(_) => "java.lang.Byte",
            Self::Int16(_) => "java.lang.Short",
            Self::Int32(_) => "java.lang.Integer",
            Self::Int64(_) => "java.lang.Long",
            Self::Float32(_) => "java.lang.Float",
            Self::Float64(_) => "java.lang.Double",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::String(_) => "java.lang.String",
            Self::Bytes(_) => "[B",
            Self::Array(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.HashMap",
            Self::Struct(_) => "org.apache.kafka.connect.data.Struct",
            Self::Decimal(_) => "java.math.BigDecimal",
            Self::Date(_) | Self::Time(_) | Self::Timestamp(_) => "java.util.Date",
        }
    }

    /// Whether the value fits the schema: [`crate::validate`] without the text of the error.
    pub fn fits(&self, schema: &Schema) -> bool {
        crate::validate::check(schema, self, &crate::validate::Place::Value).is_ok()
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value as V;
        match (self, other) {
            (V::Null, V::Null) => true,
            (V::Int8(a), V::Int8(b)) => a == b,
            (V::Int16(a), V::Int16(b)) => a == b,
            (V::Int32(a), V::Int32(b)) => a == b,
            (V::Int64(a), V::Int64(b)) => a == b,
            (V::Float32(a), V::Float32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (V::Float64(a), V::Float64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (V::Boolean(a), V::Boolean(b)) => a == b,
            (V::String(a), V::String(b)) => a == b,
            (V::Bytes(a), V::Bytes(b)) => a == b,
            (V::Array(a), V::Array(b)) => a == b,
            (V::Map(a), V::Map(b)) => a == b,
            (V::Struct(a), V::Struct(b)) => a == b,
            // Java's BigDecimal.equals: 1.0 and 1.00 differ.
            (V::Decimal(a), V::Decimal(b)) => a.as_bigint_and_exponent() == b.as_bigint_and_exponent(),
            (V::Date(a), V::Date(b)) | (V::Time(a), V::Time(b)) => a == b,
            (V::Timestamp(a), V::Timestamp(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => state.write_u8(0),
            Self::Int8(v) => (1u8, v).hash(state),
            Self::Int16(v) => (2u8, v).hash(state),
            Self::Int32(v) => (3u8, v).hash(state),
            Self::Int64(v) => (4u8, v).hash(state),
            Self::Float32(v) => (5u8, if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).hash(state),
            Self::Float64(v) => (6u8, if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }).hash(state),
            Self::Boolean(v) => (7u8, v).hash(state),
            Self::String(v) => TextKey(v).hash(state),
            Self::Bytes(v) => (9u8, v).hash(state),
            Self::Array(v) => (10u8, v).hash(state),
            // Equality of maps ignores order, so only what is independent of it is hashed.
            Self::Map(v) => (11u8, v.len()).hash(state),
            Self::Struct(v) => (12u8, v.values()).hash(state),
            Self::Decimal(v) => (13u8, v.as_bigint_and_exponent()).hash(state),
            Self::Date(v) => (14u8, v).hash(state),
            Self::Time(v) => (15u8, v).hash(state),
            Self::Timestamp(v) => (16u8, v).hash(state),
        }
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::String(v.into())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::String(v.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(v: Arc<str>) -> Self {
        Self::String(v)
    }
}

impl From<Struct> for Value {
    fn from(v: Struct) -> Self {
        Self::Struct(Arc::new(v))
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(v: $from) -> Self {
                Self::$variant(v)
            }
        }
    )*};
}
value_from!(i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, f32 => Float32, f64 => Float64, bool => Boolean, Bytes => Bytes);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keys_find_their_entries() {
        let v = Value::map([("a", Value::Int32(1)), ("b", Value::Null)]);
        assert_eq!(v.get("a"), Some(&Value::Int32(1)));
        assert_eq!(v.get("c"), None);
    }

    #[test]
    fn floats_compare_as_in_java() {
        assert_eq!(Value::Float64(f64::NAN), Value::Float64(f64::NAN));
        assert_ne!(Value::Float64(0.0), Value::Float64(-0.0));
    }
}
