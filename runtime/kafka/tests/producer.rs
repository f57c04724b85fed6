//! The producer's bounds, on Apache Kafka.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, ErrorClass, Settings};
use connect_kafka::{Delivery, Outgoing, Producer, Role, producer_defaults, translate};
use xtask::servers::{Kafka, without};

#[derive(Default)]
struct Stored(AtomicUsize);

impl Delivery for Stored {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, error: Error) {
        panic!("{error:?}");
    }
}

#[test]
fn a_record_that_never_fits_is_refused_and_all_others_wait_for_room() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let java = Settings::from([
        ("bootstrap.servers", kafka.bootstrap().as_str()),
        ("max.request.size", "4000000"),
        ("buffer.memory", "1048576"),
    ]);
    let mut settings = translate(Role::Producer, &java).expect("settings");
    producer_defaults(&mut settings);
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let producer = Producer::new(&settings).expect("producer");
        let stored = Arc::new(Stored::default());
        let send = async |bytes: usize| {
            let value = vec![b'x'; bytes];
            let value = Some(value.as_slice());
            let record = Outgoing { topic: "t", partition: None, timestamp: None, key: None, value, headers: &[] };
            tokio::time::timeout(Duration::from_secs(60), producer.send(record, stored.clone()))
                .await
                .expect("an answer")
        };
        for _ in 0..20 {
            send(200_000).await.expect("room");
        }
        let e = send(2_000_000).await.expect_err("more than the buffer");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(
            e.one_line().contains("its 2000000 bytes are more than the producer's buffer holds"),
            "{}",
            e.one_line()
        );
        send(1_000).await.expect("room");
        producer.flush(Duration::from_secs(60)).await.expect("flush");
        assert_eq!(stored.0.load(Ordering::Relaxed), 21);
    });
}

#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Delivery for Failures {
    fn delivered(&self, partition: i32, _offset: i64) {
        assert_eq!(partition, 0);
    }

    fn failed(&self, error: Error) {
        self.0.lock().expect("no panic").push(error.one_line());
    }
}

#[test]
fn a_partition_that_the_topic_has_not_got_is_named_with_the_way_out() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
    let mut settings = translate(Role::Producer, &java).expect("settings");
    producer_defaults(&mut settings);
    tokio::runtime::Runtime::new().expect("runtime").block_on(async {
        let failures = Arc::new(Failures::default());
        // The first producer knows the topic, which it has made, the second one does not yet.
        for first in [Some(0), None] {
            let producer = Producer::new(&settings).expect("producer");
            for partition in first.into_iter().chain([7]) {
                let (partition, value) = (Some(partition), Some(&b"x"[..]));
                let record = Outgoing { topic: "few", partition, timestamp: None, key: None, value, headers: &[] };
                if let Err(e) = producer.send(record, failures.clone()).await {
                    failures.0.lock().expect("no panic").push(e.one_line());
                }
                producer.flush(Duration::from_secs(60)).await.expect("flush");
            }
        }
        let failures = failures.0.lock().expect("no panic").clone();
        assert_eq!(failures.len(), 2, "{failures:?}");
        for text in failures {
            assert!(text.contains("a record to topic few, which has no partition 7"), "{text}");
            assert!(text.contains("target.partition.keep=false"), "{text}");
        }
    });
}
