//! The answer of a test call: how far it came, and the records that it saw.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::{
    ConnectorOffset, ConnectorType,
    schemas::{flag, list_of, map_of, named, object, one_of, text, whole},
};

/// `POST /connectors/C/test` and `PUT /connector-plugins/P/config/test`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// Connector.
    pub name: String,
    /// Class of the plugin.
    pub plugin: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
    /// Whether nothing failed.
    pub passed: bool,
    /// What was done, in order.
    pub stages: Vec<TestStage>,
    /// The records that were read, in order.
    pub records: Vec<TestRecord>,
    /// What the connector says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A stage of a test call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStage {
    /// `validate`, `connect`, `read` or `render`.
    pub stage: String,
    /// What it was about, such as `kafka` or the connector's other side.
    pub of: String,
    /// `passed`, `partly`, `failed`, `not_checked` or `skipped`.
    pub result: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was found, or what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a validation: all problems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<TestProblem>,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestProblem {
    /// The setting.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// A record of a test call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRecord {
    /// `shown`, `dropped` by a transform, or `failed`.
    pub outcome: String,
    /// Topic, after transforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Kafka partition, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Milliseconds since 1970, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Key; absent when it is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<TestContent>,
    /// Value; absent when it is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TestContent>,
    /// Headers in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<TestHeader>,
    /// Where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ConnectorOffset>,
    /// Of a sink: what it would send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<TestRequest>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TestError>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// A key, a value or a header: its bytes as text or base64, its value as JSON, or both. Long ones are cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestContent {
    /// The bytes, where they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The value, where the bytes do not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// How many bytes there are, of contents that were cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_from: Option<u64>,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestHeader {
    /// Name.
    pub key: String,
    /// Absent when it is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TestContent>,
}

/// What a sink would send for a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRequest {
    /// What is done to what.
    pub to: String,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Json>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Why a record failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestError {
    /// Stage, as headers of dead letters name it.
    pub stage: String,
    /// Class of what failed.
    pub class: String,
    /// What happened.
    pub message: String,
}

/// Their schemas.
pub(crate) fn schemas() -> Vec<(String, Json)> {
    vec![
        object(
            "TestReport",
            "How far a test call came, and the records that it saw.",
            &[
                ("name", text("Connector.")),
                ("plugin", text("Class of the plugin.")),
                ("type", one_of(&["source", "sink", "unknown"], "Kind.")),
                ("passed", flag("Whether nothing failed.")),
                ("stages", list_of(named("TestStage"))),
                ("records", list_of(named("TestRecord"))),
            ],
            &[("note", text("What the connector says of itself."))],
        ),
        object(
            "TestStage",
            "A stage of a test call.",
            &[
                ("stage", one_of(&["validate", "connect", "read", "render"], "Stage.")),
                ("of", text("What it was about, such as kafka or the connector's other side.")),
                ("result", one_of(&["passed", "partly", "failed", "not_checked", "skipped"], "Result.")),
                ("took_ms", whole("How long it took, in milliseconds.")),
            ],
            &[("message", text("What was found, or what is wrong.")), ("problems", list_of(named("TestProblem")))],
        ),
        object(
            "TestProblem",
            "What is wrong with a setting.",
            &[("key", text("Setting.")), ("message", text("What is wrong."))],
            &[],
        ),
        object(
            "TestRecord",
            "A record of a test call; nothing was done with it.",
            &[(
                "outcome",
                one_of(&["shown", "dropped", "failed"], "Whether it would go on, a transform drops it, or it fails."),
            )],
            &[
                ("topic", text("Topic, after transforms.")),
                ("partition", whole("Kafka partition, where it is set.")),
                ("timestamp", whole("Milliseconds since 1970, where it is set.")),
                ("key", named("TestContent")),
                ("value", named("TestContent")),
                ("headers", list_of(named("TestHeader"))),
                ("from", named("ConnectorOffset")),
                ("sends", named("TestRequest")),
                ("error", named("TestError")),
                ("remark", text("What else there is to say.")),
            ],
        ),
        object(
            "TestContent",
            "A key, a value or a header: its bytes as text or base64, its value as JSON, or both.",
            &[],
            &[
                ("text", text("The bytes, where they are text.")),
                ("base64", text("The bytes, where they are not.")),
                (
                    "data",
                    json!({ "type": ["object", "array", "string", "number", "integer", "boolean", "null"],
                    "description": "The value as JSON, where the bytes do not show it." }),
                ),
                ("cut_from", whole("How many bytes there are, of contents that were cut.")),
            ],
        ),
        object("TestHeader", "A header.", &[("key", text("Name."))], &[("value", named("TestContent"))]),
        object(
            "TestRequest",
            "What a sink would send for a record.",
            &[("to", text("What is done to what, without secrets."))],
            &[
                ("headers", map_of(text("Value; [hidden] where it is a secret."), "Headers of the request.")),
                ("body", text("Body.")),
            ],
        ),
        object(
            "TestError",
            "Why a record failed.",
            &[
                ("stage", text("Stage, as headers of dead letters name it.")),
                ("class", text("Class of what failed.")),
                ("message", text("What happened.")),
            ],
            &[],
        ),
    ]
}

/// Every type with every member.
#[cfg(test)]
pub(crate) fn full() -> Vec<(&'static str, Json)> {
    let some = |text: &str| Some(text.to_owned());
    let content =
        TestContent { text: some("t"), base64: some("dA=="), data: Some(json!({ "a": 1 })), cut_from: Some(7) };
    let header = TestHeader { key: "h".into(), value: Some(content.clone()) };
    let problem = TestProblem { key: "k".into(), message: "m".into() };
    let stage = TestStage {
        stage: "read".into(),
        of: "kafka".into(),
        result: "passed".into(),
        took_ms: 1,
        message: some("m"),
        problems: vec![problem.clone()],
    };
    let request =
        TestRequest { to: "POST x".into(), headers: Map::from_iter([("a".into(), json!("b"))]), body: some("b") };
    let error = TestError { stage: "TASK_PUT".into(), class: "c".into(), message: "m".into() };
    let record = TestRecord {
        outcome: "failed".into(),
        topic: some("t"),
        partition: Some(1),
        timestamp: Some(1),
        key: Some(content.clone()),
        value: Some(content.clone()),
        headers: vec![header.clone()],
        from: Some(ConnectorOffset { partition: Map::new(), offset: Some(Map::new()) }),
        sends: Some(request.clone()),
        error: Some(error.clone()),
        remark: some("r"),
    };
    let report = TestReport {
        name: "c".into(),
        plugin: "p".into(),
        kind: ConnectorType::Sink,
        passed: true,
        stages: vec![stage.clone()],
        records: vec![record.clone()],
        note: some("n"),
    };
    vec![
        ("TestReport", json!(report)),
        ("TestStage", json!(stage)),
        ("TestProblem", json!(problem)),
        ("TestRecord", json!(record)),
        ("TestContent", json!(content)),
        ("TestHeader", json!(header)),
        ("TestRequest", json!(request)),
        ("TestError", json!(error)),
    ]
}
