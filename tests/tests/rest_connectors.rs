//! Connectors over Kafka Connect's REST API, with the embedded broker: created, changed, steered, shown.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use tocsin_tests::{
    file,
    rest::{LIMIT, Rest},
    wait,
};

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
    // One behind the other, without waiting: the last one counts. A connector that is paused again before it has started
    // has no tasks yet, in Kafka Connect, too.
    for (last, state, possible) in
        [("stop", "STOPPED", &[0usize][..]), ("pause", "PAUSED", &[0, 1]), ("resume", "RUNNING", &[1])]
    {
        for order in ["resume", "pause", "resume", "stop", "resume", last] {
            assert!(rest.order("PUT", &format!("/connectors/c/{order}")).status < 300, "{order}");
        }
        // One before may show for a moment as if it were the last; its tasks are not those that are stored then.
        wait(&format!("the state after all that and {last}"), LIMIT, || {
            let (own, tasks) = rest.connectd.states("c");
            let all = own == state && tasks.iter().all(|task| task == state) && possible.contains(&tasks.len());
            let stored = rest.get("/connectors/c/tasks").json();
            (all && stored.as_array().map(Vec::len) == Some(tasks.len())).then_some(())
        });
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
        // What restarts on the last order shows RUNNING until it has begun to: asked again until it has ended.
        wait(&format!("the answer to {query}"), LIMIT, || {
            let answer = rest.order("POST", &format!("/connectors/c/restart?{query}"));
            assert_eq!(answer.status, 202, "{query}");
            let body = answer.json();
            (body["connector"]["state"] == connector && body["tasks"][0]["state"] == task).then_some(())
        });
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
fn a_failed_task_leaves_others_alone_and_its_trace_begins_with_what_is_wrong() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("in"), "not json\n").expect("input");
    let sink = |name: &str, converter: &str| {
        format!(
            "---\nname: {name}\nconnector.class: file-sink\ntopics: [t]\nfile: {}\nvalue.converter: {converter}\n\
             restart.attempts: 0\n",
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
    assert_eq!(first, "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler");
    let second = lines.next().unwrap_or_default();
    for part in ["converting the record's value failed", "JsonConverter", "topic t, partition 0, offset 0"] {
        assert!(second.contains(part), "{part}: {trace}");
    }
    assert!(
        lines.next().is_some_and(|l| l.starts_with("Caused by: org.apache.kafka.connect.errors.DataException: ")),
        "{trace}"
    );
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
fn patches_at_the_same_time_all_take_effect() {
    let rest = Rest::start(&[]);
    rest.create("c", &rest.source());
    std::thread::scope(|scope| {
        let patches: Vec<_> = (0..8)
            .map(|n| {
                let (rest, patch) = (&rest, format!(r#"{{"own.{n}": "{n}"}}"#));
                scope.spawn(move || rest.send("PATCH", "/connectors/c/config", &patch))
            })
            .collect();
        for patch in patches {
            let answer = patch.join().expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    });
    let config = rest.connectd.get("/connectors/c/config").1;
    for n in 0..8 {
        assert_eq!(config[format!("own.{n}")], json!(n.to_string()), "{config}");
    }
}

#[test]
fn changes_at_the_same_time_are_all_stored_and_all_answered_so() {
    let rest = Rest::start(&[]);
    rest.create("c", &rest.source());
    std::thread::scope(|scope| {
        let changes: Vec<_> = (0..8)
            .map(|n| {
                let mut config = rest.source();
                config["topic"] = json!(format!("t{n}"));
                let rest = &rest;
                scope.spawn(move || rest.send("PUT", "/connectors/c/config", &config.to_string()))
            })
            .collect();
        for change in changes {
            let answer = change.join().expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    });
    rest.connectd.await_state("c", "RUNNING");
}
