//! One of the worker's own compacted topics: created or checked, read to its end, followed, and written.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use connect_api::{Error, Result};
use connect_kafka::{Admin, CompactedLog, Cut, Delivery, Outgoing, Producer, RawRecord, Role, TopicSpec};
use tokio::sync::{oneshot, watch};

use crate::{task_host::reached, worker_config::Worker};

/// What the topic must be like, and what it is for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The topic as it is created where it is missing. `cleanup.policy` is added.
    pub topic: TopicSpec,
    /// The worker's setting that names the topic, for messages.
    pub key: &'static str,
    /// What it holds, for messages.
    pub purpose: &'static str,
    /// Last part of the clients' ids.
    pub client: &'static str,
    /// Whether it may have one partition only, because the order of all its records matters.
    pub one_partition: bool,
}

/// Partition and offset of a record that was stored.
type Place = (i32, i64);

struct Answer(Mutex<Option<oneshot::Sender<Result<Place>>>>);

impl Answer {
    fn give(&self, result: Result<Place>) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Who asked may have been stopped.
            let _ = sender.send(result);
        }
    }
}

impl Delivery for Answer {
    fn delivered(&self, partition: i32, offset: i64) {
        self.give(Ok((partition, offset)));
    }

    fn failed(&self, error: Error) {
        self.give(Err(error));
    }
}

/// A record to write: key, and value or tombstone.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A compacted topic that this worker follows and writes. What has been written has been taken up by the follower
/// when the write returns, so that there is one order of things: the topic's.
pub struct InternalTopic {
    name: String,
    producer: Producer<Answer>,
    cut: Cut,
    /// The last offset of each partition that was taken up.
    read: watch::Receiver<BTreeMap<i32, i64>>,
    _log: CompactedLog,
}

const READ_LIMIT: Duration = Duration::from_secs(60);

impl InternalTopic {
    /// Creates or checks the topic, reads it to its end, and follows it: `take_up` gets every record, in order per
    /// partition, those that were there before `open` returns.
    pub async fn open(
        worker: &Worker,
        plan: &Plan,
        mut take_up: impl FnMut(&RawRecord) + Send + 'static,
    ) -> Result<Self> {
        let name = plan.topic.name.clone();
        let doing = |e: Error| e.context(format!("setting up the topic {name} ({})", plan.key));
        // The embedded broker has no admin requests; it creates topics by itself.
        if !worker.embedded {
            let admin = Admin::new(&worker.own_client(Role::Admin, &format!("connect-{}-admin", plan.client))?)?;
            ensure(&admin, plan).await.map_err(doing)?;
        }
        let consumer = worker.own_client(Role::Consumer, &format!("connect-{}-consumer", plan.client))?;
        let (log, mut batches) = CompactedLog::follow(&consumer, &name).map_err(doing)?;
        let mut ready = log.caught_up();
        let (replayed, wait) = oneshot::channel();
        let (progress, read) = watch::channel(BTreeMap::new());
        tokio::spawn(async move {
            let mut replayed = Some(replayed);
            let mut all = move |batch: Vec<RawRecord>| {
                batch.iter().for_each(&mut take_up);
                progress.send_modify(|read| read.extend(batch.iter().map(|r| (r.partition, r.offset))));
            };
            loop {
                tokio::select! {
                    biased;
                    batch = batches.recv() => match batch {
                        Some(batch) => all(batch),
                        None => return,
                    },
                    true = reached(&mut ready), if replayed.is_some() => {
                        while let Ok(batch) = batches.try_recv() {
                            all(batch);
                        }
                        if let Some(done) = replayed.take() {
                            // Nobody waits any more if the limit has passed.
                            let _ = done.send(());
                        }
                    }
                }
            }
        });
        let late = || Error::retriable(format!("it was not read to its end within {} s", READ_LIMIT.as_secs()));
        let waited = tokio::time::timeout(READ_LIMIT, wait).await;
        waited.map_err(|_| doing(late()))?.map_err(|_| doing(Error::retriable("its reader has ended")))?;
        let mut producer = worker.own_client(Role::Producer, &format!("connect-{}-producer", plan.client))?;
        connect_kafka::producer_defaults(&mut producer);
        // Java's default: few records, and topics whose max.message.bytes is low.
        producer.or_set("batch.size", "16384");
        let cut = Cut::under(&worker.lease);
        Ok(Self { producer: Producer::new(&producer)?.cut_by(&cut), cut, name, read, _log: log })
    }

