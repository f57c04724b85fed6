//! The newest records of topics, read beside everybody else: no group is joined and no offset is committed.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::{Error, Result};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    RawRecord,
    client::Context,
    error::{kafka_error, not_created},
    record::Collector,
    settings::{ClientSettings, Role},
};

const POLL: Duration = Duration::from_millis(50);
/// How much further back each look begins where the one before found too little: compaction leaves gaps.
const FURTHER: i64 = 8;
/// Records that are read to be shown must not fill the memory.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Newest {
    /// The records, oldest first.
    pub records: Vec<RawRecord>,
    /// Topics that do not exist.
    pub missing: Vec<String>,
    /// Whether the time or the memory allowed was over before all partitions were read to their ends.
    pub cut_short: bool,
}

/// Puts records in order, the oldest first.
pub type Order = fn(Vec<RawRecord>) -> Vec<RawRecord>;

/// Reads the newest records of these topics by their time stamps, at most so many of all partitions together. It takes at
/// most `limit`; what was read until then is answered.
pub async fn newest(settings: &ClientSettings, topics: &[String], count: usize, limit: Duration) -> Result<Newest> {
    newest_by(settings, topics, count, limit, by_time).await
}

fn by_time(mut records: Vec<RawRecord>) -> Vec<RawRecord> {
    records.sort_by(|a, b| {
        let key = |r: &RawRecord| (r.timestamp, r.topic.clone(), r.partition, r.offset);
        key(a).cmp(&key(b))
    });
    records
}

/// As [`newest`], where something else than time stamps says which records are newer. Of each partition at least so many of
/// the last offsets are put in order.
pub async fn newest_by(
    settings: &ClientSettings,
    topics: &[String],
    count: usize,
    limit: Duration,
    order: Order,
) -> Result<Newest> {
    let consumer = reader(settings)?;
    // Who waits no longer, such as for a request that was given up, ends the reading.
    let stop = Stop(Arc::default());
    let look = Look {
        consumer,
        topics: topics.to_vec(),
        count: i64::try_from(count).unwrap_or(i64::MAX),
        order,
        deadline: Instant::now() + limit,
        stop: stop.0.clone(),
    };
    let done = tokio::task::spawn_blocking(move || look.run()).await;
    done.map_err(|e| Error::retriable("reading the newest records").caused_by(e))?
}

/// A consumer that reads what it is assigned, beside everybody else, and tells of ends.
pub(crate) fn reader(settings: &ClientSettings) -> Result<BaseConsumer<Context>> {
    let mut settings = settings.clone();
    settings.native.insert("enable.partition.eof".into(), "true".into());
    settings.native.insert("enable.auto.commit".into(), "false".into());
    settings.native.insert("allow.auto.create.topics".into(), "false".into());
    settings.native.insert("auto.offset.reset".into(), "earliest".into());
    // librdkafka wants a group even where none is joined; the connector's own is left alone.
    settings.native.insert("group.id".into(), "connect-reader".into());
    settings.native.remove("group.instance.id");
    settings.or_set("queued.max.messages.kbytes", "4096");
    settings.or_set("fetch.wait.max.ms", "100");
    let made = settings.config().create_with_context(Context::default());
    made.map_err(|e| not_created(Role::Consumer, "the reader", &e))
}

struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Look {
    consumer: BaseConsumer<Context>,
    topics: Vec<String>,
    count: i64,
    order: Order,
    deadline: Instant,
    stop: Arc<AtomicBool>,
}

/// A partition's records: from the first that Kafka has to behind the last.
struct Span {
    topic: String,
    partition: i32,
    first: i64,
    end: i64,
}

