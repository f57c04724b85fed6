//! Values as UTF-8 text.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Value,
    config::{Key, Width},
};

connect_api::config! {
    /// Settings of the string converter.
    #[derive(Debug)]
    pub struct StringConfig {
        /// The name of the character set to encode and decode text with. UTF-8 is the only one.
        encoding: String = Key::new("converter.encoding").default("UTF-8").high()
            .form("Serialization", Width::None, "Encoding").check(utf8_only),
    }
}

fn utf8_only(name: &String) -> Result<(), String> {
    if ["utf-8", "utf8"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(format!("the character set {name} is not supported; use UTF-8"))
}

/// Writes the text form of any value and reads text; schemas are ignored.
#[derive(Debug)]
pub struct StringConverter;

impl ConverterPlugin for StringConverter {
    type Config = StringConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "string",
        aliases: &["org.apache.kafka.connect.storage.StringConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes the text form of any value and reads UTF-8 text. Bytes that are no UTF-8 are read as the \
                replacement character U+FFFD, as in Kafka Connect; where they must survive use the byte-array \
                converter.",
    };

    fn build(_config: StringConfig, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self))
    }
}

impl Converter for StringConverter {
    fn serialize(&self, _topic: &Topic, _schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        Ok(Step::Done(match value {
            Value::Null => None,
            Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            other => Some(Bytes::from(other.to_string())),
        }))
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        // As Java does, undecodable bytes become replacement characters.
        let value = bytes.map_or(Value::Null, |b| Value::String(String::from_utf8_lossy(b).into()));
        Ok(Step::Done(SchemaAndValue { schema: Some(Schema::optional_string()), value }))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::config::Config;

    use super::*;
    use crate::testing::{done, topic};

    #[test]
    fn texts_pass_and_other_values_take_their_text_form() {
        let write = |v: Value| done(StringConverter.serialize(&topic(), None, &v));
        assert_eq!(write("é".into()).as_deref(), Some("é".as_bytes()));
        assert_eq!(write(Value::map([("a", Value::Int32(1))])).as_deref(), Some(&b"{a=1}"[..]));
        assert_eq!(write(Value::Null), None);
    }

    #[test]
    fn bytes_become_optional_text_whatever_they_are() {
        let read =
            |b: Option<&'static [u8]>| done(StringConverter.deserialize(&topic(), b.map(Bytes::from_static).as_ref()));
        let made = read(Some(b"a\xff"));
        assert_eq!((made.schema, made.value), (Some(Schema::optional_string()), Value::from("a\u{fffd}")));
        assert_eq!(read(None).value, Value::Null);
    }

    #[test]
    fn other_character_sets_are_refused_by_name() {
        let problems =
            StringConfig::parse(&Settings::from([("converter.encoding", "ISO-8859-1")])).expect_err("charset");
        assert_eq!(
            problems.iter().next().map(|p| p.text.as_str()),
            Some(
                "Invalid value ISO-8859-1 for configuration converter.encoding: the character set ISO-8859-1 is not supported; use UTF-8"
            )
        );
        assert!(StringConfig::parse(&Settings::from([("converter.encoding", "UTF8")])).is_ok());
    }
}
