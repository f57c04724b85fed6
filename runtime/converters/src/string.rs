//! Values as text.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Value,
    config::{Key, Width},
};

use crate::Charset;

connect_api::config! {
    /// Settings of the string converter.
    #[derive(Debug)]
    pub struct StringConfig {
        /// The character set to encode and decode text with: UTF-8, US-ASCII, ISO-8859-1, UTF-16, UTF-16BE or UTF-16LE,
        /// under any of the names that Java knows them by.
        encoding: Charset = Key::new("converter.encoding").default("UTF-8").high().form("", Width::Medium, "Encoding"),
    }
}

/// Writes the text form of any value and reads text; schemas are ignored.
#[derive(Debug)]
pub struct StringConverter(Charset);

impl ConverterPlugin for StringConverter {
    type Config = StringConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "string",
        aliases: &["org.apache.kafka.connect.storage.StringConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes the text form of any value and reads text. Bytes that are no text of the character set are read \
                as the replacement character U+FFFD, as in Kafka Connect; where they must survive use the byte-array \
                converter. A character that the set lacks is an error of the record, where Kafka Connect writes a \
                question mark.",
    };

    fn build(config: StringConfig, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self(config.encoding)))
    }
}

impl Converter for StringConverter {
    fn serialize(&self, _topic: &Topic, _schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        Ok(Step::Done(match value {
            Value::Null => None,
            Value::String(text) => Some(Bytes::from(self.0.encode(text)?)),
            other => Some(Bytes::from(self.0.encode(&other.to_string())?)),
        }))
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        let value = bytes.map_or(Value::Null, |b| Value::String(self.0.decode(b).into()));
        Ok(Step::Done(SchemaAndValue { schema: Some(Schema::optional_string()), value }))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::config::Config;

    use super::*;
    use crate::testing::{done, failure, topic};

    #[test]
    fn texts_pass_and_other_values_take_their_text_form() {
        let write = |v: Value| done(StringConverter(Charset::Utf8).serialize(&topic(), None, &v));
        assert_eq!(write("é".into()).as_deref(), Some("é".as_bytes()));
        assert_eq!(write(Value::map([("a", Value::Int32(1))])).as_deref(), Some(&b"{a=1}"[..]));
        assert_eq!(write(Value::Null), None);
    }

    #[test]
    fn bytes_become_optional_text_whatever_they_are() {
        let read = |b: Option<&'static [u8]>| {
            done(StringConverter(Charset::Utf8).deserialize(&topic(), b.map(Bytes::from_static).as_ref()))
        };
        let made = read(Some(b"a\xff"));
        assert_eq!((made.schema, made.value), (Some(Schema::optional_string()), Value::from("a\u{fffd}")));
        assert_eq!(read(None).value, Value::Null);
    }

    #[test]
    fn character_sets_have_their_own_bytes_and_lack_characters() {
        let both = |set: &str, text: &str| {
            let config = StringConfig::parse(&Settings::from([("converter.encoding", set)])).expect(set);
            let converter = StringConverter(config.encoding);
            let bytes = done(converter.serialize(&topic(), None, &text.into())).expect("bytes");
            assert_eq!(done(converter.deserialize(&topic(), Some(&bytes))).value, Value::from(text), "{set}");
            bytes
        };
        assert_eq!(&*both("latin1", "aé"), b"a\xe9");
        assert_eq!(&*both("UTF-16", "a😀"), b"\xfe\xff\0a\xd8\x3d\xde\x00");
        assert_eq!(&*both("utf-16le", "a"), b"a\0");
        assert_eq!(&*both("US-ASCII", "a"), b"a");
        let e = StringConverter(Charset::Latin1).serialize(&topic(), None, &"€".into());
        assert_eq!(failure(e), "ISO-8859-1 has no character '€'; set converter.encoding to UTF-8");
        let odd =
            done(StringConverter(Charset::Utf16).deserialize(&topic(), Some(&Bytes::from_static(b"\xff\xfea\0b"))));
        assert_eq!(odd.value, Value::from("a\u{fffd}"));
    }

    #[test]
    fn other_character_sets_are_refused_by_name() {
        let problems =
            StringConfig::parse(&Settings::from([("converter.encoding", "Shift_JIS")])).expect_err("charset");
        let text = problems.iter().next().map(|p| p.text.as_str()).unwrap_or_default();
        assert!(text.contains("the character set Shift_JIS is not supported; there are UTF-8, US-ASCII"), "{text}");
    }
}
