//! What fails is restarted with growing pauses, unless the settings leave it to a person.

use std::{fs, time::Duration};

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_task_that_fails_is_restarted_until_it_runs_or_its_attempts_are_over() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("numbers", 1, &[]);
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\n",
        kafka.bootstrap(),
        path("offsets").display()
    );
    let yaml = file(dir.path(), "worker.yaml", &text.replace('=', ": "));
    let connectd = Connectd::start(&["-c", &yaml], &path("log"));
    let detail = |name: &str| connectd.get(&format!("/connectors/{name}/status")).1["tasks"][0]["detail"].clone();
    let create = |connectd: &Connectd, name: &str, extra: serde_json::Value| {
        let mut config = json!({
            "connector.class": "file-sink", "topics": "numbers", "file": path(&format!("{name}.jsonl")),
            "restart.backoff.ms": "200"
        });
        config.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        let (code, body) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(code, 201, "{body}");
    };
    reader.write("numbers", "k", Some(b"1"));
    reader.write("numbers", "k", Some(b"not json"));
    create(&connectd, "thrice", json!({"restart.attempts": "3"}));
    wait("three restarts", SOON, || {
        let d = detail("thrice");
        (d["restarts"] == 3 && d.get("next_restart").is_none()).then_some(())
    });
    wait("the task to be left failed", SOON, || (connectd.states("thrice").1 == ["FAILED"]).then_some(()));
    // A person's restart counts from the beginning.
    assert_eq!(connectd.send("POST", "/connectors/thrice/tasks/0/restart", None).0, 204);
    wait("new restarts", SOON, || (detail("thrice")["restarts"] == 1).then_some(()));

    // The record becomes right while the task is being restarted: it goes on by itself.
    create(&connectd, "healed", json!({"restart.backoff.max.ms": "1000"}));
    wait("several restarts", SOON, || (detail("healed")["restarts"].as_u64() >= Some(2)).then_some(()));
    assert_eq!(lines(&path("healed.jsonl")), 0, "the batch fails as a whole");
    let shown = connectctl(&connectd, "healed");
    assert!(shown.contains("restarted") && shown.contains("again in"), "{shown}");
    let config = json!({"errors.tolerance": "all"});
    assert_eq!(connectd.send("PATCH", "/connectors/healed/config", Some(&config)).0, 200);
    wait("the record", SOON, || (lines(&path("healed.jsonl")) == 1).then_some(()));
    assert_eq!(detail("healed").get("restarts"), None);
    drop(connectd);

    // Kafka Connect's own kind of file: nothing is restarted that nobody asks for.
    let properties = file(dir.path(), "worker.properties", &text);
    let connectd = Connectd::start(&["-c", &properties], &path("log2"));
    create(&connectd, "left", json!({}));
    wait("the failure", SOON, || (connectd.states("left").1 == ["FAILED"]).then_some(()));
    assert!(!connectd.log_text().contains("it is restarted in"));
    assert_eq!(connectd.get("/connectors/left/status").1["tasks"][0]["detail"].get("next_restart"), None);
}

fn lines(path: &std::path::Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn connectctl(connectd: &Connectd, name: &str) -> String {
    wait("a status with a restart to come", SOON, || {
        let output = std::process::Command::new(tocsin_tests::program("connectctl"))
            .args(["--url", connectd.url(), "status", name])
            .output()
            .expect("connectctl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("again in").then_some(text)
    })
}
