//! Keys and values as what they are: Avro with a schema in the registry, JSON, text, else bytes in hex.

use std::sync::Arc;

use connect_api::{Bytes, Converter, Error, ErrorClass, Role, SchemaAndValue, Settings, Step, Topic, config::Config};
use connect_converters::{AvroConverter, BareAvro, JsonConfig, JsonConverter};
use serde::Serialize;

use super::super::Context;
use crate::{error::Failure, exact::Exact};

/// So many bytes in hex are shown to people.
const HEX: usize = 64;

/// What bytes were found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Avro in Confluent's wire format.
    Avro,
    /// A JSON object or array.
    Json,
    /// UTF-8 without control characters.
    Text,
    /// Something else.
    Hex,
}

/// As what bytes are to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum As {
    /// What they seem to be: Avro with a schema in the registry, JSON, text, else hex.
    #[default]
    Auto,
    /// Text in UTF-8.
    String,
    /// JSON of any kind.
    Json,
    /// Avro with the schema that the record names, or that --key-schema or --value-schema names.
    Avro,
    /// Bytes in hex.
    Hex,
}

/// A key, a value or a header's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Payload {
    /// What it is.
    format: Form,
    /// Id of its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<i32>,
    /// How many bytes it has.
    bytes: usize,
    /// Itself: a tree of Avro and JSON, whose numbers have all their digits, else a text.
    value: Exact,
    /// Why it could not be decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The text for people.
    #[serde(skip)]
    text: String,
}

