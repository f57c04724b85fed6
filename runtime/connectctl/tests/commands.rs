//! Every command of the real program against a worker.

mod support;

use serde_json::json;
use support::{answer, bodies, ctl, error, info, status, worker};
use wiremock::MockServer;

#[tokio::test]
async fn status_shows_all_connectors_and_why_they_fail() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["status"]).run().await;
    let expected = "\
NAME      TYPE     STATE    TASKS  WORKER
alpha     sink     RUNNING  1/1    w:8083
  task 0           RUNNING
beta      sink     RUNNING  0/1    w:8083
  task 0           FAILED
    writing 2 points: timed out
gamma     unknown  UNKNOWN  0/0    -
";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, expected, ""));
}

#[tokio::test]
async fn status_of_one_connector_is_fuller() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["status", "alpha"]).run().await;
    let expected = "\
alpha
  state         RUNNING
  type          sink
  plugin        file-sink
  topics        a
  worker        w:8083
  tasks         1 of 1 running

task 0: RUNNING
";
    assert_eq!((run.code, run.out.as_str()), (0, expected));
}

#[tokio::test]
async fn status_tells_failures_to_scripts_when_asked() {
    let server = worker().await;
    for (arguments, code) in [
        (&["status", "--fail-on", "FAILED"][..], 4),
        (&["status", "--fail-on", "FAILED", "beta"], 4),
        (&["status", "--fail-on", "FAILED", "alpha"], 0),
        (&["status", "beta"], 0),
        (&["status", "--fail-on", "FAILED", "beta", "alhpa"], 1),
        (&["status", "--fail-on", "paused,STALLED"], 0),
        (&["list", "--fail-on=failed"], 4),
        (&["list", "alpha", "--fail-on", "FAILED"], 0),
        (&["list", "--fail-on", "UNKNOWN,FAILED", "-o", "json"], 4),
    ] {
        assert_eq!(ctl(&server.uri(), arguments).run().await.code, code, "{arguments:?}");
    }
}

#[tokio::test]
async fn results_are_json_or_yaml_when_asked() {
    let server = worker().await;
    answer(&server, "GET", "/connector-plugins", 200, json!([{ "class": "file-sink", "type": "sink" }])).await;
    answer(&server, "PUT", "/connectors/alpha/pause", 202, json!(null)).await;
    for arguments in [&["status"][..], &["status", "alpha"], &["list"], &["plugins"], &["pause", "alpha"]] {
        let mut with = vec!["-o", "json"];
        with.extend(arguments);
        // The width of the terminal has no say in it.
        let run = ctl(&server.uri(), &with).env("COLUMNS", "20").run().await;
        assert!(run.code == 0 && run.json().is_array(), "{run:?}");
    }
    let run = ctl(&server.uri(), &["status", "beta", "-o", "json"]).run().await;
    assert_eq!(run.json()[0]["tasks"][0]["state"], "FAILED");
    let run = ctl(&server.uri(), &["list", "--output=yaml"]).run().await;
    let expected = "\
- name: alpha
  type: sink
  state: RUNNING
  class: file-sink
  tasks_running: 1
  tasks: 1
  topics: a
  worker: w:8083
- name: beta
  type: sink
  state: RUNNING
  class: file-sink
  tasks_running: 0
  tasks: 1
  topics: a
  worker: w:8083
- name: gamma
  type: unknown
  state: UNKNOWN
  class: null
  tasks_running: 0
  tasks: 0
";
    assert_eq!(run.out, expected);
}

