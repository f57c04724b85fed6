//! JSON, with the schema envelope `{"schema":…,"payload":…}` or without.

use bytes::Bytes;
use connect_api::{
    Converter, ConverterPlugin, Error, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic, Value,
    config::{ConfigType, Key, KeyType, Width},
};
use serde::de::IgnoredAny;

use crate::{
    cache::Cache,
    json_read::{self, Envelope},
    json_schema, json_typed, json_write,
};

/// How JSON carries decimal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFormat {
    /// As base64 of the unscaled value.
    Base64,
    /// As a number.
    Numeric,
}

impl ConfigType for DecimalFormat {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "BASE64" => Ok(Self::Base64),
            "NUMERIC" => Ok(Self::Numeric),
            _ => Err("String must be one of (case insensitive): NUMERIC, BASE64".into()),
        }
    }

    fn options() -> Vec<String> {
        vec!["BASE64".into(), "NUMERIC".into()]
    }
}

connect_api::config! {
    /// Settings of the JSON converter.
    #[derive(Debug)]
    pub struct JsonConfig {
        /// Include schemas within each of the serialized values and keys.
        schemas_enable: bool = Key::new("schemas.enable").default("true").high()
            .form("Schemas", Width::Medium, "Enable Schemas").order(0),
        /// The maximum number of schemas that can be cached in this converter instance.
        cache_size: i32 = Key::new("schemas.cache.size").default("1000").high()
            .form("Schemas", Width::Medium, "Schema Cache Size").order(1).at_least(0),
        /// Controls which format this converter will serialize decimals in. This value is case insensitive and
        /// can be either 'BASE64' (default) or 'NUMERIC'
        decimal_format: DecimalFormat = Key::new("decimal.format").default("BASE64").low()
            .form("Serialization", Width::Medium, "Decimal Format").order(0),
        /// Whether to replace fields that have a default value and that are null to the default value. When
        /// set to true, the default value is used, otherwise null is used.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true").low()
            .form("Serialization", Width::Medium, "Replace null with default").order(1),
    }
}

const ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
    contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
    converter configuration.";

// Some editors put it in front of a text; it says nothing in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

enum Failure {
    Syntax(serde_json::Error),
    Data(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Data(e)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(e: serde_json::Error) -> Self {
        Self::Syntax(e)
    }
}

/// Writes and reads JSON.
#[derive(Debug)]
pub struct JsonConverter {
    config: JsonConfig,
    // The schema is kept beside its text, so that its address cannot become another schema's.
    written: Cache<usize, (Schema, Bytes)>,
    read: Cache<Box<str>, Schema>,
}

impl JsonConverter {
    /// A converter with these settings.
    pub fn new(config: JsonConfig) -> Self {
        let limit = usize::try_from(config.cache_size).unwrap_or(0);
        Self { config, written: Cache::new(limit), read: Cache::new(limit) }
    }

    fn writer(&self) -> json_write::Writer {
        json_write::Writer {
            decimal_format: self.config.decimal_format,
            replace_null_with_default: self.config.replace_null_with_default,
        }
    }

    fn read_document(&self, text: &[u8]) -> Result<SchemaAndValue, Failure> {
        if !self.config.schemas_enable {
            // No document at all is null, as in Java.
            if text.iter().all(u8::is_ascii_whitespace) {
                return Ok(SchemaAndValue::default());
            }
            return Ok(SchemaAndValue { schema: None, value: json_read::schemaless(text)? });
        }
        let envelope = match serde_json::from_slice::<Envelope<'_>>(text) {
            Ok(envelope) => envelope,
            Err(_) if text.iter().all(u8::is_ascii_whitespace) => return Err(Failure::Data(Error::data(ENVELOPE))),
            // Something else, if it is well-formed to its end.
            Err(e) if e.is_data() => {
                serde_json::from_slice::<IgnoredAny>(text)?;
                return Err(Failure::Data(Error::data(ENVELOPE)));
            }
            Err(e) => return Err(Failure::Syntax(e)),
        };
        let (Some(schema), Some(payload), false) = (envelope.schema, envelope.payload, envelope.others) else {
            return Err(Failure::Data(Error::data(ENVELOPE)));
        };
        match self.schema_of(schema.get())? {
            Some(schema) => {
                let replace = self.config.replace_null_with_default;
                let value = json_typed::typed(&schema, payload.get().as_bytes(), replace)?;
                Ok(SchemaAndValue { schema: Some(schema), value })
            }
            None => Ok(SchemaAndValue { schema: None, value: json_read::schemaless(payload.get().as_bytes())? }),
        }
    }

