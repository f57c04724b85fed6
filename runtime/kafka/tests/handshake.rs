//! The rebalance handshake, on librdkafka's in-process cluster; groups of Apache Kafka are tested end to end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, PartitionOffset, Settings, TopicPartition};
use connect_kafka::{
    Admin, Consumer, Delivery, Event, Outgoing, Producer, RawRecord, Role, TopicSpec, consumer::Options,
    consumer_defaults, producer_defaults, translate,
};
use rdkafka::mocking::MockCluster;
use tokio::time::timeout;

#[derive(Default)]
struct Count(AtomicUsize);

impl Delivery for Count {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, error: Error) {
        panic!("{error:?}");
    }
}

async fn produce(bootstrap: &str, topic: &str, numbers: impl ExactSizeIterator<Item = usize>) {
    let mut settings =
        translate(Role::Producer, &Settings::from([("bootstrap.servers", bootstrap)])).expect("settings");
    producer_defaults(&mut settings);
    let producer = Producer::new(&settings).expect("producer");
    let count = Arc::new(Count::default());
    let total = numbers.len();
    for n in numbers {
        let value = n.to_string();
        let record = Outgoing {
            topic,
            partition: Some((n % 4) as i32),
            timestamp: None,
            key: None,
            value: Some(value.as_bytes()),
            headers: &[("h", Some(b"1"))],
        };
        producer.send(record, count.clone()).await.expect("send");
    }
    producer.flush(Duration::from_secs(20)).await.expect("flush");
    assert_eq!(count.0.load(Ordering::Relaxed), total);
}

fn consumer(bootstrap: &str, topic: &str) -> Consumer {
    let java = Settings::from([
        ("bootstrap.servers", bootstrap),
        ("group.id", "connect-test"),
        ("session.timeout.ms", "6000"),
    ]);
    let mut settings = translate(Role::Consumer, &java).expect("settings");
    consumer_defaults(&mut settings);
    let options = Options {
        topics: vec![topic.to_owned()],
        max_poll_records: 50,
        max_poll_interval: Duration::from_secs(300),
        handover_limit: Duration::from_secs(10),
    };
    Consumer::subscribe(&settings, &options).expect("consumer")
}

/// A task that keeps records in memory until a flush, as sinks do.
#[derive(Default)]
struct Task {
    pending: BTreeMap<TopicPartition, i64>,
    seen: Vec<usize>,
    revocations: usize,
    // librdkafka's in-process cluster refuses commits while a group rebalances; Apache Kafka takes them.
    refused: bool,
}

impl Task {
    fn put(&mut self, batch: &[RawRecord]) {
        for r in batch {
            assert_eq!(r.headers, [("h".into(), Some("1".into()))]);
            let text = std::str::from_utf8(r.value.as_deref().expect("value")).expect("text");
            self.seen.push(text.parse().expect("number"));
            self.pending.insert(TopicPartition { topic: r.topic.clone(), partition: r.partition }, r.offset + 1);
        }
    }

