//! What the configuration topic says, record by record (runtime.md §7.1): Kafka Connect's
//! `KafkaConfigBackingStore`, apart from any topic.
//!
//! Task configurations count only once their commit record follows; a commit that lacks one of them makes the
//! connector inconsistent, and it has no tasks until the next full commit. Records that cannot be read are told of
//! and passed over, as Kafka Connect does: one broken record must not keep a cluster from starting.

use std::collections::{BTreeMap, BTreeSet};

use connect_api::Settings;
use serde_json::{Map, Value, json};

use super::{Target, topic::Entry};

/// What a record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A connector's configuration or target state, or its tasks.
    Connector(String),
    /// Somebody asked for a restart.
    Restart(Restart),
    /// The level of a logger was set for the whole cluster.
    Level {
        /// Logger.
        logger: String,
        /// Level.
        level: String,
    },
    /// Nothing that matters here.
    Nothing,
}

/// A restart that was asked for (KIP-745).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Of that connector.
    pub connector: String,
    /// Whether its tasks are meant, too.
    pub include_tasks: bool,
    /// Whether only what has failed is meant.
    pub only_failed: bool,
}

#[derive(Debug, Default)]
struct Tasks {
    /// How many there are, as the last commit says.
    count: u32,
    configs: BTreeMap<u32, Settings>,
    /// Configurations that wait for their commit.
    deferred: BTreeMap<u32, Settings>,
    inconsistent: bool,
    /// The connector's configuration at the last commit.
    applied: Option<Settings>,
}

/// The state that the records so far amount to.
#[derive(Debug, Default)]
pub struct ConfigLog {
    connectors: BTreeMap<String, Settings>,
    targets: BTreeMap<String, Target>,
    tasks: BTreeMap<String, Tasks>,
    /// Task counts of the last fencing round, which a worker with exactly-once sources goes on from.
    fenced: BTreeMap<String, u32>,
}

impl ConfigLog {
    /// Names of all connectors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }

    /// A connector's configuration.
    pub fn connector(&self, name: &str) -> Option<&Settings> {
        self.connectors.get(name)
    }

    /// A connector's target state; without a record it is started.
    pub fn target(&self, name: &str) -> Target {
        self.targets.get(name).copied().unwrap_or(Target::Started)
    }

    /// The configurations of a connector's tasks as last committed; none where the commit was incomplete.
    pub fn tasks(&self, name: &str) -> Vec<Settings> {
        let Some(tasks) = self.tasks.get(name).filter(|t| !t.inconsistent) else { return Vec::new() };
        (0..tasks.count).filter_map(|id| tasks.configs.get(&id).cloned()).collect()
    }

    /// The connector's configuration for which its tasks were committed last.
    pub fn applied(&self, name: &str) -> Option<&Settings> {
        self.tasks.get(name)?.applied.as_ref()
    }

    /// How many tasks were fenced off when exactly-once sources were last in use.
    pub fn fenced_tasks(&self, name: &str) -> Option<u32> {
        self.fenced.get(name).copied()
    }

