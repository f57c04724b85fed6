//! Kafka stopped and started again: nothing is lost, and states tell the truth throughout.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    time::{Duration, Instant},
};

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

#[test]
fn nothing_is_lost_while_kafka_is_away_for_15_seconds() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    Reader::new(&kafka.bootstrap()).create("numbers", 2, &[]);
    let worker = file(
        dir.path(),
        "worker.yaml",
        &format!(
            "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
             offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
            kafka.bootstrap(),
            path("offsets")
        ),
    );
    let connectors = file(
        dir.path(),
        "connectors.yaml",
        &format!(
            "name: in\nconnector.class: file-source\nfile: {}\ntopic: numbers\n---\n\
             name: out\nconnector.class: file-sink\ntopics: [numbers]\nfile: {}\n",
            path("in.txt"),
            path("out.jsonl")
        ),
    );
    let mut input = fs::File::create(path("in.txt")).expect("input");
    let mut next = 0;
    let mut add = |n: usize| {
        let text: String = (next..next + n).map(|n| format!("{n}\n")).collect();
        input.write_all(text.as_bytes()).expect("input");
        next += n;
        next
    };
    let arrived = || -> BTreeSet<usize> {
        let text = fs::read_to_string(path("out.jsonl")).unwrap_or_default();
        let records = text.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        records.filter_map(|r| r["value"].as_str()?.parse().ok()).collect()
    };
    let connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    let total = add(1000);
    wait("records before the outage", Duration::from_secs(30), || (arrived().len() == total).then_some(()));

    kafka.stop().expect("stop kafka");
    let away = Instant::now() + Duration::from_secs(15);
    add(1000);
    let retrying = |name: &str| {
        let (_, status) = connectd.get(&format!("/connectors/{name}/status"));
        status["tasks"][0]["detail"]["retrying"].as_str().map(str::to_owned)
    };
    for name in ["in", "out"] {
        wait(&format!("{name} to say that kafka is away"), Duration::from_secs(15), || {
            retrying(name).filter(|text| text.contains("kafka"))
        });
        connectd.await_state(name, "RUNNING");
    }
    wait("the outage to have lasted 15 s", Duration::from_secs(20), || (Instant::now() >= away).then_some(()));
    add(1000);
    assert_eq!(connectd.get("/").0, 200, "the REST API answers without kafka");

    kafka.start_again().expect("start kafka");
    let total = add(1000);
    wait("every record", Duration::from_secs(60), || (arrived().len() == total).then_some(()));
    for name in ["in", "out"] {
        wait("the status to be well again", Duration::from_secs(15), || retrying(name).is_none().then_some(()));
        connectd.await_state(name, "RUNNING");
    }
}
