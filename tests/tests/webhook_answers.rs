//! The producer of answers of the webhook sink has the settings that the worker and the connector give to producers.

use std::time::Duration;

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use tokio::runtime::Runtime;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn answers_are_written_by_the_workers_and_the_connectors_settings_of_producers() {
    let runtime = Runtime::new().expect("runtime");
    let server = runtime.block_on(MockServer::start());
    let long = ResponseTemplate::new(200).set_body_string("x".repeat(5000));
    runtime.block_on(Mock::given(any()).respond_with(long).mount(&server));
    let dir = tempfile::tempdir().expect("folder");
    let worker = file(
        dir.path(),
        "worker.yaml",
        "key.converter: StringConverter\nvalue.converter: StringConverter\nrestart.attempts: 0\n\
         producer.max.request.size: 2000\n",
    );
    let connectd = Connectd::start(&["-c", &worker, "--embedded"], &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    reader.write("messages", "key", Some(b"one"));
    let start = |name: &str, more: (&str, &str)| {
        let mut config = json!({
            "connector.class": "webhook-sink", "topics": "messages", "webhook.url": server.uri(), "http.proxy": "none",
            "webhook.response.topic": format!("answers-to-{name}")
        });
        config[more.0] = more.1.into();
        let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": name, "config": config })));
        assert_eq!(status, 201, "{body}");
    };
    start("small", ("webhook.method", "POST"));
    let trace = wait("the task to fail", LIMIT, || {
        let status = connectd.get("/connectors/small/status").1;
        let task = &status["tasks"][0];
        (task["state"] == "FAILED").then(|| task["trace"].to_string())
    });
    assert!(trace.contains("answers-to-small") && trace.to_lowercase().contains("too large"), "{trace}");
    start("large", ("producer.override.max.request.size", "100000"));
    reader.until("answers-to-large", LIMIT, |all| {
        all.iter().any(|r| r.value.as_ref().is_some_and(|value| value.len() == 5000))
    });
    connectd.await_state("large", "RUNNING");
}