    /// Writes records in order and waits until Kafka has them and the follower has taken them up.
    pub async fn write(&self, entries: &[Entry]) -> Result<()> {
        let doing = |e: Error| e.context(format!("writing to the topic {}", self.name));
        self.cut.pass().await.map_err(doing)?;
        let mut answers = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (sender, answer) = oneshot::channel();
            let record = Outgoing {
                topic: &self.name,
                partition: None,
                timestamp: None,
                key: Some(key),
                value: value.as_deref(),
                headers: &[],
            };
            self.producer.send(record, std::sync::Arc::new(Answer(Mutex::new(Some(sender))))).await.map_err(doing)?;
            answers.push(answer);
        }
        let mut last: BTreeMap<i32, i64> = BTreeMap::new();
        for answer in answers {
            let stored = answer.await.unwrap_or_else(|_| Err(Error::retriable("the producer has ended")));
            let (partition, offset) = stored.map_err(doing)?;
            let known = last.entry(partition).or_insert(offset);
            *known = offset.max(*known);
        }
        let mut read = self.read.clone();
        let all_read = |read: &BTreeMap<i32, i64>| last.iter().all(|(p, o)| read.get(p).is_some_and(|r| r >= o));
        let seen = read.wait_for(all_read).await;
        seen.map(drop).map_err(|_| doing(Error::retriable("its reader has ended")))
    }
}

/// A topic that exists must be compacted, or records would vanish; one that does not is created so.
async fn ensure(admin: &Admin, plan: &Plan) -> Result<()> {
    const POLICY: &str = "cleanup.policy";
    let topic = &plan.topic;
    let Some(partitions) = admin.partitions(&topic.name, READ_LIMIT / 2).await? else {
        let mut topic = topic.clone();
        topic.settings.retain(|(key, _)| key != POLICY);
        topic.settings.push((POLICY.to_owned(), "compact".to_owned()));
        return admin.create_topic(&topic).await.map(drop);
    };
    if plan.one_partition && partitions != 1 {
        return Err(Error::fatal(format!(
            "Topic '{}' supplied via the '{}' property is required to have a single partition in order to guarantee \
             consistency of connector configurations, but found {partitions} partitions.",
            topic.name, plan.key
        ))
        .exception("org.apache.kafka.common.config.ConfigException"));
    }
    match admin.topic_setting(&topic.name, POLICY).await {
        Ok(Some(policy)) if policy.trim() != "compact" => Err(Error::fatal(format!(
            "Topic '{name}' supplied via the '{key}' property is required to have 'cleanup.policy=compact' to guarantee \
             consistency and durability of {purpose}, but found the topic currently has 'cleanup.policy={policy}'. \
             Continuing would likely result in eventually losing {purpose} and problems restarting this Connect cluster \
             in the future. Change the '{key}' property in the Connect worker configurations to use a topic with \
             'cleanup.policy=compact'.",
            name = topic.name,
            key = plan.key,
            purpose = plan.purpose,
        ))
        .exception("org.apache.kafka.common.config.ConfigException")),
        Ok(_) => Ok(()),
        // Who may not describe a topic's settings may still use it.
        Err(e) => {
            tracing::warn!("whether the topic {} is compacted is not known: {}", topic.name, e.one_line());
            Ok(())
        }
    }
}
