//! From a message to its record. Pure.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use connect_api::{
    Bytes, Result, Schema, SourceRecord, Struct, Topic, Value, json::to_json, logical, template::Template,
};
use connector_alarm::routing;
use serde_json::Value as Json;

use crate::{
    confluent,
    listener::Listen,
    message::{FACILITIES, Message, SEVERITIES},
};

connect_api::config_enum! {
    /// What values look like.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Layout {
        /// All that is known, by the names of RFC 5424.
        Tocsin = "tocsin",
        /// As Confluent's connector.
        Confluent = "confluent",
    }
}

connect_api::config_enum! {
    /// What the time stamps of records say.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RecordTime {
        /// When the message came.
        Received = "received",
        /// When it was sent, as the sender says.
        Sent = "sent",
    }
}

/// Where a message came from, and when.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who took it.
    pub listener: Arc<Listen>,
    /// Who sent it.
    pub remote: SocketAddr,
    /// When, in milliseconds since 1970.
    pub received: i64,
}

/// How messages become records.
#[derive(Debug)]
pub struct Recording {
    /// What values look like.
    pub layout: Layout,
    /// The topic.
    pub topic: Text,
    /// The key; none if it is empty.
    pub key: Text,
    /// What time stamps say.
    pub time: RecordTime,
    /// Whether the bytes are kept beside what is understood of them.
    pub raw: bool,
}

/// A text of a setting, which may be the same for all messages.
#[derive(Debug)]
pub enum Text {
    /// Always this.
    Fixed(Topic),
    /// The host of the message.
    Host,
    /// What a template makes of its fields.
    Template(Template),
}

impl From<&Template> for Text {
    fn from(template: &Template) -> Self {
        match template.source() {
            "{{host}}" => Self::Host,
            fixed if !fixed.contains('{') => Self::Fixed(fixed.into()),
            _ => Self::Template(template.clone()),
        }
    }
}

impl Recording {
    /// The record of a message; an error if the templates make nothing of it.
    pub fn record(&self, message: &Message, arrival: &Arrival, bytes: &Bytes) -> Result<SourceRecord> {
        let own = value(message, arrival, (self.raw || message.priority.is_none()).then_some(bytes))?;
        let names = LazyLock::new(|| to_json(&own));
        let topic = self.topic(&names, message, arrival)?;
        let key = match &self.key {
            Text::Fixed(key) if key.is_empty() => None,
            Text::Fixed(key) => Some(Value::String(key.clone())),
            Text::Host => Some(Value::string(host(message, arrival))),
            Text::Template(template) => Some(Value::string(template.render_names(&names)?)),
        };
        let (schema, value) = match self.layout {
            Layout::Tocsin => (schema(), own.clone()),
            Layout::Confluent => (confluent::schema(), confluent::value(message, arrival, bytes)?),
        };
        let sent = message.timestamp.as_ref().map(|stamp| stamp.ms).filter(|_| self.time == RecordTime::Sent);
        let record = SourceRecord::new(topic).key(key.is_some().then(Schema::string), key.unwrap_or_default());
        Ok(record.value(Some(schema.clone()), value).timestamp(sent.unwrap_or(arrival.received)))
    }

    fn topic(&self, names: &Json, message: &Message, arrival: &Arrival) -> Result<Topic> {
        match &self.topic {
            Text::Fixed(topic) => Ok(topic.clone()),
            Text::Template(template) => routing::topic_name(template, names).map(Into::into),
            Text::Host => {
                let template = Template::parse("{{host}}", connect_api::template::Escape::None)?;
                let names = serde_json::json!({"host": host(message, arrival)});
                routing::topic_name(&template, &names).map(Into::into)
            }
        }
    }

    /// What is reported of bytes that become no record.
    pub fn rejected(&self, arrival: &Arrival, bytes: Bytes) -> SourceRecord {
        let topic: Topic = match &self.topic {
            Text::Fixed(topic) => topic.clone(),
            Text::Host | Text::Template(_) => NOWHERE.into(),
        };
        let mut record = SourceRecord::new(topic).value(Some(Schema::bytes()), bytes).timestamp(arrival.received);
        record.headers.add_string("syslog.remote.address", arrival.remote.to_string());
        record.headers.add_string("syslog.listener", arrival.listener.to_string());
        record
    }
}