#[tokio::test]
async fn tables_fit_a_terminal_of_sixty_columns() {
    let server = MockServer::start().await;
    let name = "a-connector-with-a-name-that-is-far-longer-than-names-should-be";
    let mut long = status(name, "RUNNING", "FAILED");
    long["tasks"][0]["trace"] = json!("why it failed takes many words, ".repeat(10));
    answer(&server, "GET", "/connectors", 200, json!({ name: { "status": long, "info": info(name) } })).await;
    answer(&server, "GET", &format!("/connectors/{name}/status"), 200, long).await;
    answer(&server, "GET", "/connectors/b/status", 200, status("b", "PAUSED", "PAUSED")).await;
    let run = ctl(&server.uri(), &["status", name, "b"]).env("COLUMNS", "60").run().await;
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.lines().all(|l| l.chars().count() <= 60), "{}", run.out);
    assert!(run.out.contains("RUNNING") && run.out.contains("takes many words"), "{}", run.out);
    let full = ctl(&server.uri(), &["status", name, "b"]).run().await;
    assert!(full.out.contains(name), "{}", full.out);
}

#[tokio::test]
async fn list_shows_a_line_per_connector() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["list"]).run().await;
    let expected = "\
NAME   TYPE     STATE    TASKS  CLASS
alpha  sink     RUNNING  1/1    file-sink
beta   sink     RUNNING  0/1    file-sink
gamma  unknown  UNKNOWN  0/0
";
    assert_eq!((run.code, run.out.as_str()), (0, expected));
}

#[tokio::test]
async fn an_empty_worker_is_no_failure() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/connectors", 200, json!([])).await;
    let run = ctl(&server.uri(), &["status"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("no connectors at"), "{run:?}");
    let run = ctl(&server.uri(), &["status", "-o", "json"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "[]\n"));
}

#[tokio::test]
async fn plugins_are_listed_with_or_without_the_small_ones() {
    let server = MockServer::start().await;
    let plugins =
        json!([{ "class": "file-sink", "type": "sink", "version": "1" }, { "class": "x.Y", "type": "source" }]);
    answer(&server, "GET", "/connector-plugins", 200, plugins).await;
    let run = ctl(&server.uri(), &["plugins", "--all"]).run().await;
    assert_eq!(run.out, "CLASS      TYPE    VERSION\nfile-sink  sink    1\nx.Y        source  -\n");
    let requests = server.received_requests().await.unwrap_or_default();
    assert_eq!(requests[0].url.query(), Some("connectorsOnly=false"));
}

#[tokio::test]
async fn several_connectors_are_steered_at_once() {
    let server = worker().await;
    for verb in ["pause", "resume", "stop"] {
        for name in ["alpha", "beta"] {
            let code = if verb == "stop" { 204 } else { 202 };
            answer(&server, "PUT", &format!("/connectors/{name}/{verb}"), code, json!(null)).await;
        }
    }
    answer(&server, "DELETE", "/connectors/alpha", 204, json!(null)).await;
    for (verb, done) in [("pause", "paused"), ("resume", "resumed"), ("stop", "stopped")] {
        let run = ctl(&server.uri(), &[verb, "alpha", "beta"]).run().await;
        assert_eq!((run.code, run.out), (0, format!("alpha {done}\nbeta {done}\n")));
    }
    let run = ctl(&server.uri(), &["delete", "alpha", "--yes"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "alpha deleted\n"));
}

#[tokio::test]
async fn one_failure_does_not_keep_the_others_from_their_turn() {
    let server = worker().await;
    answer(&server, "PUT", "/connectors/alhpa/stop", 500, error(500, "No connector `alhpa` configured")).await;
    answer(&server, "PUT", "/connectors/beta/stop", 204, json!(null)).await;
    let run = ctl(&server.uri(), &["stop", "alhpa", "beta"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, "beta stopped\n"));
    assert_eq!(run.err, "connectctl: connector alhpa not found; did you mean alpha?\n");
    let run = ctl(&server.uri(), &["stop", "alhpa", "beta", "-o", "json"]).run().await;
    assert_eq!(run.json()[0]["result"], "failed");
}

