//! A record as it is shown.

use connect_api::time;
use connect_converters::BareAvro;
use connect_kafka::RawRecord;
use regex::Regex;
use serde::Serialize;

use super::payload::{As, Decoder, Payload, topic_of};
use crate::{
    error::Failure,
    output::{Format, Output, Written},
    page::Page,
    paint::{Tone, paint},
};

/// A header.
#[derive(Debug, Serialize)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: Option<Payload>,
}

/// A record, decoded.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) time: Option<String>,
    /// The same in milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Payload>,
    /// Null is a tombstone.
    pub(crate) value: Option<Payload>,
    pub(crate) headers: Vec<Header>,
}

/// As what keys and values are read.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    pub(crate) key: As,
    pub(crate) value: As,
    pub(crate) key_schema: Option<BareAvro>,
    pub(crate) value_schema: Option<BareAvro>,
}

/// Which keys are meant.
#[derive(Debug, Clone)]
pub(crate) enum KeyFilter {
    /// This one.
    Text(String),
    /// Those that it matches somewhere.
    Regex(Regex),
}

impl KeyFilter {
    /// A key, or `/REGEX/`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).filter(|t| !t.is_empty()) {
            Some(inside) => Regex::new(inside).map(Self::Regex).map_err(|e| {
                let reason = e.to_string();
                format!("{text} is no regular expression: {}", reason.lines().last().unwrap_or_default())
            }),
            None => Ok(Self::Text(text.to_owned())),
        }
    }

    pub(crate) fn matches(&self, key: Option<&Payload>) -> bool {
        let Some(key) = key.map(Payload::content) else { return false };
        match self {
            Self::Text(text) => key == text,
            Self::Regex(regex) => regex.is_match(key),
        }
    }
}

impl Shown {
    /// Decodes the record.
    pub(crate) async fn new(raw: RawRecord, forms: &Forms, decoder: &mut Decoder<'_>) -> Self {
        let topic = topic_of(&raw.topic);
        let key = match &raw.key {
            Some(bytes) => Some(decoder.decode_as(forms.key, forms.key_schema.as_ref(), &topic, bytes).await),
            None => None,
        };
        let value = match &raw.value {
            Some(bytes) => Some(decoder.decode_as(forms.value, forms.value_schema.as_ref(), &topic, bytes).await),
            None => None,
        };
        let header = |(name, value): &(std::sync::Arc<str>, Option<connect_api::Bytes>)| Header {
            name: name.to_string(),
            value: value.as_deref().map(Payload::plain),
        };
        Self {
            topic: raw.topic.to_string(),
            partition: raw.partition,
            offset: raw.offset,
            time: raw.timestamp.map(time::rfc3339),
            timestamp: raw.timestamp,
            key,
            value,
            headers: raw.headers.iter().map(header).collect(),
        }
    }

    /// Whether key or value are not what they were said to be.
    pub(crate) fn is_undecodable(&self) -> bool {
        [&self.key, &self.value].into_iter().flatten().any(Payload::is_undecodable)
    }

    /// What of key and value is not what it was said to be, and why.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [("key", &self.key), ("value", &self.value)];
        parts.into_iter().filter_map(|(what, payload)| Some((what, payload.as_ref()?.problem()?)))
    }

    fn line(&self) -> String {
        let part =
            |payload: &Option<Payload>, none: &str| payload.as_ref().map_or_else(|| none.to_owned(), Payload::bare);
        let place = format!("{}:{}", self.partition, self.offset);
        let time = self.time.as_deref().unwrap_or("no time");
        let key = part(&self.key, "no key");
        format!("{} {time} {key} {}", paint(Tone::Strong, &place), part(&self.value, "null")).replace('\n', " ")
    }

    fn write(&self, page: &mut Page) {
        let time = self.time.as_deref().unwrap_or("no time");
        page.line(0, &paint(Tone::Strong, &format!("{}:{}:{} {time}", self.topic, self.partition, self.offset)));
        let payload = |payload: &Option<Payload>| payload.as_ref().map_or_else(|| "null".into(), Payload::line);
        page.entry("key", &payload(&self.key));
        page.entry("value", &payload(&self.value));
        for header in &self.headers {
            let value = header.value.as_ref().map_or_else(|| "null".into(), Payload::bare);
            page.entry("header", &format!("{} = {value}", header.name));
        }
    }
}

/// Prints records as they come: in JSON an object a line, in YAML an entry each, names are PARTITION:OFFSET.
pub(crate) fn print(records: &[Shown], output: &Output) -> Result<Written, Failure> {
    let failed = |e: serde_json::Error| Failure::Failed(format!("writing a record as JSON: {e}"));
    let mut text = String::new();
    for record in records {
        match output.format {
            Format::Table => text.push_str(&format!("{}\n", record.line())),
            Format::Wide => {
                let mut page = Page::new(None);
                record.write(&mut page);
                text.push_str(&page.text);
            }
            Format::Json => text.push_str(&format!("{}\n", serde_json::to_string(record).map_err(failed)?)),
            Format::Yaml => text.push_str(&crate::yaml::of(&[record]).map_err(failed)?),
            Format::Name => text.push_str(&format!("{}:{}\n", record.partition, record.offset)),
        }
    }
    output.write(&text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::paint::resolve;

    pub(crate) fn shown(key: Option<&[u8]>, value: Option<&[u8]>) -> Shown {
        Shown {
            topic: "t".into(),
            partition: 0,
            offset: 7,
            time: Some(time::rfc3339(1_700_000_000_000)),
            timestamp: Some(1_700_000_000_000),
            key: key.map(Payload::plain),
            value: value.map(Payload::plain),
            headers: vec![Header { name: "user".into(), value: Some(Payload::plain(b"me")) }],
        }
    }

    #[test]
    fn a_record_is_a_line_or_a_page() {
        let line = |record: Shown| resolve(&record.line(), false);
        assert_eq!(line(shown(Some(b"k"), Some(b"{\"a\":\n1}"))), "0:7 2023-11-14T22:13:20.000Z k {\"a\": 1}");
        assert_eq!(line(shown(None, None)), "0:7 2023-11-14T22:13:20.000Z no key null");
        assert_eq!(line(shown(None, Some(b"\xff"))), "0:7 2023-11-14T22:13:20.000Z no key ff (hex, 1 bytes)");
        let mut page = Page::new(None);
        shown(Some(b"k"), Some(b"v")).write(&mut page);
        let expected = "\
t:0:7 2023-11-14T22:13:20.000Z
  key           k (text)
  value         v (text)
  header        user = me
";
        assert_eq!(resolve(&page.text, false), expected);
        let json = serde_json::to_value(shown(None, Some(b"v"))).expect("json");
        assert_eq!((&json["key"], &json["value"]["value"]), (&serde_json::Value::Null, &"v".into()));
    }

    #[test]
    fn keys_are_chosen_whole_or_by_expressions() {
        let key = Payload::plain(b"pump-1");
        for (text, fits) in [("pump-1", true), ("pump", false), ("/^pump/", true), ("/PUMP/", false)] {
            assert_eq!(KeyFilter::parse(text).expect(text).matches(Some(&key)), fits, "{text}");
        }
        assert!(!KeyFilter::parse("/./").expect("filter").matches(None));
        assert!(KeyFilter::parse("/(/").is_err());
    }
}
