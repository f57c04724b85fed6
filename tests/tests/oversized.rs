//! Topics that take smaller batches than librdkafka makes, for records and for dead letters.

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const LINES: usize = 5000;
/// Dead letters hold the bad line and what was wrong with it.
const BAD: usize = 500;

#[test]
fn batches_are_made_to_fit_and_no_record_and_no_dead_letter_is_lost() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for (topic, bytes) in [("small", "20000"), ("dead", "3000")] {
        reader.create(topic, 1, &[("max.message.bytes", bytes)]);
    }
    let dir = tempfile::tempdir().expect("folder");
    // One line is too large for the topic, however small its batch is.
    let large = "x".repeat(30_000);
    let lines: String = (0..LINES).map(|n| format!("{n:0>90}\n")).collect();
    let lines = lines.replacen(&format!("{:0>90}\n", 100), &format!("{:0>90}\n{large}\n", 100), 1);
    let input = file(dir.path(), "in.txt", &lines);
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\noffset.flush.interval.ms=500\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let log = dir.path().join("log");
    let connectd = Connectd::start(&["-c", &worker], &log);
    let source = json!({
        "connector.class": "FileStreamSource", "file": input, "topic": "small", "errors.tolerance": "all",
        "errors.log.enable": true, "errors.log.include.messages": true,
        "errors.deadletterqueue.topic.name": "large", "errors.deadletterqueue.topic.replication.factor": 1,
        "errors.deadletterqueue.context.headers.enable": true
    });
    let (code, answer) = connectd.send("PUT", "/connectors/source/config", Some(&source));
    assert_eq!(code, 201, "{answer}");
    let records = reader.until("small", SOON, |records| known(records) == LINES);
    let values: Vec<_> = records.iter().filter_map(|r| r.value.as_deref()).collect();
    let first: Vec<_> = (0..LINES).map(|n| values.iter().position(|v| *v == format!("{n:0>90}").as_bytes())).collect();
    assert!(first.is_sorted(), "each line comes for the first time behind the one before it");
    let told = std::fs::read_to_string(&log).expect("log");
    assert_eq!(told.matches("does not take batches of 1000000 bytes").count(), 1, "{told}");
    assert!(told.contains("begins anew from its last offsets with batches of 19900 bytes"), "{told}");

    let dead = reader.until("large", SOON, |records| !records.is_empty());
    assert_eq!(dead[0].value.as_deref(), Some(large.as_bytes()));
    let stage = dead[0].headers.iter().find(|(key, _)| &**key == "__connect.errors.stage");
    assert_eq!(stage.and_then(|(_, stage)| stage.as_deref()), Some(&b"KAFKA_PRODUCE"[..]));
    let line = "Error encountered in task source-0. Executing stage 'KAFKA_PRODUCE' with class \
                'org.apache.kafka.connect.runtime.WorkerSourceTask', where source record is = SourceRecord{\
                sourcePartition=";
    wait("the log to tell the record", SOON, || std::fs::read_to_string(&log).ok().filter(|log| log.contains(line)));
    let (_, offsets) = wait("the offset to pass it", SOON, || {
        let end = std::fs::metadata(dir.path().join("in.txt")).expect("input").len();
        let answer = connectd.get("/connectors/source/offsets");
        Some(answer).filter(|(_, o)| o["offsets"][0]["offset"]["position"].as_u64() == Some(end))
    });
    let (_, status) = connectd.get("/connectors/source/status");
    let detail = &status["tasks"][0]["detail"];
    assert_eq!(
        (&detail["records_bad"], &detail["stalled"]),
        (&json!(1), &serde_json::Value::Null),
        "{status} {offsets}"
    );
    let metrics = reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("answer").text().expect("text");
    let active = "kafka_connect_source_task_source_record_active_count{connector=\"source\",task=\"0\"} 0";
    assert!(metrics.contains(active), "{metrics}");

    // No line is JSON.
    reader.create("bad", 1, &[]);
    reader.write_all("bad", (0..BAD).map(|n| ("k".to_owned(), Some(format!("{{{n:0>90}").into_bytes()))));
    let sink = json!({
        "connector.class": "FileStreamSink", "file": dir.path().join("out.txt"), "topics": "bad",
        "value.converter": "JsonConverter", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.context.headers.enable": true
    });
    let (code, answer) = connectd.send("PUT", "/connectors/sink/config", Some(&sink));
    assert_eq!(code, 201, "{answer}");
    reader.until("dead", SOON, |records| known(records) == BAD);
    let (_, status) = wait("offsets to be stored", SOON, || {
        Some(connectd.get("/connectors/sink/status")).filter(|(_, s)| s["tasks"][0]["detail"]["lag"] == 0)
    });
    assert_eq!(status["tasks"][0]["state"], "RUNNING", "{status}");
    let told = std::fs::read_to_string(&log).expect("log");
    assert!(told.contains("topic dead does not take batches"), "{told}");
}

#[test]
fn a_line_that_is_too_long_for_its_dead_letter_stops_nothing() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["lines", "dead"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    // The second one is as long as a record of Java's producer may be.
    let lines = format!("first\n{}\n{}\nlast\n", "f".repeat(1_048_400), "x".repeat(2_000_000));
    let input = file(dir.path(), "in.txt", &lines);
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let source = json!({
        "connector.class": "FileStreamSource", "file": input, "topic": "lines", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.topic.replication.factor": 1,
        "errors.deadletterqueue.context.headers.enable": true
    });
    let (code, answer) = connectd.send("PUT", "/connectors/source/config", Some(&source));
    assert_eq!(code, 201, "{answer}");
    let records = reader.until("lines", SOON, |records| records.len() >= 3);
    let lengths: Vec<_> = records.iter().map(|r| r.value.as_ref().map_or(0, bytes::Bytes::len)).collect();
    assert_eq!(lengths, [5, 1_048_400, 4]);
    let dead = reader.until("dead", SOON, |records| !records.is_empty());
    let value = dead[0].value.as_deref().unwrap_or_default();
    assert!(value.len() > 1_000_000 && value.iter().all(|b| *b == b'x'), "{}", value.len());
    let size = dead[0].headers.iter().find(|(key, _)| &**key == "__connect.errors.value.size").expect("the header");
    assert_eq!(size.1.as_deref(), Some(&b"1048576"[..]));
}

fn known(records: &[connect_kafka::RawRecord]) -> usize {
    let mut values: Vec<_> = records.iter().filter_map(|r| r.value.clone()).collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}
