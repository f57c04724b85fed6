//! The Avro converter and its registry client against a real schema registry.

use apache_avro::types::Value as Avro;
use connect_api::{
    Converter, ConverterPlugin, ErrorClass, Result, Role, Schema, Settings, Step, Struct, Topic, Value, config::Config,
};
use connect_converters::AvroConverter;
use serde_json::json;
use tocsin_tests::avro::Registry;
use xtask::servers::{self, without};

fn converter(url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
    let mut settings = Settings::from([("schema.registry.url", url)]);
    for (key, value) in more {
        settings.set(*key, *value);
    }
    let config = <AvroConverter as ConverterPlugin>::Config::parse(&settings).expect("settings");
    AvroConverter::build(config, &settings, Role::Value).expect("converter")
}

async fn write(converter: &dyn Converter, topic: &str, schema: &Schema, value: &Value) -> Result<Vec<u8>> {
    let topic = Topic::from(topic);
    loop {
        match converter.serialize(&topic, Some(schema), value)? {
            Step::Done(bytes) => return Ok(bytes.expect("a value").to_vec()),
            Step::Wait(work) => work.await?,
        }
    }
}

async fn read(converter: &dyn Converter, topic: &str, bytes: &[u8]) -> Result<connect_api::SchemaAndValue> {
    let (topic, bytes) = (Topic::from(topic), connect_api::Bytes::copy_from_slice(bytes));
    loop {
        match converter.deserialize(&topic, Some(&bytes))? {
            Step::Done(value) => return Ok(value),
            Step::Wait(work) => work.await?,
        }
    }
}

fn point(version: u8) -> (Schema, Value) {
    let mut schema = Schema::structure().name("org.example.Point").field("x", Schema::int32());
    schema = if version > 1 { schema.field("y", Schema::string()) } else { schema };
    let schema = schema.build().expect("schema");
    let mut point = Struct::new(&schema).expect("struct");
    point.put("x", 7).expect("x");
    if version > 1 {
        point.put("y", "why").expect("y");
    }
    (schema, point.into_value())
}

#[test]
fn schemas_are_registered_used_and_refused_as_the_registry_says() {
    if without("registry") {
        return;
    }
    let server = servers::Registry::start().expect("registry");
    let (url, scripts) = (server.url(), Registry::new(&server.url()));
    let client = reqwest::blocking::Client::new();
    // This registry's default is NONE, where Confluent's is BACKWARD.
    let put = client.put(format!("{url}/config")).json(&json!({ "compatibility": "BACKWARD" })).send().expect("config");
    assert!(put.status().is_success());
    let runtime = tokio::runtime::Runtime::new().expect("runtime");

    // Registered by the first record, under the topic's subject; anybody can read it.
    let (schema, value) = point(1);
    let auto = converter(&url, &[]);
    let bytes = runtime.block_on(write(&*auto, "points", &schema, &value)).expect("written");
    let x = r#"{"type":"record","name":"Point","namespace":"org.example","fields":[{"name":"x","type":"int"}]}"#;
    assert_eq!(scripts.decode(&bytes, x), [("x".to_owned(), Avro::Int(7))]);
    let subjects: Vec<String> = client.get(format!("{url}/subjects")).send().expect("subjects").json().expect("json");
    assert_eq!(subjects, ["points-value"]);
    let again = runtime.block_on(read(&*converter(&url, &[]), "points", &bytes)).expect("read");
    assert_eq!(again.value.get("x"), Some(&Value::Int32(7)));

    // A schema that readers of the old one could not live with is refused, with the registry's words.
    let (wider, wide) = point(2);
    let refused = runtime.block_on(write(&*auto, "points", &wider, &wide)).expect_err("incompatible");
    assert_ne!(refused.class(), ErrorClass::Retriable);
    assert!(refused.one_line().contains("points-value"), "{}", refused.one_line());

    // With use.latest.version the value is brought into the registered schema: the field it lacks goes.
    let latest = converter(&url, &[("auto.register.schemas", "false"), ("use.latest.version", "true")]);
    let bytes = runtime.block_on(write(&*latest, "points", &wider, &wide)).expect("written");
    assert_eq!(scripts.decode(&bytes, x), [("x".to_owned(), Avro::Int(7))]);

    // Without registration an unknown schema is an error that names the subject.
    let strict = converter(&url, &[("auto.register.schemas", "false")]);
    let unknown = runtime.block_on(write(&*strict, "other", &schema, &value)).expect_err("not registered");
    assert!(unknown.one_line().contains("other-value"), "{}", unknown.one_line());

    // An id that the registry has not, and a registry that is away.
    let missing = [&[0u8][..], &999_999u32.to_be_bytes(), &[2]].concat();
    let e = runtime.block_on(read(&*auto, "points", &missing)).expect_err("no such id");
    assert!(e.class() == ErrorClass::Data && e.one_line().contains("999999"), "{}", e.one_line());
    drop(server);
    let away = runtime.block_on(write(&*converter(&url, &[]), "points", &schema, &value)).expect_err("away");
    assert_eq!(away.class(), ErrorClass::Retriable, "{}", away.one_line());
}
