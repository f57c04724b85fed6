//! Headers as readable texts, the default of Kafka Connect.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Value,
    parse_value, value_text,
};

use crate::NoSettings;

/// Writes headers as texts and guesses their types when it reads them.
#[derive(Debug)]
pub struct SimpleHeaderConverter;

impl ConverterPlugin for SimpleHeaderConverter {
    type Config = NoSettings;

    const INFO: PluginInfo = PluginInfo {
        name: "simple-header",
        aliases: &["org.apache.kafka.connect.storage.SimpleHeaderConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes header values as texts and, reading them, finds numbers, booleans, dates, lists and maps \
                by their looks. Times are UTC. Bytes that are no UTF-8 are read as the replacement character U+FFFD.",
    };

    fn build(_config: NoSettings, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self))
    }
}

impl Converter for SimpleHeaderConverter {
    fn serialize(&self, _topic: &Topic, _schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        Ok(Step::Done(value_text(value).map(Bytes::from)))
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        Ok(Step::Done(match bytes {
            None => SchemaAndValue::default(),
            Some(bytes) => parse_value(&String::from_utf8_lossy(bytes)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{done, topic};

    #[test]
    fn headers_come_back_as_they_look() {
        for value in [
            Value::Int8(5),
            Value::Boolean(true),
            "text".into(),
            Value::Timestamp(1_700_000_000_123),
            Value::map([("a", Value::array(vec![Value::Int16(500)]))]),
        ] {
            let bytes = done(SimpleHeaderConverter.serialize(&topic(), None, &value));
            assert_eq!(done(SimpleHeaderConverter.deserialize(&topic(), bytes.as_ref())).value, value);
        }
        assert_eq!(done(SimpleHeaderConverter.serialize(&topic(), None, &Value::Null)), None);
        assert_eq!(done(SimpleHeaderConverter.deserialize(&topic(), None)), SchemaAndValue::default());
    }
}
