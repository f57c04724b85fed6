//! Kafka and a registry, and what is done with them.

use apache_avro::types::Value as Avro;
use connect_kafka::RawRecord;
use serde_json::Value as Json;
use tocsin_tests::{avro::Registry, ctl::Ctl, kafka::Reader};
use xtask::servers::{self, Kafka, without};

pub const COMPACT: &[(&str, &str)] = &[("cleanup.policy", "compact")];

/// Kafka, a registry, and `connectctl` for both, without any worker.
pub struct Plant {
    pub kafka: Reader,
    pub places: [(&'static str, String); 3],
    pub schemas: Registry,
    pub ctl: Ctl,
    _servers: (Kafka, servers::Registry),
}

impl Plant {
    pub fn start() -> Option<Self> {
        if without("kafka") || without("registry") {
            return None;
        }
        let (kafka, registry) = (Kafka::start().expect("kafka"), servers::Registry::start().expect("registry"));
        let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap());
        let ctl = ctl.env("SCHEMA_REGISTRY", &registry.url()).env("USER", "alice");
        let places =
            [("BOOTSTRAP_SERVERS", kafka.bootstrap()), ("SCHEMA_REGISTRY", registry.url()), ("USER", "alice".into())];
        Some(Self {
            places,
            kafka: Reader::new(&kafka.bootstrap()),
            schemas: Registry::new(&registry.url()),
            ctl,
            _servers: (kafka, registry),
        })
    }

    pub fn alarms(&self, arguments: &[&str]) -> String {
        self.ctl.out(&[&["alarms"], arguments].concat())
    }

    pub fn json(&self, arguments: &[&str]) -> Json {
        self.ctl.json(&[&["alarms"], arguments].concat())
    }

    pub fn refused(&self, arguments: &[&str], code: i32, part: &str) {
        let ran = self.ctl.run(&[&["alarms"], arguments].concat()).expect(code);
        assert!(ran.err.contains(part), "{arguments:?}: {ran:?}");
    }

    /// The names that a list shows.
    pub fn names(&self, arguments: &[&str]) -> Vec<String> {
        let text = self.alarms(&[&["list"], arguments, &["-o", "name"]].concat());
        text.lines().map(str::to_owned).collect()
    }

    pub fn last(&self, topic: &str) -> RawRecord {
        self.kafka.all(topic).pop().expect("a record")
    }

    /// The last value of a topic, as a reader with this schema sees it.
    pub fn read(&self, topic: &str, schema: &str) -> Vec<(String, Avro)> {
        let last = self.last(topic);
        self.schemas.decode(last.value.as_deref().expect("a value"), schema)
    }

    pub fn write(&self, topic: &str, name: &str, schema: &str, value: Avro) {
        let value = self.schemas.encode(&format!("{topic}-value"), schema, value);
        self.kafka.write(topic, name, Some(&value));
    }
}

pub fn header(record: &RawRecord, name: &str) -> String {
    let found = record.headers.iter().find(|(key, _)| &**key == name).and_then(|(_, value)| value.clone());
    String::from_utf8(found.unwrap_or_default().to_vec()).expect("UTF-8")
}
