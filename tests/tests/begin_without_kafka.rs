//! Connectors that are created while Kafka is away say what they wait for, and begin when it is back.

use std::time::Duration;

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_task_that_waits_for_kafka_before_it_begins_says_so() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    Reader::new(&kafka.bootstrap()).create("active-alarms", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
        kafka.bootstrap(),
        path("offsets")
    );
    let worker = file(dir.path(), "worker.yaml", &text);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    kafka.stop().expect("stop kafka");

    // One follows a topic as a table, the other looks for its queue of dead letters.
    let alarms = json!({ "connector.class": "epics-source", "epics.provider": "simulation", "epics.mode": "alarms",
        "epics.channels": "S:a=ramp", "alarm.registered.topic": "" });
    let queue = json!({ "connector.class": "file-sink", "topics": "active-alarms", "file": path("out"),
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.topic.replication.factor": "1" });
    for (name, config) in [("alarms", alarms), ("queue", queue)] {
        let (status, body) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(status, 201, "{body}");
    }
    for (name, part) in [
        ("alarms", "reading topic active-alarms, which the task follows as a table, has taken"),
        ("queue", "looking for the topic for dead letters, has taken"),
    ] {
        let detail = wait(&format!("{name} to say what it waits for"), SOON, || {
            let status = connectd.get(&format!("/connectors/{name}/status")).1;
            let task = &status["tasks"][0];
            let told = task["detail"]["retrying"].as_str().is_some_and(|text| text.starts_with(part));
            (told && task["state"] == "UNASSIGNED").then(|| task.clone())
        });
        assert!(detail["detail"]["retrying_since"].is_string(), "{detail}");
        assert!(connectd.log_text().contains(part));
    }
    kafka.start_again().expect("start kafka");
    // What had given up meanwhile is restarted.
    for name in ["alarms", "queue"] {
        wait(&format!("{name} to run"), SOON, || {
            let status = connectd.get(&format!("/connectors/{name}/status")).1;
            (status["tasks"][0]["state"] == "RUNNING").then_some(())
        });
    }
}
