//! Clients of an Apache Kafka that says for a moment that it has no brokers, as it does after it was halted: librdkafka
//! forgets all of them then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Settings};
use connect_kafka::{
    Admin, ClientSettings, CompactedLog, Delivery, Outgoing, Producer, Role, TopicSpec, producer_defaults, translate,
};
use xtask::servers::{Kafka, Server as _, without};

const SOON: Duration = Duration::from_secs(90);
/// Longer than the controller waits for a sign of life of the broker.
const HALT: Duration = Duration::from_secs(4);
const CHUNK: usize = 500;
const PRODUCERS: usize = 4;

#[derive(Default)]
struct Stored {
    count: AtomicUsize,
    failed: AtomicUsize,
}

impl Delivery for Stored {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, _error: Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

fn settings(role: Role, kafka: &Kafka) -> ClientSettings {
    translate(role, &Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())])).expect("settings")
}

/// A Kafka whose controller soon gives the broker up.
fn impatient() -> Kafka {
    Kafka::start_with(&[("broker.session.timeout.ms", "2000"), ("broker.heartbeat.interval.ms", "500")]).expect("kafka")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_stored_once_and_in_order_when_kafka_was_halted() {
    if without("kafka") {
        return;
    }
    let mut kafka =
        Kafka::start_with(&[("broker.session.timeout.ms", "2000"), ("broker.heartbeat.interval.ms", "500")])
            .expect("kafka");
    let admin = Admin::new(&settings(Role::Admin, &kafka)).expect("admin");
    let mut client = settings(Role::Producer, &kafka);
    producer_defaults(&mut client);
    let mut all = Vec::new();
    for n in 0..PRODUCERS {
        let topic = format!("t{n}");
        let spec = TopicSpec { name: topic.clone(), partitions: 1, replication_factor: 1, settings: Vec::new() };
        admin.create_topic(&spec).await.expect("topic");
        let (producer, stored) = (Producer::new(&client).expect("producer"), Arc::new(Stored::default()));
        let (log, reader) = CompactedLog::follow(&settings(Role::Consumer, &kafka), &topic).expect("follow");
        all.push((topic, producer, stored, log, reader));
    }
    let mut sent = 0;
    for _ in 0..2 {
        for halted in [false, true] {
            if halted {
                kafka.pause().expect("pause");
            }
            for (topic, producer, stored, ..) in &all {
                for n in sent..sent + CHUNK {
                    let value = n.to_string();
                    let value = Some(value.as_bytes());
                    let record = Outgoing { topic, partition: None, timestamp: None, key: None, value, headers: &[] };
                    producer.send(record, stored.clone()).await.expect("room");
                }
            }
            sent += CHUNK;
        }
        // It is the halt itself that makes the controller give the broker up.
        tokio::time::sleep(HALT).await;
        kafka.resume().expect("resume");
        for (topic, producer, stored, ..) in &all {
            producer.flush(SOON).await.unwrap_or_else(|e| panic!("{topic}: {}", e.one_line()));
            let counts = [&stored.count, &stored.failed].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(counts, [sent, 0], "{topic}");
        }
    }
    // Whoever reads had lost the brokers, too.
    for (topic, _, _, _, reader) in &mut all {
        let mut values = Vec::new();
        while values.len() < sent {
            let batch = tokio::time::timeout(SOON, reader.recv()).await;
            let batch = batch.unwrap_or_else(|_| panic!("{topic}: {} of {sent} records", values.len()));
            values.extend(batch.expect("the reader runs").into_iter().filter_map(|record| record.value));
        }
        let wanted: Vec<_> = (0..sent).map(|n| n.to_string()).collect();
        assert!(values.iter().map(|v| &v[..]).eq(wanted.iter().map(String::as_bytes)), "{topic}: another order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_topics_meanwhile_is_answered_afterwards() {
    if without("kafka") {
        return;
    }
    let mut kafka = impatient();
    let admins = [(); 4].map(|()| Admin::new(&settings(Role::Admin, &kafka)).expect("admin"));
    let spec = TopicSpec { name: "t".into(), partitions: 1, replication_factor: 1, settings: Vec::new() };
    admins[0].create_topic(&spec).await.expect("topic");
    for admin in &admins {
        assert_eq!(admin.partitions("t", SOON).await.expect("partitions"), Some(1));
    }
    kafka.pause().expect("pause");
    let asking = admins.map(|admin| {
        tokio::spawn(async move {
            let until = tokio::time::Instant::now() + HALT * 3 / 2;
            while tokio::time::Instant::now() < until {
                // Whatever the answer is while Kafka is not well.
                let _ = admin.partitions("t", Duration::from_millis(300)).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            admin
        })
    });
    tokio::time::sleep(HALT).await;
    kafka.resume().expect("resume");
    for asking in asking {
        let admin = asking.await.expect("it asks");
        // As tasks do that wait for a topic.
        let answered = async {
            while admin.partitions("t", Duration::from_secs(5)).await.ok().flatten() != Some(1) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(SOON, answered).await.expect("an answer");
    }
}