impl Payload {
    /// As far as the bytes themselves tell.
    pub(crate) fn plain(bytes: &[u8]) -> Self {
        let length = bytes.len();
        let made = |format, value: Exact, text: String| Self {
            format,
            schema_id: None,
            bytes: length,
            value,
            problem: None,
            text,
        };
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|t| !t.contains(is_control)) else {
            return made(Form::Hex, Exact::Text(hex(bytes)), String::new());
        };
        match Exact::parse(text) {
            Ok(tree @ (Exact::Object(_) | Exact::List(_))) => made(Form::Json, tree, text.to_owned()),
            _ => made(Form::Text, Exact::Text(text.to_owned()), text.to_owned()),
        }
    }

    /// As hex, and why it is not what it was said to be.
    pub(super) fn undecodable(bytes: &[u8], problem: Option<String>) -> Self {
        let (value, text) = (Exact::Text(hex(bytes)), String::new());
        Self { format: Form::Hex, schema_id: None, bytes: bytes.len(), value, problem, text }
    }

    /// Whether the bytes are not what they were said to be.
    pub(crate) fn is_undecodable(&self) -> bool {
        self.problem.is_some()
    }

    /// Why they are not.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The tree, or the text.
    pub(crate) fn value(&self) -> &Exact {
        &self.value
    }

    /// The text by itself, without quotation marks around a text of Avro or JSON; hex where it is none.
    pub(crate) fn content(&self) -> &str {
        self.value.as_str().unwrap_or(&self.text)
    }

    /// Leaves fields of an object out.
    pub(crate) fn without(&mut self, fields: &[String]) {
        let Exact::Object(object) = &mut self.value else { return };
        let before = object.len();
        object.retain(|key, _| !fields.contains(key));
        if object.len() < before {
            self.text = self.value.to_string();
        }
    }

    /// One line: the text and what it is. Lines of the text itself are joined.
    pub(crate) fn line(&self) -> String {
        let mut note = match (self.format, self.schema_id) {
            (Form::Avro, Some(id)) => format!("avro, schema {id}"),
            (Form::Avro, None) => "avro".into(),
            (Form::Json, _) => "json".into(),
            (Form::Text, _) => "text".into(),
            (Form::Hex, _) => format!("hex, {} bytes", self.bytes),
        };
        if let Some(problem) = &self.problem {
            note = format!("{note}; {problem}");
        }
        match self.format {
            Form::Hex => {
                let digits = self.value.as_str().unwrap_or_default();
                let shown = digits.get(..2 * HEX).map_or_else(|| digits.to_owned(), |first| format!("{first}…"));
                format!("{shown} ({note})").trim_start().to_owned()
            }
            Form::Text if self.text.is_empty() => format!("\"\" ({note})"),
            _ => format!("{} ({note})", self.text.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }

    /// A header's text, which is short.
    pub(crate) fn bare(&self) -> String {
        if self.format == Form::Hex { self.line() } else { self.text.clone() }
    }
}

fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of the schema where the bytes may be Avro.
fn schema_id(bytes: &[u8]) -> Option<i32> {
    match bytes {
        [0, id @ ..] => Some(i32::from_be_bytes(*id.first_chunk()?)),
        _ => None,
    }
}

enum Avro {
    /// Nothing has needed it.
    Unasked,
    Known(Box<AvroConverter>),
    /// It cannot be asked, which has been said.
    Unknown,
}

/// Decodes, and asks for the registry when something may be Avro.
pub(crate) struct Decoder<'a> {
    context: &'a Context<'a>,
    avro: Avro,
    json: JsonConverter,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(context: &'a Context<'a>) -> Result<Self, Failure> {
        Ok(Self { context, avro: Avro::Unasked, json: json()? })
    }

    /// The bytes as what they are said to be; Avro by the schema if there is one, which the bytes do not name then. What
    /// cannot be decoded says why.
    pub(crate) async fn decode_as(
        &mut self,
        form: As,
        bare: Option<&BareAvro>,
        topic: &Topic,
        bytes: &Bytes,
    ) -> Payload {
        let plain =
            |format, value, text| Payload { format, schema_id: None, bytes: bytes.len(), value, problem: None, text };
        let failed = |problem: String| Payload::undecodable(bytes, Some(problem));
        match (form, bare) {
            (_, Some(schema)) => {
                let read = async { written(&self.json, topic, schema.read(bytes)?).await };
                match read.await {
                    Ok((value, text)) => plain(Form::Avro, value, text),
                    Err(e) => failed(format!("no Avro of the schema: {}", e.one_line())),
                }
            }
            (As::Auto, None) => self.decode(topic, bytes).await,
            (As::Hex, None) => Payload::undecodable(bytes, None),
            (As::String, None) => match std::str::from_utf8(bytes) {
                // Control characters of a terminal are made visible where it is shown.
                Ok(text) => plain(Form::Text, Exact::Text(text.to_owned()), text.to_owned()),
                Err(e) => failed(format!("no text: {e}")),
            },
            (As::Json, None) => match std::str::from_utf8(bytes) {
                Ok(text) => match Exact::parse(text) {
                    Ok(value) => plain(Form::Json, value, text.to_owned()),
                    Err(e) => failed(format!("no JSON: {e}")),
                },
                Err(e) => failed(format!("no JSON: {e}")),
            },
            (As::Avro, None) if schema_id(bytes).is_none() => {
                failed("no Avro: it does not begin with a zero byte and the id of a schema".into())
            }
            (As::Avro, None) => {
                let decoded = self.decode(topic, bytes).await;
                match decoded.format {
                    Form::Avro => decoded,
                    _ => failed(decoded.problem.unwrap_or_else(|| "the schema registry cannot be asked".into())),
                }
            }
        }
    }

    /// The bytes as what they are.
    pub(crate) async fn decode(&mut self, topic: &Topic, bytes: &Bytes) -> Payload {
        let plain = Payload::plain(bytes);
        let Some(id) = schema_id(bytes).filter(|_| plain.format == Form::Hex) else { return plain };
        if matches!(self.avro, Avro::Unasked) {
            self.avro = match self.context.registry().await {
                Ok(registry) => Avro::Known(Box::new(AvroConverter::reader(registry.client, Role::Value))),
                Err(e) => {
                    self.context.output.say(&format!("what may be Avro is shown in hex: {e}"));
                    Avro::Unknown
                }
            };
        }
        let Avro::Known(avro) = &self.avro else { return plain };
        match tree(avro, &self.json, topic, bytes).await {
            Ok((value, text)) => Payload { format: Form::Avro, schema_id: Some(id), value, text, ..plain },
            Err(e) => {
                if e.class() != ErrorClass::Data {
                    self.context.output.say(&format!("what may be Avro is shown in hex: {}", e.one_line()));
                    self.avro = Avro::Unknown;
                }
                Payload { problem: Some(format!("if it is Avro of schema {id}: {}", e.one_line())), ..plain }
            }
        }
    }
}

fn json() -> Result<JsonConverter, Failure> {
    let config = JsonConfig::parse(&Settings::from([("schemas.enable", "false"), ("decimal.format", "NUMERIC")]));
    let failed = |e: connect_api::config::Problems| {
        let texts: Vec<&str> = e.iter().map(|problem| problem.text.as_str()).collect();
        Failure::Failed(format!("setting up the JSON converter: {}", texts.join("; ")))
    };
    Ok(JsonConverter::new(config.map_err(failed)?))
}

/// Avro as JSON.
async fn tree(
    avro: &AvroConverter,
    json: &JsonConverter,
    topic: &Topic,
    bytes: &Bytes,
) -> Result<(Exact, String), Error> {
    let read = loop {
        match avro.deserialize(topic, Some(bytes))? {
            Step::Done(read) => break read,
            Step::Wait(prepare) => prepare.await?,
        }
    };
    written(json, topic, read).await
}

