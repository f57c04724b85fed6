//! Alarms in Slack, from Kafka: shelved ones are silent, and messages are found again after a kill. The server answers as
//! Slack's Web API is documented.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use tokio::runtime::Runtime;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};
use xtask::servers::{Kafka, without};

const LIMIT: Duration = Duration::from_secs(90);

/// What was posted and changed.
#[derive(Clone, Default)]
struct Slack(Arc<Mutex<Vec<String>>>);

impl Slack {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("lock").clone()
    }

    fn await_last(&self, text: &str) {
        wait(&format!("{text:?} in {:?}", self.all()), LIMIT, || self.all().last().filter(|t| *t == text).map(drop));
    }
}

impl Respond for Slack {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Json = serde_json::from_slice(&request.body).expect("json");
        let mut all = self.0.lock().expect("lock");
        let what = match (request.url.path(), body["thread_ts"].as_str(), body["ts"].as_str()) {
            ("/api/chat.update", _, Some(ts)) => format!("update {ts}"),
            ("/api/chat.postMessage", Some(ts), _) => format!("reply {ts}"),
            ("/api/chat.postMessage", None, _) => "post".to_owned(),
            other => panic!("{other:?}"),
        };
        all.push(format!("{what}: {}", body["text"].as_str().expect("text")));
        ResponseTemplate::new(200).set_body_json(json!({ "ok": true, "channel": "C1", "ts": all.len().to_string() }))
    }
}

#[test]
fn shelved_alarms_are_silent_until_they_come_off_the_shelf_and_messages_survive_a_kill() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let (runtime, slack) = (Runtime::new().expect("runtime"), Slack::default());
    let server = runtime.block_on(MockServer::start());
    runtime.block_on(Mock::given(any()).respond_with(slack.clone()).mount(&server));
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["active-alarms", "shelved-alarms"] {
        reader.create(topic, 1, &[("cleanup.policy", "compact")]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let worker = file(
        dir.path(),
        "worker.yaml",
        &format!(
            "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
             value.converter.schemas.enable: false\noffset.storage.file.filename: {}\noffset.flush.interval.ms: 500\n\
             state.storage.replication.factor: 1\n",
            kafka.bootstrap(),
            dir.path().join("offsets").display()
        ),
    );
    let connector = file(
        dir.path(),
        "slack.json",
        &json!({ "name": "slack", "config": {
            "connector.class": "slack-sink", "topics": "active-alarms", "slack.token": "xoxb-1", "slack.channel": "#alarms",
            "slack.api.url": format!("{}/api", server.uri()), "slack.interval.ms": 1, "http.proxy": "none",
            "slack.colors": "", "consumer.override.session.timeout.ms": 6000, "consumer.override.heartbeat.interval.ms": 2000, "shelved.alarms.topic": "shelved-alarms",
            "slack.raised.template": "{{key}} {{value.message}}", "slack.cleared.template": "{{key}} over"
        } })
        .to_string(),
    );
    let alarm = |name: &str, message: &str| {
        reader.write("active-alarms", name, Some(json!({ "message": message }).to_string().as_bytes()));
    };
    let shelve = |name: &str, shelf: Option<Json>| {
        reader.write("shelved-alarms", name, shelf.map(|shelf| shelf.to_string().into_bytes()).as_deref());
    };
    shelve("noisy", Some(json!({ "expiration": null, "reason": "maintenance" })));
    let mut connectd = Connectd::start(&["-c", &worker, &connector], &dir.path().join("log"));
    alarm("noisy", "one");
    alarm("pump", "warm");
    slack.await_last("post: pump warm");
    connectd.kill9();
    connectd.start_again();
    alarm("pump", "hot");
    slack.await_last("reply 1: pump hot");
    alarm("noisy", "two");
    reader.write("active-alarms", "pump", None);
    slack.await_last("reply 1: pump over");
    let silent =
        ["post: pump warm", "update 1: pump hot", "reply 1: pump hot", "update 1: pump over", "reply 1: pump over"];
    assert_eq!(slack.all(), silent, "nothing of the shelved alarm, and nothing twice");
    // The last state of the alarm waits across another kill for the end of its time on the shelf.
    connectd.kill9();
    shelve("noisy", Some(json!({ "expiration": 1, "reason": "maintenance is over" })));
    connectd.start_again();
    slack.await_last("post: noisy two");
    assert_eq!(slack.all().len(), silent.len() + 1);
    assert!(connectd.terminate().1, "stopped well");
}
