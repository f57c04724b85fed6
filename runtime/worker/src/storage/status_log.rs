//! The records of the status topic (runtime.md §7.3): states of connectors and tasks, and the topics that they use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::topic::Entry;

/// A state as the topic has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRecord {
    /// Name of the state, such as `RUNNING`.
    pub state: String,
    /// Why it failed.
    pub trace: Option<String>,
    /// `host:port` of the worker that says so.
    pub worker_id: String,
    /// Generation of the group when it was said.
    pub generation: i32,
    /// Version of the connector's plugin. Workers before Kafka 4.1 do not write it.
    #[serde(default)]
    pub version: Option<String>,
}

/// A topic that a connector has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveTopic {
    /// Topic.
    pub name: String,
    /// Connector.
    pub connector: String,
    /// The task that used it first.
    pub task: u32,
    /// When, milliseconds since 1970.
    pub discover_timestamp: i64,
}

#[derive(Deserialize)]
struct TopicRecord {
    topic: ActiveTopic,
}

/// What the records so far amount to.
#[derive(Debug, Default)]
pub struct StatusLog {
    connectors: BTreeMap<String, StateRecord>,
    tasks: BTreeMap<(String, u32), StateRecord>,
    /// By connector and topic.
    topics: BTreeMap<(String, String), ActiveTopic>,
}

const CONNECTOR: &str = "status-connector-";
const TASK: &str = "status-task-";
const TOPIC: &str = "status-topic-";
const OF_CONNECTOR: &str = ":connector-";

impl StatusLog {
    /// Connectors that have a state.
    pub fn connectors(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }

    /// Tasks that have a state.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, u32)> {
        self.tasks.keys().map(|(connector, id)| (connector.as_str(), *id))
    }

    /// A connector's state.
    pub fn connector(&self, name: &str) -> Option<&StateRecord> {
        self.connectors.get(name)
    }

    /// A task's state.
    pub fn task(&self, connector: &str, id: u32) -> Option<&StateRecord> {
        self.tasks.get(&(connector.to_owned(), id))
    }

    /// All topics that connectors use.
    pub fn topics(&self) -> impl Iterator<Item = &ActiveTopic> {
        self.topics.values()
    }

    /// Takes up a record; one that cannot be read is told of and passed over.
    pub fn apply(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        if let Err(why) = self.try_apply(key, value) {
            let key = String::from_utf8_lossy(key.unwrap_or_default());
            tracing::error!("the record {key:?} of the status topic is passed over: {why}");
        }
    }

    fn try_apply(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), String> {
        let key = std::str::from_utf8(key.ok_or("it has no key")?).map_err(|_| "its key is not UTF-8")?;
        if let Some(name) = key.strip_prefix(CONNECTOR) {
            put(&mut self.connectors, name.to_owned(), value)
        } else if let Some(rest) = key.strip_prefix(TASK) {
            let (connector, id) = rest.rsplit_once('-').ok_or("its key has no task number")?;
            let id = id.parse().map_err(|_| format!("{id} is no task number"))?;
            put(&mut self.tasks, (connector.to_owned(), id), value)
        } else if let Some(rest) = key.strip_prefix(TOPIC) {
            // Names of topics have no colon; those of connectors may.
            let (topic, connector) = rest.split_once(OF_CONNECTOR).ok_or("its key names no connector")?;
            let mut record = BTreeMap::new();
            put::<_, TopicRecord>(&mut record, (), value)?;
            let key = (connector.to_owned(), topic.to_owned());
            match record.remove(&()) {
                Some(found) => drop(self.topics.insert(key, found.topic)),
                None => drop(self.topics.remove(&key)),
            }
            Ok(())
        } else {
            Err("its key is of no known kind".into())
        }
    }
}

fn put<K: Ord, T: for<'de> Deserialize<'de>>(
    into: &mut BTreeMap<K, T>,
    key: K,
    value: Option<&[u8]>,
) -> Result<(), String> {
    match value {
        Some(bytes) => {
            let read: Option<T> =
                serde_json::from_slice(bytes).map_err(|e| format!("its value cannot be read: {e}"))?;
            match read {
                Some(read) => drop(into.insert(key, read)),
                None => drop(into.remove(&key)),
            }
        }
        None => drop(into.remove(&key)),
    }
    Ok(())
}

