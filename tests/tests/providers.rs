//! References to config providers: resolved where they are used, seen nowhere.

use std::{fs, time::Duration};

use connect_kafka::RawRecord;
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "hunter2-of-the-file";

struct Place {
    dir: tempfile::TempDir,
    kafka: Kafka,
}

impl Place {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn reference(&self, key: &str) -> String {
        format!("${{file:{}:{key}}}", self.path("secrets.properties"))
    }

    /// A distributed worker whose brokers' address, too, comes from a file, for all but `plugin.path`.
    fn start(&self) -> Connectd {
        fs::write(self.path("bootstrap"), self.kafka.bootstrap()).expect("file");
        let worker = file(
            self.dir.path(),
            "worker.properties",
            &format!(
                "bootstrap.servers=${{dir:{dir}:bootstrap}}\nplugin.path=${{dir:{dir}:bootstrap}}\n\
                 group.id=cluster\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
                 config.storage.topic=configs\nconfig.storage.replication.factor=1\n\
                 offset.storage.topic=offsets\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n\
                 status.storage.topic=states\nstatus.storage.replication.factor=1\nstatus.storage.partitions=1\n\
                 config.providers=file,dir\n\
                 config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
                 config.providers.file.param.allowed.paths={dir}\n\
                 config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n",
                dir = self.dir.path().display()
            ),
        );
        Connectd::start(&["-c", &worker, "--log", "debug"], &self.dir.path().join("log"))
    }
}

