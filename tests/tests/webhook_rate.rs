//! The rate at which webhooks are taken, with real Kafka behind: by wrk, which counts answers, held against the topic.
//!
//! Briefly, to see that nothing is lost or refused under load; for 30 s each in `cargo xtask soak`, whose release build
//! tells the figures.

#![allow(clippy::print_stdout, reason = "the figures are what the long run is for")]

use std::{fs, time::Duration};

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader};
use xtask::servers::{Kafka, Port, Wrk, without};

fn time() -> Duration {
    match std::env::var("TOCSIN_RATE_SECONDS") {
        Ok(text) => {
            Duration::from_secs(text.parse().unwrap_or_else(|_| panic!("TOCSIN_RATE_SECONDS is {text:?}, no number")))
        }
        Err(_) => Duration::from_secs(1),
    }
}

/// Resident memory of a process in MiB.
fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
fn what_is_answered_under_load_is_stored() {
    if ["kafka", "wrk"].into_iter().any(without) {
        return;
    }
    let (wrk, kafka, port) = (Wrk::fetch().expect("wrk"), Kafka::start().expect("kafka"), Port::claim().expect("port"));
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         value.converter.schemas.enable: false\noffset.storage.file.filename: {}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    // Records, and alarms that are raised already, which must not be written again.
    let sources = format!(
        "name: records\nconnector.class: webhook-source\nwebhook:\n  listen: '{address}'\n  format: json\n  topic: posts\n\
         ---\nname: alarms\nconnector.class: webhook-source\nwebhook:\n  listen: '{address}'\n  format: healthbot\n",
        address = port.address()
    );
    let (worker, sources) = (file(dir.path(), "worker.yaml", &worker), file(dir.path(), "sources.yaml", &sources));
    for topic in ["posts", "active-alarms"] {
        reader.create(topic, 1, &[]);
    }
    let connectd = Connectd::start(&["-c", &worker, &sources], &dir.path().join("log"));
    connectd.await_state("records", "RUNNING");
    connectd.await_state("alarms", "RUNNING");
    let notification = json!({
        "device-id": "r1", "group": "core", "keys": {"_instance_id": "0"}, "message": "temperature above 60",
        "rule": "temperature", "severity": "major", "topic": "chassis", "trigger": "high"
    });
    for (path, body, connections) in [
        ("records", json!({"n": 1, "text": "temperature above 60"}), 1),
        ("records", json!({"n": 1, "text": "temperature above 60"}), 64),
        ("alarms", notification, 64),
    ] {
        let before = reader.all("posts").len() as u64;
        let url = format!("http://{}/{path}", port.address());
        let load = wrk.post(&url, &body.to_string(), connections, time()).expect("load");
        eprintln!(
            "{path}, {connections} connections: {:.0} requests/s, median {:?}, 99 % within {:?}, {} MiB",
            load.per_second,
            load.median,
            load.slow,
            memory(connectd.id())
        );
        assert!(load.requests > 0 && load.refused == 0 && load.failed == 0, "{load:?}");
        let stored = reader.all("posts").len() as u64 - before;
        if path == "records" {
            // What was under way at the end was stored, but its answer not counted.
            assert!((load.requests..=load.requests + 2 * connections as u64).contains(&stored), "{stored}: {load:?}");
        }
    }
    assert_eq!(reader.all("active-alarms").len(), 1, "one change");
}