#[tokio::test]
async fn restart_says_what_is_restarted() {
    let server = worker().await;
    answer(&server, "POST", "/connectors/alpha/restart", 204, json!(null)).await;
    answer(&server, "POST", "/connectors/beta/restart", 202, status("beta", "RUNNING", "RESTARTING")).await;
    answer(&server, "POST", "/connectors/gamma/restart", 202, status("gamma", "RUNNING", "RUNNING")).await;
    answer(&server, "POST", "/connectors/alpha/tasks/3/restart", 204, json!(null)).await;
    for (arguments, expected) in [
        (&["restart", "alpha"][..], "alpha restarted: the connector, not its tasks; --tasks restarts them, too\n"),
        (&["restart", "beta", "--tasks", "--only-failed"], "beta restarted: task 0\n"),
        (
            &["restart", "gamma", "--only-failed"],
            "gamma unchanged: its own part is not FAILED; --tasks looks at its tasks, too\n",
        ),
        (&["restart", "alpha", "--task", "3"], "alpha restarted: task 3\n"),
    ] {
        let run = ctl(&server.uri(), arguments).run().await;
        assert_eq!((run.code, run.out.as_str()), (0, expected), "{run:?}");
    }
    let requests = server.received_requests().await.unwrap_or_default();
    let query = requests.iter().find(|r| r.url.path() == "/connectors/beta/restart").and_then(|r| r.url.query());
    assert_eq!(query, Some("includeTasks=true&onlyFailed=true"));
    assert_eq!(ctl(&server.uri(), &["restart", "alpha", "--task", "3", "--tasks"]).run().await.code, 2);
}

#[tokio::test]
async fn names_are_percent_encoded() {
    let server = MockServer::start().await;
    // What could be a pattern is looked up.
    answer(&server, "GET", "/connectors", 200, json!(["a;b?c#d%e"])).await;
    for (name, path) in [
        ("a b", "/connectors/a%20b/pause"),
        ("a/b", "/connectors/a%2Fb/pause"),
        ("größe ☂", "/connectors/gr%C3%B6%C3%9Fe%20%E2%98%82/pause"),
        ("a;b?c#d%e", "/connectors/a%3Bb%3Fc%23d%25e/pause"),
    ] {
        answer(&server, "PUT", path, 202, json!(null)).await;
        let run = ctl(&server.uri(), &["pause", name]).run().await;
        assert_eq!((run.code, run.out), (0, format!("{name} paused\n")), "{path}: {}", run.err);
    }
}

#[tokio::test]
async fn the_address_may_have_a_path_and_a_password() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/gate/connectors", 200, json!([])).await;
    let url = server.uri().replace("http://", "http://me:p%40ss@") + "/gate/";
    let run = support::bare(&["list", "-o", "json"]).env("CONNECT_URL", &url).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "[]\n"), "{run:?}");
    assert!(!run.err.contains("p%40ss"), "{run:?}");
    let requests = server.received_requests().await.unwrap_or_default();
    assert_eq!(requests[0].headers.get("authorization").and_then(|h| h.to_str().ok()), Some("Basic bWU6cEBzcw=="));
    assert_eq!(bodies(&server, "GET", "/gate/connectors").await.len(), 1);
}

