//! The OpenAPI document of the API: one table of requests, and the schemas of the bodies.

use connect_rest_model::schemas::{list_of, map_of, named, schemas};
use serde_json::{Map, Value as Json, json};

use super::API_VERSION;

/// A body.
enum Body {
    None,
    Named(&'static str),
    List(&'static str),
    /// Values by name.
    Map(&'static str),
    Texts,
    /// Settings; null removes one or is refused.
    Settings,
    /// Names, or with `expand` objects by name.
    Listing,
    Level,
    Document,
    /// Text of Prometheus.
    Page,
}

use Body::{Document, Level, List, Listing, Named, Settings, Texts};

impl Body {
    fn schema(&self) -> Option<Json> {
        let text = || json!({ "type": "string" });
        Some(match self {
            Self::None => return None,
            Named(name) => named(name),
            List(name) => list_of(named(name)),
            Self::Map(name) => map_of(named(name), "By name."),
            Self::Page => text(),
            Texts => list_of(text()),
            Settings => map_of(json!({ "type": ["string", "number", "boolean", "null"] }), "Settings by name."),
            Listing => json!({ "anyOf": [list_of(text()), map_of(named("ExpandedConnector"), "By name.")] }),
            Level => json!({ "type": "object", "required": ["level"], "properties": { "level": text() } }),
            Document => json!({ "type": "object" }),
        })
    }
}

/// Name, type, and what it means.
type Parameter = (&'static str, &'static str, &'static str);

struct Operation {
    method: &'static str,
    path: &'static str,
    about: &'static str,
    query: &'static [Parameter],
    body: Body,
    /// Status, body, and when; errors with the body of all errors are not listed.
    answers: &'static [(u16, Body, &'static str)],
}

const fn simple(
    method: &'static str,
    path: &'static str,
    about: &'static str,
    answers: &'static [(u16, Body, &'static str)],
) -> Operation {
    Operation { method, path, about, query: &[], body: Body::None, answers }
}

const DONE: &str = "Done.";

const TEST: &[Parameter] = &[
    ("records", "integer", "Most records to show, from 0 to 100; 5 if absent."),
    ("timeout", "number", "Most seconds that it may take, from 1 to 60; 10 if absent."),
];

