//! Records as Kafka keeps them: bytes, shared by batch.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use connect_api::{TimestampType, Topic};
use rdkafka::{
    Message, Timestamp,
    message::{BorrowedMessage, Headers as _},
};

/// A record from Kafka before conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRecord {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Kind of the time stamp.
    pub timestamp_type: TimestampType,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

/// Collects messages into one buffer, so that a batch costs one allocation for all of its bytes.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    finished: Vec<RawRecord>,
    bytes: BytesMut,
    records: Vec<Slot>,
    topics: Vec<Topic>,
}

#[derive(Debug)]
struct Slot {
    record: RawRecord,
    key: Option<usize>,
    value: Option<usize>,
    headers: Vec<Option<usize>>,
}

impl Collector {
    pub(crate) fn len(&self) -> usize {
        self.finished.len() + self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.records.is_empty()
    }

    fn topic(&mut self, name: &str) -> Topic {
        match self.topics.iter().find(|t| &***t == name) {
            Some(t) => t.clone(),
            None => {
                let topic = Topic::from(name);
                self.topics.push(topic.clone());
                topic
            }
        }
    }

    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let topic = self.topic(message.topic());
        let bytes = &mut self.bytes;
        let mut keep = |part: Option<&[u8]>| {
            part.map(|b| {
                bytes.extend_from_slice(b);
                b.len()
            })
        };
        let (key, value) = (keep(message.key()), keep(message.payload()));
        let mut names = Vec::new();
        let mut lengths = Vec::new();
        if let Some(headers) = message.headers() {
            for header in headers.iter() {
                names.push((Arc::from(header.key), None));
                lengths.push(keep(header.value));
            }
        }
        let (timestamp, timestamp_type) = match message.timestamp() {
            Timestamp::NotAvailable => (None, TimestampType::None),
            Timestamp::CreateTime(ms) => (Some(ms).filter(|ms| *ms >= 0), TimestampType::CreateTime),
            Timestamp::LogAppendTime(ms) => (Some(ms).filter(|ms| *ms >= 0), TimestampType::LogAppendTime),
        };
        let record = RawRecord {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp,
            timestamp_type,
            key: None,
            value: None,
            headers: names,
        };
        self.records.push(Slot { record, key, value, headers: lengths });
    }

    /// The records collected so far, without those of partitions that were taken away.
    pub(crate) fn take(&mut self, keep: impl Fn(&RawRecord) -> bool) -> Vec<RawRecord> {
        let mut bytes = std::mem::take(&mut self.bytes).freeze();
        let mut cut = |length: Option<usize>| length.map(|n| bytes.split_to(n));
        let mut records = std::mem::take(&mut self.finished);
        records.retain(&keep);
        records.reserve(self.records.len());
        for slot in self.records.drain(..) {
            let mut record = slot.record;
            (record.key, record.value) = (cut(slot.key), cut(slot.value));
            for (header, length) in record.headers.iter_mut().zip(slot.headers) {
                header.1 = cut(length);
            }
            if keep(&record) {
                records.push(record);
            }
        }
        records
    }

    /// Puts records back in front of what is collected next.
    pub(crate) fn restore(&mut self, records: Vec<RawRecord>) {
        self.finished = records;
    }
}
