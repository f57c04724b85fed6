//! The embedded broker and registry as other programs see them: through Kafka clients and converters.

use std::{net::TcpStream, time::Duration};

use connect_api::{Converter, Result, Role, Schema, Settings, Step, Struct, Topic, Value, config::Config};
use connect_converters::{AvroConfig, AvroConverter, connect_schema_from_avro};
use connect_embedded::{Embedded, EmbeddedOptions};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

const LIMIT: Duration = Duration::from_secs(20);

const ALARM: &str = r#"{"type":"record","name":"ActiveAlarm","namespace":"org.jlab.kafka.alarms","fields":[
    {"name":"priority","type":{"type":"enum","name":"AlarmPriority",
        "symbols":["P1_LIFE","P2_PROPERTY","P3_PRODUCTIVITY","P4_DIAGNOSTIC"]}},
    {"name":"acknowledged","type":"boolean","default":false}]}"#;

fn client(embedded: &Embedded) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", embedded.bootstrap());
    config
}

async fn done<T>(mut attempt: impl FnMut() -> Result<Step<T>>) -> T {
    loop {
        match attempt().expect("conversion") {
            Step::Done(made) => return made,
            Step::Wait(prepare) => tokio::time::timeout(LIMIT, prepare).await.expect("in time").expect("prepared"),
        }
    }
}

#[tokio::test]
async fn an_alarm_travels_as_avro_through_broker_and_registry() {
    let embedded = Embedded::start(EmbeddedOptions::default()).await.expect("started");
    for _ in 0..2 {
        embedded.create_topic("active-alarms", 1).await.expect("topic");
    }
    let settings = Settings::from([("schema.registry.url", embedded.registry_url())]);
    let config = AvroConfig::parse(&settings).expect("settings");
    let topic: Topic = "active-alarms".into();
    let schema = connect_schema_from_avro(ALARM).expect("schema");
    let mut alarm = Struct::new(&schema).expect("struct");
    alarm.put("priority", "P2_PROPERTY").expect("priority");
    let writer = AvroConverter::new(&config, Role::Value).expect("converter");
    let alarm = alarm.into_value();
    let bytes = done(|| writer.serialize(&topic, Some(&schema), &alarm)).await.expect("bytes");
    assert_eq!(&bytes[..], [0, 0, 0, 0, 1, 2, 0]);

    let producer: BaseProducer = client(&embedded).create().expect("producer");
    producer.send(BaseRecord::to("active-alarms").key("alarm1").payload(&bytes[..])).expect("queued");
    producer.flush(LIMIT).expect("delivered");

    let consumer: BaseConsumer = client(&embedded).set("group.id", "test").create().expect("consumer");
    let metadata = consumer.fetch_metadata(Some("active-alarms"), LIMIT).expect("metadata");
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset("active-alarms", 0, Offset::Beginning).expect("partition");
    consumer.assign(&assignment).expect("assigned");
    let message = consumer.poll(LIMIT).expect("in time").expect("message");
    assert_eq!(message.key(), Some(&b"alarm1"[..]));

    let reader = AvroConverter::new(&config, Role::Value).expect("converter");
    let payload = connect_api::Bytes::copy_from_slice(message.payload().expect("payload"));
    let back = done(|| reader.deserialize(&topic, Some(&payload))).await;
    // The registry has just the schema that was embedded, so it reads as the embedded one.
    assert_eq!(back.schema.as_ref(), Some(&schema));
    assert_eq!(back.value.get("priority"), Some(&Value::from("P2_PROPERTY")));
    assert_eq!(back.value.get("acknowledged"), Some(&Value::Boolean(false)));
    let bytes = done(|| writer.serialize(&topic, Some(&Schema::optional_string()), &Value::Null)).await;
    assert_eq!(bytes, None);
}

#[tokio::test]
async fn both_end_with_the_value() {
    let embedded =
        Embedded::start(EmbeddedOptions { brokers: 2, ..EmbeddedOptions::default() }).await.expect("started");
    let registry = embedded.registry_url().trim_start_matches("http://").to_owned();
    let brokers: Vec<String> = embedded.bootstrap().split(',').map(str::to_owned).collect();
    assert_eq!(brokers.len(), 2);
    let addresses: Vec<String> = brokers.into_iter().chain([registry]).collect();
    for address in &addresses {
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        TcpStream::connect(address).expect("listening");
    }
    drop(embedded);
    let all_closed = async {
        while addresses.iter().any(|a| TcpStream::connect(a).is_ok()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, all_closed).await.expect("closed in time");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = Embedded::start(EmbeddedOptions::default()).await.expect("started");
    let port = first.registry_url().rsplit(':').next().and_then(|p| p.parse().ok()).expect("port");
    let options = EmbeddedOptions { registry_port: port, ..EmbeddedOptions::default() };
    let e = Embedded::start(options).await.expect_err("taken");
    assert_eq!(e.message(), format!("listening on 127.0.0.1:{port} for the schema registry"));
}
