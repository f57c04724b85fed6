//! The demo as README describes it, with the embedded broker: alarms flow, one is raised and cleared by hand.

use std::{fs, path::Path, time::Duration};

use serde_json::Value as Json;
use tocsin_tests::{Connectd, kafka::Reader, wait};
use xtask::servers::Port;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn alarms_of_every_source_of_the_demo_reach_its_file() {
    let dir = tempfile::tempdir().expect("folder");
    let port = Port::claim().expect("port");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/demo");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    // The demo as it is, but for the places that tests must not share.
    for entry in fs::read_dir(&source).expect("configs/demo").map(|e| e.expect("entry").path()).filter(|p| p.is_file())
    {
        let text = fs::read_to_string(&entry).expect("text");
        let text = text
            .replace("configs/demo/data", &source.join("data").to_string_lossy())
            .replace("127.0.0.1:8090", &format!("127.0.0.1:{}", port.number()))
            .replace("file: demo-", &format!("file: {}/demo-", dir.path().display()));
        fs::write(dir.path().join(entry.file_name().expect("name")), text).expect("copy");
    }
    let logs = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[&dir.path().to_string_lossy()], &logs.path().join("log"));
    let (_, all) = connectd.get("/connectors?expand=status");
    let names: Vec<String> = all.as_object().expect("connectors").keys().cloned().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in &names {
        connectd.await_state(name, "RUNNING");
    }
    let log = connectd.log_text();
    let curl = |word: &str| {
        let line = log
            .lines()
            .skip_while(|l| !l.contains(&format!("# {word} an alarm")))
            .nth(1)
            .unwrap_or_else(|| panic!("no line to {word}: {log}"));
        let url = line.split_whitespace().find(|w| w.starts_with("http://")).expect("url").to_owned();
        let body: Json =
            serde_json::from_str(line.split("-d '").nth(1).expect("body").trim_end_matches('\'')).expect("json");
        (url, body)
    };
    let lines = || -> Vec<Json> {
        let text = fs::read_to_string(path("demo-alarms.jsonl")).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    };
    let of = |prefix: &str| lines().into_iter().rfind(|l| l["key"].as_str().is_some_and(|k| k.starts_with(prefix)));
    let post = |(url, body): (String, Json)| {
        let answer = reqwest::blocking::Client::new().post(url).json(&body).send().expect("answer");
        assert_eq!(answer.status(), 200);
    };
    post(curl("raise"));
    let raised = wait("HealthBot's alarm", LIMIT, || of("edge/").filter(|l| !l["value"].is_null()));
    assert_eq!(raised["value"]["priority"], "P2_PROPERTY");
    assert_eq!(raised["value"]["message"], "temperature above 60");
    post(curl("clear"));
    wait("HealthBot's alarm to be cleared", LIMIT, || of("edge/").filter(|l| l["value"].is_null()));
    let transient = wait("the alert stream's alarm", LIMIT, || of("ZTF:"));
    assert_eq!(transient["value"]["source"], "alert-stream-alarms");
    let channel = wait("a simulated channel's alarm", LIMIT, || of("DEMO:"));
    assert_eq!(channel["value"]["source"], "epics-alarms");
    wait("values of channels", LIMIT, || {
        fs::metadata(path("demo-channels.jsonl")).is_ok_and(|m| m.len() > 0).then_some(())
    });

    // Other clients reach the embedded broker: the packets are there as the observatory sends them.
    let packets = Reader::new(&connectd.embedded_broker()).until("ztf-alerts", LIMIT, |r| !r.is_empty());
    assert!(packets[0].value.as_ref().is_some_and(|v| v.len() > 10_000), "a packet of bare Avro with its stamps");
}
