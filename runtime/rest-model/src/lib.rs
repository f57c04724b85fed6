//! The JSON bodies of Kafka Connect's REST API, shared by the worker that writes and the clients that read.
//!
//! Member names and order are Kafka Connect 4.1's. Readers take what an older worker leaves out and ignore
//! what they do not know. What Tocsin says beyond Kafka Connect stands in members of its own
//! ([`TaskState::detail`]), which other clients ignore; [`trial`] is an endpoint of its own. [`schemas`] describes them for the OpenAPI document.

pub mod schemas;
pub mod trial;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A connector's configuration as it travels; null values are possible in requests only.
pub type ConfigMap = IndexMap<String, Option<String>>;

/// `GET /`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Version of Kafka Connect whose API this is.
    pub version: String,
    /// Build.
    pub commit: String,
    /// Id of the Kafka cluster.
    pub kafka_cluster_id: Option<String>,
}

/// `GET /worker`: what a worker says of itself beyond Kafka Connect, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Version of the program.
    pub version: String,
    /// `host:port` of the worker, as states have it.
    pub worker_id: String,
    /// `embedded`, `standalone` or `distributed`.
    pub mode: String,
    /// Kafka brokers as the worker reaches them, separated by commas.
    pub bootstrap_servers: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    /// Group of a distributed worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The schema registry of the worker's converters, without user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_registry_url: Option<String>,
    /// Where a distributed worker keeps its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_topics: Option<StorageTopics>,
    /// The file where a standalone worker keeps source offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_file: Option<String>,
    /// The disk that this file is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_disk: Option<Disk>,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes that the worker could still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Names of the topics of a distributed worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageTopics {
    /// Of `config.storage.topic`.
    pub config: String,
    /// Of `offset.storage.topic`.
    pub offset: String,
    /// Of `status.storage.topic`.
    pub status: String,
}

/// `GET /health` (KIP-1017)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `healthy`, `starting` or `unhealthy`.
    pub status: String,
    /// A sentence.
    pub message: String,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Equals the HTTP status.
    pub error_code: u16,
    /// What happened; null in rare cases of Kafka Connect.
    pub message: Option<String>,
}

/// `source`, `sink` or `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum ConnectorType {
    Source,
    Sink,
    #[serde(other)]
    Unknown,
}

impl ConnectorType {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Unknown => "unknown",
        }
    }
}

/// `POST /connectors`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateConnector {
    /// Name.
    pub name: String,
    /// Configuration.
    pub config: ConfigMap,
    /// `RUNNING`, `PAUSED` or `STOPPED` (KIP-980).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_state: Option<String>,
}

/// A task of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskId {
    /// Connector.
    pub connector: String,
    /// Number from 0.
    pub task: u32,
}

/// `GET /connectors/C`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// Name.
    pub name: String,
    /// Configuration as it was given, references unresolved.
    pub config: IndexMap<String, String>,
    /// Tasks.
    pub tasks: Vec<TaskId>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
}

/// An entry of `GET /connectors/C/tasks`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Which task.
    pub id: TaskId,
    /// Its configuration.
    pub config: IndexMap<String, String>,
}

/// State of a connector, without its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// `RUNNING`, `PAUSED`, `STOPPED`, `FAILED`, `UNASSIGNED` or `RESTARTING`.
    pub state: String,
    /// `host:port` of the worker.
    pub worker_id: String,
    /// Version of the plugin.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it failed: a sentence, and below it the chain of causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What Kafka Connect's status does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<ConnectorDetail>,
}

/// State of a task; also `GET /connectors/C/tasks/T/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Number from 0.
    pub id: u32,
    /// As [`ConnectorState::state`], without `STOPPED`.
    pub state: String,
    /// `host:port` of the worker.
    pub worker_id: String,
    /// Version of the plugin.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it failed: a sentence, and below it the chain of causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What Kafka Connect's status does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<TaskDetail>,
}

