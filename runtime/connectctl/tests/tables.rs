//! Tables and pages as they are in narrow, ordinary and wide terminals, and what of them is nobody's business.

mod support;

use serde_json::{Value, json};
use support::{answer, bodies, ctl, error, info};
use wiremock::MockServer;

/// A worker of Tocsin with two sinks.
async fn plant() -> MockServer {
    let server = MockServer::start().await;
    let config = |name: &str| {
        json!({ "name": name, "connector.class": "influxdb-sink", "topics": "active-alarms,shelved-alarms",
            "influxdb.url": "http://influxdb:8086", "influxdb.password": "hush", "influxdb.token": "${env:TOKEN}",
            "webhook": "https://hush" })
    };
    let mut all = json!({});
    for (name, state) in [("influxdb-of-the-plant", "RUNNING"), ("slack", "FAILED")] {
        let mut status = support::status(name, "RUNNING", state);
        status["tasks"][0]["detail"] = json!({ "records_in": 1_204_567, "records_out": 1_204_000, "records_bad": 3,
            "rate_in": 1234.5, "rate_out": 0.25, "lag": 567, "last_record": "2026-11-21T11:59:57Z" });
        let mut known = info(name);
        known["config"] = config(name);
        answer(&server, "GET", &format!("/connectors/{name}"), 200, known.clone()).await;
        answer(&server, "GET", &format!("/connectors/{name}/status"), 200, status.clone()).await;
        all[name] = json!({ "status": status, "info": known });
    }
    answer(&server, "GET", "/connectors", 200, json!(["influxdb-of-the-plant", "slack"])).await;
    wiremock::Mock::given(wiremock::matchers::path("/connectors"))
        .and(wiremock::matchers::query_param("expand", "status"))
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_json(all))
        .with_priority(1)
        .mount(&server)
        .await;
    let key = |name: &str, kind: &str| {
        json!({ "name": name, "type": kind, "required": false, "default_value": null, "importance": "HIGH",
            "documentation": "What it is.", "group": "Server", "width": "SHORT", "display_name": name, "dependents": [],
            "order": 1 })
    };
    let keys = json!([key("influxdb.url", "STRING"), key("webhook", "PASSWORD")]);
    answer(&server, "GET", "/connector-plugins/influxdb-sink/config", 200, keys).await;
    server
}

async fn shown(server: &MockServer, arguments: &[&str], columns: &str) -> String {
    let run = ctl(&server.uri(), arguments).env("COLUMNS", columns).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    run.out
}

#[tokio::test]
async fn lists_lose_columns_that_do_not_fit() {
    let server = plant().await;
    let narrow = "\
NAME                   TYPE  STATE    TASKS  CLASS
influxdb-of-the-plant  sink  RUNNING  1/1    influxdb-sink
slack                  sink  RUNNING  0/1    influxdb-sink
";
    for columns in ["60", "100", "200"] {
        assert_eq!(shown(&server, &["list"], columns).await, narrow, "{columns}");
    }
    let expected = "\
NAME                   TYPE  STATE    TASKS
influxdb-of-the-plant  sink  RUNNING  1/1
slack                  sink  RUNNING  0/1
";
    assert_eq!(shown(&server, &["list"], "50").await, expected);
    let wide = "\
NAME                   TYPE  STATE    TASKS  CLASS          TOPICS                        VERSION  WORKER
influxdb-of-the-plant  sink  RUNNING  1/1    influxdb-sink  active-alarms,shelved-alarms  -        w:8083
slack                  sink  RUNNING  0/1    influxdb-sink  active-alarms,shelved-alarms  -        w:8083
";
    assert_eq!(shown(&server, &["list", "-o", "wide"], "60").await, wide);
}

