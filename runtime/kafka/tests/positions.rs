//! Positions of partitions, on Apache Kafka and on the embedded broker.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, PartitionOffset, Settings, TopicPartition};
use connect_embedded::{Embedded, EmbeddedOptions};
use connect_kafka::{
    Admin, ClientSettings, Delivery, Outgoing, Positions, Producer, Role, Span, TopicSpec, producer_defaults, translate,
};
use xtask::servers::{Kafka, without};

const LIMIT: Duration = Duration::from_secs(30);

struct Sent;

impl Delivery for Sent {
    fn delivered(&self, _partition: i32, _offset: i64) {}

    fn failed(&self, error: Error) {
        panic!("{error:?}");
    }
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

fn settings(bootstrap: &str, role: Role) -> ClientSettings {
    let mut settings = translate(role, &Settings::from([("bootstrap.servers", bootstrap)])).expect("settings");
    if role == Role::Producer {
        producer_defaults(&mut settings);
    }
    settings
}

/// Writes five records, 100 ms apart, to the first of two partitions, and finds them again.
async fn look(bootstrap: &str) -> Positions {
    let producer = Producer::new(&settings(bootstrap, Role::Producer)).expect("producer");
    for n in 0..5 {
        let value = Some(b"v".as_slice());
        let timestamp = Some(1000 + 100 * n);
        let record = Outgoing { topic: "a", partition: Some(0), timestamp, key: None, value, headers: &[] };
        producer.send(record, Arc::new(Sent)).await.expect("send");
    }
    producer.flush(LIMIT).await.expect("flush");

    let positions = Positions::new(&settings(bootstrap, Role::Consumer)).expect("positions");
    let topics = positions.topics(LIMIT).await.expect("topics");
    assert!(topics.contains(&("a".to_owned(), vec![0, 1])), "{topics:?}");
    let both = [partition("a", 0), partition("a", 1)];
    let spans = positions.spans(&both, LIMIT).await.expect("spans");
    let span = |of: &TopicPartition, end| Span { partition: of.clone(), first: 0, end };
    assert_eq!(spans, [span(&both[0], 5), span(&both[1], 0)]);
    let at = |of: &TopicPartition, offset| PartitionOffset { partition: of.clone(), offset };
    for (time, offset) in [(0, 0), (1000, 0), (1001, 1), (1400, 4), (1401, 5)] {
        let found = positions.at(&both, time, LIMIT).await.expect("offsets");
        assert_eq!(found, [at(&both[0], offset), at(&both[1], 0)], "{time}");
    }
    positions
}

#[test]
fn ends_and_offsets_of_times_are_found() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let admin = Admin::new(&settings(&kafka.bootstrap(), Role::Admin)).expect("admin");
        let topic = TopicSpec { name: "a".into(), partitions: 2, replication_factor: 1, settings: Vec::new() };
        admin.create_topic(&topic).await.expect("topic");
        let positions = look(&kafka.bootstrap()).await;
        let unknown = positions.spans(&[partition("none", 0)], Duration::from_secs(3)).await;
        assert!(unknown.is_err(), "{unknown:?}");
    });
}

#[test]
fn the_embedded_broker_which_knows_no_times_has_the_same_offsets() {
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let embedded = Embedded::start(EmbeddedOptions::default()).await.expect("started");
        embedded.create_topic("a", 2).await.expect("topic");
        let positions = look(embedded.bootstrap()).await;
        // Time stamps need not be in order, and a question may be about several topics.
        embedded.create_topic("b", 1).await.expect("topic");
        let producer = Producer::new(&settings(embedded.bootstrap(), Role::Producer)).expect("producer");
        for timestamp in [1000, 3000, 2000] {
            let value = Some(b"v".as_slice());
            let record =
                Outgoing { topic: "b", partition: None, timestamp: Some(timestamp), key: None, value, headers: &[] };
            producer.send(record, Arc::new(Sent)).await.expect("send");
        }
        producer.flush(LIMIT).await.expect("flush");
        let all = [partition("b", 0), partition("a", 0)];
        for (time, offsets) in [(1400, [1, 4]), (2500, [1, 5]), (3001, [3, 5])] {
            let found = positions.at(&all, time, LIMIT).await.expect("offsets");
            assert_eq!(found.iter().map(|f| f.offset).collect::<Vec<_>>(), offsets, "{time}");
        }
    });
}

#[test]
fn a_kafka_that_is_away_is_said_so() {
    let java = Settings::from([("bootstrap.servers", "127.0.0.1:1")]);
    let positions = Positions::new(&translate(Role::Consumer, &java).expect("settings")).expect("positions");
    let asked = positions.topics(Duration::from_secs(2));
    let e = tokio::runtime::Runtime::new().expect("runtime").block_on(asked).expect_err("nobody is there");
    assert!(e.message().contains("kafka cannot be reached"), "{e:?}");
}
