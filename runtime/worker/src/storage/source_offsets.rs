//! Source offsets by connector and source partition: in memory, in a standalone worker's file, or in the offset topic
//! (runtime.md §7.2). All three keep Kafka Connect's keys and values as bytes.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use connect_api::{Error, OffsetMap, Result};
use connect_kafka::TopicSpec;
use serde_json::Value;
use tokio::sync::SetOnce;

use super::{
    offset_file::OffsetFile,
    topic::{Entry, InternalTopic, Plan},
};

/// A source partition and its offset; without one it is forgotten.
pub type PartitionOffset = (Arc<OffsetMap>, Option<OffsetMap>);

/// The offsets of all connectors of a worker. Cloning shares them.
#[derive(Clone)]
pub struct SourceOffsets {
    table: Arc<Mutex<Table>>,
    kept: Arc<Kept>,
}

enum Kept {
    Memory,
    File(tokio::sync::Mutex<OffsetFile>),
    Topic(SetOnce<InternalTopic>),
}

impl SourceOffsets {
    /// For the embedded broker, whose records do not survive either.
    pub fn in_memory() -> Self {
        Self { table: Arc::default(), kept: Arc::new(Kept::Memory) }
    }

    /// Reads the file of a standalone worker. A damaged one, or one that another worker uses, is an error.
    pub fn in_file(path: &Path) -> Result<Self> {
        let (file, entries) = OffsetFile::open(path)?;
        let mut table = Table::default();
        for (key, value) in entries {
            table.apply(&key, value.as_deref());
        }
        Ok(Self { table: Arc::new(Mutex::new(table)), kept: Arc::new(Kept::File(tokio::sync::Mutex::new(file))) })
    }

    /// For a distributed worker; commits wait until [`SourceOffsets::open`] has read the topic.
    pub fn in_topic() -> Self {
        Self { table: Arc::default(), kept: Arc::new(Kept::Topic(SetOnce::new())) }
    }

    /// Reads the offset topic to its end and follows it.
    pub async fn open(&self, worker: &crate::Worker, topic: TopicSpec) -> Result<()> {
        let Kept::Topic(cell) = &*self.kept else { return Ok(()) };
        let plan = Plan {
            topic,
            key: "offset.storage.topic",
            purpose: "source connector offsets",
            client: "offsets",
            one_partition: false,
        };
        let target = self.table.clone();
        let take_up = move |record: &connect_kafka::RawRecord| {
            let Some(key) = &record.key else { return };
            target.lock().unwrap_or_else(PoisonError::into_inner).apply(key, record.value.as_deref());
        };
        let topic = InternalTopic::open(worker, &plan, take_up).await?;
        cell.set(topic).map_err(|_| Error::fatal("the offset topic is opened once only"))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset of a partition.
    pub fn get(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let bytes = self.table().value(connector, partition);
        let Some(bytes) = bytes else { return Ok(None) };
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::fatal(format!("reading the offset of {connector} for {}", text(partition))).caused_by(e)
        })
    }

    /// All partitions of a connector that have an offset, in no particular order.
    pub fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        let all = self.table().partitions(connector);
        let mut found = Vec::with_capacity(all.len());
        for partition in all {
            if let Some(offset) = self.get(connector, &partition)? {
                found.push((partition, offset));
            }
        }
        Ok(found)
    }

    /// Stores offsets, the last of each partition; durable when it returns.
    pub async fn put(&self, connector: &str, offsets: Vec<PartitionOffset>) -> Result<()> {
        let entries: Vec<Entry> = {
            let table = self.table();
            let entry = |(partition, offset): &PartitionOffset| {
                let value = offset.as_ref().map(|o| Value::Object(o.clone()).to_string().into_bytes());
                (table.key(connector, partition), value)
            };
            offsets.iter().map(entry).collect()
        };
        if entries.is_empty() {
            return Ok(());
        }
        match &*self.kept {
            Kept::Memory => {}
            Kept::File(file) => {
                // Locked across reading and writing, so that no other connector's offsets are lost in between.
                let file = file.lock().await;
                let mut all = self.table().bytes();
                all.extend(entries.iter().cloned());
                file.save(&all)?;
                self.take_up(&entries);
                return Ok(());
            }
            // The follower takes them up.
            Kept::Topic(topic) => return topic.wait().await.write(&entries).await,
        }
        self.take_up(&entries);
        Ok(())
    }

    fn take_up(&self, entries: &[Entry]) {
        let mut table = self.table();
        entries.iter().for_each(|(key, value)| table.apply(key, value.as_deref()));
    }
}

