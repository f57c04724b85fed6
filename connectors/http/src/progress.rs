//! Which records of a slice were delivered, so that its retry goes on behind them.

use connect_api::{SinkRecord, Topic, TopicPartition};

/// The last delivered offset of each partition.
///
/// A sink that sends one request per record and fails in the middle of a slice gets the whole slice
/// again. Without this it would deliver the first records anew at every retry, and a server that answers
/// 429 would never see the rest.
#[derive(Debug, Default)]
pub struct Progress(Vec<(Topic, i32, i64)>);

impl Progress {
    /// Nothing delivered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the record, or a later one of its partition, was delivered.
    pub fn has(&self, record: &SinkRecord) -> bool {
        self.0.iter().any(|(t, p, offset)| of(record, t, *p) && *offset >= record.origin.offset)
    }

    /// Notes that the record was delivered, or that it has been decided that it never will be.
    pub fn note(&mut self, record: &SinkRecord) {
        let origin = &record.origin;
        match self.0.iter_mut().find(|(t, p, _)| of(record, t, *p)) {
            Some(entry) => entry.2 = origin.offset,
            None => self.0.push((origin.topic.clone(), origin.partition, origin.offset)),
        }
    }

    /// Forgets partitions: when they are assigned anew they may start anywhere.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        self.0.retain(|(t, p, _)| !partitions.iter().any(|tp| tp.partition == *p && tp.topic == *t));
    }
}

fn of(record: &SinkRecord, topic: &Topic, partition: i32) -> bool {
    record.origin.partition == partition && record.origin.topic == *topic
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Origin, Record, TimestampType};

    fn record(partition: i32, offset: i64) -> SinkRecord {
        let origin = Origin { topic: "t".into(), partition, offset, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record: Record::new("renamed"), origin }
    }

    #[test]
    fn delivered_records_are_known_until_their_partition_comes_anew() {
        let mut progress = Progress::new();
        progress.note(&record(0, 5));
        progress.note(&record(1, 2));
        assert!(progress.has(&record(0, 5)) && progress.has(&record(0, 4)));
        assert!(!progress.has(&record(0, 6)) && !progress.has(&record(1, 3)) && !progress.has(&record(2, 0)));
        progress.forget(&[TopicPartition { topic: "t".into(), partition: 0 }]);
        assert!(!progress.has(&record(0, 4)) && progress.has(&record(1, 2)));
    }
}
