//! The consumer of a sink task: librdkafka's blocking poll on a thread of its own. What happens comes through one
//! channel, and so does the [`handshake`](crate::handshake) of a rebalance.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    thread,
    time::Duration,
};

use connect_api::{Error, PartitionOffset, Result, Topic, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    RawRecord,
    client::{Bounds, Context, LOOK_AT_BROKERS},
    cut::Cut,
    deleted::{Awaited, DeletedUnread, deleted_unread},
    error::{kafka_error, not_created},
    handshake::{Bridge, Event, Numbered},
    identities::Ids,
    poll_loop::PollLoop,
    settings::{ClientSettings, Role},
    topic_ids::topic_ids_of,
};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Topic names, or one that starts with `^`: a regular expression.
    pub topics: Vec<String>,
    /// Most records of a batch.
    pub max_poll_records: usize,
    /// `max.poll.interval.ms`.
    pub max_poll_interval: Duration,
    /// How long a revocation waits for the runner.
    pub handover_limit: Duration,
}

/// A consumer with its thread. Close it with [`Consumer::close`]; dropping it closes it in the background.
pub struct Consumer {
    events: mpsc::Receiver<Numbered>,
    inner: Arc<BaseConsumer<Bridge>>,
    seeks: std_mpsc::Sender<Seek>,
    kept: VecDeque<Numbered>,
    /// How many seeks were asked for, and what the latest of them moved: a batch with a lower number was
    /// read before them.
    seek_count: u64,
    moved: Vec<(u64, Vec<TopicPartition>)>,
    closed: oneshot::Receiver<()>,
    cut: Cut,
}

pub(crate) struct Seek {
    pub(crate) offsets: Vec<PartitionOffset>,
    pub(crate) done: oneshot::Sender<Result<()>>,
}

/// Adds the defaults of the worker's consumers.
pub fn consumer_defaults(settings: &mut ClientSettings) {
    settings
        .or_set("auto.offset.reset", "earliest")
        .or_set("enable.auto.commit", "false")
        .or_set("enable.auto.offset.store", "false")
        // Java's default; librdkafka's is read_committed.
        .or_set("isolation.level", "read_uncommitted")
        // Java's default: a subscription may create its topics where the broker allows it.
        .or_set("allow.auto.create.topics", "true")
        // librdkafka would prefetch 64 MiB or 100,000 messages, and wait a second when that is full.
        .or_set("queued.max.messages.kbytes", "4096")
        .or_set("queued.min.messages", "10000")
        .or_set("fetch.queue.backoff.ms", "50")
        .or_set("statistics.interval.ms", &LOOK_AT_BROKERS.as_millis().to_string())
        // A topic that does not exist yet is looked for this often.
        .or_set("topic.metadata.refresh.interval.ms", "5000");
}

impl Consumer {
    /// Subscribes; the group is joined in the background. `settings` must have a `group.id`.
    pub fn subscribe(settings: &ClientSettings, options: &Options) -> Result<Self> {
        let (sender, events) = mpsc::channel(2);
        let bridge = Bridge {
            client: Context::default(),
            events: sender,
            seeks: AtomicU64::new(0),
            runtime: Handle::current(),
            closing: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            held: Mutex::default(),
            held_changed: AtomicBool::new(false),
            assigned: AtomicBool::new(false),
            revoked: Mutex::default(),
            missing: Mutex::default(),
            handover_limit: options.handover_limit,
        };
        let made: std::result::Result<BaseConsumer<Bridge>, _> = settings.config().create_with_context(bridge);
        let inner = Arc::new(made.map_err(|e| not_created(Role::Consumer, "the consumer", &e))?);
        inner.context().client.of(inner.client(), settings);
        let names: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        inner.subscribe(&names).map_err(|e| kafka_error(format!("subscribing to {}", names.join(", ")), e))?;
        let (finished, closed) = oneshot::channel();
        let (seeks, requests) = std_mpsc::channel();
        let (shared, options) = (inner.clone(), options.clone());
        let place = tracing::Span::current();
        let spawned = thread::Builder::new().name("kafka-consumer".into()).spawn(move || {
            let _place = place.entered();
            // Time limits are made on this thread, outside of any task.
            let runtime = shared.context().runtime.clone();
            let _timers = runtime.enter();
            PollLoop::new(shared, options, requests).run();
            // Nobody may be waiting for the end.
            let _ = finished.send(());
        });
        spawned.map_err(|e| Error::fatal("starting the consumer's thread").caused_by(e))?;
        Ok(Self {
            events,
            inner,
            seeks,
            kept: VecDeque::new(),
            seek_count: 0,
            moved: Vec::new(),
            closed,
            cut: Cut::default(),
        })
    }

