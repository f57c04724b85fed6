//! Servers that are not there, not workers, slow or busy.

mod support;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{answer, bare, ctl, error, worker};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

/// A server that answers every connection with these bytes.
fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    address.to_string()
}

/// Every command that asks the worker for something.
const EVERY: &[&[&str]] = &[
    &["describe", "a"],
    &["top"],
    &["metrics"],
    &["logs", "a"],
    &["init", "x"],
    &["get", "a"],
    &["set", "a", "b=c"],
    &["edit", "a"],
    &["export"],
    &["resume", "a"],
    &["stop", "a*"],
    &["restart", "a"],
    &["delete", "a", "-y"],
    &["offsets", "show", "a"],
    &["offsets", "set", "a", "t:0=1", "-y"],
    &["offsets", "reset", "a", "-y"],
    &["topics", "used"],
    &["topics", "forget", "a", "-y"],
    &["loggers", "show"],
    &["loggers", "set", "root", "INFO"],
    &["info"],
    &["plugins", "x"],
    &["create", "influxdb-sink", "--influxdb", "http://h", "t"],
];

#[tokio::test]
async fn a_dead_port_gets_one_plain_sentence() {
    let port = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port();
    let url = format!("http://127.0.0.1:{port}");
    for arguments in
        [&["status"][..], &["list"], &["pause", "a", "b"], &["status", "a", "b"], &["plugins"]].iter().chain(EVERY)
    {
        let run = ctl(&url, arguments).env("EDITOR", "true").run().await;
        let expected = format!(
            "connectctl: cannot reach a Kafka Connect worker at {url}: connection refused; is it running? set --url or CONNECT_URL\n"
        );
        assert_eq!((run.code, run.err, run.out.is_empty() || run.out == "[]\n"), (3, expected, true), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let run = ctl("http://no-such-host.invalid:8083", &["list"]).run().await;
    assert_eq!(run.code, 3);
    assert!(run.err.contains("its host name is not known"), "{}", run.err);
}

#[tokio::test]
async fn servers_that_speak_no_http_are_recognized() {
    for bytes in [&b""[..], b"SSH-2.0-OpenSSH_9\r\n", b"\x00\x00\x00\x04abcd"] {
        let run = ctl(&format!("http://{}", raw_server(bytes)), &["list"]).run().await;
        assert_eq!(run.code, 3);
        assert!(run.err.contains("does not answer in HTTP"), "{}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    }
}

#[tokio::test]
async fn tls_to_a_plain_server_is_recognized() {
    let address = raw_server(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let run = ctl(&format!("https://{address}"), &["list"]).run().await;
    assert_eq!(run.code, 3);
    assert!(run.err.contains(&format!("it does not speak TLS; try http://{address}")), "{}", run.err);
}

#[tokio::test]
async fn other_web_servers_are_recognized() {
    let server = MockServer::start().await;
    let html = ResponseTemplate::new(404).set_body_raw("<html><h1>Not Found</h1></html>", "text/html");
    Mock::given(matchers::any()).respond_with(html).mount(&server).await;
    for arguments in [&["list"][..], &["status", "a"], &["plugins"]].iter().chain(EVERY) {
        let run = ctl(&server.uri(), arguments).env("EDITOR", "true").run().await;
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.err.contains("no Kafka Connect worker at") && run.err.contains("404 Not Found"), "{}", run.err);
        assert!(!run.err.contains('<') && run.err.lines().count() == 1, "{}", run.err);
    }
}

#[tokio::test]
async fn a_slow_server_is_given_up_after_the_timeout() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_body_json(json!([])).set_delay(Duration::from_secs(30));
    Mock::given(matchers::any()).respond_with(slow).mount(&server).await;
    let begin = Instant::now();
    let run = ctl(&server.uri(), &["list", "--timeout", "0.3"]).run().await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(run.code, 3);
    assert!(run.err.contains("no answer within 0.3 s; is it overloaded? raise --timeout"), "{}", run.err);
}

#[tokio::test]
async fn requests_wait_for_a_rebalance_to_end() {
    let server = worker().await;
    let stale = error(409, "Cannot complete request momentarily due to stale configuration");
    Mock::given(matchers::path("/connectors/alpha/restart"))
        .respond_with(ResponseTemplate::new(409).set_body_bytes(stale.to_string()))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    answer(&server, "POST", "/connectors/alpha/restart", 204, json!(null)).await;
    assert_eq!(ctl(&server.uri(), &["restart", "alpha"]).run().await.code, 0);
    let expected = error(500, "Request cannot be completed because a rebalance is expected");
    Mock::given(matchers::path("/connectors/delta/status"))
        .respond_with(ResponseTemplate::new(500).set_body_bytes(expected.to_string()))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors/delta/status", 200, support::status("delta", "RUNNING", "RUNNING")).await;
    assert_eq!(ctl(&server.uri(), &["status", "delta"]).run().await.code, 0);
}

#[tokio::test]
async fn a_refusal_that_lasts_is_told_with_the_workers_words() {
    let server = worker().await;
    let busy =
        "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.";
    answer(&server, "PUT", "/connectors/alpha/stop", 409, error(409, busy)).await;
    let run = ctl(&server.uri(), &["stop", "alpha", "--timeout", "1"]).run().await;
    assert_eq!((run.code, run.err), (1, format!("connectctl: alpha: {busy} (HTTP 409)\n")));
}

#[tokio::test]
async fn a_missing_connector_gets_the_nearest_name() {
    let server = worker().await;
    let run = ctl(&server.uri(), &["status", "alhpa"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert_eq!(run.err, "connectctl: connector alhpa not found; did you mean alpha?\n");
    let run = ctl(&server.uri(), &["status", "gamma"]).run().await;
    assert_eq!(run.err, "connectctl: connector gamma has no status yet; try again in a moment\n");
    answer(&server, "DELETE", "/connectors/zzz", 404, error(404, "Connector zzz not found")).await;
    let run = ctl(&server.uri(), &["delete", "-y", "zzz"]).run().await;
    assert_eq!(run.err, "connectctl: connector zzz not found; connectctl list shows those that exist\n");
}

#[tokio::test]
async fn wrong_usage_has_its_own_exit_code() {
    for arguments in [
        &["fly"][..],
        &["pause"],
        &["apply"],
        &["status", ""],
        &["status", "-o", "xml"],
        &["--url", "ftp://h", "list"],
        &["--timeout", "0", "list"],
    ] {
        assert_eq!(bare(arguments).run().await.code, 2, "{arguments:?}");
    }
    // What the environment says is no part of what has to be written.
    let run = bare(&["pause"]).env("CONNECT_URL", "http://h").env("BOOTSTRAP_SERVERS", "h:1").run().await;
    assert!(run.code == 2 && run.err.contains("Usage: connectctl pause"), "{run:?}");
    assert!(!run.err.contains("--url") && !run.err.contains("--bootstrap-servers"), "{run:?}");
    let near = bare(&["statsu"]).run().await;
    assert!(near.err.contains("'status'"), "{near:?}");
    let help = bare(&["--help"]).run().await;
    assert!(help.code == 0 && help.out.contains("Exit codes:"), "{help:?}");
}

#[tokio::test]
async fn a_worker_that_is_starting_is_told_from_one_without_connectors() {
    let server = MockServer::start().await;
    let message = "Worker is still starting up. The worker is currently awaiting startup.";
    let health = ResponseTemplate::new(503).set_body_json(json!({ "status": "starting", "message": message }));
    Mock::given(matchers::path("/health")).respond_with(health).mount(&server).await;
    Mock::given(matchers::path("/connectors"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    let missing = json!({ "error_code": 404, "message": "HTTP 404 Not Found" });
    Mock::given(matchers::any()).respond_with(ResponseTemplate::new(404).set_body_json(missing)).mount(&server).await;
    for arguments in [&["list"][..], &["status", "a"], &["delete", "-y", "a"], &["plugins"]] {
        let run = ctl(&server.uri(), arguments).env("EDITOR", "true").run().await;
        assert_eq!(run.code, 3, "{arguments:?}: {run:?}");
        assert!(run.err.contains("is not ready yet: Worker is still starting up."), "{arguments:?}: {}", run.err);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_gets_one_plain_sentence() {
    let run = ctl("http://127.0.0.1:1", &["apply", "-f", "/nonexistent"]).run().await;
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.lines().any(|l| l.ends_with("/nonexistent: there is no such file or folder")), "{}", run.err);
    assert!(!run.err.contains("ending"), "{}", run.err);
}
