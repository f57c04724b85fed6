//! How many records a task gets at once: what was read is gathered by number, bytes and time.

use std::{collections::VecDeque, time::Duration};

use connect_kafka::RawRecord;
use tokio::time::Instant;

use crate::framework::PutConfig;

/// Limits where only a time is set.
const RECORDS: usize = 10_000;
const BYTES: usize = 8 * 1024 * 1024;

/// Puts together what the task gets at once.
#[derive(Debug)]
pub struct Gathering {
    linger: Duration,
    records: usize,
    bytes: usize,
    /// When the first of what waits was seen.
    since: Option<Instant>,
}

impl Gathering {
    /// By the connector's settings.
    pub fn new(config: &PutConfig) -> Self {
        let linger = config.linger.0;
        let limit = |set: Option<i32>, lingering| {
            let set = set.map(|n| usize::try_from(n).unwrap_or(1));
            set.unwrap_or(if linger.is_zero() { usize::MAX } else { lingering })
        };
        let (records, bytes) = (limit(config.records, RECORDS), limit(config.bytes, BYTES));
        Self { linger, records, bytes, since: None }
    }

    /// When what waits is to be put, which may be now; `None` while nothing waits.
    pub fn over(&mut self, pending: &VecDeque<Vec<RawRecord>>) -> Option<Instant> {
        if pending.iter().all(Vec::is_empty) {
            self.since = None;
            return None;
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        Some(if self.linger.is_zero() || self.is_enough(pending) { now } else { since + self.linger })
    }

    /// What the task gets next: what was read at once, or with a linger whatever waits, as far as the limits allow.
    pub fn take(&mut self, pending: &mut VecDeque<Vec<RawRecord>>) -> Option<Vec<RawRecord>> {
        if !self.linger.is_zero() {
            let all = pending.drain(..).reduce(|mut all, batch| {
                all.extend(batch);
                all
            });
            pending.extend(all);
        }
        let fitting = self.fitting(pending.front()?);
        match pending.front_mut() {
            // What is left is as old as what goes.
            Some(first) if fitting < first.len() => {
                let rest = first.split_off(fitting);
                Some(std::mem::replace(first, rest))
            }
            _ => {
                self.since = None;
                pending.pop_front()
            }
        }
    }

    fn is_enough(&self, pending: &VecDeque<Vec<RawRecord>>) -> bool {
        pending.iter().map(Vec::len).sum::<usize>() >= self.records
            || pending.iter().flatten().map(size).sum::<usize>() >= self.bytes
    }

    /// How many of these fit, at least one.
    fn fitting(&self, records: &[RawRecord]) -> usize {
        let most = records.len().min(self.records);
        if self.bytes == usize::MAX {
            return most;
        }
        let mut bytes = 0;
        let fits = |record: &&RawRecord| {
            bytes += size(record);
            bytes <= self.bytes
        };
        records[..most].iter().take_while(fits).count().max(1)
    }
}

fn size(record: &RawRecord) -> usize {
    let of = |bytes: &Option<_>| bytes.as_ref().map_or(0, |b: &bytes::Bytes| b.len());
    let headers: usize = record.headers.iter().map(|h| h.0.len() + of(&h.1)).sum();
    of(&record.key) + of(&record.value) + headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{TimestampType, config::Config};

    fn records(offsets: std::ops::Range<i64>, size: usize) -> Vec<RawRecord> {
        let one = |offset| RawRecord {
            topic: "t".into(),
            partition: 0,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(vec![0; size].into()),
            headers: Vec::new(),
        };
        offsets.map(one).collect()
    }

    fn gathering(settings: &[(&str, &str)]) -> Gathering {
        Gathering::new(&PutConfig::parse(&settings.iter().copied().collect()).expect("settings"))
    }

    fn taken(gathering: &mut Gathering, pending: &mut VecDeque<Vec<RawRecord>>) -> Vec<usize> {
        std::iter::from_fn(|| gathering.take(pending)).map(|batch| batch.len()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_linger_what_was_read_is_put_at_once() {
        let mut plain = gathering(&[]);
        let mut pending = VecDeque::new();
        assert_eq!(plain.over(&pending), None);
        pending.extend([records(0..500, 1), records(500..501, 1)]);
        assert_eq!(plain.over(&pending), Some(Instant::now()));
        assert_eq!(taken(&mut plain, &mut pending), [500, 1]);
        let mut small = gathering(&[("put.max.records", "200"), ("put.max.bytes", "150")]);
        pending.extend([records(0..250, 1), records(250..252, 1000)]);
        assert_eq!(taken(&mut small, &mut pending), [150, 100, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_linger_records_wait_for_their_time_their_number_or_their_bytes() {
        let mut patient = gathering(&[("put.linger.ms", "1000"), ("put.max.records", "4"), ("put.max.bytes", "1000")]);
        let mut pending = VecDeque::from([records(0..1, 1)]);
        let began = Instant::now();
        assert_eq!(patient.over(&pending), Some(began + Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(700)).await;
        pending.push_back(records(1..3, 1));
        assert_eq!(patient.over(&pending), Some(began + Duration::from_secs(1)), "the oldest decides");
        pending.push_back(records(3..9, 1));
        assert_eq!(patient.over(&pending), Some(Instant::now()), "there are enough");
        assert_eq!(patient.take(&mut pending).map(|batch| batch.len()), Some(4));
        assert_eq!(patient.over(&pending), Some(Instant::now()));
        assert_eq!(taken(&mut patient, &mut pending), [4, 1]);
        pending.push_back(records(0..1, 1000));
        assert_eq!(patient.over(&pending), Some(Instant::now()), "it is large enough");
    }
}
