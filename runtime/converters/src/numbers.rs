//! Numbers in a fixed number of big-endian bytes, and booleans in one byte.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, Error, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Type,
    Value,
};

use crate::NoSettings;

macro_rules! number_converter {
    ($($(#[$doc:meta])* $name:ident, $short:literal, $word:literal: $rust:ty, $variant:ident, $schema:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl ConverterPlugin for $name {
            type Config = NoSettings;

            const INFO: PluginInfo = PluginInfo {
                name: $short,
                aliases: &[concat!("org.apache.kafka.connect.converters.", stringify!($name))],
                version: env!("CARGO_PKG_VERSION"),
                about: concat!("Converts ", $word, " numbers from and to big-endian bytes."),
            };

            fn build(_config: NoSettings, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
                Ok(Box::new(Self))
            }
        }

        impl Converter for $name {
            fn serialize(&self, _topic: &Topic, _schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
                match value {
                    Value::Null => Ok(Step::Done(None)),
                    Value::$variant(v) => Ok(Step::Done(Some(Bytes::copy_from_slice(&v.to_be_bytes())))),
                    other => Err(Error::data(format!(
                        concat!("Failed to serialize to ", $word, " (was class {}): "), other.java_class()
                    ))),
                }
            }

            fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
                let value = match bytes {
                    None => Value::Null,
                    Some(b) => Value::$variant(<$rust>::from_be_bytes(
                        b[..].try_into().map_err(|e| Error::data(concat!("Failed to deserialize ", $word, ": ")).caused_by(e))?,
                    )),
                };
                Ok(Step::Done(SchemaAndValue { schema: Some(Schema::$schema()), value }))
            }
        }
    )*};
}

number_converter! {
    /// 8 bytes, IEEE.
    DoubleConverter, "double", "double": f64, Float64, optional_float64;
    /// 4 bytes, IEEE.
    FloatConverter, "float", "float": f32, Float32, optional_float32;
    /// 4 bytes.
    IntegerConverter, "integer", "integer": i32, Int32, optional_int32;
    /// 8 bytes.
    LongConverter, "long", "long": i64, Int64, optional_int64;
    /// 2 bytes.
    ShortConverter, "short", "short": i16, Int16, optional_int16;
}

/// One byte, 1 or 0.
#[derive(Debug)]
pub struct BooleanConverter;

impl ConverterPlugin for BooleanConverter {
    type Config = NoSettings;

    const INFO: PluginInfo = PluginInfo {
        name: "boolean",
        aliases: &["org.apache.kafka.connect.converters.BooleanConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Converts booleans from and to one byte.",
    };

    fn build(_config: NoSettings, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self))
    }
}

impl Converter for BooleanConverter {
    fn serialize(&self, _topic: &Topic, schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        if let Some(schema) = schema
            && schema.kind() != Type::Boolean
        {
            return Err(Error::data(format!("Invalid schema type for BooleanConverter: {}", schema.kind())));
        }
        match value {
            Value::Null => Ok(Step::Done(None)),
            Value::Boolean(v) => Ok(Step::Done(Some(Bytes::from_static(if *v { &[1] } else { &[0] })))),
            other => Err(Error::data(format!(
                "BooleanConverter is not compatible with objects of type class {}",
                other.java_class()
            ))),
        }
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        let value = match bytes.map(|b| &b[..]) {
            None => Value::Null,
            Some([1]) => Value::Boolean(true),
            Some([0]) => Value::Boolean(false),
            Some(_) => return Err(Error::data("Failed to deserialize boolean: ")),
        };
        Ok(Step::Done(SchemaAndValue { schema: Some(Schema::optional_boolean()), value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{done, failure, topic};

    #[test]
    fn numbers_are_big_endian() {
        let bytes = done(LongConverter.serialize(&topic(), None, &Value::Int64(-2)));
        assert_eq!(bytes.as_deref(), Some(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe][..]));
        assert_eq!(done(LongConverter.deserialize(&topic(), bytes.as_ref())).value, Value::Int64(-2));
        let bytes = done(FloatConverter.serialize(&topic(), None, &Value::Float32(1.5)));
        assert_eq!(bytes.as_deref(), Some(&[0x3f, 0xc0, 0, 0][..]));
    }

    #[test]
    fn wrong_classes_and_lengths_are_named() {
        assert_eq!(
            failure(IntegerConverter.serialize(&topic(), None, &"x".into())),
            "Failed to serialize to integer (was class java.lang.String): "
        );
        assert_eq!(
            failure(ShortConverter.deserialize(&topic(), Some(&Bytes::from_static(&[1])))),
            "Failed to deserialize short: "
        );
        assert_eq!(
            failure(BooleanConverter.deserialize(&topic(), Some(&Bytes::from_static(&[2])))),
            "Failed to deserialize boolean: "
        );
        assert_eq!(
            failure(BooleanConverter.serialize(&topic(), Some(&Schema::int8()), &Value::Boolean(true))),
            "Invalid schema type for BooleanConverter: INT8"
        );
    }
}
