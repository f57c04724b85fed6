//! A record of an alarm topic: whose it is, what it says, who wrote it.

use std::sync::Arc;

use connect_api::{Bytes, Converter, Error, ErrorClass, Role, Step, Value, json::from_json, time};
use connect_converters::AvroConverter;
use connect_kafka::RawRecord;
use connector_alarm::place::name_of;
use serde::Serialize;

use super::super::Context;
use crate::{error::Failure, places::registry::Registry};

/// What the bytes of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Avro with the schema of that id.
    Avro(i32),
    /// JSON without schema.
    Json,
}

/// A record, decoded.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The alarm's name.
    pub(super) name: Arc<str>,
    /// Of which of several records the alarm consists; only keys of JLab's last generation say it.
    pub(super) part: Option<Arc<str>>,
    /// What it says; none of a tombstone.
    pub(super) value: Option<(Value, Form)>,
    /// Itself.
    pub(super) raw: Arc<RawRecord>,
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unread {
    /// Where it is.
    pub(super) topic: String,
    /// Where it is.
    pub(super) partition: i32,
    /// Where it is.
    pub(super) offset: i64,
    /// Its key, as far as that is text.
    pub(super) name: String,
    /// Why.
    pub(super) why: String,
    /// Its key as it is, without which it cannot be removed.
    #[serde(skip)]
    pub(super) key: Option<Bytes>,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, partition, offset, name, why, .. } = self;
        let name = if name.is_empty() { "(an empty key)" } else { name };
        write!(f, "{name}: the record at {topic}:{partition}:{offset} cannot be decoded: {why}")
    }
}

/// Decodes records; the registry is asked for once something needs it.
pub(super) struct Decoder<'a> {
    context: &'a Context<'a>,
    avro: Option<(Registry, AvroConverter)>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self { context, avro: None }
    }

    /// The record, or why it is none. A registry that does not answer is a failure.
    pub(super) async fn decode(&mut self, raw: Arc<RawRecord>) -> Result<Result<Entry, Unread>, Failure> {
        let unread = |why: String| Unread {
            topic: raw.topic.to_string(),
            partition: raw.partition,
            offset: raw.offset,
            name: raw.key.as_deref().map_or_else(|| "no key".into(), |key| String::from_utf8_lossy(key).into_owned()),
            why,
            key: raw.key.clone(),
        };
        let (name, part) = match &raw.key {
            None => return Ok(Err(unread("it has no key".into()))),
            Some(key) if key.first() == Some(&0) && key.len() > 4 => match self.avro(&raw, key).await? {
                Ok((key, _)) => (name_of(&key), key.get("type").and_then(Value::as_str).map(Arc::from)),
                Err(why) => return Ok(Err(unread(format!("its key: {why}")))),
            },
            Some(key) => match std::str::from_utf8(key) {
                Ok(text) => match serde_json::from_str::<serde_json::Value>(text) {
                    Ok(tree @ serde_json::Value::Object(_)) => (name_of(&from_json(&tree)), None),
                    Ok(serde_json::Value::String(text)) => (text.into(), None),
                    _ => (text.into(), None),
                },
                Err(_) => return Ok(Err(unread("its key is neither text nor Avro".into()))),
            },
        };
        let value = match &raw.value {
            None => None,
            Some(value) => match self.value(&raw, value).await? {
                Ok(value) => Some(value),
                Err(why) => return Ok(Err(Unread { name: name.to_string(), ..unread(why) })),
            },
        };
        Ok(Ok(Entry { name, part, value, raw }))
    }

    async fn value(&mut self, raw: &RawRecord, bytes: &Bytes) -> Result<Result<(Value, Form), String>, Failure> {
        match bytes.first() {
            None => Ok(Err("the value is empty; what is over has no value at all".into())),
            Some(0) => self.avro(raw, bytes).await,
            Some(_) => Ok(match serde_json::from_slice::<serde_json::Value>(bytes) {
                Ok(tree) if tree.is_object() => Ok((from_json(&tree), Form::Json)),
                _ => Err("the value is neither Avro nor a JSON object".into()),
            }),
        }
    }

    async fn avro(&mut self, raw: &RawRecord, bytes: &Bytes) -> Result<Result<(Value, Form), String>, Failure> {
        let (registry, avro) = match &mut self.avro {
            Some(known) => known,
            none => {
                let registry = self.context.registry().await?;
                let avro = AvroConverter::reader(registry.client.clone(), Role::Value);
                none.insert((registry, avro))
            }
        };
        let id = bytes.get(1..5).and_then(|id| id.try_into().ok()).map(i32::from_be_bytes).unwrap_or_default();
        loop {
            let step = avro.deserialize(&raw.topic, Some(bytes));
            let failed = |e: Error| match e.class() {
                ErrorClass::Data => Ok(Err(e.one_line())),
                _ => Err(registry.failure(e)),
            };
            match step {
                Ok(Step::Done(read)) => return Ok(Ok((read.value, Form::Avro(id)))),
                Ok(Step::Wait(prepare)) => {
                    if let Err(e) = prepare.await {
                        return failed(e);
                    }
                }
                Err(e) => return failed(e),
            }
        }
    }
}

/// Who wrote a record, and when and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Written {
    /// When, as RFC 3339.
    pub(super) time: Option<String>,
    /// By whom.
    pub(super) user: Option<String>,
    /// With which program.
    pub(super) producer: Option<String>,
    /// On which machine.
    pub(super) host: Option<String>,
    /// Partition.
    pub(super) partition: i32,
    /// Offset.
    pub(super) offset: i64,
}

impl Written {
    pub(super) fn of(raw: &RawRecord) -> Self {
        let header = |name: &str| {
            let found = raw.headers.iter().rev().find(|(key, _)| &**key == name)?;
            Some(String::from_utf8_lossy(found.1.as_deref()?).into_owned())
        };
        Self {
            time: raw.timestamp.map(time::rfc3339),
            user: header("user"),
            producer: header("producer"),
            host: header("host"),
            partition: raw.partition,
            offset: raw.offset,
        }
    }

    /// When and who, for people.
    pub(super) fn line(&self) -> String {
        let parts = [&self.user, &self.producer, &self.host];
        let who: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
        let time = self.time.as_deref().unwrap_or("at an unknown time");
        if who.is_empty() { time.to_owned() } else { format!("{time} by {}", who.join(", ")) }
    }
}