#[tokio::test]
async fn connectors_and_files_are_tried_out_and_a_failure_is_an_exit_code() {
    let report = |name: &str, result: &str| {
        json!({ "name": name, "plugin": "file-sink", "type": "sink", "passed": result == "passed",
            "stages": [{ "stage": "connect", "of": "file-sink", "result": result, "took_ms": 1, "message": "why" }],
            "records": [] })
    };
    let server = MockServer::start().await;
    answer(&server, "POST", "/connectors/alpha/test", 200, report("alpha", "passed")).await;
    let missing = json!({ "error_code": 404, "message": "Connector alpa not found" });
    answer(&server, "POST", "/connectors/alpa/test", 404, missing).await;
    answer(&server, "GET", "/connectors", 200, json!(["alpha"])).await;
    answer(&server, "PUT", "/connector-plugins/file-sink/config/test", 200, report("new", "failed")).await;

    let run = ctl(&server.uri(), &["test", "alpha", "-n", "3", "--for", "7"]).run().await;
    let expected = "alpha (sink, file-sink)\n  connect   passed       file-sink\n      why\n";
    assert_eq!((run.code, run.out.as_str()), (0, expected), "{run:?}");
    let asked = server.received_requests().await.expect("requests");
    assert_eq!(asked[0].url.query(), Some("records=3&timeout=7"));

    let run = ctl(&server.uri(), &["test", "alpa"]).run().await;
    assert!(run.code == 1 && run.err.contains("connector alpa not found; did you mean alpha?"), "{run:?}");

    let both = ctl(&server.uri(), &["test", "al*", "alpha", "-o", "name"]).run().await;
    assert_eq!((both.code, both.out.as_str()), (0, "alpha\n"), "{both:?}");

    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, "name: new\nconnector.class: file-sink\ntopics: t\n").expect("file");
    let run = ctl(&server.uri(), &["test", &file.to_string_lossy(), "-o", "json"]).run().await;
    assert_eq!((run.code, &run.json()[0]["passed"]), (1, &json!(false)), "{run:?}");
    let asked = server.received_requests().await.expect("requests");
    let body: serde_json::Value = asked.last().expect("a request").body_json().expect("JSON");
    assert_eq!(body, json!({ "name": "new", "connector.class": "file-sink", "topics": "t" }));
    std::fs::write(&file, "name: new\ntopics: [\n").expect("file");
    let run = ctl(&server.uri(), &["test", &file.to_string_lossy()]).run().await;
    assert!(run.code == 1 && run.err.contains("c.yaml:"), "{run:?}");
}

#[tokio::test]
async fn every_format_is_there() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["status", "-o", "name"]).run().await;
    assert_eq!(run.out, "alpha\nbeta\ngamma\n");
    let run = ctl(&server.uri(), &["list", "-o", "wide"]).env("COLUMNS", "40").run().await;
    let expected = "\
NAME   TYPE     STATE    TASKS  CLASS      TOPICS  VERSION  WORKER
alpha  sink     RUNNING  1/1    file-sink  a       -        w:8083
beta   sink     RUNNING  0/1    file-sink  a       -        w:8083
gamma  unknown  UNKNOWN  0/0               -       -        -
";
    assert_eq!(run.out, expected);
}

