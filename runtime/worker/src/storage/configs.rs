//! Connectors, their target states and the settings of their tasks: in the configuration topic of a distributed
//! worker, or in memory.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use connect_api::{Error, Result, Settings};
use connect_kafka::TopicSpec;
use tokio::sync::{Notify, SetOnce};

use super::{
    Target,
    config_log::{self, Change, ConfigLog},
    topic::{Entry, InternalTopic, Plan},
};

/// What should run. Cloning shares it.
#[derive(Clone)]
pub struct Configs {
    log: Arc<Mutex<ConfigLog>>,
    topic: Option<Arc<SetOnce<InternalTopic>>>,
    changed: Arc<Changed>,
}

/// Connectors of which the topic has said something new.
#[derive(Default)]
struct Changed {
    names: Mutex<BTreeSet<String>>,
    any: Notify,
}

impl Changed {
    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, name: String) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        self.any.notify_one();
    }
}

/// As in Kafka Connect, for writing and reading back together.
const LIMIT: Duration = Duration::from_secs(30);

impl Configs {
    /// For a standalone worker, whose connectors are declared in files.
    pub fn in_memory() -> Self {
        Self { log: Arc::default(), topic: None, changed: Arc::default() }
    }

    /// For a distributed worker; changes wait until [`Configs::open`] has read the topic.
    pub fn in_topic() -> Self {
        Self { log: Arc::default(), topic: Some(Arc::default()), changed: Arc::default() }
    }

    /// Reads the configuration topic to its end and follows it.
    pub async fn open(&self, worker: &crate::Worker, topic: TopicSpec) -> Result<()> {
        let Some(cell) = &self.topic else { return Ok(()) };
        let plan = Plan {
            topic,
            key: "config.storage.topic",
            purpose: "connector configurations",
            client: "configs",
            one_partition: true,
        };
        let (target, changed) = (self.log.clone(), self.changed.clone());
        let take_up = move |record: &connect_kafka::RawRecord| {
            let mut log = target.lock().unwrap_or_else(PoisonError::into_inner);
            if let Change::Connector(name) = log.apply(record.key.as_deref(), record.value.as_deref()) {
                changed.add(name);
            }
        };
        let topic = InternalTopic::open(worker, &plan, take_up).await?;
        // What was there before is no news.
        self.changed.take();
        cell.set(topic).map_err(|_| Error::fatal("the configuration topic is opened once only"))
    }

    /// What is known now.
    pub fn log(&self) -> MutexGuard<'_, ConfigLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connectors of which something was stored since the last call; waits until there are some. Also what this worker
    /// has written itself: it may be stored long after whoever wrote it has given up waiting. Cancel-safe.
    pub async fn changed(&self) -> BTreeSet<String> {
        loop {
            let any = self.changed.any.notified();
            let names = self.changed.take();
            if !names.is_empty() {
                return names;
            }
            any.await;
        }
    }

    /// An error does not mean that the records will never be stored: see [`Configs::changed`].
    async fn write(&self, what: &str, entries: &[Entry]) -> Result<()> {
        let Some(topic) = &self.topic else {
            let mut log = self.log();
            entries.iter().for_each(|(key, value)| drop(log.apply(Some(key), value.as_deref())));
            return Ok(());
        };
        let written = tokio::time::timeout(LIMIT, async { topic.wait().await.write(entries).await }).await;
        let late = || Error::retriable(format!("kafka did not answer within {} s", LIMIT.as_secs()));
        written.unwrap_or_else(|_| Err(late())).map_err(|e| e.context(format!("Error writing {what} to Kafka")))
    }

    /// Stores a connector's configuration; with a target, that before it, so that a connector that is created
    /// stopped never starts.
    pub async fn put_connector(&self, name: &str, settings: &Settings, target: Option<Target>) -> Result<()> {
        let mut entries: Vec<Entry> = target.map(|t| config_log::target(name, t)).into_iter().collect();
        entries.push(config_log::connector(name, settings));
        self.write("connector configuration", &entries).await
    }

    /// Removes a connector. Its offsets and its consumer group stay.
    pub async fn remove_connector(&self, name: &str) -> Result<()> {
        self.write("connector removal", &config_log::removed(name)).await
    }

    /// Stores a target state.
    pub async fn put_target(&self, name: &str, target: Target) -> Result<()> {
        self.write("target state", &[config_log::target(name, target)]).await
    }

    /// Stores the settings of all tasks: first those, and when they are stored the commit that makes them count.
    pub async fn put_tasks(&self, name: &str, all: &[Settings]) -> Result<()> {
        const WHAT: &str = "task configurations";
        self.write(WHAT, &config_log::tasks(name, all)).await?;
        self.write(WHAT, &[config_log::commit(name, all.len())]).await
    }

    /// Stores that a restart was asked for.
    pub async fn put_restart(&self, name: &str, include_tasks: bool, only_failed: bool) -> Result<()> {
        self.write("restart request", &[config_log::restart(name, include_tasks, only_failed)]).await
    }
}

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configs")
    }
}
