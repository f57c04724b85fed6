//! Records as bytes and back: the key, value and header converters of a task.

use std::sync::Arc;

use connect_api::{
    Bytes, Converter, Error, Header, Headers, Record, Result, Role, Schema, SchemaAndValue, Settings, Step, Topic,
    Value,
};
use connect_kafka::RawRecord;

use crate::{
    registry::Plugins,
    tolerance::{Failure, Stage},
    worker_config::Worker,
};

/// A converter with the name that errors show.
pub struct Named<T> {
    inner: T,
    class: String,
}

/// Key, value and header converters of a task.
pub struct Converters {
    key: Named<Box<dyn Converter>>,
    value: Named<Box<dyn Converter>>,
    header: Named<Box<dyn Converter>>,
}

impl Converters {
    /// The connector's converters where it names them, else the worker's: class and settings come from the
    /// same place, never mixed (config.md §4).
    pub fn new(plugins: &Plugins, worker: &Worker, connector: &Settings) -> Result<Self> {
        let make = |role: Role, key: &str, default: &str| {
            named(plugins, role, key, connector.get(key).unwrap_or(default), below(worker, connector, key))
        };
        Ok(Self {
            key: make(Role::Key, "key.converter", &worker.config.key_converter.0)?,
            value: make(Role::Value, "value.converter", &worker.config.value_converter.0)?,
            header: make(Role::Header, "header.converter", &worker.config.header_converter.0)?,
        })
    }

    pub(crate) async fn read(&self, which: Role, topic: &Topic, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let converter = &self.of(which).inner;
        loop {
            match converter.deserialize(topic, bytes)? {
                Step::Done(value) => return Ok(value),
                Step::Wait(work) => work.await?,
            }
        }
    }

    pub(crate) async fn write(
        &self,
        which: Role,
        topic: &Topic,
        schema: &Option<Schema>,
        value: &Value,
    ) -> Result<Option<Bytes>> {
        let converter = &self.of(which).inner;
        loop {
            match converter.serialize(topic, schema.as_ref(), value)? {
                Step::Done(bytes) => return Ok(bytes),
                Step::Wait(work) => work.await?,
            }
        }
    }

    fn of(&self, role: Role) -> &Named<Box<dyn Converter>> {
        match role {
            Role::Key => &self.key,
            Role::Value => &self.value,
            Role::Header => &self.header,
        }
    }

    /// Key and value of a record, for tables; headers are left as bytes.
    pub async fn read_pair(&self, raw: &RawRecord) -> Result<(SchemaAndValue, SchemaAndValue)> {
        let key = self.read(Role::Key, &raw.topic, raw.key.as_ref()).await?;
        Ok((key, self.read(Role::Value, &raw.topic, raw.value.as_ref()).await?))
    }

    pub(crate) async fn read_headers(&self, raw: &RawRecord) -> Result<Headers> {
        let mut headers = Headers::new();
        for (key, bytes) in &raw.headers {
            let read = self.read(Role::Header, &raw.topic, bytes.as_ref()).await?;
            headers.push(Header { key: key.clone(), schema: read.schema, value: read.value });
        }
        Ok(headers)
    }
}

fn named(
    plugins: &Plugins,
    role: Role,
    key: &str,
    class: &str,
    mut settings: Settings,
) -> Result<Named<Box<dyn Converter>>> {
    settings.set("converter.type", role.name());
    let plugin = plugins.converters.find(class).map_err(|e| e.context(format!("setting {key}")))?;
    if plugin.headers_only && role != Role::Header {
        return Err(Error::fatal(format!("{class} converts headers only; it cannot be the {key}")));
    }
    let inner = (plugin.build)(&settings, role).map_err(|e| e.context(format!("setting up the {key} {class}")))?;
    Ok(Named { inner, class: plugin.info.class().to_owned() })
}

/// An Avro converter with these settings.
pub fn avro(plugins: &Plugins, role: Role, settings: Settings) -> Result<Box<dyn Converter>> {
    Ok(named(plugins, role, &format!("{}.converter", role.name()), "AvroConverter", settings)?.inner)
}

/// The settings below a converter's key: the connector's where it names the class, else the worker's.
fn below(worker: &Worker, connector: &Settings, key: &str) -> Settings {
    let from = if connector.get(key).is_some() { connector } else { &worker.settings };
    from.prefixed(&format!("{key}."))
}

/// The settings of the converter of a connector's records.
pub fn settings(worker: &Worker, connector: &Settings, role: Role) -> Settings {
    below(worker, connector, &format!("{}.converter", role.name()))
}

/// The converter that a connector's setting `key` names, else the one of its records.
pub fn converter(
    plugins: &Plugins,
    worker: &Worker,
    connector: &Settings,
    key: &str,
    role: Role,
) -> Result<Box<dyn Converter>> {
    if let Some(class) = connector.get(key) {
        return Ok(named(plugins, role, key, class, connector.prefixed(&format!("{key}.")))?.inner);
    }
    let own = Converters::new(plugins, worker, connector)?;
    Ok(match role {
        Role::Key => own.key,
        Role::Value => own.value,
        Role::Header => own.header,
    }
    .inner)
}

