//! Reads partitions that are given to it, from given offsets on, without a group: how records of another cluster, or of
//! this one, become those of a source.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use connect_api::{Error, ErrorClass, Result, Topic, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    RawRecord,
    client::{Context, LOOK_AT_BROKERS},
    deleted::{Awaited, DeletedUnread, deleted_unread},
    error::{class, kafka_error, not_created},
    identities::Ids,
    record::Collector,
    settings::{ClientSettings, Role},
    topic_ids::topic_ids_of,
};

/// Where reading a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    At(i64),
    /// At the first record that there is.
    Beginning,
    /// Behind what the group of the settings has committed, else where `auto.offset.reset` says.
    Group,
}

/// A reader of assigned partitions. Dropping it ends the reading.
pub struct Assigned {
    consumer: Arc<BaseConsumer<Context>>,
    stop: Arc<AtomicBool>,
    wanted: std::sync::mpsc::Sender<Vec<(TopicPartition, Start)>>,
}

const POLL: Duration = Duration::from_millis(50);
/// The answer may have to wait behind that to a fetch.
const METADATA: Duration = Duration::from_secs(10);

impl Assigned {
    /// Makes a reader without partitions. Batches of at most so many records go into the channel, in order per partition;
    /// an error that does not pass by itself is the last thing that comes.
    pub fn new(settings: &ClientSettings, most: usize) -> Result<(Self, mpsc::Receiver<Result<Vec<RawRecord>>>)> {
        let mut settings = settings.clone();
        // librdkafka wants a group even where none is joined.
        settings.or_set("group.id", "connect-reader");
        settings.native.insert("enable.auto.commit".into(), "false".into());
        settings.native.insert("allow.auto.create.topics".into(), "false".into());
        settings.or_set("statistics.interval.ms", &LOOK_AT_BROKERS.as_millis().to_string());
        let made = settings.config().create_with_context(Context::default());
        let consumer: BaseConsumer<Context> = made.map_err(|e| not_created(Role::Consumer, "the reader", &e))?;
        consumer.context().of(consumer.client(), &settings);
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let (wanted, changes) = std::sync::mpsc::channel();
        let (records, receiver) = mpsc::channel(2);
        let reader =
            Reader { consumer: consumer.clone(), stop: stop.clone(), changes, records, most, next: BTreeMap::new() };
        let place = tracing::Span::current();
        let spawned = thread::Builder::new().name("kafka-reader".into()).spawn(move || place.in_scope(|| reader.run()));
        spawned.map_err(|e| Error::fatal("starting a reader of partitions").caused_by(e))?;
        Ok((Self { consumer, stop, wanted }, receiver))
    }

    /// Reads these partitions, too; one that is read already goes on where it is.
    pub fn add(&self, partitions: Vec<(TopicPartition, Start)>) {
        // A reader that has ended has told why.
        let _ = self.wanted.send(partitions);
    }

    /// All topics of the cluster with the numbers of their partitions.
    pub async fn topics(&self) -> Result<Vec<(String, Vec<i32>)>> {
        let found = self.blocking(|consumer| consumer.fetch_metadata(None, METADATA)).await?;
        let found = found.map_err(|e| self.failed("listing topics", e))?;
        let usable = found.topics().iter().filter(|t| t.error().is_none());
        Ok(usable.map(|t| (t.name().to_owned(), t.partitions().iter().map(|p| p.id()).collect())).collect())
    }

    /// What tells each of these topics from others that have had its name, or will; as
    /// [`Positions::topic_ids`](crate::Positions::topic_ids).
    pub fn topic_ids(&self, topics: Vec<Topic>) -> JoinHandle<Result<Ids>> {
        topic_ids_of(&self.consumer, topics, METADATA)
    }

    /// Whether Kafka could not be reached when last tried.
    pub fn brokers_down(&self) -> bool {
        self.consumer.context().brokers_down()
    }

    /// The offset behind the last record of a partition.
    pub async fn end(&self, partition: &TopicPartition) -> Result<i64> {
        let TopicPartition { topic, partition } = partition.clone();
        let doing = format!("looking for the end of {topic}-{partition}");
        let found = self.blocking(move |consumer| consumer.fetch_watermarks(&topic, partition, METADATA)).await?;
        found.map(|(_, end)| end).map_err(|e| self.failed(&doing, e))
    }

