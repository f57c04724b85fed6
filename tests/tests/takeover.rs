//! State passes between Kafka Connect and this worker, both ways: the same files, topics and groups, with a dead letter
//! queue and bad records before, between and after.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, KafkaConnect, Server, without};

const SOON: Duration = Duration::from_secs(90);
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A source that writes the lines of a file to a topic, and a sink that writes them to a file or, where they are no
/// JSON, to the dead letters; the worker that runs them changes.
struct Place {
    kafka: Kafka,
    reader: Reader,
    dir: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    http: reqwest::blocking::Client,
    /// How many lines there are, bad ones included.
    lines: usize,
}

impl Place {
    fn start(partitions: i32, settings: &[(&'static str, &str)]) -> Self {
        let kafka = Kafka::start().expect("kafka");
        let reader = Reader::new(&kafka.bootstrap());
        reader.create("lines", partitions, &[]);
        let dir = tempfile::tempdir().expect("folder");
        let common = [("key.converter", STRING), ("value.converter", STRING), ("offset.flush.interval.ms", "500")];
        let own = |text: &str| text.replace("$DIR", &dir.path().to_string_lossy());
        let settings = common.iter().chain(settings).map(|(k, v)| (*k, own(v))).collect();
        Self { kafka, reader, dir, settings, http: reqwest::blocking::Client::new(), lines: 0 }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(k, v)| (*k, v.as_str())).collect()
    }

    /// The same settings in a file of our worker.
    fn worker(&self) -> String {
        let mut text = format!("bootstrap.servers={}\n", self.kafka.bootstrap());
        for (key, value) in &self.settings {
            writeln!(text, "{key}={value}").expect("text");
        }
        file(self.dir.path(), "worker.properties", &text)
    }

    fn ours(&self, worker: &str) -> Connectd {
        Connectd::start(&["-c", worker], &self.dir.path().join("log"))
    }

    fn source(&self) -> Json {
        json!({ "connector.class": "FileStreamSource", "tasks.max": "1", "file": self.path("in.txt"), "topic": "lines" })
    }

    fn sink(&self) -> Json {
        json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "2",
            "topics": "lines", "file": self.path("out.txt"),
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
            "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true"
        })
    }

    /// Adds ten lines, of which every third is bad.
    fn add(&mut self) {
        self.lines += 10;
        let text: String = (0..self.lines).map(|n| format!("{}\n", line(n))).collect();
        fs::write(self.path("in.txt"), text).expect("input");
    }

    /// Waits until each line has arrived, and says what has arrived more than once.
    fn arrived(&self) {
        let mut wanted: [BTreeMap<String, usize>; 2] = Default::default();
        for n in 0..self.lines {
            wanted[usize::from(is_bad(n))].insert(line(n), 1);
        }
        wait(&format!("{} lines", self.lines), SOON, || {
            let out = fs::read_to_string(self.path("out.txt")).unwrap_or_default();
            let dead = self.reader.all("dead");
            let dead =
                dead.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned());
            let found = [count(out.lines().map(str::to_owned)), count(dead)];
            let twice: Vec<&String> = found.iter().flatten().filter(|(_, n)| **n > 1).map(|(line, _)| line).collect();
            assert!(twice.is_empty(), "came twice: {twice:?}");
            (found == wanted).then_some(())
        });
        for letter in self.reader.all("dead") {
            let stage =
                letter.headers.iter().find(|(name, _)| &**name == "__connect.errors.stage").map(|(_, v)| v.clone());
            assert_eq!(stage.flatten().as_deref(), Some(b"VALUE_CONVERTER".as_slice()), "{letter:?}");
        }
        let topic = self.reader.all("lines");
        assert_eq!(topic.len(), self.lines, "what the source has written");
    }

    /// What a worker does in its turn: goes on with what came before it, and with what comes.
    fn turn(&mut self) {
        self.arrived();
        self.add();
        self.arrived();
    }

    fn get(&self, url: String) -> Json {
        self.http.get(&url).send().and_then(|r| r.json()).unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    /// What is shown of the sink and is stored.
    fn shown(&self, base: &str) -> [Json; 2] {
        ["tasks", "config"].map(|what| self.get(format!("{base}/connectors/out/{what}")))
    }

    fn create(&self, base: &str, name: &str, config: &Json) {
        wait(&format!("{name} to be created"), SOON, || {
            let url = format!("{base}/connectors/{name}/config");
            let answer = self.http.put(url).json(config).send().expect("request");
            // A worker that rebalances says 409.
            let code = answer.status().as_u16();
            assert!([200, 201, 409].contains(&code), "{:?}", answer.text());
            (code != 409).then_some(())
        });
    }

    fn create_both(&self, base: &str) {
        self.create(base, "in-1", &self.source());
        self.create(base, "out", &self.sink());
    }

    fn await_running(&self, base: &str) {
        for name in ["in-1", "out"] {
            wait(&format!("{name} to run on {base}"), SOON, || {
                let status = self.get(format!("{base}/connectors/{name}/status"));
                let all = status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING";
                all.then_some(())
            });
        }
    }
}

