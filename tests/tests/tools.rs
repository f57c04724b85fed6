//! Tools that nobody here wrote work against this worker: `kc` of kafka-connect-py, kcat, and schemathesis on the OpenAPI
//! document that the worker serves.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd, file,
    rest::Rest,
    sides::{SOON, Side, Sides},
    wait,
};
use xtask::servers::{Clients, Kafka, without};

#[test]
fn kc_lists_creates_changes_steers_and_deletes_connectors() {
    let clients = Clients::find().expect("clients");
    let rest = Rest::start(&[]);
    let kc = |arguments: &[&str]| -> Json {
        let text = clients.kc(rest.connectd.url(), arguments).expect("kc");
        // Orders that answer nothing print nothing.
        if text.trim().is_empty() {
            return Json::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("kc {arguments:?}: {e}: {text}"))
    };
    assert!(kc(&["info"])["kafka_cluster_id"].is_string());
    assert_eq!(kc(&["list"]), json!([]));
    let plugins = kc(&["list-plugins"]);
    let known = plugins
        .as_array()
        .into_iter()
        .flatten()
        .any(|p| p["class"].as_str().is_some_and(|c| c.ends_with("FileStreamSourceConnector")));
    assert!(known, "{plugins}");

    let config = rest.source();
    let request = json!({ "name": "c", "config": config }).to_string();
    let made = kc(&["create", "--config-data", &request]);
    assert_eq!((&made["name"], &made["type"]), (&json!("c"), &json!("source")), "{made}");
    rest.connectd.await_state("c", "RUNNING");
    assert_eq!(kc(&["list"]), json!(["c"]));
    assert_eq!(kc(&["get", "c"])["config"]["topic"], "t");
    assert_eq!(kc(&["config", "c"])["name"], "c");
    let status = kc(&["status", "c"]);
    assert_eq!((&status["connector"]["state"], &status["tasks"][0]["state"]), (&json!("RUNNING"), &json!("RUNNING")));
    assert_eq!(kc(&["list", "--expand", "status", "--state", "RUNNING"])["c"]["status"]["name"], "c");
    assert_eq!(kc(&["list", "--state", "PAUSED"]), json!([]));
    assert_eq!(kc(&["list-tasks", "c"])[0]["id"], json!({ "connector": "c", "task": 0 }));
    assert_eq!(kc(&["task-status", "c", "0"])["state"], "RUNNING");
    assert_eq!(kc(&["list-topics", "c"]), json!({ "c": { "topics": [] } }));

    kc(&["pause", "c"]);
    rest.connectd.await_state("c", "PAUSED");
    kc(&["resume", "--all"]);
    rest.connectd.await_state("c", "RUNNING");
    kc(&["restart", "c", "--include-tasks"]);
    rest.connectd.await_state("c", "RUNNING");
    let mut other = config.clone();
    other["topic"] = json!("u");
    assert_eq!(kc(&["update", "c", "--config-data", &other.to_string()])["config"]["topic"], "u");
    kc(&["delete", "c"]);
    assert_eq!(kc(&["list"]), json!([]));
}

/// A file source and a file sink in one worker; kcat reads what the one writes, and writes what the other reads.
fn talks_with_kcat(clients: &Clients, connectd: &Connectd, bootstrap: &str, dir: &Path) {
    let path = |name: &str| dir.join(name).display().to_string();
    file(dir, "in.txt", "one\ntwo\n");
    let create = |name: &str, config: Json| {
        let (code, answer) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(code, 201, "{answer}");
    };
    let mark = "org.apache.kafka.connect.transforms.InsertHeader";
    create(
        "in",
        json!({ "connector.class": "file-source", "file": path("in.txt"), "topic": "written",
        "key.converter": "StringConverter", "value.converter": "StringConverter",
        "transforms": "m", "transforms.m.type": mark, "transforms.m.header": "origin", "transforms.m.value.literal": "file" }),
    );
    let shown = wait("kcat to see two records", SOON, || {
        let arguments = ["-C", "-b", bootstrap, "-t", "written", "-o", "beginning", "-e", "-q", "-f", "%s %h\n"];
        // The topic comes with the first record.
        clients.kcat(&arguments).ok().filter(|text| text.lines().count() == 2)
    });
    let mut lines: Vec<&str> = shown.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one origin=file", "two origin=file"]);

    let records = file(dir, "records.txt", "k1=first\nk2=second\n");
    let arguments = ["-P", "-b", bootstrap, "-t", "read", "-p", "0", "-K", "=", "-H", "a=1", "-l", &records];
    clients.kcat(&arguments).expect("kcat writes");
    create(
        "out",
        json!({ "connector.class": "file-sink", "file": path("out.jsonl"), "topics": "read",
        "key.converter": "StringConverter", "value.converter": "StringConverter" }),
    );
    let lines = wait("the sink to have both records", SOON, || {
        let text = fs::read_to_string(path("out.jsonl")).unwrap_or_default();
        (text.lines().count() == 2).then_some(text)
    });
    let lines: Vec<Json> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let of = |line: &Json| [line["key"].clone(), line["value"].clone()];
    assert_eq!(
        lines.iter().map(of).collect::<Vec<_>>(),
        [[json!("k1"), json!("first")], [json!("k2"), json!("second")]]
    );
    assert!(lines[0]["headers"].to_string().contains('a'), "{}", lines[0]);
}

