//! The OpenAPI document tells the truth: methods, statuses and bodies of a worker are those that it describes.

use std::{collections::BTreeSet, fs};

use serde_json::{Value as Json, json};
use tocsin_tests::{openapi::problems, rest::Rest};

/// Asks, and holds the answer against what the document says of the request.
struct Described<'a> {
    rest: &'a Rest,
    document: Json,
    asked: BTreeSet<String>,
}

impl Described<'_> {
    fn ask(&mut self, method: &str, path: &str, values: &[(&str, &str)], query: &str, body: Option<&Json>) -> Json {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        let at = values.iter().fold(path.to_owned(), |at, (name, value)| at.replace(&format!("{{{name}}}"), value));
        let text = body.map(Json::to_string);
        if let Some(body) = body {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(problems(&self.document, schema, body), Vec::<String>::new(), "{method} {at}: {body}");
        }
        let headers: &[_] = if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        let answer = self.rest.ask(method, &format!("{at}{query}"), headers, text.as_deref());
        let answers = &operation["responses"];
        let described = answers.get(answer.status.to_string()).unwrap_or(&answers["default"]);
        let json = match described.get("content") {
            None => {
                assert_eq!(answer.text, "", "{method} {at}: {} has a body", answer.status);
                Json::Null
            }
            Some(content) => {
                let kind = answer.content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default();
                let json = if kind == "text/plain" { Json::from(answer.text.as_str()) } else { answer.json() };
                let schema = &content[kind]["schema"];
                assert!(schema.is_object(), "{method} {at}: {} is {kind}", answer.status);
                let wrong = problems(&self.document, schema, &json);
                assert_eq!(wrong, Vec::<String>::new(), "{method} {at}: {} {json}", answer.status);
                json
            }
        };
        self.asked.insert(format!("{method} {path} {}", answer.status));
        json
    }
}

#[test]
fn answers_are_as_described() {
    let rest = Rest::start(&[]);
    let document = rest.get("/openapi.json").json();
    let checked_in = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/openapi.json");
    let checked_in: Json = serde_json::from_str(&fs::read_to_string(checked_in).expect("docs")).expect("JSON");
    assert_eq!(document, checked_in);

    // Methods are those that the server names itself.
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let mut described: BTreeSet<String> =
            operations.as_object().expect("operations").keys().map(|m| m.to_uppercase()).collect();
        if described.contains("GET") {
            described.insert("HEAD".into());
        }
        described.insert("OPTIONS".into());
        let answer = rest.order("OPTIONS", &path.replace(['{', '}'], ""));
        let served: BTreeSet<String> = answer.text.split(", ").map(str::to_owned).collect();
        assert_eq!(served, described, "{path}");
    }

    let config = rest.source();
    let mut d = Described { rest: &rest, document, asked: BTreeSet::new() };
    let c = [("name", "c"), ("task", "0")];
    let none = [("name", "none"), ("task", "0")];
    for path in
        ["/", "/health", "/worker", "/openapi.json", "/connectors", "/connector-plugins", "/admin/loggers", "/metrics"]
    {
        d.ask("GET", path, &[], "", None);
    }
    d.ask("GET", "/connector-plugins", &[], "?connectorsOnly=false", None);
    d.ask("POST", "/connectors", &[], "", Some(&json!({ "name": "c", "config": config, "initial_state": "RUNNING" })));
    d.ask("POST", "/connectors", &[], "", Some(&json!({ "name": "c", "config": config })));
    d.ask("PUT", "/connectors/{name}/config", &[("name", "d")], "", Some(&config));
    d.ask("PUT", "/connectors/{name}/config", &[("name", "d")], "", Some(&config));
    d.ask("PATCH", "/connectors/{name}/config", &[("name", "d")], "", Some(&json!({ "batch.size": 7, "x": null })));
    rest.connectd.await_state("c", "RUNNING");
    d.ask("GET", "/connectors", &[], "?expand=status&expand=info", None);
    for name in [c, none] {
        for path in ["", "/config", "/status", "/tasks", "/tasks/{task}/status", "/offsets", "/topics", "/logs"] {
            d.ask("GET", &format!("/connectors/{{name}}{path}"), &name, "", None);
        }
        for path in ["/tasks/{task}/restart", "/restart"] {
            d.ask("POST", &format!("/connectors/{{name}}{path}"), &name, "", None);
        }
        d.ask("POST", "/connectors/{name}/restart", &name, "?includeTasks=true", None);
        for path in ["/pause", "/resume", "/topics/reset", "/stop"] {
            d.ask("PUT", &format!("/connectors/{{name}}{path}"), &name, "", None);
        }
        let offsets = json!({ "offsets": [{ "partition": { "filename": "x" }, "offset": { "position": 7 } }] });
        d.ask("PATCH", "/connectors/{name}/offsets", &name, "", Some(&offsets));
        d.ask("GET", "/connectors/{name}/offsets", &name, "", None);
        d.ask("POST", "/connectors/{name}/test", &name, "?timeout=1", None);
        d.ask("DELETE", "/connectors/{name}/offsets", &name, "", None);
        d.ask("DELETE", "/connectors/{name}", &name, "", None);
    }
    let definition = [("plugin", "FileStreamSource")];
    d.ask("GET", "/connector-plugins/{plugin}/config", &definition, "", None);
    d.ask("GET", "/connector-plugins/{plugin}/config", &definition, "?version=0.0.1", None);
    d.ask("PUT", "/connector-plugins/{plugin}/config/validate", &definition, "", Some(&config));
    d.ask("PUT", "/connector-plugins/{plugin}/config/test", &definition, "?records=1", Some(&config));
    let logger = [("logger", "connect_worker")];
    d.ask("PUT", "/admin/loggers/{logger}", &logger, "", Some(&json!({ "level": "DEBUG" })));
    d.ask("PUT", "/admin/loggers/{logger}", &logger, "?scope=cluster", Some(&json!({ "level": "INFO" })));
    d.ask("GET", "/admin/loggers/{logger}", &logger, "", None);

    // Everything that is described has been asked for, with each of its answers.
    for (path, operations) in d.document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for status in operation["responses"].as_object().expect("answers").keys() {
                // The worker was ready when it was asked first.
                let late = status == "default" || (path == "/health" && status == "503");
                let asked = format!("{} {path} {status}", method.to_uppercase());
                assert!(late || d.asked.contains(&asked), "{asked} was not seen: {:?}", d.asked);
            }
        }
    }
}
