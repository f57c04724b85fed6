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
    config_log::{self, Change, ConfigLog, Restart},
    topic::{Entry, InternalTopic, Plan},
};

/// What should run. Cloning shares it.
#[derive(Clone)]
pub struct Configs {
    log: Arc<Mutex<ConfigLog>>,
    topic: Option<Arc<SetOnce<InternalTopic>>>,
    changed: Arc<Changed>,
}

/// What is to be taken up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Connectors of which something was stored.
    pub connectors: BTreeSet<String>,
    /// Restarts that were asked for, in that order.
    pub restarts: Vec<Restart>,
}

/// What the topic has said that is not taken up yet.
#[derive(Default)]
struct Changed {
    news: Mutex<News>,
    any: Notify,
}

impl Changed {
    fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, change: Change) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Connector(name) => drop(news.connectors.insert(name)),
            Change::Restart(restart) => news.restarts.push(restart),
            _ => return,
        }
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
            changed.add(log.apply(record.key.as_deref(), record.value.as_deref()));
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

    /// What was stored since the last call; waits until there is something. Also what this worker has written itself: it
    /// may be stored long after whoever wrote it has given up waiting. Cancel-safe.
    pub async fn changed(&self) -> News {
        loop {
            let any = self.changed.any.notified();
            let news = self.changed.take();
            if news != News::default() {
                return news;
            }
            any.await;
        }
    }

    /// An error does not mean that the records will never be stored: see [`Configs::changed`].
    async fn write(&self, what: &str, entries: &[Entry]) -> Result<()> {
        let Some(topic) = &self.topic else {
            let mut log = self.log();
            for (key, value) in entries {
                // Nobody else changes connectors, and whoever does takes that up at once.
                if let change @ Change::Restart(_) = log.apply(Some(key), value.as_deref()) {
                    self.changed.add(change);
                }
            }
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

    /// Stores that a restart was asked for; [`Configs::changed`] tells of it, who carries it out.
    pub async fn put_restart(&self, asked: Restart) -> Result<()> {
        let Restart { connector, include_tasks, only_failed } = asked;
        self.write("restart request", &[config_log::restart(&connector, include_tasks, only_failed)]).await
    }
}

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_restart_that_is_asked_for_is_told_once() {
        let configs = Configs::in_memory();
        configs.put_connector("c", &Settings::new(), None).await.expect("stored");
        let asked = |only_failed| Restart { connector: "c".into(), include_tasks: true, only_failed };
        for only_failed in [true, false] {
            configs.put_restart(asked(only_failed)).await.expect("stored");
        }
        let news = configs.changed().await;
        assert_eq!((news.restarts, news.connectors.len()), (vec![asked(true), asked(false)], 0));
        configs.put_restart(asked(true)).await.expect("stored");
        assert_eq!(configs.changed().await.restarts, [asked(true)]);
    }
}
