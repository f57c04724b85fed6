//! Records of a topic, read from its beginning without a group.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, PartitionOffset, Settings, TopicPartition};
use connect_kafka::{
    Admin, CompactedLog, Delivery, GroupOffsets, Outgoing, Producer, RawRecord, Role, TopicSpec, translate,
};
use tokio::runtime::Runtime;

struct Sent;

impl Delivery for Sent {
    fn delivered(&self, _partition: i32, _offset: i64) {}

    fn failed(&self, error: Error) {
        panic!("{error:?}");
    }
}

/// A reader of topics with a runtime of its own.
pub struct Reader {
    runtime: Runtime,
    bootstrap: String,
}

impl Reader {
    /// Reads from the cluster at this address.
    pub fn new(bootstrap: &str) -> Self {
        Self { runtime: Runtime::new().expect("runtime"), bootstrap: bootstrap.to_owned() }
    }

    fn settings(&self, role: Role) -> connect_kafka::ClientSettings {
        translate(role, &Settings::from([("bootstrap.servers", self.bootstrap.as_str())])).expect("settings")
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let admin = Admin::new(&self.settings(Role::Admin)).expect("admin");
        self.runtime.block_on(admin.create_topic(&spec)).expect("creating the topic");
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let admin = Admin::new(&self.settings(Role::Admin)).expect("admin");
        self.runtime.block_on(admin.topics(Duration::from_secs(60))).expect("listing topics")
    }

    /// Writes a record and waits until Kafka has it.
    pub fn write(&self, topic: &str, key: &str, value: Option<&[u8]>) {
        self.write_all(topic, [(key.to_owned(), value.map(<[u8]>::to_vec))]);
    }

    /// Writes records in order and waits until Kafka has all of them.
    pub fn write_all(&self, topic: &str, records: impl IntoIterator<Item = (String, Option<Vec<u8>>)>) {
        let mut settings = self.settings(Role::Producer);
        connect_kafka::producer_defaults(&mut settings);
        self.runtime.block_on(async {
            let producer = Producer::new(&settings).expect("producer");
            for (key, value) in records {
                let (key, value) = (Some(key.as_bytes()), value.as_deref());
                let record = Outgoing { topic, partition: None, timestamp: None, key, value, headers: &[] };
                producer.send(record, Arc::new(Sent)).await.expect("send");
            }
            producer.flush(Duration::from_secs(20)).await.expect("flush");
        });
    }

    /// Writes a record and waits until Kafka has it.
    pub fn send(&self, record: Outgoing<'_>) {
        let mut settings = self.settings(Role::Producer);
        connect_kafka::producer_defaults(&mut settings);
        self.runtime.block_on(async {
            let producer = Producer::new(&settings).expect("producer");
            producer.send(record, Arc::new(Sent)).await.expect("send");
            producer.flush(Duration::from_secs(20)).await.expect("flush");
        });
    }

    /// Sets what a group has committed, as if it had read so far.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let group = GroupOffsets::new(&self.settings(Role::Admin), group).expect("group");
        let partition = TopicPartition { topic: topic.into(), partition };
        let set = self.runtime.block_on(group.alter(&[PartitionOffset { partition, offset }]));
        set.map_err(connect_kafka::GroupError::into_error).expect("committing");
    }

    /// The latest record of a key once the topic has been read to its present end and `enough` says so.
    pub fn latest(
        &self,
        topic: &str,
        key: &str,
        limit: Duration,
        mut enough: impl FnMut(Option<&RawRecord>) -> bool,
    ) -> RawRecord {
        let of_key = |all: &[RawRecord]| all.iter().rev().find(|r| r.key.as_deref() == Some(key.as_bytes())).cloned();
        let all = self.until(topic, limit, |all| enough(of_key(all).as_ref()));
        of_key(&all).expect("a record of the key")
    }

    /// All that the topic holds by now; nothing if there is none.
    pub fn all(&self, topic: &str) -> Vec<RawRecord> {
        let (log, mut batches) = CompactedLog::follow(&self.settings(Role::Consumer), topic).expect("follow");
        let mut caught_up = log.caught_up();
        let mut all = Vec::new();
        self.runtime.block_on(async {
            let read = async {
                loop {
                    // Nobody is to wait for room in the channel.
                    tokio::select! {
                        biased;
                        Some(batch) = batches.recv() => all.extend(batch),
                        done = caught_up.wait_for(|done| *done) => {
                            drop(done.expect("the reader says when it is done"));
                            break;
                        }
                    }
                }
                while let Ok(batch) = batches.try_recv() {
                    all.extend(batch);
                }
            };
            tokio::time::timeout(Duration::from_secs(60), read).await.unwrap_or_else(|_| panic!("reading {topic}"));
        });
        all
    }

    /// Reads until `enough` says so; panics after the limit with how many records there were.
    pub fn until(&self, topic: &str, limit: Duration, mut enough: impl FnMut(&[RawRecord]) -> bool) -> Vec<RawRecord> {
        let settings = self.settings(Role::Consumer);
        let (_log, mut batches) = CompactedLog::follow(&settings, topic).expect("follow");
        let mut all = Vec::new();
        let deadline = std::time::Instant::now() + limit;
        // The condition may itself block, so it is asked outside of the runtime.
        while !enough(&all) {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match self.runtime.block_on(async { tokio::time::timeout(left, batches.recv()).await }) {
                Ok(Some(batch)) => all.extend(batch),
                Ok(None) => panic!("the reader of {topic} has ended"),
                Err(_) => panic!(
                    "waited {} s for records of {topic}, of which there are {}: {:?}",
                    limit.as_secs(),
                    all.len(),
                    all.last()
                ),
            }
        }
        all
    }
}
