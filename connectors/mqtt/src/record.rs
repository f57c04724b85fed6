//! From messages to records; pure.

use std::{str, sync::Arc};

use connect_api::{
    Error, Header, Headers, Result, Schema, SourceRecord, Topic, Value, json::from_json, template::Template,
};
use connector_alarm::routing::topic_name;
use serde_json::{Map, Value as Json, json};

use crate::{MqttConfig, config::Format, packet::Message};

/// How messages become records.
#[derive(Debug)]
pub struct Mapping {
    topic: Text,
    key: Text,
    format: Format,
    connector: Arc<str>,
}

/// A text that is the same for all messages, or is made for each.
#[derive(Debug)]
enum Text {
    Fixed(Topic),
    /// The MQTT topic.
    Same,
    Template(Template),
}

impl Text {
    fn of(template: &Template) -> Self {
        match template.source() {
            "{{topic}}" => Self::Same,
            source if !source.contains(['{', '}']) => Self::Fixed(source.into()),
            _ => Self::Template(template.clone()),
        }
    }

    fn needs_names(&self) -> bool {
        matches!(self, Self::Template(_))
    }
}

impl Mapping {
    /// As the settings say.
    pub fn new(config: &MqttConfig, connector: Arc<str>) -> Self {
        // The topic has to be made fit for Kafka.
        let topic = match Text::of(&config.kafka_topic) {
            Text::Same => Text::Template(config.kafka_topic.clone()),
            other => other,
        };
        Self { topic, key: Text::of(&config.key), format: config.format, connector }
    }

    /// The record of a message that came at that time, in milliseconds since 1970. The error says what is wrong with it.
    pub fn record(&self, message: &Message, now: i64) -> Result<SourceRecord> {
        if let Some(size) = message.cut {
            return Err(Error::data(format!("its payload of {size} bytes is larger than mqtt.message.limit")));
        }
        let (schema, value, json) = self.value(message)?;
        let names = match self.topic.needs_names() || self.key.needs_names() {
            true => self.names(message, json),
            false => Json::Null,
        };
        let topic = match &self.topic {
            Text::Fixed(topic) => topic.clone(),
            Text::Template(template) => topic_name(template, &names)?.into(),
            Text::Same => message.topic.as_str().into(),
        };
        let key: Arc<str> = match &self.key {
            Text::Fixed(key) => key.clone(),
            Text::Template(template) => template.render_names(&names)?.into(),
            Text::Same => message.topic.as_str().into(),
        };
        let mut record = SourceRecord::new(topic).key(Some(Schema::string()), Value::String(key));
        record = record.value(schema, value).timestamp(now);
        record.headers = headers(message);
        Ok(record)
    }

    /// A message as it came, for the dead letter queue.
    pub fn original(&self, message: &Message, now: i64) -> SourceRecord {
        let topic = match &self.topic {
            Text::Fixed(topic) => topic.clone(),
            // Where it would have gone may be just what is wrong with it.
            _ => UNKNOWN.into(),
        };
        let key = Value::String(message.topic.as_str().into());
        let mut record = SourceRecord::new(topic).key(Some(Schema::string()), key).timestamp(now);
        record = record.value(Some(Schema::bytes()), message.payload.clone());
        record.headers = headers(message);
        record
    }

    fn value(&self, message: &Message) -> Result<(Option<Schema>, Value, Json)> {
        let wrong = |why: String| Error::data(format!("its payload {why}"));
        match self.format {
            Format::Bytes => Ok((Some(Schema::bytes()), Value::Bytes(message.payload.clone()), Json::Null)),
            Format::Text => {
                let text = str::from_utf8(&message.payload).map_err(|e| wrong(format!("is not UTF-8: {e}")))?;
                Ok((Some(Schema::string()), Value::String(text.into()), Json::String(text.into())))
            }
            Format::Json => {
                let json: Json =
                    serde_json::from_slice(&message.payload).map_err(|e| wrong(format!("is not JSON: {e}")))?;
                let schema = json.is_string().then(Schema::string);
                Ok((schema, from_json(&json), json))
            }
        }
    }

    fn names(&self, message: &Message, value: Json) -> Json {
        let properties: Map<String, Json> =
            message.properties.iter().map(|(k, v)| (k.clone(), Json::String(v.clone()))).collect();
        let mut names = json!({
            "topic": message.topic,
            "levels": message.topic.split('/').collect::<Vec<_>>(),
            "qos": message.qos,
            "retained": message.retained,
            "properties": properties,
            "connector": &*self.connector,
        });
        if let (Some(names), false) = (names.as_object_mut(), self.format == Format::Bytes) {
            names.insert("value".into(), value);
        }
        names
    }
}