const OPERATIONS: &[Operation] = &[
    simple("get", "/", "The worker and its Kafka cluster.", &[(200, Named("ServerInfo"), "The worker.")]),
    simple(
        "get",
        "/health",
        "Whether the worker can take requests (KIP-1017).",
        &[(200, Named("Health"), "It can."), (503, Named("Health"), "It is starting.")],
    ),
    simple(
        "get",
        "/worker",
        "Where the worker has what it works with: Kafka, schema registry, topics; no secrets. Beyond Kafka Connect.",
        &[(200, Named("WorkerInfo"), "The worker.")],
    ),
    simple("get", "/openapi.json", "This document.", &[(200, Document, "The document.")]),
    simple(
        "get",
        "/metrics",
        "What the worker and its tasks count, for Prometheus. Beyond Kafka Connect.",
        &[(200, Body::Page, "The metrics in Prometheus's text format.")],
    ),
    Operation {
        query: &[(
            "expand",
            "string",
            "status, info, or both by naming the parameter twice: objects instead of names.",
        )],
        ..simple("get", "/connectors", "Names of all connectors.", &[(200, Listing, "Names, or objects by name.")])
    },
    Operation {
        body: Named("CreateConnector"),
        ..simple(
            "post",
            "/connectors",
            "Creates a connector.",
            &[(201, Named("ConnectorInfo"), "Created, also if it could not be started.")],
        )
    },
    simple(
        "get",
        "/connectors/{name}",
        "A connector, its settings and its tasks.",
        &[(200, Named("ConnectorInfo"), "The connector.")],
    ),
    simple("delete", "/connectors/{name}", "Deletes a connector. Its offsets stay.", &[(204, Body::None, DONE)]),
    simple("get", "/connectors/{name}/config", "Settings of a connector.", &[(200, Settings, "Settings.")]),
    Operation {
        body: Settings,
        ..simple(
            "put",
            "/connectors/{name}/config",
            "Replaces the settings of a connector, or creates it.",
            &[(200, Named("ConnectorInfo"), "Replaced."), (201, Named("ConnectorInfo"), "Created.")],
        )
    },
    Operation {
        body: Settings,
        ..simple(
            "patch",
            "/connectors/{name}/config",
            "Changes some settings of a connector; null removes one (KIP-477).",
            &[(200, Named("ConnectorInfo"), "Changed.")],
        )
    },
    simple(
        "get",
        "/connectors/{name}/status",
        "How a connector and its tasks are.",
        &[(200, Named("ConnectorStatus"), "How it is.")],
    ),
    simple("get", "/connectors/{name}/tasks", "Tasks and their settings.", &[(200, List("TaskInfo"), "Tasks.")]),
    simple(
        "get",
        "/connectors/{name}/tasks/{task}/status",
        "How a task is.",
        &[(200, Named("TaskState"), "How it is.")],
    ),
    simple("post", "/connectors/{name}/tasks/{task}/restart", "Restarts a task.", &[(204, Body::None, DONE)]),
    Operation {
        query: &[("includeTasks", "boolean", "Tasks, too."), ("onlyFailed", "boolean", "Only what has failed.")],
        ..simple(
            "post",
            "/connectors/{name}/restart",
            "Restarts a connector, its tasks, or what has failed (KIP-745).",
            &[
                (202, Named("ConnectorStatus"), "It is under way; what is restarted shows as RESTARTING."),
                (204, Body::None, "Without parameters: the connector itself has been restarted."),
            ],
        )
    },
    Operation {
        query: TEST,
        ..simple(
            "post",
            "/connectors/{name}/test",
            "Tries out a connector beside what runs of it; nothing is written, acknowledged or committed.",
            &[(200, Named("TestReport"), "How far it came.")],
        )
    },
    simple(
        "put",
        "/connectors/{name}/pause",
        "Pauses a connector; its tasks stay.",
        &[(202, Body::None, "It is under way.")],
    ),
    simple("put", "/connectors/{name}/resume", "Resumes a connector.", &[(202, Body::None, "It is under way.")]),
    simple(
        "put",
        "/connectors/{name}/stop",
        "Stops a connector and removes its tasks (KIP-875).",
        &[(204, Body::None, DONE)],
    ),
    simple(
        "get",
        "/connectors/{name}/offsets",
        "Where a connector stands (KIP-875).",
        &[(200, Named("ConnectorOffsets"), "Its offsets.")],
    ),
    Operation {
        body: Named("ConnectorOffsets"),
        ..simple(
            "patch",
            "/connectors/{name}/offsets",
            "Sets offsets of a stopped connector; null forgets one.",
            &[(200, Named("Message"), DONE)],
        )
    },
    simple(
        "delete",
        "/connectors/{name}/offsets",
        "Forgets all offsets of a stopped connector.",
        &[(200, Named("Message"), DONE)],
    ),
    Operation {
        query: &[
            (
                "since",
                "integer",
                "Only lines behind that of this number, the oldest first; without it the latest ones.",
            ),
            ("limit", "integer", "At most so many lines."),
            ("level", "string", "Only lines of this level and more severe ones: ERROR, WARN, INFO, DEBUG or TRACE."),
            ("task", "integer", "Only lines of this task."),
        ],
        ..simple(
            "get",
            "/connectors/{name}/logs",
            "The latest log lines about a connector and its tasks. Beyond Kafka Connect.",
            &[(200, Named("LogLines"), "The lines.")],
        )
    },
    simple(
        "get",
        "/connectors/{name}/topics",
        "Topics that a connector has used (KIP-558).",
        &[(200, Body::Map("TopicNames"), "Topics, by the connector's name.")],
    ),
    simple(
        "put",
        "/connectors/{name}/topics/reset",
        "Forgets which topics a connector has used.",
        &[(202, Body::None, DONE)],
    ),
    Operation {
        query: &[("connectorsOnly", "boolean", "Without converters, transforms and predicates; true if absent.")],
        ..simple("get", "/connector-plugins", "Plugins.", &[(200, List("PluginInfo"), "Plugins.")])
    },
    Operation {
        query: &[("version", "string", "Version that the plugin must have: one, a Maven range, or latest.")],
        ..simple(
            "get",
            "/connector-plugins/{plugin}/config",
            "Settings of a plugin.",
            &[(200, List("ConfigKeyInfo"), "Definitions.")],
        )
    },
    Operation {
        body: Settings,
        ..simple(
            "put",
            "/connector-plugins/{plugin}/config/validate",
            "Validates settings of a connector.",
            &[(200, Named("ConfigInfos"), "What is wrong and what is right.")],
        )
    },
    Operation {
        query: TEST,
        body: Settings,
        ..simple(
            "put",
            "/connector-plugins/{plugin}/config/test",
            "Tries out settings of a connector that need not exist; nothing is written, acknowledged or committed.",
            &[(200, Named("TestReport"), "How far it came.")],
        )
    },
    simple(
        "get",
        "/admin/loggers",
        "Levels of all loggers (KIP-495).",
        &[(200, Body::Map("LoggerLevel"), "Levels, by the logger's name.")],
    ),
    simple("get", "/admin/loggers/{logger}", "Level of a logger.", &[(200, Named("LoggerLevel"), "Its level.")]),
    Operation {
        query: &[("scope", "string", "worker or cluster (KIP-976); worker if absent.")],
        body: Level,
        ..simple(
            "put",
            "/admin/loggers/{logger}",
            "Sets the level of a logger and those below it.",
            &[(200, Texts, "Loggers that have changed."), (204, Body::None, "With scope=cluster: done.")],
        )
    },
];

