//! The newest records of topics, on Apache Kafka.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, Settings};
use connect_kafka::{
    Admin, ClientSettings, Delivery, GroupOffsets, Newest, Outgoing, Producer, Role, TopicSpec, newest,
    producer_defaults, translate,
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

fn values(found: &Newest) -> Vec<String> {
    let text = |r: &connect_kafka::RawRecord| String::from_utf8_lossy(r.value.as_deref().unwrap_or(b"-")).into_owned();
    found.records.iter().map(text).collect()
}

async fn written(settings: &ClientSettings, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    let producer = Producer::new(settings).expect("producer");
    for n in numbers {
        let text = n.to_string();
        let (key, value) = (Some(text.as_bytes()), Some(text.as_bytes()));
        let record = Outgoing { topic, partition: Some(partition), timestamp: Some(n), key, value, headers: &[] };
        producer.send(record, Arc::new(Sent)).await.expect("send");
    }
    producer.flush(LIMIT).await.expect("flush");
}

#[test]
fn the_newest_of_all_partitions_come_and_nothing_is_left_behind() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let settings = |role: Role| {
        let java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
        translate(role, &java).expect("settings")
    };
    let mut producer = settings(Role::Producer);
    producer_defaults(&mut producer);
    let consumer = settings(Role::Consumer);
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let admin = Admin::new(&settings(Role::Admin)).expect("admin");
        for (name, partitions) in [("a", 2), ("b", 1), ("empty", 3)] {
            let topic = TopicSpec { name: name.into(), partitions, replication_factor: 1, settings: Vec::new() };
            admin.create_topic(&topic).await.expect("topic");
        }
        written(&producer, "a", 0, 100..150).await;
        written(&producer, "a", 1, 1..5).await;
        written(&producer, "b", 0, 140..145).await;

        let topics = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<String>>();
        let all = newest(&consumer, &topics(&["a", "b", "empty"]), 8, LIMIT).await.expect("read");
        assert_eq!(values(&all), ["143", "144", "144", "145", "146", "147", "148", "149"]);
        assert!(!all.cut_short && all.missing.is_empty());
        let few = newest(&consumer, &topics(&["a"]), 1000, LIMIT).await.expect("read");
        assert_eq!((few.records.len(), few.records[0].partition), (54, 1));

        // What is not there is named and not created.
        let gone = newest(&consumer, &topics(&["none", "b"]), 1, LIMIT).await.expect("read");
        assert_eq!((gone.missing.clone(), values(&gone)), (vec!["none".to_owned()], vec!["144".to_owned()]));
        assert_eq!(admin.partitions("none", LIMIT).await.expect("asked"), None);
        let group = GroupOffsets::new(&settings(Role::Admin), "connect-reader").expect("group");
        assert_eq!(group.list().await.expect("offsets"), []);
        let none = newest(&consumer, &topics(&["a"]), 0, LIMIT).await.expect("read");
        assert_eq!(none, Newest::default());
    });
}

#[test]
fn a_kafka_that_is_away_is_said_so_in_time() {
    let java = Settings::from([("bootstrap.servers", "127.0.0.1:1")]);
    let settings = translate(Role::Consumer, &java).expect("settings");
    let began = std::time::Instant::now();
    let topics = ["a".to_owned()];
    let asked = newest(&settings, &topics, 1, Duration::from_secs(2));
    let e = tokio::runtime::Runtime::new().expect("runtime").block_on(asked).expect_err("nobody is there");
    assert!(e.message().starts_with("looking for topic a: kafka cannot be reached"), "{e:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}
