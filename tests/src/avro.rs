//! Framed Avro, read and written with the schemas that JLab's scripts have, independently of our converter.

use std::{collections::HashMap, io::Cursor, sync::Mutex};

use apache_avro::{Schema, types::Value};
use serde_json::json;

/// The schema of active alarms that JLab's consumers know: two fields.
pub const JLAB: &str = r#"{"type":"record","name":"ActiveAlarm","namespace":"org.jlab.kafka.alarms","fields":[
    {"name":"priority","type":{"type":"enum","name":"AlarmPriority","symbols":["P1_LIFE","P2_PROPERTY","P3_PRODUCTIVITY","P4_DIAGNOSTIC"]}},
    {"name":"acknowledged","type":"boolean","default":false}]}"#;

/// A schema registry over plain HTTP.
pub struct Registry {
    url: String,
    // What an id stands for never changes.
    schemas: Mutex<HashMap<u32, Schema>>,
}

impl Registry {
    /// The registry at this URL.
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), schemas: Mutex::default() }
    }

    /// Registers a schema as a script does; its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let client = reqwest::blocking::Client::new();
        let answer = client
            .post(format!("{}/subjects/{subject}/versions", self.url))
            .json(&json!({ "schema": schema }))
            .send()
            .expect("registry");
        let body: serde_json::Value = answer.json().expect("json");
        u32::try_from(body["id"].as_u64().unwrap_or_else(|| panic!("registering under {subject}: {body}"))).expect("id")
    }

    fn schema(&self, id: u32) -> Schema {
        let mut schemas = self.schemas.lock().expect("not poisoned");
        let schema = schemas.entry(id).or_insert_with(|| {
            let answer = reqwest::blocking::get(format!("{}/schemas/ids/{id}", self.url)).expect("registry");
            let body: serde_json::Value = answer.json().expect("json");
            Schema::parse_str(body["schema"].as_str().expect("schema")).expect("avro")
        });
        schema.clone()
    }

    /// Decodes a framed value with the reader's schema, which need not be the writer's.
    pub fn decode(&self, framed: &[u8], reader: &str) -> Vec<(String, Value)> {
        assert_eq!(framed.first(), Some(&0), "the magic byte");
        let id = u32::from_be_bytes([framed[1], framed[2], framed[3], framed[4]]);
        let reader = Schema::parse_str(reader).expect("reader's schema");
        let writer = self.schema(id);
        #[allow(deprecated, reason = "the replacement is not in every release")]
        let value =
            apache_avro::from_avro_datum(&writer, &mut Cursor::new(&framed[5..]), Some(&reader)).expect("decodes");
        match value {
            Value::Record(fields) => fields,
            other => panic!("not a record: {other:?}"),
        }
    }

    /// Encodes and frames a value.
    pub fn encode(&self, subject: &str, schema: &str, value: Value) -> Vec<u8> {
        let id = self.register(subject, schema);
        let schema = Schema::parse_str(schema).expect("schema");
        #[allow(deprecated, reason = "the replacement is not in every release")]
        let datum = apache_avro::to_avro_datum(&schema, value).expect("encodes");
        [vec![0], id.to_be_bytes().to_vec(), datum].concat()
    }
}

/// An alarm of JLab's scripts.
pub fn jlab_alarm(priority: (u32, &str), acknowledged: bool) -> Value {
    Value::Record(vec![
        ("priority".into(), Value::Enum(priority.0, priority.1.into())),
        ("acknowledged".into(), Value::Boolean(acknowledged)),
    ])
}

/// Priority and acknowledgement of decoded fields.
pub fn jlab_fields(fields: &[(String, Value)]) -> (String, bool) {
    match fields {
        [(_, Value::Enum(_, priority)), (_, Value::Boolean(acknowledged))] => (priority.clone(), *acknowledged),
        other => panic!("not JLab's two fields: {other:?}"),
    }
}
