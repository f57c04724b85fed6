//! The examples in `configs/connectors` that make alarms of what is in Kafka already, by `kafka-source` and `Alarm`.

use std::{fs, time::Duration};

use apache_avro::types::Value as Avro;
use connect_kafka::RawRecord;
use serde_json::json;
use tocsin_tests::{Connectd, avro::Registry, kafka::Reader, wait};

const LIMIT: Duration = Duration::from_secs(120);
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/connectors");
const WIND: &str = r#"{"type":"record","name":"Dome_wind","namespace":"lsst.sal","fields":[
    {"name":"sal_created","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"sal_host","type":"int"},{"name":"speed","type":"double"}]}"#;

/// Key of each record of active alarms, behind a minus for a tombstone; sorted, as there may be several partitions.
fn alarms(reader: &Reader, prefix: &str, count: usize) -> Vec<String> {
    let of = |r: &RawRecord| {
        let key = String::from_utf8_lossy(r.key.as_deref().unwrap_or_default()).into_owned();
        key.starts_with(prefix).then(|| if r.value.is_none() { format!("-{key}") } else { key })
    };
    let all = reader.until("active-alarms", LIMIT, |all| all.iter().filter_map(of).count() >= count);
    let mut keys: Vec<_> = all.iter().filter_map(of).collect();
    keys.sort();
    keys
}

#[test]
fn what_is_in_kafka_becomes_alarms() {
    let dir = tempfile::tempdir().expect("folder");
    let files = ["threshold-alarms", "healthbot-kafka-alarms", "sal-alarms"];
    let paths = files.map(|name| format!("{FOLDER}/{name}.yaml"));
    let connectd = Connectd::start(&paths.each_ref().map(String::as_str), &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    let registry = wait("the registry's address", LIMIT, || {
        let line = |line: &str| line.trim().strip_prefix("Schema registry").map(|rest| rest.trim().to_owned());
        connectd.log_text().lines().find_map(line)
    });

    let text = |json: serde_json::Value| Some(json.to_string().into_bytes());
    let bad = [json!({}), json!({"temperature": null}), json!({"temperature": "10"})];
    let readings = [80, 91, 88, 95].map(|t| json!({"temperature": t})).into_iter().chain(bad);
    let readings = readings.chain([84, 70].map(|t| json!({"temperature": t})));
    reader.write_all("telemetry", readings.map(|value| ("r1".to_owned(), text(value))));
    let notification = |severity: &str, instance: &str| {
        let keys = json!({"_instance_id": instance});
        let value = json!({"device-id": "r1", "group": "core", "keys": keys, "message": "hot", "rule": "temp",
            "severity": severity, "topic": "chassis", "trigger": "high"});
        ("r1".to_owned(), text(value))
    };
    let topic = "core.r1.chassis.temp.high";
    reader.write_all(
        topic,
        [("major", "1"), ("major", "2"), ("major", "1"), ("normal", "1")].map(|(s, i)| notification(s, i)),
    );
    let schemas = Registry::new(&registry);
    let wind = |speed: f64| {
        let fields = vec![
            ("sal_created".to_owned(), Avro::TimestampMillis(1_547_758_754_900)),
            ("sal_host".to_owned(), Avro::Int(1)),
            ("speed".to_owned(), Avro::Double(speed)),
        ];
        ("".to_owned(), Some(schemas.encode("lsst.sal.Dome_wind-value", WIND, Avro::Record(fields))))
    };
    reader.write_all("lsst.sal.Dome_wind", [10.0, 25.0, 35.0, 16.0, 14.0].map(wind));

    assert_eq!(alarms(&reader, "r1/", 3), ["-r1/temperature", "r1/temperature", "r1/temperature"]);
    let dead = reader.until("dead-telemetry", LIMIT, |all| all.len() >= 3);
    assert_eq!(dead.len(), 3, "what says nothing about an alarm");
    let instances = [format!("-{topic}/1"), format!("{topic}/1"), format!("{topic}/2")];
    assert_eq!(alarms(&reader, topic, 3), instances);
    // Raised, more urgent, less urgent between the limits is no news, over.
    assert_eq!(alarms(&reader, "Dome/", 3), ["-Dome/wind/1", "Dome/wind/1", "Dome/wind/1"]);
    for name in files {
        assert!(
            fs::read_to_string(format!("{FOLDER}/{name}.yaml")).expect("text").lines().count() <= 20,
            "{name} is short"
        );
        connectd.await_state(name, "RUNNING");
    }
}