    fn schema_text(&self, schema: &Schema) -> Result<Bytes> {
        if let Some((_, text)) = self.written.get(&schema.identity()) {
            return Ok(text);
        }
        let mut text = Vec::new();
        json_schema::write(schema, None, &self.writer(), &mut text)?;
        let text = Bytes::from(text);
        self.written.insert(schema.identity(), (schema.clone(), text.clone()));
        Ok(text)
    }

    fn schema_of(&self, text: &str) -> Result<Option<Schema>> {
        if text == "null" {
            return Ok(None);
        }
        if let Some(schema) = self.read.get(text) {
            return Ok(Some(schema));
        }
        let schema = json_schema::read(text, self.config.replace_null_with_default)?;
        self.read.insert(text.into(), schema.clone());
        Ok(Some(schema))
    }
}

impl ConverterPlugin for JsonConverter {
    type Config = JsonConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "json",
        aliases: &["org.apache.kafka.connect.json.JsonConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes and reads JSON, with schemas in an envelope or, with schemas.enable=false, plain. \
                Integers of plain documents beyond 64 bits become FLOAT64. A document that is not UTF-8, or that has \
                more behind its end, is an error of the record.",
    };

    fn build(config: JsonConfig, _settings: &Settings, _role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self::new(config)))
    }
}

impl Converter for JsonConverter {
    fn serialize(&self, _topic: &Topic, schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        if schema.is_none() && value.is_null() {
            return Ok(Step::Done(None));
        }
        let mut out = Vec::with_capacity(256);
        if self.config.schemas_enable {
            out.extend_from_slice(b"{\"schema\":");
            match schema {
                Some(s) => out.extend_from_slice(&self.schema_text(s)?),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b",\"payload\":");
        }
        self.writer().value(schema, value, &mut out)?;
        if self.config.schemas_enable {
            out.push(b'}');
        }
        Ok(Step::Done(Some(Bytes::from(out))))
    }