/// Topic of dead letters of messages whose topic a template would have made.
const UNKNOWN: &str = "unknown";

fn headers(message: &Message) -> Headers {
    let mut headers = Headers::new();
    let mut add = |key: &str, schema: Schema, value: Value| {
        headers.push(Header { key: key.into(), schema: Some(schema), value });
    };
    add("mqtt.topic", Schema::string(), Value::String(message.topic.as_str().into()));
    add("mqtt.message.id", Schema::int32(), Value::Int32(i32::from(message.id)));
    add("mqtt.qos", Schema::int32(), Value::Int32(i32::from(message.qos)));
    add("mqtt.retained", Schema::boolean(), Value::Boolean(message.retained));
    add("mqtt.duplicate", Schema::boolean(), Value::Boolean(message.duplicate));
    let mut text = |key: &str, text: &str| add(key, Schema::string(), Value::String(text.into()));
    if let Some(kind) = &message.content_type {
        text("mqtt.content.type", kind);
    }
    if let Some(topic) = &message.response_topic {
        text("mqtt.response.topic", topic);
    }
    for (key, value) in &message.properties {
        text(&format!("mqtt.property.{key}"), value);
    }
    if let Some(data) = &message.correlation {
        add("mqtt.correlation.data", Schema::bytes(), Value::Bytes(data.clone()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config as _};

    fn mapping(given: &[(&str, &str)]) -> Mapping {
        let least = [("mqtt.server.uri", "tcp://a"), ("mqtt.topics", "#")];
        let settings: Settings = least.into_iter().chain(given.iter().copied()).collect();
        Mapping::new(&MqttConfig::parse(&settings).expect("settings"), "c".into())
    }

    fn message(topic: &str, payload: &'static [u8]) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos: 1, id: 7, ..Message::default() }
    }

    #[test]
    fn by_default_a_message_is_its_bytes_under_its_topic() {
        let record = mapping(&[]).record(&message("a/b", b"\xff"), 5).expect("record");
        assert_eq!((&*record.topic, &record.key, record.timestamp), ("mqtt", &Value::from("a/b"), Some(5)));
        assert_eq!(record.value, Value::Bytes(b"\xff"[..].into()));
        let of = |key: &str| record.headers.last(key).map(|h| h.value.clone());
        assert_eq!(of("mqtt.topic"), Some("a/b".into()));
        assert_eq!((of("mqtt.qos"), of("mqtt.message.id")), (Some(Value::Int32(1)), Some(Value::Int32(7))));
        assert_eq!((of("mqtt.retained"), of("mqtt.duplicate")), (Some(false.into()), Some(false.into())));
    }

    #[test]
    fn templates_know_levels_and_values_and_topics_are_made_fit() {
        let given = [
            ("kafka.topic", "mqtt.{{levels[1]}}"),
            ("mqtt.key", "{{value.id}}@{{levels|last}}"),
            ("mqtt.value.format", "json"),
        ];
        let mapping = mapping(&given);
        let record = mapping.record(&message("site/hall a/x", br#"{"id": 3, "on": true}"#), 0).expect("record");
        assert_eq!((&*record.topic, &record.key), ("mqtt.hall_a", &Value::from("3@x")));
        assert_eq!(record.value, Value::map([("id", Value::Int64(3)), ("on", true.into())]));
        for wrong in [&b"{"[..], b"{}", b"\xff"] {
            let why = mapping.record(&message("site/a/x", wrong), 0).expect_err("wrong");
            assert_eq!(why.class(), connect_api::ErrorClass::Data, "{why}");
        }
        assert!(mapping.record(&message("site", b"{\"id\":1}"), 0).is_err(), "there is no second level");
        assert_eq!(mapping.original(&message("site", b"{"), 0).value, Value::Bytes(b"{"[..].into()));
    }

    #[test]
    fn the_mqtt_topic_itself_becomes_a_topic_of_kafka() {
        let record = mapping(&[("kafka.topic", "{{topic}}"), ("mqtt.value.format", "string")]);
        let record = record.record(&message("a/b c", b"text"), 0).expect("record");
        assert_eq!((&*record.topic, &record.value), ("a_b_c", &Value::from("text")));
    }
}
