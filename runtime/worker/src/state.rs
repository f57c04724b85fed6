//! Keyed state of connectors: one compacted topic for the whole worker.
//!
//! Key: the JSON array `["connector","state name","key"]`; value: the bytes, or a tombstone.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use connect_api::{Bytes, Error, Result, State, async_trait};
use connect_kafka::{ClientSettings, CompactedLog, Cut, TopicSpec};
use tokio::sync::OnceCell;

use crate::{
    storage::topic::{InternalTopic, Plan},
    task_host::reached,
    worker_config::Worker,
};

type Entries = BTreeMap<(String, String), BTreeMap<String, Bytes>>;

struct Open {
    topic: InternalTopic,
    entries: Arc<RwLock<Entries>>,
}

/// The state topic, opened when a task first asks for state.
pub struct StateTopic {
    worker: Worker,
    open: OnceCell<Arc<Open>>,
}

impl StateTopic {
    /// Nothing is opened yet.
    pub fn new(worker: Worker) -> Self {
        Self { worker, open: OnceCell::new() }
    }

    /// The state of that name. It is only read once this is cut.
    pub async fn state(&self, connector: &str, name: &str, cut: &Cut) -> Result<Arc<dyn State>> {
        let open = self.open.get_or_try_init(|| self.open()).await?.clone();
        Ok(Arc::new(Part { open, connector: connector.to_owned(), name: name.to_owned(), cut: cut.clone() }))
    }

    /// A copy of the state of that name, read with these client settings. It belongs to whoever asked: what is put into
    /// it stays in memory, and the topic is not created.
    pub async fn copy(&self, client: &ClientSettings, connector: &str, name: &str) -> Result<Arc<dyn State>> {
        let (log, mut batches) = CompactedLog::follow(client, &self.worker.config.state_topic)?;
        let entries: RwLock<Entries> = RwLock::default();
        let mut caught_up = log.caught_up();
        loop {
            tokio::select! {
                biased;
                batch = batches.recv() => match batch {
                    Some(batch) => batch.iter().for_each(|r| apply(&entries, r.key.as_deref(), r.value.clone())),
                    None => return Err(Error::retriable(format!("reading state {name} of {connector}"))),
                },
                true = reached(&mut caught_up) => break,
            }
        }
        let mut all = entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let own = all.remove(&(connector.to_owned(), name.to_owned())).unwrap_or_default();
        Ok(Arc::new(Copied(RwLock::new(own))))
    }

    async fn open(&self) -> Result<Arc<Open>> {
        let config = &self.worker.config;
        let plan = Plan {
            topic: TopicSpec {
                name: config.state_topic.clone(),
                partitions: 1,
                replication_factor: config.state_replication.into(),
                settings: Vec::new(),
            },
            key: "state.storage.topic",
            purpose: "keyed state",
            client: "state",
            one_partition: false,
        };
        let entries: Arc<RwLock<Entries>> = Arc::default();
        let target = entries.clone();
        let take_up =
            move |record: &connect_kafka::RawRecord| apply(&target, record.key.as_deref(), record.value.clone());
        Ok(Arc::new(Open { topic: InternalTopic::open(&self.worker, &plan, take_up).await?, entries }))
    }
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

struct Copied(RwLock<BTreeMap<String, Bytes>>);

#[async_trait]
impl State for Copied {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn entries(&self) -> Vec<(Arc<str>, Bytes)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(k, v)| (Arc::from(k.as_str()), v.clone())).collect()
    }

    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => drop(all.insert(key.to_owned(), value)),
            None => drop(all.remove(key)),
        }
        Ok(())
    }
}

struct Part {
    open: Arc<Open>,
    connector: String,
    name: String,
    cut: Cut,
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
        self.cut.pass().await?;
        let full = key_of(&self.connector, &self.name, key).into_bytes();
        let written = self.open.topic.write(&[(full, value.map(|v| v.to_vec()))]).await;
        written.map_err(|e| e.context(format!("keeping state {} of {}", self.name, self.connector)))
    }
}