async fn written(json: &JsonConverter, topic: &Topic, read: SchemaAndValue) -> Result<(Exact, String), Error> {
    let written = loop {
        match json.serialize(topic, read.schema.as_ref(), &read.value)? {
            Step::Done(written) => break written.unwrap_or_default(),
            Step::Wait(prepare) => prepare.await?,
        }
    };
    let text = String::from_utf8_lossy(&written).into_owned();
    let value = Exact::parse(&text).map_err(|e| Error::data("reading it as JSON").caused_by(e))?;
    Ok((value, text))
}

/// The topic of a record, for converters' messages.
pub(crate) fn topic_of(name: &str) -> Topic {
    Arc::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        for (bytes, line) in [
            (b"{\"a\": 1}".as_slice(), "{\"a\": 1} (json)"),
            (b"[1,\n 2]", "[1, 2] (json)"),
            (b"42", "42 (text)"),
            (b"nojson{", "nojson{ (text)"),
            ("Überdruck".as_bytes(), "Überdruck (text)"),
            (b"", "\"\" (text)"),
            (b"\0\0\0\0\x07\x02", "000000000702 (hex, 6 bytes)"),
            (b"a\x1b[31m", "611b5b33316d (hex, 6 bytes)"),
            (b"\xff", "ff (hex, 1 bytes)"),
        ] {
            assert_eq!(Payload::plain(bytes).line(), line);
        }
        let long = Payload::plain(&[0xab; 100]);
        assert_eq!(long.line(), format!("{}… (hex, 100 bytes)", "ab".repeat(64)));
        assert_eq!(long.value.as_str().map(str::len), Some(200));
    }

    #[test]
    fn the_id_of_a_schema_is_behind_a_zero() {
        assert_eq!(schema_id(b"\0\0\0\x01\x02x"), Some(258));
        assert_eq!(schema_id(b"\0\0\0\x01"), None);
        assert_eq!(schema_id(b"\x01\0\0\x01\x02"), None);
    }

    #[tokio::test]
    async fn avro_is_read_with_the_schema_of_the_registry() {
        use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};
        let server = MockServer::start().await;
        let schema =
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"n","type":"int"}]}"#;
        let answer = ResponseTemplate::new(200).set_body_json(serde_json::json!({ "schema": schema }));
        Mock::given(path("/schemas/ids/7")).respond_with(answer).mount(&server).await;
        let options = connect_converters::RegistryOptions::new(vec![server.uri()]);
        let registry = connect_converters::SchemaRegistry::new(options).expect("registry");
        let avro = AvroConverter::reader(registry, Role::Value);
        let bytes = Bytes::from_static(b"\0\0\0\0\x07\x04hi\x2a");
        let (value, text) = tree(&avro, &json().expect("json"), &topic_of("t"), &bytes).await.expect("avro");
        assert_eq!((value.get("a").and_then(Exact::as_str), value.to_string()), (Some("hi"), text.clone()));
        assert_eq!(text, r#"{"a":"hi","n":21}"#);
        let cut = Bytes::from_static(b"\0\0\0\0\x07\x04h");
        let e = tree(&avro, &json().expect("json"), &topic_of("t"), &cut).await.expect_err("cut off");
        assert_eq!(e.class(), ErrorClass::Data);
    }
    #[tokio::test]
    async fn decimals_keep_their_digits() {
        let schema = BareAvro::new(
            r#"{"type":"record","name":"R","fields":[
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}},{"name":"x","type":"int"}]}"#,
        );
        // 1234567890123456789012345678 hundredths.
        let mut bytes = vec![2 * 12];
        bytes.extend(&1_234_567_890_123_456_789_012_345_678_i128.to_be_bytes()[4..]);
        bytes.push(0x2a);
        let read = schema.expect("schema").read(&Bytes::from(bytes.clone())).expect("avro");
        let (value, text) = written(&json().expect("json"), &topic_of("t"), read).await.expect("json");
        let digits = "12345678901234567890123456.78";
        assert_eq!(text, format!(r#"{{"d":{digits},"x":21}}"#));
        let mut payload = Payload {
            format: Form::Avro,
            schema_id: None,
            bytes: bytes.len(),
            value,
            problem: None,
            text: String::new(),
        };
        assert!(serde_json::to_string(&payload).expect("json").contains(&format!("\"d\":{digits},")));
        assert!(crate::yaml::of(&payload).expect("yaml").contains(&format!("d: {digits}\n")));
        payload.without(&["x".into()]);
        assert_eq!(payload.content(), format!("{{\"d\":{digits}}}"));
    }
}
