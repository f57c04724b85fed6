//! Batches that Kafka refuses as too large: no record is skipped that might be all right.

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const LINES: usize = 5000;

#[test]
fn a_batch_that_is_too_large_fails_the_task_whatever_is_tolerated_and_nothing_is_lost() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("small", 1, &[("max.message.bytes", "20000")]);
    let dir = tempfile::tempdir().expect("folder");
    let lines: String = (0..LINES).map(|n| format!("{n:0>90}\n")).collect();
    let input = file(dir.path(), "in.txt", &lines);
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let mut config = json!({
        "connector.class": "FileStreamSource", "file": input, "topic": "small", "errors.tolerance": "all"
    });
    let (code, answer) = connectd.send("PUT", "/connectors/c/config", Some(&config));
    assert_eq!(code, 201, "{answer}");
    let task = wait("the task to fail", SOON, || {
        let (_, status) = connectd.get("/connectors/c/status");
        Some(status["tasks"][0].clone()).filter(|task| task["state"] == "FAILED")
    });
    let trace = task["trace"].as_str().unwrap_or_default();
    assert!(trace.contains("max.message.bytes of topic small") && trace.contains("override.batch.size"), "{trace}");
    assert_eq!(task["detail"]["records_bad"], 0, "{task}");

    // What the text says is the way out.
    config["producer.override.batch.size"] = json!("10000");
    let (code, answer) = connectd.send("PUT", "/connectors/c/config", Some(&config));
    assert_eq!(code, 200, "{answer}");
    let known = |records: &[connect_kafka::RawRecord]| {
        let mut values: Vec<_> = records.iter().filter_map(|r| r.value.clone()).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    reader.until("small", SOON, |records| known(records) == LINES);
}