/// The record of a connector's state; without one it is removed.
pub fn connector(name: &str, state: Option<&StateRecord>) -> Entry {
    (format!("{CONNECTOR}{name}").into_bytes(), state.map(|s| json!(s).to_string().into_bytes()))
}

/// The record of a task's state; without one it is removed.
pub fn task(connector: &str, id: u32, state: Option<&StateRecord>) -> Entry {
    (format!("{TASK}{connector}-{id}").into_bytes(), state.map(|s| json!(s).to_string().into_bytes()))
}

/// The record of a topic that a connector uses.
pub fn topic(used: &ActiveTopic) -> Entry {
    let value = json!({ "topic": used }).to_string().into_bytes();
    (topic_key(&used.connector, &used.name), Some(value))
}

/// The record that forgets a topic.
pub fn forgotten(connector: &str, topic: &str) -> Entry {
    (topic_key(connector, topic), None)
}

fn topic_key(connector: &str, topic: &str) -> Vec<u8> {
    format!("{TOPIC}{topic}{OF_CONNECTOR}{connector}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> StateRecord {
        let version = Some("0.1.0".into());
        StateRecord { state: name.into(), trace: None, worker_id: "h:8083".into(), generation: 3, version }
    }

    #[test]
    fn records_are_written_as_kafka_connect_writes_them() {
        let (key, value) = connector("c", Some(&state("RUNNING")));
        assert_eq!(key, b"status-connector-c");
        let text = r#"{"state":"RUNNING","trace":null,"worker_id":"h:8083","generation":3,"version":"0.1.0"}"#;
        assert_eq!(value.as_deref(), Some(text.as_bytes()));
        let used = ActiveTopic { name: "t".into(), connector: "c".into(), task: 0, discover_timestamp: 7 };
        let (key, value) = topic(&used);
        assert_eq!(key, b"status-topic-t:connector-c");
        let text = r#"{"topic":{"name":"t","connector":"c","task":0,"discoverTimestamp":7}}"#;
        assert_eq!(value.as_deref(), Some(text.as_bytes()));
    }

    #[test]
    fn records_of_workers_with_and_without_versions_are_read() {
        let mut log = StatusLog::default();
        for (name, version) in [("old", ""), ("failed", r#","version":null"#), ("new", r#","version":"4.1.0","x":1"#)] {
            let value = format!(r#"{{"state":"RUNNING","trace":null,"worker_id":"h:1","generation":3{version}}}"#);
            log.apply(Some(format!("status-connector-{name}").as_bytes()), Some(value.as_bytes()));
        }
        let versions = ["old", "failed", "new"].map(|name| log.connector(name).expect(name).version.as_deref());
        assert_eq!(versions, [None, None, Some("4.1.0")]);
    }

    #[test]
    fn records_are_read_removed_and_passed_over_when_broken() {
        let mut log = StatusLog::default();
        let mut take = |(key, value): Entry| log.apply(Some(&key), value.as_deref());
        take(connector("c", Some(&state("FAILED"))));
        take(connector("gone", Some(&state("FAILED"))));
        take(connector("gone", None));
        take(task("a-b", 1, Some(&state("RUNNING"))));
        take((b"status-task-a-b-x".to_vec(), Some(b"{}".to_vec())));
        take((b"status-connector-bad".to_vec(), Some(b"{}".to_vec())));
        take((b"other".to_vec(), None));
        let used = ActiveTopic { name: "t".into(), connector: "c:connector-d".into(), task: 0, discover_timestamp: 7 };
        take(topic(&used));
        assert_eq!(log.connectors().collect::<Vec<_>>(), ["c"]);
        assert_eq!(log.tasks().collect::<Vec<_>>(), [("a-b", 1)]);
        assert_eq!(log.topics().collect::<Vec<_>>(), [&used]);
        let (key, value) = forgotten(&used.connector, &used.name);
        log.apply(Some(&key), value.as_deref());
        assert_eq!(log.topics().count(), 0);
    }
}