#[tokio::test]
async fn patterns_and_expressions_name_several() {
    let server = worker().await;
    for name in ["alpha", "beta"] {
        answer(&server, "PUT", &format!("/connectors/{name}/pause"), 202, json!(null)).await;
    }
    let run = ctl(&server.uri(), &["pause", "al*", "/^b.t/", "alpha"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "alpha paused\nbeta paused\n"), "{run:?}");
    let run = ctl(&server.uri(), &["pause", "z*"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert_eq!(run.err, "connectctl: no connector matches z*; connectctl list shows those that exist\n");
    assert_eq!(ctl(&server.uri(), &["status", "/(/"]).run().await.code, 2);
    let run = ctl(&server.uri(), &["list", "*a", "-o", "name"]).run().await;
    assert_eq!(run.out, "alpha\nbeta\ngamma\n");
    let run = ctl(&server.uri(), &["list", "alhpa"]).run().await;
    assert!(run.code == 1 && run.err.contains("did you mean alpha?"), "{run:?}");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_finds_what_is_missing() {
    let server = worker().await;
    for (verb, done) in [
        ("pause", "paused"),
        ("resume", "resumed"),
        ("stop", "stopped"),
        ("restart", "restarted"),
        ("delete", "deleted"),
    ] {
        let run = ctl(&server.uri(), &[verb, "alpha", "alhpa", "--dry-run"]).run().await;
        assert_eq!((run.code, run.out), (1, format!("alpha would be {done}\n")));
        assert!(run.err.contains("connector alhpa not found; did you mean alpha?"), "{}", run.err);
        let run = ctl(&server.uri(), &[verb, "alpha", "--dry-run", "-o", "json"]).run().await;
        assert_eq!(run.json(), json!([{ "name": "alpha", "result": done, "dry_run": true }]));
    }
    let requests = server.received_requests().await.unwrap_or_default();
    assert!(requests.iter().all(|r| r.method.as_str() == "GET"), "{requests:?}");
}

#[tokio::test]
async fn what_destroys_wants_to_be_confirmed() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["delete", "alpha", "beta"]).stdin("y\n").run().await;
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert_eq!(
        run.err,
        "connectctl: there is no terminal to ask whether to delete connectors alpha, beta; say --yes\n"
    );
}

#[tokio::test]
async fn waiting_ends_when_it_has_come_to_pass_or_cannot() {
    let server = MockServer::start().await;
    answer(&server, "PUT", "/connectors/c/resume", 202, json!(null)).await;
    let state = |own: &str, task: &str| wiremock::ResponseTemplate::new(200).set_body_json(status("c", own, task));
    let asked = || wiremock::Mock::given(wiremock::matchers::path("/connectors/c/status"));
    asked().respond_with(state("PAUSED", "PAUSED")).up_to_n_times(2).mount(&server).await;
    asked().respond_with(state("RUNNING", "UNASSIGNED")).up_to_n_times(1).mount(&server).await;
    asked().respond_with(state("RUNNING", "RUNNING")).mount(&server).await;
    let run = ctl(&server.uri(), &["resume", "c", "--wait"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "c resumed\n"), "{run:?}");
    let expected =
        "c: PAUSED, 0 of 1 tasks running\nc: RUNNING, 0 of 1 tasks running\nc: RUNNING, 1 of 1 tasks running\n";
    assert_eq!(run.err, expected);

    let server = MockServer::start().await;
    answer(&server, "PUT", "/connectors/c/resume", 202, json!(null)).await;
    answer(&server, "PUT", "/connectors/c/pause", 202, json!(null)).await;
    answer(&server, "GET", "/connectors/c/status", 200, status("c", "RUNNING", "FAILED")).await;
    let run = ctl(&server.uri(), &["resume", "c", "--wait"]).run().await;
    assert!(
        run.code == 1 && run.err.contains("c FAILED: writing 2 points: timed out; connectctl status c says more"),
        "{run:?}"
    );
    let run = ctl(&server.uri(), &["pause", "c", "--wait", "--wait-timeout", "0.5"]).run().await;
    assert!(run.code == 5 && run.err.contains("after 0.5 s c is RUNNING, 0 of 1 tasks running"), "{run:?}");
}

#[tokio::test]
async fn what_failed_is_told_beside_what_was_waited_for_in_vain() {
    let server = MockServer::start().await;
    for (name, task) in [("slow", "UNASSIGNED"), ("wrong", "FAILED")] {
        answer(&server, "PUT", &format!("/connectors/{name}/resume"), 202, json!(null)).await;
        answer(&server, "GET", &format!("/connectors/{name}/status"), 200, status(name, "RUNNING", task)).await;
    }
    // Both that have been FAILED for long, and those that have just become so.
    for limit in ["5", "0.5"] {
        let run = ctl(&server.uri(), &["resume", "slow", "wrong", "--wait", "--wait-timeout", limit]).run().await;
        assert_eq!(run.code, 5, "{run:?}");
        let last = run.err.lines().last().unwrap_or_default();
        assert!(last.contains(&format!("after {limit} s slow is RUNNING, 0 of 1 tasks running")), "{run:?}");
        assert!(last.contains("wrong") && last.contains(": writing 2 points: timed out; connectctl status"), "{run:?}");
    }
}

#[tokio::test]
async fn settings_of_several_are_shown_of_those_that_have_them() {
    let server = worker().await;
    let config = |more: serde_json::Value| {
        let mut known = info("gamma");
        known["config"] = more;
        known
    };
    answer(&server, "GET", "/connectors/gamma", 200, config(json!({ "name": "gamma", "topic": "b" }))).await;
    let run = ctl(&server.uri(), &["get", "/a/", "file"]).run().await;
    let table = "NAME   KEY   VALUE\nalpha  file  /tmp/x\nbeta   file  /tmp/x\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, table, "connectctl: gamma has no setting file\n"));
    let run = ctl(&server.uri(), &["get", "*", "file", "topic", "-o", "json"]).run().await;
    let keys: Vec<usize> =
        run.json().as_array().expect("a list").iter().map(|e| e["config"].as_object().map_or(0, |c| c.len())).collect();
    assert_eq!((run.code, keys), (1, vec![1, 1, 1]), "{run:?}");
    let told = "connectctl: alpha, beta have no setting topic\nconnectctl: gamma has no setting file\n";
    assert_eq!(run.err, told);
    let run = ctl(&server.uri(), &["get", "*a", "flie"]).run().await;
    let told = "connectctl: alpha, beta, gamma have no setting flie; did you mean file?\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, "", told));
    // Where only one has it, it is told which.
    let run = ctl(&server.uri(), &["get", "*", "topic"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, "NAME   KEY    VALUE\ngamma  topic  b\n"));
    let run = ctl(&server.uri(), &["get", "gamma", "tpoic"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, "connectctl: gamma has no setting tpoic; did you mean topic?\n"));
}

#[tokio::test]
async fn watching_goes_on_until_a_state_of_fail_on_comes() {
    let server = MockServer::start().await;
    let state = |task: &str| wiremock::ResponseTemplate::new(200).set_body_json(status("c", "RUNNING", task));
    let asked = || wiremock::Mock::given(wiremock::matchers::path("/connectors/c/status"));
    asked().respond_with(state("RUNNING")).up_to_n_times(1).mount(&server).await;
    let busy = wiremock::ResponseTemplate::new(502).set_body_string("Bad Gateway");
    asked().respond_with(busy).up_to_n_times(1).mount(&server).await;
    asked().respond_with(state("FAILED")).mount(&server).await;
    answer(&server, "GET", "/connectors/c", 200, info("c")).await;
    let run = ctl(&server.uri(), &["status", "c", "--watch=0.05", "--fail-on", "FAILED"]).run().await;
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.out.contains("task 0: RUNNING") && run.out.contains("task 0: FAILED"), "{run:?}");
    assert!(run.err.contains("a proxy answered 502"), "{run:?}");
    assert!(!run.out.contains('\u{1b}'), "no screen is cleared in a pipe: {run:?}");
}

