//! A dead letter, as it is and as it is shown.

use connect_api::time;
use connect_kafka::RawRecord;
use serde::Serialize;

use super::{
    Place,
    ledger::Replayed,
    payload::{Decoder, Payload, topic_of},
    reason::{Origin, Reason, is_own},
};
use crate::page::Page;

/// A record of a dead letter queue.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// As Kafka has it.
    pub(super) raw: RawRecord,
    /// What its headers say.
    pub(super) reason: Reason,
}

impl Letter {
    pub(super) fn new(raw: RawRecord) -> Self {
        Self { reason: Reason::read(&raw.headers), raw }
    }

    /// Where it is in its queue.
    pub(super) fn place(&self) -> Place {
        Place { partition: self.raw.partition, offset: self.raw.offset }
    }
}

/// So many letters, in words.
pub(super) fn counted(letters: usize) -> String {
    if letters == 1 { "1 letter".into() } else { format!("{letters} letters") }
}

/// A header that is no error's.
#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: Option<Payload>,
}

/// A letter for people and programs.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    topic: String,
    partition: i32,
    offset: i64,
    /// Time stamp, which is that of the record that failed.
    time: Option<String>,
    /// Exception, message and causes in one line.
    summary: String,
    #[serde(flatten)]
    reason: Reason,
    key: Option<Payload>,
    /// Null is a tombstone.
    value: Option<Payload>,
    headers: Vec<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<Replayed>,
}

impl Shown {
    /// Decodes the letter.
    pub(super) async fn new(letter: Letter, replayed: Option<Replayed>, decoder: &mut Decoder<'_>) -> Self {
        let Letter { raw, reason } = letter;
        let topic = topic_of(reason.origin.as_ref().map_or(&*raw.topic, |o| &o.topic));
        let mut decoded = [None, None];
        for (to, bytes) in decoded.iter_mut().zip([&raw.key, &raw.value]) {
            if let Some(bytes) = bytes {
                *to = Some(decoder.decode(&topic, bytes).await);
            }
        }
        let [key, value] = decoded;
        let own = raw.headers.iter().filter(|(name, _)| is_own(name));
        let headers =
            own.map(|(name, value)| Header { name: name.to_string(), value: value.as_deref().map(Payload::plain) });
        Self {
            topic: raw.topic.to_string(),
            partition: raw.partition,
            offset: raw.offset,
            time: raw.timestamp.map(time::rfc3339),
            summary: reason.line(),
            headers: headers.collect(),
            reason,
            key,
            value,
            replayed,
        }
    }

    /// Where the letter is.
    pub(super) fn place(&self) -> String {
        Place { partition: self.partition, offset: self.offset }.to_string()
    }