#[test]
fn references_are_resolved_at_start_and_values_are_nowhere_to_be_seen() {
    if without("kafka") {
        return;
    }
    let place = Place { dir: tempfile::tempdir().expect("folder"), kafka: Kafka::start().expect("kafka") };
    let reader = Reader::new(&place.kafka.bootstrap());
    reader.create(SECRET, 1, &[]);
    reader.create("second-topic", 1, &[]);
    fs::write(place.path("secrets.properties"), format!("topic={SECRET}\nbad=not-a-number\nms=5\n")).expect("secrets");
    fs::write(place.path("in.txt"), "one\n").expect("input");
    let mut connectd = place.start();
    let config = json!({
        "connector.class": "FileStreamSource", "file": place.path("in.txt"), "topic": place.reference("topic"),
        "producer.override.linger.ms": place.reference("ms"), "transforms": "t",
        "transforms.t.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.t.regex": "nothing", "transforms.t.replacement": place.reference("none")
    });
    let mut wrong = config.clone();
    wrong["name"] = "in".into();
    wrong["tasks.max"] = place.reference("bad").into();
    let (code, answer) = connectd.send("PUT", "/connector-plugins/FileStreamSource/config/validate", Some(&wrong));
    assert_eq!((code, &answer["error_count"]), (200, &json!(2)), "{answer}");
    let entry = |name: &str| {
        let all = answer["configs"].as_array().expect("configs");
        all.iter().find(|c| c["value"]["name"] == name).expect("entry")["value"].clone()
    };
    assert_eq!(entry("topic")["value"], place.reference("topic"));
    let text =
        format!("Invalid value {} for configuration tasks.max: Not a number of type INT", place.reference("bad"));
    let second = "Invalid value null for configuration tasks.max: Value must be non-null";
    assert_eq!(entry("tasks.max")["errors"], json!([text, second]));
    let gone = json!({
        "connector.class": "FileStreamSource", "name": "in", "topic": format!("${{file:{}:x}}", place.path("gone"))
    });
    let (code, answer) = connectd.send("PUT", "/connector-plugins/FileStreamSource/config/validate", Some(&gone));
    let text = answer["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(code, 500, "{text}");
    assert!(text.starts_with("org.apache.kafka.common.config.ConfigException: "), "{text}");
    assert!(text.contains("in topic: Could not read properties from file "), "{text}");
    assert_eq!(connectd.send("PUT", "/connectors/in/config", Some(&gone)).0, 500);

    assert_eq!(connectd.send("PUT", "/connectors/in/config", Some(&config)).0, 201);
    connectd.await_state("in", "RUNNING");
    reader.until(SECRET, SOON, |all| all.iter().any(|r| r.value.as_deref() == Some(b"one")));
    let (_, stored) = connectd.get("/connectors/in");
    assert_eq!(stored["config"]["topic"], place.reference("topic"));
    let (_, tasks) = connectd.get("/connectors/in/tasks");
    assert_eq!(tasks[0]["config"]["topic"], place.reference("topic"), "{tasks}");

    // A restart of the connector takes up a new value, and its tasks do.
    fs::write(place.path("secrets.properties"), "topic=second-topic\nms=5\n").expect("secrets");
    assert_eq!(connectd.send("POST", "/connectors/in/restart", None).0, 204);
    fs::write(place.path("in.txt"), "one\ntwo\n").expect("input");
    reader.until("second-topic", SOON, |all| all.iter().any(|r| r.value.as_deref() == Some(b"two")));

    // What cannot be read any more fails the task at its start, and the state says why.
    fs::remove_file(place.path("secrets.properties")).expect("remove");
    connectd.send("POST", "/connectors/in/tasks/0/restart", None);
    let trace = wait("the task to fail", SOON, || {
        let (_, status) = connectd.get("/connectors/in/status");
        (status["tasks"][0]["state"] == "FAILED").then(|| status["tasks"][0]["trace"].to_string())
    });
    assert!(trace.contains("Could not read properties from file"), "{trace}");
    fs::write(place.path("secrets.properties"), format!("topic={SECRET}\nms=5\n")).expect("secrets");
    connectd.send("POST", "/connectors/in/tasks/0/restart", None);
    connectd.await_state("in", "RUNNING");

    // Offsets of a sink are those of the group that the reference stands for.
    fs::write(place.path("group"), "the-group").expect("file");
    let group = format!("${{dir:{}:group}}", place.dir.path().display());
    let sink = json!({
        "connector.class": "FileStreamSink", "topics": "second-topic", "file": place.path("out.txt"),
        "consumer.override.group.id": group
    });
    assert_eq!(connectd.send("PUT", "/connectors/out/config", Some(&sink)).0, 201);
    wait("the sink's lines", SOON, || fs::read_to_string(place.path("out.txt")).ok().filter(|t| t.contains("two")));
    assert_eq!(connectd.send("PUT", "/connectors/out/stop", None).0, 204);
    let (_, offsets) = connectd.get("/connectors/out/offsets");
    assert_eq!(offsets["offsets"][0]["partition"]["kafka_topic"], "second-topic", "{offsets}");

    // A failure that is about the value itself.
    let failing = json!({
        "connector.class": "FileStreamSource", "file": place.path("in.txt"), "topic": "x y/".to_owned() + &place.reference("topic")
    });
    let (_, answer) = connectd.send("PUT", "/connectors/failing/config", Some(&failing));
    assert!(answer.to_string().contains("${file:"), "it is about the value: {answer}");
    let shown = |what: &str, answer: &Json| assert!(!answer.to_string().contains(SECRET), "{what}: {answer}");
    shown("the answer to a wrong setting", &answer);
    for path in
        ["/connectors?expand=info&expand=status", "/connectors/in", "/connectors/in/tasks", "/connectors/in/status"]
    {
        shown(path, &connectd.get(path).1);
    }
    assert!(connectd.terminate().1, "it ends well");
    let log = connectd.log_text();
    assert!(!log.contains(SECRET), "the log shows the value");
    assert!(log.contains("has no \"none\""), "the log tells of a reference without value:\n{log}");
    for topic in ["configs", "states"] {
        reader.write(topic, "last", Some(b"{}"));
        let all = reader.until(topic, SOON, |all| all.iter().any(|r| r.key.as_deref() == Some(b"last")));
        // Topics that connectors use are noted by their names, wherever the names come from.
        let noted = |r: &RawRecord| r.key.as_deref().is_some_and(|k| k.starts_with(b"status-topic-"));
        for record in all.iter().filter(|r| !noted(r)) {
            let text = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
            assert!(!text.contains(SECRET), "{topic}: {text}");
        }
    }
}
