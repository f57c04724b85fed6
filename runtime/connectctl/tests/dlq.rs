//! Dead letter queues: what is said before Kafka is asked, and where it does not answer.

mod support;

use serde_json::{Value, json};
use support::{answer, ctl};
use wiremock::MockServer;

/// A worker of Kafka Connect with two connectors that share a queue, one whose queue has a reference for a name, and one
/// without any.
async fn worker() -> MockServer {
    let server = MockServer::start().await;
    let queues = [("a-sink", "dead"), ("b-sink", "dead"), ("secret-sink", "${file:x:y}"), ("plain", " ")];
    answer(&server, "GET", "/worker", 404, Value::Null).await;
    let mut expanded = json!({});
    for (name, topic) in queues {
        let config =
            json!({ "name": name, "connector.class": "file-sink", "errors.deadletterqueue.topic.name": topic });
        let info = json!({ "name": name, "type": "sink", "tasks": [], "config": config });
        answer(&server, "GET", &format!("/connectors/{name}"), 200, info.clone()).await;
        // Workers leave out those without status.
        if name != "b-sink" {
            expanded[name] = json!({ "info": info });
        }
    }
    wiremock::Mock::given(wiremock::matchers::path("/connectors"))
        .and(wiremock::matchers::query_param("expand", "status"))
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_json(expanded))
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors", 200, json!(["a-sink", "b-sink", "secret-sink", "plain"])).await;
    server
}

#[tokio::test]
async fn what_cannot_be_is_told_with_the_way_out() {
    let server = worker().await;
    for (arguments, code, parts) in [
        (&["dlq", "show"][..], 2, &["<CONNECTOR|--topic <TOPIC>>"][..]),
        (&["dlq", "show", "a-sink", "--topic", "dead"], 2, &["cannot be used with"]),
        (&["dlq", "show", "a-sink", "--stage", "PUT"], 2, &["TASK_PUT"]),
        (&["dlq", "show", "a-sink", "--reason", "/(/"], 2, &["/(/ is no regular expression"]),
        (&["dlq", "show", "a-sink", "--offset", "5"], 2, &["PARTITION:OFFSET"]),
        (&["dlq", "show", "a-snik"], 1, &["did you mean a-sink?"]),
        (&["dlq", "show", "plain"], 1, &["plain has no dead letter queue", "errors.deadletterqueue.topic.name"]),
        (&["dlq", "list", "plain"], 1, &["plain has no dead letter queue"]),
        (&["dlq", "show", "secret-sink"], 1, &["only the worker can resolve", "--topic"]),
        (&["dlq", "show", "a-sink"], 3, &["it is not known where Kafka is", "--bootstrap-servers"]),
        (&["dlq", "replay", "a-sink", "--to", "dead"], 2, &["is the dead letter queue itself"]),
        (&["dlq", "replay", "a-sink", "--rate", "5/m"], 2, &["letters a second"]),
        (&["dlq", "purge", "a-sink"], 2, &["--before", "--all", "--replayed"]),
        (&["dlq", "purge", "a-sink", "--all", "--replayed"], 2, &["cannot be used with"]),
        (&["dlq", "purge", "a-sink", "--all"], 2, &["topic dead is also the dead letter queue of b-sink", "--topic"]),
    ] {
        let run = ctl(&server.uri(), arguments).run().await;
        let all = parts.iter().all(|part| run.err.contains(part));
        assert!(run.code == code && all && run.out.is_empty(), "{arguments:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_kafka_that_does_not_answer_is_named() {
    let server = worker().await;
    for arguments in [&["dlq", "list", "a-sink"][..], &["dlq", "purge", "--topic", "dead", "--all", "--yes"]] {
        let all = [arguments, &["--timeout", "1", "--bootstrap-servers", "127.0.0.1:9"]].concat();
        let run = ctl(&server.uri(), &all).run().await;
        assert!(run.code == 3 && run.err.contains("asked was Kafka at 127.0.0.1:9"), "{run:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_of_kafka_where_there_is_no_queue() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/connectors", 200, json!([])).await;
    let run = ctl(&server.uri(), &["dlq", "list", "-o", "json"]).run().await;
    assert_eq!((run.code, run.json()), (0, json!([])));
    assert!(run.err.contains("no connector has a dead letter queue"), "{run:?}");
}
