//! Each command that lists something, in a terminal of 60 columns and in one of 200.

mod support;

use serde_json::{Value, json};
use support::{answer, contexts, ctl, error, info};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

/// A worker of Kafka Connect with a connector of a long name, and a registry at the same address.
async fn plant() -> MockServer {
    const NAME: &str = "influxdb-sink-of-the-whole-plant";
    let server = MockServer::start().await;
    let status = support::status(NAME, "RUNNING", "FAILED");
    let all = json!({ NAME: { "status": status, "info": info(NAME) } });
    Mock::given(matchers::path("/connectors"))
        .and(matchers::query_param("expand", "status"))
        .respond_with(ResponseTemplate::new(200).set_body_json(all))
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors", 200, json!([NAME])).await;
    answer(&server, "GET", "/worker", 404, error(404, "HTTP 404 Not Found")).await;
    answer(&server, "GET", "/", 200, json!({ "version": "4.1.0", "commit": "c", "kafka_cluster_id": "id" })).await;
    answer(
        &server,
        "GET",
        &format!("/connectors/{NAME}/topics"),
        200,
        json!({ NAME: { "topics": ["active-alarms"] } }),
    )
    .await;
    let at = json!({ "partition": { "kafka_topic": "active-alarms", "kafka_partition": 0 }, "offset": { "kafka_offset": 7 } });
    answer(&server, "GET", &format!("/connectors/{NAME}/offsets"), 200, json!({ "offsets": [at] })).await;
    let plugins = json!([
        { "class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "type": "sink", "version": "4.1.0" },
        { "class": "epics-source", "type": "source", "version": "0.1.0" },
    ]);
    answer(&server, "GET", "/connector-plugins", 200, plugins).await;
    let loggers = json!({
        "root": { "level": "INFO", "last_modified": null },
        "org.apache.kafka.connect.runtime.distributed.DistributedHerder": { "level": "DEBUG", "last_modified": 0 },
    });
    answer(&server, "GET", "/admin/loggers", 200, loggers).await;
    answer(&server, "GET", "/subjects", 200, json!(["lsst.sal.Dome_logevent_appliedSettingsMatchStart", "a-value"]))
        .await;
    for (subject, versions) in
        [("lsst.sal.Dome_logevent_appliedSettingsMatchStart", json!([1, 2])), ("a-value", json!([1]))]
    {
        answer(&server, "GET", &format!("/subjects/{subject}/versions"), 200, versions).await;
        let none = error(40408, "Subject does not have subject-level compatibility configured");
        answer(&server, "GET", &format!("/config/{subject}"), 404, none).await;
    }
    answer(&server, "GET", "/config", 200, json!({ "compatibilityLevel": "BACKWARD" })).await;
    server
}

/// A worker whose settings and counts have long names.
async fn verbose() -> MockServer {
    let server = MockServer::start().await;
    let names = ["influxdb-sink-of-the-whole-plant", "slack"];
    answer(&server, "GET", "/connectors", 200, json!(names)).await;
    for name in names {
        let mut known = info(name);
        known["config"] = json!({
            "errors.deadletterqueue.context.headers.enable": "true",
            "influxdb.url": "https://influxdb.plant.example.org:8086/telemetry-of-the-whole-plant?db=telemetry&rp=autogen",
            "name": name,
        });
        answer(&server, "GET", &format!("/connectors/{name}"), 200, known).await;
    }
    let metrics = "\
# TYPE kafka_connect_sink_task_put_batch_avg_time_ms gauge
kafka_connect_worker_task_count 2
kafka_connect_sink_task_put_batch_avg_time_ms{connector=\"influxdb-sink-of-the-whole-plant\",task=\"0\"} 17.25
kafka_connect_connector_status{connector=\"influxdb-sink-of-the-whole-plant\",status=\"running\"} 1
";
    let response = ResponseTemplate::new(200).set_body_string(metrics);
    Mock::given(matchers::path("/metrics")).respond_with(response).mount(&server).await;
    server
}

/// What a command prints in a terminal of that width.
async fn shown(server: &MockServer, arguments: &[&str], columns: usize) -> String {
    let url = server.uri();
    let run = ctl(&url, &[arguments, &["--registry", &url]].concat()).env("COLUMNS", &columns.to_string()).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    let fits = run.out.lines().all(|l| l.chars().count() <= columns);
    assert!(fits, "{arguments:?} in {columns} columns:\n{}", run.out);
    run.out
}

#[tokio::test]
async fn every_list_is_legible_in_sixty_columns_and_whole_in_two_hundred() {
    let server = plant().await;
    let cases: [(&[&str], &str, &str); 7] = [
        (
            &["list"],
            "\
NAME                            TYPE  STATE    TASKS
influxdb-sink-of-the-whole-pl…  sink  RUNNING  0/1
",
            "\
NAME                              TYPE  STATE    TASKS  CLASS
influxdb-sink-of-the-whole-plant  sink  RUNNING  0/1    file-sink
",
        ),
        (
            &["status"],
            "\
NAME                            TYPE  STATE    TASKS  WORKER
influxdb-sink-of-the-whole-pl…  sink  RUNNING  0/1    w:8083
  task 0                              FAILED
    writing 2 points: timed out
",
            "\
NAME                              TYPE  STATE    TASKS  WORKER
influxdb-sink-of-the-whole-plant  sink  RUNNING  0/1    w:8083
  task 0                                FAILED
    writing 2 points: timed out
",
        ),
        (
            &["topics", "used"],
            "\
NAME                              TOPIC
influxdb-sink-of-the-whole-plant  active-alarms
",
            "\
NAME                              TOPIC
influxdb-sink-of-the-whole-plant  active-alarms
",
        ),
        (
            &["offsets", "show"],
            "\
NAME                              PARTITION        OFFSET
influxdb-sink-of-the-whole-plant  active-alarms:0  7
",
            "\
NAME                              PARTITION        OFFSET
influxdb-sink-of-the-whole-plant  active-alarms:0  7
",
        ),
        (
            &["plugins"],
            "\
CLASS                                                 TYPE
org.apache.kafka.connect.file.                        sink
  FileStreamSinkConnector
epics-source                                          source
",
            "\
CLASS                                                  TYPE    VERSION
org.apache.kafka.connect.file.FileStreamSinkConnector  sink    4.1.0
epics-source                                           source  0.1.0
",
        ),
        (
            &["loggers", "show"],
            "\
LOGGER                                                 LEVEL
root                                                   INFO
org.apache.kafka.connect.runtime.distributed.          DEBUG
  DistributedHerder
",
            "\
LOGGER                                                          LEVEL  CHANGED
root                                                            INFO   -
org.apache.kafka.connect.runtime.distributed.DistributedHerder  DEBUG  1970-01-01T00:00:00.000Z
",
        ),
        (
            &["registry", "list", "-v", "-c"],
            "\
SUBJECT                         VERSIONS  COMPATIBILITY
a-value                         1         default (BACKWARD)
lsst.sal.Dome_logevent_         1, 2      default (BACKWARD)
  appliedSettingsMatchStart
",
            "\
SUBJECT                                           VERSIONS  COMPATIBILITY
a-value                                           1         default (BACKWARD)
lsst.sal.Dome_logevent_appliedSettingsMatchStart  1, 2      default (BACKWARD)
",
        ),
    ];
    for (arguments, narrow, wide) in cases {
        assert_eq!(shown(&server, arguments, 60).await, narrow, "{arguments:?} in 60 columns");
        assert_eq!(shown(&server, arguments, 200).await, wide, "{arguments:?} in 200 columns");
    }
}

#[tokio::test]
async fn settings_are_whole_in_every_terminal() {
    let server = verbose().await;
    let narrow = "\
KEY                            VALUE
errors.deadletterqueue.        true
  context.headers.enable
influxdb.url                   https://influxdb.plant.
                                 example.org:8086/telemetry-
                                 of-the-whole-plant?db=
                                 telemetry&rp=autogen
name                           slack
";
    assert_eq!(shown(&server, &["get", "slack"], 60).await, narrow);
    for columns in [80, 100] {
        let text = shown(&server, &["get", "slack"], columns).await;
        assert!(text.contains("https://influxdb.plant.example.org:"), "{text}");
    }
    let wide = "\
KEY                                            VALUE
errors.deadletterqueue.context.headers.enable  true
influxdb.url                                   https://influxdb.plant.example.org:8086/telemetry-of-the-whole-plant?db=telemetry&rp=autogen
name                                           slack
";
    assert_eq!(shown(&server, &["get", "slack"], 200).await, wide);
    let narrow = "\
NAME                KEY                  VALUE
influxdb-sink-of-   errors.deadletterqu  true
  the-whole-plant     eue.context.
                      headers.enable
influxdb-sink-of-…  name                 influxdb-sink-of-
                                           the-whole-plant
slack               errors.deadletterqu  true
                      eue.context.
                      headers.enable
slack               name                 slack
";
    let keys = ["get", "*", "name", "errors.deadletterqueue.context.headers.enable"];
    assert_eq!(shown(&server, &keys, 60).await, narrow);
    let text = shown(&server, &keys, 100).await;
    assert!(text.contains("\ninfluxdb-sink-of-the-whole-plant  errors.deadletterqueue."), "{text}");
}

#[tokio::test]
async fn values_of_metrics_are_there_in_every_terminal() {
    let server = verbose().await;
    let of = |columns| shown(&server, &["metrics"], columns);
    let narrow = "\
METRIC                      CONNECTOR                  VALUE
kafka_connect_worker_task_                                 2
  count
kafka_connect_sink_task_    influxdb-sink-of-the-      17.25
  put_batch_avg_time_ms       whole-plant/0
kafka_connect_connector_    influxdb-sink-of-the-          1
  status                      whole-plant
    status=running
";
    assert_eq!(of(60).await, narrow);
    let wide = "\
METRIC                                         CONNECTOR                           VALUE  LABELS
kafka_connect_worker_task_count                                                        2
kafka_connect_sink_task_put_batch_avg_time_ms  influxdb-sink-of-the-whole-plant/0  17.25
kafka_connect_connector_status                 influxdb-sink-of-the-whole-plant        1  status=running
";
    assert_eq!(of(200).await, wide);
    assert_eq!(of(105).await, wide);
    for columns in [80, 100] {
        let text = of(columns).await;
        assert!(text.contains("  17.25\n") && text.contains("\n    status=running\n"), "{text}");
    }
}

#[tokio::test]
async fn contexts_are_listed_in_any_terminal() {
    let folder = contexts(
        "current: plant\ncontexts:\n  plant: {url: 'https://connect.plant.example.org:8083', bootstrap.servers: 'broker:9093'}\n",
    );
    for columns in ["60", "200"] {
        let run = support::bare(&["context", "list"]).contexts(&folder).env("COLUMNS", columns).run().await;
        assert!(run.code == 0 && run.out.contains("https://connect.plant.example.org:8083"), "{run:?}");
        let width = columns.parse::<usize>().expect("number");
        assert!(run.out.lines().all(|l| l.chars().count() <= width), "{}", run.out);
    }
    let none = support::bare(&["context", "list", "-o", "json"]).run().await;
    assert_eq!((none.code, none.json()), (0, Value::Array(Vec::new())));
}
