//! Kafka Connect and this worker side by side: distributed workers of one Kafka, each with a folder, topics and groups
//! of its own, that are asked the same.
//!
//! What belongs to a side is written `$SIDE` (in names of topics, groups, connectors) and `$DIR` (its folder) in requests
//! and settings, and reads so in answers; its address reads `$WORKER`. Both names are of one length, so that places in
//! texts are the same, too.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::blocking::Client;
use serde_json::Value as Json;
use xtask::servers::{Kafka, KafkaConnect, Server};

use crate::{Connectd, file, kafka::Reader, wait};

/// The longest wait for what a busy machine takes its time for.
pub const SOON: Duration = Duration::from_secs(90);

/// A worker of either kind.
pub struct Side {
    name: &'static str,
    url: String,
    dir: PathBuf,
    client: Client,
}

/// What a side answered, in the words that both have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Content-Type`; empty if there is none.
    pub content_type: String,
    /// `Location`; empty if there is none.
    pub location: String,
    /// Body.
    pub text: String,
}

impl Answer {
    /// The body; null if it is not JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or(Json::Null)
    }

    /// Whether it is what a JVM worker says for a moment after each change.
    fn for_a_moment(&self) -> bool {
        self.status >= 409 && ["momentarily", "a rebalance is expected"].iter().any(|part| self.text.contains(part))
    }
}

impl Side {
    /// Its name, which stands for `$SIDE`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its folder, which stands for `$DIR`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Address of its REST API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A text with the side's own in place of what stands for it.
    pub fn own(&self, text: &str) -> String {
        text.replace("$DIR", &self.dir.to_string_lossy()).replace("$SIDE", self.name)
    }

    /// A text without the side's own.
    pub fn common(&self, text: &str) -> String {
        let authority = self.url.trim_start_matches("http://");
        text.replace(&*self.dir.to_string_lossy(), "$DIR").replace(authority, "$WORKER").replace(self.name, "$SIDE")
    }

    /// Any request. What Kafka Connect refuses only as long as it rebalances is asked again.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        wait("the end of rebalances", SOON, || {
            let answer = self.ask_once(method, path, headers, body);
            (!answer.for_a_moment()).then_some(answer)
        })
    }

    /// Any request, whatever comes.
    pub fn ask_once(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let method: reqwest::Method = method.parse().expect("method");
        let url = format!("{}{}", self.url, self.own(path));
        let mut request = self.client.request(method, &url).timeout(SOON);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(self.own(body));
        }
        let answer = request.send().unwrap_or_else(|e| panic!("{url}: {e:?}"));
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            self.common(value.unwrap_or_default())
        };
        let (content_type, location) = (header("content-type"), header("location"));
        let status = answer.status().as_u16();
        Answer { status, content_type, location, text: self.common(&answer.text().expect("text")) }
    }

    /// A request with a body of JSON, or without body.
    pub fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let headers: &[_] = if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        self.ask(method, path, headers, body)
    }

    /// The JSON of a `GET`.
    pub fn get(&self, path: &str) -> Json {
        self.send("GET", path, None).json()
    }

    /// State of a connector and those of its tasks.
    pub fn states(&self, connector: &str) -> (String, Vec<String>) {
        let status = self.get(&format!("/connectors/{connector}/status"));
        let text = |v: &Json| v["state"].as_str().unwrap_or_default().to_owned();
        let tasks = status["tasks"].as_array().into_iter().flatten().map(text).collect();
        (text(&status["connector"]), tasks)
    }

    /// The offsets of a connector, of whatever kind, in no particular order.
    pub fn positions(&self, connector: &str) -> Vec<i64> {
        let body = self.get(&format!("/connectors/{connector}/offsets"));
        let of = |o: &Json| o["offset"]["position"].as_i64().or(o["offset"]["kafka_offset"].as_i64());
        body["offsets"].as_array().into_iter().flatten().filter_map(of).collect()
    }
}

/// Both workers and what they run on. Dropping it ends them.
pub struct Sides {
    /// Kafka Connect's side, then ours.
    pub both: [Side; 2],
    /// Our worker.
    pub connectd: Connectd,
    /// Kafka Connect.
    pub connect: KafkaConnect,
    /// The broker of both.
    pub kafka: Kafka,
    /// Reads and writes its topics.
    pub reader: Reader,
    _dir: tempfile::TempDir,
}

impl Sides {
    /// Starts a broker and both workers, with string converters and frequent commits unless the settings say otherwise.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let kafka = Kafka::start().expect("kafka");
        let reader = Reader::new(&kafka.bootstrap());
        let dir = tempfile::tempdir().expect("folder");
        let folder = |name: &str| {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).expect("folder");
            folder
        };
        let side = |name: &'static str| Side { name, url: String::new(), dir: folder(name), client: Client::new() };
        let mut both = [side("side-a"), side("side-b")];
        let [theirs, ours] = both.each_ref().map(|side| worker_settings(side, settings));
        let theirs: Vec<(&str, &str)> = theirs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let connect = KafkaConnect::distributed(&kafka.bootstrap(), &theirs).expect("kafka connect");
        let text: String = ours.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        let worker = file(dir.path(), "worker.properties", &format!("bootstrap.servers={}\n{text}", kafka.bootstrap()));
        let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
        both[0].url = connect.url();
        both[1].url = connectd.url().to_owned();
        Self { both, connectd, connect, kafka, reader, _dir: dir }
    }

    /// Everything that Kafka Connect has logged.
    pub fn their_log(&self) -> String {
        self.connect.process().log()
    }

    /// Stops our worker in good order and starts it again.
    pub fn restart_ours(&mut self) {
        assert!(self.connectd.terminate().1, "connectd ends well");
        self.connectd.start_again();
        self.both[1].url = self.connectd.url().to_owned();
    }
}

/// A worker's settings with the names of its own group and topics.
fn worker_settings(side: &Side, further: &[(&str, &str)]) -> Vec<(String, String)> {
    const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
    let own = [
        ("group.id", "$SIDE"),
        ("key.converter", STRING),
        ("value.converter", STRING),
        ("config.storage.topic", "$SIDE-configs"),
        ("config.storage.replication.factor", "1"),
        ("offset.storage.topic", "$SIDE-offsets"),
        ("offset.storage.replication.factor", "1"),
        ("offset.storage.partitions", "2"),
        ("status.storage.topic", "$SIDE-status"),
        ("status.storage.replication.factor", "1"),
        ("offset.flush.interval.ms", "500"),
        ("plugin.discovery", "hybrid_warn"),
    ];
    let mut all: Vec<(String, String)> = Vec::new();
    for (key, value) in own.iter().chain(further) {
        all.retain(|(known, _)| known != key);
        all.push(((*key).to_owned(), side.own(value)));
    }
    all
}
