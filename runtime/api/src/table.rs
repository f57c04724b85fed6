//! Compacted topics as tables or record by record, and keyed state: what tasks remember across restarts.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};

use crate::{Headers, Result, Schema, Value};

/// The latest record of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Schema of the value.
    pub schema: Option<Schema>,
    /// Value; never null, a tombstone removes the row.
    pub value: Value,
    /// Headers.
    pub headers: Headers,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

type Rows = IndexMap<Arc<str>, Row>;

/// A compacted topic followed as a table: the latest record of each key, which is shown as text.
///
/// When a task gets it, everything that the topic held at that moment has been read; later records
/// appear as they arrive. Cloning shares the table.
#[derive(Clone)]
pub struct Table {
    rows: Arc<RwLock<Rows>>,
    changes: watch::Receiver<u64>,
    exists: Arc<AtomicBool>,
}

/// The end that writes a table: the worker's topic reader, or a test.
#[derive(Debug)]
pub struct TableWriter {
    rows: Arc<RwLock<Rows>>,
    changes: watch::Sender<u64>,
}

impl Table {
    /// An empty table and its writer.
    pub fn new() -> (Self, TableWriter) {
        Self::of_topic(Arc::new(AtomicBool::new(true)))
    }

    /// An empty table and its writer, which says whether the topic exists.
    pub fn of_topic(exists: Arc<AtomicBool>) -> (Self, TableWriter) {
        let rows = Arc::new(RwLock::new(Rows::new()));
        let (changes, watcher) = watch::channel(0);
        (Self { rows: rows.clone(), changes: watcher, exists }, TableWriter { rows, changes })
    }

    /// The row of a key.
    pub fn get(&self, key: &str) -> Option<Row> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All rows.
    pub fn snapshot(&self) -> Vec<(Arc<str>, Row)> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|(k, r)| (k.clone(), r.clone())).collect()
    }

    /// Whether Kafka has no such topic so far.
    pub fn is_missing(&self) -> bool {
        !self.exists.load(Ordering::Acquire)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a row changed since this was last called. `false` when nothing follows the topic any more.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} rows)", self.len())
    }
}

impl TableWriter {
    /// Resolves when nobody holds the table any more.
    pub async fn closed(&self) {
        self.changes.closed().await;
    }

    /// Sets or removes the row of a key.
    pub fn put(&self, key: impl Into<Arc<str>>, row: Option<Row>) {
        let key = key.into();
        {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            match row {
                Some(row) => {
                    rows.insert(key, row);
                }
                None => {
                    rows.shift_remove(&key);
                }
            }
        }
        self.changes.send_modify(|n| *n += 1);
    }
}

/// What [`Feed::next`] gives.
#[derive(Debug)]
pub enum FeedEvent {
    /// Records in the order of the topic's partitions: keys, and values or tombstones.
    Records(Vec<(Arc<str>, Option<Bytes>)>),
    /// Everything that the topic held when the feed began has been given; comes once.
    CaughtUp,
}

/// A compacted topic followed record by record, for tasks that keep of it only what they need. It ends when it is dropped.
#[derive(Debug)]
pub struct Feed(mpsc::Receiver<FeedEvent>);

impl Feed {
    /// A feed and the end that fills it, which waits when this many events are not taken yet.
    pub fn new(most: usize) -> (Self, mpsc::Sender<FeedEvent>) {
        let (sender, receiver) = mpsc::channel(most);
        (Self(receiver), sender)
    }

    /// What comes next; `None` when nothing follows the topic any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        self.0.recv().await
    }
}

/// Keyed state of a connector in a compacted topic, replayed before the task starts. With the embedded
/// broker it lives as long as the process.
#[async_trait]
pub trait State: Send + Sync {
    /// The bytes kept under a key.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// All keys with their bytes.
    fn entries(&self) -> Vec<(Arc<str>, Bytes)>;

    /// Keeps bytes under a key, or forgets the key with `None`; returns when Kafka has it.
    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn later_records_win_and_tombstones_remove() {
        let (mut table, writer) = Table::new();
        let row = |v: i64| Some(Row { schema: None, value: Value::Int64(v), headers: Headers::new(), timestamp: None });
        writer.put("a", row(1));
        writer.put("a", row(2));
        assert_eq!(table.get("a").map(|r| r.value), Some(Value::Int64(2)));
        writer.put("a", None);
        assert!(table.is_empty());
        assert!(table.changed().await);
        drop(writer);
        assert!(!table.changed().await);
    }
}
