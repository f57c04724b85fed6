//! How far a sink task has come in each partition.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connect_api::{PartitionOffset, TopicPartition};
use connect_kafka::{Bounds, RawRecord, Sequence};

/// What has been read of each partition and not been committed.
#[derive(Default)]
pub(super) struct Positions {
    pub assigned: BTreeSet<TopicPartition>,
    /// Offset behind the last record that was put, dropped or tolerated.
    pub put: BTreeMap<TopicPartition, i64>,
    /// Where to read again if what was put turns out not to be stored.
    pub safe: BTreeMap<TopicPartition, i64>,
    /// Partitions that were given up since the batch in hand was taken. Where one has come back, it is read again from
    /// what was committed: what the batch has of it is of no concern any more.
    pub given_up: BTreeSet<TopicPartition>,
    /// What was read.
    pub sequence: Sequence,
}

impl Positions {
    /// Whether what the batch in hand has of the partition is this task's to put.
    pub fn holds(&self, partition: &TopicPartition) -> bool {
        self.assigned.contains(partition) && !self.given_up.contains(partition)
    }

    /// How many records Kafka has of each partition that have not been put; `None` while the end of one is not known, or
    /// while nothing is `fetched`: of paused partitions nothing is heard, nor is known of those that are awaited.
    /// `all_put` says that of what the consumer has given out nothing waits.
    pub fn lags(&self, bounds: &[Bounds], fetched: bool, all_put: bool) -> Option<Vec<(TopicPartition, u64)>> {
        if !fetched {
            return None;
        }
        let lag = |partition: &TopicPartition| {
            let b = bounds.iter().find(|b| b.partition == *partition)?;
            let at = self.put.get(partition).copied().or(b.committed).unwrap_or(b.first);
            // Offsets without records, such as the ends of transactions, are never put.
            let end = if b.given_out && all_put { at } else { b.end };
            Some((partition.clone(), u64::try_from(end - at).unwrap_or(0)))
        };
        self.assigned.iter().map(lag).collect()
    }

    /// How many offsets were put and not committed.
    pub fn ahead(&self) -> u64 {
        let ahead = self.put.iter().filter_map(|(p, o)| u64::try_from(o - self.safe.get(p)?).ok());
        ahead.sum()
    }

    /// What was put of all or some partitions, and not been committed.
    pub fn uncommitted(&self, only: Option<&[TopicPartition]>) -> Vec<PartitionOffset> {
        let wanted = |p: &TopicPartition| only.is_none_or(|list| list.contains(p));
        let ahead = self.put.iter().filter(|(p, o)| wanted(p) && self.safe.get(*p).is_none_or(|s| s < *o));
        ahead.map(|(p, o)| PartitionOffset { partition: p.clone(), offset: *o }).collect()
    }

    /// What may be committed of what a task finds safe when it is asked for these offsets. What is committed stays so, also
    /// where the task has older records in hand, which it got back from elsewhere.
    pub fn committable(&self, asked: &[PartitionOffset], safe: Vec<PartitionOffset>) -> Vec<PartitionOffset> {
        let goes_back = |s: &PartitionOffset| self.safe.get(&s.partition).is_some_and(|safe| s.offset < *safe);
        let known = |s: &PartitionOffset| asked.iter().any(|o| o.partition == s.partition && s.offset <= o.offset);
        safe.into_iter().filter(|s| known(s) && !goes_back(s)).collect()
    }
}

/// Drops what was read of these partitions and not put: it comes again from elsewhere.
pub(super) fn drop_of(pending: &mut VecDeque<Vec<RawRecord>>, moved: &[PartitionOffset]) {
    let stays =
        |r: &RawRecord| !moved.iter().any(|o| o.partition.partition == r.partition && o.partition.topic == r.topic);
    pending.iter_mut().for_each(|batch| batch.retain(stays));
}

/// The partitions as a person reads them.
pub(super) fn list(partitions: &[TopicPartition]) -> String {
    let shown: Vec<String> = partitions.iter().take(10).map(|p| format!("{}-{}", p.topic, p.partition)).collect();
    let more = partitions.len().saturating_sub(10);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn bounds(partition_id: i32, end: i64, given_out: bool) -> Bounds {
        Bounds { partition: partition(partition_id), first: 2, end, committed: None, given_out }
    }

    #[test]
    fn a_commit_goes_neither_back_nor_beyond_what_was_put() {
        let positions = Positions {
            safe: [(partition(0), 90), (partition(1), 90)].into(),
            put: [(partition(0), 100), (partition(1), 100)].into(),
            ..Positions::default()
        };
        let offset = |id, offset| PartitionOffset { partition: partition(id), offset };
        let asked = positions.uncommitted(None);
        assert_eq!(asked, [offset(0, 100), offset(1, 100)]);
        let committed = |safe: [PartitionOffset; 2]| positions.committable(&asked, safe.to_vec());
        assert_eq!(committed([offset(0, 5), offset(1, 95)]), [offset(1, 95)], "an older record is in hand");
        assert_eq!(committed([offset(0, 90), offset(1, 101)]), [offset(0, 90)]);
        assert_eq!(committed([offset(0, 100), offset(2, 1)]), [offset(0, 100)]);
    }

    #[test]
    fn there_is_no_lag_while_partitions_are_awaited_or_their_ends_not_known() {
        let mut positions = Positions::default();
        // Nobody knows how much there is to read before the group has given out partitions.
        assert_eq!(positions.lags(&[], false, true), None);
        assert_eq!(positions.lags(&[], true, true), Some(Vec::new()), "none were given");
        positions.assigned = [partition(0), partition(1)].into();
        assert_eq!(positions.lags(&[bounds(0, 9, false)], true, false), None, "the other one's end is not known");
        let all = [bounds(0, 9, false), bounds(1, 9, false)];
        assert_eq!(positions.lags(&all, false, false), None);
        positions.put.insert(partition(1), 5);
        assert_eq!(positions.lags(&all, true, false), Some(vec![(partition(0), 7), (partition(1), 4)]));
        let read = [bounds(0, 9, true), bounds(1, 9, true)];
        assert_eq!(positions.lags(&read, true, true), Some(vec![(partition(0), 0), (partition(1), 0)]));
    }
}
