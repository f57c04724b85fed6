//! `connectctl` on the embedded broker: what works there as on Kafka, and what is refused before anything is changed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, ctl::Ctl, file, sides::SOON, wait};

const NO_REQUESTS: &str = "is the embedded broker of connectd, which has no admin requests";

/// A worker with a sink whose queue has one letter.
fn with_a_letter(dir: &std::path::Path) -> (Connectd, Ctl) {
    let connectd = Connectd::start(&[], &dir.join("log"));
    let ctl = Ctl::new(connectd.url());
    let sink = json!({
        "connector.class": "file-sink", "topics": "numbers", "file": dir.join("out.txt").display().to_string(),
        "key.converter": "StringConverter", "value.converter": "JsonConverter", "value.converter.schemas.enable": "false",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true"
    });
    ctl.out(&["produce", "numbers", "--key", "bad", "nojson"]);
    assert_eq!(connectd.send("PUT", "/connectors/sink/config", Some(&sink)).0, 201);
    wait("a letter", SOON, || {
        let all = ctl.json(&["dlq", "list"]);
        (all[0]["letters"] == 1).then_some(())
    });
    (connectd, ctl)
}

#[test]
fn records_and_letters_are_found_by_time() {
    let dir = tempfile::tempdir().expect("folder");
    let (_connectd, ctl) = with_a_letter(dir.path());
    let since =
        |from: &str| ctl.run(&["consume", "numbers", "--from", from, "--until-end", "--template", "{key}"]).expect(0);
    assert_eq!(since("10m").out, "bad\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time").as_millis();
    let none = since(&format!("@{}", now + 60_000));
    assert!(none.out.is_empty() && none.err.contains("nothing is newer than"), "{none:?}");
    assert_eq!(ctl.json(&["dlq", "show", "sink", "--since", "1h"]).as_array().map(Vec::len), Some(1));
    let trial = ctl.out(&["dlq", "replay", "sink", "--since", "1h", "--dry-run"]);
    assert_eq!(trial, "1 letter of dead would be replayed: 1 to numbers\n");
}

#[test]
fn letters_are_replayed_once_and_not_deleted() {
    let dir = tempfile::tempdir().expect("folder");
    let (_connectd, ctl) = with_a_letter(dir.path());
    // It would fail once more, and be another letter.
    ctl.out(&["stop", "sink", "--wait"]);
    assert_eq!(ctl.out(&["dlq", "replay", "sink"]), "1 letter of dead replayed: 1 to numbers\n");
    assert_eq!(ctl.out(&["consume", "numbers", "--until-end", "--template", "{key}"]), "bad\nbad\n");
    assert_eq!(ctl.json(&["dlq", "list"])[0]["replayed"], 1);
    let skipped = "0 letters of dead replayed\n1 skipped: replayed before; --again sends them again\n";
    assert_eq!(ctl.out(&["dlq", "replay", "sink"]), skipped);
    assert!(ctl.out(&["dlq", "replay", "sink", "--again"]).starts_with("1 letter of dead replayed"));

    for arguments in [&["--all", "--dry-run"][..], &["--all", "--yes"], &["--replayed"]] {
        let said = ctl.run(&[&["dlq", "purge", "sink"], arguments].concat()).expect(1);
        assert!(said.err.contains("deleting dead letters: Kafka at ") && said.err.contains(NO_REQUESTS), "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
    assert_eq!(ctl.json(&["dlq", "list"])[0]["letters"], 1);
}

#[test]
fn offsets_of_a_sink_are_not_changed_and_it_is_not_stopped_for_that() {
    let dir = tempfile::tempdir().expect("folder");
    let (connectd, ctl) = with_a_letter(dir.path());
    for arguments in [
        &["reset", "sink", "--stop", "--dry-run"][..],
        &["reset", "sink", "--stop", "--yes"],
        &["reset", "sink", "--to-time", "1h", "--stop", "--dry-run"],
        &["set", "sink", "numbers:0=0", "--stop", "--dry-run"],
        &["set", "sink", "numbers:0=0", "--stop", "--yes"],
    ] {
        let said = ctl.run(&[&["offsets"], arguments].concat()).expect(1);
        assert!(said.err.contains("create the connector under another name"), "{arguments:?}: {said:?}");
        assert!(said.out.is_empty() && said.err.lines().count() == 1, "{arguments:?}: {said:?}");
        let status: Json = connectd.get("/connectors/sink/status").1;
        assert_eq!(status["connector"]["state"], "RUNNING");
    }
    // Those of a source are the worker's.
    let input = file(dir.path(), "in.txt", "a\n");
    let source = json!({ "connector.class": "file-source", "file": input, "topic": "lines",
        "value.converter": "StringConverter" });
    assert_eq!(connectd.send("PUT", "/connectors/source/config", Some(&source)).0, 201);
    wait("the line", SOON, || (ctl.run(&["topics", "list", "lines", "-o", "name"]).code == 0).then_some(()));
    assert!(ctl.out(&["offsets", "reset", "source", "--stop", "--yes"]).contains("reset"));
}
