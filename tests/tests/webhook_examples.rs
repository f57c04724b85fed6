//! The examples of webhooks in `configs/connectors` do what they say, all of them on one listener.

use std::{fs, time::Duration};

use connect_kafka::RawRecord;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader};
use xtask::servers::Port;

const LIMIT: Duration = Duration::from_secs(30);
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const EXAMPLES: [(&str, &str); 5] = [
    ("healthbot", "healthbot"),
    ("alertmanager", "alertmanager"),
    ("grafana", "grafana"),
    ("webhook-json", "events"),
    ("webhook-alarms", "doors"),
];

struct Examples {
    connectd: Connectd,
    reader: Reader,
    client: Client,
    address: String,
    _dir: tempfile::TempDir,
    _port: Port,
}

impl Examples {
    fn start() -> Self {
        let (dir, port) = (tempfile::tempdir().expect("folder"), Port::claim().expect("port"));
        let address = port.address();
        let example = |(name, _): (&str, &str)| {
            let text = fs::read_to_string(format!("{ROOT}/configs/connectors/{name}.yaml")).expect("an example");
            assert!(text.contains("listen: 127.0.0.1:8090"), "{name} has another port");
            file(dir.path(), &format!("{name}.yaml"), &text.replace("127.0.0.1:8090", &address))
        };
        let files = EXAMPLES.map(example);
        let connectd = Connectd::start(&files.each_ref().map(String::as_str), &dir.path().join("log"));
        for (_, connector) in EXAMPLES {
            connectd.await_state(connector, "RUNNING");
        }
        let reader = Reader::new(&connectd.embedded_broker());
        Self { connectd, reader, client: Client::new(), address, _dir: dir, _port: port }
    }

    fn post(&self, path: &str, body: &Json, with: impl FnOnce(RequestBuilder) -> RequestBuilder) {
        let request = self.client.post(format!("http://{}/{path}", self.address)).json(body);
        let answer = with(request).send().expect("an answer");
        assert_eq!(answer.status(), 200, "{path}: {:?}", answer.text());
    }

    /// Key of each record of a topic, behind a minus for a tombstone; sorted, as there may be several partitions.
    fn keys(&self, topic: &str, count: usize) -> Vec<String> {
        let key = |r: &RawRecord| {
            let key = String::from_utf8_lossy(r.key.as_deref().unwrap_or_default()).into_owned();
            if r.value.is_none() { format!("-{key}") } else { key }
        };
        let mut keys: Vec<_> = self.reader.until(topic, LIMIT, |all| all.len() >= count).iter().map(key).collect();
        keys.sort();
        keys
    }
}

fn sample(name: &str) -> Json {
    let path = format!("{ROOT}/connectors/webhook-source/tests/data/{name}.json");
    serde_json::from_str(&fs::read_to_string(path).expect("a body")).expect("json")
}

#[test]
fn every_example_takes_what_it_is_for() {
    let examples = Examples::start();
    let token = |request: RequestBuilder| request.bearer_auth("change-me");
    let plain = |request: RequestBuilder| request;
    let notification = json!({
        "device-id": "r 1", "group": "core", "keys": {}, "message": "hot", "rule": "temp", "severity": "major",
        "topic": "chassis.fan", "trigger": "high"
    });
    examples.post("healthbot", &notification, token);
    assert_eq!(examples.keys("core.r_1.chassis.fan.temp.high", 1), ["core/r 1/chassis.fan/temp/high"]);

    examples.post("alertmanager", &sample("alertmanager-firing"), token);
    examples.post("alertmanager", &sample("alertmanager-resolved"), token);
    let pumps = ["-a11d05025af428db", "-a4085f70c181adb3", "a11d05025af428db", "a4085f70c181adb3"];
    assert_eq!(examples.keys("alarms.plant", 4), pumps);

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let alerts = sample("grafana");
    let key = openssl::pkey::PKey::hmac(b"change-me").expect("key");
    let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).expect("signer");
    signer.update(format!("{now}:{alerts}").as_bytes()).expect("update");
    let signature: String = signer.sign_to_vec().expect("signature").iter().map(|b| format!("{b:02x}")).collect();
    examples.post("grafana", &alerts, |request| {
        request.header("X-Grafana-Alerting-Signature", signature).header("X-Timestamp", now)
    });

    let events =
        json!({"site": "north", "events": [{"id": 7, "kind": "k", "data": {"a": 1}, "at": 1_700_000_000_000_i64}]});
    for _ in 0..2 {
        examples.post("events", &events, |r| r.basic_auth("sender", Some("change-me")).header("Idempotency-Key", "1"));
    }
    assert_eq!(examples.keys("events-north", 1), ["north-7"]);
    let record = &examples.reader.all("events-north")[0];
    let value: Json = serde_json::from_slice(record.value.as_deref().expect("value")).expect("json");
    assert_eq!(
        (value, record.timestamp),
        (json!({"site": "north", "kind": "k", "data": {"a": 1}}), Some(1_700_000_000_000))
    );

    for (open, minutes) in [(true, 3), (true, 7), (false, 0)] {
        examples.post("doors", &json!({"door": "d1", "open": open, "minutes": minutes, "building": "hall"}), plain);
    }
    let alarms = examples.keys("active-alarms", 8);
    let mut expected = ["core/r 1/chassis.fan/temp/high", "High memory usage/us-1", "door/d1", "-door/d1"]
        .into_iter()
        .chain(pumps)
        .collect::<Vec<_>>();
    expected.sort();
    assert_eq!(alarms, expected);
    assert_eq!(examples.reader.all("events-north").len(), 1, "stored once");
    for (_, connector) in EXAMPLES {
        examples.connectd.await_state(connector, "RUNNING");
    }
}