#[tokio::test]
async fn watching_is_written_in_several_ways() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/connectors/c/status", 200, status("c", "RUNNING", "FAILED")).await;
    answer(&server, "GET", "/connectors/c", 200, info("c")).await;
    answer(&server, "GET", "/connectors", 200, json!(["c"])).await;
    answer(&server, "GET", "/connectors/5/status", 404, error(404, "No status found for connector 5")).await;
    for written in ["-w", "-w1", "-w=1", "-w0.5", "--watch", "--watch=1"] {
        for arguments in [["status", "c", written], ["status", written, "c"]] {
            let run = ctl(&server.uri(), &[&arguments[..], &["--fail-on", "FAILED"]].concat()).run().await;
            assert_eq!((run.code, run.err.as_str()), (4, ""), "{arguments:?} {run:?}");
        }
    }
    let remark = "5 behind --watch and a blank is a name; for every 5 seconds write --watch=5\n";
    for written in ["-w", "--watch"] {
        let run = ctl(&server.uri(), &["status", written, "5"]).run().await;
        assert!(run.code == 1 && run.err.contains("connector 5 not found") && run.err.ends_with(remark), "{run:?}");
        let run = ctl(&server.uri(), &["info", written, "5"]).run().await;
        assert!(run.code == 2 && run.err.starts_with(remark), "{run:?}");
    }
    let run = ctl(&server.uri(), &["status", "-w5s"]).run().await;
    assert!(run.code == 2 && run.err.contains("expected a number of seconds"), "{run:?}");
}

