//! Records that Kafka deleted before they were read are not passed over in silence.

use std::time::Duration;

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
    let worker = file(
        dir.path(),
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
            kafka.bootstrap(),
            dir.path().join("offsets").display()
        ),
    );
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
    let offsets = r#"{"partitions":[{"topic":"t","partition":0,"offset":4}],"version":1}"#;
    let offsets = file(dir.path(), "delete.json", offsets);
    let arguments = ["--bootstrap-server", &kafka.bootstrap(), "--offset-json-file", &offsets];
    kafka.tool("org.apache.kafka.tools.DeleteRecordsCommand", &arguments).expect("deleting records");
    assert_eq!(connectd.send("PUT", "/connectors/out/resume", None).0, 202);
    let told = wait("the status to tell of the deleted records", LIMIT, || {
        connectd.get("/connectors/out/status").1["tasks"][0]["detail"]["last_error"].as_str().map(str::to_owned)
    });
    assert!(told.starts_with("offsets 1 to 3 of topic t, partition 0, were deleted before they were read"), "{told}");
    wait("the record that is left", LIMIT, || (lines() == 2).then_some(()));
}
