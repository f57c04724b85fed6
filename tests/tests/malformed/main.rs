//! Malformed files: what an admin reads must say what is wrong, where, and what to do, and never a secret.
//!
//! - [`syntax`], [`forms`], [`settings`], [`connectors`], [`workers`]: files with what must be said of them
//! - [`harness`]: runs the program on them

use std::fs;

macro_rules! cases {
    ($(($file:expr, $text:expr, $says:expr)),* $(,)?) => {
        &[$(Case { file: $file, text: $text.as_bytes(), says: &$says }),*]
    };
}

/// Settings of a file sink that are right, but for what follows them.
macro_rules! sink {
    ($more:expr) => {
        concat!("name: c\nconnector.class: file-sink\ntopics: [t]\nfile: /tmp/x\n", $more)
    };
}

/// The same for a file source.
macro_rules! source {
    ($more:expr) => {
        concat!("name: c\nconnector.class: file-source\ntopic: t\nfile: /tmp/x\n", $more)
    };
}

/// Settings of a worker that are right, but for what follows them.
macro_rules! worker {
    ($more:expr) => {
        concat!(
            "key.converter: StringConverter\nvalue.converter: StringConverter\noffset.storage.file.filename: /tmp/o\n",
            $more
        )
    };
}

mod connectors;
mod forms;
mod harness;
mod settings;
mod syntax;
mod workers;

use connectors::CONNECTORS;
use forms::FORMS;
use harness::{CONNECTOR, Case, WORKER, check, complaints, connectd, write};
use settings::SETTINGS;
use syntax::SYNTAX;
use workers::WORKERS;

#[test]
fn syntax_errors_are_named_with_line_and_column() {
    check(SYNTAX, CONNECTOR);
}

#[test]
fn documents_that_declare_no_connector_are_named_with_the_way_out() {
    check(FORMS, CONNECTOR);
}

#[test]
fn wrong_settings_of_the_framework_are_named_with_their_lines() {
    check(SETTINGS, CONNECTOR);
}

#[test]
fn missing_and_wrong_settings_of_each_connector_are_named_without_secrets() {
    check(CONNECTORS, CONNECTOR);
}

#[test]
fn wrong_worker_files_are_named_with_key_and_way_out() {
    check(WORKERS, WORKER);
}

#[test]
fn text_in_other_encodings_is_refused_with_its_line() {
    const ENCODED: &[Case] = &[
        Case {
            file: "latin.yaml",
            text: b"file: x\nname: caf\xe9\n",
            says: &["latin.yaml:2:1: the file is not UTF-8 text; save it as UTF-8"],
        },
        Case {
            file: "latin.json",
            text: b"{\"name\": \"c\xff\"}",
            says: &["latin.json:1:1: the file is not UTF-8 text; save it as UTF-8"],
        },
        Case {
            file: "wide.yaml",
            text: b"\xff\xfen\x00a\x00",
            says: &["wide.yaml:1:1: the file is not UTF-8 text; save it as UTF-8"],
        },
    ];
    check(ENCODED, CONNECTOR);
}

