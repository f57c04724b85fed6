//! exec-source: the program that the guide shows, across kill -9, and a program that keeps failing.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(120);
const COUNTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/exec/counter.py");

#[test]
fn the_counter_of_the_guide_leaves_nothing_out_when_the_worker_is_killed_and_failures_are_told() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["counts", "tries", "dead"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        path("offsets")
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let counter =
        format!("name: counter\nconnector.class: exec-source\nexec.command: python3 {COUNTER}\ntopic: counts\n");
    let failing = format!(
        "name: failing\nconnector.class: exec-source\ntopic: tries\nexec.command: sh {}\nrestart.attempts: 10\n\
         restart.backoff.ms: 100\nerrors: {{ tolerance: all, deadletterqueue: {{ topic.name: dead, \
         topic.replication.factor: 1 }} }}\n",
        path("failing.sh")
    );
    file(
        dir.path(),
        "failing.sh",
        "echo '{\"value\":\"try\"}'\nprintf 'no \\377 record\\n'\necho 'out of luck' >&2\nexit 5\n",
    );
    let files = [file(dir.path(), "counter.yaml", &counter), file(dir.path(), "failing.yaml", &failing)];
    let mut connectd = Connectd::start(&["-c", &worker, &files[0], &files[1]], path("log").as_ref());
    let numbers = |least: i64| -> BTreeSet<i64> {
        let of =
            |value: &[u8]| serde_json::from_slice::<Json>(value).expect("json")["number"].as_i64().expect("a number");
        let all = reader.until("counts", SOON, |records| {
            records.iter().filter_map(|r| r.value.as_deref()).any(|value| of(value) >= least)
        });
        all.iter().filter_map(|r| r.value.as_deref()).map(of).collect()
    };
    let mut reached = 2;
    for _ in 0..3 {
        let all = numbers(reached);
        let last = all.last().copied().expect("numbers");
        assert_eq!(all, (1..=last).collect(), "none is left out");
        reached = last + 2;
        connectd.kill9();
        connectd.start_again();
    }
    numbers(reached);

    let (_, status) = wait("the failure to be told", SOON, || {
        Some(connectd.get("/connectors/failing/status")).filter(|(_, s)| s["tasks"][0]["state"] == "FAILED")
    });
    let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default();
    assert!(trace.contains("exit status: 5") && trace.contains("out of luck"), "{status}");
    reader.until("tries", SOON, |records| records.len() >= 3);
    let dead = reader.until("dead", SOON, |records| !records.is_empty());
    assert_eq!(dead[0].value.as_deref(), Some(&b"no \xff record"[..]));
    let (_, logs) = connectd.get("/connectors/failing/logs");
    assert!(logs.to_string().contains("program: out of luck"), "{logs}");

    // What was stopped has no program any more.
    assert_eq!(connectd.send("PUT", "/connectors/counter/stop", None::<&Json>).0, 204);
    wait("the connector to stop", SOON, || {
        (connectd.get("/connectors/counter/status").1["connector"]["state"] == "STOPPED").then_some(())
    });
    let position = json!({"offsets": [{"partition": {"stream": "stdout"}, "offset": {"offset": 1000}}]});
    let (code, answer) = connectd.send("PATCH", "/connectors/counter/offsets", Some(&position));
    assert_eq!(code, 200, "{answer}");
    assert_eq!(connectd.send("PUT", "/connectors/counter/resume", None::<&Json>).0, 202);
    assert!(!numbers(1001).contains(&1000), "it goes on where it was said to");
}
