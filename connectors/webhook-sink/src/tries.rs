//! How often each request has failed in a way that passes, where settings limit it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use connect_api::{Error, ErrorClass, SinkRecord};
use connector_http::progress::{RecordKey, key};

use crate::plan::Limit;

/// The requests that have failed, known by their first records, and the records that were given up.
#[derive(Debug, Default)]
pub struct Tries(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    failed: HashMap<RecordKey, u32>,
    given_up: HashMap<RecordKey, Error>,
}

impl Tries {
    /// What becomes of the error of a request. Records that are given up are not sent again, each by itself neither.
    pub fn failed(&self, e: Error, limit: Limit, group: &[&SinkRecord]) -> Error {
        let (ErrorClass::Retriable, Some(first)) = (e.class(), group.first()) else { return e };
        let mut counts = self.counts();
        let count = counts.failed.entry(key(first)).or_default();
        *count = count.saturating_add(1);
        let judged = limit.judge(e, *count);
        if judged.class() == ErrorClass::Data {
            counts.failed.remove(&key(first));
            counts.given_up.extend(group.iter().map(|record| (key(record), judged.clone())));
        }
        judged
    }

    /// Why the records are not sent any more, if they are not.
    pub fn given_up(&self, group: &[&SinkRecord]) -> Option<Error> {
        self.counts().given_up.get(&key(group.first()?)).cloned()
    }

    /// How many records, from the first, were given up, or were not.
    pub fn alike(&self, records: &[&SinkRecord]) -> usize {
        let counts = self.counts();
        if counts.given_up.is_empty() {
            return records.len();
        }
        let given_up = |record: &SinkRecord| counts.given_up.contains_key(&key(record));
        let first = records.first().is_some_and(|record| given_up(record));
        records.iter().take_while(|record| given_up(record) == first).count()
    }

    /// These records are done.
    pub fn finished(&self, records: &[SinkRecord]) {
        let mut counts = self.counts();
        if counts.failed.is_empty() && counts.given_up.is_empty() {
            return;
        }
        for record in records {
            let key = key(record);
            counts.failed.remove(&key);
            counts.given_up.remove(&key);
        }
    }

    /// Partitions may start anywhere.
    pub fn clear(&self) {
        *self.counts() = Counts::default();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