fn is_bad(n: usize) -> bool {
    n % 3 == 2
}

/// Numbers are JSON; the others are none.
fn line(n: usize) -> String {
    if is_bad(n) { format!("{{bad {n}") } else { n.to_string() }
}

fn count(lines: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    lines.for_each(|line| *all.entry(line).or_default() += 1);
    all
}

#[test]
fn a_standalone_worker_goes_on_where_the_other_one_stopped() {
    if without("kafka") {
        return;
    }
    let mut place = Place::start(1, &[("offset.storage.file.filename", "$DIR/offsets")]);
    // Standalone workers forget their connectors.
    place.add();
    let mut theirs = KafkaConnect::standalone(&place.kafka.bootstrap(), &place.settings()).expect("kafka connect");
    let url = theirs.url();
    place.create_both(&url);
    place.turn();
    theirs.stop().expect("stop kafka connect");

    place.add();
    let mut ours = place.ours(&place.worker());
    place.create_both(ours.url());
    place.turn();
    assert!(ours.terminate().1, "connectd ends well");

    place.add();
    theirs.start_again().expect("start kafka connect again");
    place.create_both(&url);
    place.turn();
}

#[test]
fn a_distributed_worker_takes_over_from_kafka_connect_and_hands_back() {
    if without("kafka") {
        return;
    }
    let mut place = Place::start(
        2,
        &[
            ("group.id", "cluster"),
            ("config.storage.topic", "cluster-configs"),
            ("config.storage.replication.factor", "1"),
            ("offset.storage.topic", "cluster-offsets"),
            ("offset.storage.replication.factor", "1"),
            ("offset.storage.partitions", "3"),
            ("status.storage.topic", "cluster-status"),
            ("status.storage.replication.factor", "1"),
            ("plugin.discovery", "hybrid_warn"),
        ],
    );
    let other =
        |file: &str, topic: &str| json!({ "connector.class": "FileStreamSource", "file": file, "topic": topic });

    // Kafka Connect begins: a source, a sink, and one that is stopped.
    place.add();
    let mut theirs = KafkaConnect::distributed(&place.kafka.bootstrap(), &place.settings()).expect("kafka connect");
    let url = theirs.url();
    place.create_both(&url);
    place.create(&url, "idle", &other(&place.path("none.txt"), "none"));
    wait("the stop", SOON, || {
        (place.http.put(format!("{url}/connectors/idle/stop")).send().expect("request").status() == 204).then_some(())
    });
    place.await_running(&url);
    place.turn();
    let before = place.shown(&url);
    theirs.stop().expect("stop kafka connect");

    // This worker goes on with what it finds.
    place.add();
    let worker = place.worker();
    let mut ours = place.ours(&worker);
    let url_of_ours = ours.url().to_owned();
    place.await_running(&url_of_ours);
    place.turn();
    assert_eq!(place.shown(&url_of_ours), before);
    assert_eq!(ours.states("idle"), ("STOPPED".to_owned(), Vec::new()));
    let second = Connectd::refused(&["-c", &worker], &place.dir.path().join("second"));
    assert!(second.contains("group.id=cluster: another worker is its member"), "{second}");
    place.create(&url_of_ours, "extra", &other(&place.path("in.txt"), "extra"));
    assert_eq!(ours.send("PUT", "/connectors/extra/pause", None).0, 202);
    assert_eq!(ours.send("DELETE", "/connectors/idle", None).0, 204);
    ours.await_state("extra", "PAUSED");
    assert!(ours.terminate().1, "connectd ends well");

    // And hands it back.
    place.add();
    theirs.start_again().expect("start kafka connect again");
    place.await_running(&url);
    place.turn();
    wait("the paused one", SOON, || {
        let status = place.get(format!("{url}/connectors/extra/status"));
        (status["connector"]["state"] == "PAUSED" && status["tasks"][0]["state"] == "PAUSED").then_some(())
    });
    assert_eq!(place.get(format!("{url}/connectors/idle/status"))["error_code"], 404);
}
