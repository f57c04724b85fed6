//! mqtt-source with Mosquitto and Kafka: numbered messages across kills of the worker and restarts of both, Kafka's
//! absence, the examples, and what becomes of bad payloads.

#![allow(clippy::print_stdout, reason = "the figures are what the long run is for")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use connect_kafka::RawRecord;
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Mosquitto, Server, without};

const LIMIT: Duration = Duration::from_secs(120);
const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/connectors");
/// Messages of one disturbance.
const CHUNK: usize = 2000;

/// How many disturbances: six, unless a long run asks for more.
fn rounds() -> usize {
    match std::env::var("TOCSIN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TOCSIN_KILLS is {text:?}, which is no number of kills")),
        Err(_) => 6,
    }
}

fn worker(dir: &Path, kafka: &Kafka, value_converter: &str) -> String {
    let text = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: {value_converter}\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.yaml", &text)
}

/// How often each number is among the values.
fn numbers(records: &[RawRecord]) -> BTreeMap<usize, u32> {
    let mut seen = BTreeMap::new();
    for value in records.iter().filter_map(|record| record.value.as_deref()) {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number");
        *seen.entry(number).or_default() += 1;
    }
    seen
}

fn await_subscriptions(broker: &Mosquitto, count: usize) {
    wait("the subscriptions", LIMIT, || {
        (broker.process().log().matches("Sending SUBACK").count() >= count).then_some(())
    });
}

fn publish(broker: &Mosquitto, topic: &str, numbers: std::ops::Range<usize>) {
    let lines: String = numbers.map(|n| format!("{n}\n")).collect();
    broker.publish(topic, 2, &lines, &[]).expect("published");
}

#[test]
fn no_message_that_the_broker_has_acknowledged_is_lost_across_kills_and_restarts() {
    if without("kafka") || without("mosquitto") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let mut broker = Mosquitto::start_with("log_type all\n").expect("mosquitto");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    let kinds =
        [("three-once", "3.1.1", 1), ("three-twice", "3.1.1", 2), ("five-once", "5", 1), ("five-twice", "5", 2)];
    let connectors = kinds.map(|(name, version, qos)| {
        reader.create(name, 1, &[]);
        format!(
            "name: {name}\nconnector.class: mqtt-source\nmqtt: {{ server.uri: 'tcp://{}', topics: [numbers/#], \
             version: '{version}', qos: {qos}, receive.maximum: 200 }}\nkafka.topic: {name}\n",
            broker.address()
        )
    });
    let connectors = file(dir.path(), "connectors.yaml", &connectors.join("---\n"));
    let worker = worker(dir.path(), &kafka, "ByteArrayConverter");
    let mut connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    await_subscriptions(&broker, kinds.len());
    let mut next = 0;
    let mut add = |broker: &Mosquitto| {
        publish(broker, "numbers/a", next..next + CHUNK);
        next += CHUNK;
        next
    };
    let arrived = |total: usize| kinds.map(|(name, ..)| reader.until(name, LIMIT, |all| numbers(all).len() == total));
    let (mut kills, began) = (0, Instant::now());
    for round in 0..rounds() {
        // What was published a moment ago is under way everywhere.
        let total = add(&broker);
        match round % 3 {
            0 => {
                connectd.kill9();
                add(&broker);
                connectd.start_again();
                kills += 1;
            }
            1 => broker.restart().expect("restart"),
            _ => {
                kafka.stop().expect("stop");
                add(&broker);
                kafka.start_again().expect("start");
            }
        }
        arrived(if round % 3 == 1 { total } else { total + CHUNK });
    }
    let total = add(&broker);
    for ((name, ..), all) in kinds.into_iter().zip(arrived(total)) {
        let seen = numbers(&all);
        let again = seen.values().filter(|times| **times > 1).count();
        connectd.await_state(name, "RUNNING");
        // How many depends on how far the broker sends ahead; Mosquitto 2.0.11 does not keep to a window when a session
        // with a backlog goes on.
        eprintln!("{name}: {total} messages, {kills} kills, {again} stored again, {:.0?}", began.elapsed());
    }
    let (took, well) = connectd.terminate();
    assert!(well && took < Duration::from_secs(8), "stopped in {took:?}, well: {well}");
}

