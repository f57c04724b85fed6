//! Which records of a slice were delivered, so that its retry goes on behind them.

use std::collections::HashSet;

use connect_api::{Error, SinkRecord, Topic, TopicPartition};

/// What tells a record from all others: topic, partition and offset.
pub type RecordKey = (Topic, i32, i64);

/// The delivered records of slices that have not been delivered as a whole.
///
/// A sink that sends one request per record and fails in the middle of a slice gets the whole slice, or halves of
/// it, again. Without this it would deliver the first records anew at every retry, and a server that answers 429
/// would never see the rest. Nothing is remembered beyond that: a record that comes later with an offset that was
/// seen before is another one, as after its topic was deleted and created again, or one that is to be delivered anew.
#[derive(Debug, Default)]
pub struct Progress {
    delivered: HashSet<RecordKey>,
    has_advanced: bool,
}

impl Progress {
    /// Nothing delivered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the record was delivered by an earlier try.
    pub fn has(&self, record: &SinkRecord) -> bool {
        !self.delivered.is_empty() && self.delivered.contains(&key(record))
    }

    /// Notes that the record was delivered, or that it has been decided that it never will be.
    pub fn note(&mut self, record: &SinkRecord) {
        self.has_advanced |= self.delivered.insert(key(record));
    }

    /// Forgets a slice that was delivered as a whole: it is not tried again.
    pub fn finished(&mut self, slice: &[SinkRecord]) {
        self.has_advanced = false;
        if self.delivered.is_empty() {
            return;
        }
        for record in slice {
            self.delivered.remove(&key(record));
        }
    }

    /// The error of a try, which says whether this try has delivered anything.
    pub fn failed(&mut self, e: Error) -> Error {
        if std::mem::take(&mut self.has_advanced) { e.advanced() } else { e }
    }

    /// Forgets partitions: when they are assigned anew they may start anywhere.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        self.delivered.retain(|(t, p, _)| !partitions.iter().any(|tp| tp.partition == *p && tp.topic == *t));
    }
}

/// What tells the record from all others.
pub fn key(record: &SinkRecord) -> RecordKey {
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

    #[test]
    fn the_error_of_a_try_says_whether_it_has_delivered_anything() {
        let mut progress = Progress::new();
        let failed = |progress: &mut Progress| progress.failed(Error::retriable("busy")).has_advanced();
        assert!(!failed(&mut progress));
        progress.note(&record(0, 5));
        assert!(failed(&mut progress));
        progress.note(&record(0, 5));
        assert!(!failed(&mut progress), "it was delivered before");
        progress.note(&record(0, 6));
        progress.finished(&[record(0, 5), record(0, 6)]);
        assert!(!failed(&mut progress), "that is another slice");
    }
}
