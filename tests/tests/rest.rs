//! Kafka Connect's REST API, endpoint by endpoint, with the embedded broker: statuses, texts and shapes that
//! clients rely on.

use std::{fs, path::Path, time::Duration};

use reqwest::{Method, blocking::Client};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, wait};

const LIMIT: Duration = Duration::from_secs(30);

struct Answer {
    status: u16,
    text: String,
    location: Option<String>,
    content_type: Option<String>,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON: {e}: {:?}", self.text))
    }

    fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["error_code"], self.status, "{body}");
        body["message"].as_str().expect("message").to_owned()
    }
}

struct Rest {
    connectd: Connectd,
    client: Client,
    dir: tempfile::TempDir,
}

impl Rest {
    fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let connectd = Connectd::start(arguments, &dir.path().join("log"));
        Self { connectd, client: Client::new(), dir }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let url = format!("{}{path}", self.connectd.url());
        let mut request = self.client.request(method.parse::<Method>().expect("method"), url).timeout(LIMIT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().expect("an answer");
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned());
        let (location, content_type) = (header("location"), header("content-type"));
        Answer { status: answer.status().as_u16(), location, content_type, text: answer.text().expect("text") }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    /// A request with a body of JSON.
    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, &[("content-type", "application/json")], Some(body))
    }

    /// A request without body.
    fn order(&self, method: &str, path: &str) -> Answer {
        self.ask(method, path, &[], None)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Settings of a file source that waits for its file.
    fn source(&self) -> Json {
        json!({ "connector.class": "FileStreamSource", "file": self.path("absent"), "topic": "t",
            "value.converter": "StringConverter" })
    }

    fn create(&self, name: &str, config: &Json) -> Answer {
        let answer = self.send("POST", "/connectors", &json!({ "name": name, "config": config }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer
    }
}

#[test]
fn the_server_tells_its_version_and_health() {
    let rest = Rest::start(&[]);
    let root = rest.get("/");
    assert_eq!((root.status, root.content_type.as_deref()), (200, Some("application/json")));
    let body = root.json();
    assert!(body["version"].as_str().is_some_and(|v| v.split('.').count() == 3), "{body}");
    assert!(body["commit"].is_string() && body["kafka_cluster_id"].is_string(), "{body}");
    let health = rest.get("/health").json();
    assert_eq!(
        health,
        json!({ "status": "healthy", "message": "Worker has completed startup and is ready to handle requests." })
    );
}

#[test]
fn connectors_are_created_read_changed_and_deleted() {
    let rest = Rest::start(&[]);
    assert_eq!(rest.get("/connectors").json(), json!([]));
    let made = rest.create("c", &rest.source());
    assert_eq!(made.location, Some(format!("{}/connectors/c", rest.connectd.url())));
    let mut config = rest.source();
    config["name"] = json!("c");
    let info = json!({ "name": "c", "config": config, "tasks": [{ "connector": "c", "task": 0 }], "type": "source" });
    assert_eq!(made.json(), info);
    assert_eq!(rest.get("/connectors").json(), json!(["c"]));
    assert_eq!(rest.get("/connectors/c").json(), info);
    assert_eq!(rest.get("/connectors/c/config").json(), config);

    let again = rest.send("POST", "/connectors", &json!({ "name": "c", "config": config }).to_string());
    assert_eq!((again.status, again.message().as_str()), (409, "Connector c already exists"));

    // PUT replaces, and creates what is not there.
    let mut other = rest.source();
    other["batch.size"] = json!(7);
    let put = rest.send("PUT", "/connectors/c/config", &other.to_string());
    assert_eq!((put.status, put.location), (200, None));
    assert_eq!(rest.get("/connectors/c/config").json()["batch.size"], "7");
    let put = rest.send("PUT", "/connectors/d/config", &rest.source().to_string());
    assert_eq!((put.status, put.location), (201, Some(format!("{}/connectors/d", rest.connectd.url()))));
    // PATCH merges, and null removes.
    let patch = rest.send("PATCH", "/connectors/c/config", r#"{"batch.size":null,"topic":"u","absent":null}"#);
    let config = &patch.json()["config"];
    assert_eq!((patch.status, &config["topic"], &config["batch.size"]), (200, &json!("u"), &Json::Null));
    assert_eq!(rest.send("PATCH", "/connectors/c/config", "{}").status, 200);

    for name in ["c", "d"] {
        let deleted = rest.order("DELETE", &format!("/connectors/{name}"));
        assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    }
    assert_eq!(rest.get("/connectors").json(), json!([]));
    for (method, path, body, text) in [
        ("GET", "/connectors/c", None, "Connector c not found"),
        ("GET", "/connectors/c/config", None, "Connector c not found"),
        ("GET", "/connectors/c/tasks", None, "Connector c not found"),
        ("GET", "/connectors/c/status", None, "No status found for connector c"),
        ("GET", "/connectors/c/tasks/0/status", None, "No status found for task c-0"),
        ("DELETE", "/connectors/c", None, "Connector c not found"),
        ("PUT", "/connectors/c/pause", None, "Unknown connector c"),
        ("PUT", "/connectors/c/resume", None, "Unknown connector c"),
        ("PUT", "/connectors/c/stop", None, "Unknown connector c"),
        ("POST", "/connectors/c/restart", None, "Unknown connector: c"),
        ("POST", "/connectors/c/restart?includeTasks=true", None, "Unknown connector: c"),
        ("POST", "/connectors/c/tasks/0/restart", None, "Unknown connector: c"),
        ("PATCH", "/connectors/c/config", Some("{}"), "Connector c not found"),
        ("PATCH", "/connectors/c/config", Some(" "), "Connector c not found"),
    ] {
        let headers: &[_] = if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        let answer = rest.ask(method, path, headers, body);
        assert_eq!((answer.status, answer.message().as_str()), (404, text), "{method} {path}");
    }
}

#[test]
fn wrong_requests_are_refused_with_kafka_connects_texts() {
    let rest = Rest::start(&[]);
    let invalid = |messages: &[&str]| {
        format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list \
             of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
            messages.len(),
            messages.join("\n")
        )
    };
    let source = |change: &[(&str, Json)]| {
        let mut config = rest.source();
        change.iter().for_each(|(key, value)| config[*key] = value.clone());
        config
    };
    let post = |name: Json, config: Json| json!({ "name": name, "config": config }).to_string();
    let exact: Vec<(String, u16, String)> = vec![
        (
            post(json!("c"), source(&[("tasks.max", json!("0")), ("batch.size", json!("x"))])),
            400,
            invalid(&[
                "Invalid value 0 for configuration tasks.max: Value must be at least 1",
                "Invalid value x for configuration batch.size: Not a number of type INT",
            ]),
        ),
        (
            post(json!(" "), source(&[])),
            400,
            invalid(&["Invalid value  for configuration name: String may not be empty"]),
        ),
        (
            post(json!("a\u{7}b"), source(&[])),
            400,
            invalid(&[
                "Invalid value a\u{7}b for configuration name: String may not contain control sequences but had the \
                       following ASCII chars: 7",
            ]),
        ),
        (
            post(json!("c"), source(&[("name", json!("d"))])),
            400,
            "Connector name configuration (d) doesn't match connector name in the URL (c)".into(),
        ),
        (
            post(json!("c"), json!({ "connector.class": "FileStreamSource" })),
            400,
            invalid(&[
                "Missing required configuration \"file\" which has no default value.",
                "Missing required configuration \"topic\" which has no default value.",
            ]),
        ),
    ];
    for (body, status, message) in exact {
        let answer = rest.send("POST", "/connectors", &body);
        assert_eq!((answer.status, answer.message()), (status, message), "{body}");
    }
    let parts: Vec<(String, u16, &[&str])> = vec![
        (post(json!("c"), json!({ "topic": "t" })), 400, &["Connector config {", "contains no connector type"]),
        (post(json!("c"), json!({})), 400, &["contains no connector type"]),
        (
            post(json!("c"), json!({ "connector.class": "FileStreamSorce" })),
            400,
            &[
                "Failed to find any class that implements Connector and which name matches FileStreamSorce",
                "Did you mean",
            ],
        ),
        (post(json!("c"), source(&[("file", Json::Null)])), 400, &["Missing required configuration \"file\""]),
        (
            post(json!("c"), source(&[("errors.tolerance", Json::Null)])),
            400,
            &["Null value can not be supplied as the configuration value."],
        ),
        (post(json!("c"), source(&[("file", json!({ "a": 1 }))])), 500, &["Cannot deserialize value of type"]),
        (post(json!("c"), json!([])), 500, &["Cannot deserialize value"]),
        (r#"{"name":"c"}"#.into(), 500, &["connectorConfig", "is null"]),
        (r#"{"name":"c","config":{},"x":1}"#.into(), 500, &["Unrecognized field \"x\""]),
        (r#"{"name":"c","config":{}"#.into(), 500, &["line: 1, column:"]),
        ("[]".into(), 500, &["Cannot deserialize value"]),
        (" ".into(), 500, &["is null"]),
        (
            json!({ "name": "c", "config": source(&[]), "initial_state": "UP" }).to_string(),
            500,
            &["InitialState", "No enum constant", "UP"],
        ),
    ];
    for (body, status, parts) in parts {
        let answer = rest.send("POST", "/connectors", &body);
        let message = answer.message();
        assert!(
            answer.status == status && parts.iter().all(|p| message.contains(p)),
            "{body}: {} {message}",
            answer.status
        );
    }
    assert_eq!(rest.get("/connectors").json(), json!([]), "nothing was created");
    // A refused change leaves everything as it was.
    rest.create("c", &rest.source());
    let before = rest.get("/connectors/c/config").json();
    for (method, body) in [
        ("PUT", source(&[("name", json!("d"))])),
        ("PUT", source(&[("tasks.max", json!("x"))])),
        ("PATCH", json!({ "connector.class": null })),
        ("PATCH", json!({ "file": null })),
        ("PATCH", json!({ "name": "d" })),
    ] {
        let answer = rest.send(method, "/connectors/c/config", &body.to_string());
        assert_eq!(answer.status, 400, "{method} {body}: {}", answer.text);
    }
    assert_eq!(rest.get("/connectors/c/config").json(), before);
    rest.connectd.await_state("c", "RUNNING");
}

#[test]
fn connectors_begin_in_the_state_that_was_asked_for() {
    let rest = Rest::start(&[]);
    for (name, asked, state) in [("p", "PAUSED", "PAUSED"), ("s", "stopped", "STOPPED"), ("r", "Running", "RUNNING")] {
        let body = json!({ "name": name, "config": rest.source(), "initial_state": asked });
        assert_eq!(rest.send("POST", "/connectors", &body.to_string()).status, 201);
        assert_eq!(rest.connectd.states(name).0, state);
    }
    for name in ["p", "s"] {
        assert_eq!(rest.get(&format!("/connectors/{name}/tasks")).json(), json!([]), "not started, so without tasks");
        let resumed = rest.order("PUT", &format!("/connectors/{name}/resume"));
        assert_eq!((resumed.status, resumed.text.as_str()), (202, ""));
        rest.connectd.await_state(name, "RUNNING");
        assert_eq!(rest.get(&format!("/connectors/{name}")).json()["tasks"].as_array().map(Vec::len), Some(1));
    }
    rest.connectd.await_state("r", "RUNNING");
}

#[test]
fn tasks_and_states_are_shown_and_steered() {
    let rest = Rest::start(&[]);
    rest.create("c", &rest.source());
    rest.connectd.await_state("c", "RUNNING");
    let status = rest.get("/connectors/c/status").json();
    let worker = rest.connectd.url().trim_start_matches("http://");
    assert_eq!((&status["name"], &status["type"]), (&json!("c"), &json!("source")));
    for entry in [&status["connector"], &status["tasks"][0]] {
        assert_eq!((&entry["state"], &entry["worker_id"]), (&json!("RUNNING"), &json!(worker)), "{status}");
        assert!(entry["version"].is_string() && entry.get("trace").is_none(), "{status}");
    }
    let tasks = rest.get("/connectors/c/tasks").json();
    assert_eq!(tasks[0]["id"], json!({ "connector": "c", "task": 0 }));
    assert_eq!(tasks[0]["config"]["topic"], "t");
    assert!(tasks[0]["config"]["task.class"].is_string(), "{tasks}");
    // Numbers of tasks as Java reads them.
    for id in ["0", "00", "+0"] {
        let task = rest.get(&format!("/connectors/c/tasks/{id}/status"));
        assert_eq!((task.status, &task.json()["id"], &task.json()["state"]), (200, &json!(0), &json!("RUNNING")));
    }
    for (id, text) in [
        ("9", "No status found for task c-9"),
        ("-1", "No status found for task c--1"),
        ("x", "HTTP 404 Not Found"),
        ("99999999999", "HTTP 404 Not Found"),
    ] {
        let task = rest.get(&format!("/connectors/c/tasks/{id}/status"));
        assert_eq!((task.status, task.message().as_str()), (404, text));
    }
    let restarted = rest.order("POST", "/connectors/c/tasks/0/restart");
    assert_eq!((restarted.status, restarted.text.as_str()), (204, ""));
    rest.connectd.await_state("c", "RUNNING");
    assert_eq!(rest.order("POST", "/connectors/c/tasks/9/restart").message(), "Unknown task: c-9");

    // Each of them twice: the second changes nothing.
    for (order, status, state, tasks) in [
        ("pause", 202, "PAUSED", vec!["PAUSED".to_owned()]),
        ("resume", 202, "RUNNING", vec!["RUNNING".to_owned()]),
        ("stop", 204, "STOPPED", Vec::new()),
        ("resume", 202, "RUNNING", vec!["RUNNING".to_owned()]),
    ] {
        for _ in 0..2 {
            let answer = rest.order("PUT", &format!("/connectors/c/{order}"));
            assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{order}");
            wait(&format!("the state after {order}"), LIMIT, || {
                (rest.connectd.states("c") == (state.to_owned(), tasks.clone())).then_some(())
            });
        }
    }
    let plain = rest.order("POST", "/connectors/c/restart");
    assert_eq!((plain.status, plain.text.as_str()), (204, ""));
    rest.connectd.await_state("c", "RUNNING");
    for (query, connector, task) in [
        ("includeTasks=true", "RESTARTING", "RESTARTING"),
        ("includeTasks=TRUE&onlyFailed=1", "RESTARTING", "RESTARTING"),
        ("onlyFailed=true", "RUNNING", "RUNNING"),
        ("includeTasks=true&onlyFailed=true", "RUNNING", "RUNNING"),
    ] {
        let answer = rest.order("POST", &format!("/connectors/c/restart?{query}"));
        let body = answer.json();
        assert_eq!(answer.status, 202, "{query}");
        assert_eq!(
            (&body["connector"]["state"], &body["tasks"][0]["state"]),
            (&json!(connector), &json!(task)),
            "{query}"
        );
        rest.connectd.await_state("c", "RUNNING");
    }
    // A restart does not wake what is paused or stopped.
    rest.order("PUT", "/connectors/c/stop");
    assert_eq!(rest.order("POST", "/connectors/c/restart?includeTasks=true").status, 202);
    wait("the state after the restart", LIMIT, || {
        (rest.connectd.states("c") == ("STOPPED".to_owned(), Vec::new())).then_some(())
    });
}

#[test]
fn listings_are_expanded_as_asked() {
    let rest = Rest::start(&[]);
    rest.create("a", &rest.source());
    rest.create("b", &rest.source());
    rest.connectd.await_state("a", "RUNNING");
    rest.connectd.await_state("b", "RUNNING");
    let mut names = rest.get("/connectors").json();
    names.as_array_mut().expect("list").sort_by_key(Json::to_string);
    assert_eq!(names, json!(["a", "b"]));
    let info = rest.get("/connectors/a").json();
    for (query, has_status, has_info) in [
        ("expand=status", true, false),
        ("expand=info", false, true),
        ("expand=info&expand=status", true, true),
        ("expand=status&expand=nonsense", true, false),
        ("expand=status,info", false, false),
        ("expand=INFO", false, false),
        ("expand=", false, false),
        ("expand", false, false),
    ] {
        let all = rest.get(&format!("/connectors?{query}")).json();
        assert_eq!(all.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()), Some(vec!["a".into(), "b".into()]));
        assert_eq!(all["a"].get("info"), has_info.then_some(&info), "{query}");
        assert_eq!(
            all["a"].get("status").map(|s| &s["connector"]["state"]),
            has_status.then_some(&json!("RUNNING")),
            "{query}"
        );
    }
}

#[test]
fn plugins_are_listed_described_and_validate() {
    let rest = Rest::start(&[]);
    let kinds = |path: &str| -> Vec<(String, String)> {
        let all = rest.get(path).json();
        let text = |p: &Json, key: &str| p[key].as_str().unwrap_or_else(|| panic!("{p}")).to_owned();
        all.as_array().expect("list").iter().map(|p| (text(p, "type"), text(p, "class"))).collect()
    };
    let connectors = kinds("/connector-plugins");
    assert!(connectors.iter().all(|(kind, _)| kind == "sink" || kind == "source"), "{connectors:?}");
    let file = ("source".to_owned(), "org.apache.kafka.connect.file.FileStreamSourceConnector".to_owned());
    assert!(connectors.contains(&file), "{connectors:?}");
    assert!(connectors.is_sorted(), "sinks first, then by class: {connectors:?}");
    assert_eq!(kinds("/connector-plugins?connectorsOnly="), connectors);
    let all = kinds("/connector-plugins?connectorsOnly=false");
    for kind in ["sink", "source", "transformation", "converter", "header_converter"] {
        assert!(all.iter().any(|(k, _)| k == kind), "{kind}: {all:?}");
    }

    for name in ["file-source", "FileStreamSource", "FileStreamSourceConnector", &file.1] {
        let keys = rest.get(&format!("/connector-plugins/{name}/config")).json();
        let names: Vec<&str> = keys.as_array().expect("list").iter().filter_map(|k| k["name"].as_str()).collect();
        assert_eq!(&names[..3], ["file", "topic", "batch.size"], "the plugin's own keys first");
        assert!(names.contains(&"tasks.max") && names.contains(&"errors.tolerance"), "{names:?}");
    }
    let key = &rest.get("/connector-plugins/file-source/config").json()[2];
    let members = [
        "name",
        "type",
        "required",
        "default_value",
        "importance",
        "documentation",
        "group",
        "width",
        "display_name",
        "dependents",
        "order",
    ];
    assert!(members.iter().all(|m| key.get(m).is_some()), "{key}");
    assert_eq!((&key["type"], &key["required"], &key["default_value"]), (&json!("INT"), &json!(false), &json!("2000")));
    assert!(rest.get("/connector-plugins/JsonConverter/config").text.contains("schemas.enable"));
    let unknown = rest.get("/connector-plugins/Nope/config");
    assert_eq!((unknown.status, unknown.message().as_str()), (404, "Unknown plugin Nope."));

    let validate = |plugin: &str, config: Json| {
        rest.send("PUT", &format!("/connector-plugins/{plugin}/config/validate"), &config.to_string())
    };
    let wrong = validate("FileStreamSource", json!({ "connector.class": file.1, "name": "v", "tasks.max": "x" }));
    let body = wrong.json();
    assert_eq!((wrong.status, &body["name"]), (200, &json!(file.1)));
    let errors = |key: &str| -> Vec<String> {
        let of = body["configs"].as_array().expect("list").iter().filter(|c| c["value"]["name"] == key);
        of.flat_map(|c| c["value"]["errors"].as_array().expect("list"))
            .filter_map(|e| Some(e.as_str()?.to_owned()))
            .collect()
    };
    assert_eq!(errors("file"), ["Missing required configuration \"file\" which has no default value."]);
    assert!(errors("tasks.max")[0].ends_with("Not a number of type INT"));
    let count: usize = body["configs"]
        .as_array()
        .expect("list")
        .iter()
        .map(|c| c["value"]["errors"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(body["error_count"], count);
    assert!(body["groups"].as_array().is_some_and(|g| g.contains(&json!("Common"))), "{body}");
    // Any two names of one plugin match.
    for plugin in ["file-source", "FileStreamSource", &file.1] {
        for class in ["file-source", "FileStreamSourceConnector", &file.1] {
            let right = validate(plugin, json!({ "connector.class": class, "name": "v", "file": "f", "topic": "t" }));
            assert_eq!(
                (right.status, &right.json()["error_count"]),
                (200, &json!(0)),
                "{plugin} {class}: {}",
                right.text
            );
        }
    }
    let other = validate("FileStreamSink", json!({ "connector.class": file.1 }));
    let text = format!("Included connector type {} does not match request type FileStreamSink", file.1);
    assert_eq!((other.status, other.message()), (400, text));
    let classless = validate("FileStreamSource", json!({ "topic": "t" }));
    assert!(
        classless.status == 500 && classless.message().contains("contains no connector type"),
        "{}",
        classless.text
    );
    let secret = validate(
        "slack-sink",
        json!({ "connector.class": "slack-sink", "name": "v", "topics": "t",
        "slack.webhook.url": "https://hooks/s3cret" }),
    );
    assert!(
        secret.status == 200 && secret.text.contains("[hidden]") && !secret.text.contains("s3cret"),
        "{}",
        secret.text
    );
    assert_eq!(rest.get("/connectors").json(), json!([]), "validation creates nothing");
}

#[test]
fn requests_that_no_endpoint_takes_have_kafka_connects_error_bodies() {
    let rest = Rest::start(&[]);
    let answers = |status: u16, reason: &str| (status, format!("HTTP {status} {reason}"));
    let got = |answer: &Answer| (answer.status, answer.message());
    for path in ["/nope", "/connectors/c/nope", "/connectors/c/tasks-config", "/Connectors"] {
        assert_eq!(got(&rest.get(path)), answers(404, "Not Found"), "{path}");
    }
    for (method, path) in
        [("DELETE", "/connectors"), ("POST", "/connectors/c"), ("PUT", "/"), ("GET", "/connectors/c/pause")]
    {
        assert_eq!(got(&rest.order(method, path)), answers(405, "Method Not Allowed"), "{method} {path}");
    }
    let accept = |range: &str| rest.ask("GET", "/connectors", &[("accept", range)], None);
    for range in ["text/html", "application/xml, text/*", "application/json;q=0"] {
        assert_eq!(got(&accept(range)), answers(406, "Not Acceptable"), "{range}");
    }
    for range in ["*/*", "application/*", "text/html, application/json;q=0.1"] {
        assert_eq!(accept(range).status, 200, "{range}");
    }
    let body = json!({ "name": "c", "config": rest.source() }).to_string();
    for kind in ["text/json", "application/x-www-form-urlencoded", "application/merge-patch+json"] {
        let answer = rest.ask("POST", "/connectors", &[("content-type", kind)], Some(&body));
        assert_eq!(got(&answer), answers(415, "Unsupported Media Type"), "{kind}");
    }
    assert_eq!(got(&rest.ask("POST", "/connectors", &[], Some(&body))), answers(415, "Unsupported Media Type"));
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(rest.ask("POST", "/connectors", &charset, Some(&body)).status, 201);

    for path in ["/connectors", "/connectors/c", "/connectors/c/status", "/connector-plugins", "/health"] {
        let (plain, slash) = (rest.get(path), rest.get(&format!("{path}/")));
        assert_eq!((plain.status, slash.status), (200, 200), "{path}");
        let head = rest.order("HEAD", path);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
    assert_eq!(rest.order("PUT", "/connectors/c/pause/").status, 202);
    assert_eq!(rest.order("HEAD", "/connectors/nope").status, 404);
}

#[test]
fn names_with_any_characters_are_addressed_by_their_location() {
    let rest = Rest::start(&[]);
    for name in ["a b", "a/b&c=d//1?x#y", "100 % \\ü", "a+b;c", "{x}", "a%20c", "..a"] {
        let location = rest.create(name, &rest.source()).location.expect("location");
        let path = location.strip_prefix(rest.connectd.url()).expect("the same server").to_owned();
        let info = rest.get(&path);
        assert_eq!((info.status, &info.json()["name"]), (200, &json!(name)), "{path}");
        assert_eq!(rest.get(&format!("{path}/status")).json()["name"], name, "{path}");
        assert_eq!(rest.order("DELETE", &path).status, 204, "{path}");
    }
    assert_eq!(rest.get("/connectors").json(), json!([]));
    // Names are trimmed when they come in a body.
    rest.create("  trimmed\n", &rest.source());
    assert_eq!(rest.get("/connectors").json(), json!(["trimmed"]));
}

#[test]
fn scalars_keep_the_text_that_was_written() {
    let rest = Rest::start(&[]);
    let mut config = rest.source().to_string();
    config.pop();
    let body = format!(
        r#"{{"name":12,"config":{config},"a":1,"b":1.50,"c":1e3,"d":true,"e":12345678901234567890,"f":"ü"}}}}"#
    );
    assert_eq!(rest.send("POST", "/connectors", &body).status, 201);
    let config = rest.get("/connectors/12/config").json();
    for (key, text) in
        [("a", "1"), ("b", "1.50"), ("c", "1e3"), ("d", "true"), ("e", "12345678901234567890"), ("f", "ü")]
    {
        assert_eq!(config[key], text);
    }
}

#[test]
fn a_failed_task_leaves_others_alone_and_its_trace_begins_with_what_is_wrong() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("in"), "not json\n").expect("input");
    let sink = |name: &str, converter: &str| {
        format!(
            "---\nname: {name}\nconnector.class: file-sink\ntopics: [t]\nfile: {}\nvalue.converter: {converter}\n",
            path(name)
        )
    };
    let text = format!(
        "name: in\nconnector.class: file-source\nfile: {}\ntopic: t\nvalue.converter: StringConverter\n{}{}",
        path("in"),
        sink("fails", "JsonConverter"),
        sink("works", "StringConverter")
    );
    let rest = Rest::start(&[&file(dir.path(), "all.yaml", &text)]);
    wait("the other sink to deliver", LIMIT, || {
        fs::read_to_string(path("works")).ok().filter(|t| t.contains("not json"))
    });
    let trace = wait("the task to fail", LIMIT, || {
        rest.get("/connectors/fails/tasks/0/status").json()["trace"].as_str().map(str::to_owned)
    });
    let mut lines = trace.lines();
    let first = lines.next().unwrap_or_default();
    for part in ["converting the record's value failed", "JsonConverter", "topic t, partition 0, offset 0"] {
        assert!(first.contains(part), "{part}: {trace}");
    }
    assert!(lines.next().is_some_and(|l| l.starts_with("Caused by: ")), "{trace}");
    assert!(!Path::new(&path("fails")).exists() || fs::read(path("fails")).is_ok_and(|t| t.is_empty()));
    assert_eq!(rest.connectd.states("fails"), ("RUNNING".to_owned(), vec!["FAILED".to_owned()]));
    rest.connectd.await_state("works", "RUNNING");
    rest.connectd.await_state("in", "RUNNING");

    // It stays failed while its connector is paused and resumed; a restart of what has failed takes it alone.
    assert_eq!(rest.order("PUT", "/connectors/fails/pause").status, 202);
    wait("the connector to be paused", LIMIT, || {
        (rest.connectd.states("fails") == ("PAUSED".to_owned(), vec!["FAILED".to_owned()])).then_some(())
    });
    assert_eq!(rest.order("PUT", "/connectors/fails/resume").status, 202);
    wait("the connector to be resumed", LIMIT, || {
        (rest.connectd.states("fails") == ("RUNNING".to_owned(), vec!["FAILED".to_owned()])).then_some(())
    });
    let plan = rest.order("POST", "/connectors/fails/restart?includeTasks=true&onlyFailed=true");
    let body = plan.json();
    assert_eq!((plan.status, &body["connector"]["state"]), (202, &json!("RUNNING")), "{body}");
    assert_eq!(body["tasks"][0]["state"], "RESTARTING");
    assert!(body["tasks"][0]["trace"].is_string(), "the trace of before is kept: {body}");
    // A change that tolerates the record heals it.
    assert_eq!(rest.send("PATCH", "/connectors/fails/config", r#"{"errors.tolerance":"all"}"#).status, 200);
    wait("the task to have skipped the record", LIMIT, || {
        (rest.get("/connectors/fails/tasks/0/status").json()["detail"]["records_bad"] == 1).then_some(())
    });
    rest.connectd.await_state("fails", "RUNNING");
}

#[test]
fn options_names_the_methods_of_a_path() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let client = reqwest::blocking::Client::new();
    let ask = |path: &str| {
        let url = format!("{}{path}", connectd.url());
        client.request("OPTIONS".parse().expect("method"), url).send().expect("answer")
    };
    let answer = ask("/connectors/");
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().ok()), (200, Some("text/plain")));
    let mut methods: Vec<String> = answer.text().expect("text").split(", ").map(str::to_owned).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "HEAD", "OPTIONS", "POST"]);
    assert_eq!(ask("/nowhere").status(), 404);
}
