//! A real Alertmanager, whose alerts become alarms on real Kafka whatever happens meanwhile.

use std::{collections::BTreeSet, time::Duration};

use connect_kafka::RawRecord;
use serde_json::Value as Json;
use tocsin_tests::{Connectd, file, kafka::Reader};
use xtask::servers::{Alertmanager, Certificates, Kafka, Port, Server, without};

/// Alertmanager begins anew at each flush, and waits longer between tries within one.
const LIMIT: Duration = Duration::from_secs(90);
const ALARMS: &str = "active-alarms";

fn value(record: &RawRecord) -> Option<Json> {
    record.value.as_deref().map(|bytes| serde_json::from_slice(bytes).expect("json"))
}

/// The messages of the alarms that are raised after all of these records.
fn raised(all: &[RawRecord]) -> BTreeSet<String> {
    let latest = |r: &RawRecord| all.iter().rev().find(|other| other.key == r.key).and_then(value);
    let message = |alarm: Json| alarm["message"].as_str().unwrap_or_default().to_owned();
    all.iter().filter_map(latest).map(message).collect()
}

#[test]
fn alerts_become_alarms_once_through_kills_and_outages_and_clear_when_they_are_resolved() {
    if ["kafka", "alertmanager"].into_iter().any(without) {
        return;
    }
    let (mut kafka, port) = (Kafka::start().expect("kafka"), Port::claim().expect("port"));
    let dir = tempfile::tempdir().expect("folder");
    let certificates = Certificates::make(dir.path()).expect("certificates");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create(ALARMS, 1, &[("cleanup.policy", "compact")]);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         value.converter.schemas.enable: false\noffset.storage.file.filename: {}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let bundle = certificates.broker_bundle();
    let source = format!(
        "name: alertmanager\nconnector.class: webhook-source\nwebhook:\n  listen: '{}'\n  format: alertmanager\n  \
         token: s3cret\n  ack.timeout.ms: 2000\n  topic: alerts\n  tls: {{ certificate.file: '{bundle}', key.file: '{bundle}' }}\n",
        port.address(),
        bundle = bundle.display()
    );
    let (worker, source) = (file(dir.path(), "worker.yaml", &worker), file(dir.path(), "source.yaml", &source));
    let mut connectd = Connectd::start(&["-c", &worker, &source], &dir.path().join("log"));
    connectd.await_state("alertmanager", "RUNNING");
    let url = format!("https://{}/alertmanager", port.address());
    let sender = Alertmanager::start(&url, "s3cret", Some(&certificates.ca())).expect("alertmanager");
    let until = |expected: &[&str]| {
        let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        reader.until(ALARMS, LIMIT, |all| !all.is_empty() && raised(all) == expected)
    };

    sender.fire("PumpTripped", &["pump-7", "pump-8"]).expect("fire");
    let all = until(&["PumpTripped on pump-7", "PumpTripped on pump-8"]);
    let alarm = value(&all[0]).expect("an alarm");
    assert_eq!((&alarm["priority"], &alarm["source"]), (&"P2_PROPERTY".into(), &"alertmanager".into()));
    assert_eq!((&alarm["status"], &alarm["labels"]["severity"]), (&"PumpTripped".into(), &"critical".into()));
    assert!(all[0].key.as_deref().is_some_and(|key| key.len() == 16), "keyed by fingerprint");

    // Another alert of the group, while nobody receives: sent with the two before as soon as somebody does.
    connectd.kill9();
    sender.fire("PumpTripped", &["pump-9"]).expect("fire");
    connectd.start_again();
    let three = ["PumpTripped on pump-7", "PumpTripped on pump-8", "PumpTripped on pump-9"];
    until(&three);

    kafka.stop().expect("stop");
    sender.fire("DoorOpen", &["hall"]).expect("fire");
    kafka.start_again().expect("start");
    let all = until(&[three[0], three[1], three[2], "DoorOpen on hall"]);
    assert_eq!(all.len(), 4, "however often Alertmanager sent them: {all:?}");

    sender.resolve("PumpTripped", &["pump-7", "pump-9"]).expect("resolve");
    until(&[three[1], "DoorOpen on hall"]);
    sender.resolve("PumpTripped", &["pump-8"]).expect("resolve");
    sender.resolve("DoorOpen", &["hall"]).expect("resolve");
    let all = until(&[]);
    assert_eq!(all.len(), 8, "each alarm is raised once and cleared once");
    assert!(all[4..].iter().all(|r| r.value.is_none()));
    // Beside the alarms every alert as it was received.
    let records = reader.all("alerts");
    let resolved = records.iter().filter_map(value).filter(|alert| alert["status"] == "resolved").count();
    assert!(resolved >= 4 && records.len() > resolved, "{resolved} of {}", records.len());
    connectd.await_state("alertmanager", "RUNNING");
}
