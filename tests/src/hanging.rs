//! A distributed worker whose plugins hang where they are told to; see `connect_testkit::hanging`.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use xtask::servers::Kafka;

use crate::{Connectd, file, kafka::Reader, wait};

const SOON: Duration = Duration::from_secs(60);

/// The worker, on a Kafka of its own.
pub struct Hanging {
    /// Kafka.
    pub kafka: Kafka,
    /// Reads its topics.
    pub reader: Reader,
    /// The worker; tasks have a second to stop.
    pub connectd: Connectd,
    dir: tempfile::TempDir,
}

impl Hanging {
    /// Starts both.
    pub fn start() -> Self {
        Self::patient(Duration::from_secs(1))
    }

    /// As [`Hanging::start`], with a worker whose tasks have so long to stop.
    pub fn patient(grace: Duration) -> Self {
        let kafka = Kafka::start().expect("kafka");
        let dir = tempfile::tempdir().expect("folder");
        let worker = format!(
            "bootstrap.servers: {}\ngroup.id: hanging\n\
             key.converter: StringConverter\nvalue.converter: StringConverter\n\
             config: {{ storage.topic: hanging-configs, storage.replication.factor: 1 }}\n\
             offset: {{ storage.topic: hanging-offsets, storage.replication.factor: 1, storage.partitions: 1, flush.interval.ms: 200 }}\n\
             status: {{ storage.topic: hanging-status, storage.replication.factor: 1 }}\n\
             state: {{ storage.topic: hanging-state, storage.replication.factor: 1 }}\n\
             task.shutdown.graceful.timeout.ms: {}\n",
            kafka.bootstrap(),
            grace.as_millis()
        );
        let worker = file(dir.path(), "worker.yaml", &worker);
        let connectd =
            Connectd::start_program(crate::program("connectd-hanging"), &["-c", &worker], &dir.path().join("log"));
        Self { reader: Reader::new(&kafka.bootstrap()), kafka, connectd, dir }
    }

    /// The folder by which the test and a connector speak.
    pub fn folder(&self, connector: &str) -> PathBuf {
        self.dir.path().join(connector)
    }

    /// Settings of a source or sink that hangs there, once. It writes to the topic of its name, or reads from it.
    pub fn config(&self, class: &str, name: &str, place: &str, how: &str) -> Json {
        fs::create_dir_all(self.folder(name)).expect("folder");
        let mut config = json!({
            "name": name, "connector.class": class, "tasks.max": "1",
            "hang.in": place, "hang.how": how, "hang.folder": self.folder(name),
        });
        config[if class.ends_with("sink") { "topics" } else { "topic" }] = name.into();
        if place == "transform" {
            config["hang.in"] = "nowhere".into();
            config["transforms"] = "hang".into();
            for (key, value) in [("type", json!("Hanging")), ("hang.in", json!(place)), ("hang.how", json!(how))] {
                config[format!("transforms.hang.{key}")] = value;
            }
            config["transforms.hang.hang.folder"] = json!(self.folder(name));
        }
        config
    }

    /// Waits until the connector hangs.
    pub fn await_begun(&self, name: &str) {
        wait(&format!("{name} to hang"), SOON, || self.folder(name).join("begun").exists().then_some(()));
    }

    /// Lets it go on.
    pub fn let_go(&self, name: &str) {
        fs::write(self.folder(name).join("go"), "").expect("go");
    }

    /// A request, and how long it took.
    pub fn timed(&self, method: &str, path: &str, body: Option<&Json>) -> (Duration, u16, Json) {
        let began = Instant::now();
        let (status, body) = self.connectd.send(method, path, body);
        (began.elapsed(), status, body)
    }
}
