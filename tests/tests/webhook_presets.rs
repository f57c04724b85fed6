//! Alarms on real Kafka become alerts of a real Alertmanager, which is told again in time and of each end, whatever happens
//! to the worker meanwhile.

use std::{fs, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Alertmanager, Kafka, without};

const LIMIT: Duration = Duration::from_secs(90);
const ALARMS: &str = "active-alarms";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The alerts that Alertmanager takes for active, by the names of their alarms.
fn active(server: &Alertmanager) -> Vec<(String, Json)> {
    let alerts = reqwest::blocking::get(format!("{}/api/v2/alerts?active=true", server.url())).expect("an answer");
    let alerts: Vec<Json> = alerts.json().expect("json");
    let name = |alert: &Json| alert["labels"]["alarm"].as_str().expect("a label").to_owned();
    let mut all: Vec<_> = alerts.into_iter().map(|alert| (name(&alert), alert)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn names(server: &Alertmanager) -> Vec<String> {
    active(server).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn alarms_are_active_in_alertmanager_until_they_are_cleared_across_kills() {
    if ["kafka", "alertmanager"].into_iter().any(without) {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    // It has nobody to tell, which is none of our business.
    let server = Alertmanager::start("http://127.0.0.1:9/", "unused", None).expect("alertmanager");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create(ALARMS, 1, &[("cleanup.policy", "compact")]);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         value.converter.schemas.enable: false\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 300 }}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let example = fs::read_to_string(format!("{ROOT}/configs/connectors/webhook-alertmanager.yaml")).expect("example");
    assert!(example.contains("http://127.0.0.1:9093"), "{example}");
    let sink = example.replace("http://127.0.0.1:9093", &server.url())
        + "webhook.alertmanager.repeat.ms: 1000\nhttp.proxy: none\nconsumer.override.session.timeout.ms: 6000\n";
    let sink = file(dir.path(), "sink.yaml", &sink);
    let alarm = |message: &str| {
        json!({
            "priority": "P2_PROPERTY", "acknowledged": false, "source": "epics", "severity": "MAJOR",
            "message": message, "raised": "2026-01-02T03:04:05.000Z", "labels": {"zone": "NL"}
        })
    };
    let raise = |name: &str| reader.write(ALARMS, name, Some(alarm(name).to_string().as_bytes()));
    raise("pump");
    raise("fan");
    let mut connectd = Connectd::start(&["-c", &worker, &sink], &dir.path().join("log"));
    let become_active = |expected: &[&str]| {
        wait(&format!("{expected:?} to be active"), LIMIT, || (names(&server) == expected).then_some(()));
    };
    become_active(&["fan", "pump"]);
    let (_, pump) = active(&server).pop().expect("pump");
    assert_eq!(pump["startsAt"], "2026-01-02T03:04:05.000Z");
    let labels = json!({
        "alertname": "pump", "alarm": "pump", "severity": "error", "priority": "P2_PROPERTY", "source": "epics",
        "zone": "NL"
    });
    assert_eq!((&pump["labels"], &pump["annotations"]["summary"]), (&labels, &"pump".into()));

    // Five intervals are over, and it is told again and again.
    let end = pump["endsAt"].as_str().expect("an end").to_owned();
    wait("alerts with a later end", LIMIT, || {
        active(&server).pop().filter(|(_, pump)| pump["endsAt"].as_str().is_some_and(|later| later > end.as_str()))
    });

    // Nobody tells it: it forgets. The worker remembers, without any record that comes again.
    connectd.kill9();
    become_active(&[]);
    connectd.start_again();
    become_active(&["fan", "pump"]);

    // Cleared while nobody looks, and while somebody does.
    connectd.kill9();
    reader.write(ALARMS, "fan", None);
    connectd.start_again();
    become_active(&["pump"]);
    reader.write(ALARMS, "pump", None);
    become_active(&[]);
    raise("fan");
    become_active(&["fan"]);
    connectd.await_state("alertmanager-sink", "RUNNING");
    let config = connectd.get("/connectors/alertmanager-sink/config").1;
    let (status, report) = connectd.send("PUT", "/connector-plugins/webhook-sink/config/test", Some(&config));
    assert_eq!(status, 200, "{report}");
    let stages = report["stages"].as_array().expect("stages");
    let said = |text: &str| stages.iter().any(|s| s["message"].as_str().is_some_and(|m| m.contains(text)));
    assert!(said("it is Alertmanager 0."), "{report:#}");
    assert!(connectd.terminate().1, "stopped well");
}
