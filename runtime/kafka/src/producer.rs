//! The idempotent producer, whose delivery reports go to shared counters instead of waking tasks.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, Result};
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer},
};

use crate::{
    RawRecord,
    client::{Context, LOOK_AT_BROKERS},
    cut::Cut,
    error::{kafka_error, not_created},
    record::Collector,
    settings::{ClientSettings, Role},
};

/// Receives delivery reports on the producer's thread; must be quick and must not block.
pub trait Delivery: Send + Sync + 'static {
    /// Kafka has the record, at this partition and offset.
    fn delivered(&self, partition: i32, offset: i64);

    /// Kafka has not got the record and will not get it.
    fn failed(&self, error: Error);

    /// As [`Delivery::failed`], for a record that Kafka was asked to take: as it was sent.
    fn refused(&self, error: Error, record: RawRecord) {
        let _ = record;
        self.failed(error);
    }

    /// As [`Delivery::failed`], for a record that may be all right: Kafka refused the batch in which it was sent with
    /// others, or it was not sent, as nobody waits for it any more.
    fn not_taken(&self, error: Error) {
        self.failed(error);
    }
}

/// A record as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; `None` leaves it to the partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None` means now.
    pub timestamp: Option<i64>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl Outgoing<'_> {
    /// Bytes of key and value.
    fn size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// How many bytes a record may have at most unless `max.request.size` says otherwise: Java's default.
pub const LARGEST: usize = 1_048_576;

/// librdkafka's default of `batch.size`.
const BATCH: usize = 1_000_000;

/// Kafka refused a batch as larger than the topic's `max.message.bytes`: none of its records is stored, and any of them may
/// be all right in a smaller one. It is among the causes of what [`Delivery::not_taken`] is given.
#[derive(Debug, thiserror::Error)]
#[error("a batch of at most {size} bytes was refused")]
pub struct BatchRefused {
    /// Topic.
    pub topic: String,
    /// `batch.size` of the producer, in bytes.
    pub size: usize,
    #[source]
    cause: KafkaError,
}

impl BatchRefused {
    /// Finds it among the causes of an error.
    pub fn find(error: &Error) -> Option<&Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref() {
                return Some(found);
            }
            next = cause.source();
        }
        None
    }
}

struct Reports<D> {
    client: Context,
    /// Records of so many bytes are sent alone.
    batch: usize,
    kind: std::marker::PhantomData<fn(D)>,
}

impl<D: Delivery> ClientContext for Reports<D> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.client.stats_raw(statistics);
    }
}

impl<D: Delivery> ProducerContext for Reports<D> {
    type DeliveryOpaque = Arc<D>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Arc<D>) {
        match result {
            Ok(message) => {
                self.client.reached();
                report.delivered(message.partition(), message.offset());
            }
            Err((error, message)) => {
                let (code, size) = (error.rdkafka_error_code(), message.payload_len() + message.key_len());
                let partition = Some(message.partition()).filter(|_| code == Some(RDKafkaErrorCode::UnknownPartition));
                let doing = || doing("writing", message.topic(), partition);
                if matches!(code, Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)) {
                    return report.not_taken(kafka_error(doing(), error.clone()));
                }
                if code == Some(RDKafkaErrorCode::MessageSizeTooLarge) && size < self.batch {
                    return report.not_taken(
                        Error::fatal(format!(
                            "kafka took none of a batch that is larger than max.message.bytes of topic {} allows, also if its \
                             records are not: set producer.override.batch.size to less than that, or raise max.message.bytes",
                            message.topic()
                        ))
                        .caused_by(BatchRefused {
                            topic: message.topic().to_owned(),
                            size: self.batch,
                            cause: error.clone(),
                        }),
                    );
                }
                let mut collector = Collector::default();
                collector.push(message);
                match collector.take(|_| true).pop() {
                    Some(record) => report.refused(kafka_error(doing(), error.clone()), record),
                    None => report.failed(kafka_error(doing(), error.clone())),
                }
            }
        }
    }
}

/// What was being done, and the way out where the topic has not got that partition, which only a record that names its own
/// can come to.
fn doing(verb: &str, topic: &str, missing: Option<i32>) -> String {
    match missing {
        None => format!("{verb} a record to topic {topic}"),
        Some(partition) => format!(
            "{verb} a record to topic {topic}, which has no partition {partition}: give it more partitions, or let the \
             records' keys decide (target.partition.keep=false in a kafka-source)"
        ),
    }
}

/// A producer with its own polling thread. Cloning shares it; it is closed with the last clone.
#[derive(Clone)]
pub struct Producer<D: Delivery> {
    inner: Arc<ThreadedProducer<Reports<D>>>,
    /// How many bytes wait at most.
    buffer: usize,
    /// How long a record waits at most; for ever without.
    patience: Option<Duration>,
    cut: Cut,
}

/// Adds the defaults of the worker's producers: acks=all, idempotent, several requests in flight, no limit
/// of time, Java's partitioner.
pub fn producer_defaults(settings: &mut ClientSettings) {
    let queue = queue_of(settings.native.get("message.max.bytes"));
    let acks_less = settings.native.get("acks").is_some_and(|a| a != "all" && a != "-1");
    settings
        .or_set("acks", "all")
        .or_set("enable.idempotence", if acks_less { "false" } else { "true" })
        .or_set("partitioner", "murmur2_random")
        // Java's default of max.request.size; librdkafka's is a little less.
        .or_set("message.max.bytes", &LARGEST.to_string())
        .or_set("statistics.interval.ms", &LOOK_AT_BROKERS.as_millis().to_string())
        .or_set("queue.buffering.max.kbytes", &queue.to_string())
        .or_set("queue.buffering.max.messages", "10000");
    if !settings.native.contains_key("message.timeout.ms") {
        settings.or_set("delivery.timeout.ms", "0");
    }
}

