//! The line that `errors.log.enable` writes for an operation that failed, in Kafka Connect's words.

use std::{fmt::Write as _, sync::Arc};

use connect_api::{Bytes, Header, OffsetMap, Record, Schema, TimestampType, Value};
use connect_kafka::RawRecord;
use serde_json::Value as Json;

use crate::tolerance::{Failure, Task};

/// Where a record stands in its source.
pub type SourcePosition = (Arc<OffsetMap>, OffsetMap);

/// The line; `record` says which record it was, where `errors.log.include.messages` asks for it.
pub fn line(task: &Task, failure: &Failure, record: Option<&str>) -> String {
    format!(
        "Error encountered in task {}-{}. Executing stage '{}' with class '{}'{}.",
        task.connector,
        task.task,
        failure.stage.name(),
        failure.class,
        record.unwrap_or_default()
    )
}

/// A record that a sink consumed: its place, not its contents.
pub fn consumed(raw: &RawRecord) -> String {
    let mut text = format!(
        ", where consumed record is {{topic='{}', partition={}, offset={}",
        raw.topic, raw.partition, raw.offset
    );
    let kind = match raw.timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
        TimestampType::None => "",
    };
    if !kind.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ", timestamp={}, timestampType={kind}", raw.timestamp.unwrap_or(-1));
    }
    text + "}"
}

/// A record of a source, as a whole.
pub fn produced(record: &Record, source: Option<&SourcePosition>) -> String {
    let map = |map: &OffsetMap| {
        let entries: Vec<String> = map.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect();
        format!("{{{}}}", entries.join(", "))
    };
    let (partition, offset) = match source {
        Some((partition, offset)) => (map(partition), map(offset)),
        None => ("null".into(), "null".into()),
    };
    let schema = |schema: &Option<Schema>| schema.as_ref().map_or_else(|| "null".into(), ToString::to_string);
    let number = |n: Option<String>| n.unwrap_or_else(|| "null".into());
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|h| format!("ConnectHeader(key={}, value={}, schema={})", h.key, h.value, schema(&h.schema)))
        .collect();
    let headers = if headers.is_empty() { String::new() } else { format!("[{}]", headers.join(", ")) };
    format!(
        ", where source record is = SourceRecord{{sourcePartition={partition}, sourceOffset={offset}}} \
         ConnectRecord{{topic='{}', kafkaPartition={}, key={}, keySchema={}, value={}, valueSchema={}, timestamp={}, \
         headers=ConnectHeaders(headers={headers})}}",
        record.topic,
        number(record.partition.map(|p| p.to_string())),
        record.key,
        schema(&record.key_schema),
        record.value,
        schema(&record.value_schema),
        number(record.timestamp.map(|t| t.to_string())),
    )
}

/// A record of a source as it was sent: keys and values are bytes, shown as text where they are one.
pub fn sent(raw: &RawRecord, source: Option<&SourcePosition>) -> String {
    let value = |bytes: &Option<Bytes>| match bytes.as_deref().map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => Value::from(text),
        Some(Err(_)) => bytes.clone().map_or(Value::Null, Value::Bytes),
    };
    let mut record = Record::new(raw.topic.clone());
    record.partition = Some(raw.partition).filter(|p| *p >= 0);
    record.timestamp = raw.timestamp;
    (record.key, record.value) = (value(&raw.key), value(&raw.value));
    for (key, bytes) in &raw.headers {
        record.headers.push(Header { key: key.clone(), schema: None, value: value(bytes) });
    }
    produced(&record, source)
}

/// A value of a source offset as Java's maps print it.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tolerance::Stage;
    use connect_api::{Error, SourceRecord};

    #[test]
    fn lines_are_those_of_kafka_connect() {
        let task = Task { connector: "c".into(), task: 3 };
        let class = "org.apache.kafka.connect.json.JsonConverter".to_owned();
        let failure = Failure { stage: Stage::ValueConverter, class, error: Error::data("bad") };
        let begin = "Error encountered in task c-3. Executing stage 'VALUE_CONVERTER' with class \
                     'org.apache.kafka.connect.json.JsonConverter'";
        assert_eq!(line(&task, &failure, None), format!("{begin}."));
        let mut raw = RawRecord {
            topic: "t".into(),
            partition: 0,
            offset: 5,
            timestamp: Some(17),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        assert_eq!(
            line(&task, &failure, Some(&consumed(&raw))),
            format!(
                "{begin}, where consumed record is {{topic='t', partition=0, offset=5, timestamp=17, timestampType=CreateTime}}."
            )
        );
        raw.timestamp_type = TimestampType::None;
        assert_eq!(consumed(&raw), ", where consumed record is {topic='t', partition=0, offset=5}");
    }

    #[test]
    fn records_of_sources_are_shown_as_a_whole() {
        let source = |text: &str| serde_json::from_str::<OffsetMap>(text).expect("a map");
        let position = (Arc::new(source(r#"{"filename":"/a"}"#)), source(r#"{"position":12}"#));
        let mut record = SourceRecord::new("t").value(Some(Schema::string()), "x").record;
        assert_eq!(
            produced(&record, Some(&position)),
            ", where source record is = SourceRecord{sourcePartition={filename=/a}, sourceOffset={position=12}} \
             ConnectRecord{topic='t', kafkaPartition=null, key=null, keySchema=null, value=x, valueSchema=Schema{STRING}, \
             timestamp=null, headers=ConnectHeaders(headers=)}"
        );
        record.headers.push(Header { key: "h".into(), schema: None, value: connect_api::Value::Int32(1) });
        let text = produced(&record, None);
        assert!(text.contains("SourceRecord{sourcePartition=null, sourceOffset=null}"), "{text}");
        assert!(
            text.ends_with("headers=ConnectHeaders(headers=[ConnectHeader(key=h, value=1, schema=null)])}"),
            "{text}"
        );
    }
}
