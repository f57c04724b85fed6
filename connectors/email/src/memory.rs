//! What is kept in the connector's state: the threads, and of each alarm who was told that it is active, so that whoever got
//! the beginning gets the end.

use std::{collections::BTreeMap, sync::Arc};

use connect_api::{Bytes, Error, PartitionOffset, Result, SinkContext, SinkRecord, State, TopicPartition};
use connector_alarm::place::{self, Place, is_active};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    message::{Email, Said, To},
    thread::{Thread, Told},
};

/// The name of the state of threads.
const THREADS: &str = "threads";
/// The name of the state of alarms.
const ALARMS: &str = "alarms";

/// An alarm of which mails have told that it is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its thread, which the record that ends it may not tell.
    pub thread: String,
    /// Who got the mails.
    pub to: To,
}

/// The state.
pub struct Memory {
    threads: Arc<dyn State>,
    alarms: Arc<dyn State>,
    /// The offsets that the last two flushes found safe, the older ones first. Those of the first but last are committed.
    safe: BTreeMap<TopicPartition, (i64, i64)>,
}

/// What a mail changes.
pub struct Changes<'m> {
    memory: &'m Memory,
    threads: BTreeMap<String, Option<Thread>>,
    alarms: BTreeMap<Place, Option<Open>>,
    is_long: bool,
}

impl Memory {
    /// Reads it.
    pub async fn of(context: &SinkContext) -> Result<Self> {
        let (threads, alarms) = (context.state(THREADS).await?, context.state(ALARMS).await?);
        Ok(Self { threads, alarms, safe: BTreeMap::new() })
    }

    /// A thread.
    pub fn thread(&self, key: &str) -> Result<Option<Thread>> {
        self.threads.get(key).map(|bytes| Thread::read(key, &bytes)).transpose()
    }

    /// An alarm that mails have told of.
    pub fn alarm(&self, alarm: &Place) -> Result<Option<Open>> {
        let key = place::key(alarm);
        self.alarms.get(&key).map(|bytes| read(&key, &bytes)).transpose()
    }

    /// Notes what a flush found safe.
    pub fn flushed(&mut self, safe: &[PartitionOffset]) {
        for o in safe {
            let before = self.safe.get(&o.partition).map_or(0, |(_, last)| *last);
            self.safe.insert(o.partition.clone(), (before.min(o.offset), o.offset));
        }
    }

    /// Forgets partitions, which may begin anywhere when they come back.
    pub fn close(&mut self, partitions: &[TopicPartition]) {
        self.safe.retain(|partition, _| !partitions.contains(partition));
    }

    /// Forgets an alarm that is over.
    pub async fn forget(&self, alarm: &Place) -> Result<()> {
        self.alarms.put(&place::key(alarm), None).await
    }

    /// What mails will change.
    pub fn changes(&self) -> Changes<'_> {
        Changes { memory: self, threads: BTreeMap::new(), alarms: BTreeMap::new(), is_long: false }
    }

    /// A record that was told may come again until its offset is committed.
    fn comes_again(&self, told: &Told) -> bool {
        let of = |p: &TopicPartition| *p.topic == *told.topic && p.partition == told.partition;
        self.safe.iter().find(|(p, _)| of(p)).is_none_or(|(_, (committed, _))| told.offset >= *committed)
    }

    /// Whether the thread has another alarm that is active.
    fn has_others(&self, thread: &str, alarm: &Place, changes: &BTreeMap<Place, Option<Open>>) -> Result<bool> {
        // The thread of that alarm alone.
        if *thread == *alarm.1 {
            return Ok(false);
        }
        let others = changes.iter().filter(|(place, _)| *place != alarm);
        if others.filter_map(|(_, open)| open.as_ref()).any(|open| open.thread == thread) {
            return Ok(true);
        }
        for (key, bytes) in self.alarms.entries() {
            let place = place::of_key(&key);
            let is_other = place.as_ref().is_some_and(|place| place != alarm && !changes.contains_key(place));
            if is_other && read(&key, &bytes)?.thread == thread {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Changes<'_> {
    /// A mail told of this record; `got` is who has it.
    pub fn note(&mut self, record: &SinkRecord, said: &Said, mail: &Email, got: &To) -> Result<()> {
        let Some(key) = &said.thread else { return Ok(()) };
        let alarm = place::of(record);
        let before = match self.threads.get(key) {
            Some(thread) => thread.clone(),
            None => self.memory.thread(key)?,
        };
        let comes = |told: &Told| self.memory.comes_again(told);
        let thread = Thread::after(before.as_ref(), &mail.id, &said.subject, record, comes);
        self.is_long |= thread.is_long();
        if is_active(record) {
            let known = match self.alarms.get(&alarm) {
                Some(open) => open.clone(),
                None => self.memory.alarm(&alarm)?,
            };
            let to = known.map_or_else(|| got.clone(), |open| open.to.with(got));
            self.alarms.insert(alarm, Some(Open { thread: key.clone(), to }));
            self.threads.insert(key.clone(), Some(thread));
        } else {
            let goes_on = self.memory.has_others(key, &alarm, &self.alarms)?;
            self.alarms.insert(alarm, None);
            self.threads.insert(key.clone(), goes_on.then_some(thread));
        }
        Ok(())
    }

    /// Keeps it. Says whether records should be committed soon.
    pub async fn write(self) -> Result<bool> {
        let Self { memory, threads, alarms, is_long } = self;
        let (mut open, mut over) = (Vec::new(), Vec::new());
        for (alarm, now) in alarms {
            if memory.alarm(&alarm)? == now {
                continue;
            }
            match now {
                Some(now) => open.push((place::key(&alarm), Some(bytes(&now)?))),
                None => over.push((place::key(&alarm), None)),
            }
        }
        let mut told = Vec::with_capacity(threads.len());
        for (key, thread) in threads {
            told.push((key, thread.map(|thread| thread.write().map(Bytes::from)).transpose()?));
        }
        // A record whose thread has it is not looked at again: all else must be kept by then, and be forgotten later.
        for (state, puts) in [(&memory.alarms, open), (&memory.threads, told), (&memory.alarms, over)] {
            try_join_all(puts.into_iter().map(|(key, bytes)| async move { state.put(&key, bytes).await })).await?;
        }
        Ok(is_long)
    }
}

fn read(key: &str, bytes: &[u8]) -> Result<Open> {
    serde_json::from_slice(bytes).map_err(|e| Error::fatal(format!("reading who was told of {key}")).caused_by(e))
}

fn bytes(open: &Open) -> Result<Bytes> {
    serde_json::to_vec(open).map(Bytes::from).map_err(|e| Error::fatal("writing who was told").caused_by(e))
}
