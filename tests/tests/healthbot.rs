//! HealthBot's notifications on real Kafka with a real registry: 200 means stored, whatever happens meanwhile.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::blocking::{Client, Response};
use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd,
    avro::{JLAB, Registry, jlab_fields},
    file,
    kafka::Reader,
    wait,
};
use xtask::servers::{self, Kafka, Port, Server, without};

const LIMIT: Duration = Duration::from_secs(30);
const ALARMS: &str = "active-alarms";

/// A broker, a registry, and `connectd` with a source that listens on a port that outlives its process.
struct System {
    // Before the servers, so that it is gone when they go.
    connectd: Connectd,
    kafka: Kafka,
    registry: servers::Registry,
    url: String,
    reader: Reader,
    http: Client,
    _port: Port,
    _dir: tempfile::TempDir,
}

impl System {
    fn start() -> Self {
        let (kafka, registry) = (Kafka::start().expect("kafka"), servers::Registry::start().expect("registry"));
        let reader = Reader::new(&kafka.bootstrap());
        reader.create(ALARMS, 1, &[("cleanup.policy", "compact")]);
        let (dir, port) = (tempfile::tempdir().expect("folder"), Port::claim().expect("port"));
        let (worker, source) = files(dir.path(), &kafka, &registry, &port);
        let connectd = Connectd::start(&["-c", &worker, &source], &dir.path().join("log"));
        connectd.await_state("healthbot", "RUNNING");
        let http = Client::builder().timeout(Duration::from_secs(20)).build().expect("client");
        let url = format!("http://{}/healthbot", port.address());
        Self { connectd, kafka, registry, url, reader, http, _port: port, _dir: dir }
    }

    fn post(&self, body: &Json) -> Response {
        self.http.post(&self.url).json(body).send().expect("an answer")
    }
}

fn files(dir: &Path, kafka: &Kafka, registry: &servers::Registry, port: &Port) -> (String, String) {
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: AvroConverter\n\
         value.converter.schema.registry.url: {}\noffset.storage.file.filename: {}\n",
        kafka.bootstrap(),
        registry.url(),
        dir.join("offsets").display()
    );
    let source = format!(
        "name: healthbot\nconnector.class: webhook-source\n\
         webhook: {{ listen: '{}', format: healthbot, ack.timeout.ms: 2000 }}\n",
        port.address()
    );
    (file(dir, "worker.yaml", &worker), file(dir, "healthbot.yaml", &source))
}

fn notification(device: &str, severity: &str) -> Json {
    json!({
        "device-id": device, "group": "edge", "keys": { "_instance_id": "0" }, "message": "temperature above 60",
        "rule": "temperature", "severity": severity, "topic": "chassis.temperature", "trigger": "high"
    })
}

fn key(device: &str) -> String {
    format!("edge/{device}/chassis.temperature/temperature/high/_instance_id=0")
}

#[test]
fn a_notification_is_an_alarm_that_jlabs_readers_know_and_normal_clears_it() {
    if ["kafka", "registry"].into_iter().any(without) {
        return;
    }
    let system = System::start();
    let schemas = Registry::new(&system.registry.url());
    for (severity, priority) in [("major", "P2_PROPERTY"), ("minor", "P3_PRODUCTIVITY")] {
        let answer = system.post(&notification("edge-1", severity));
        assert_eq!(answer.status(), 200, "{:?}", answer.text());
        // It was answered, so it is there: what is read of the topic from now on holds it.
        let record = system.reader.latest(ALARMS, &key("edge-1"), Duration::from_secs(5), |r| {
            r.and_then(|r| r.value.as_deref()).is_some_and(|v| jlab_fields(&schemas.decode(v, JLAB)).0 == priority)
        });
        let header = |name: &str| record.headers.iter().any(|(k, v)| &**k == name && v.is_some());
        assert!(["user", "producer", "host"].into_iter().all(header), "{:?}", record.headers);
    }
    // The same once more changes nothing, and nothing is written.
    assert_eq!(system.post(&notification("edge-1", "minor")).status(), 200);
    assert_eq!(system.post(&notification("edge-1", "normal")).status(), 200);
    let all = system.reader.until(ALARMS, Duration::from_secs(5), |all| all.last().is_some_and(|r| r.value.is_none()));
    assert_eq!(all.len(), 3, "raised, changed, cleared");
    assert!(all.iter().all(|r| r.key.as_deref() == Some(key("edge-1").as_bytes())));

    malformed(&system);
    // The source goes on, and nothing of what was refused stands before this one.
    assert_eq!(system.post(&notification("edge-3", "major")).status(), 200);
    let all = system
        .reader
        .until(ALARMS, LIMIT, |all| all.iter().any(|r| r.key.as_deref() == Some(key("edge-3").as_bytes())));
    assert_eq!(all.len(), 4);
    system.connectd.await_state("healthbot", "RUNNING");
}

