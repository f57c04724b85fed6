//! What shelving keeps of an alarm.

use connect_api::{
    Headers, Origin, Record, SinkRecord, TimestampType,
    json::{from_json, to_json},
};
use serde_json::{Value as Json, json};

/// The last record of an alarm that is active, or whose end the sink is still to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The record.
    pub record: SinkRecord,
    /// Whether the sink was told that the alarm is active.
    pub told: bool,
    /// Whether the alarm is on the shelf, or has come off it and nothing was delivered since.
    pub shelved: bool,
    /// Whether the sink was told of this very record before it was on the shelf.
    pub again: bool,
    /// When it came off the shelf, milliseconds since 1970, if it is to be told again: it is delivered with this time stamp,
    /// by which the sink knows that it is news.
    pub off: Option<i64>,
    /// Whether the sink was given the record and may not have stored it yet.
    pub given: bool,
}

impl Kept {
    /// For a state, without schemas: what templates and bodies make of it is the same.
    pub fn to_json(&self) -> Json {
        let SinkRecord { record, origin } = &self.record;
        let headers: Vec<Json> = record.headers.iter().map(|h| json!([&*h.key, to_json(&h.value)])).collect();
        json!({
            "told": self.told, "shelved": self.shelved, "again": self.again, "off": self.off,
            "topic": &*origin.topic, "partition": origin.partition, "offset": origin.offset,
            "renamed": &*record.topic, "timestamp": record.timestamp, "key": to_json(&record.key),
            "value": to_json(&record.value), "headers": headers,
        })
    }

    /// What a state has.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let all: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let text = |name: &str| all[name].as_str().ok_or_else(|| format!("{name} is no text"));
        let number = |name: &str| all[name].as_i64().ok_or_else(|| format!("{name} is no number"));
        let mut record = Record::new(text("renamed")?);
        (record.key, record.value) = (from_json(&all["key"]), from_json(&all["value"]));
        record.timestamp = all["timestamp"].as_i64();
        let mut headers = Headers::new();
        for header in all["headers"].as_array().into_iter().flatten() {
            let key = header[0].as_str().ok_or("a header's key is no text")?;
            headers.add(key, from_json(&header[1]), None).map_err(|e| e.one_line())?;
        }
        record.headers = headers;
        let origin = Origin {
            topic: text("topic")?.into(),
            partition: i32::try_from(number("partition")?).map_err(|e| e.to_string())?,
            offset: number("offset")?,
            timestamp_type: TimestampType::CreateTime,
        };
        Ok(Self {
            record: SinkRecord { record, origin },
            told: all["told"].as_bool().ok_or("told is no boolean")?,
            shelved: all["shelved"].as_bool().ok_or("shelved is no boolean")?,
            again: all["again"].as_bool().ok_or("again is no boolean")?,
            off: all["off"].as_i64(),
            given: false,
        })
    }
}