impl Look {
    fn over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || Instant::now() >= self.deadline
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(POLL)
    }

    fn run(self) -> Result<Newest> {
        let mut found = Newest::default();
        let spans = self.spans(&mut found)?;
        let mut window = self.count;
        loop {
            let whole = spans.iter().all(|s| s.end - window <= s.first);
            let (records, cut_short) = self.read(&spans, window)?;
            let enough = records.len() >= usize::try_from(self.count).unwrap_or(usize::MAX);
            if enough || whole || cut_short || self.over() {
                found.cut_short = cut_short;
                found.records = records;
                break;
            }
            window = window.saturating_mul(FURTHER);
        }
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        found.records = (self.order)(found.records);
        found.records.drain(..found.records.len().saturating_sub(count));
        Ok(found)
    }

    fn spans(&self, found: &mut Newest) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for topic in &self.topics {
            let doing = || format!("looking for topic {topic}");
            let metadata =
                self.consumer.fetch_metadata(Some(topic), self.left()).map_err(|e| self.failed(doing(), e))?;
            let known = metadata.topics().iter().find(|t| t.name() == topic);
            match known.map(|t| t.error().map(Code::from)) {
                None | Some(Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {
                    found.missing.push(topic.clone());
                }
                Some(Some(code)) => return Err(kafka_error(doing(), KafkaError::MetadataFetch(code))),
                Some(None) => {
                    for partition in known.iter().flat_map(|t| t.partitions()).map(|p| p.id()) {
                        let ends = self.consumer.fetch_watermarks(topic, partition, self.left());
                        let (first, end) = ends.map_err(|e| self.failed(doing(), e))?;
                        if end > first {
                            spans.push(Span { topic: topic.clone(), partition, first, end });
                        }
                    }
                }
            }
        }
        Ok(spans)
    }

    /// The error, with what librdkafka says of connections that failed.
    fn failed(&self, doing: String, e: KafkaError) -> Error {
        // Connections tell why they failed in events, which somebody has to take.
        drop(self.consumer.poll(POLL));
        match self.consumer.context().last_failure() {
            Some(why) => Error::retriable(format!("{doing}: kafka cannot be reached")).caused_by(why),
            None => kafka_error(doing, e),
        }
    }

    /// Reads the last `window` offsets of each partition; tells whether it had to stop before the end.
    fn read(&self, spans: &[Span], window: i64) -> Result<(Vec<RawRecord>, bool)> {
        let mut all = Vec::new();
        let mut bytes = 0;
        if self.count == 0 {
            return Ok((all, false));
        }
        // Topic by topic: the end of a partition is told by its number alone.
        for of_topic in spans.chunk_by(|a, b| a.topic == b.topic) {
            let (records, cut_short) = self.read_topic(of_topic, window, &mut bytes)?;
            all.extend(records);
            if cut_short {
                return Ok((all, true));
            }
        }
        Ok((all, false))
    }

    fn read_topic(&self, spans: &[Span], window: i64, bytes: &mut usize) -> Result<(Vec<RawRecord>, bool)> {
        let failed = |e: KafkaError| self.failed("reading the newest records".into(), e);
        let mut list = TopicPartitionList::new();
        for s in spans {
            let from = Offset::Offset(s.first.max(s.end - window));
            list.add_partition_offset(&s.topic, s.partition, from).map_err(failed)?;
        }
        self.consumer.assign(&list).map_err(failed)?;
        let mut open: HashMap<i32, i64> = spans.iter().map(|s| (s.partition, s.end)).collect();
        let mut collector = Collector::default();
        while !open.is_empty() {
            if self.over() || *bytes > MOST_BYTES {
                return Ok((collector.take(|_| true), true));
            }
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    // What was written since is left for the next look.
                    let Some(end) = open.get(&message.partition()).copied() else { continue };
                    if message.offset() < end {
                        *bytes += message.payload_len() + message.key_len();
                        collector.push(&message);
                    }
                    if message.offset() + 1 >= end {
                        open.remove(&message.partition());
                    }
                }
                // Behind the last record there may be offsets without one.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(e)) => return Err(failed(e)),
                None => {}
            }
        }
        Ok((collector.take(|_| true), false))
    }
}
