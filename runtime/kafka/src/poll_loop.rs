//! The consumer's thread: polls librdkafka, collects batches and hands them over.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use connect_api::{Error, PartitionOffset, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    RawRecord,
    consumer::{Options, Seek},
    error::{class, kafka_error},
    handshake::{Bridge, Event},
    record::Collector,
};

pub(crate) struct PollLoop {
    consumer: Arc<BaseConsumer<Bridge>>,
    options: Options,
    collector: Collector,
    seeks: mpsc::Receiver<Seek>,
    paused: bool,
    /// When to look again for topics that were missing.
    look_for_topics: Option<Instant>,
}

const POLL: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_secs(2);
const SEEK: Duration = Duration::from_secs(10);
/// How often a seek is tried until fetching has begun.
const BEGINS: Duration = Duration::from_millis(10);
/// What librdkafka says until then; there is no code beside the text.
const NOT_BEGUN: &str = "Erroneous state";
/// The answer may have to wait behind that to a fetch, which takes `fetch.max.wait.ms`.
const METADATA: Duration = Duration::from_secs(3);

impl PollLoop {
    pub(crate) fn new(consumer: Arc<BaseConsumer<Bridge>>, options: Options, seeks: mpsc::Receiver<Seek>) -> Self {
        Self { consumer, options, collector: Collector::default(), seeks, paused: false, look_for_topics: None }
    }

    pub(crate) fn run(mut self) {
        while !self.closing() {
            self.seek();
            self.pause();
            self.look_for_topics();
            let wait = if self.collector.is_empty() || self.paused { POLL } else { Duration::ZERO };
            let more = self.poll(wait);
            if self.paused {
                continue;
            }
            let full = self.collector.len() >= self.options.max_poll_records;
            if !self.collector.is_empty() && (full || !more) {
                self.hand_over();
            }
        }
        self.consumer.unsubscribe();
        // The queue is polled until librdkafka has left the group; the last clone may live elsewhere.
        if self.consumer.close_queue().is_ok() {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !self.consumer.closed() && Instant::now() < deadline {
                // Messages that still arrive belong to the next owner.
                drop(self.consumer.poll(POLL));
            }
        }
    }

    fn closing(&self) -> bool {
        let context = self.consumer.context();
        context.closing.load(Ordering::Acquire) || context.events.is_closed()
    }

    fn pause(&mut self) {
        let context = self.consumer.context();
        let wanted = context.paused.load(Ordering::Acquire);
        // New partitions start unpaused; those that come back are as they were when they went.
        let assigned = context.assigned.swap(false, Ordering::AcqRel);
        let held = context.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let held_changed = context.held_changed.swap(false, Ordering::AcqRel);
        if wanted == self.paused && !held_changed && !assigned {
            return;
        }
        self.paused = wanted;
        let done = self.consumer.assignment().and_then(|all| {
            let (mut stop, mut go) = (TopicPartitionList::new(), TopicPartitionList::new());
            for element in all.elements() {
                let partition = TopicPartition { topic: element.topic().into(), partition: element.partition() };
                let list = if wanted || held.contains(&partition) { &mut stop } else { &mut go };
                list.add_partition(element.topic(), element.partition());
            }
            self.consumer.pause(&stop)?;
            self.consumer.resume(&go)
        });
        if let Err(e) = done {
            tracing::debug!("pausing or resuming partitions: {e}");
        }
    }

