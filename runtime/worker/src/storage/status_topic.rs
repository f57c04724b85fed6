//! Writes states to the status topic in the background: no task waits for Kafka to say how it is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connect_api::Result;
use connect_kafka::TopicSpec;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

use super::{
    status_log::StatusLog,
    topic::{Entry, InternalTopic, Plan},
};

/// The way to the status topic; without one, as on a standalone worker, states live in memory only.
#[derive(Debug, Default)]
pub struct StatusTopic {
    entries: Mutex<Option<UnboundedSender<Entry>>>,
    queued: Mutex<Option<UnboundedReceiver<Entry>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl StatusTopic {
    /// Nothing is kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// For a distributed worker; records wait until [`StatusTopic::open`] has read the topic.
    pub fn in_topic() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { entries: Mutex::new(Some(sender)), queued: Mutex::new(Some(receiver)), writer: Mutex::default() }
    }

    /// Reads the status topic to its end and answers what it said; from now on records are written.
    pub async fn open(&self, worker: &crate::Worker, topic: TopicSpec) -> Result<StatusLog> {
        let plan = Plan {
            topic,
            key: "status.storage.topic",
            purpose: "connector and task statuses",
            client: "statuses",
            one_partition: false,
        };
        let log: Arc<Mutex<StatusLog>> = Arc::default();
        let target = log.clone();
        let take_up = move |record: &connect_kafka::RawRecord| {
            let mut log = target.lock().unwrap_or_else(PoisonError::into_inner);
            log.apply(record.key.as_deref(), record.value.as_deref());
        };
        let topic = InternalTopic::open(worker, &plan, take_up).await?;
        let said = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(queued) = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let writer = tokio::spawn(write(topic, queued));
            *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        }
        Ok(said)
    }

    /// Queues a record.
    pub fn put(&self, entry: Entry) {
        if let Some(sender) = &*self.entries.lock().unwrap_or_else(PoisonError::into_inner) {
            // The writer ends with the worker only.
            let _ = sender.send(entry);
        }
    }

    /// Waits until all queued records are stored, at most this long; nothing can be queued any more.
    pub async fn close(&self, limit: Duration) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        if tokio::time::timeout(limit, writer).await.is_err() {
            tracing::warn!("the last states were not stored within {} s", limit.as_secs());
        }
    }
}

async fn write(topic: InternalTopic, mut entries: UnboundedReceiver<Entry>) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, 1000).await > 0 {
        // Only the latest state of each matters.
        let mut latest: Vec<Entry> = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            latest.retain(|(key, _)| *key != entry.0);
            latest.push(entry);
        }
        if let Err(e) = topic.write(&latest).await {
            tracing::error!("states were not stored: {}", e.one_line());
        }
    }
}
