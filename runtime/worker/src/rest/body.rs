//! Bodies of requests, read as Kafka Connect's data binding (Jackson) does, with its texts for what is wrong.

use axum::body::Bytes;
use connect_api::float64;
use connect_rest_model::ConfigMap;

use super::{
    error::ApiError,
    jackson::Parser,
    tokens::{Token, Wrong},
};

impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        // Kafka Connect has no mapping for a body that cannot be read.
        Self::internal(wrong.to_string())
    }
}

pub(super) const MAP: &str = "java.util.LinkedHashMap";
const MAP_OF_TEXTS: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.String>";
const REQUEST: &str = "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest";
const NO_CONFIG: &str = "Cannot invoke \"java.util.Map.get(Object)\" because \"connectorConfig\" is null";

/// A flat configuration map.
pub(crate) fn config(bytes: &Bytes) -> Result<ConfigMap, ApiError> {
    optional_texts(bytes)?.ok_or_else(|| ApiError::internal(NO_CONFIG))
}

/// A patch of a configuration map.
pub(crate) fn patch(bytes: &Bytes) -> Result<ConfigMap, ApiError> {
    const NO_PATCH: &str =
        "Cannot invoke \"java.util.Map.forEach(java.util.function.BiConsumer)\" because \"patch\" is null";
    optional_texts(bytes)?.ok_or_else(|| ApiError::internal(NO_PATCH))
}

/// A map of texts that may be missing.
pub(crate) fn optional_texts(bytes: &Bytes) -> Result<Option<ConfigMap>, ApiError> {
    Ok(read(bytes, "java.util.Map", texts)?)
}

/// The body of `POST /connectors`.
#[derive(Debug, Default)]
pub(crate) struct Create {
    pub name: String,
    pub config: ConfigMap,
    pub initial_state: Option<InitialState>,
}

/// The state that a connector is created in (KIP-980).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitialState {
    Running,
    Paused,
    Stopped,
}

/// Reads the body of `POST /connectors`.
pub(crate) fn create(bytes: &Bytes) -> Result<Create, ApiError> {
    let Some(members) = read(bytes, REQUEST, members)? else {
        let text = format!("Cannot invoke \"{REQUEST}.name()\" because \"createRequest\" is null");
        return Err(ApiError::internal(text));
    };
    Ok(Create {
        // Java's trim: everything up to the blank.
        name: members.name.unwrap_or_default().trim_matches(|c| c <= ' ').to_owned(),
        config: members.config.ok_or_else(|| ApiError::internal(NO_CONFIG))?,
        initial_state: members.initial_state,
    })
}

