//! Reads given stretches of a topic's partitions and ends: no group is joined and no offset is committed.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use connect_api::{Error, Result};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::mpsc;

use crate::{
    RawRecord, Span,
    client::Context,
    error::{class, kafka_error},
    newest::reader,
    record::Collector,
    settings::ClientSettings,
};

const POLL: Duration = Duration::from_millis(50);
/// Records of a batch at most.
const MOST: usize = 500;

/// Reads the records of these partitions of one topic, from the first offset of each to before its end. Batches come in
/// order per partition; the channel ends when all has been read. An error is the last thing that comes, also when Kafka
/// has been silent for longer than `silence`.
pub fn stretch(
    settings: &ClientSettings,
    topic: &str,
    spans: &[Span],
    silence: Duration,
) -> Result<mpsc::Receiver<Result<Vec<RawRecord>>>> {
    let consumer = reader(settings)?;
    let (records, receiver) = mpsc::channel(2);
    let spans: Vec<Span> = spans.iter().filter(|s| s.end > s.first).cloned().collect();
    let reader = Reader { consumer, topic: topic.to_owned(), spans, silence, records };
    let spawned = thread::Builder::new().name("kafka-reader".into()).spawn(move || reader.run());
    spawned.map_err(|e| Error::fatal("starting a reader of partitions").caused_by(e))?;
    Ok(receiver)
}

struct Reader {
    consumer: BaseConsumer<Context>,
    topic: String,
    spans: Vec<Span>,
    silence: Duration,
    records: mpsc::Sender<Result<Vec<RawRecord>>>,
}

impl Reader {
    fn run(self) {
        if let Err(e) = self.read() {
            // Whoever waited may have read enough.
            let _ = self.records.blocking_send(Err(e));
        }
    }

    fn read(&self) -> Result<()> {
        let doing = || format!("reading topic {}", self.topic);
        let mut list = TopicPartitionList::new();
        for span in &self.spans {
            let added = list.add_partition_offset(&self.topic, span.partition.partition, Offset::Offset(span.first));
            added.map_err(|e| kafka_error(doing(), e))?;
        }
        self.consumer.assign(&list).map_err(|e| kafka_error(doing(), e))?;
        let mut open: HashMap<i32, i64> = self.spans.iter().map(|s| (s.partition.partition, s.end)).collect();
        let mut collector = Collector::default();
        let mut heard = Instant::now();
        while !open.is_empty() && !self.records.is_closed() {
            let wait = if collector.is_empty() { POLL } else { Duration::ZERO };
            let mut idle = false;
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    // What was written since is not of this stretch.
                    let Some(end) = open.get(&message.partition()).copied() else { continue };
                    if message.offset() < end {
                        collector.push(&message);
                    }
                    if message.offset() + 1 >= end {
                        open.remove(&message.partition());
                    }
                }
                // Behind the last record there may be offsets without one.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    open.remove(&partition);
                }
                Some(Err(e)) => match e.rdkafka_error_code() {
                    Some(code)
                        if class(code) == connect_api::ErrorClass::Retriable && code != Code::AutoOffsetReset => {}
                    _ => return Err(kafka_error(doing(), e)),
                },
                None => idle = true,
            }
            if collector.len() >= MOST || (idle && !collector.is_empty()) {
                if self.records.blocking_send(Ok(collector.take(|_| true))).is_err() {
                    return Ok(());
                }
                // Who takes the records may take his time.
                heard = Instant::now();
            }
            if heard.elapsed() > self.silence {
                let silent = Error::retriable(format!("{}: nothing came for {} s", doing(), self.silence.as_secs()));
                return Err(match self.consumer.context().last_failure() {
                    Some(why) => silent.caused_by(why),
                    None => silent,
                });
            }
        }
        if !collector.is_empty() {
            let _ = self.records.blocking_send(Ok(collector.take(|_| true)));
        }
        Ok(())
    }
}