/// The topic in dead letters of what names none, as records must have one.
const NOWHERE: &str = "syslog";

/// Who sent it: the host name of the message, or else the address that it came from.
pub(crate) fn host(message: &Message, arrival: &Arrival) -> String {
    message.hostname.clone().unwrap_or_else(|| arrival.remote.ip().to_string())
}

/// The schema of values.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let parameters = Schema::map(Schema::string(), Schema::string()).build().expect("constant schema");
        let elements = Schema::map(Schema::string(), parameters).optional().build().expect("constant schema");
        Schema::structure()
            .name("io.tocsin.syslog.Message")
            .field("format", Schema::string())
            .field("priority", Schema::optional_int32())
            .field("facility", Schema::optional_int32())
            .field("facility_name", Schema::optional_string())
            .field("severity", Schema::optional_int32())
            .field("severity_name", Schema::optional_string())
            .field("version", Schema::optional_int32())
            .field("timestamp", logical::timestamp().with_optional(true))
            .field("timestamp_text", Schema::optional_string())
            .field("host", Schema::string())
            .field("hostname", Schema::optional_string())
            .field("app_name", Schema::optional_string())
            .field("proc_id", Schema::optional_string())
            .field("msg_id", Schema::optional_string())
            .field("structured_data", elements)
            .field("message", Schema::optional_string())
            .field("charset", Schema::string())
            .field("transport", Schema::string())
            .field("listener", Schema::string())
            .field("remote_address", Schema::string())
            .field("remote_port", Schema::int32())
            .field("received", logical::timestamp())
            .field("raw", Schema::optional_bytes())
            .build()
            .expect("constant schema")
    });
    &SCHEMA
}

fn value(message: &Message, arrival: &Arrival, raw: Option<&Bytes>) -> Result<Value> {
    let number = |n: Option<u8>| n.map(i32::from);
    let name = |n: Option<u8>, names: &[&str]| n.and_then(|n| names.get(usize::from(n)).map(|name| (*name).to_owned()));
    let (facility, severity) = (message.facility(), message.severity());
    let values = vec![
        Value::from(message.format.name()),
        number(message.priority).into(),
        number(facility).into(),
        name(facility, &FACILITIES).into(),
        number(severity).into(),
        name(severity, &SEVERITIES).into(),
        message.version.map(i32::from).into(),
        message.timestamp.as_ref().map_or(Value::Null, |stamp| Value::Timestamp(stamp.ms)),
        message.timestamp.as_ref().map(|stamp| stamp.text.clone()).into(),
        host(message, arrival).into(),
        message.hostname.clone().into(),
        message.app_name.clone().into(),
        message.proc_id.clone().into(),
        message.msg_id.clone().into(),
        elements(message),
        message.message.clone().into(),
        message.charset.name().into(),
        arrival.listener.transport.name().into(),
        arrival.listener.to_string().into(),
        arrival.remote.ip().to_string().into(),
        i32::from(arrival.remote.port()).into(),
        Value::Timestamp(arrival.received),
        raw.map_or(Value::Null, |bytes| Value::Bytes(bytes.clone())),
    ];
    Ok(Value::Struct(Arc::new(Struct::from_values(schema(), values)?)))
}

fn elements(message: &Message) -> Value {
    if message.structured_data.is_empty() {
        return Value::Null;
    }
    let element = |(id, parameters): &(String, Vec<(String, String)>)| (id.clone(), parameters_of(parameters));
    Value::map(message.structured_data.iter().map(element))
}

/// Parameters as a map; the values of a name that comes several times are joined by commas.
pub(crate) fn parameters_of(parameters: &[(String, String)]) -> Value {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in parameters {
        match places.get(name.as_str()) {
            Some(place) => {
                joined[*place].1.push(',');
                joined[*place].1.push_str(value);
            }
            None => {
                places.insert(name, joined.len());
                joined.push((name.clone(), value.clone()));
            }
        }
    }
    Value::map(joined.into_iter().map(|(name, value)| (name, value.into())))
}

#[cfg(test)]
mod tests {
    use connect_api::{config::ConfigType, template::Escape};
    use serde_json::json;

    use super::*;
    use crate::{clock::Clock, listener::Listens, message::Expected};

