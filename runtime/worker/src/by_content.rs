//! Keys and values read by what they are, for topics whose writers have other formats than the connector's records: the
//! alarm topics of JLab's last generation have keys of Avro for active alarms and of plain text for shelved ones.

use std::sync::Arc;

use connect_api::{
    Bytes, Converter, Error, Result, Role, SchemaAndValue, Settings, Step, Topic, Value, json::from_json,
};
use connect_kafka::RawRecord;

use crate::{
    converters::{self, Converters},
    registry::Plugins,
    worker_config::Worker,
};

/// What tells Avro in Confluent's framing: a byte 0 in front of the schema's id.
const FRAMED: u8 = 0;
const HEAD: usize = 5;
/// The setting of Avro converters that others lack.
const REGISTRY: &str = "schema.registry.url";

/// Reads records by their content.
pub struct ByContent {
    own: Arc<Converters>,
    /// Where a schema registry is known.
    avro: Option<[Box<dyn Converter>; 2]>,
}

impl ByContent {
    /// Avro is read with the schema registry of the connector's converters, or else of the worker's.
    pub fn new(plugins: &Plugins, worker: &Worker, connector: &Settings, own: Arc<Converters>) -> Result<Self> {
        let places = [(connector, "value"), (connector, "key"), (&worker.settings, "value"), (&worker.settings, "key")];
        let below = places.map(|(settings, role)| settings.prefixed(&format!("{role}.converter.")));
        let known = below.into_iter().find(|settings| settings.get(REGISTRY).is_some());
        let avro = known.map(|settings| {
            let make = |role| converters::avro(plugins, role, settings.clone());
            Ok::<_, Error>([make(Role::Key)?, make(Role::Value)?])
        });
        Ok(Self { own, avro: avro.transpose()? })
    }

    /// Key, as text, and value of a record.
    pub async fn read(&self, raw: &RawRecord) -> Result<(String, SchemaAndValue)> {
        Ok((self.key(&raw.topic, raw.key.as_ref()).await?, self.value(&raw.topic, raw.value.as_ref()).await?))
    }

    async fn key(&self, topic: &Topic, bytes: Option<&Bytes>) -> Result<String> {
        let bytes = bytes.ok_or_else(|| Error::data("it has no key"))?;
        if let Some(read) = self.framed(Role::Key, topic, bytes).await {
            return read.map(|key| name(&key.value));
        }
        let text = std::str::from_utf8(bytes).ok();
        if let Some(quoted) = text.and_then(|text| serde_json::from_str::<String>(text).ok()) {
            return Ok(quoted);
        }
        match (self.own.read(Role::Key, topic, Some(bytes)).await, text) {
            (Ok(SchemaAndValue { value: Value::Bytes(_), .. }) | Err(_), Some(text)) => Ok(text.to_owned()),
            (read, _) => read.map(|key| name(&key.value)),
        }
    }

    async fn value(&self, topic: &Topic, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
        let null = || SchemaAndValue { schema: None, value: Value::Null };
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(null()) };
        if let Some(read) = self.framed(Role::Value, topic, bytes).await {
            return read;
        }
        if let Ok(object) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes) {
            let enveloped = object.len() == 2 && object.contains_key("schema");
            let payload = object.get("payload").filter(|_| enveloped).cloned();
            let value = from_json(&payload.unwrap_or(serde_json::Value::Object(object)));
            return Ok(SchemaAndValue { schema: None, value });
        }
        self.own.read(Role::Value, topic, Some(bytes)).await
    }

    /// What is Avro; `None` if it is not.
    async fn framed(&self, role: Role, topic: &Topic, bytes: &Bytes) -> Option<Result<SchemaAndValue>> {
        if bytes.first() != Some(&FRAMED) || bytes.len() < HEAD {
            return None;
        }
        let [key, value] = self.avro.as_ref()?;
        let converter = if role == Role::Key { key } else { value };
        Some(deserialize(&**converter, topic, bytes).await)
    }
}

async fn deserialize(converter: &dyn Converter, topic: &Topic, bytes: &Bytes) -> Result<SchemaAndValue> {
    loop {
        match converter.deserialize(topic, Some(bytes))? {
            Step::Done(value) => return Ok(value),
            Step::Wait(work) => work.await?,
        }
    }
}

/// The text of a key: of a record its member `name`, if it has one.
fn name(key: &Value) -> String {
    match key.get("name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => key.to_string(),
    }
}
