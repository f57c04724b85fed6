//! One line of a program's output as a record.

use connect_api::{Error, OffsetMap, Result, Schema, SourceRecord, Value, config::topic_name, json::from_json};
use serde_json::{Map, Value as Json};

use crate::config::Format;

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The record, without its source offset.
    pub record: SourceRecord,
    /// What the program calls its position behind the line.
    pub offset: Option<Json>,
}

/// The one source partition of a program.
pub fn partition() -> OffsetMap {
    [("stream".to_owned(), "stdout".into())].into_iter().collect()
}

/// A position as a source offset. Source offsets hold no objects and lists, so that those are kept as text.
pub fn offset(position: &Json) -> OffsetMap {
    let (key, value) = match position {
        Json::Object(_) | Json::Array(_) => ("json", Json::String(position.to_string())),
        other => ("offset", other.clone()),
    };
    [(key.to_owned(), value)].into_iter().collect()
}

/// The position in a source offset.
pub fn position(offset: &OffsetMap) -> Result<Json> {
    let wrong =
        || Error::fatal("a source offset of a program must have the member 'offset', or JSON as text in 'json'");
    match (offset.get("offset"), offset.get("json").and_then(Json::as_str)) {
        (Some(position), None) => Ok(position.clone()),
        (None, Some(text)) => serde_json::from_str(text).map_err(|e| wrong().caused_by(e)),
        _ => Err(wrong()),
    }
}

/// Reads a line. The error is why it is no record.
pub fn read(format: Format, topic: Option<&str>, line: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(line).map_err(|e| format!("it is not UTF-8: {e}"))?;
    let plain = |schema, value: Value| {
        let topic = topic.ok_or("there is no topic: set topic")?;
        Ok(Message { record: SourceRecord::new(topic).value(schema, value), offset: None })
    };
    if format == Format::Text {
        return plain(Some(Schema::string()), Value::from(text));
    }
    let json: Json = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
    if format == Format::Values {
        let (schema, value) = value(&json);
        return plain(schema, value);
    }
    match json {
        Json::Object(members) => record(members, topic),
        _ => {
            Err("it is JSON but no object with the members of a record; exec.format=values is for values alone".into())
        }
    }
}

fn record(mut members: Map<String, Json>, topic: Option<&str>) -> Result<Message, String> {
    let mut take = |name: &str| members.remove(name);
    let named = match take("topic") {
        None | Some(Json::Null) => None,
        Some(Json::String(name)) => Some(name),
        Some(_) => return Err("its topic is no text".into()),
    };
    let topic = named.as_deref().or(topic).ok_or("it names no topic, and the setting topic is not set")?;
    topic_name(topic).map_err(|why| format!("its topic {topic:?} cannot be one: {why}"))?;
    let body = take("value").ok_or("it has no member value; null is a tombstone")?;
    let mut record = SourceRecord::new(topic);
    (record.value_schema, record.value) = value(&body);
    (record.key_schema, record.key) = value(&take("key").unwrap_or(Json::Null));
    record.partition = match take("partition") {
        None | Some(Json::Null) => None,
        Some(number) => {
            let number = number.as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0);
            Some(number.ok_or("its partition is no whole number from 0 up")?)
        }
    };
    record.timestamp = match take("timestamp") {
        None | Some(Json::Null) => None,
        Some(number) => {
            let number = number.as_i64().filter(|ms| *ms >= 0);
            Some(number.ok_or("its timestamp is no whole number of milliseconds since 1970")?)
        }
    };
    let mut header = |name: String, json: &Json| {
        let (schema, value) = value(json);
        record.headers.push(connect_api::Header { key: name.into(), schema, value });
    };
    match take("headers") {
        None | Some(Json::Null) => {}
        Some(Json::Object(headers)) => headers.into_iter().for_each(|(name, json)| header(name, &json)),
        Some(Json::Array(pairs)) => {
            for pair in pairs {
                match pair.as_array().map(Vec::as_slice) {
                    Some([Json::String(name), json]) => header(name.clone(), json),
                    _ => return Err("its headers are a list in which not all are pairs of a name and a value".into()),
                }
            }
        }
        Some(_) => return Err("its headers are neither an object nor a list of pairs".into()),
    }
    let offset = take("offset").filter(|offset| !offset.is_null());
    match members.keys().next() {
        Some(unknown) => Err(format!(
            "it has the member {unknown:?}, which records have not: they have value, key, headers, topic, partition, \
             timestamp and offset"
        )),
        None => Ok(Message { record, offset }),
    }
}

/// Texts have a schema, so that every converter takes them; others have none.
fn value(json: &Json) -> (Option<Schema>, Value) {
    let schema = json.is_string().then(Schema::string);
    (schema, from_json(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Message, String> {
        read(Format::Records, Some("default"), text.as_bytes())
    }

    #[test]
    fn a_record_has_what_the_line_says() {
        let all = line(
            r#"{"value":{"a":1},"key":"k","headers":{"h":"x"},"topic":"t","partition":3,"timestamp":7,"offset":{"at":5}}"#,
        );
        let Message { record, offset } = all.expect("a record");
        assert_eq!((&*record.topic, record.partition, record.timestamp), ("t", Some(3), Some(7)));
        assert_eq!((record.key.clone(), record.headers.len()), (Value::from("k"), 1));
        assert_eq!(offset, Some(serde_json::json!({"at": 5})));
        let least = line(r#"{"value":null,"headers":[["h",1],["h",2]]}"#).expect("a tombstone");
        assert_eq!(
            (&*least.record.topic, least.record.value.is_null(), least.record.headers.len()),
            ("default", true, 2)
        );
    }

    #[test]
    fn what_is_no_record_is_told() {
        for (text, why) in [
            ("", "not JSON"),
            ("[1]", "no object"),
            (r#"{"key":"k"}"#, "no member value"),
            (r#"{"value":1,"vlaue":2}"#, "\"vlaue\""),
            (r#"{"value":1,"topic":"a b"}"#, "\"a b\""),
            (r#"{"value":1,"topic":5}"#, "topic is no text"),
            (r#"{"value":1,"partition":-1}"#, "partition"),
            (r#"{"value":1,"timestamp":1.5}"#, "timestamp"),
            (r#"{"value":1,"headers":3}"#, "headers"),
            (r#"{"value":1,"headers":[["a"]]}"#, "headers"),
        ] {
            let told = line(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
        assert!(read(Format::Records, None, br#"{"value":1}"#).is_err_and(|e| e.contains("topic")));
        assert!(read(Format::Text, Some("t"), b"\xff").is_err_and(|e| e.contains("UTF-8")));
    }

    #[test]
    fn values_and_texts_are_taken_as_they_are() {
        let of = |format, text: &str| read(format, Some("t"), text.as_bytes()).expect("a record").record;
        assert_eq!(of(Format::Text, "{a").value, Value::from("{a"));
        assert_eq!(of(Format::Values, "[1]").value, Value::array(vec![Value::Int64(1)]));
    }

    #[test]
    fn positions_survive_as_source_offsets() {
        for json in ["5", "\"x\"", "true", r#"{"a":[1]}"#, "[1,2]"] {
            let json: Json = serde_json::from_str(json).expect("json");
            assert_eq!(position(&offset(&json)).ok(), Some(json));
        }
        assert!(position(&OffsetMap::new()).is_err());
    }
}