/// Refusals name the field.
fn malformed(system: &System) {
    let with = |member: &str, value: Json| {
        let mut body = notification("edge-2", "major");
        body[member] = value;
        body.to_string()
    };
    let without = |member: &str| {
        let mut body = notification("edge-2", "major");
        body.as_object_mut().expect("object").remove(member);
        body.to_string()
    };
    for (body, parts) in [
        ("{\"severity\":".to_owned(), ["the body is not JSON", ""]),
        ("[]".to_owned(), ["the body: expected an object", "a list"]),
        (with("severity", json!("critical")), ["severity: expected one of major, minor, normal", "critical"]),
        (without("severity"), ["severity", "missing"]),
        (with("keys", json!("none")), ["keys: expected an object of texts", ""]),
        (with("keys", json!({ "_instance_id": 0 })), ["keys: expected an object of texts", "_instance_id"]),
        (with("group", json!(7)), ["group: expected a text", "number"]),
        (with("rule", json!("")), ["rule: expected a text", "empty"]),
        (without("device-id"), ["device-id: expected a text", "missing"]),
    ] {
        let request = system.http.post(&system.url).header("content-type", "application/json").body(body.clone());
        let answer = request.send().expect("an answer");
        let (status, text) = (answer.status().as_u16(), answer.text().expect("text"));
        assert_eq!(status, 400, "{body}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{body}: {text}");
    }
    let form =
        system.http.post(&system.url).header("content-type", "text/plain").body("major").send().expect("an answer");
    assert_eq!(form.status(), 415);
    assert_eq!(system.http.get(&system.url).send().expect("an answer").status(), 405);
    let elsewhere = system.http.post(format!("{}/x", system.url)).json(&notification("edge-2", "major")).send();
    // While connectors may still be starting, 503.
    let status = elsewhere.expect("an answer").status().as_u16();
    assert!([404, 503].contains(&status), "{status}");
}

#[test]
fn without_kafka_callers_are_told_to_come_again_and_200_always_means_stored() {
    if ["kafka", "registry"].into_iter().any(without) {
        return;
    }
    let mut system = System::start();
    assert_eq!(system.post(&notification("before", "major")).status(), 200);
    system.kafka.stop().expect("stop");
    // One after the other, each until it is answered.
    for device in ["during-1", "during-2", "during-3"] {
        let answer = system.post(&notification(device, "major"));
        assert_eq!(answer.status(), 503, "{:?}", answer.text());
        let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        assert!(after.is_some_and(|s| s > 0), "Retry-After says when to come again");
    }
    system.connectd.await_state("healthbot", "RUNNING");
    system.kafka.start_again().expect("start");
    for device in ["during-1", "during-2", "during-3"] {
        wait("the retried notification to be stored", LIMIT, || {
            (system.post(&notification(device, "major")).status() == 200).then_some(())
        });
        let there = |r: Option<&connect_kafka::RawRecord>| r.is_some_and(|r| r.value.is_some());
        system.reader.latest(ALARMS, &key(device), Duration::from_secs(5), there);
    }
}

#[test]
fn whatever_was_answered_with_200_is_in_the_topic_after_kills() {
    if ["kafka", "registry"].into_iter().any(without) {
        return;
    }
    const POSTS: usize = 200;
    let mut system = System::start();
    let System { connectd, url, reader, http, .. } = &mut system;
    let stored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..POSTS {
                let body = notification(&format!("device-{n}"), "major");
                // As HealthBot would: the same again until it is taken.
                let taken = || http.post(&*url).json(&body).send().is_ok_and(|a| a.status() == 200).then_some(());
                wait("the notification to be taken", LIMIT, taken);
                stored.store(n + 1, Ordering::Release);
            }
        });
        for round in 1..=4 {
            let enough = POSTS * round / 5;
            wait("posts before the next kill", LIMIT, || (stored.load(Ordering::Acquire) >= enough).then_some(()));
            connectd.kill9();
            connectd.start_again();
        }
    });
    assert_eq!(stored.load(Ordering::Acquire), POSTS);
    let wanted: BTreeSet<String> = (0..POSTS).map(|n| key(&format!("device-{n}"))).collect();
    let found = |all: &[connect_kafka::RawRecord]| -> BTreeSet<String> {
        let raised = all.iter().filter(|r| r.value.is_some()).filter_map(|r| r.key.as_deref());
        raised.map(|k| String::from_utf8_lossy(k).into_owned()).collect()
    };
    let all = reader.until(ALARMS, LIMIT, |all| found(all).len() >= POSTS);
    assert_eq!(found(&all), wanted);
    assert!(all.iter().all(|r| r.value.is_some()), "nothing was cleared");
}
