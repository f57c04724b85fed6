//! Keyed state of connectors: one compacted topic for the whole worker.
//!
//! Key: the JSON array `["connector","state name","key"]`; value: the bytes, or a tombstone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use connect_api::{Bytes, Error, Result, State, async_trait};
use connect_kafka::{Admin, ClientSettings, CompactedLog, Delivery, Outgoing, Producer, RawRecord, Role, TopicSpec};
use tokio::sync::{OnceCell, oneshot, watch};

use crate::{task_host::reached, worker_config::Worker};

type Entries = BTreeMap<(String, String), BTreeMap<String, Bytes>>;

/// Partition and offset of a record that was stored.
type Place = (i32, i64);

struct Answer(Mutex<Option<oneshot::Sender<Result<Place>>>>);

impl Answer {
    fn give(&self, result: Result<Place>) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The task that asked may have been stopped.
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

struct Open {
    topic: String,
    producer: Producer<Answer>,
    entries: Arc<RwLock<Entries>>,
    /// The last offset of each partition that is among the entries.
    read: watch::Receiver<BTreeMap<i32, i64>>,
    _log: CompactedLog,
}

/// The state topic, opened when a task first asks for state.
pub struct StateTopic {
    worker: Worker,
    open: OnceCell<Arc<Open>>,
}

const REPLAY_LIMIT: Duration = Duration::from_secs(60);

impl StateTopic {
    /// Nothing is opened yet.
    pub fn new(worker: Worker) -> Self {
        Self { worker, open: OnceCell::new() }
    }

    /// The state of that name.
    pub async fn state(&self, connector: &str, name: &str) -> Result<Arc<dyn State>> {
        let open = self.open.get_or_try_init(|| self.open()).await?;
        Ok(Arc::new(Part { open: open.clone(), connector: connector.to_owned(), name: name.to_owned() }))
    }

    async fn open(&self) -> Result<Arc<Open>> {
        let topic = self.worker.config.state_topic.clone();
        let mut producer = self.worker.own_client(Role::Producer, "connect-state-producer")?;
        connect_kafka::producer_defaults(&mut producer);
        if !self.worker.embedded {
            ensure_topic(
                &self.worker.own_client(Role::Admin, "connect-state-admin")?,
                &topic,
                self.worker.config.state_replication,
            )
            .await?;
        }
        let consumer = self.worker.own_client(Role::Consumer, "connect-state-consumer")?;
        let (log, mut batches) = CompactedLog::follow(&consumer, &topic)?;
        let entries: Arc<RwLock<Entries>> = Arc::default();
        let mut ready = log.caught_up();
        let target = entries.clone();
        let (replayed, wait) = oneshot::channel();
        let (progress, read) = watch::channel(BTreeMap::new());
        tokio::spawn(async move {
            let mut replayed = Some(replayed);
            let take_up = |batch: Vec<RawRecord>| {
                batch.iter().for_each(|r| apply(&target, r.key.as_deref(), r.value.clone()));
                progress.send_modify(|all| all.extend(batch.iter().map(|r| (r.partition, r.offset))));
            };
            loop {
                tokio::select! {
                    biased;
                    batch = batches.recv() => match batch {
                        Some(batch) => take_up(batch),
                        None => return,
                    },
                    true = reached(&mut ready), if replayed.is_some() => {
                        while let Ok(batch) = batches.try_recv() {
                            take_up(batch);
                        }
                        if let Some(done) = replayed.take() {
                            // Nobody waits any more if the limit has passed.
                            let _ = done.send(());
                        }
                    }
                }
            }
        });
        let waited = tokio::time::timeout(REPLAY_LIMIT, wait).await;
        waited
            .map_err(|_| {
                Error::retriable(format!(
                    "reading the state topic {topic} to its end within {} s",
                    REPLAY_LIMIT.as_secs()
                ))
            })?
            .map_err(|_| Error::retriable(format!("reading the state topic {topic}")))?;
        Ok(Arc::new(Open { topic, producer: Producer::new(&producer)?, entries, read, _log: log }))
    }
}

async fn ensure_topic(admin: &ClientSettings, topic: &str, replication: i16) -> Result<()> {
    let admin = Admin::new(admin)?;
    if admin.partitions(topic, Duration::from_secs(30)).await?.is_none() {
        let settings = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        admin
            .create_topic(&TopicSpec {
                name: topic.to_owned(),
                partitions: 1,
                replication_factor: replication.into(),
                settings,
            })
            .await?;
    }
    Ok(())
}

fn key_of(connector: &str, name: &str, key: &str) -> String {
    serde_json::json!([connector, name, key]).to_string()
}

fn apply(entries: &RwLock<Entries>, key: Option<&[u8]>, value: Option<Bytes>) {
    // Records of other shapes are somebody else's.
    let Some(Ok((connector, name, key))) = key.map(serde_json::from_slice::<(String, String, String)>) else { return };
    let mut all = entries.write().unwrap_or_else(PoisonError::into_inner);
    let part = all.entry((connector, name)).or_default();
    match value {
        Some(value) => drop(part.insert(key, value)),
        None => drop(part.remove(&key)),
    }
}

struct Part {
    open: Arc<Open>,
    connector: String,
    name: String,
}

#[async_trait]
impl State for Part {
    fn get(&self, key: &str) -> Option<Bytes> {
        let all = self.open.entries.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&(self.connector.clone(), self.name.clone()))?.get(key).cloned()
    }

    fn entries(&self) -> Vec<(Arc<str>, Bytes)> {
        let all = self.open.entries.read().unwrap_or_else(PoisonError::into_inner);
        let part = all.get(&(self.connector.clone(), self.name.clone()));
        part.into_iter().flatten().map(|(k, v)| (Arc::from(k.as_str()), v.clone())).collect()
    }

    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()> {
        let full = key_of(&self.connector, &self.name, key);
        let (sender, answer) = oneshot::channel();
        let record = Outgoing {
            topic: &self.open.topic,
            partition: None,
            timestamp: None,
            key: Some(full.as_bytes()),
            value: value.as_deref(),
            headers: &[],
        };
        self.open.producer.send(record, Arc::new(Answer(Mutex::new(Some(sender))))).await?;
        let doing = || format!("keeping state {} of {}", self.name, self.connector);
        let stored = answer.await.unwrap_or_else(|_| Err(Error::retriable("the producer has ended")));
        let (partition, offset) = stored.map_err(|e| e.context(doing()))?;
        // Only the reader of the topic changes the entries: writing them here, too, would let an older record that
        // it reads later hide this one for a moment.
        let mut read = self.open.read.clone();
        let seen = read.wait_for(|all| all.get(&partition).is_some_and(|last| *last >= offset)).await;
        seen.map(drop).map_err(|_| Error::retriable("the reader of the state topic has ended").context(doing()))
    }
}
