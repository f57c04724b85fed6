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
CLASS                           TYPE    VERSION
org.apache.kafka.connect.file…  sink    4.1.0
epics-source                    source  0.1.0
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
LOGGER                          LEVEL
root                            INFO
org.apache.kafka.connect.runt…  DEBUG
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
lsst.sal.Dome_logevent_applie…  1, 2      default (BACKWARD)
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
