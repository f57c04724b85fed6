//! Positions of partitions, on Apache Kafka.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, PartitionOffset, Settings, TopicPartition};
use connect_kafka::{
    Admin, Delivery, Outgoing, Positions, Producer, Role, Span, TopicSpec, producer_defaults, translate,
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

#[test]
fn ends_and_offsets_of_times_are_found() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let settings = |role: Role| {
        let java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
        translate(role, &java).expect("settings")
    };
    let mut producing = settings(Role::Producer);
    producer_defaults(&mut producing);
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let admin = Admin::new(&settings(Role::Admin)).expect("admin");
        let topic = TopicSpec { name: "a".into(), partitions: 2, replication_factor: 1, settings: Vec::new() };
        admin.create_topic(&topic).await.expect("topic");
        let producer = Producer::new(&producing).expect("producer");
        for n in 0..5 {
            let value = Some(b"v".as_slice());
            let timestamp = Some(1000 + 100 * n);
            let record = Outgoing { topic: "a", partition: Some(0), timestamp, key: None, value, headers: &[] };
            producer.send(record, Arc::new(Sent)).await.expect("send");
        }
        producer.flush(LIMIT).await.expect("flush");

        let positions = Positions::new(&settings(Role::Consumer)).expect("positions");
        let topics = positions.topics(LIMIT).await.expect("topics");
        assert!(topics.contains(&("a".to_owned(), vec![0, 1])), "{topics:?}");
        let both = [partition("a", 0), partition("a", 1)];
        let spans = positions.spans(&both, LIMIT).await.expect("spans");
        let span = |of: &TopicPartition, end| Span { partition: of.clone(), first: 0, end };
        assert_eq!(spans, [span(&both[0], 5), span(&both[1], 0)]);
        for (time, offset) in [(0, 0), (1000, 0), (1001, 1), (1400, 4), (1401, 5)] {
            let found = positions.at(&both, time, LIMIT).await.expect("offsets");
            let at = |of: &TopicPartition, offset| PartitionOffset { partition: of.clone(), offset };
            assert_eq!(found, [at(&both[0], offset), at(&both[1], 0)], "{time}");
        }
        let unknown = positions.spans(&[partition("none", 0)], Duration::from_secs(3)).await;
        assert!(unknown.is_err(), "{unknown:?}");
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
