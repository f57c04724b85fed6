//! Values as plain JSON and back, without schemas: what templates, file sinks and webhooks see.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map as JsonMap, Number, Value as Json};

use crate::{Value, time};

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The JSON of a value for people and templates: structs and maps as objects, bytes as base64, logical
/// types as text (RFC 3339, ISO dates, plain decimals), NaN and the infinities as text.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => Json::Bool(*v),
        Value::Float32(v) => float(f64::from(*v), || v.to_string()),
        Value::Float64(v) => float(*v, || v.to_string()),
        Value::String(v) => Json::String(v.to_string()),
        Value::Bytes(v) => Json::String(base64(v)),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => Json::Object(entries.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect()),
        Value::Struct(s) => {
            let fields = s.schema().fields().iter();
            Json::Object(fields.map(|f| (f.name().to_owned(), to_json(s.at(f.index())))).collect())
        }
        Value::Decimal(d) => Json::String(d.to_plain_string()),
        Value::Date(d) => Json::String(time::date(i64::from(*d))),
        Value::Time(t) => Json::String(time::time_of_day(i64::from(*t))),
        Value::Timestamp(ms) => Json::String(time::rfc3339(*ms)),
        other => other.as_i64().map_or(Json::Null, Json::from),
    }
}

// A 32-bit number keeps its short text: 12.2, not 12.199999809265137.
fn float(v: f64, text: impl Fn() -> String) -> Json {
    let short = text();
    match short.parse().ok().and_then(Number::from_f64) {
        Some(n) if v.is_finite() => Json::Number(n),
        _ => Json::String(short),
    }
}

/// The schemaless value of a JSON document: integers become INT64, other numbers FLOAT64, objects maps.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::Int64(i),
            None => Value::Float64(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => Value::array(items.iter().map(from_json).collect()),
        Json::Object(members) => from_object(members),
    }
}

/// As [`from_json`] for an object.
pub fn from_object(members: &JsonMap<String, Json>) -> Value {
    Value::map(members.iter().map(|(k, v)| (k.as_str(), from_json(v))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_shortest_text_and_nan_is_text() {
        assert_eq!(to_json(&Value::Float32(12.2)).to_string(), "12.2");
        assert_eq!(to_json(&Value::Float64(f64::NAN)), Json::String("NaN".into()));
        assert_eq!(to_json(&Value::Timestamp(0)), Json::String("1970-01-01T00:00:00.000Z".into()));
        let json: Json = serde_json::from_str(r#"{"a":[1,2.5,null,"x"]}"#).expect("json");
        assert_eq!(to_json(&from_json(&json)), json);
    }
}