    async fn step(&mut self, consumer: &mut Consumer) {
        match timeout(Duration::from_millis(200), consumer.next()).await {
            Ok(Some(Event::Batch(batch))) => self.put(&batch),
            Ok(Some(Event::Revoked(handover))) => {
                self.revocations += 1;
                let offsets = std::mem::take(&mut self.pending);
                let offsets: Vec<_> =
                    offsets.into_iter().map(|(partition, offset)| PartitionOffset { partition, offset }).collect();
                self.refused |= consumer.commit(&offsets).await.is_err();
                handover.done();
            }
            Ok(Some(Event::Failed(e))) => panic!("{e:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_flush_and_commit_on_the_embedded_cluster() {
    let cluster = MockCluster::new(1).expect("cluster");
    cluster.create_topic("t", 4, 1).expect("topic");
    let seen = two_members(cluster.bootstrap_servers()).await.0;
    let distinct: std::collections::BTreeSet<_> = seen.into_iter().collect();
    assert_eq!(distinct.len(), 800, "each record at least once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_flush_and_commit_so_that_nothing_comes_twice_on_apache_kafka() {
    if xtask::servers::without("kafka") {
        return;
    }
    let started = tokio::task::spawn_blocking(xtask::servers::Kafka::start).await.expect("thread");
    let kafka = started.expect("kafka");
    let java = Settings::from([("bootstrap.servers", kafka.bootstrap())]);
    let admin = Admin::new(&translate(Role::Admin, &java).expect("settings")).expect("admin");
    let spec = TopicSpec { name: "t".into(), partitions: 4, replication_factor: 1, settings: Vec::new() };
    assert!(admin.create_topic(&spec).await.expect("topic"));
    assert!(!admin.create_topic(&spec).await.expect("a topic that exists is left as it is"));
    assert_eq!(admin.partitions("t", Duration::from_secs(10)).await.expect("metadata"), Some(4));
    let (seen, refused) = two_members(kafka.bootstrap()).await;
    assert!(!refused, "commits are taken while the group rebalances");
    assert_eq!(seen, (0..800).collect::<Vec<_>>(), "each record exactly once");
    tokio::task::spawn_blocking(move || drop(kafka)).await.expect("thread");
}

/// The numbers that both members saw, sorted, and whether a commit was refused.
async fn two_members(bootstrap: String) -> (Vec<usize>, bool) {
    produce(&bootstrap, "t", 0..400).await;

    let (mut first, mut a) = (consumer(&bootstrap, "t"), Task::default());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while a.seen.len() < 400 && tokio::time::Instant::now() < deadline {
        a.step(&mut first).await;
    }
    // A second member takes half of the partitions: the first must hand over what it has not committed.
    let (mut second, mut b) = (consumer(&bootstrap, "t"), Task::default());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while a.revocations == 0 && tokio::time::Instant::now() < deadline {
        a.step(&mut first).await;
        b.step(&mut second).await;
    }
    assert_eq!(a.revocations, 1, "the first member was asked to hand over");
    produce(&bootstrap, "t", 400..800).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let distinct = |a: &Task, b: &Task| a.seen.iter().chain(&b.seen).collect::<std::collections::BTreeSet<_>>().len();
    while distinct(&a, &b) < 800 && tokio::time::Instant::now() < deadline {
        a.step(&mut first).await;
        b.step(&mut second).await;
    }
    assert!(!b.seen.is_empty(), "the second member got partitions");
    let mut all = [a.seen.as_slice(), b.seen.as_slice()].concat();
    all.sort_unstable();
    first.close(Duration::from_secs(10)).await;
    second.close(Duration::from_secs(10)).await;
    (all, a.refused || b.refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_resumes_behind_its_commit_and_closing_is_quick() {
    let cluster = MockCluster::new(1).expect("cluster");
    cluster.create_topic("t", 4, 1).expect("topic");
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "t", 0..100).await;
    let (mut first, mut a) = (consumer(&bootstrap, "t"), Task::default());
    while a.seen.len() < 100 {
        a.step(&mut first).await;
    }
    let half: Vec<_> = a.pending.keys().map(|p| PartitionOffset { partition: p.clone(), offset: 10 }).collect();
    first.commit(&half).await.expect("commit");
    let started = std::time::Instant::now();
    first.close(Duration::from_secs(10)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let (mut second, mut b) = (consumer(&bootstrap, "t"), Task::default());
    while b.seen.len() < 60 {
        b.step(&mut second).await;
    }
    b.seen.sort_unstable();
    assert_eq!(b.seen, (40..100).collect::<Vec<_>>());
    second.close(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_moved_as_soon_as_it_is_assigned() {
    let cluster = MockCluster::new(1).expect("cluster");
    cluster.create_topic("t", 1, 1).expect("topic");
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "t", (0..40).map(|n| n * 4)).await;
    // The answer to the question for the committed offset takes its time.
    cluster.broker_round_trip_time(1, Duration::from_millis(300)).expect("slow");
    let mut consumer = consumer(&bootstrap, "t");
    let mut first = None;
    for _ in 0..100 {
        match timeout(Duration::from_secs(20), consumer.next()).await.expect("an event") {
            Some(Event::Assigned(partitions)) => {
                let offset = |partition| PartitionOffset { partition, offset: 30 };
                consumer.seek(partitions.into_iter().map(offset).collect()).await.expect("moved");
            }
            Some(Event::Batch(batch)) => first = batch.first().map(|r| r.offset),
            Some(Event::Failed(e)) => panic!("{e:?}"),
            _ => {}
        }
        if first.is_some() {
            break;
        }
    }
    assert_eq!(first, Some(30));
    consumer.close(Duration::from_secs(5)).await;
}
