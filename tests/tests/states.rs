//! States tell the truth when something is in the way: Kafka that hangs, topics and folders that are missing, a
//! schema registry that is away.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(60);

/// A member whose coordinator has forgotten it while Kafka hung notices at the end of its session, after 45 s, and then
/// joins its group again.
const WELL: Duration = Duration::from_secs(180);

fn worker(folder: &Path, bootstrap: &str) -> String {
    let text = format!(
        "bootstrap.servers: {bootstrap}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}/state/offsets, flush.interval.ms: 500 }}\n",
        folder.display()
    );
    fs::create_dir_all(folder.join("state")).expect("folder");
    file(folder, "worker.yaml", &text)
}

fn retrying(connectd: &Connectd, connector: &str) -> Option<String> {
    let (_, status) = connectd.get(&format!("/connectors/{connector}/status"));
    status["tasks"][0]["detail"]["retrying"].as_str().map(str::to_owned)
}

fn await_trouble(connectd: &Connectd, connector: &str, words: &str) -> String {
    wait(&format!("{connector} to say: {words}"), SOON, || {
        retrying(connectd, connector).filter(|text| text.contains(words))
    })
}

fn await_health(connectd: &Connectd, connector: &str) {
    wait(&format!("{connector} to be well, not {:?}", retrying(connectd, connector)), WELL, || {
        retrying(connectd, connector).is_none().then_some(())
    });
    connectd.await_state(connector, "RUNNING");
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn states_name_what_is_in_the_way_and_take_it_back() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start_with(&[("auto.create.topics.enable", "false")]).expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("numbers", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let shown = |name: &str| path(name).display().to_string();
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka.bootstrap())], &path("log"));
    let create = |name: &str, config: serde_json::Value| {
        let (code, body) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(code, 201, "{body}");
    };
    let append = |n: usize| {
        let text = fs::read_to_string(path("in.txt")).unwrap_or_default();
        fs::write(path("in.txt"), text + &"x\n".repeat(n)).expect("input");
    };

    // A topic that does not exist.
    create("late", json!({"connector.class": "file-sink", "topics": "numbers,not-yet", "file": shown("late.jsonl")}));
    let text = await_trouble(&connectd, "late", "does not exist");
    assert!(text.contains("the topic not-yet does not exist; create it"), "{text}");
    reader.create("not-yet", 1, &[]);
    reader.write("not-yet", "k", Some(b"v"));
    await_health(&connectd, "late");
    wait("the late topic's record", SOON, || (lines(&path("late.jsonl")) == 1).then_some(()));

    // Offsets that cannot be stored.
    append(10);
    create("in", json!({"connector.class": "file-source", "topic": "numbers", "file": shown("in.txt")}));
    wait("the first records", SOON, || (lines(&path("late.jsonl")) == 11).then_some(()));
    wait("the first offsets", SOON, || path("state/offsets").exists().then_some(()));
    fs::remove_dir_all(path("state")).expect("remove the folder");
    append(10);
    let text = await_trouble(&connectd, "in", "offset file");
    assert!(text.contains("committing source offsets"), "{text}");
    wait("records to go on", SOON, || (lines(&path("late.jsonl")) == 21).then_some(()));
    fs::create_dir(path("state")).expect("folder");
    await_health(&connectd, "in");
    assert!(path("state/offsets").exists());

    // Kafka hangs: connections stay open, nothing is answered.
    kafka.pause().expect("freeze kafka");
    append(10);
    let text = await_trouble(&connectd, "in", "acknowledged nothing");
    assert!(text.contains("10 records wait"), "{text}");
    await_trouble(&connectd, "late", "does not answer");
    for name in ["in", "late"] {
        connectd.await_state(name, "RUNNING");
    }
    kafka.resume().expect("thaw kafka");
    wait("records after the freeze", SOON, || (lines(&path("late.jsonl")) >= 31).then_some(()));
    await_health(&connectd, "in");
    await_health(&connectd, "late");

    // A record that waits for the schema registry holds up neither rebalances nor the stop.
    let avro = |name: &str, retry: &str| {
        json!({
            "connector.class": "file-sink", "topics": "framed", "file": shown(name),
            "value.converter": "AvroConverter", "value.converter.schema.registry.url": "http://127.0.0.1:9",
            "errors.retry.timeout": retry
        })
    };
    reader.create("framed", 2, &[]);
    reader.write("framed", "k", Some(b"\0\0\0\0\x01\x02"));
    create("framed", avro("framed.jsonl", "-1"));
    await_trouble(&connectd, "framed", "the schema with id 1");
    let began = Instant::now();
    assert_eq!(connectd.send("PUT", "/connectors/framed/pause", None).0, 202);
    assert_eq!(connectd.send("DELETE", "/connectors/framed", None).0, 204);
    assert!(began.elapsed() < Duration::from_secs(4), "deleting took {:?}", began.elapsed());
}