    fn deserialize(&self, _topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        let Some(bytes) = bytes else { return Ok(Step::Done(SchemaAndValue::default())) };
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let made = match self.read_document(bytes) {
            // Jackson is told to accept leading zeros, so they are taken out before giving up.
            Err(Failure::Syntax(e)) => match json_read::without_leading_zeros(bytes) {
                Some(text) => self.read_document(&text),
                None => Err(Failure::Syntax(e)),
            },
            other => other,
        };
        made.map(Step::Done).map_err(|failure| match failure {
            Failure::Syntax(e) => {
                let text = "Converting byte[] to Kafka Connect data failed due to serialization error: ";
                Error::data(text).caused_by(e)
            }
            Failure::Data(e) => e,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connect_api::{BigDecimal, SchemaBuilder, Struct, Type, config::Config, logical};

    use super::*;
    use crate::testing::{done, failure, topic};

    fn converter(settings: &[(&str, &str)]) -> JsonConverter {
        let settings: Settings = settings.iter().copied().collect();
        JsonConverter::new(JsonConfig::parse(&settings).expect("settings"))
    }

    fn write(settings: &[(&str, &str)], schema: Option<&Schema>, value: impl Into<Value>) -> Result<String> {
        match converter(settings).serialize(&topic(), schema, &value.into())? {
            Step::Done(Some(b)) => Ok(String::from_utf8_lossy(&b).into_owned()),
            Step::Done(None) => Ok("(none)".into()),
            Step::Wait(_) => panic!("has to wait"),
        }
    }

    fn read(settings: &[(&str, &str)], text: &str) -> Result<Step<SchemaAndValue>> {
        converter(settings).deserialize(&topic(), Some(&Bytes::copy_from_slice(text.as_bytes())))
    }

    fn payload(schema: &str, payload: &str) -> Result<Step<SchemaAndValue>> {
        read(&[], &format!(r#"{{"schema":{schema},"payload":{payload}}}"#))
    }

    const PLAIN: &[(&str, &str)] = &[("schemas.enable", "false")];

    fn ok(b: SchemaBuilder) -> Schema {
        b.build().expect("schema")
    }

    fn decimal(unscaled: i64, scale: i64) -> Value {
        Value::Decimal(Arc::new(BigDecimal::new(unscaled.into(), scale)))
    }

    // (schema, value, the document's schema, the document's payload), both ways.
    fn golden() -> Vec<(Schema, Value, &'static str, &'static str)> {
        let inner = ok(Schema::structure()
            .field("a", Schema::int32())
            .field("b", Schema::optional_string())
            .name("N")
            .version(1));
        let mut s = Struct::new(&inner).expect("struct");
        s.put("a", 1).expect("put");
        let pairs =
            Value::Map(Arc::new([(Value::Int32(1), "a".into()), (Value::Int32(2), "b".into())].into_iter().collect()));
        vec![
            (Schema::boolean(), true.into(), r#"{"type":"boolean","optional":false}"#, "true"),
            (Schema::int8(), 12i8.into(), r#"{"type":"int8","optional":false}"#, "12"),
            (Schema::int16(), 12i16.into(), r#"{"type":"int16","optional":false}"#, "12"),
            (Schema::int32(), 12i32.into(), r#"{"type":"int32","optional":false}"#, "12"),
            (Schema::int64(), i64::MIN.into(), r#"{"type":"int64","optional":false}"#, "-9223372036854775808"),
            (Schema::float32(), 12.2f32.into(), r#"{"type":"float","optional":false}"#, "12.2"),
            (Schema::float64(), 1e10.into(), r#"{"type":"double","optional":false}"#, "1.0E10"),
            (
                Schema::optional_string(),
                "x\"\n\u{1}é😀".into(),
                r#"{"type":"string","optional":true}"#,
                r#""x\"\n\u0001é\uD83D\uDE00""#,
            ),
            (
                Schema::bytes(),
                Bytes::from_static(b"test").into(),
                r#"{"type":"bytes","optional":false}"#,
                r#""dGVzdA==""#,
            ),
            (
                ok(Schema::array(Schema::int32())),
                Value::array(vec![1.into(), 2.into()]),
                r#"{"type":"array","items":{"type":"int32","optional":false},"optional":false}"#,
                "[1,2]",
            ),
            (
                ok(Schema::map(Schema::string(), Schema::int32())),
                Value::map([("a", Value::Int32(1))]),
                r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},"optional":false}"#,
                r#"{"a":1}"#,
            ),
            (
                ok(Schema::map(Schema::int32(), Schema::string())),
                pairs,
                r#"{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":false},"optional":false}"#,
                r#"[[1,"a"],[2,"b"]]"#,
            ),
            (
                inner,
                s.into_value(),
                r#"{"type":"struct","fields":[{"type":"int32","optional":false,"field":"a"},{"type":"string","optional":true,"field":"b"}],"optional":false,"name":"N","version":1}"#,
                r#"{"a":1,"b":null}"#,
            ),
            (
                ok(logical::decimal(2)),
                decimal(156, 2),
                r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#,
                r#""AJw=""#,
            ),
            (
                logical::date(),
                Value::Date(10_000),
                r#"{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1}"#,
                "10000",
            ),
            (
                logical::time(),
                Value::Time(14_400_000),
                r#"{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Time","version":1}"#,
                "14400000",
            ),
            (
                logical::timestamp(),
                Value::Timestamp(2_000_000_000),
                r#"{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1}"#,
                "2000000000",
            ),
            (
                ok(SchemaBuilder::new(Type::Int32).doc("d").parameter("p", "q").default(Value::Int32(3))),
                5.into(),
                r#"{"type":"int32","optional":false,"doc":"d","parameters":{"p":"q"},"default":3}"#,
                "5",
            ),
        ]
    }

    #[test]
    fn documents_are_kafka_connects_both_ways() {
        for (schema, value, schema_text, payload_text) in golden() {
            let text = format!(r#"{{"schema":{schema_text},"payload":{payload_text}}}"#);
            assert_eq!(write(&[], Some(&schema), value.clone()).expect("written"), text);
            let back = done(read(&[], &text));
            assert_eq!((back.schema, back.value), (Some(schema), value), "{text}");
        }
    }

    #[test]
    fn null_is_a_tombstone_only_without_schema() {
        let default = ok(SchemaBuilder::new(Type::Int32).default(Value::Int32(7)));
        assert_eq!(write(&[], None, Value::Null).expect("none"), "(none)");
        assert_eq!(write(PLAIN, None, Value::Null).expect("none"), "(none)");
        assert_eq!(write(PLAIN, Some(&Schema::optional_int8()), Value::Null).expect("null"), "null");
        assert_eq!(write(PLAIN, Some(&default), Value::Null).expect("default"), "7");
        let e = write(&[], Some(&Schema::int8()), Value::Null).expect_err("required");
        assert_eq!(e.message(), "Conversion error: null value for field that is required and has no default value");
        let keep = [("replace.null.with.default", "false")];
        assert!(write(&keep, Some(&default), Value::Null).is_err());
        assert_eq!(write(&[], None, 1i64).expect("schemaless"), r#"{"schema":null,"payload":1}"#);
    }

    #[test]
    fn schemaless_values_take_their_own_types() {
        let map = Value::Map(Arc::new([(Value::Int32(1), Value::Null)].into_iter().collect()));
        assert_eq!(write(PLAIN, None, map).expect("pairs"), "[[1,null]]");
        assert_eq!(write(PLAIN, None, f64::NAN).expect("NaN"), "\"NaN\"");
        assert_eq!(write(PLAIN, None, 3.0).expect("float"), "3.0");
        let e = write(PLAIN, None, Value::Date(1)).expect_err("date");
        assert_eq!(e.message(), "Java class class java.util.Date does not have corresponding schema type.");
        let read = |text| done(read(PLAIN, text));
        let made = read(r#" {"a":[1,-2.5,null,true,"x\u00e9"],"b":{"schema":1}} "#);
        assert_eq!(made.schema, None);
        let list = vec![Value::Int64(1), Value::Float64(-2.5), Value::Null, Value::Boolean(true), "xé".into()];
        assert_eq!(made.value.get("a"), Some(&Value::array(list)));
        assert_eq!(read("18446744073709551615").value, Value::Float64(1.844_674_407_370_955_2e19));
        assert_eq!(read(r#"{"a":007,"b":"007","c":-00.5,"d":0}"#).value.to_string(), "{a=7, b=007, c=-0.5, d=0}");
    }

    #[test]
    fn wrong_classes_are_named() {
        let e = write(&[], Some(&Schema::int32()), "x").expect_err("class");
        assert_eq!(e.message(), "Invalid type for INT32: class java.lang.String");
        let e = write(&[], Some(&logical::date()), 3).expect_err("class");
        assert_eq!(e.message(), "Invalid type for Date, expected Date but was class java.lang.Integer");
        let other = Struct::new(&ok(Schema::structure().field("x", Schema::optional_int8()))).expect("struct");
        let e = write(&[], Some(&ok(Schema::structure())), other).expect_err("schema");
        assert_eq!(e.message(), "Mismatching schema.");
    }

    #[test]
    fn decimals_are_exact_as_numbers() {
        let schema = ok(logical::decimal(2));
        assert_eq!(
            write(&[("decimal.format", "numeric"), PLAIN[0]], Some(&schema), decimal(150, 2)).expect("n"),
            "1.50"
        );
        let text =
            r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#;
        assert_eq!(done(payload(text, "1.50")).value, decimal(150, 2));
        assert_eq!(done(payload(text, "\"AJw=\"")).value, decimal(156, 2));
        assert_eq!(
            done(payload(text, "123456789012345678901234567890.10")).value.to_string(),
            "123456789012345678901234567890.10"
        );
        assert_eq!(
            failure(payload(text, "true")),
            "Invalid type for Decimal, underlying representation should be numeric or bytes but was BOOLEAN"
        );
        let with_default = format!("{},\"default\":1.10}}", &text[..text.len() - 1]);
        assert_eq!(done(payload(&with_default, "null")).value, decimal(110, 2));
    }

    #[test]
    fn envelopes_need_exactly_two_members() {
        for text in
            ["5", "{}", r#"{"schema":null}"#, r#"{"schema":null,"payload":1,"x":2}"#, "[]", r#"{"payload":1,"x":2}"#]
        {
            assert_eq!(failure(read(&[], text)), ENVELOPE, "{text}");
        }
        assert_eq!(done(read(&[], r#"{"payload":1,"schema":null}"#)).value, Value::Int64(1));
        for text in ["{", "{\"a\":", "nul", "\u{0}", "[1,]", "{} x"] {
            let expected = "Converting byte[] to Kafka Connect data failed due to serialization error: ";
            assert_eq!((failure(read(PLAIN, text)), failure(read(&[], text))), (expected.into(), expected.into()));
        }
        for text in ["", " \n"] {
            assert_eq!(done(read(PLAIN, text)), SchemaAndValue::default());
            assert_eq!(failure(read(&[], text)), ENVELOPE);
        }
        assert_eq!(done(read(PLAIN, "\u{feff}1")).value, Value::Int64(1));
        assert_eq!(done(converter(&[]).deserialize(&topic(), None)), SchemaAndValue::default());
    }

    #[test]
    fn schema_errors_are_kafka_connects() {
        for (schema, text) in [
            ("\"int8\"", "Schema must contain 'type' field"),
            ("{}", "Schema must contain 'type' field"),
            (r#"{"type":"x"}"#, "Unknown schema type: x"),
            (r#"{"type":"array"}"#, "Array schema did not specify the element type"),
            (r#"{"type":"map"}"#, "Map schema did not specify the key type"),
            (r#"{"type":"map","keys":{"type":"int8"}}"#, "Map schema did not specify the value type"),
            (r#"{"type":"struct"}"#, "Struct schema's \"fields\" argument is not an array."),
            (r#"{"type":"struct","fields":{}}"#, "Struct schema's \"fields\" argument is not an array."),
            (r#"{"type":"struct","fields":[{"type":"int8"}]}"#, "Struct schema's field name not specified properly"),
            (r#"{"type":"int8","parameters":{"a":1}}"#, "Schema parameters must have string values."),
            (r#"{"type":"int8","default":null}"#, "Invalid null value for required INT8 field"),
        ] {
            assert_eq!(failure(payload(schema, "1")), text, "{schema}");
        }
    }

    #[test]
    fn payload_errors_are_kafka_connects() {
        let pairs = r#"{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}}"#;
        let map = r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}}"#;
        let structure = r#"{"type":"struct","fields":[{"type":"string","field":"a"}]}"#;
        let date = r#"{"type":"int32","name":"org.apache.kafka.connect.data.Date"}"#;
        for (schema, value, text) in [
            (structure, "[{}]", "Structs should be encoded as JSON objects, but found ARRAY"),
            (map, "\"x\"", "Maps with string fields should be encoded as JSON objects, but found STRING"),
            (
                pairs,
                "{\"a\":1}",
                "Maps with non-string fields should be encoded as JSON array of tuples, but found OBJECT",
            ),
            (pairs, "[1]", "Found invalid map entry instead of array tuple: NUMBER"),
            (pairs, "[[1]]", "Found invalid map entry, expected length 2 but found :1"),
            (pairs, "[[1,2,3]]", "Found invalid map entry, expected length 2 but found :3"),
            (structure, "{}", "Invalid null value for required STRING field"),
            (structure, r#"{"a":5}"#, "Invalid value: null used for required field: \"a\", schema type: STRING"),
            (date, "1.5", "Invalid type for Date, underlying representation should be integer but was NUMBER"),
            (date, "3000000000", "Invalid type for Date, underlying representation should be integer but was NUMBER"),
            (r#"{"type":"bytes"}"#, "\"*\"", "Invalid bytes field"),
            (r#"{"type":"int64"}"#, "1e30", "Invalid value for INT64: the number is beyond 64 bits"),
        ] {
            assert_eq!(failure(payload(schema, value)), text, "{schema} {value}");
        }
    }

    #[test]
    fn scalars_of_another_type_are_zero_and_wide_integers_wrap() {
        let scalar = |kind: &str, v: &str| done(payload(&format!(r#"{{"type":"{kind}"}}"#), v)).value;
        assert_eq!(scalar("int32", "\"5\""), Value::Int32(0));
        assert_eq!(scalar("int32", "{\"a\":[1]}"), Value::Int32(0));
        assert_eq!(scalar("boolean", "1"), Value::Boolean(false));
        assert_eq!(scalar("string", "1"), Value::Null);
        assert_eq!(scalar("int8", "300"), Value::Int8(44));
        assert_eq!(scalar("int32", "2.9"), Value::Int32(2));
        assert_eq!(scalar("double", "2"), Value::Float64(2.0));
    }

    #[test]
    fn hostile_documents_are_errors() {
        for text in [
            "[".repeat(100_000),
            "{\"a\":".repeat(100_000),
            format!(r#"{{"schema":{},"payload":1}}"#, r#"{"type":"array","items":"#.repeat(10_000)),
        ] {
            assert!(read(&[], &text).is_err());
            assert!(read(PLAIN, &text).is_err());
        }
        let bytes = Bytes::from_static(&[0xff, 0xfe, b'"', 0x80, b'"']);
        assert!(converter(PLAIN).deserialize(&topic(), Some(&bytes)).is_err());
    }
}