    /// Appends it; `whole` with all of the trace.
    pub(super) fn write(&self, page: &mut Page, whole: bool) {
        let stage = self.reason.stage.as_deref().unwrap_or("?");
        let who = match (&self.reason.connector, &self.reason.task) {
            (Some(connector), Some(task)) => format!(" {connector} task {task}"),
            (Some(connector), None) => format!(" {connector}"),
            _ => String::new(),
        };
        let time = self.time.as_deref().unwrap_or("no time");
        page.line(
            0,
            &crate::paint::paint(crate::paint::Tone::Strong, &format!("{} {time} {stage}{who}", self.place())),
        );
        page.entry("reason", &self.summary);
        if let Some(origin) = &self.reason.origin {
            page.entry("origin", &Origin::to_string(origin));
        }
        let payload = |payload: &Option<Payload>| payload.as_ref().map_or_else(|| "null".into(), Payload::line);
        page.entry("key", &payload(&self.key));
        page.entry("value", &payload(&self.value));
        if let Some(size) = self.reason.cut_from {
            page.entry("cut", &format!("the value had {size} bytes; the letter has its beginning"));
        }
        for header in &self.headers {
            let value = header.value.as_ref().map_or_else(|| "null".into(), Payload::bare);
            page.entry("header", &format!("{} = {value}", header.name));
        }
        if let Some(replayed) = &self.replayed {
            page.entry("replayed", &replayed.to_string());
        }
        if whole {
            if let Some(class) = &self.reason.class {
                page.entry("class", class);
            }
            for line in self.reason.trace.iter().flat_map(|t| t.lines()).filter(|l| !l.trim().is_empty()) {
                page.line(if line.starts_with(char::is_whitespace) { 6 } else { 4 }, line);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use connect_api::{Bytes, TimestampType};

    use super::*;
    use crate::{commands::dlq::reason::tests::of_jvm, paint::resolve};

    /// A letter of a worker of Kafka Connect.
    pub(in super::super) fn letter(offset: i64) -> Letter {
        Letter::new(RawRecord {
            topic: "dead-alarms".into(),
            partition: 0,
            offset,
            timestamp: Some(1_700_000_000_000),
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(b"pressure")),
            value: Some(Bytes::from_static(b"nojson")),
            headers: of_jvm(),
        })
    }

    fn shown(letter: Letter, replayed: Option<Replayed>) -> Shown {
        let Letter { raw, reason } = letter;
        Shown {
            topic: raw.topic.to_string(),
            partition: raw.partition,
            offset: raw.offset,
            time: raw.timestamp.map(time::rfc3339),
            summary: reason.line(),
            reason,
            key: raw.key.as_deref().map(Payload::plain),
            value: raw.value.as_deref().map(Payload::plain),
            headers: vec![Header { name: "user".into(), value: Some(Payload::plain(b"me")) }],
            replayed,
        }
    }

    #[test]
    fn a_letter_is_shown_as_a_page() {
        let replayed = Replayed {
            to: Origin { topic: "alarms".into(), partition: Some(2), offset: Some(1300) },
            time: "2026-11-22T03:00:00Z".into(),
            by: "me@desk".into(),
        };
        let mut page = Page::new(None);
        shown(letter(3), Some(replayed)).write(&mut page, false);
        let expected = "\
0:3 2023-11-14T22:13:20.000Z VALUE_CONVERTER influxdb-sink task 0
  reason        DataException: Converting byte[] to Kafka Connect data failed due to serialization error: SerializationException: com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'nojson'
  origin        alarms:2:1200
  key           pressure (text)
  value         nojson (text)
  header        user = me
  replayed      2026-11-22T03:00:00Z to alarms:2:1300 by me@desk
";
        assert_eq!(resolve(&page.text, false), expected);
        let mut page = Page::new(None);
        shown(letter(3), None).write(&mut page, true);
        let text = resolve(&page.text, false);
        assert!(text.contains("\n  class         org.apache.kafka.connect.json.JsonConverter\n"), "{text}");
        assert!(text.contains("\n      at org.apache.kafka.connect.json.JsonConverter.toConnectData"), "{text}");
        assert!(text.contains("\n    Caused by: org.apache.kafka.common"), "{text}");
    }

    #[test]
    fn programs_get_all_of_it() {
        let json = serde_json::to_value(shown(letter(3), None)).expect("json");
        assert_eq!(json["origin"], serde_json::json!({"topic": "alarms", "partition": 2, "offset": 1200}));
        assert_eq!(json["value"], serde_json::json!({"format": "text", "bytes": 6, "value": "nojson"}));
        assert_eq!(json["stage"], "VALUE_CONVERTER");
        assert!(json["trace"].as_str().is_some_and(|t| t.contains("JsonConverter.java:333")), "{json}");
        assert!(json.get("replayed").is_none() && json.get("cut_from").is_none(), "{json}");
    }

    #[test]
    fn a_letter_fits_a_narrow_terminal() {
        let mut page = Page::new(Some(60));
        shown(letter(3), None).write(&mut page, true);
        let text = resolve(&page.text, false);
        assert!(text.lines().all(|l| l.chars().count() <= 60), "{text}");
    }
}
