//! Offsets of a file sink that are set through REST: the files are completed, and others begin there.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const LIMIT: Duration = Duration::from_secs(60);

/// The offsets in each file, by its name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u64>> {
    let entries = fs::read_dir(folder).map(|all| all.filter_map(Result::ok).collect::<Vec<_>>()).unwrap_or_default();
    let offsets = |text: String| {
        text.lines()
            .map(|line| serde_json::from_str::<Json>(line).expect("whole lines")["offset"].as_u64().expect("offset"))
            .collect()
    };
    let named = entries.iter().filter(|entry| entry.path().is_file());
    named
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().to_string_lossy().into_owned(), offsets(text))
        })
        .collect()
}

#[test]
fn offsets_that_are_set_end_the_files_and_others_begin_there() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("readings", 1, &[]);
    let write = |range: std::ops::Range<u64>| {
        reader.write_all("readings", range.map(|n| ("k".to_owned(), Some(n.to_string().into_bytes()))));
    };
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("out");
    fs::create_dir(&out).expect("folder");
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 200 }}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    write(0..10);
    let config = json!({
        "connector.class": "file-sink", "topics": "readings", "file.format": "json",
        "file": format!("{}/{{{{topic}}}}-{{{{partition}}}}.jsonl", out.display()),
        "file.rotate.records": "1000", "consumer.override.session.timeout.ms": "6000"
    });
    let (status, body) = connectd.send("PUT", "/connectors/files/config", Some(&config));
    assert_eq!(status, 201, "{body}");
    let name = |offset: u64| format!("readings-0-{offset:020}.jsonl");
    let part = |offset: u64| format!("{}.part", name(offset));
    let until = |what: &str, expected: &[(String, Vec<u64>)]| {
        let expected: BTreeMap<String, Vec<u64>> = expected.iter().cloned().collect();
        wait(what, LIMIT, || {
            let found = files(&out);
            assert!(found.len() <= expected.len(), "{found:?}");
            (found == expected).then_some(())
        });
    };
    let committed = |expected: u64| {
        wait(&format!("offset {expected} to be committed"), LIMIT, || {
            let offsets = connectd.get("/connectors/files/offsets").1;
            (offsets["offsets"][0]["offset"]["kafka_offset"] == expected).then_some(())
        });
    };
    let alter = |offset: u64| {
        let partition = json!({ "kafka_topic": "readings", "kafka_partition": 0 });
        let body = json!({ "offsets": [{ "partition": partition, "offset": { "kafka_offset": offset } }] });
        connectd.send("PATCH", "/connectors/files/offsets", Some(&body))
    };
    let stop = || {
        assert_eq!(connectd.send("PUT", "/connectors/files/stop", None).0, 204);
        wait("the connector to stop", LIMIT, || {
            let (state, tasks) = connectd.states("files");
            (state == "STOPPED" && tasks.is_empty()).then_some(())
        });
    };
    let resume = || assert_eq!(connectd.send("PUT", "/connectors/files/resume", None).0, 202);
    until("the first file", &[(part(0), (0..10).collect())]);
    committed(10);
    let (status, body) = alter(4);
    assert_eq!(status, 400, "a connector that runs: {body}");

    // Back: what comes again is written again, in a file of its own.
    stop();
    let (status, body) = alter(4);
    assert_eq!(status, 200, "{body}");
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.contains("altered successfully"), "{body}");
    until("the first file to be complete", &[(name(0), (0..10).collect())]);
    committed(4);
    resume();
    until("the second file", &[(name(0), (0..10).collect()), (part(4), (4..10).collect())]);
    committed(10);

    // Forward: what is passed over is in no file.
    stop();
    write(10..20);
    let (status, body) = alter(15);
    assert_eq!(status, 200, "{body}");
    resume();
    let all = [(name(0), (0..10).collect()), (name(4), (4..10).collect()), (part(15), (15..20).collect())];
    until("the third file", &all);
    committed(20);
    assert!(!connectd.log_text().contains("ERROR"), "{}", connectd.log_text());
}
