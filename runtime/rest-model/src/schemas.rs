//! The bodies as JSON schemas, for the OpenAPI document. A test holds them against the types.

use serde_json::{Map, Value as Json, json};

/// Schemas by name.
pub fn schemas() -> Map<String, Json> {
    let config = || map_of(text("Value."), "Settings by name.");
    let all = [
        object(
            "ServerInfo",
            "The worker.",
            &[
                ("version", text("Version of Kafka Connect whose API this is.")),
                ("commit", text("Build.")),
                ("kafka_cluster_id", or_null(text("Id of the Kafka cluster; null until it is known."))),
            ],
            &[],
        ),
        object(
            "WorkerInfo",
            "What a worker says of itself, without secrets.",
            &[
                ("version", text("Version of the program.")),
                ("worker_id", text("host:port of the worker.")),
                ("mode", one_of(&["embedded", "standalone", "distributed"], "Where it keeps its state.")),
                ("bootstrap_servers", text("Kafka brokers as the worker reaches them, separated by commas.")),
                (
                    "security_protocol",
                    one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], "How the brokers are talked to."),
                ),
            ],
            &[
                ("group_id", text("Group of a distributed worker.")),
                ("schema_registry_url", text("Schema registry of the converters, without user and password.")),
                ("storage_topics", named("StorageTopics")),
                ("offset_file", text("File where a standalone worker keeps source offsets.")),
                ("offset_disk", named("Disk")),
            ],
        ),
        object(
            "Disk",
            "The disk that the file of source offsets is on.",
            &[
                ("free_bytes", whole("Bytes that the worker could still write.")),
                ("total_bytes", whole("Bytes in all.")),
            ],
            &[],
        ),
        object(
            "StorageTopics",
            "Topics where a distributed worker keeps its state.",
            &[
                ("config", text("Connectors and their settings.")),
                ("offset", text("Source offsets.")),
                ("status", text("States.")),
            ],
            &[],
        ),
        object(
            "Health",
            "Whether the worker can take requests.",
            &[
                ("status", one_of(&["healthy", "starting", "unhealthy"], "In a word.")),
                ("message", text("In a sentence.")),
            ],
            &[],
        ),
        object(
            "Error",
            "Why a request was not carried out.",
            &[("error_code", whole("The HTTP status.")), ("message", or_null(text("What is wrong.")))],
            &[],
        ),
        object(
            "CreateConnector",
            "A connector to create.",
            &[
                ("name", text("Name; blanks around it are removed.")),
                (
                    "config",
                    map_of(or_null(text("Value; numbers and booleans are taken as their text.")), "Settings by name."),
                ),
            ],
            &[("initial_state", one_of(&["RUNNING", "PAUSED", "STOPPED"], "State to begin in; RUNNING if absent."))],
        ),
        object(
            "TaskId",
            "A task of a connector.",
            &[("connector", text("Connector.")), ("task", whole("Number from 0."))],
            &[],
        ),
        object(
            "ConnectorInfo",
            "A connector, its settings and its tasks.",
            &[
                ("name", text("Name.")),
                ("config", config()),
                ("tasks", list_of(named("TaskId"))),
                ("type", one_of(&["source", "sink", "unknown"], "Kind; unknown where its class is.")),
            ],
            &[],
        ),
        object("TaskInfo", "A task and its settings.", &[("id", named("TaskId")), ("config", config())], &[]),
        object(
            "ConnectorState",
            "How the connector itself is.",
            &[
                ("state", one_of(&["UNASSIGNED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "RESTARTING"], "State.")),
                ("worker_id", text("host:port of the worker.")),
                ("version", or_null(text("Version of the plugin."))),
            ],
            &[
                (
                    "trace",
                    text("Why it failed, as Java prints it: class and message, and below it the chain of causes."),
                ),
                ("detail", named("ConnectorDetail")),
            ],
        ),
        object(
            "ConnectorDetail",
            "What Kafka Connect's status does not say of a connector.",
            &[],
            &[
                ("restarts", whole("How often it was restarted in a row because it had failed.")),
                ("next_restart", time("When it is restarted next because it has failed.")),
                ("note", text("What a person should know although it runs.")),
            ],
        ),
        object(
            "TaskState",
            "How a task is.",
            &[
                ("id", whole("Number from 0.")),
                ("state", one_of(&["UNASSIGNED", "RUNNING", "PAUSED", "FAILED", "RESTARTING"], "State.")),
                ("worker_id", text("host:port of the worker.")),
                ("version", or_null(text("Version of the plugin."))),
            ],
            &[
                (
                    "trace",
                    text("Why it failed, as Java prints it: class and message, and below it the chain of causes."),
                ),
                ("detail", named("TaskDetail")),
            ],
        ),
        object(
            "TaskDetail",
            "What Kafka Connect's status does not say of a task.",
            &[
                ("records_in", whole("Records that it read since it started.")),
                ("records_out", whole("Records that reached their destination since it started.")),
                ("records_bad", whole("Records that were tolerated as bad: dead-lettered or skipped.")),
                ("rate_in", number("Records a second that it read within the last minute.")),
                ("rate_out", number("Records a second that reached their destination within the last minute.")),
            ],
            &[
                ("lag", whole("Of a sink: how many records Kafka has that have not been written, some seconds ago.")),
                ("last_record", time("When the last record reached its destination.")),
                ("stalled", text("What it is doing while it has something to do and has not got on for long.")),
                ("stalled_since", time("Since when it has not got on.")),
                ("retrying", text("Why it is trying again at the moment.")),
                ("retrying_since", time("Since when it is trying again.")),
                ("next_try", time("When it is tried next, where that is known.")),
                ("last_error", text("The last error, tolerated or overcome.")),
                ("last_error_at", time("When that was.")),
                ("restarts", whole("How often it was restarted in a row because it had failed.")),
                ("next_restart", time("When it is restarted next because it has failed.")),
                ("note", text("What the task says of itself, such as what is missing of what it watches.")),
            ],
        ),
        object(
            "ConnectorStatus",
            "How a connector and its tasks are.",
            &[
                ("name", text("Name.")),
                ("connector", named("ConnectorState")),
                ("tasks", list_of(named("TaskState"))),
                ("type", one_of(&["source", "sink", "unknown"], "Kind; unknown where its class is.")),
            ],
            &[],
        ),
        object(
            "ExpandedConnector",
            "What expand asked for.",
            &[],
            &[("status", named("ConnectorStatus")), ("info", named("ConnectorInfo"))],
        ),
        object("ConnectorOffsets", "Where a connector stands.", &[("offsets", list_of(named("ConnectorOffset")))], &[]),
        object(
            "ConnectorOffset",
            "Where a connector stands in a partition.",
            &[
                ("partition", any("What it reads: as the source calls it, or kafka_topic and kafka_partition.")),
                ("offset", or_null(any("Up to where: as the source counts, or kafka_offset. Null forgets it."))),
            ],
            &[],
        ),
        object("Message", "What was done.", &[("message", text("A sentence."))], &[]),
        object("TopicNames", "Topics that a connector has used.", &[("topics", list_of(text("Topic.")))], &[]),
        object(
            "PluginInfo",
            "A plugin.",
            &[
                ("class", text("Class.")),
                (
                    "type",
                    one_of(
                        &["source", "sink", "converter", "header_converter", "transformation", "predicate"],
                        "Kind.",
                    ),
                ),
            ],
            &[("version", text("Version."))],
        ),
        object(
            "ConfigKeyInfo",
            "Definition of a setting.",
            &[
                ("name", text("Name.")),
                (
                    "type",
                    one_of(
                        &["BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"],
                        "Type.",
                    ),
                ),
                ("required", flag("Whether it has no default.")),
                ("default_value", or_null(text("Default."))),
                ("importance", one_of(&["HIGH", "MEDIUM", "LOW"], "Importance.")),
                ("documentation", text("What it means.")),
                ("group", or_null(text("Group."))),
                ("width", one_of(&["NONE", "SHORT", "MEDIUM", "LONG"], "Width of a form's field.")),
                ("display_name", text("Name for people.")),
                ("dependents", list_of(text("Setting that depends on it."))),
                ("order", whole("Place in the group.")),
            ],
            &[],
        ),
        object(
            "ConfigValueInfo",
            "Value of a setting after validation.",
            &[
                ("name", text("Name.")),
                ("value", or_null(text("Value, or default."))),
                ("recommended_values", list_of(text("Value."))),
                ("errors", list_of(text("What is wrong."))),
                ("visible", flag("Whether it matters with the other settings.")),
            ],
            &[],
        ),
        object(
            "ConfigInfo",
            "A setting and its value.",
            &[("definition", or_null(named("ConfigKeyInfo"))), ("value", named("ConfigValueInfo"))],
            &[],
        ),
        object(
            "ConfigInfos",
            "Settings after validation.",
            &[
                ("name", text("Class.")),
                ("error_count", whole("How many messages there are in all.")),
                ("groups", list_of(text("Group."))),
                ("configs", list_of(named("ConfigInfo"))),
            ],
            &[],
        ),
        object(
            "LoggerLevel",
            "Level of a logger.",
            &[
                ("level", text("Level of Log4j, such as INFO.")),
                ("last_modified", or_null(whole("When the API changed it, milliseconds since 1970; null before."))),
            ],
            &[],
        ),
        object(
            "LogLines",
            "Lines that were logged about a connector.",
            &[
                ("lines", list_of(named("LogLine"))),
                ("last", whole("What to ask for with since to get the lines behind these.")),
                ("missed", flag("Whether lines between since and these are gone; only the latest ones are kept.")),
            ],
            &[],
        ),
        object(
            "LogLine",
            "A line that was logged about a connector or a task of it.",
            &[
                ("number", whole("Grows from line to line; it begins anew with the worker.")),
                ("time", time("When it was logged.")),
                ("level", one_of(&["ERROR", "WARN", "INFO", "DEBUG", "TRACE"], "Level.")),
                ("logger", text("Logger, as /admin/loggers names it.")),
                ("message", text("The text.")),
            ],
            &[("task", whole("Which task it is about; absent when it is about the connector itself."))],
        ),
    ];
    all.into_iter().chain(crate::trial::schemas()).collect()
}

fn described(kind: &str, about: &str) -> Json {
    json!({ "type": kind, "description": about })
}

pub(crate) fn text(about: &str) -> Json {
    described("string", about)
}

pub(crate) fn whole(about: &str) -> Json {
    described("integer", about)
}

fn number(about: &str) -> Json {
    described("number", about)
}

pub(crate) fn flag(about: &str) -> Json {
    described("boolean", about)
}

fn any(about: &str) -> Json {
    described("object", about)
}

fn time(about: &str) -> Json {
    json!({ "type": "string", "format": "date-time", "description": about })
}

pub(crate) fn one_of(values: &[&str], about: &str) -> Json {
    json!({ "type": "string", "enum": values, "description": about })
}

/// The schema of that name.
pub fn named(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list of such values.
pub fn list_of(items: Json) -> Json {
    json!({ "type": "array", "items": items })
}

/// An object with any members that have such values.
pub fn map_of(values: Json, about: &str) -> Json {
    json!({ "type": "object", "additionalProperties": values, "description": about })
}

fn or_null(mut schema: Json) -> Json {
    match schema.get("type").cloned() {
        Some(kind) => {
            schema["type"] = json!([kind, "null"]);
            schema
        }
        None => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

pub(crate) fn object(name: &str, about: &str, required: &[(&str, Json)], optional: &[(&str, Json)]) -> (String, Json) {
    let members: Map<String, Json> =
        required.iter().chain(optional).map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let schema = json!({ "type": "object", "description": about, "required": names, "properties": members });
    (name.to_owned(), schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;

    /// Every type with every member, as the compiler sees to.
    fn full() -> Vec<(&'static str, Json)> {
        let id = TaskId { connector: "c".into(), task: 0 };
        let info = ConnectorInfo {
            name: "c".into(),
            config: IndexMap::from([("a".into(), "b".into())]),
            tasks: vec![id.clone()],
            kind: ConnectorType::Sink,
        };
        let some = |text: &str| Some(text.to_owned());
        let detail = ConnectorDetail { restarts: 1, next_restart: some("t"), note: some("n") };
        let connector = ConnectorState {
            state: "FAILED".into(),
            worker_id: "w".into(),
            version: some("1"),
            trace: some("t"),
            detail: Some(detail.clone()),
        };
        let of_task = TaskDetail {
            records_in: 1,
            records_out: 1,
            records_bad: 1,
            rate_in: 1.5,
            rate_out: 1.5,
            lag: Some(1),
            last_record: some("t"),
            stalled: some("t"),
            stalled_since: some("t"),
            retrying: some("t"),
            retrying_since: some("t"),
            next_try: some("t"),
            last_error: some("t"),
            last_error_at: some("t"),
            restarts: 1,
            next_restart: some("t"),
            note: some("n"),
        };
        let task = TaskState {
            id: 0,
            state: "FAILED".into(),
            worker_id: "w".into(),
            version: some("1"),
            trace: some("t"),
            detail: Some(of_task.clone()),
        };
        let status = ConnectorStatus {
            name: "c".into(),
            connector: connector.clone(),
            tasks: vec![task.clone()],
            kind: ConnectorType::Sink,
        };
        let key = ConfigKeyInfo {
            name: "k".into(),
            kind: "INT".into(),
            required: true,
            default_value: some("1"),
            importance: "LOW".into(),
            documentation: "d".into(),
            group: some("g"),
            width: "SHORT".into(),
            display_name: "k".into(),
            dependents: vec!["x".into()],
            order: 1,
        };
        let value = ConfigValueInfo {
            name: "k".into(),
            value: some("1"),
            recommended_values: vec!["1".into()],
            errors: vec!["e".into()],
            visible: true,
        };
        let config = ConfigInfo { definition: Some(key.clone()), value: value.clone() };
        let line = LogLine {
            number: 1,
            time: "t".into(),
            level: "INFO".into(),
            task: Some(1),
            logger: "l".into(),
            message: "m".into(),
        };
        let offset = ConnectorOffset { partition: Map::new(), offset: Some(Map::new()) };
        vec![
            ("ServerInfo", json!(ServerInfo { version: "1".into(), commit: "c".into(), kafka_cluster_id: some("i") })),
            (
                "WorkerInfo",
                json!(WorkerInfo {
                    version: "1".into(),
                    worker_id: "w".into(),
                    mode: "standalone".into(),
                    bootstrap_servers: "h:1".into(),
                    security_protocol: "SSL".into(),
                    group_id: some("g"),
                    schema_registry_url: some("u"),
                    storage_topics: Some(StorageTopics { config: "c".into(), offset: "o".into(), status: "s".into() }),
                    offset_file: some("f"),
                    offset_disk: Some(Disk { free_bytes: 1, total_bytes: 2 }),
                }),
            ),
            ("Disk", json!(Disk { free_bytes: 1, total_bytes: 2 })),
            ("StorageTopics", json!(StorageTopics { config: "c".into(), offset: "o".into(), status: "s".into() })),
            ("Health", json!(Health { status: "healthy".into(), message: "m".into() })),
            ("Error", json!(ErrorBody { error_code: 404, message: some("m") })),
            (
                "CreateConnector",
                json!(CreateConnector { name: "c".into(), config: ConfigMap::new(), initial_state: some("PAUSED") }),
            ),
            ("TaskInfo", json!(TaskInfo { id: id.clone(), config: IndexMap::new() })),
            ("TaskId", json!(id)),
            ("ConnectorDetail", json!(detail)),
            ("ConnectorState", json!(connector)),
            ("TaskDetail", json!(of_task)),
            ("TaskState", json!(task)),
            ("ExpandedConnector", json!(ExpandedConnector { status: Some(status.clone()), info: Some(info.clone()) })),
            ("ConnectorInfo", json!(info)),
            ("ConnectorStatus", json!(status)),
            ("ConnectorOffsets", json!(ConnectorOffsets { offsets: vec![offset.clone()] })),
            ("ConnectorOffset", json!(offset)),
            ("Message", json!(Message { message: "m".into() })),
            ("TopicNames", json!(TopicNames { topics: vec!["t".into()] })),
            ("PluginInfo", json!(PluginInfo { class: "c".into(), kind: "sink".into(), version: some("1") })),
            ("ConfigKeyInfo", json!(key)),
            ("ConfigValueInfo", json!(value)),
            (
                "ConfigInfos",
                json!(ConfigInfos { name: "c".into(), error_count: 1, groups: vec![], configs: vec![config.clone()] }),
            ),
            ("ConfigInfo", json!(config)),
            ("LoggerLevel", json!(LoggerLevel { level: "INFO".into(), last_modified: Some(1) })),
            ("LogLines", json!(LogLines { lines: vec![line.clone()], last: 1, missed: true })),
            ("LogLine", json!(line)),
        ]
        .into_iter()
        .chain(crate::trial::full())
        .collect()
    }

    #[test]
    fn schemas_have_the_members_of_their_types() {
        let schemas = schemas();
        let full = full();
        let mut names: Vec<&str> = full.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let mut described: Vec<&str> = schemas.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(described, names);
        for (name, value) in full {
            let members: Vec<&String> = value.as_object().into_iter().flat_map(Map::keys).collect();
            let described: Vec<&String> =
                schemas[name]["properties"].as_object().into_iter().flat_map(Map::keys).collect();
            assert_eq!(described, members, "{name}: what the schema has, and what the type has");
        }
    }
}
