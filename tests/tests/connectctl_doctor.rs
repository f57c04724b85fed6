//! `connectctl doctor` of a plant that is well, and of one in which one thing after the other is broken: our worker and
//! Kafka Connect's on a real Kafka, and our worker with all that is embedded.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd,
    ctl::{Ctl, Ran},
    file,
    sides::{SOON, Side, Sides},
    wait,
};
use xtask::servers::{Server as _, without};

const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The findings of a check, each as its level and text.
fn findings(report: &Json, check: &str) -> Vec<(String, String)> {
    let all = report["findings"].as_array().expect("findings").iter().filter(|f| f["check"] == check);
    let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
    all.map(|f| (text(&f["level"]), text(&f["text"]))).collect()
}

/// Whether a check has a finding of that level whose text has this part.
#[track_caller]
fn expect(report: &Json, check: &str, level: &str, part: &str) {
    let found = findings(report, check);
    assert!(found.iter().any(|(l, text)| l == level && text.contains(part)), "{check} {level} {part}: {report:#}");
}

/// A worker of one kind, and how it is asked.
struct Patient<'a> {
    side: &'a Side,
    ctl: Ctl,
    ours: bool,
    topics: String,
}

impl Patient<'_> {
    fn ask(&self, arguments: &[&str]) -> Ran {
        // Ours tells which topics are its own.
        let more: &[&str] = if self.ours { &[] } else { &["--storage-topics", &self.topics] };
        self.ctl.run(&[&["doctor"], arguments, more].concat())
    }

    #[track_caller]
    fn report(&self, arguments: &[&str], code: i32) -> Json {
        self.ask(&[arguments, &["-o", "json"]].concat()).expect(code).json()
    }

    fn sink(&self, name: &str, more: &Json) {
        let mut config = json!({
            "connector.class": SINK, "topics": self.side.own(&format!("$SIDE-{name}")), "value.converter": JSON,
            "value.converter.schemas.enable": "false", "file": self.side.own(&format!("$DIR/{name}.txt")),
        });
        config.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        let path = format!("/connectors/$SIDE-{name}/config");
        let answer = self.side.send("PUT", &path, Some(&config.to_string()));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

#[test]
fn both_kinds_of_workers_are_examined() {
    if without("kafka") {
        return;
    }
    let mut sides = Sides::start(&[]);
    let bootstrap = sides.kafka.bootstrap();
    let patients = || {
        sides.both.iter().zip([false, true]).map(|(side, ours)| {
            let topics = side.own("$SIDE-configs,$SIDE-offsets,$SIDE-status");
            Patient { side, ctl: Ctl::new(side.url()).env("BOOTSTRAP_SERVERS", &bootstrap), ours, topics }
        })
    };
    for patient in patients() {
        healthy(&patient);
        troubled(&patient, &sides);
        topics(&patient, &sides);
    }
    let urls = sides.both.each_ref().map(|side| side.url().to_owned());
    sides.kafka.process_mut().stop().expect("stop");
    for url in urls {
        let ctl = Ctl::new(&url).env("BOOTSTRAP_SERVERS", &bootstrap);
        let begin = Instant::now();
        let report = ctl.run(&["doctor", "--timeout", "4", "-o", "json"]).expect(4).json();
        assert!(begin.elapsed() < Duration::from_secs(18), "{:?}", begin.elapsed());
        expect(&report, "kafka", "fail", &bootstrap);
        expect(&report, "topics", "skipped", "Kafka does not answer");
        let begin = Instant::now();
        let line = ctl.run(&["doctor", "--nagios", "--only", "kafka", "--timeout", "4"]).expect(2);
        assert!(line.out.starts_with("CONNECT CRITICAL - kafka: ") && line.out.lines().count() == 1, "{line:?}");
        assert!(begin.elapsed() < Duration::from_secs(14), "{:?}", begin.elapsed());
    }
}

fn healthy(patient: &Patient<'_>) {
    let report = patient.report(&["--fail-on", "warn"], 0);
    expect(&report, "worker", "ok", if patient.ours { "connectd " } else { "Kafka Connect 4." });
    expect(&report, "kafka", "ok", "1 broker at 127.0.0.1:");
    expect(&report, "kafka", "ok", "version 4.0 or newer");
    expect(&report, "topics", "ok", "are compacted");
    expect(&report, "registry", "skipped", "it is not known where the schema registry is");
    expect(&report, "connectors", "ok", "there are no connectors");
    expect(&report, "clock", "ok", "agrees");
    expect(&report, "disk", "skipped", if patient.ours { "its state is in Kafka" } else { "do not tell" });
    assert_eq!(report["level"], "ok", "{report}");
    let line = patient.ask(&["--nagios"]).expect(0).out;
    assert!(
        line.starts_with("CONNECT OK - ") && line.contains(" | connectors=0 ") && line.contains(" clock="),
        "{line}"
    );
    if !patient.ours {
        let unnamed = patient.ctl.run(&["doctor", "-o", "json"]).expect(0).json();
        expect(&unnamed, "topics", "skipped", "does not tell its own topics");
    }
}

/// A sink that has failed with records waiting, and one whose dead letters wait.
fn troubled(patient: &Patient<'_>, sides: &Sides) {
    let side = patient.side;
    let queue = side.own("$SIDE-dead");
    for name in ["strict", "lenient"] {
        sides.reader.create(&side.own(&format!("$SIDE-{name}")), 1, &[]);
    }
    patient.sink("strict", &json!({}));
    patient.sink(
        "lenient",
        &json!({ "errors.tolerance": "all", "errors.deadletterqueue.topic.name": queue,
            "errors.deadletterqueue.topic.replication.factor": "1" }),
    );
    let write =
        |name: &str, value: &str| sides.reader.write(&side.own(&format!("$SIDE-{name}")), "k", Some(value.as_bytes()));
    ["strict", "lenient"].iter().for_each(|name| write(name, "1"));
    let committed = |name: &str| {
        wait("an offset to be committed", SOON, || {
            (side.positions(&side.own(&format!("$SIDE-{name}"))) == [1]).then_some(())
        })
    };
    ["strict", "lenient"].into_iter().for_each(committed);
    let report = patient.report(&[], 0);
    expect(&report, "connectors", "ok", "2 connectors, 2 of 2 tasks running");
    expect(&report, "lag", "ok", "all sinks have written everything");
    expect(&report, "dead-letters", "ok", "none waits");

    for value in ["nojson", "2", "3"] {
        ["strict", "lenient"].iter().for_each(|name| write(name, value));
    }
    wait("the task to fail", SOON, || (side.states(&side.own("$SIDE-strict")).1 == ["FAILED"]).then_some(()));
    sides.reader.until(&queue, SOON, |all| all.len() == 1);
    let report = patient.report(&["--max-lag", "2"], 4);
    expect(&report, "connectors", "fail", &side.own("$SIDE-strict: its task is FAILED: "));
    expect(&report, "lag", "warn", &side.own("$SIDE-strict is 3 records behind"));
    expect(
        &report,
        "dead-letters",
        "warn",
        &side.own("1 dead letter in topic $SIDE-dead of $SIDE-lenient: the first is from 20"),
    );
    assert_eq!(report["numbers"]["dead_letters"]["value"], 1.0, "{report}");
    let line = patient.ask(&["--nagios"]).expect(2).out;
    assert!(line.starts_with(&side.own("CONNECT CRITICAL - connectors: $SIDE-strict: its task is FAILED")), "{line}");
    assert!(line.contains(" tasks_failed=1 ") && line.contains(" dead_letters=1"), "{line}");
    let quick = patient.report(&["--quick"], 4);
    assert!(findings(&quick, "kafka").is_empty() && findings(&quick, "dead-letters").is_empty(), "{quick}");
    patient.report(&["--only", "dead-letters", "--fail-on", "warn"], 4);
    patient.report(&["--only", "dead-letters", "--fail-on", "warn", "--max-dead-letters", "1"], 0);
    patient.ctl.out(&["delete", "*", "--yes"]);
}

/// Topics that a worker must not have.
fn topics(patient: &Patient<'_>, sides: &Sides) {
    let side = patient.side;
    let wide = side.own("$SIDE-wide");
    sides.reader.create(&wide, 3, &[]);
    let names = format!("{wide},{},{}", side.own("$SIDE-gone"), side.own("$SIDE-status"));
    let broken = patient.ctl.run(&["doctor", "--only", "topics", "--storage-topics", &names, "-o", "json"]);
    let report = broken.expect(4).json();
    expect(&report, "topics", "fail", &format!("{wide} (config.storage.topic) has cleanup.policy=delete"));
    expect(&report, "topics", "fail", "has 3 partitions");
    expect(&report, "topics", "fail", &format!("{} (offset.storage.topic) is missing", side.own("$SIDE-gone")));
    assert!(!sides.reader.topics().contains(&side.own("$SIDE-gone")), "looking creates nothing");

    // The worker's very own topic, changed behind its back.
    let policy = |policy: &str| {
        let (setting, name) = (format!("cleanup.policy={policy}"), side.own("$SIDE-status"));
        let bootstrap = sides.kafka.bootstrap();
        let arguments = ["--bootstrap-server", &bootstrap, "--alter", "--topic", &name, "--add-config", &setting];
        sides.kafka.tool("kafka.admin.ConfigCommand", &arguments).expect("changing a topic");
    };
    policy("delete");
    let report = patient.report(&["--only", "topics"], 4);
    expect(&report, "topics", "fail", "(status.storage.topic) has cleanup.policy=delete: Kafka deletes old states");
    policy("compact");
    patient.report(&["--only", "topics"], 0);
}

#[test]
fn a_worker_with_all_that_is_embedded_is_well_and_a_registry_that_is_away_is_told() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let ctl = Ctl::new(connectd.url());
    let report = ctl.json(&["doctor", "--fail-on", "warn"]);
    expect(&report, "worker", "ok", ", embedded");
    expect(&report, "kafka", "ok", "version embedded");
    expect(&report, "topics", "skipped", "it is embedded");
    expect(&report, "registry", "ok", "mode READWRITE");
    let away =
        ctl.run(&["doctor", "--registry", "http://127.0.0.1:1", "--timeout", "5", "-o", "json"]).expect(4).json();
    expect(&away, "registry", "fail", "http://127.0.0.1:1 (from --registry or SCHEMA_REGISTRY)");
    expect(&away, "kafka", "ok", "");
    let line = ctl.run(&["doctor", "--nagios", "--registry", "http://127.0.0.1:1", "--timeout", "5"]).expect(2).out;
    assert!(line.starts_with("CONNECT CRITICAL - registry: "), "{line}");
}

#[test]
fn a_standalone_worker_tells_of_its_disk() {
    if without("kafka") {
        return;
    }
    let kafka = xtask::servers::Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let connectd = Connectd::start(&["-c", &file(dir.path(), "worker.properties", &text)], &dir.path().join("log"));
    let ctl = Ctl::new(connectd.url());
    let report = ctl.run(&["doctor", "-o", "json"]).json();
    let disk = findings(&report, "disk");
    assert!(disk.len() == 1 && disk[0].1.contains(" MiB are free where the worker keeps its offsets, "), "{report}");
    assert!(report["numbers"]["disk_free"]["value"].as_f64().is_some_and(|n| n > 0.0), "{report}");
    expect(&report, "topics", "skipped", "it is standalone");
    // A folder that is gone is told, not guessed.
    fs::remove_dir_all(dir.path()).expect("removed");
    let report = ctl.run(&["doctor", "--only", "disk", "-o", "json"]).json();
    expect(&report, "disk", "skipped", "cannot say how much room");
}