#[tokio::test]
async fn top_has_what_matters_in_sixty_columns() {
    let server = plant().await;
    let narrow = "\
NAME                   STATE    TASKS  IN/S  OUT/S  LAG
influxdb-of-the-plant  RUNNING  1/1    1234    0.2  567
slack                  FAILED   0/1    1234    0.2    -
";
    assert_eq!(shown(&server, &["top"], "60").await, narrow);
    // How long ago the last record was changes from day to day.
    for (columns, title) in [("100", "OUT  BAD"), ("200", "OUT  BAD")] {
        let text = shown(&server, &["top"], columns).await;
        assert!(text.lines().next().is_some_and(|l| l.contains(title) && l.ends_with("LAST")), "{text}");
        assert!(text.contains("1204000    3"), "{text}");
    }
}

#[tokio::test]
async fn status_fits_every_terminal() {
    let server = plant().await;
    for columns in [60, 100, 200] {
        for arguments in [&["status"][..], &["status", "slack"], &["describe", "slack"], &["plugins", "influxdb-sink"]]
        {
            let text = shown(&server, arguments, &columns.to_string()).await;
            assert!(text.lines().all(|l| l.chars().count() <= columns), "{columns}: {text}");
        }
    }
    let text = shown(&server, &["status"], "60").await;
    let expected = "\
NAME                   TYPE  STATE    TASKS  LAG  BAD  RATE
influxdb-of-the-plant  sink  RUNNING  1/1
  task 0                     RUNNING         567    3   0.2
slack                  sink  RUNNING  0/1
  task 0                     FAILED          567    3   0.2
    writing 2 points: timed out
";
    assert_eq!(text, expected);
    let text = shown(&server, &["status", "slack"], "60").await;
    assert!(text.contains("  error         writing 2 points: timed out\n"), "{text}");
    assert!(
        text.contains("→ mend what the error says, then connectctl restart slack\n  --tasks --only-failed\n"),
        "{text}"
    );
}

#[tokio::test]
async fn secrets_are_hidden_where_people_look() {
    let server = plant().await;
    let table = shown(&server, &["get", "slack"], "100").await;
    let expected = "\
KEY                VALUE
connector.class    influxdb-sink
influxdb.password  [hidden]
influxdb.token     ${env:TOKEN}
influxdb.url       http://influxdb:8086
name               slack
topics             active-alarms,shelved-alarms
webhook            [hidden]
";
    assert_eq!(table, expected);
    assert_eq!(shown(&server, &["get", "slack", "webhook"], "80").await, "[hidden]\n");
    assert_eq!(shown(&server, &["get", "slack", "webhook", "--show-secrets"], "80").await, "https://hush\n");
    let both = shown(&server, &["get", "*", "influxdb.url"], "80").await;
    assert!(
        both.starts_with("NAME                   KEY           VALUE\ninfluxdb-of-the-plant  influxdb.url  http"),
        "{both}"
    );
    assert!(!shown(&server, &["describe", "slack"], "80").await.contains("hush"));

    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("c.yaml");
    let text = "name: slack\nconnector.class: influxdb-sink\ninfluxdb.password: other\nwebhook: https://new\n\
                influxdb.token: ${env:TOKEN}\ninfluxdb.url: http://influxdb:8086\ntopics: [active-alarms]\n";
    std::fs::write(&file, text).expect("file");
    let path = file.to_string_lossy().into_owned();
    let run = ctl(&server.uri(), &["diff", "-f", &path]).run().await;
    let expected = "\
slack changed
  - influxdb.password: [hidden]
  + influxdb.password: [hidden]
  - webhook: [hidden]
  + webhook: [hidden]
  - topics: active-alarms,shelved-alarms
  + topics: active-alarms
";
    assert_eq!((run.code, run.out.as_str()), (6, expected), "{run:?}");
    let run = ctl(&server.uri(), &["diff", "-f", &path, "-o", "json"]).run().await;
    assert!(
        run.code == 6 && !run.out.contains("hush") && run.json()[0]["changes"][2]["new"] == "active-alarms",
        "{run:?}"
    );
}

