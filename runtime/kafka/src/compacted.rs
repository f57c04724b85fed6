//! Follows a topic from its beginning: the reader behind tables, keyed state and, later, the internal topics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use connect_api::{Error, Result, Topic};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::{mpsc, watch};

use crate::{
    RawRecord,
    client::{Context, LOOK_AT_BROKERS},
    error::not_created,
    record::Collector,
    settings::{ClientSettings, Role},
};

/// A topic being followed. Dropping it ends the reading.
pub struct CompactedLog {
    stop: Arc<AtomicBool>,
    exists: Arc<AtomicBool>,
    caught_up: watch::Receiver<bool>,
}

const POLL: Duration = Duration::from_millis(50);
const METADATA: Duration = Duration::from_secs(5);

impl CompactedLog {
    /// Reads all partitions of the topic from the beginning and goes on as records arrive. Batches go into
    /// the channel in order per partition. A topic that does not exist counts as read, and is followed as
    /// soon as it exists.
    pub fn follow(settings: &ClientSettings, topic: &str) -> Result<(Self, mpsc::Receiver<Vec<RawRecord>>)> {
        let mut settings = settings.clone();
        settings.native.insert("enable.partition.eof".into(), "true".into());
        settings.native.insert("enable.auto.commit".into(), "false".into());
        settings.native.insert("auto.offset.reset".into(), "earliest".into());
        settings.native.insert("allow.auto.create.topics".into(), "false".into());
        // librdkafka wants a group even where none is joined.
        settings.or_set("group.id", "connect-reader");
        settings.or_set("queued.max.messages.kbytes", "4096");
        // An empty topic says that it is only when a fetch has waited this long, and tasks start behind it.
        settings.or_set("fetch.wait.max.ms", "100");
        settings.or_set("statistics.interval.ms", &LOOK_AT_BROKERS.as_millis().to_string());
        let made = settings.config().create_with_context(Context::default());
        let consumer: BaseConsumer<Context> =
            made.map_err(|e| not_created(Role::Consumer, &format!("the reader of topic {topic}"), &e))?;
        consumer.context().of(consumer.client(), &settings);
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, caught_up) = watch::channel(false);
        let (records, receiver) = mpsc::channel(4);
        let exists = Arc::new(AtomicBool::new(false));
        let reader =
            Reader { consumer, topic: topic.into(), stop: stop.clone(), exists: exists.clone(), ready, records };
        let place = tracing::Span::current();
        let spawned = thread::Builder::new().name("kafka-reader".into()).spawn(move || place.in_scope(|| reader.run()));
        spawned.map_err(|e| Error::fatal(format!("starting the reader of topic {topic}")).caused_by(e))?;
        Ok((Self { stop, exists, caught_up }, receiver))
    }

    /// Whether the topic exists, as far as is known so far; it is known once it has been read to its end.
    pub fn exists(&self) -> Arc<AtomicBool> {
        self.exists.clone()
    }

    /// Resolves to whether everything that the topic held has been handed over; the receiver may still have
    /// to take it. `true` once, for good.
    pub fn caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.clone()
    }
}

impl Drop for CompactedLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for CompactedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompactedLog(caught up: {})", *self.caught_up.borrow())
    }
}

struct Reader {
    consumer: BaseConsumer<Context>,
    topic: Topic,
    stop: Arc<AtomicBool>,
    exists: Arc<AtomicBool>,
    ready: watch::Sender<bool>,
    records: mpsc::Sender<Vec<RawRecord>>,
}

impl Reader {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.records.is_closed()
    }

    fn run(self) {
        let Some(partitions) = self.assign() else { return };
        let mut at_end = vec![false; partitions];
        let mut collector = Collector::default();
        while !self.stopping() {
            let wait = if collector.is_empty() { POLL } else { Duration::ZERO };
            let mut idle = false;
            match self.consumer.poll(wait) {
                Some(Ok(message)) => collector.push(&message),
                Some(Err(KafkaError::PartitionEOF(p))) => {
                    if let Some(end) = usize::try_from(p).ok().and_then(|p| at_end.get_mut(p)) {
                        *end = true;
                    }
                    idle = true;
                }
                Some(Err(e)) => tracing::debug!("reading topic {}: {e}", self.topic),
                None => idle = true,
            }
            if (collector.len() >= 500 || (idle && !collector.is_empty()))
                && self.records.blocking_send(collector.take(|_| true)).is_err()
            {
                return;
            }
            if collector.is_empty() && at_end.iter().all(|e| *e) {
                self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
            }
        }
    }

    /// Waits until the topic exists and assigns all of its partitions.
    fn assign(&self) -> Option<usize> {
        while !self.stopping() {
            match self.consumer.fetch_metadata(Some(&self.topic), METADATA) {
                Ok(metadata) => {
                    let found = metadata.topics().iter().find(|t| t.name() == &*self.topic);
                    let exists = found.filter(|t| t.error().is_none() && !t.partitions().is_empty());
                    if let Some(topic) = exists {
                        let mut list = TopicPartitionList::new();
                        for p in topic.partitions() {
                            // The offset is one of librdkafka's own; it cannot be refused.
                            if let Err(e) = list.add_partition_offset(&self.topic, p.id(), Offset::Beginning) {
                                tracing::error!("assigning topic {}: {e}", self.topic);
                            }
                        }
                        match self.consumer.assign(&list) {
                            Ok(()) => {
                                self.exists.store(true, Ordering::Release);
                                return Some(topic.partitions().len());
                            }
                            Err(e) => tracing::warn!("assigning topic {}: {e}", self.topic),
                        }
                    } else if found.is_none_or(|t| {
                        matches!(
                            t.error().map(Code::from),
                            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) | None
                        )
                    }) {
                        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
                    }
                }
                Err(e) => tracing::debug!("looking for topic {}: {e}", self.topic),
            }
            // The event queue has to be served even while there is nothing to read.
            drop(self.consumer.poll(Duration::from_millis(200)));
        }
        None
    }
}