#[tokio::test]
async fn a_restart_that_is_tried_out_tells_what_there_is_to_restart() {
    let server = worker().await;
    for (arguments, code, out, err) in [
        (
            &["alpha", "beta", "--only-failed", "--tasks"][..],
            0,
            "alpha unchanged: nothing of it is FAILED\nbeta would be restarted: task 0\n",
            "",
        ),
        (
            &["beta", "--only-failed"],
            0,
            "beta unchanged: its own part is not FAILED; --tasks looks at its tasks, too\n",
            "",
        ),
        (&["alpha", "--task", "0"], 0, "alpha would be restarted: task 0\n", ""),
        (&["alpha", "--task", "9"], 1, "", "connectctl: alpha has no task 9; its only one is 0\n"),
        (&["alhpa", "--only-failed"], 1, "", "connectctl: connector alhpa not found; did you mean alpha?\n"),
    ] {
        let run = ctl(&server.uri(), &[&["restart", "--dry-run"], arguments].concat()).run().await;
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (code, out, err), "{arguments:?}");
    }
    let requests = server.received_requests().await.unwrap_or_default();
    assert!(requests.iter().all(|r| r.method.as_str() == "GET"), "{requests:?}");
}

#[tokio::test]
async fn logs_are_only_advised_where_the_worker_keeps_them() {
    let empty = || {
        let mut status = status("c", "RUNNING", "RUNNING");
        status["tasks"] = json!([]);
        status
    };
    for (keeps, advice) in [(true, "connectctl logs c may say why"), (false, "the worker's own log file may say why")] {
        let server = MockServer::start().await;
        answer(&server, "GET", "/connectors/c/status", 200, empty()).await;
        answer(&server, "GET", "/connectors/c", 200, info("c")).await;
        answer(&server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": null })).await;
        let about = json!({ "version": "0.1.0", "worker_id": "w:8083", "mode": "standalone", "bootstrap_servers": "h:1",
            "security_protocol": "PLAINTEXT" });
        if keeps {
            answer(&server, "GET", "/worker", 200, about).await;
        } else {
            answer(&server, "GET", "/worker", 404, error(404, "HTTP 404 Not Found")).await;
        }
        for command in ["status", "describe"] {
            let run = ctl(&server.uri(), &[command, "c"]).run().await;
            assert!(run.code == 0 && run.out.contains(advice), "{run:?}");
        }
    }
}

#[tokio::test]
async fn a_metric_that_is_not_there_is_a_failure_however_it_is_written() {
    let server = worker().await;
    let page = wiremock::ResponseTemplate::new(200)
        .set_body_raw("# TYPE up gauge\nup 1\nrecords_total{connector=\"alpha\"} 3\n", "text/plain");
    wiremock::Mock::given(wiremock::matchers::path("/metrics")).respond_with(page).mount(&server).await;
    for (metric, said) in [
        ("nosuch", "metric nosuch not found; connectctl metrics lists them"),
        ("record_total", "metric record_total not found; did you mean records_total?"),
        ("*nosuch*", "no metric matches *nosuch*; connectctl metrics lists them"),
    ] {
        let run = ctl(&server.uri(), &["metrics", "-m", metric]).run().await;
        assert_eq!((run.code, run.out.as_str(), run.err), (1, "", format!("connectctl: {said}\n")));
    }
    assert_eq!(ctl(&server.uri(), &["metrics", "-m", "up", "-o", "name"]).run().await.out, "up\n");
}
