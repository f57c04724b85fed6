//! `connectctl logs` by the real program against a worker.

mod support;

use serde_json::{Value, json};
use support::{answer, ctl, error, worker};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param},
};

fn line(number: u64, level: &str, task: Option<u32>, message: &str) -> Value {
    let mut line = json!({ "number": number, "time": "2026-11-21T12:00:00Z", "level": level, "logger": "l",
        "message": message });
    if let Some(task) = task {
        line["task"] = task.into();
    }
    line
}

async fn lines(server: &MockServer, key: &str, value: &str, body: Value) {
    let response = ResponseTemplate::new(200).set_body_json(body);
    let asked = Mock::given(method("GET")).and(path("/connectors/alpha/logs")).and(query_param(key, value));
    asked.respond_with(response).up_to_n_times(1).mount(server).await;
}

#[tokio::test]
async fn logs_are_shown_as_they_were_asked_for() {
    let server = worker().await;
    let all = json!({ "lines": [line(3, "INFO", None, "up"), line(5, "ERROR", Some(1), "a\u{1b}[0m")], "last": 9,
        "missed": false });
    answer(&server, "GET", "/connectors/alpha/logs", 200, all).await;
    let run = ctl(&server.uri(), &["logs", "alpha", "-n", "7", "--level", "warn", "--task", "1"]).run().await;
    let expected = "2026-11-21T12:00:00Z INFO  up\n2026-11-21T12:00:00Z ERROR task 1: a\u{FFFD}[0m\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, expected, ""));
    let requests = server.received_requests().await.expect("requests");
    assert_eq!(requests[0].url.query(), Some("limit=7&level=WARN&task=1"));
    let run = ctl(&server.uri(), &["logs", "alpha", "-o", "json"]).run().await;
    assert_eq!(run.json()[1]["message"], "a\u{1b}[0m");
}

#[tokio::test]
async fn following_goes_on_behind_the_last_line_until_the_connector_is_gone() {
    let server = worker().await;
    lines(&server, "limit", "100", json!({ "lines": [line(3, "INFO", None, "one")], "last": 4, "missed": false }))
        .await;
    lines(&server, "since", "4", json!({ "lines": [line(9, "WARN", Some(0), "two")], "last": 9, "missed": true }))
        .await;
    answer(&server, "GET", "/connectors/alpha/logs", 404, error(404, "Connector alpha not found")).await;
    let run = ctl(&server.uri(), &["logs", "alpha", "-f", "-o", "json"]).run().await;
    let seen: Vec<Value> = run.out.lines().map(|l| serde_json::from_str(l).expect("an object a line")).collect();
    assert_eq!(seen, [line(3, "INFO", None, "one"), line(9, "WARN", Some(0), "two")]);
    assert!(run.code == 1 && run.err.contains("lines between these are gone"), "{run:?}");
    assert!(run.err.contains("Connector alpha not found"), "{run:?}");
}

#[tokio::test]
async fn connectors_that_are_not_there_and_workers_without_logs_are_told_apart() {
    let server = worker().await;
    answer(&server, "GET", "/connectors/alhpa/logs", 404, error(404, "Connector alhpa not found")).await;
    answer(&server, "GET", "/connectors/alpha/logs", 404, error(404, "HTTP 404 Not Found")).await;
    let run = ctl(&server.uri(), &["logs", "alhpa"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, "connectctl: connector alhpa not found; did you mean alpha?\n"));
    let run = ctl(&server.uri(), &["logs", "alpha"]).run().await;
    assert!(run.code == 1 && run.err.contains("keeps no log lines of connectors"), "{run:?}");
}

#[tokio::test]
async fn following_outlives_a_restart_of_the_worker() {
    let server = worker().await;
    lines(&server, "limit", "100", json!({ "lines": [line(9, "INFO", None, "one")], "last": 9, "missed": false }))
        .await;
    let away = ResponseTemplate::new(502).set_body_string("Bad Gateway");
    let asked = Mock::given(method("GET")).and(path("/connectors/alpha/logs"));
    asked.respond_with(away).up_to_n_times(2).mount(&server).await;
    lines(&server, "since", "9", json!({ "lines": [line(2, "INFO", None, "two")], "last": 2, "missed": false })).await;
    answer(&server, "GET", "/connectors/alpha/logs", 404, error(404, "Connector alpha not found")).await;
    let run = ctl(&server.uri(), &["logs", "alpha", "-f"]).run().await;
    assert_eq!(run.out, "2026-11-21T12:00:00Z INFO  one\n2026-11-21T12:00:00Z INFO  two\n");
    assert_eq!(run.err.matches("a proxy answered 502").count(), 1, "{run:?}");
    assert!(run.code == 1 && run.err.contains("Connector alpha not found"), "{run:?}");
}

#[tokio::test]
async fn lines_of_a_task_that_is_not_there_are_a_failure() {
    let server = worker().await;
    answer(&server, "GET", "/connectors/alpha/logs", 200, json!({ "lines": [], "last": 9, "missed": false })).await;
    let run = ctl(&server.uri(), &["logs", "alpha", "--task", "7"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, "connectctl: alpha has no task 7; its only one is 0\n"));
    let run = ctl(&server.uri(), &["logs", "alpha", "--task", "7", "-f"]).run().await;
    assert_eq!(run.code, 1, "{run:?}");
    let run = ctl(&server.uri(), &["logs", "alpha", "--task", "0"]).run().await;
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", ""));
}
