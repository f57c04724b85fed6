//! `doctor` of a worker that is played by a mock server, and where there is none: texts, levels, exit codes.

mod support;

use std::net::TcpListener;

use serde_json::{Value, json};
use support::{answer, bare, ctl, info, status, worker};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

/// Adds what a worker of Kafka Connect says of itself.
async fn introduced(server: &MockServer) {
    answer(server, "GET", "/worker", 404, Value::Null).await;
    answer(server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": "id" })).await;
    answer(server, "GET", "/health", 200, json!({ "status": "healthy", "message": "fine" })).await;
}

/// A worker whose only connector runs.
async fn well() -> MockServer {
    let server = MockServer::start().await;
    introduced(&server).await;
    let all = json!({ "alpha": { "status": status("alpha", "RUNNING", "RUNNING"), "info": info("alpha") } });
    Mock::given(matchers::path("/connectors"))
        .and(matchers::query_param("expand", "status"))
        .respond_with(ResponseTemplate::new(200).set_body_json(all))
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors", 200, json!(["alpha"])).await;
    server
}

fn dead() -> String {
    let port = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port();
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_worker_that_is_well_gets_ok() {
    let server = well().await;
    let run = ctl(&server.uri(), &["doctor", "--quick"]).run().await;
    let expected = format!(
        "\
worker        ok    Kafka Connect 4.1.0 at {}
connectors    ok    1 connector, 1 of 1 tasks running
lag           -     not known of alpha: --quick does not ask Kafka
clock         ok    the worker's clock agrees with this one
disk          -     workers of Kafka Connect do not tell of their disks
",
        server.uri()
    );
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, expected.as_str(), ""));
    let run = ctl(&server.uri(), &["doctor", "--quick", "-o", "name"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    let run = ctl(&server.uri(), &["doctor", "--only", "clock,worker", "-o", "json"]).run().await;
    let checks: Vec<Value> =
        run.json()["findings"].as_array().expect("list").iter().map(|f| f["check"].clone()).collect();
    assert_eq!((run.code, checks), (0, vec![json!("worker"), json!("clock")]));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said_with_the_way_out() {
    let server = well().await;
    let run = ctl(&server.uri(), &["doctor", "--skip", "clock,disk"]).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    for part in [
        "kafka         -     it is not known where Kafka is: the worker at ",
        "→ name its brokers with --bootstrap-servers HOST:PORT",
        "topics        -     it is not known where Kafka is\n",
        "lag           -     not known of alpha: it is not known where Kafka is\n",
        "registry      -     it is not known where the schema registry is: the worker at ",
        "→ name it with --registry URL",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
}

#[tokio::test]
async fn failures_are_told_and_end_with_their_codes() {
    let server = worker().await;
    introduced(&server).await;
    let run = ctl(&server.uri(), &["doctor", "--only", "connectors"]).env("COLUMNS", "200").run().await;
    let expected = "\
connectors    fail  beta: its task is FAILED: writing 2 points: timed out
                    → mend what the error says, then connectctl restart beta --tasks --only-failed
connectors    warn  gamma has no status yet
                    → if it stays so: connectctl info shows whether a worker is up and ready
";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (4, expected, ""));
    let run = ctl(&server.uri(), &["doctor", "--only", "connectors"]).env("COLUMNS", "60").run().await;
    assert!(run.out.lines().all(|l| l.chars().count() <= 60), "{}", run.out);
    assert_eq!(ctl(&server.uri(), &["doctor", "--only", "clock"]).run().await.code, 0);
    let run = ctl(&server.uri(), &["doctor", "--only", "connectors", "--nagios"]).run().await;
    let expected = "CONNECT CRITICAL - connectors: beta: its task is FAILED: writing 2 points: timed out; connectors: gamma has \
                    no status yet | connectors=3 connectors_failed=0 tasks=2 tasks_failed=1\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (2, expected, ""));
}

#[tokio::test]
async fn a_warning_counts_only_where_it_is_asked_for() {
    let server = MockServer::start().await;
    introduced(&server).await;
    answer(&server, "GET", "/connectors", 200, json!([])).await;
    answer(&server, "GET", "/health", 200, json!({ "status": "healthy", "message": "fine" })).await;
    let late = ResponseTemplate::new(200)
        .insert_header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .set_body_json(json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": "id" }));
    Mock::given(matchers::path("/")).respond_with(late).with_priority(1).mount(&server).await;
    let run = ctl(&server.uri(), &["doctor", "--quick"]).run().await;
    assert!(run.code == 4 && run.out.contains("clock         fail  the worker's clock is at least "), "{run:?}");

    let starting = MockServer::start().await;
    answer(&starting, "GET", "/worker", 404, Value::Null).await;
    answer(&starting, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": null })).await;
    answer(&starting, "GET", "/health", 503, json!({ "status": "starting", "message": "reading" })).await;
    for (more, code) in [(&[][..], 0), (&["--fail-on", "warn"], 4), (&["--nagios"], 1)] {
        let run = ctl(&starting.uri(), &[&["doctor", "--quick"], more].concat()).run().await;
        assert!(run.code == code && run.out.contains("is starting: reading"), "{more:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_worker_that_is_away_fails_and_the_rest_is_left_out() {
    let url = dead();
    let run = ctl(&url, &["doctor"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (4, ""));
    let first = format!("worker        fail  cannot reach a Kafka Connect worker at {url}: connection refused\n");
    assert!(run.out.starts_with(&first), "{}", run.out);
    for check in ["connectors", "lag", "dead-letters", "clock", "disk"] {
        let line = format!("{check:<14}-     the worker does not answer\n");
        assert!(run.out.contains(&line), "{check}: {}", run.out);
    }
    let run = ctl(&url, &["doctor", "--nagios"]).run().await;
    let expected =
        format!("CONNECT CRITICAL - worker: cannot reach a Kafka Connect worker at {url}: connection refused\n");
    assert_eq!((run.code, run.out), (2, expected));
    // Other servers are no workers.
    let other = MockServer::start().await;
    let run = ctl(&other.uri(), &["doctor", "--quick"]).run().await;
    assert!(run.code == 4 && run.out.contains("no Kafka Connect worker at"), "{run:?}");
}

#[tokio::test]
async fn a_plugin_that_is_called_wrongly_does_not_say_critical() {
    let run = bare(&["doctor", "--nagios", "--nonsense"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (3, ""));
    assert!(run.out.starts_with("CONNECT UNKNOWN - error: unexpected argument '--nonsense'"), "{}", run.out);
    let run = bare(&["--context", "nowhere", "doctor", "--nagios"]).run().await;
    assert!(run.code == 3 && run.out.starts_with("CONNECT UNKNOWN - /nonexistent/config.yaml has no"), "{run:?}");
    assert_eq!(bare(&["doctor", "--nonsense"]).run().await.code, 2);
}

#[tokio::test]
async fn a_dead_kafka_does_not_take_longer_than_the_timeout() {
    let server = well().await;
    let begin = std::time::Instant::now();
    let all = ["doctor", "--timeout", "2", "--bootstrap-servers", "127.0.0.1:9", "--registry", "127.0.0.1:9"];
    let run = ctl(&server.uri(), &all).run().await;
    assert!(begin.elapsed().as_secs() < 8, "{:?}", begin.elapsed());
    assert_eq!(run.code, 4, "{run:?}");
    for part in [
        "kafka         fail  ",
        "127.0.0.1:9 (from --bootstrap-servers",
        "topics        -     Kafka does not answer",
        "lag           warn  not known of alpha: Kafka does not answer",
        "registry      fail  ",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
}

#[tokio::test]
async fn a_lag_that_was_told_before_kafka_went_away_is_not_believed() {
    let server = MockServer::start().await;
    introduced(&server).await;
    let mut stale = status("alpha", "RUNNING", "RUNNING");
    stale["tasks"][0]["detail"] = json!({ "records_in": 7, "records_out": 7, "records_bad": 0, "lag": 0 });
    let all = json!({ "alpha": { "status": stale, "info": info("alpha") } });
    Mock::given(matchers::path("/connectors"))
        .and(matchers::query_param("expand", "status"))
        .respond_with(ResponseTemplate::new(200).set_body_json(all))
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors", 200, json!(["alpha"])).await;
    let only = ["doctor", "--only", "lag", "--timeout", "1"];
    let run = ctl(&server.uri(), &only).env("BOOTSTRAP_SERVERS", "127.0.0.1:9").run().await;
    let expected = "lag           warn  not known of alpha: Kafka does not answer\n";
    assert_eq!((run.code, run.out.as_str()), (0, expected), "{run:?}");
    // What nobody asks Kafka for is as the worker tells it.
    let run = ctl(&server.uri(), &["doctor", "--quick", "--skip", "worker,connectors,clock,disk"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "lag           ok    alpha has written everything\n"), "{run:?}");
}

#[tokio::test]
async fn a_worker_that_hangs_is_waited_for_once_and_kafka_is_looked_at_all_the_same() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_body_json(json!([])).set_delay(std::time::Duration::from_secs(30));
    Mock::given(matchers::any()).respond_with(slow).mount(&server).await;
    let begin = std::time::Instant::now();
    let run = ctl(&server.uri(), &["doctor", "--timeout", "1"]).run().await;
    assert!(begin.elapsed().as_secs_f64() < 2.5, "{:?}", begin.elapsed());
    assert!(run.code == 4 && run.out.contains("no answer within 1 s"), "{run:?}");
    assert!(
        run.out.contains("kafka         -     it is not known where Kafka is: the worker does not answer\n"),
        "{run:?}"
    );
    let named = ["doctor", "--timeout", "1", "--bootstrap-servers", "127.0.0.1:9"];
    let run = ctl(&server.uri(), &named).run().await;
    assert!(run.code == 4 && run.out.contains("kafka         fail  "), "{run:?}");
}

#[tokio::test]
async fn another_server_is_no_registry() {
    let server = well().await;
    // As a worker of Kafka Connect answers what it does not know.
    let unknown = json!({ "error_code": 404, "message": "HTTP 404 Not Found" });
    for path in ["/config", "/mode", "/subjects"] {
        answer(&server, "GET", path, 404, unknown.clone()).await;
    }
    let url = server.uri();
    let run = ctl(&url, &["doctor", "--only", "registry", "--registry", &url]).run().await;
    let expected = format!(
        "registry      fail  listing the subjects: there is no schema registry at {url} (from --registry or SCHEMA_REGISTRY): \
         HTTP status 404 Not Found\n                    → name its base URL with --registry URL, SCHEMA_REGISTRY or connectctl \
         context set NAME schema.registry.url=URL\n"
    );
    assert_eq!((run.code, run.out, run.err.as_str()), (4, expected, ""));

    // Not every registry has modes and levels.
    let plain = MockServer::start().await;
    for path in ["/config", "/mode"] {
        answer(&plain, "GET", path, 404, unknown.clone()).await;
    }
    answer(&plain, "GET", "/subjects", 200, json!([])).await;
    let run = ctl(&url, &["doctor", "--only", "registry", "--registry", &plain.uri()]).run().await;
    assert_eq!((run.code, run.out), (0, format!("registry      ok    {}\n", plain.uri())));

    // What is no answer of a registry at all is told with its address, too.
    let run = ctl(&url, &["doctor", "--only", "registry", "--registry", &format!("{url}/else")]).run().await;
    assert!(
        run.code == 4 && run.out.contains(&format!("no schema registry at {url}/else (from --registry")),
        "{run:?}"
    );
}