#[test]
fn kcat_reads_and_writes_what_connectors_write_and_read() {
    let clients = Clients::find().expect("clients");
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    talks_with_kcat(&clients, &connectd, &connectd.embedded_broker(), dir.path());
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &text);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    talks_with_kcat(&clients, &connectd, &kafka.bootstrap(), dir.path());
    // Committed where any client of Kafka looks.
    let arguments = ["-G", "connect-out", "-b", &kafka.bootstrap(), "-e", "-q", "-f", "%s\n", "read"];
    assert_eq!(connectd.send("PUT", "/connectors/out/stop", None).0, 204);
    wait("the sink's tasks to be gone", SOON, || (connectd.states("out").0 == "STOPPED").then_some(()));
    let behind = clients.kcat(&arguments).expect("kcat reads as a member of the group");
    assert_eq!(behind, "", "nothing is left behind what the sink has committed");
}

/// Requests that schemathesis made and that were answered with an error of the server: method, path, body.
fn server_errors(report: &Path) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    for file in fs::read_dir(report).expect("reports") {
        let text = fs::read_to_string(file.expect("report").path()).expect("report");
        let har: Json = serde_json::from_str(&text).expect("HAR");
        for entry in har["log"]["entries"].as_array().expect("entries") {
            let (request, response) = (&entry["request"], &entry["response"]);
            if response["status"].as_u64().is_none_or(|status| status < 500) {
                continue;
            }
            let of = |value: &Json| value.as_str().unwrap_or_default().to_owned();
            let url = of(&request["url"]);
            let path = url.splitn(4, '/').nth(3).map(|p| format!("/{p}")).expect("path");
            let body = request["postData"]["text"].as_str().map(str::to_owned);
            found.push((of(&request["method"]), path, body));
        }
    }
    found
}

#[test]
fn generated_requests_meet_the_openapi_document_and_no_other_500_than_kafka_connects() {
    if without("kafka") {
        return;
    }
    let clients = Clients::find().expect("clients");
    let sides = Sides::start(&[]);
    let [theirs, ours] = &sides.both;
    let config = r#"{"connector.class":"FileStreamSource","file":"$DIR/absent","topic":"$SIDE-t"}"#;
    let create = |side: &Side| assert_eq!(side.send("PUT", "/connectors/c/config", Some(config)).status, 201);
    let dir = tempfile::tempdir().expect("folder");
    let document = ours.get("/openapi.json");
    let paths = document["paths"].as_object().into_iter().flatten();
    // All but the one that it has the document from.
    let operations = paths.filter_map(|(_, methods)| methods.as_object()).map(serde_json::Map::len).sum::<usize>() - 1;
    let known = "[parameters]\n\"path.name\" = \"c\"\n\"path.task\" = 0\n\"path.plugin\" = \"FileStreamSource\"\n\
                 \"path.logger\" = \"root\"\n";
    // Once with names as they come, once with those of what there is.
    for (name, settings) in [("any.toml", ""), ("known.toml", known)] {
        let settings = file(dir.path(), name, settings);
        if ours.send("GET", "/connectors/c", None).status == 404 {
            create(ours);
        }
        let document = format!("{}/openapi.json", ours.url());
        let arguments = [
            "--config-file",
            &settings,
            "run",
            &document,
            "--seed",
            "1",
            "--max-examples",
            "25",
            "--workers",
            "1",
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--checks",
            "status_code_conformance,content_type_conformance,response_schema_conformance",
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--request-timeout",
            "90",
            "--generation-deterministic",
            "--no-color",
            "--report",
            "har",
            "--report-dir",
            "reports",
        ];
        let said = clients.schemathesis(dir.path(), &arguments).expect("schemathesis finds nothing wrong");
        assert!(said.contains(&format!("Tested: {operations}")), "all operations: {said}");
    }
    assert_eq!(ours.send("GET", "/health", None).status, 200);

    create(theirs);
    if ours.send("GET", "/connectors/c", None).status == 404 {
        create(ours);
    }
    let mut errors = server_errors(&dir.path().join("reports"));
    errors.sort();
    errors.dedup();
    let mut compared = 0;
    for (method, path, body) in errors {
        let headers = [("content-type", "application/json")];
        let headers: &[_] = if body.is_some() { &headers } else { &[] };
        let [theirs, ours] = [theirs, ours].map(|side| side.ask(&method, &path, headers, body.as_deref()));
        // What is no JSON comes from what is in front of Kafka Connect and refuses backslashes in paths, say.
        if theirs.status == 400 && theirs.json().is_null() {
            continue;
        }
        compared += 1;
        // Texts are compared in `tests/side-by-side`.
        assert_eq!(ours.status, theirs.status, "{method} {path} {body:?}: {} {}", ours.text, theirs.text);
    }
    assert!(compared > 10, "empty bodies are among the requests: {compared}");
}