#[test]
fn quality_2_is_exactly_once_while_the_worker_runs() {
    if without("kafka") || without("mosquitto") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let mut broker = Mosquitto::start_with("log_type all\n").expect("mosquitto");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    let kinds = [("three", "3.1.1"), ("five", "5")];
    // One try to connect lasts for as long as the broker is frozen: where it finds several, of which all but the last are
    // broken, Mosquitto 2.0.11 publishes again what it has released, which MQTT forbids (MQTT-4.3.3-8).
    let connectors = kinds.map(|(name, version)| {
        reader.create(name, 1, &[]);
        format!(
            "name: {name}\nconnector.class: mqtt-source\nmqtt: {{ server.uri: 'tcp://{}', topics: [numbers], \
             version: '{version}', qos: 2, keepalive.interval.seconds: 1, connect.timeout.seconds: 60 }}\n\
             kafka.topic: {name}\n",
            broker.address()
        )
    });
    let connectors = file(dir.path(), "connectors.yaml", &connectors.join("---\n"));
    let worker = worker(dir.path(), &kafka, "ByteArrayConverter");
    let connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    await_subscriptions(&broker, 2);
    let retrying = |name: &str| {
        let (_, status) = connectd.get(&format!("/connectors/{name}/status"));
        status["tasks"][0]["detail"]["retrying"].as_str().map(str::to_owned)
    };
    for round in 0..3 {
        publish(&broker, "numbers", round * CHUNK..(round + 1) * CHUNK);
        // The broker stays what it is; only the connections break, with messages under way.
        broker.pause().expect("pause");
        if round == 1 {
            kafka.restart().expect("restart");
        }
        for (name, _) in kinds {
            wait("the silence to be noticed", LIMIT, || retrying(name).filter(|text| !text.contains("kafka")));
        }
        broker.resume().expect("resume");
    }
    for (name, _) in kinds {
        let all = reader.until(name, LIMIT, |records| numbers(records).len() == 3 * CHUNK);
        let twice: Vec<_> =
            numbers(&all).into_iter().filter(|(_, times)| *times > 1).map(|(number, _)| number).collect();
        assert_eq!(twice, [0; 0], "{name}: numbers that were stored more than once, of {} records", all.len());
        connectd.await_state(name, "RUNNING");
    }
}

#[test]
fn memory_does_not_grow_while_kafka_is_away_and_the_broker_keeps_what_waits() {
    if without("kafka") || without("mosquitto") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let broker = Mosquitto::start_with("log_type all\nmax_queued_bytes 0\n").expect("mosquitto");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("flood", 1, &[]);
    let connector = format!(
        "name: flood\nconnector.class: mqtt-source\nmqtt: {{ server.uri: 'tcp://{}', topics: [flood], version: '5', \
         receive.maximum: 50, queue.bytes: 2000000 }}\nkafka.topic: flood\nproducer.override.buffer.memory: 4194304\n",
        broker.address()
    );
    let connector = file(dir.path(), "connector.yaml", &connector);
    let worker = worker(dir.path(), &kafka, "ByteArrayConverter");
    let connectd = Connectd::start(&["-c", &worker, &connector], &dir.path().join("log"));
    await_subscriptions(&broker, 1);
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", connectd.id())).expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1024
    };
    let line = |n: usize| format!("{n:06} {}\n", "x".repeat(20_000));
    broker.publish("flood", 1, &line(0), &[]).expect("published");
    reader.until("flood", LIMIT, |records| records.len() == 1);
    let before = resident();
    kafka.stop().expect("stop");
    // 100 MB that must stay at the broker.
    let lines: String = (1..=5000).map(line).collect();
    broker.publish("flood", 1, &lines, &[]).expect("published");
    wait("the status to say that kafka is away", LIMIT, || {
        let (_, status) = connectd.get("/connectors/flood/status");
        status["tasks"][0]["detail"]["retrying"].as_str().filter(|text| text.contains("kafka")).map(drop)
    });
    let grown = resident().saturating_sub(before);
    assert!(grown < 40, "{grown} MB more than before");
    kafka.start_again().expect("start");
    let of = |record: &RawRecord| record.value.as_deref().map(|value| value[..6].to_vec());
    let all = reader.until("flood", LIMIT, |records| {
        records.iter().filter_map(of).collect::<std::collections::BTreeSet<_>>().len() == 5001
    });
    assert_eq!(all.len(), 5001, "nothing came twice, as nothing was killed");
    let grown = resident().saturating_sub(before);
    eprintln!("{before} MB before, {grown} MB more at the end");
}

