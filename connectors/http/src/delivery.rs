//! How a slice of records is delivered: several requests at once, those of one key one behind the other.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use connect_api::{Error, ErrorClass, Result, SinkContext, SinkRecord, TopicPartition, Value, config::Key};
use futures_util::future::join_all;

use crate::Progress;

connect_api::config! {
    /// How many requests are under way.
    #[derive(Debug, Clone)]
    pub struct DeliveryConfig {
        /// How many requests may be under way at once. Records of one key, and those without key of one partition, are
        /// always sent one behind the other; with more than one, records of different keys may overtake each other.
        in_flight: i32 = Key::new("http.max.in.flight").default("1").at_least(1),
    }
}

impl DeliveryConfig {
    /// How many requests may be under way, at least one.
    pub fn lanes(&self) -> usize {
        usize::try_from(self.in_flight).unwrap_or(1).max(1)
    }
}

/// Delivers the slices of a task and remembers what of them was delivered when one has to come again.
#[derive(Debug)]
pub struct Delivery {
    context: SinkContext,
    lanes: usize,
    progress: Progress,
}

impl Delivery {
    /// For a task.
    pub fn new(context: SinkContext, config: &DeliveryConfig) -> Self {
        Self { context, lanes: config.lanes(), progress: Progress::new() }
    }

    /// To be called by [`connect_api::SinkTask::open`].
    pub fn opened(&mut self, partitions: &[TopicPartition]) {
        self.progress.forget(partitions);
    }

    /// Delivers what of a slice was not delivered before. `fitting` says how many records, from the first, one request
    /// takes, at least one; `send` makes the request and returns when they are stored.
    ///
    /// A data error of a single record is reported; one of several makes the whole call fail, so that the worker
    /// halves the slice. After any error but that the key's other records stay back, and the rest is delivered before
    /// the call fails: with the fatal error if there is one, else with the retriable one that asks for the longest delay.
    pub async fn deliver<'a, F>(
        &mut self,
        slice: &'a [SinkRecord],
        fitting: impl Fn(&[&'a SinkRecord]) -> usize,
        send: impl Fn(Vec<&'a SinkRecord>) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        self.deliver_by(slice, |_| 0, fitting, send).await
    }

    /// As [`Delivery::deliver`], for requests that take records of one place only: those of one number stand together
    /// as far as the order of each key allows.
    pub async fn deliver_by<'a, F>(
        &mut self,
        slice: &'a [SinkRecord],
        place: impl Fn(&SinkRecord) -> usize,
        fitting: impl Fn(&[&'a SinkRecord]) -> usize,
        send: impl Fn(Vec<&'a SinkRecord>) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let mut lanes: Vec<Vec<&SinkRecord>> = vec![Vec::new(); self.lanes];
        for record in slice.iter().filter(|record| !self.progress.has(record)) {
            lanes[lane(record, self.lanes)].push(record);
        }
        lanes.iter_mut().for_each(|lane| sort(lane, &place));
        let (context, fitting, send) = (&self.context, &fitting, &send);
        let one = async |lane: Vec<&'a SinkRecord>| {
            let mut rest = lane.as_slice();
            while !rest.is_empty() {
                let (group, behind) = rest.split_at(fitting(rest).clamp(1, rest.len()));
                let sent = match send(group.to_vec()).await {
                    Err(e) if e.class() == ErrorClass::Data && group.len() == 1 => context.report(group[0], e).await,
                    sent => sent,
                };
                if let Err(e) = sent {
                    return (lane.len() - rest.len(), lane, Err(e));
                }
                rest = behind;
            }
            (lane.len(), lane, Ok(()))
        };
        let lanes = lanes.into_iter().filter(|lane| !lane.is_empty());
        let mut failed: Option<Error> = None;
        for (done, lane, sent) in join_all(lanes.map(one)).await {
            lane[..done].iter().for_each(|record| self.progress.note(record));
            if let Err(e) = sent {
                failed = Some(match failed.take() {
                    Some(other) => graver(other, e),
                    None => e,
                });
            }
        }
        match failed {
            Some(e) => Err(self.progress.failed(e)),
            None => {
                self.progress.finished(slice);
                Ok(())
            }
        }
    }
}

/// Of so many lanes the one in which all records of the record's key are sent, or all without key of its partition.
pub fn lane(record: &SinkRecord, lanes: usize) -> usize {
    if lanes <= 1 {
        return 0;
    }
    // Less than the number of lanes, which fits.
    usize::try_from(hash(record) % lanes as u64).unwrap_or_default()
}

/// Brings records of one place together. One whose place comes before that of its key's last one waits for another round.
fn sort(lane: &mut Vec<&SinkRecord>, place: impl Fn(&SinkRecord) -> usize) {
    let mut last: HashMap<u64, (usize, usize)> = HashMap::new();
    let turn = |record| {
        let (key, place) = (hash(record), place(record));
        let (round, before) = last.get(&key).copied().unwrap_or_default();
        let turn = (round + usize::from(place < before), place);
        last.insert(key, turn);
        (turn, record)
    };
    if lane.windows(2).any(|two| place(two[0]) != place(two[1])) {
        let mut turns: Vec<_> = lane.drain(..).map(turn).collect();
        turns.sort_by_key(|(turn, _)| *turn);
        lane.extend(turns.into_iter().map(|(_, record)| record));
    }
}

/// Records that are to stay in their order have the same.
fn hash(record: &SinkRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &record.key {
        Value::Null => (&*record.origin.topic, record.origin.partition).hash(&mut hasher),
        Value::String(text) => text.hash(&mut hasher),
        other => other.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

/// Of two errors the one that says what must be done.
pub fn graver(a: Error, b: Error) -> Error {
    let rank = |e: &Error| match e.class() {
        ErrorClass::Data => 0,
        ErrorClass::Retriable => 1,
        ErrorClass::Fatal => 2,
    };
    if (rank(&b), b.delay()) > (rank(&a), a.delay()) { b } else { a }
}
