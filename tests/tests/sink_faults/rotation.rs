//! Other credentials while a sink runs: the worker reads the secrets again before it gives a task up.

use std::{path::Path, time::Duration};

use connect_api::Settings;
use serde_json::{Map, Value as Json, json};
use tocsin_tests::{Connectd, kafka::Reader, wait};
use tokio::runtime::Runtime;

use crate::{
    server::Server,
    sinks::{SECRET, SINKS, token},
};

const LIMIT: Duration = Duration::from_secs(90);
const WORKER: &str = "key.converter: StringConverter\nvalue.converter: JsonConverter\n\
    value.converter.schemas.enable: false\nrestart.attempts: 0\nconfig.providers: file\n\
    config.providers.file.class: FileConfigProvider\n";

/// The connector's class of a sink, by its settings.
fn class(settings: &Settings) -> String {
    let prefix = settings.iter().find_map(|(key, _)| key.split_once('.').filter(|(start, _)| *start != "http"));
    let (prefix, _) = prefix.expect("a setting of its own");
    format!("{prefix}-sink")
}

/// The connector of a sink, with a reference where its secret was.
fn connector(settings: &Settings, topic: &str, secrets: &Path) -> Json {
    let reference = format!("${{file:{}:secret}}", secrets.display());
    let all = settings.iter().map(|(key, value)| (key.to_string(), Json::from(value.replace(SECRET, &reference))));
    let mut config: Map<String, Json> = all.collect();
    config.insert("connector.class".into(), class(settings).into());
    config.insert("topics".into(), topic.into());
    if config["connector.class"] == "prometheus-sink" {
        config.insert("prometheus.totals.interval.ms".into(), "100".into());
    }
    json!({ "name": topic, "config": config })
}

#[test]
fn other_credentials_of_any_sink_are_taken_up_and_no_record_is_lost() {
    const OTHERS: [&str; 2] = ["s3cret-of-tomorrow", "s3cret-of-the-day-after"];
    let runtime = Runtime::new().expect("runtime");
    let dir = tempfile::tempdir().expect("folder");
    let secrets = dir.path().join("secrets.properties");
    let rotate = |secret: &str| std::fs::write(&secrets, format!("secret={secret}\n")).expect("secrets");
    rotate(SECRET);
    let worker = tocsin_tests::file(dir.path(), "worker.yaml", WORKER);
    let connectd = Connectd::start(&["-c", &worker, "--embedded"], &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    let servers: Vec<Server> = SINKS.iter().map(|sink| runtime.block_on(Server::start(sink.success, []))).collect();
    let topic = |n: usize| SINKS[n].name.replace(' ', "-");
    let admit = |secret: &str| {
        let each = servers.iter().zip(&SINKS);
        each.for_each(|(server, sink)| server.admit((sink.shows)(secret), sink.denial));
    };
    let write = |offset: i64| {
        let alarm = json!({ "priority": "P2_PROPERTY", "acknowledged": false, "message": token(offset) }).to_string();
        (0..SINKS.len()).for_each(|n| reader.write(&topic(n), &token(offset), Some(alarm.as_bytes())));
    };
    let arrives = |offset: i64| {
        let missing = || {
            let all = servers.iter().zip(&SINKS).filter(|(server, _)| !server.taken().contains(&token(offset)));
            all.map(|(_, sink)| sink.name).collect::<Vec<_>>()
        };
        let what = format!("record {offset} to be taken by every receiver");
        wait(&what, LIMIT, || {
            let missing = missing();
            for name in &missing {
                let status = connectd.get(&format!("/connectors/{}/status", name.replace(' ', "-"))).1;
                assert_ne!(status["tasks"][0]["state"], "FAILED", "{name}: {status}");
            }
            missing.is_empty().then_some(())
        });
    };
    admit(SECRET);
    write(0);
    for (n, server) in servers.iter().enumerate() {
        let body = connector(&SINKS[n].settings(server.url()), &topic(n), &secrets);
        let (status, answer) = connectd.send("POST", "/connectors", Some(&body));
        assert_eq!(status, 201, "{}: {answer}", SINKS[n].name);
    }
    arrives(0);
    for (secret, offset) in OTHERS.into_iter().zip(1..) {
        rotate(secret);
        admit(secret);
        write(offset);
        arrives(offset);
    }
    for (server, sink) in servers.iter().zip(&SINKS) {
        let denied = server.seen().iter().filter(|one| !one.taken).count();
        assert!(denied >= OTHERS.len(), "{} was never denied: {denied}", sink.name);
    }
    let log = connectd.log_text();
    assert!(!log.contains("the task failed"), "{log}");
    for secret in [SECRET].iter().chain(&OTHERS) {
        assert!(!log.contains(secret), "{secret} is shown: {log}");
    }
}
