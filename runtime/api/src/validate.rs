//! Checks a value against a schema, with the texts of Kafka Connect (`ConnectSchema.validateValue`).

use std::fmt;

use crate::{Error, Result, Schema, Type, Value, logical};

/// Where in a record the value stands, for the error text.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    Value,
    Field(&'a str),
    Element(&'a Place<'a>),
    MapKey(&'a Place<'a>),
    MapValue(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("value"),
            Self::Field(name) => write!(f, "field: \"{name}\""),
            Self::Element(p) => write!(f, "element of array {p}"),
            Self::MapKey(p) => write!(f, "key of map {p}"),
            Self::MapValue(p) => write!(f, "value of map {p}"),
        }
    }
}

/// Checks the value and everything in it.
///
/// A schema with the name of a logical type takes the logical value only. Errors are
/// [`crate::ErrorClass::Data`].
pub fn validate(schema: &Schema, value: &Value) -> Result<()> {
    check(schema, value, &Place::Value)
}

pub(crate) fn check(schema: &Schema, value: &Value, place: &Place<'_>) -> Result<()> {
    if value.is_null() {
        return if schema.is_optional() {
            Ok(())
        } else {
            Err(Error::data(format!("Invalid value: null used for required {place}, schema type: {}", schema.kind())))
        };
    }
    let fits = match logical::Logical::of(schema) {
        Some(logical::Logical::Decimal) => matches!(value, Value::Decimal(_)),
        Some(logical::Logical::Date) => matches!(value, Value::Date(_)),
        Some(logical::Logical::Time) => matches!(value, Value::Time(_)),
        Some(logical::Logical::Timestamp) => matches!(value, Value::Timestamp(_)),
        None => matches!(
            (schema.kind(), value),
            (Type::Int8, Value::Int8(_))
                | (Type::Int16, Value::Int16(_))
                | (Type::Int32, Value::Int32(_))
                | (Type::Int64, Value::Int64(_))
                | (Type::Float32, Value::Float32(_))
                | (Type::Float64, Value::Float64(_))
                | (Type::Boolean, Value::Boolean(_))
                | (Type::String, Value::String(_))
                | (Type::Bytes, Value::Bytes(_))
                | (Type::Array, Value::Array(_))
                | (Type::Map, Value::Map(_))
                | (Type::Struct, Value::Struct(_))
        ),
    };
    if !fits {
        let name = schema.name().map(|n| format!(" \"{n}\"")).unwrap_or_default();
        return Err(Error::data(format!(
            "Invalid Java object for schema{name} with type {}: class {} for {place}",
            schema.kind(),
            value.java_class()
        )));
    }
    match value {
        Value::Struct(s) if s.schema() != schema => Err(Error::data("Struct schemas do not match.")),
        Value::Struct(s) => s.validate(),
        Value::Array(items) => {
            let Some(element) = schema.value_schema()? else { return Err(unknown(place)) };
            items.iter().try_for_each(|v| check(element, v, &Place::Element(place)))
        }
        Value::Map(entries) => {
            let (Some(key), Some(element)) = (schema.key_schema()?, schema.value_schema()?) else {
                return Err(unknown(place));
            };
            entries.iter().try_for_each(|(k, v)| {
                check(key, k, &Place::MapKey(place))?;
                check(element, v, &Place::MapValue(place))
            })
        }
        _ => Ok(()),
    }
}

fn unknown(place: &Place<'_>) -> Error {
    Error::data(format!("No schema defined for {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(schema: &Schema, value: Value) -> String {
        validate(schema, &value).expect_err("must be refused").message().to_owned()
    }

    #[test]
    fn texts_are_kafka_connects() {
        assert_eq!(
            text(&Schema::int8(), Value::Null),
            "Invalid value: null used for required value, schema type: INT8"
        );
        assert_eq!(
            text(&Schema::int32(), Value::Int64(1)),
            "Invalid Java object for schema with type INT32: class java.lang.Long for value"
        );
        let list = Schema::array(Schema::array(Schema::int8()).build().expect("inner")).build().expect("outer");
        assert_eq!(
            text(&list, Value::array(vec![Value::array(vec![Value::from("x")])])),
            "Invalid Java object for schema with type INT8: class java.lang.String for element of array element of array value"
        );
    }

    #[test]
    fn a_logical_schema_takes_only_the_logical_value() {
        let date = logical::date();
        assert!(validate(&date, &Value::Date(3)).is_ok());
        assert_eq!(
            text(&date, Value::Int32(3)),
            "Invalid Java object for schema \"org.apache.kafka.connect.data.Date\" with type INT32: class java.lang.Integer for value"
        );
        assert!(validate(&Schema::int32(), &Value::Date(3)).is_err());
    }

    #[test]
    fn maps_check_keys_and_values() {
        let map = Schema::map(Schema::string(), Schema::int8()).build().expect("map");
        assert!(validate(&map, &Value::map([("a", Value::Int8(1))])).is_ok());
        assert_eq!(
            text(&map, Value::map([("a", Value::Null)])),
            "Invalid value: null used for required value of map value, schema type: INT8"
        );
    }
}