#[tokio::test]
async fn info_tells_workers_apart() {
    let server = plant().await;
    answer(&server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c0ffee", "kafka_cluster_id": "id" })).await;
    let missing = error(404, "HTTP 404 Not Found");
    for path in ["/worker", "/health"] {
        answer(&server, "GET", path, 404, missing.clone()).await;
    }
    let text = shown(&server, &["info"], "60").await;
    let expected = format!(
        "{}\n  version       4.1.0 (c0ffee)\n  cluster       id\n  connectors    2 RUNNING\n  tasks         1 RUNNING, 1 FAILED\n  \
         workers       w:8083\n",
        server.uri()
    );
    assert_eq!(text, expected);
    let run = ctl(&server.uri(), &["info", "-o", "json"]).run().await;
    assert_eq!((&run.json()["worker"], &run.json()["tasks"]["FAILED"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn offsets_without_kafka_are_shown_with_the_reason() {
    let server = plant().await;
    let offset =
        |n: u32| json!({ "partition": { "kafka_topic": "t", "kafka_partition": n }, "offset": { "kafka_offset": 7 } });
    let offsets = json!({ "offsets": [offset(10), offset(2)] });
    answer(&server, "GET", "/connectors/slack/offsets", 200, offsets).await;
    answer(&server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": null })).await;
    answer(&server, "GET", "/worker", 404, error(404, "HTTP 404 Not Found")).await;
    let run = ctl(&server.uri(), &["offsets", "show", "slack"]).run().await;
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "NAME   PARTITION  OFFSET\nslack  t:2        7\nslack  t:10       7\n")
    );
    assert!(run.err.contains("ends of partitions are not shown: it is not known where Kafka is"), "{run:?}");
    let run = ctl(&server.uri(), &["offsets", "reset", "slack", "--to-end", "--yes"]).run().await;
    assert!(run.code == 1 && run.err.contains("BOOTSTRAP_SERVERS"), "{run:?}");
    let run = ctl(&server.uri(), &["offsets", "reset", "slack", "--topic", "t", "--yes"]).run().await;
    assert_eq!(run.code, 2, "{run:?}");
}

#[tokio::test]
async fn a_sink_that_was_stopped_for_its_offsets_runs_again_whatever_came_of_them() {
    let server = MockServer::start().await;
    let state = |own: &str, tasks: Value| {
        let mut status = support::status("c", own, "RUNNING");
        status["tasks"] = tasks;
        wiremock::ResponseTemplate::new(200).set_body_json(status)
    };
    let asked = || wiremock::Mock::given(wiremock::matchers::path("/connectors/c/status"));
    // Before it would be asked about, and before it is stopped.
    asked().respond_with(state("PAUSED", json!([]))).up_to_n_times(2).mount(&server).await;
    asked().respond_with(state("STOPPED", json!([]))).mount(&server).await;
    answer(&server, "GET", "/connectors", 200, json!(["c"])).await;
    answer(&server, "PUT", "/connectors/c/stop", 204, json!(null)).await;
    answer(&server, "PUT", "/connectors/c/pause", 202, json!(null)).await;
    answer(&server, "DELETE", "/connectors/c/offsets", 500, error(500, "the disk is full")).await;
    let run = ctl(&server.uri(), &["offsets", "reset", "c", "--stop", "--yes"]).run().await;
    assert!(run.code == 1 && run.err.contains("c: the disk is full"), "{run:?}");
    assert_eq!(bodies(&server, "PUT", "/connectors/c/pause").await.len(), 1);
}

#[tokio::test]
async fn offsets_are_set_of_a_connector_that_is_there_only() {
    let server = plant().await;
    answer(&server, "GET", "/connectors/slakc", 404, error(404, "Connector slakc not found")).await;
    let run = ctl(&server.uri(), &["offsets", "set", "slakc", "t:0=1"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, "connectctl: connector slakc not found; did you mean slack?\n"));
    answer(&server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": null })).await;
    answer(&server, "GET", "/worker", 404, error(404, "HTTP 404 Not Found")).await;
    let asked = ctl(&server.uri(), &["offsets", "set", "slack", "t:0=1", "--stop"]).run().await;
    assert!(asked.code == 2 && asked.err.contains("say --yes"), "{asked:?}");
    assert!(asked.err.contains("is not looked at: it is not known where Kafka is"), "{asked:?}");
}