    /// Looks which of these offsets lie before the first record that Kafka still has.
    pub fn deleted_unread(&self, of: Vec<Awaited>) -> JoinHandle<Result<Vec<DeletedUnread>>> {
        let consumer = self.consumer.clone();
        tokio::task::spawn_blocking(move || deleted_unread(&consumer, of, METADATA))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<Context>) -> T + Send + 'static,
    ) -> Result<T> {
        let consumer = self.consumer.clone();
        let done = tokio::task::spawn_blocking(move || work(&consumer)).await;
        done.map_err(|e| Error::retriable("asking kafka").caused_by(e))
    }

    fn failed(&self, doing: &str, e: KafkaError) -> Error {
        match self.consumer.context().last_failure() {
            Some(why) if kafka_error("", e.clone()).class() == ErrorClass::Retriable => {
                Error::retriable(format!("{doing}: kafka cannot be reached")).caused_by(why)
            }
            _ => kafka_error(doing.to_owned(), e),
        }
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Assigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assigned")
    }
}

struct Reader {
    consumer: Arc<BaseConsumer<Context>>,
    stop: Arc<AtomicBool>,
    changes: std::sync::mpsc::Receiver<Vec<(TopicPartition, Start)>>,
    records: mpsc::Sender<Result<Vec<RawRecord>>>,
    most: usize,
    /// Where each partition is to be read next.
    next: BTreeMap<TopicPartition, Offset>,
}

impl Reader {
    fn run(mut self) {
        let mut collector = Collector::default();
        while !self.stop.load(Ordering::Acquire) && !self.records.is_closed() {
            if let Err(e) = self.take_up(&mut collector) {
                let _ = self.records.blocking_send(Err(kafka_error("assigning partitions", e)));
                return;
            }
            let wait = if collector.is_empty() { POLL } else { Duration::ZERO };
            let mut more = false;
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    self.consumer.context().reached();
                    collector.push(&message);
                    more = true;
                }
                Some(Err(e)) => {
                    if let Some(e) = lasting(e) {
                        // What was read before it comes first.
                        self.hand_over(&mut collector);
                        let _ = self.records.blocking_send(Err(e));
                        return;
                    }
                }
                None => {}
            }
            if collector.len() >= self.most || (!more && !collector.is_empty()) {
                self.hand_over(&mut collector);
            }
        }
    }

    fn hand_over(&mut self, collector: &mut Collector) {
        if collector.is_empty() {
            return;
        }
        let batch = collector.take(|_| true);
        for record in batch.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic).filter_map(<[_]>::last) {
            let partition = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            self.next.insert(partition, Offset::Offset(record.offset + 1));
        }
        // Nobody takes it when the task has ended.
        let _ = self.records.blocking_send(Ok(batch));
    }

    /// Takes up new partitions. All are assigned anew, those that are being read from where they are.
    fn take_up(&mut self, collector: &mut Collector) -> Result<(), KafkaError> {
        let mut new = Vec::new();
        while let Ok(partitions) = self.changes.try_recv() {
            new.extend(partitions.into_iter().filter(|(partition, _)| !self.next.contains_key(partition)));
        }
        if new.is_empty() {
            return Ok(());
        }
        self.hand_over(collector);
        self.next.extend(new.into_iter().map(|(partition, start)| {
            let offset = match start {
                Start::At(offset) => Offset::Offset(offset),
                Start::Beginning => Offset::Beginning,
                Start::Group => Offset::Invalid,
            };
            (partition, offset)
        }));
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &self.next {
            list.add_partition_offset(&partition.topic, partition.partition, *offset)?;
        }
        self.consumer.assign(&list)
    }
}

/// The error if it does not pass by itself.
fn lasting(error: KafkaError) -> Option<Error> {
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset) => Some(
            Error::fatal("reading: an offset is out of range, or there is none, and auto.offset.reset is none")
                .caused_by(error),
        ),
        // A topic may be deleted and come again.
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::PartitionEOF) => None,
        Some(code) if class(code) == ErrorClass::Retriable => {
            tracing::debug!("reading: {error}");
            None
        }
        _ => Some(kafka_error("reading", error)),
    }
}