    /// Leaves the group and commits nothing more once this is cut, whatever its runner does meanwhile.
    pub fn cut_by(mut self, cut: &Cut) -> Self {
        let bridge = Arc::downgrade(self.inner.context());
        cut.on_cut(move || {
            if let Some(bridge) = bridge.upgrade() {
                bridge.closing.store(true, Ordering::Release);
            }
        });
        self.cut = cut.clone();
        self
    }

    /// What happens next; `None` after the end of the thread. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        let (seeks, event) = match self.kept.pop_front() {
            Some(event) => event,
            None => self.events.recv().await?,
        };
        self.moved.retain(|(n, _)| *n > seeks);
        Some(match event {
            Event::Batch(mut batch) => {
                let stale = |r: &RawRecord| {
                    self.moved.iter().flat_map(|(_, m)| m).any(|p| p.partition == r.partition && p.topic == r.topic)
                };
                batch.retain(|r| !stale(r));
                Event::Batch(batch)
            }
            other => other,
        })
    }

    /// Commits offsets and waits for the broker's answer.
    pub async fn commit(&self, offsets: &[PartitionOffset]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let committed = self.commit_in_background(offsets).await;
        committed.map_err(|e| Error::retriable("committing offsets").caused_by(e))?
    }

    /// Commits offsets; the handle gives the broker's answer.
    pub fn commit_in_background(&self, offsets: &[PartitionOffset]) -> JoinHandle<Result<()>> {
        let (consumer, cut) = (self.inner.clone(), self.cut.clone());
        let offsets = offsets.to_vec();
        tokio::task::spawn_blocking(move || {
            cut.check()?;
            let mut list = TopicPartitionList::with_capacity(offsets.len());
            for o in &offsets {
                let added =
                    list.add_partition_offset(&o.partition.topic, o.partition.partition, Offset::Offset(o.offset));
                added.map_err(|e| kafka_error("listing offsets to commit", e))?;
            }
            consumer.commit(&list, CommitMode::Sync).map_err(|e| kafka_error("committing offsets", e))?;
            consumer.context().client.reached();
            Ok(())
        })
    }

    /// Moves positions: the next records of these partitions are read from there. What was read of any
    /// partition but not handed over is dropped; the caller drops what it holds of the moved ones.
    pub async fn seek(&mut self, offsets: Vec<PartitionOffset>) -> Result<()> {
        let moved: Vec<TopicPartition> = offsets.iter().map(|o| o.partition.clone()).collect();
        let (done, mut answer) = oneshot::channel();
        if self.seeks.send(Seek { offsets, done }).is_err() {
            return Err(Error::retriable("seeking: the consumer has ended"));
        }
        self.seek_count += 1;
        self.moved.push((self.seek_count, moved));
        // The thread may be waiting for room in the channel, so the channel is emptied meanwhile.
        let ended = || Err(Error::retriable("seeking: the consumer has ended"));
        loop {
            tokio::select! {
                result = &mut answer => return result.unwrap_or_else(|_| ended()),
                event = self.events.recv() => match event {
                    Some(event) => self.kept.push_back(event),
                    None => return ended(),
                },
            }
        }
    }

    /// Stops or resumes the flow of records; rebalances go on. A batch or two may still come.
    pub fn set_paused(&self, paused: bool) {
        self.inner.context().paused.store(paused, Ordering::Release);
    }

    /// Whether the flow of records was stopped.
    pub fn is_paused(&self) -> bool {
        self.inner.context().paused.load(Ordering::Acquire)
    }

    /// Stops or resumes the flow of records of these partitions, whether they are assigned now or later.
    pub fn hold(&self, partitions: Vec<TopicPartition>, held: bool) {
        let context = self.inner.context();
        let mut all = context.held.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in partitions {
            if held {
                all.insert(partition);
            } else {
                all.remove(&partition);
            }
        }
        context.held_changed.store(true, Ordering::Release);
    }

    /// Looks which of these offsets lie before the first record that Kafka still has.
    pub fn deleted_unread(&self, of: Vec<Awaited>, limit: Duration) -> JoinHandle<Result<Vec<DeletedUnread>>> {
        let consumer = self.inner.clone();
        tokio::task::spawn_blocking(move || deleted_unread(&consumer, of, limit))
    }

    /// What tells each of these topics from others that have had its name, or will; as
    /// [`Positions::topic_ids`](crate::Positions::topic_ids).
    pub fn topic_ids(&self, topics: Vec<Topic>, limit: Duration) -> JoinHandle<Result<Ids>> {
        topic_ids_of(&self.inner, topics, limit)
    }

    /// The first offset that Kafka has of each of these partitions. Each is given that long.
    pub fn beginnings(&self, of: Vec<TopicPartition>, limit: Duration) -> JoinHandle<Result<Vec<PartitionOffset>>> {
        let consumer = self.inner.clone();
        tokio::task::spawn_blocking(move || {
            let first = |partition: TopicPartition| {
                let bounds = consumer.fetch_watermarks(&partition.topic, partition.partition, limit);
                let (offset, _) = bounds.map_err(|e| kafka_error("reading the bounds of a partition", e))?;
                Ok(PartitionOffset { partition, offset })
            };
            of.into_iter().map(first).collect()
        })
    }

    /// Assigned partitions that have not been read for at least this long although Kafka is there. librdkafka does not
    /// go on by itself when a topic was created anew and its leader's epoch began anew, too.
    pub fn stalled(&self, at_least: Duration) -> Vec<TopicPartition> {
        self.inner.context().client.stalled(at_least)
    }

    /// How many bytes were sent and received, some seconds ago.
    pub fn traffic(&self) -> (u64, u64) {
        self.inner.context().client.traffic()
    }

    /// The ends of the assigned partitions, some seconds old.
    pub fn bounds(&self) -> Vec<Bounds> {
        let mut bounds = self.inner.context().client.bounds();
        let waiting = !(self.events.is_empty() && self.kept.is_empty());
        bounds.iter_mut().for_each(|b| b.given_out &= !waiting);
        bounds
    }

    /// What keeps records from coming, as far as this side can see it: Kafka is away, a broker does not answer, a
    /// topic is missing.
    pub fn complaint(&self) -> Option<Error> {
        let context = self.inner.context();
        if context.client.brokers_down() {
            return Some(Error::retriable("kafka cannot be reached"));
        }
        if let Some(broker) = context.client.silent_broker() {
            return Some(Error::retriable(format!("the kafka broker {broker} does not answer")));
        }
        let missing = context.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let (topics, verb) = match missing.len() {
            0 => return None,
            1 => ("topic", "does"),
            _ => ("topics", "do"),
        };
        Some(Error::retriable(format!(
            "the {topics} {} {verb} not exist; create {}, or correct the setting topics",
            missing.join(", "),
            if missing.len() == 1 { "it" } else { "them" }
        )))
    }

    /// Leaves the group and waits until it has been left, at most this long.
    pub async fn close(mut self, limit: Duration) {
        self.inner.context().closing.store(true, Ordering::Release);
        self.events.close();
        // What was queued is dropped; revocations among it are so answered.
        while self.events.try_recv().is_ok() {}
        if tokio::time::timeout(limit, &mut self.closed).await.is_err() {
            tracing::warn!("the consumer did not leave its group within {} ms", limit.as_millis());
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.inner.context().closing.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consumer")
    }
}