/// An example with another address for the broker.
fn example(dir: &Path, name: &str, broker: &Mosquitto) -> String {
    let text = fs::read_to_string(format!("{CONFIGS}/{name}")).expect("example");
    assert!(text.contains("127.0.0.1:1883"), "{name}");
    file(dir, name, &text.replace("127.0.0.1:1883", &broker.address()))
}

#[test]
fn the_examples_work_and_bad_payloads_become_dead_letters() {
    if without("mosquitto") {
        return;
    }
    let broker = Mosquitto::start_with("log_type all\n").expect("mosquitto");
    let dir = tempfile::tempdir().expect("folder");
    let files = ["mqtt.yaml", "mqtt-alarms.yaml", "mqtt-confluent.json"].map(|name| example(dir.path(), name, &broker));
    let connectd = Connectd::start(&files.each_ref().map(String::as_str), &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    await_subscriptions(&broker, 3);
    broker.publish("site/north/telemetry/t1", 1, "{\"t\": 3.5}\n{\"t\":\nhot\n{\"t\": 4}\n", &[]).expect("published");
    let records = reader.until("telemetry.north", LIMIT, |records| records.len() >= 2);
    let values: Vec<Json> =
        records.iter().map(|r| serde_json::from_slice(r.value.as_deref().expect("value")).expect("json")).collect();
    assert_eq!(values, [json!({"t": 3.5}), json!({"t": 4})]);
    assert_eq!(records[0].key.as_deref(), Some(&b"site/north/telemetry/t1"[..]));
    let dead = reader.until("dead-mqtt", LIMIT, |records| records.len() >= 2);
    let bytes: Vec<_> = dead.iter().filter_map(|r| r.value.as_deref()).collect();
    assert_eq!(bytes, [&b"{\"t\":"[..], b"hot"]);
    let header = |name: &str| dead[0].headers.iter().find(|(key, _)| &**key == name).and_then(|(_, v)| v.clone());
    let why = header("__connect.errors.exception.message").expect("a reason");
    assert!(String::from_utf8_lossy(&why).contains("site/north/telemetry/t1"), "{why:?}");
    assert_eq!(header("mqtt.topic").as_deref(), Some(&b"site/north/telemetry/t1"[..]));

    // Neither a state that nobody has heard of nor what has none, or is no JSON, stops anything.
    let states = "{\"state\":\"fault\",\"text\":\"door open\"}\n{\"state\":\"jammed\",\"text\":\"the door\"}\n{}\nopen\n\
                  {\"state\":\"ok\",\"text\":\"closed\"}\n";
    broker.publish("plant/press 7/status", 1, states, &[]).expect("published");
    let dead = reader.until("dead-plant-status", LIMIT, |records| records.len() >= 2);
    assert!(dead.iter().any(|record| record.value.as_deref() == Some(&b"open"[..])), "{dead:?}");
    let alarms = reader.until("active-alarms", LIMIT, |records| records.len() >= 3);
    let of =
        |r: &RawRecord| (String::from_utf8_lossy(r.key.as_deref().unwrap_or_default()).into_owned(), r.value.is_some());
    let alarms: Vec<_> = alarms.iter().map(of).collect();
    assert_eq!(alarms, [true, true, false].map(|raised| ("plant/press 7".to_owned(), raised)));

    broker.publish("temperature", 2, "21.5\n", &[]).expect("published");
    let records = reader.until("mqtt.temperature", LIMIT, |records| !records.is_empty());
    let (key, value) = (records[0].key.as_deref(), records[0].value.as_deref());
    assert_eq!((key, value), (Some(&b"temperature"[..]), Some(&b"21.5"[..])));
    for name in ["mqtt", "mqtt-alarms", "mqtt-confluent"] {
        connectd.await_state(name, "RUNNING");
    }
    assert_eq!(connectd.get("/connectors/mqtt-confluent").1["type"], "source");

    // Started without delay and stopped within a second.
    let began = Instant::now();
    assert_eq!(connectd.send("PUT", "/connectors/mqtt/stop", None::<&Json>).0, 204);
    wait("the connector to stop", LIMIT, || (connectd.states("mqtt").0 == "STOPPED").then_some(()));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