/// Reads the one value of a body; none for null and for a body without any.
pub(super) fn read<T>(
    bytes: &[u8],
    class: &str,
    value: impl FnOnce(&mut Parser<'_>, Token) -> Result<Option<T>, Wrong>,
) -> Result<Option<T>, Wrong> {
    let mut parser = Parser::new(bytes);
    let Some(token) = parser.next()? else { return Ok(None) };
    let made = if token == Token::Null { None } else { value(&mut parser, token)? };
    match parser.next()? {
        None => Ok(made),
        Some(token) => Err(parser.refuse(format!(
            "Trailing token (of type {}) found after value (bound as `{class}`): not allowed as per \
             `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`",
            token.name()
        ))),
    }
}

pub(super) fn wrong_type(parser: &Parser<'_>, class: &str, token: Token) -> Wrong {
    let (shape, name) = (token.shape(), token.name());
    parser.refuse(format!("Cannot deserialize value of type `{class}` from {shape} value (token `JsonToken.{name}`)"))
}

/// What stands where an object of the class is wanted.
pub(super) fn no_object(class: &str, element: &str, parser: &mut Parser<'_>) -> Result<Wrong, Wrong> {
    let text = parser.text()?;
    Ok(if text.trim().is_empty() {
        let coerced = "(but could if coercion was enabled using `CoercionConfig`)";
        parser.refuse(format!("Cannot coerce empty String (\"\") to {element} {coerced}"))
    } else {
        not_made(class, "String", &format!("String value ('{text}')"), parser)
    })
}

fn not_made(class: &str, argument: &str, value: &str, parser: &Parser<'_>) -> Wrong {
    parser.refuse(format!(
        "Cannot construct instance of `{class}` (although at least one Creator exists): no {argument}-argument \
         constructor/factory method to deserialize from {value}"
    ))
}

/// What is said where a bean of the class is wanted and something else stands.
pub(super) fn no_bean(class: &str, parser: &mut Parser<'_>, token: Token) -> Result<Wrong, Wrong> {
    Ok(match token {
        Token::String => no_object(class, &format!("`{class}` value"), parser)?,
        Token::True | Token::False => {
            let value = format!("boolean value ({})", parser.text()?);
            not_made(class, "boolean/Boolean", &value, parser)
        }
        Token::Int | Token::Float => {
            let text = parser.text()?;
            let (argument, shown) = match token {
                Token::Float => ("double/Double", float64(text.parse().unwrap_or(f64::NAN))),
                _ if text.parse::<i32>().is_ok() => ("int/Int", text),
                _ if text.parse::<i64>().is_ok() => ("long/Long", text),
                _ => ("BigInteger", text),
            };
            not_made(class, argument, &format!("Number value ({shown})"), parser)
        }
        _ => wrong_type(parser, class, token),
    })
}

fn texts(parser: &mut Parser<'_>, token: Token) -> Result<Option<ConfigMap>, Wrong> {
    match token {
        Token::StartObject => {}
        Token::Null => return Ok(None),
        Token::String => return Err(no_object(MAP, &format!("element of `{MAP}`"), parser)?),
        _ => return Err(wrong_type(parser, MAP_OF_TEXTS, token)),
    }
    let mut config = ConfigMap::new();
    while parser.next()? == Some(Token::FieldName) {
        let key = parser.name().to_owned();
        // There is one: the parser refuses a member without value.
        let Some(token) = parser.next()? else { break };
        let inside = |wrong: Wrong| if wrong.syntax { wrong } else { wrong.inside(MAP, &key) };
        let value = text(parser, token).map_err(inside)?;
        config.insert(key, value);
    }
    Ok(Some(config))
}

/// A scalar as the text that was written; null stays null.
fn text(parser: &mut Parser<'_>, token: Token) -> Result<Option<String>, Wrong> {
    match token {
        Token::Null => Ok(None),
        Token::StartObject | Token::StartArray => Err(wrong_type(parser, "java.lang.String", token)),
        _ => parser.text().map(Some),
    }
}

#[derive(Default)]
struct Members {
    name: Option<String>,
    config: Option<ConfigMap>,
    initial_state: Option<InitialState>,
}

fn members(parser: &mut Parser<'_>, token: Token) -> Result<Option<Members>, Wrong> {
    if token != Token::StartObject {
        return Err(no_bean(REQUEST, parser, token)?);
    }
    let mut made = Members::default();
    let mut seen = [false; 3];
    let mut unknown = None;
    while parser.next()? == Some(Token::FieldName) {
        let member = parser.name().to_owned();
        let Some(token) = parser.next()? else { break };
        let inside = |wrong: Wrong| wrong.inside(REQUEST, &member);
        match member.as_str() {
            "name" => (seen[0], made.name) = (true, text(parser, token).map_err(inside)?),
            "config" => (seen[1], made.config) = (true, texts(parser, token).map_err(inside)?),
            "initial_state" => (seen[2], made.initial_state) = (true, state(parser, token).map_err(inside)?),
            // Once all members are there, Jackson refuses at once; before, when the object has ended.
            _ if seen == [true; 3] => return Err(unrecognized(parser, REQUEST, &member, KNOWN)),
            _ => {
                skip(parser, 1)?;
                unknown.get_or_insert(member);
            }
        }
    }
    match unknown {
        Some(member) => Err(unrecognized(parser, REQUEST, &member, KNOWN)),
        None => Ok(Some(made)),
    }
}

const KNOWN: &str = "3 known properties: \"config\", \"name\", \"initial_state\"";

pub(super) fn unrecognized(parser: &Parser<'_>, class: &str, member: &str, known: &str) -> Wrong {
    let text = format!("Unrecognized field \"{member}\" (class {class}), not marked as ignorable ({known}])");
    parser.refuse_here(text).inside(class, member)
}

/// Reads to the end of the value that has just begun and is a member of an object at this depth.
pub(super) fn skip(parser: &mut Parser<'_>, depth: usize) -> Result<(), Wrong> {
    while parser.depth() > depth && parser.next()?.is_some() {}
    Ok(())
}

fn state(parser: &mut Parser<'_>, token: Token) -> Result<Option<InitialState>, Wrong> {
    const STATE: &str = "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest$InitialState";
    match token {
        Token::Null => return Ok(None),
        Token::StartObject => return Err(wrong_type(parser, STATE, token)),
        Token::StartArray => {
            return Err(parser.refuse(format!(
                "Input mismatch reading Enum `{STATE}`: properties-based `@JsonCreator` ([method \
                 {STATE}#forValue(java.lang.String)]) expects String Value, got Array value (`JsonToken.START_ARRAY`)"
            )));
        }
        _ => {}
    }
    let text = parser.text()?.to_uppercase();
    match text.as_str() {
        "RUNNING" => Ok(Some(InitialState::Running)),
        "PAUSED" => Ok(Some(InitialState::Paused)),
        "STOPPED" => Ok(Some(InitialState::Stopped)),
        _ => Err(parser.refuse(format!(
            "Cannot construct instance of `{STATE}`, problem: No enum constant {REQUEST}.InitialState.{text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    /// Answers of a Kafka Connect 4.1.0 worker, a line each: which body, its text, the message. `<1:2>` stands for a
    /// place.
    const GOLDEN: &str = include_str!("golden/bodies.jsonl");

    fn message(kind: &str, body: &str) -> Option<ApiError> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        match kind {
            "create" => create(&bytes).err(),
            "offsets" => crate::rest::offsets_body::offsets(&bytes).err(),
            _ => config(&bytes).err(),
        }
    }

    #[test]
    fn wrong_bodies_are_answered_as_by_kafka_connect_to_the_byte() {
        let place = regex::Regex::new("<([0-9]+):([0-9]+)>").expect("pattern");
        let mut wrong = Vec::new();
        for line in GOLDEN.lines() {
            let (kind, body, wanted): (String, String, String) = serde_json::from_str(line).expect("a line");
            let full =
                "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: $1, column: $2]";
            let wanted = place.replace_all(&wanted, full).into_owned();
            let got = message(&kind, &body);
            if got != Some(ApiError(StatusCode::INTERNAL_SERVER_ERROR, wanted.clone())) {
                wrong.push(format!("{kind} {body:?}\n  wanted {wanted:?}\n  got    {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
        assert!(GOLDEN.lines().count() > 200);
    }

    #[test]
    fn scalars_keep_their_text() {
        let text =
            r#"{"a":1.50,"b":1e3,"c":true,"d":"x\n\u0041\ud83d\ude00/","e":null,"f":12345678901234567890,"a":-0.0}"#;
        let config = config(&Bytes::from_static(text.as_bytes())).expect("config");
        let texts: Vec<Option<&str>> = config.values().map(Option::as_deref).collect();
        // The last of two keys wins.
        let wanted =
            [Some("-0.0"), Some("1e3"), Some("true"), Some("x\nA\u{1f600}/"), None, Some("12345678901234567890")];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn members_may_be_null_missing_or_there_twice() {
        let made = |text: &'static str| create(&Bytes::from_static(text.as_bytes())).expect("a request");
        let request = made(" {\"name\":\" a \\n\",\"config\":{\"n\":1},\"initial_state\":\"paused\"} ");
        assert_eq!((request.name.as_str(), request.initial_state), ("a", Some(InitialState::Paused)));
        let request = made("\u{feff}{\"name\":1,\"config\":{\"a\":\"b\"},\"initial_state\":null,\"name\":\"b\"}");
        assert_eq!((request.name.as_str(), request.initial_state), ("b", None));
        assert_eq!(made("{\"config\":{}}").name, "");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        for (bytes, text) in [
            (
                &b"{\"a\":\"\xff\"}"[..],
                "Invalid UTF-8 start byte 0xff\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 8]",
            ),
            (b"{\"a\":\"\xc3(\"}", "Invalid UTF-8 middle byte 0x28"),
            (b"{\"a\":\"\xed\xa0\x80\"}", "Invalid UTF-8 middle byte"),
            (b"{\"a\":\"\xe2\x82", "Unexpected end-of-input"),
            (b"\xff", "Unrecognized token"),
        ] {
            let e = config(&Bytes::copy_from_slice(bytes)).expect_err("wrong");
            assert!(e.1.starts_with(text), "{bytes:?}: {}", e.1);
        }
    }

    #[test]
    fn deep_nesting_and_long_words_are_read_without_harm() {
        let deep = format!("{{\"x\":{}", "[".repeat(1_000_000));
        assert!(message("create", &deep).is_some_and(|e| e.1.starts_with("Unexpected end-of-input: expected close")));
        let word = "x".repeat(300);
        let text = message("config", &word).map(|e| e.1).unwrap_or_default();
        assert!(text.starts_with(&format!("Unrecognized token '{}...'", &word[..256])), "{text}");
        assert!(text.contains("column: 257]"), "{text}");
    }
}