impl Operation {
    fn describe(&self) -> Json {
        let schema = |kind: &str| json!({ "type": kind });
        let parameter = |place: &str, name: &str, kind: &str, about: &str| json!({ "name": name, "in": place, "required": place == "path", "description": about, "schema": schema(kind) });
        let of_path = self.path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
        let of_path = of_path.map(|name| match name {
            "task" => parameter("path", name, "integer", "Number of the task, from 0."),
            "plugin" => parameter("path", name, "string", "Name or class of the plugin."),
            "logger" => parameter("path", name, "string", "Name of the logger, or root."),
            _ => parameter("path", name, "string", "Name of the connector."),
        });
        let of_query = self.query.iter().map(|(name, kind, about)| parameter("query", name, kind, about));
        let content = |schema: Json| json!({ "application/json": { "schema": schema } });
        let mut answers = Map::new();
        for (status, body, when) in self.answers {
            let mut answer = json!({ "description": when });
            if let Some(schema) = body.schema() {
                answer["content"] = match body {
                    Body::Page => json!({ "text/plain": { "schema": schema } }),
                    _ => content(schema),
                };
            }
            answers.insert(status.to_string(), answer);
        }
        answers.insert(
            "default".into(),
            json!({ "description": "Why it was not carried out.", "content": content(named("Error")) }),
        );
        let mut made = json!({ "summary": self.about, "operationId": self.id() });
        let parameters: Vec<Json> = of_path.chain(of_query).collect();
        if !parameters.is_empty() {
            made["parameters"] = parameters.into();
        }
        if let Some(schema) = self.body.schema() {
            made["requestBody"] = json!({ "required": true, "content": content(schema) });
        }
        made["responses"] = answers.into();
        made
    }

    /// Such as `get-connectors-name-status`.
    fn id(&self) -> String {
        let words = self.path.split(['/', '.', '{', '}']).filter(|word| !word.is_empty());
        std::iter::once(self.method).chain(words).collect::<Vec<_>>().join("-")
    }
}

/// The document.
pub fn document() -> Json {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        paths.entry(operation.path).or_insert_with(|| json!({}))[operation.method] = operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kafka Connect REST API of Tocsin",
            "description": "The API of Kafka Connect, with members of its own where the description says so.",
            "version": API_VERSION,
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_paths_that_are_served() {
        let source = include_str!("mod.rs");
        let served = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut served: Vec<&str> = served.collect();
        served.sort_unstable();
        let mut described: Vec<&str> = OPERATIONS.iter().map(|o| o.path).collect();
        described.sort_unstable();
        described.dedup();
        assert_eq!(described, served);
    }

    #[test]
    fn everything_that_is_referred_to_is_there_and_named_once() {
        let document = document();
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
        let mut ids: Vec<String> = OPERATIONS.iter().map(Operation::id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