#[test]
fn missing_files_and_folders_without_connectors_are_named() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(path("empty")).expect("folder");
    fs::create_dir(path("other")).expect("folder");
    fs::write(path("other/notes.txt"), "x").expect("file");
    let cases: [(&[&str], i32, &str); 4] = [
        (&[&path("absent.yaml")], CONNECTOR, "absent.yaml: there is no such file or folder"),
        (&[&path("empty")], CONNECTOR, "empty: the folder holds no .yaml, .yml, .json or .properties file"),
        (&[&path("other")], CONNECTOR, "other: the folder holds no .yaml, .yml, .json or .properties file"),
        (&["-c", &path("absent.properties")], WORKER, "absent.properties: there is no such file or folder"),
    ];
    for (arguments, code, part) in cases {
        let output = connectd(&[&["--check"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_same_connector_in_two_files_is_refused_with_both_places() {
    let dir = tempfile::tempdir().expect("folder");
    for name in ["a.yaml", "b.yaml"] {
        fs::write(dir.path().join(name), sink!("")).expect("file");
    }
    let output = connectd(&["--check", &dir.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONNECTOR), "{said}");
    assert!(said.contains("b.yaml:1: the connector c is declared twice, first at"), "{said}");
    assert!(said.contains("a.yaml:1; rename one of them"), "{said}");
}

#[test]
fn every_wrong_file_of_a_folder_is_named_at_once() {
    let dir = tempfile::tempdir().expect("folder");
    fs::write(dir.path().join("a.yaml"), sink!("tasks.max: 0\n")).expect("file");
    fs::write(dir.path().join("b.json"), "{").expect("file");
    fs::write(dir.path().join("c.properties"), "name=d\n").expect("file");
    fs::write(dir.path().join("right.yaml"), source!("").replace("name: c", "name: right")).expect("file");
    fs::write(dir.path().join("worker.conf"), "").expect("file");
    let output = connectd(&["--check", &dir.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONNECTOR), "{said}");
    for part in ["a.yaml:5: ", "b.json:1:1: ", "c.properties:1: connector d: connector.class is missing"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("right"), "{said}");
}

#[test]
fn startup_refuses_what_the_check_refuses() {
    let some = |cases: &'static [Case], names: &[&str]| -> Vec<&'static Case> {
        let found: Vec<_> = cases.iter().filter(|c| names.contains(&c.file)).collect();
        assert_eq!(found.len(), names.len(), "{names:?}");
        found
    };
    let connectors = [
        some(SYNTAX, &["quote.yaml", "comma.json"]),
        some(FORMS, &["nameless.yaml", "again.yaml"]),
        some(SETTINGS, &["misspelt.yaml", "all.yaml"]),
        some(CONNECTORS, &["slack-url.yaml"]),
    ];
    let workers =
        some(WORKERS, &["group.yaml", "jks.yaml", "misspelt.yaml", "listeners.yaml", "brokers.yaml", "comma.json"]);
    let mut wrong = Vec::new();
    for (cases, code) in [(connectors.concat(), CONNECTOR), (workers, WORKER)] {
        for case in cases {
            let dir = tempfile::tempdir().expect("folder");
            let path = write(dir.path(), case);
            let set = ["--set", "listeners=http://127.0.0.1:0"];
            let arguments = if code == WORKER { vec!["-c", &path] } else { vec![set[0], set[1], &path] };
            wrong.extend(complaints(case, code, &arguments));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_without_effect_are_warned_of_with_the_nearest_name() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("w.yaml"), worker!("ofset.flush.interval.ms: 1000\n")).expect("file");
    fs::write(
        path("c.yaml"),
        source!(
            "bach.size: 5\nproducer.override.aks: all\nvalue.converter: JsonConverter\n\
             value.converter.schema.enable: false\ntransforms: [r]\ntransforms.r.type: RegexRouter\n\
             transforms.r.regex: a\ntransforms.r.replacement: b\ntransforms.r.regexp: c\n\
             topic.creation.default: {partitions: 1, replication.factor: 1, retention: 5}\n"
        ),
    )
    .expect("file");
    let output = connectd(&["--check", "-c", &path("w.yaml"), &path("c.yaml")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in [
        "the worker setting ofset.flush.interval.ms is unknown and has no effect; did you mean offset.flush.interval.ms?",
        "c.yaml:5: connector c: the setting bach.size is unknown to file-source and has no effect; did you mean batch.size?",
        "c.yaml:6: connector c: producer.override.aks is not a setting of Kafka's Producer client; it is ignored; did you mean \
         producer.override.acks?",
        "the setting value.converter.schema.enable is unknown to json and has no effect; did you mean \
         value.converter.schemas.enable?",
        "the setting transforms.r.regexp is unknown to regex-router and has no effect; did you mean transforms.r.regex?",
        "the setting topic.creation.default.retention names no setting of topics that is known here",
        "all files are right (1 connectors)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for arguments in [&["--set", "nothing"][..], &["--no-such-flag"]] {
        let output = connectd(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