    fn arrival() -> Arrival {
        let listener = Listens::parse("udp://127.0.0.1:5514").expect("a listener").0.remove(0);
        Arrival { listener: Arc::new(listener), remote: ([192, 0, 2, 7], 40000).into(), received: 1_795_000_000_000 }
    }

    fn recording(topic: &str, key: &str, layout: Layout) -> Recording {
        let text = |text: &str| Text::from(&Template::parse(text, Escape::None).expect("a template"));
        Recording { layout, topic: text(topic), key: text(key), time: RecordTime::Sent, raw: false }
    }

    fn record(recording: &Recording, text: &str) -> Result<SourceRecord> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let message = Message::parse(&bytes, Expected::Auto, &Clock::utc(), arrival().received).expect("a message");
        recording.record(&message, &arrival(), &bytes)
    }

    const MESSAGE: &str = "<165>1 2003-10-11T22:14:15.003Z pump7 su 12 ID47 [a@1 x=\"1\" y=\"2\" x=\"3\"][b] hello";

    #[test]
    fn a_message_is_told_in_full() {
        let record = record(&recording("syslog", "{{host}}", Layout::Tocsin), MESSAGE).expect("a record");
        assert_eq!(
            (&*record.topic, record.key.as_str(), record.timestamp),
            ("syslog", Some("pump7"), Some(1_065_910_455_003))
        );
        let expected = json!({
            "format": "rfc5424", "priority": 165, "facility": 20, "facility_name": "local4", "severity": 5,
            "severity_name": "notice", "version": 1, "timestamp": "2003-10-11T22:14:15.003Z",
            "timestamp_text": "2003-10-11T22:14:15.003Z", "host": "pump7", "hostname": "pump7", "app_name": "su",
            "proc_id": "12", "msg_id": "ID47", "structured_data": {"a@1": {"x": "1,3", "y": "2"}, "b": {}},
            "message": "hello", "charset": "utf-8", "transport": "udp", "listener": "udp://127.0.0.1:5514",
            "remote_address": "192.0.2.7", "remote_port": 40000, "received": "2026-11-18T11:06:40.000Z", "raw": null,
        });
        assert_eq!(to_json(&record.value), expected);
    }

    #[test]
    fn who_says_no_name_is_known_by_the_address() {
        let record =
            record(&recording("{{facility_name}}.{{host}}", "{{host}}/{{app_name}}", Layout::Tocsin), "<13>su: x");
        let record = record.expect("a record");
        assert_eq!((&*record.topic, record.key.as_str()), ("user.192.0.2.7", Some("192.0.2.7/su")));
        assert_eq!(record.timestamp, Some(1_795_000_000_000), "it does not say when");
    }

    #[test]
    fn templates_that_find_nothing_are_errors_of_the_data() {
        let e = record(&recording("t", "{{msg_id}}", Layout::Tocsin), "<13>x").expect_err("no id");
        assert_eq!(e.class(), connect_api::ErrorClass::Data);
        let none = record(&recording("t", "", Layout::Tocsin), "<13>x").expect("a record");
        assert_eq!((none.key.clone(), none.key_schema.clone()), (Value::Null, None));
    }

    #[test]
    fn confluents_values_are_as_theirs() {
        let record = record(&recording("syslog", "{{host}}", Layout::Confluent), MESSAGE).expect("a record");
        let value = to_json(&record.value);
        assert_eq!(record.value_schema.as_ref().and_then(Schema::name), Some("io.confluent.syslog.Message"));
        let expected = [
            ("type", json!("RFC5424")),
            ("appName", json!("su")),
            ("facility", json!(20)),
            ("level", json!(5)),
            ("host", json!("pump7")),
            ("message", json!("hello")),
            ("messageId", json!("ID47")),
            ("processId", json!("12")),
            ("rawMessage", json!(MESSAGE)),
            ("remoteAddress", json!("192.0.2.7")),
            ("tag", Json::Null),
            ("version", json!(1)),
            (
                "structuredData",
                json!([{"id": "a@1", "structuredDataElements": {"x": "1,3", "y": "2"}},
                {"id": "b", "structuredDataElements": {}}]),
            ),
        ];
        for (name, expected) in expected {
            assert_eq!(value[name], expected, "{name}");
        }
    }
}
