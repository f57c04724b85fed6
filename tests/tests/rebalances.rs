//! Rebalances while a sink's receiver is away: whoever has the partitions in the end puts their records, and no offset is
//! committed of a record that was not put.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use tokio::runtime::Runtime;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);
const RECORDS: usize = 400;

/// Takes as many requests as it may, and answers all others with 503.
#[derive(Clone, Default)]
struct Gate {
    /// How many more it takes.
    open: Arc<Mutex<usize>>,
    stored: Arc<Mutex<BTreeSet<String>>>,
}

impl Gate {
    fn open(&self, requests: usize) {
        *self.open.lock().expect("lock") = requests;
    }

    fn stored(&self) -> usize {
        self.stored.lock().expect("lock").len()
    }
}

impl Respond for Gate {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut open = self.open.lock().expect("lock");
        if *open == 0 {
            return ResponseTemplate::new(503);
        }
        *open -= 1;
        let all: Vec<serde_json::Value> = serde_json::from_slice(&request.body).expect("an array");
        self.stored.lock().expect("lock").extend(all.iter().map(ToString::to_string));
        ResponseTemplate::new(202)
    }
}

struct World {
    _runtime: Runtime,
    _server: MockServer,
    gate: Gate,
    kafka: Kafka,
    reader: Reader,
    dir: tempfile::TempDir,
    worker: String,
    url: String,
}

impl World {
    fn start() -> Self {
        let (kafka, runtime) = (Kafka::start().expect("kafka"), Runtime::new().expect("runtime"));
        let reader = Reader::new(&kafka.bootstrap());
        reader.create("t", 4, &[]);
        let gate = Gate::default();
        let server = runtime.block_on(async {
            let server = MockServer::builder().disable_request_recording().start().await;
            Mock::given(any()).respond_with(gate.clone()).mount(&server).await;
            server
        });
        let dir = tempfile::tempdir().expect("folder");
        let text = format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
            kafka.bootstrap(),
            dir.path().join("offsets").display()
        );
        let worker = file(dir.path(), "worker.properties", &text);
        let url = server.uri();
        Self { _runtime: runtime, _server: server, gate, kafka, reader, dir, worker, url }
    }

    /// A worker with a sink that has seen that its receiver is away.
    fn sink(&self, log: &str, more: &[(&str, &str)]) -> Connectd {
        let connectd = Connectd::start(&["-c", &self.worker], &self.dir.path().join(log));
        let mut config = json!({
            "connector.class": "webhook-sink",
            "topics": "t",
            "webhook.url": self.url,
            "webhook.batch.format": "array",
        });
        for (key, value) in more {
            config[*key] = json!(value);
        }
        let (status, answer) = connectd.send("PUT", "/connectors/out/config", Some(&config));
        assert_eq!(status, 201, "{answer}");
        connectd.await_state("out", "RUNNING");
        connectd
    }

    fn fill(&self) {
        let records = (0..RECORDS).map(|n| (format!("k{n}"), Some(n.to_string().into_bytes())));
        self.reader.write_all("t", records);
    }

    fn await_all(&self) {
        let mut last = (0, Instant::now());
        while self.gate.stored() < RECORDS {
            let stored = self.gate.stored();
            if stored > last.0 {
                last = (stored, Instant::now());
            }
            assert!(last.1.elapsed() < SOON, "{stored} of {RECORDS} records came");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn await_trouble(connectd: &Connectd) {
    wait("a put that is tried again", SOON, || {
        let status = connectd.get("/connectors/out/status").1;
        status["tasks"][0]["detail"]["retrying"].as_str()?.contains("503").then_some(())
    });
}

#[test]
fn tasks_go_on_after_a_rebalance_while_the_receiver_was_away() {
    if without("kafka") {
        return;
    }
    let world = World::start();
    let connectd = world.sink("log", &[("tasks.max", "2")]);
    world.fill();
    await_trouble(&connectd);
    assert_eq!(connectd.send("POST", "/connectors/out/tasks/1/restart", None).0, 204);
    // The other task gives its partitions up and gets them back while it is waiting for the receiver.
    wait("partitions that went and came back", SOON, || {
        let text = connectd.log_text();
        let task = |what: &str| text.matches(&format!("task{{task=0}}: {what}")).count();
        (task("handing over") > 0 && task("assigned t-") > 1).then_some(())
    });
    world.gate.open(usize::MAX);
    world.await_all();
}

#[test]
fn what_went_and_came_back_while_the_receiver_was_away_is_not_committed_before_it_is_put() {
    if without("kafka") {
        return;
    }
    let world = World::start();
    let sticky = ("consumer.override.partition.assignment.strategy", "cooperative-sticky");
    let more = [sticky, ("put.linger.ms", "1500")];
    let connectd = world.sink("log", &more);
    world.fill();
    await_trouble(&connectd);
    let other: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", world.kafka.bootstrap())
        .set("group.id", "connect-out")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .create()
        .expect("consumer");
    other.subscribe(&["t"]).expect("subscribing");
    wait("partitions of the other member", SOON, || {
        drop(other.poll(Duration::from_millis(50)));
        other.assignment().ok().filter(|all| all.count() > 0).map(|_| ())
    });
    drop(other);
    wait("the partitions to be back", SOON, || {
        (connectd.log_text().matches("task{task=0}: assigned t-").count() > 1).then_some(())
    });
    // What the task still had in hand is taken, and nothing of what it read again.
    world.gate.open(1);
    wait("a request to be taken", SOON, || (world.gate.stored() > 0).then_some(()));
    wait("a commit of what was taken", SOON, || {
        let offsets = connectd.get("/connectors/out/offsets").1;
        offsets["offsets"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    });
    assert!(world.gate.stored() < RECORDS, "the test needs records that were not taken");
    drop(connectd);
    world.gate.open(usize::MAX);
    let _again = world.sink("again", &more);
    world.await_all();
}
