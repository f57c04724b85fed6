//! Records that Kafka deleted before they were read. Kafka itself passes over them: a reader that asks for an offset
//! which is gone is set to another one, as `auto.offset.reset` says.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use connect_api::{Result, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
};

use crate::{RawRecord, error::kafka_error};

/// Where a reader goes on, and what it found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Which partition.
    pub partition: TopicPartition,
    /// The offset that was to be read next; none for what the group has committed.
    pub next: Option<i64>,
    /// The offset of the record that came instead, if one has come.
    pub found: Option<i64>,
}

/// Records that were not read because Kafka had deleted them. As text it says so to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedUnread {
    /// Which partition.
    pub partition: TopicPartition,
    /// The first offset that was not read.
    pub next: i64,
    /// The first offset behind them.
    pub found: i64,
}

impl fmt::Display for DeletedUnread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (TopicPartition { topic, partition }, last) = (&self.partition, self.found - 1);
        write!(
            f,
            "offsets {} to {last} of topic {topic}, partition {partition}, were deleted before they were read; raise the topic's \
             retention",
            self.next
        )
    }
}

/// What a reader has read of each partition, so that it sees when something did not follow.
#[derive(Debug, Default)]
pub struct Sequence {
    next: BTreeMap<TopicPartition, i64>,
    /// Records that did not follow the one before; the first of each partition.
    gaps: BTreeMap<TopicPartition, Awaited>,
    /// Since when each partition is read onward without a step back, and from which offset.
    begun: BTreeMap<TopicPartition, (Instant, i64)>,
}

impl Sequence {
    /// Notes what was read.
    pub fn read(&mut self, records: &[RawRecord]) {
        for run in records.chunk_by(|a, b| a.partition == b.partition && a.topic == b.topic) {
            let partition = TopicPartition { topic: run[0].topic.clone(), partition: run[0].partition };
            let mut next = self.next.get(&partition).copied();
            for record in run {
                if next.is_none_or(|next| record.offset < next) {
                    self.begun.insert(partition.clone(), (Instant::now(), record.offset));
                }
                if next.is_some_and(|next| next < record.offset) {
                    let gap = || Awaited { partition: partition.clone(), next, found: Some(record.offset) };
                    self.gaps.entry(partition.clone()).or_insert_with(gap);
                }
                next = Some(record.offset + 1);
            }
            self.next.extend(next.map(|next| (partition, next)));
        }
    }

    /// Reading goes on at that offset.
    pub fn sought(&mut self, partition: &TopicPartition, offset: i64) {
        self.next.insert(partition.clone(), offset);
        self.begun.insert(partition.clone(), (Instant::now(), offset));
    }

    /// The offset that is to be read next; none before the first record of a partition where nobody has said it.
    pub fn next(&self, partition: &TopicPartition) -> Option<i64> {
        self.next.get(partition).copied()
    }

    /// Since when the partition is read onward without a step back, and from which offset; none before its first record.
    pub fn begun(&self, partition: &TopicPartition) -> Option<(Instant, i64)> {
        self.begun.get(partition).copied()
    }

    /// The partition is read by somebody else.
    pub fn gave_up(&mut self, partition: &TopicPartition) {
        self.next.remove(partition);
        self.gaps.remove(partition);
        self.begun.remove(partition);
    }

    /// Takes what did not follow, which has most often a good reason: transactions end with offsets without records,
    /// and compaction takes some away.
    pub fn gaps(&mut self) -> Vec<Awaited> {
        std::mem::take(&mut self.gaps).into_values().collect()
    }
}

/// Looks which of these offsets lie before the first record that Kafka still has. Blocks.
pub(crate) fn deleted_unread<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    of: Vec<Awaited>,
    limit: Duration,
) -> Result<Vec<DeletedUnread>> {
    let mut list = TopicPartitionList::new();
    for a in of.iter().filter(|a| a.next.is_none()) {
        list.add_partition(&a.partition.topic, a.partition.partition);
    }
    if list.count() > 0 {
        list = consumer.committed_offsets(list, limit).map_err(|e| kafka_error("reading committed offsets", e))?;
    }
    let committed = |of: &TopicPartition| match list.find_partition(&of.topic, of.partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    let mut all = Vec::new();
    for Awaited { partition, next, found } in of {
        let Some(next) = next.or_else(|| committed(&partition)) else { continue };
        let bounds = consumer.fetch_watermarks(&partition.topic, partition.partition, limit);
        let (first, _) = bounds.map_err(|e| kafka_error("reading the bounds of a partition", e))?;
        if next < first {
            all.push(DeletedUnread { partition, next, found: found.unwrap_or(first) });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use connect_api::TimestampType;

    use super::*;

    fn record(partition: i32, offset: i64) -> RawRecord {
        RawRecord {
            topic: "t".into(),
            partition,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn gaps(sequence: &Sequence) -> Vec<(i32, i64, i64)> {
        let of = |a: &Awaited| (a.partition.partition, a.next.unwrap_or(-1), a.found.unwrap_or(-1));
        sequence.gaps.values().map(of).collect()
    }

    #[test]
    fn what_does_not_follow_the_one_before_is_noted() {
        let mut sequence = Sequence::default();
        sequence.read(&[record(0, 7), record(0, 8), record(1, 2), record(0, 9)]);
        assert_eq!(gaps(&sequence), [], "nobody knows what came before the first");
        sequence.read(&[record(0, 10), record(0, 14), record(0, 20), record(1, 3)]);
        assert_eq!(gaps(&sequence), [(0, 11, 14)]);
        let partition = |partition| TopicPartition { topic: "t".into(), partition };
        sequence.sought(&partition(1), 1);
        sequence.read(&[record(1, 3)]);
        assert_eq!(gaps(&sequence), [(0, 11, 14), (1, 1, 3)]);
        let begun = |sequence: &Sequence| sequence.begun(&partition(0)).map(|(_, offset)| offset);
        assert_eq!(begun(&sequence), Some(7));
        sequence.read(&[record(0, 3), record(0, 4)]);
        assert_eq!(begun(&sequence), Some(3), "it went back");
        sequence.gave_up(&partition(0));
        assert_eq!(begun(&sequence), None);
        sequence.read(&[record(0, 50)]);
        assert_eq!(gaps(&sequence), [(1, 1, 3)]);
    }
}
