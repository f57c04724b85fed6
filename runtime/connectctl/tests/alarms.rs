//! Alarms: what is said before Kafka is asked, where it does not answer, and what needs neither Kafka nor registry.

mod support;

use support::{bare, ctl};

const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn what_cannot_be_is_told_with_the_way_out() {
    for (arguments, parts) in [
        (&["alarms", "set"][..], &["<NAME>"][..]),
        (&["alarms", "set", "a", "--priority", "P9"], &["P9 is none of the priorities P1_LIFE"]),
        (&["alarms", "set", "a", "--unset", "--priority", "P1"], &["cannot be used with"]),
        (&["alarms", "set", "a", "--label", "x"], &["KEY=VALUE"]),
        (&["alarms", "ack", "/(/"], &["no regular expression"]),
        (&["alarms", "shelve", "a"], &["--for <TIME>", "--forever"]),
        (&["alarms", "shelve", "a", "--for", "2"], &["such as 90s, 30m, 2h or 7d"]),
        (&["alarms", "shelve", "a", "--for", "2h", "--forever"], &["cannot be used with"]),
        (&["alarms", "shelve", "a", "--until", "2020-01-01T00:00:00Z"], &["over already"]),
        (&["alarms", "shelve", "a", "--forever"], &["--reason"]),
        (&["alarms", "shelve", "a", "--expiration", "0"], &["--reason"]),
        (&["alarms", "--active-topic", "x"], &["needs a terminal"]),
        (&["alarms", "--active-topic", "x", "list"], &["cannot be used with"]),
        (&["alarms", "list", "--shelved", "--all"], &["cannot be used with"]),
        (&["alarms", "list", "--source", "[a"], &["pattern is wrong"]),
        (&["alarms", "register"], &["NAME"]),
        (&["alarms", "export", "--only", "x"], &["none of active, registered, shelved"]),
        (&["alarms", "schemas", "dump", "--generation", "jlab"], &["generic, jlab-1, jlab-2, jlab-3"]),
        (&["alarms", "vieww"], &["view"]),
        (&["alarms"], &["needs a terminal", "connectctl alarms list"]),
    ] {
        let run = ctl(NOBODY, arguments).run().await;
        let all = parts.iter().all(|part| run.err.contains(part));
        assert!(run.code == 2 && all && run.out.is_empty(), "{arguments:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_kafka_that_is_not_known_or_does_not_answer_is_told() {
    let unknown = ctl(NOBODY, &["alarms", "list"]).run().await;
    assert!(unknown.code == 3 && unknown.err.contains("it is not known where Kafka is"), "{unknown:?}");
    for arguments in
        [&["alarms", "list"][..], &["alarms", "ack", "a"], &["alarms", "watch"], &["alarms", "history", "a"]]
    {
        let all = [arguments, &["--timeout", "1", "--bootstrap-servers", "127.0.0.1:9"]].concat();
        let run = ctl(NOBODY, &all).run().await;
        assert!(run.code == 3 && run.err.contains("asked was Kafka at 127.0.0.1:9"), "{arguments:?}: {run:?}");
    }
    let missing = ctl(NOBODY, &["alarms", "import", "-f", "/nonexistent.yaml"]).run().await;
    assert!(missing.code == 1 && missing.err.contains("/nonexistent.yaml: cannot be read"), "{missing:?}");
}

#[tokio::test]
async fn a_file_without_alarms_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("alarms.yaml");
    let path = file.to_string_lossy();
    for text in ["", "\n", "# nothing\n", "---\n"] {
        std::fs::write(&file, text).expect("file");
        for command in [&["alarms", "import", "-f", &path][..], &["alarms", "register", "--file", &path]] {
            let run = ctl(NOBODY, command).run().await;
            let expected = format!(
                "connectctl: {path}: there are no alarms in it; has the command failed that was to write it?\n"
            );
            assert_eq!((run.code, run.err.as_str()), (1, expected.as_str()), "{text:?}");
        }
    }
    let run = ctl(NOBODY, &["alarms", "import", "-f", "-"]).stdin("").run().await;
    assert!(run.code == 1 && run.err.contains("<stdin>: there are no alarms in it"), "{run:?}");
}

#[tokio::test]
async fn schemas_are_printed_by_generation_and_topic() {
    let run = bare(&["alarms", "schemas", "dump", "-o", "name"]).run().await;
    let files: Vec<&str> = run.out.lines().collect();
    assert_eq!(files.len(), 11, "{run:?}");
    assert!(files.contains(&"jlab-2/registered-alarms-value.avsc") && files.contains(&"generic/alarms-value.avsc"));
    let run = bare(&["alarms", "schemas", "dump", "--generation", "jlab-1,jlab-3", "-o", "json"]).run().await;
    let all = run.json();
    assert_eq!(all.as_array().map(Vec::len), Some(5));
    assert_eq!(
        (&all[0]["subject"], &all[0]["schema"]["namespace"]),
        (&"active-alarms-value".into(), &"org.jlab".into())
    );
    let text = bare(&["alarms", "schemas", "dump", "--generation", "jlab-1"]).run().await.out;
    assert!(text.starts_with("// jlab-1/active-alarms-value.avsc\n{\n"), "{text}");
}
