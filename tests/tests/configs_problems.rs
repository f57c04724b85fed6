//! `connectd --check`: every problem in one round, each with the place where the setting stands.

use std::process::Command;

use tocsin_tests::{file, program};

fn check(arguments: &[&str]) -> String {
    let output = Command::new(program("connectd")).arg("--check").args(arguments).output().expect("connectd");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

const WORKER: &str = "bootstrap.servers: h:9092\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
                      offset.storage.file.filename: /tmp/o\n";

#[test]
fn problems_of_settings_on_the_command_line_do_not_name_the_file() {
    let dir = tempfile::tempdir().expect("folder");
    let worker = file(dir.path(), "worker.yaml", &format!("{WORKER}offset.flush.timeout.ms: soon\n"));
    let said = check(&["-c", &worker, "--set", "listeners=ftp://h:1", "--set", "bootstrap.servers=nowhere"]);
    let line =
        |part: &str| said.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("{part}: {said}")).to_owned();
    for key in ["listeners", "bootstrap.servers"] {
        assert!(line(key).starts_with("connectd: command line: "), "{said}");
    }
    assert!(line("offset.flush.timeout.ms").starts_with(&format!("connectd: {worker}: ")), "{said}");
}

#[test]
fn all_problems_of_a_worker_and_its_connectors_are_said_at_once() {
    let dir = tempfile::tempdir().expect("folder");
    let wrong = WORKER.replace("JsonConverter", "JsonConvertor").replace("h:9092", "h");
    let worker = file(dir.path(), "worker.yaml", &format!("{wrong}offset.flush.interval.ms: x\nlisteneres: x\n"));
    let connector = file(
        dir.path(),
        "c.yaml",
        "name: c\nconnector.class: webhook-sink\ntopics: t\nwebhook.url: http://h/\ntasks.max: many\n\
         http.timeout.ms: x\nhttp.token: a\nhttp.username: b\nhttp.proxy.username: u\ntopics.regex: (\n",
    );
    let said = check(&["-c", &worker, &connector, "/nonexistent"]);
    for part in [
        "bootstrap.servers: \"h\"",
        "value.converter: Class JsonConvertor could not be found",
        "offset.flush.interval.ms",
        "c.yaml:5: connector c: Invalid value many for configuration tasks.max",
        "http.token and http.username exclude each other",
        "http.proxy.username needs http.proxy",
        "Invalid value ( for configuration topics.regex: Invalid regex: Unclosed group near index 1",
        "/nonexistent: there is no such file or folder",
    ] {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
    // What has no effect is told, too, whatever else is wrong.
    let warned =
        format!("connectd: warning: {worker}: the worker setting listeneres is unknown and has no effect; did you");
    for part in [warned.as_str(), "c.yaml:6: connector c: the setting http.timeout.ms is unknown to webhook-sink"] {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
    assert!(said.lines().all(|line| line.starts_with("connectd: ")), "a line each:\n{said}");
}

#[test]
fn problems_of_a_distributed_workers_topics_and_clients_are_said_with_all_others() {
    let dir = tempfile::tempdir().expect("folder");
    let worker = file(
        dir.path(),
        "worker.properties",
        "bootstrap.servers=h:9092\ngroup.id=g\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schema.enable=false\nconfig.storage.topic=one\noffset.storage.topic=one\n\
         status.storage.topic=one\noffset.flush.interval.ms=abc\nsecurity.protocol=FOO\nproducer.acks=0\n\
         producer.lingr.ms=5\nconsumer.auto.offset.reset=foo\n",
    );
    let connectors = dir.path().join("connectors");
    std::fs::create_dir_all(connectors.join("inside")).expect("folder");
    std::fs::write(connectors.join("inside/c.yaml"), "name: c").expect("a file");
    std::fs::create_dir_all(connectors.join("data")).expect("folder");
    file(&connectors, ".hidden.properties", "name=hidden\n");
    file(&connectors, "c.yaml", "name: c\nconnector.class: file-sink\ntopics: t\nfile: /tmp/out\n");
    let said = check(&["-c", &worker, &connectors.to_string_lossy()]);
    for part in [
        "worker.properties: offset.storage.topic: the topic one is the one of config.storage.topic, too",
        "offset.flush.interval.ms",
        "worker.properties: security.protocol: FOO is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        "worker.properties: consumer.auto.offset.reset: ",
        "has no effect; did you mean value.converter.schemas.enable?",
        "it is ignored; did you mean producer.linger.ms?",
        "producer.acks=0: records that Kafka loses count as stored",
        "connectors: folders inside are not looked into: inside; ",
    ] {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
    assert_eq!(said.matches("FOO").count(), 1, "once:\n{said}");
    assert!(!said.contains("hidden"), "{said}");
}