    /// Takes up a record.
    pub fn apply(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Change {
        match self.try_apply(key, value) {
            Ok(change) => change,
            Err(why) => {
                let key = String::from_utf8_lossy(key.unwrap_or_default());
                tracing::error!("the record {key:?} of the configuration topic is passed over: {why}");
                Change::Nothing
            }
        }
    }

    fn try_apply(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Change, String> {
        let key = std::str::from_utf8(key.ok_or("it has no key")?).map_err(|_| "its key is not UTF-8")?;
        let fields = match value {
            Some(bytes) => Some(
                serde_json::from_slice::<Value>(bytes)
                    .map_err(|e| format!("its value is not JSON: {e}"))
                    .map(|v| if v.is_null() { None } else { Some(v) })?,
            ),
            None => None,
        };
        let fields = match fields.flatten() {
            Some(Value::Object(fields)) => Some(fields),
            Some(other) => return Err(format!("its value is {other} and not an object")),
            None => None,
        };
        // The order in which Kafka Connect looks at prefixes matters: names may begin like another prefix.
        if let Some(name) = key.strip_prefix("target-state-") {
            self.target_state(name, fields.as_ref())
        } else if let Some(name) = key.strip_prefix("connector-") {
            self.connector_config(name, fields.as_ref())
        } else if let Some(name) = key.strip_prefix("task-") {
            self.task_config(name, fields.as_ref())
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.commit(name, fields.as_ref())
        } else if let Some(name) = key.strip_prefix("restart-connector-") {
            let Some(fields) = fields else { return Ok(Change::Nothing) };
            let flag = |key: &str| fields.get(key).and_then(Value::as_bool).unwrap_or(false);
            let (include_tasks, only_failed) = (flag("include-tasks"), flag("only-failed"));
            Ok(Change::Restart(Restart { connector: name.to_owned(), include_tasks, only_failed }))
        } else if let Some(name) = key.strip_prefix("tasks-fencing-") {
            match fields {
                Some(fields) => drop(self.fenced.insert(name.to_owned(), count(&fields, "task-count")?)),
                None => drop(self.fenced.remove(name)),
            }
            Ok(Change::Nothing)
        } else if key == "session-key" {
            // Signs requests between workers; a single worker makes none.
            Ok(Change::Nothing)
        } else if let Some(logger) = key.strip_prefix("logger-cluster-") {
            let fields = fields.ok_or("it has no value")?;
            let level = fields.get("level").and_then(Value::as_str).ok_or("it has no level")?;
            Ok(Change::Level { logger: logger.to_owned(), level: level.to_owned() })
        } else {
            Err("its key is of no known kind".into())
        }
    }

    fn target_state(&mut self, name: &str, fields: Option<&Map<String, Value>>) -> Result<Change, String> {
        match fields {
            Some(fields) => {
                // Workers older than the stopped state read only the second, which says PAUSED then.
                let state = fields.get("state.v2").or_else(|| fields.get("state"));
                let state = state.and_then(Value::as_str).ok_or("it has no state")?;
                let target = Target::from_name(state).ok_or_else(|| format!("{state} is no target state"))?;
                self.targets.insert(name.to_owned(), target);
            }
            None => drop(self.targets.remove(name)),
        }
        Ok(Change::Connector(name.to_owned()))
    }

    fn connector_config(&mut self, name: &str, fields: Option<&Map<String, Value>>) -> Result<Change, String> {
        match fields {
            Some(fields) => drop(self.connectors.insert(name.to_owned(), properties(fields)?)),
            None => {
                self.connectors.remove(name);
                self.tasks.remove(name);
                self.fenced.remove(name);
            }
        }
        Ok(Change::Connector(name.to_owned()))
    }

    fn task_config(&mut self, rest: &str, fields: Option<&Map<String, Value>>) -> Result<Change, String> {
        let (name, id) = rest.rsplit_once('-').ok_or("its key has no task number")?;
        let id: u32 = id.parse().map_err(|_| format!("{id} is no task number"))?;
        let settings = properties(fields.ok_or("it has no value")?)?;
        self.tasks.entry(name.to_owned()).or_default().deferred.insert(id, settings);
        Ok(Change::Nothing)
    }

    fn commit(&mut self, name: &str, fields: Option<&Map<String, Value>>) -> Result<Change, String> {
        let count = count(fields.ok_or("it has no value")?, "tasks")?;
        if !self.connectors.contains_key(name) {
            // Compaction keeps such remnants of connectors that were deleted.
            self.tasks.remove(name);
            return Ok(Change::Nothing);
        }
        let applied = self.connectors.get(name).cloned();
        let tasks = self.tasks.entry(name.to_owned()).or_default();
        let deferred = std::mem::take(&mut tasks.deferred);
        // Compaction may have left configurations of a larger set, so there may be more of them than counted.
        let ids: BTreeSet<u32> = deferred.keys().copied().collect();
        tasks.inconsistent = !(0..count).all(|id| ids.contains(&id));
        if !tasks.inconsistent {
            tasks.configs.extend(deferred);
            tasks.applied = applied;
        }
        tasks.count = count;
        Ok(Change::Connector(name.to_owned()))
    }
}

fn properties(fields: &Map<String, Value>) -> Result<Settings, String> {
    let Some(Value::Object(properties)) = fields.get("properties") else { return Err("it has no properties".into()) };
    let mut settings = Settings::new();
    for (key, value) in properties {
        match value {
            Value::String(text) => drop(settings.set(key, text)),
            // A setting without value is as good as none.
            Value::Null => {}
            other => return Err(format!("its property {key} is {other} and not a string")),
        }
    }
    Ok(settings)
}

fn count(fields: &Map<String, Value>, key: &str) -> Result<u32, String> {
    let number = fields.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    number.ok_or_else(|| format!("it has no number of {key}"))
}

fn entry(key: String, value: Option<Value>) -> Entry {
    (key.into_bytes(), value.map(|v| v.to_string().into_bytes()))
}

fn of_settings(settings: &Settings) -> Value {
    let properties: Map<String, Value> = settings.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    json!({ "properties": properties })
}

/// The record of a connector's configuration.
pub fn connector(name: &str, settings: &Settings) -> Entry {
    entry(format!("connector-{name}"), Some(of_settings(settings)))
}

/// The records that remove a connector. Its tasks' remain, as in Kafka Connect.
pub fn removed(name: &str) -> Vec<Entry> {
    vec![entry(format!("connector-{name}"), None), entry(format!("target-state-{name}"), None)]
}

/// The record of a target state.
pub fn target(name: &str, target: Target) -> Entry {
    // What workers older than the stopped state do for it.
    let old = if target == Target::Stopped { Target::Paused } else { target };
    entry(format!("target-state-{name}"), Some(json!({ "state": old.name(), "state.v2": target.name() })))
}

/// The records of tasks, to be stored before the commit that makes them count.
pub fn tasks(name: &str, all: &[Settings]) -> Vec<Entry> {
    all.iter().enumerate().map(|(id, s)| entry(format!("task-{name}-{id}"), Some(of_settings(s)))).collect()
}

/// The record that makes stored tasks count.
pub fn commit(name: &str, count: usize) -> Entry {
    entry(format!("commit-{name}"), Some(json!({ "tasks": count })))
}

/// The record that asks for a restart.
pub fn restart(name: &str, include_tasks: bool, only_failed: bool) -> Entry {
    let value = json!({ "include-tasks": include_tasks, "only-failed": only_failed });
    entry(format!("restart-connector-{name}"), Some(value))
}

/// The record that sets the level of a logger for the whole cluster.
pub fn level(logger: &str, level: &str) -> Entry {
    entry(format!("logger-cluster-{logger}"), Some(json!({ "level": level })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(records: &[(&str, Option<&str>)]) -> ConfigLog {
        let mut log = ConfigLog::default();
        for (key, value) in records {
            log.apply(Some(key.as_bytes()), value.map(str::as_bytes));
        }
        log
    }

    const CONNECTOR: (&str, Option<&str>) = ("connector-a-b", Some(r#"{"properties":{"name":"a-b","x":null}}"#));
    const TASK_0: (&str, Option<&str>) = ("task-a-b-0", Some(r#"{"properties":{"n":"0"}}"#));
    const TASK_1: (&str, Option<&str>) = ("task-a-b-1", Some(r#"{"properties":{"n":"1"}}"#));

    fn numbers(log: &ConfigLog) -> Vec<String> {
        log.tasks("a-b").iter().map(|s| s.get("n").unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn tasks_count_when_they_are_committed() {
        let mut l = log(&[CONNECTOR, TASK_0, TASK_1]);
        assert_eq!(numbers(&l), [] as [&str; 0]);
        l.apply(Some(b"commit-a-b"), Some(br#"{"tasks":2}"#));
        assert_eq!(numbers(&l), ["0", "1"]);
        // Compaction may leave a task of a larger set before the commit of a smaller one.
        let l = log(&[CONNECTOR, TASK_1, TASK_0, ("commit-a-b", Some(r#"{"tasks":1}"#))]);
        assert_eq!(numbers(&l), ["0"]);
    }

    #[test]
    fn an_incomplete_commit_leaves_no_tasks_until_the_next_full_one() {
        let mut l = log(&[CONNECTOR, TASK_0, ("commit-a-b", Some(r#"{"tasks":1}"#)), TASK_1]);
        l.apply(Some(b"commit-a-b"), Some(br#"{"tasks":2}"#));
        assert_eq!(numbers(&l), [] as [&str; 0]);
        for (key, value) in [TASK_0, TASK_1, ("commit-a-b", Some(r#"{"tasks":2}"#))] {
            l.apply(Some(key.as_bytes()), value.map(str::as_bytes));
        }
        assert_eq!(numbers(&l), ["0", "1"]);
    }

    #[test]
    fn remnants_of_a_deleted_connector_do_not_come_back_with_it() {
        let mut l = log(&[CONNECTOR, TASK_0, ("commit-a-b", Some(r#"{"tasks":1}"#)), ("connector-a-b", None)]);
        assert_eq!(l.names().count(), 0);
        l = log(&[TASK_0, ("commit-a-b", Some(r#"{"tasks":1}"#)), CONNECTOR]);
        assert_eq!(numbers(&l), [] as [&str; 0]);
    }

    #[test]
    fn target_states_prefer_the_newer_field() {
        let stopped = ("target-state-c", Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#));
        assert_eq!(log(&[stopped]).target("c"), Target::Stopped);
        assert_eq!(log(&[("target-state-c", Some(r#"{"state":"PAUSED"}"#))]).target("c"), Target::Paused);
        assert_eq!(log(&[stopped, ("target-state-c", Some(r#"{"state":"ODD"}"#))]).target("c"), Target::Stopped);
        assert_eq!(log(&[stopped, ("target-state-c", None)]).target("c"), Target::Started);
    }

    #[test]
    fn broken_and_unknown_records_are_passed_over() {
        let l = log(&[
            CONNECTOR,
            ("connector-bad", Some("not json")),
            ("connector-bad", Some("[]")),
            ("connector-bad", Some(r#"{"properties":{"n":1}}"#)),
            ("task-a-b-x", Some("{}")),
            ("task-a-b-0", None),
            ("commit-a-b", Some(r#"{"tasks":"1"}"#)),
            ("session-key", Some(r#"{"key":"AA==","algorithm":"HmacSHA256","creation-timestamp":1}"#)),
            ("from-the-future", Some("{}")),
        ]);
        assert_eq!(l.names().collect::<Vec<_>>(), ["a-b"]);
        assert_eq!(l.connector("a-b").map(|s| s.keys().collect::<Vec<_>>()), Some(vec!["name"]));
    }

    #[test]
    fn names_that_look_like_prefixes_are_kept_apart() {
        let l = log(&[
            ("connector-task-1", Some(r#"{"properties":{}}"#)),
            ("target-state-connector-x", Some(r#"{"state":"PAUSED"}"#)),
        ]);
        assert_eq!((l.names().collect::<Vec<_>>(), l.target("connector-x")), (vec!["task-1"], Target::Paused));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let settings = Settings::from([("name", "c"), ("x", "ü \"q\"")]);
        let mut l = ConfigLog::default();
        let mut take = |entries: Vec<Entry>| {
            let mut last = Change::Nothing;
            for (key, value) in entries {
                last = l.apply(Some(&key), value.as_deref());
            }
            last
        };
        take(vec![target("c", Target::Stopped), connector("c", &settings)]);
        take(tasks("c", &[settings.clone(), settings.clone()]));
        take(vec![commit("c", 2)]);
        let asked = Change::Restart(Restart { connector: "c".into(), include_tasks: true, only_failed: false });
        assert_eq!(take(vec![restart("c", true, false)]), asked);
        let set = Change::Level { logger: "root".into(), level: "DEBUG".into() };
        assert_eq!(take(vec![level("root", "DEBUG")]), set);
        assert_eq!((l.connector("c"), l.target("c"), l.tasks("c").len()), (Some(&settings), Target::Stopped, 2));
        for (key, value) in removed("c") {
            l.apply(Some(&key), value.as_deref());
        }
        assert_eq!((l.connector("c"), l.target("c")), (None, Target::Started));
    }
}