/// What a running task is doing, beyond its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// Records that the task read since it started.
    pub records_in: u64,
    /// Records that reached their destination since the task started.
    pub records_out: u64,
    /// Records that were tolerated as bad: dead-lettered or skipped.
    pub records_bad: u64,
    /// Records a second that the task read within the last minute.
    #[serde(default)]
    pub rate_in: f64,
    /// Records a second that reached their destination within the last minute.
    #[serde(default)]
    pub rate_out: f64,
    /// Of a sink that takes records: how many Kafka has that have not been written, some seconds ago. Not known while it
    /// is paused or tries a write again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// When the last record reached its destination, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record: Option<String>,
    /// What the task is doing while it has something to do and has not got on for long; absent when it gets on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
    /// Since when it has not got on, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_since: Option<String>,
    /// Why the task is trying again at the moment; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrying: Option<String>,
    /// Since when it is trying again, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrying_since: Option<String>,
    /// When it is tried next, RFC 3339, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
    /// The last error, tolerated or overcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<String>,
    /// How often it was restarted in a row because it had failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// When it is restarted next because it has failed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_restart: Option<String>,
    /// What the task says of itself, such as what is missing of what it watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a connector is doing, beyond its state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorDetail {
    /// As [`TaskDetail::restarts`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// As [`TaskDetail::next_restart`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_restart: Option<String>,
    /// What a person should know although the connector runs: its file is wrong, its tasks cannot be configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// `GET /connectors/C/status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Name.
    pub name: String,
    /// The connector itself.
    pub connector: ConnectorState,
    /// Its tasks by number.
    pub tasks: Vec<TaskState>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
}

/// An entry of `GET /connectors?expand=…`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExpandedConnector {
    /// With `expand=status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ConnectorStatus>,
    /// With `expand=info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ConnectorInfo>,
}

/// `GET` and `PATCH /connectors/C/offsets`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorOffsets {
    /// One for each partition.
    pub offsets: Vec<ConnectorOffset>,
}

/// Where a connector stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorOffset {
    /// What it reads: as the source calls it, or `kafka_topic` and `kafka_partition`.
    pub partition: Map<String, Value>,
    /// Up to where: as the source counts, or `kafka_offset`. Null in requests forgets it.
    pub offset: Option<Map<String, Value>>,
}

/// A sentence that says what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sentence.
    pub message: String,
}

/// `GET /connectors/C/topics`, by connector
pub type ActiveTopics = IndexMap<String, TopicNames>;

/// Topics that a connector has used since it was created or they were reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicNames {
    /// Their names.
    pub topics: Vec<String>,
}

/// An entry of `GET /connector-plugins`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Class.
    pub class: String,
    /// `source`, `sink`, `converter`, `header_converter`, `transformation` or `predicate`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Definition of a configuration key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "Kafka's ConfigKeyInfo, whose members name themselves")]
pub struct ConfigKeyInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub required: bool,
    pub default_value: Option<String>,
    pub importance: String,
    pub documentation: String,
    pub group: Option<String>,
    pub width: String,
    pub display_name: String,
    pub dependents: Vec<String>,
    #[serde(alias = "order_in_group")]
    pub order: i32,
}

/// Value of a configuration key after validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "Kafka's ConfigValueInfo, whose members name themselves")]
pub struct ConfigValueInfo {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

/// A key with its definition and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfo {
    /// Null for a value that nobody defined.
    pub definition: Option<ConfigKeyInfo>,
    /// The value.
    pub value: ConfigValueInfo,
}

/// `PUT /connector-plugins/P/config/validate`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfos {
    /// Class.
    pub name: String,
    /// How many messages there are in all.
    pub error_count: usize,
    /// Groups in order.
    pub groups: Vec<String>,
    /// All keys.
    pub configs: Vec<ConfigInfo>,
}

/// An entry of `GET /admin/loggers`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggerLevel {
    /// A level of Log4j, such as `INFO`.
    pub level: String,
    /// When the API changed it, in milliseconds since 1970; null before.
    pub last_modified: Option<u64>,
}

/// `GET /connectors/C/logs`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// The lines, the oldest first.
    pub lines: Vec<LogLine>,
    /// What to ask for with `since` to get the lines behind these.
    pub last: u64,
    /// Whether lines between `since` and these are gone, because only the latest ones are kept.
    pub missed: bool,
}

/// A line that was logged about a connector or a task of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Grows from line to line; it begins anew with the worker.
    pub number: u64,
    /// When it was logged, RFC 3339.
    pub time: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// Logger, as `/admin/loggers` names it.
    pub logger: String,
    /// The text.
    pub message: String,
    /// Which task it is about; absent when it is about the connector itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
}

impl ConfigInfos {
    /// All messages in the order of the keys.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.configs.iter().flat_map(|c| c.value.errors.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_an_older_worker_is_read() {
        let text = r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"w:1"},"tasks":[{"id":0,"state":"FAILED","worker_id":"w:1","trace":"t","new":1}],"type":"sink"}"#;
        let status: ConnectorStatus = serde_json::from_str(text).expect("status");
        assert_eq!(status.tasks[0].trace.as_deref(), Some("t"));
        assert_eq!(status.kind, ConnectorType::Sink);
    }
}