    /// librdkafka says once that a topic is missing, not which one and not when it is there: it is looked for.
    fn look_for_topics(&mut self) {
        if self.look_for_topics.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let mut missing = Vec::new();
        for topic in self.options.topics.iter().filter(|t| !t.starts_with('^')) {
            match self.consumer.fetch_metadata(Some(topic), METADATA) {
                Ok(found) => {
                    let gone = |code: Code| matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic);
                    if found.topics().iter().any(|t| t.error().map(Code::from).is_some_and(gone)) {
                        missing.push(topic.clone());
                    }
                }
                // Kafka is away, which is said elsewhere.
                Err(_) => return self.look_for_topics = Some(Instant::now() + LOOK),
            }
        }
        self.look_for_topics = (!missing.is_empty()).then(|| Instant::now() + LOOK);
        let mut known = self.consumer.context().missing.lock().unwrap_or_else(PoisonError::into_inner);
        *known = missing;
    }

    /// Carries out requested seeks; what was collected of the moved partitions is dropped.
    fn seek(&mut self) {
        while let Ok(Seek { offsets, done }) = self.seeks.try_recv() {
            let moved = |r: &RawRecord| {
                offsets.iter().any(|o| o.partition.partition == r.partition && o.partition.topic == r.topic)
            };
            let left = self.collector.take(|r| !moved(r));
            self.collector.restore(left);
            let mut result = Ok(());
            for o in &offsets {
                if let Err(e) = self.seek_one(o) {
                    let (topic, partition) = (&o.partition.topic, o.partition.partition);
                    result = Err(kafka_error(format!("seeking {topic}-{partition} to {}", o.offset), e));
                }
            }
            self.consumer.context().seeks.fetch_add(1, Ordering::AcqRel);
            // The task may have ended meanwhile.
            let _ = done.send(result);
        }
    }

    /// librdkafka refuses to move a partition that it has just been given and not begun to fetch, as while it asks for
    /// the committed offset.
    fn seek_one(&self, o: &PartitionOffset) -> Result<(), KafkaError> {
        let (topic, partition) = (&*o.partition.topic, o.partition.partition);
        let deadline = Instant::now() + SEEK;
        loop {
            let sought = self.consumer.seek(topic, partition, Offset::Offset(o.offset), SEEK);
            let Err(KafkaError::Seek(why)) = &sought else { return sought };
            if !why.contains(NOT_BEGUN) || Instant::now() >= deadline || self.closing() {
                return sought;
            }
            if self.consumer.assignment()?.find_partition(topic, partition).is_none() {
                // Its next owner decides where to read.
                return Ok(());
            }
            std::thread::sleep(BEGINS);
        }
    }

    /// Collects a message, if there is one; tells whether there was.
    fn poll(&mut self, wait: Duration) -> bool {
        let consumer = self.consumer.clone();
        let polled = consumer.poll(wait);
        // What was collected before belongs to others now; what this poll brought belongs to the assignment
        // that came behind the revocation.
        self.drop_revoked();
        match polled {
            None => false,
            Some(Ok(message)) => {
                consumer.context().client.reached();
                self.collector.push(&message);
                true
            }
            Some(Err(error)) => {
                self.report(error);
                false
            }
        }
    }

    fn drop_revoked(&mut self) {
        let revoked = &self.consumer.context().revoked;
        let taken = std::mem::take(&mut *revoked.lock().unwrap_or_else(PoisonError::into_inner));
        if !taken.is_empty() {
            let kept = |r: &RawRecord| !taken.iter().any(|p| p.partition == r.partition && p.topic == r.topic);
            let left = self.collector.take(kept);
            self.collector.restore(left);
        }
    }

    fn report(&mut self, error: KafkaError) {
        let code = error.rdkafka_error_code();
        match code {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                tracing::debug!("waiting for the topic: {error}");
                // It may be about to be created.
                self.look_for_topics = Some(Instant::now() + LOOK);
            }
            Some(Code::PartitionEOF) => {}
            Some(c) if class(c) == connect_api::ErrorClass::Retriable && c != Code::AutoOffsetReset => {
                tracing::debug!("consuming: {error}");
            }
            Some(Code::AutoOffsetReset) => self.fail(
                Error::fatal(
                    "consuming: there is no committed offset, or it is out of range, and auto.offset.reset is none",
                )
                .caused_by(error),
            ),
            _ => self.fail(kafka_error(format!("consuming {}", self.options.topics.join(", ")), error)),
        }
    }

    fn fail(&self, error: Error) {
        // A task that takes nothing any more ends anyway.
        while !self.closing() && !self.consumer.context().queue(Event::Failed(error.clone()), Instant::now() + LOOK) {}
    }

    fn hand_over(&mut self) {
        let context = self.consumer.context().clone();
        let started = Instant::now();
        let mut paused = None;
        loop {
            self.seek();
            if self.collector.is_empty() || context.paused.load(Ordering::Acquire) {
                break;
            }
            // A clone of the sender keeps the permit from borrowing what the callback needs.
            let events = context.events.clone();
            match context.runtime.block_on(tokio::time::timeout(POLL, events.reserve_owned())) {
                Ok(Ok(permit)) => {
                    let batch = self.collector.take(|_| true);
                    permit.send(context.numbered(Event::Batch(batch)));
                    break;
                }
                Ok(Err(_)) => break,
                Err(_) if self.closing() => break,
                Err(_) => {}
            }
            if paused.is_none() && started.elapsed() > self.options.max_poll_interval / 2 {
                paused = self.consumer.assignment().ok();
                if let Some(Err(e)) = paused.as_ref().map(|all| self.consumer.pause(all)) {
                    tracing::warn!("pausing partitions: {e}");
                }
                // What the task itself holds is paused again after the resumption below.
                context.held_changed.store(true, Ordering::Release);
            }
            if paused.is_some() {
                self.poll(Duration::ZERO);
            }
        }
        if let Some(Err(e)) = paused.map(|all| self.consumer.resume(&all)) {
            // Partitions may have been revoked in between, which is all right.
            tracing::debug!("resuming partitions: {e}");
        }
    }
}