impl Converters {
    /// The record as bytes, as far as its converters can write it, else as JSON text.
    pub async fn raw(&self, record: &Record) -> RawRecord {
        let mut headers = Vec::with_capacity(record.headers.len());
        for h in &record.headers {
            headers.push((h.key.clone(), self.part(Role::Header, &record.topic, &h.schema, &h.value).await));
        }
        RawRecord {
            topic: record.topic.clone(),
            partition: record.partition.unwrap_or(-1),
            offset: -1,
            timestamp: record.timestamp,
            timestamp_type: connect_api::TimestampType::None,
            key: self.part(Role::Key, &record.topic, &record.key_schema, &record.key).await,
            value: self.part(Role::Value, &record.topic, &record.value_schema, &record.value).await,
            headers,
        }
    }

    /// What bytes a source had stay as they are, whatever converter is set.
    async fn part(&self, role: Role, topic: &Topic, schema: &Option<Schema>, value: &Value) -> Option<Bytes> {
        if let Value::Bytes(original) = value {
            return Some(original.clone());
        }
        let text = || (!value.is_null()).then(|| Bytes::from(connect_api::json::to_json(value).to_string()));
        self.write(role, topic, schema, value).await.unwrap_or_else(|_| text())
    }

    pub(crate) fn failure(&self, role: Role, error: Error) -> Failure {
        let stage = match role {
            Role::Key => Stage::KeyConverter,
            Role::Value => Stage::ValueConverter,
            Role::Header => Stage::HeaderConverter,
        };
        Failure { stage, class: self.of(role).class.clone(), error }
    }

    pub(crate) async fn encode_all(&self, first: &Record, further: &[Record]) -> std::result::Result<Written, Failure> {
        let mut written = Written { first: self.encode(first).await?, further: Vec::with_capacity(further.len()) };
        for record in further {
            written.further.push(self.encode(record).await?);
        }
        Ok(written)
    }

    pub(crate) async fn encode(&self, record: &Record) -> std::result::Result<Encoded, Failure> {
        let at = |role: Role| move |error: Error| self.failure(role, error);
        let mut headers = Vec::with_capacity(record.headers.len());
        for h in &record.headers {
            let bytes = self.write(Role::Header, &record.topic, &h.schema, &h.value).await.map_err(at(Role::Header))?;
            headers.push((h.key.clone(), bytes));
        }
        if record.timestamp.is_some_and(|t| t < -1) {
            let error = Error::data(format!("Invalid record timestamp {}", record.timestamp.unwrap_or_default()));
            return Err(self.failure(Role::Value, error));
        }
        let key = self.write(Role::Key, &record.topic, &record.key_schema, &record.key).await;
        let value = self.write(Role::Value, &record.topic, &record.value_schema, &record.value).await;
        Ok(Encoded {
            topic: record.topic.clone(),
            partition: record.partition,
            timestamp: record.timestamp.filter(|t| *t >= 0),
            key: key.map_err(at(Role::Key))?,
            value: value.map_err(at(Role::Value))?,
            headers,
        })
    }
}

/// A record as bytes, ready for the producer.
#[derive(Debug)]
pub struct Encoded {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: Option<i32>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

impl Encoded {
    /// As Kafka would have it, without a place.
    pub fn raw(&self) -> RawRecord {
        RawRecord {
            topic: self.topic.clone(),
            partition: self.partition.unwrap_or(-1),
            offset: -1,
            timestamp: self.timestamp,
            timestamp_type: connect_api::TimestampType::None,
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.clone(),
        }
    }
}

impl From<RawRecord> for Encoded {
    fn from(raw: RawRecord) -> Self {
        let RawRecord { topic, partition, timestamp, key, value, headers, .. } = raw;
        Self { topic, partition: Some(partition).filter(|p| *p >= 0), timestamp, key, value, headers }
    }
}

/// What a record of a source becomes.
#[derive(Debug)]
pub struct Written {
    /// The record.
    pub first: Encoded,
    /// What transforms made of it besides; sent behind it.
    pub further: Vec<Encoded>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes texts and nothing else.
    struct Texts;

    impl Converter for Texts {
        fn serialize(&self, _: &Topic, _: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
            match value {
                Value::Null => Ok(Step::Done(None)),
                Value::String(text) => Ok(Step::Done(Some(Bytes::copy_from_slice(text.as_bytes())))),
                _ => Err(Error::data("no text")),
            }
        }

        fn deserialize(&self, _: &Topic, _: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
            Err(Error::data("nothing is read"))
        }
    }

    impl Converters {
        /// Converters of texts.
        pub(crate) fn for_tests() -> Self {
            let named = || Named { inner: Box::new(Texts) as Box<dyn Converter>, class: "Texts".into() };
            Self { key: named(), value: named(), header: named() }
        }
    }

    #[tokio::test]
    async fn a_dead_letter_of_a_source_has_the_records_headers_and_what_cannot_be_converted_as_json() {
        let converters = Converters::for_tests();
        let mut record = connect_api::SourceRecord::new("t").key(None, "k").value(None, Value::Int32(7)).record;
        for (key, value) in [("a", Value::from("x")), ("b", Value::Boolean(true)), ("c", Value::Null)] {
            record.headers.push(Header { key: key.into(), schema: None, value });
        }
        let raw = converters.raw(&record).await;
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|b| String::from_utf8_lossy(b).into_owned());
        assert_eq!((text(&raw.key).as_deref(), text(&raw.value).as_deref()), (Some("k"), Some("7")));
        let headers: Vec<(&str, Option<String>)> = raw.headers.iter().map(|(k, v)| (&**k, text(v))).collect();
        assert_eq!(headers, [("a", Some("x".into())), ("b", Some("true".into())), ("c", None)]);
    }
}
