//! Bytes as they are.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, Error, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Type,
    Value,
};

use crate::NoSettings;

/// Passes bytes through.
#[derive(Debug)]
pub struct ByteArrayConverter;

impl ConverterPlugin for ByteArrayConverter {
    type Config = NoSettings;

    const INFO: PluginInfo = PluginInfo {
        name: "byte-array",
        aliases: &["org.apache.kafka.connect.converters.ByteArrayConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Passes bytes through unchanged.",
    };

    fn build(_config: NoSettings, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self))
    }
}

impl Converter for ByteArrayConverter {
    fn serialize(&self, _topic: &Topic, schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        if let Some(schema) = schema
            && schema.kind() != Type::Bytes
        {
            return Err(Error::data(format!("Invalid schema type for ByteArrayConverter: {}", schema.kind())));
        }
        match value {
            Value::Null => Ok(Step::Done(None)),
            Value::Bytes(bytes) => Ok(Step::Done(Some(bytes.clone()))),
            other => Err(Error::data(format!(
                "ByteArrayConverter is not compatible with objects of type class {}",
                other.java_class()
            ))),
        }
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        let value = bytes.map_or(Value::Null, |b| Value::Bytes(b.clone()));
        Ok(Step::Done(SchemaAndValue { schema: Some(Schema::optional_bytes()), value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{done, failure, topic};

    #[test]
    fn bytes_pass_and_everything_else_is_refused() {
        let bytes = Bytes::from_static(&[0, 255]);
        let write = |s: Option<&Schema>, v: Value| ByteArrayConverter.serialize(&topic(), s, &v);
        assert_eq!(done(write(None, Value::Bytes(bytes.clone()))), Some(bytes.clone()));
        assert_eq!(done(write(Some(&Schema::optional_bytes()), Value::Null)), None);
        assert_eq!(
            failure(write(Some(&Schema::string()), "x".into())),
            "Invalid schema type for ByteArrayConverter: STRING"
        );
        assert_eq!(
            failure(write(None, "x".into())),
            "ByteArrayConverter is not compatible with objects of type class java.lang.String"
        );
        let made = done(ByteArrayConverter.deserialize(&topic(), Some(&bytes)));
        assert_eq!((made.schema, made.value), (Some(Schema::optional_bytes()), Value::Bytes(bytes)));
    }
}