/// How many KiB wait at most: a tenth of a second of a fast source, where librdkafka would keep a gigabyte. A record that
/// is larger than the queue would never get in.
fn queue_of(largest: Option<&String>) -> u64 {
    let largest: u64 = largest.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    4096.max(2 * largest.div_ceil(1024))
}

impl<D: Delivery> Producer<D> {
    /// Makes a producer; it connects in the background.
    pub fn new(settings: &ClientSettings) -> Result<Self> {
        let batch = settings.native.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(BATCH);
        let context = Reports { client: Context::default(), batch, kind: std::marker::PhantomData };
        let made: std::result::Result<ThreadedProducer<_>, _> = settings.config().create_with_context(context);
        let inner = made.map_err(|e| not_created(Role::Producer, "the producer", &e))?;
        inner.context().client.of(inner.client(), settings);
        let kbytes = settings.native.get("queue.buffering.max.kbytes").and_then(|kbytes| kbytes.parse().ok());
        let buffer = kbytes.map_or(usize::MAX, |kbytes: usize| kbytes.saturating_mul(1024));
        let limits = ["message.timeout.ms", "delivery.timeout.ms"].iter().find_map(|key| settings.native.get(*key));
        let patience = limits.and_then(|ms| ms.parse().ok()).filter(|ms| *ms > 0).map(Duration::from_millis);
        Ok(Self { inner: Arc::new(inner), buffer, patience, cut: Cut::default() })
    }

    /// Sends nothing once this is cut; what is on its way then is dropped.
    pub fn cut_by(mut self, cut: &Cut) -> Self {
        let inner = Arc::downgrade(&self.inner);
        cut.on_cut(move || {
            if let Some(inner) = inner.upgrade() {
                inner.purge(everything());
            }
        });
        self.cut = cut.clone();
        self
    }

    /// Waits until records may be written, for as long as one may take to be delivered.
    pub async fn pass(&self) -> Result<()> {
        let Some(limit) = self.patience else { return self.cut.pass().await };
        let late = |_| {
            Error::fatal(format!(
                "writing records: kafka has not confirmed the worker's place in its cluster within delivery.timeout.ms, which \
                 is {} ms",
                limit.as_millis()
            ))
        };
        tokio::time::timeout(limit, self.cut.pass()).await.map_err(late)?
    }

    /// Queues a record; waits while the queue is full. The report comes to `delivery` unless an error is
    /// returned.
    pub async fn send(&self, record: Outgoing<'_>, delivery: Arc<D>) -> Result<()> {
        let mut delivery = delivery;
        loop {
            self.cut.check()?;
            match self.try_send(record, delivery) {
                Ok(()) => {
                    // It may have been cut in between. The report says that the record was dropped.
                    if self.cut.is_cut() {
                        self.purge();
                    }
                    return Ok(());
                }
                // Java's producer refuses it, too.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if record.size() > self.buffer => {
                    return Err(Error::data(format!(
                        "sending a record to topic {}: its {} bytes are more than the producer's buffer holds; raise \
                         buffer.memory",
                        record.topic,
                        record.size()
                    )));
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    delivery = back;
                    // Delivery reports free the queue in bulk, so a short pause costs no throughput.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err((e, _)) => {
                    let unknown = e.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition);
                    let partition = record.partition.filter(|_| unknown);
                    return Err(kafka_error(doing("sending", record.topic, partition), e));
                }
            }
        }
    }

    fn try_send(&self, record: Outgoing<'_>, delivery: Arc<D>) -> std::result::Result<(), (KafkaError, Arc<D>)> {
        let mut message: BaseRecord<'_, [u8], [u8], Arc<D>> = BaseRecord::with_opaque_to(record.topic, delivery);
        message.key = record.key;
        message.payload = record.value;
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in record.headers {
                headers = headers.insert(Header { key, value: *value });
            }
            message.headers = Some(headers);
        }
        self.inner.send(message).map_err(|(e, back)| (e, back.delivery_opaque))
    }

    /// How many records wait for their delivery report.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// Whether Kafka could not be reached when last tried.
    pub fn brokers_down(&self) -> bool {
        self.inner.context().client.brokers_down()
    }

    /// How many bytes were sent and received, some seconds ago.
    pub fn traffic(&self) -> (u64, u64) {
        self.inner.context().client.traffic()
    }

    /// How many acknowledgements have come; only for comparison with an earlier number.
    pub fn answers(&self) -> u64 {
        self.inner.context().client.answers()
    }

    /// Waits until every record has its report, at most this long; an error says how many have not.
    pub async fn flush(&self, limit: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        while self.in_flight() > 0 {
            if tokio::time::Instant::now() >= deadline {
                return Err(Error::retriable(format!(
                    "waiting for kafka to acknowledge records: {} are not after {} ms",
                    self.in_flight(),
                    limit.as_millis()
                )));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Drops what has not been acknowledged: each record's report is a failure.
    pub fn purge(&self) {
        self.inner.purge(everything());
    }
}

fn everything() -> PurgeConfig {
    PurgeConfig::default().queue().inflight()
}

impl<D: Delivery> std::fmt::Debug for Producer<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({} in flight)", self.in_flight())
    }
}
