//! Records that Kafka deleted before they were read are not passed over in silence.

use std::{path::Path, time::Duration};

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn records_deleted_before_they_were_read_are_told_of() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("t", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("out");
    let worker = worker(dir.path(), &kafka);
    let sink = file(
        dir.path(),
        "sink.yaml",
        &format!("name: out\nconnector.class: file-sink\ntopics: [t]\nfile: {}\n", out.display()),
    );
    let connectd = Connectd::start(&["-c", &worker, &sink], &dir.path().join("log"));
    let lines = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
    reader.write("t", "k", Some(b"0"));
    wait("the first record", LIMIT, || (lines() == 1).then_some(()));
    assert_eq!(connectd.send("PUT", "/connectors/out/stop", None).0, 204);
    for n in 1..5 {
        reader.write("t", "k", Some(n.to_string().as_bytes()));
    }
    delete(&kafka, dir.path(), 4);
    assert_eq!(connectd.send("PUT", "/connectors/out/resume", None).0, 202);
    told(&connectd, "out", "1 to 3");
    wait("the record that is left", LIMIT, || (lines() == 2).then_some(()));

    // The same happens to a sink that runs and is behind.
    assert_eq!(connectd.send("PUT", "/connectors/out/pause", None).0, 202);
    connectd.await_state("out", "PAUSED");
    for n in 5..9 {
        reader.write("t", "k", Some(n.to_string().as_bytes()));
    }
    delete(&kafka, dir.path(), 8);
    assert_eq!(connectd.send("PUT", "/connectors/out/resume", None).0, 202);
    told(&connectd, "out", "5 to 7");
    wait("the last record", LIMIT, || (lines() == 3).then_some(()));
}

#[test]
fn records_deleted_before_a_source_read_them_are_told_of() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("t", 1, &[]);
    reader.create("copy.t", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let worker = worker(dir.path(), &kafka);
    let source = "name: copy\nconnector.class: kafka-source\ntopics: t\ntarget.topic: \"copy.{{ topic }}\"\n";
    let source = file(dir.path(), "source.yaml", source);
    let connectd = Connectd::start(&["-c", &worker, &source], &dir.path().join("log"));
    reader.write("t", "k", Some(b"0"));
    let copied = || reader.all("copy.t").len();
    wait("the first record", LIMIT, || (copied() == 1).then_some(()));
    assert_eq!(connectd.send("PUT", "/connectors/copy/stop", None).0, 204);
    for n in 1..5 {
        reader.write("t", "k", Some(n.to_string().as_bytes()));
    }
    delete(&kafka, dir.path(), 4);
    assert_eq!(connectd.send("PUT", "/connectors/copy/resume", None).0, 202);
    told(&connectd, "copy", "1 to 3");
    wait("the record that is left", LIMIT, || (copied() == 2).then_some(()));
}

fn worker(dir: &Path, kafka: &Kafka) -> String {
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.properties", &text)
}

/// Has Kafka delete what lies before this offset.
fn delete(kafka: &Kafka, dir: &Path, before: i64) {
    let offsets = format!(r#"{{"partitions":[{{"topic":"t","partition":0,"offset":{before}}}],"version":1}}"#);
    let offsets = file(dir, "delete.json", &offsets);
    let arguments = ["--bootstrap-server", &kafka.bootstrap(), "--offset-json-file", &offsets];
    kafka.tool("org.apache.kafka.tools.DeleteRecordsCommand", &arguments).expect("deleting records");
}

fn told(connectd: &Connectd, connector: &str, offsets: &str) {
    let expected = format!("offsets {offsets} of topic t, partition 0, were deleted before they were read");
    wait("the status to tell of the deleted records", LIMIT, || {
        let status = connectd.get(&format!("/connectors/{connector}/status")).1;
        status["tasks"][0]["detail"]["last_error"].as_str()?.starts_with(&expected).then_some(())
    });
}
