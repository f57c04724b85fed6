//! Which records of a slice were delivered, so that its retry goes on behind them.

use std::collections::HashSet;

use connect_api::{SinkRecord, Topic, TopicPartition};

/// The delivered records of slices that have not been delivered as a whole.
///
/// A sink that sends one request per record and fails in the middle of a slice gets the whole slice, or halves of
/// it, again. Without this it would deliver the first records anew at every retry, and a server that answers 429
/// would never see the rest. Nothing is remembered beyond that: a record that comes later with an offset that was
/// seen before is another one, as after its topic was deleted and created again, or one that is to be delivered anew.
#[derive(Debug, Default)]
pub struct Progress(HashSet<(Topic, i32, i64)>);

impl Progress {
    /// Nothing delivered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the record was delivered by an earlier try.
    pub fn has(&self, record: &SinkRecord) -> bool {
        !self.0.is_empty() && self.0.contains(&key(record))
    }

    /// Notes that the record was delivered, or that it has been decided that it never will be.
    pub fn note(&mut self, record: &SinkRecord) {
        self.0.insert(key(record));
    }

    /// Forgets a slice that was delivered as a whole: it is not tried again.
    pub fn finished(&mut self, slice: &[SinkRecord]) {
        if self.0.is_empty() {
            return;
        }
        for record in slice {
            self.0.remove(&key(record));
        }
    }

    /// Forgets partitions: when they are assigned anew they may start anywhere.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        self.0.retain(|(t, p, _)| !partitions.iter().any(|tp| tp.partition == *p && tp.topic == *t));
    }
}

fn key(record: &SinkRecord) -> (Topic, i32, i64) {
    let origin = &record.origin;
    (origin.topic.clone(), origin.partition, origin.offset)
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
    fn delivered_records_are_known_until_their_slice_is_done_or_their_partition_is_gone() {
        let mut progress = Progress::new();
        let slice = [record(0, 5), record(0, 6), record(1, 2)];
        slice.iter().for_each(|r| progress.note(r));
        assert!(progress.has(&record(0, 5)) && progress.has(&record(1, 2)));
        assert!(!progress.has(&record(0, 4)) && !progress.has(&record(0, 7)) && !progress.has(&record(2, 5)));
        progress.finished(&slice[..1]);
        assert!(!progress.has(&record(0, 5)) && progress.has(&record(0, 6)), "one half is done");
        progress.forget(&[TopicPartition { topic: "t".into(), partition: 0 }]);
        assert!(!progress.has(&record(0, 6)) && progress.has(&record(1, 2)));
        progress.finished(&slice);
        assert!(!progress.has(&record(1, 2)), "a later record with this offset is another one");
    }
}