impl std::fmt::Debug for SourceOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourceOffsets")
    }
}

fn text(partition: &OffsetMap) -> String {
    Value::Object(partition.clone()).to_string()
}

/// Keys and values as bytes, and the keys by what they mean.
///
/// Kafka Connect looks offsets up by a key's bytes, so a key that exists is used again although its members may be
/// in another order than a task here would write them.
#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Connector and partition with sorted members → key.
    keys: BTreeMap<(String, String), Vec<u8>>,
}

impl Table {
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        match serde_json::from_slice::<(String, OffsetMap)>(key) {
            Ok((connector, partition)) => {
                self.keys.insert((connector, sorted(&partition)), key.to_owned());
            }
            Err(e) => {
                tracing::warn!("the offset key {} is no [connector, partition]: {e}", String::from_utf8_lossy(key));
            }
        }
        self.entries.insert(key.to_owned(), value.map(<[u8]>::to_vec));
    }

    fn key(&self, connector: &str, partition: &OffsetMap) -> Vec<u8> {
        let known = self.keys.get(&(connector.to_owned(), sorted(partition))).cloned();
        known.unwrap_or_else(|| serde_json::json!([connector, partition]).to_string().into_bytes())
    }

    fn value(&self, connector: &str, partition: &OffsetMap) -> Option<Vec<u8>> {
        self.entries.get(&self.key(connector, partition)).cloned().flatten()
    }

    fn partitions(&self, connector: &str) -> Vec<OffsetMap> {
        let own = self.keys.range((connector.to_owned(), String::new())..).take_while(|((c, _), _)| c == connector);
        own.filter_map(|(_, key)| serde_json::from_slice::<(String, OffsetMap)>(key).ok()).map(|(_, p)| p).collect()
    }

    fn bytes(&self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        self.entries.clone()
    }
}

fn sorted(partition: &OffsetMap) -> String {
    let members: BTreeMap<&str, &Value> = partition.iter().map(|(k, v)| (k.as_str(), v)).collect();
    serde_json::json!(members).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, i64)]) -> OffsetMap {
        fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn offsets_survive_in_the_file() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("offsets");
        let partition = Arc::new(map(&[("file", 1)]));
        let offsets = SourceOffsets::in_file(&path).expect("new");
        offsets.put("c", vec![(partition.clone(), Some(map(&[("position", 7)])))]).await.expect("put");
        drop(offsets);
        let again = SourceOffsets::in_file(&path).expect("reopened");
        assert_eq!(again.get("c", &partition).expect("get"), Some(map(&[("position", 7)])));
        assert_eq!(again.get("d", &partition).expect("get"), None);
        again.put("c", vec![(partition.clone(), None)]).await.expect("forget");
        assert_eq!((again.get("c", &partition).expect("get"), again.list("c").expect("list")), (None, vec![]));
    }

    #[test]
    fn a_key_that_exists_is_used_again_whatever_the_order_of_its_members() {
        let mut table = Table::default();
        let theirs = br#"["c",{"db":1,"table":2}]"#;
        table.apply(theirs, Some(br#"{"n":1}"#));
        table.apply(b"of another kind", None);
        assert_eq!(table.key("c", &map(&[("table", 2), ("db", 1)])), theirs);
        assert_eq!(table.key("c", &map(&[("x", 1)])), br#"["c",{"x":1}]"#);
        assert_eq!(table.partitions("c"), [map(&[("db", 1), ("table", 2)])]);
        assert_eq!(table.value("c", &map(&[("table", 2), ("db", 1)])), Some(br#"{"n":1}"#.to_vec()));
    }
}
