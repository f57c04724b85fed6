//! A topic that is deleted and created again under a running sink: what is in the new one arrives.

use std::{fs, path::Path, time::Duration};

use connect_kafka::Outgoing;
use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(90);

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn records_of_a_topic_that_was_created_again_arrive_from_its_beginning() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
        kafka.bootstrap(),
        path("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let connectd = Connectd::start(&["-c", &worker], &path("log"));
    let text =
        |n: std::ops::Range<u32>| n.map(|n| (n.to_string(), Some(n.to_string().into_bytes()))).collect::<Vec<_>>();
    // After a restart of the broker the old topic's leader has a later epoch than the new one's.
    // What is paused asks for no records, so that Kafka has no occasion to refuse an offset of the old topic.
    for (name, after, restart, paused) in [
        ("fewer", 5, false, false),
        ("more", 60, false, false),
        ("older", 5, true, false),
        ("older-more", 60, true, false),
        ("paused", 60, false, true),
        ("paused-older", 60, true, true),
    ] {
        reader.create(name, 1, &[]);
        let out = path(name);
        let config = json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": name, "file": out
        });
        assert_eq!(connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config)).0, 201);
        reader.write_all(name, text(0..30));
        wait("the records of before", SOON, || (lines(&out).len() == 30).then_some(()));
        if restart {
            kafka.restart().expect("restart kafka");
            reader.write_all(name, text(30..31));
            wait("a record after the restart", SOON, || (lines(&out).len() == 31).then_some(()));
        }
        let known = lines(&out).len();
        if paused {
            assert_eq!(connectd.send("PUT", &format!("/connectors/{name}/pause"), None).0, 202);
            connectd.await_state(name, "PAUSED");
        }
        kafka
            .tool(
                "org.apache.kafka.tools.TopicCommand",
                &["--bootstrap-server", &kafka.bootstrap(), "--delete", "--topic", name],
            )
            .expect("delete");
        reader.create(name, 1, &[]);
        reader.write_all(name, text(1000..1000 + after));
        if paused {
            let told = format!("the topic was deleted and created again: {name}-0");
            wait("the new topic is seen", SOON, || connectd.log_text().contains(&told).then_some(()));
            assert_eq!(connectd.send("PUT", &format!("/connectors/{name}/resume"), None).0, 202);
        }
        wait(&format!("the records of the new topic ({name})"), SOON, || {
            let new = lines(&out).split_off(known);
            let expected: Vec<String> = (1000..1000 + after).map(|n| n.to_string()).collect();
            assert!(expected.starts_with(&new), "of the new topic ({name}) came {new:?}");
            (new == expected).then_some(())
        });
    }
}

#[test]
fn sinks_that_keep_offsets_with_their_data_tell_the_new_topic_from_the_old_one() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let send = |method: &str, path: &str, body: Option<&serde_json::Value>| {
        let (code, answer) = connectd.send(method, path, body);
        assert!(code < 300, "{method} {path}: {code} {answer}");
    };
    let numbers =
        |n: std::ops::Range<u32>| n.map(|n| (n.to_string(), Some(n.to_string().into_bytes()))).collect::<Vec<_>>();
    let again = || {
        let bootstrap = kafka.bootstrap();
        let delete = ["--bootstrap-server", &bootstrap, "--delete", "--topic", "calls"];
        kafka.tool("org.apache.kafka.tools.TopicCommand", &delete).expect("delete");
        reader.create("calls", 1, &[]);
    };
    reader.create("calls", 1, &[]);
    // No record of a later topic is as new.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("time").as_millis() as i64;
    let (topic, key, value) = ("calls", Some(&b"0"[..]), Some(&b"0"[..]));
    reader.send(Outgoing { topic, partition: Some(0), timestamp: Some(now + 1_800_000), key, value, headers: &[] });
    reader.write_all("calls", numbers(1..30));
    let template = format!("{}/{{{{topic}}}}-{{{{partition}}}}.txt", dir.path().display());
    let files = json!({ "connector.class": "file-sink", "topics": "calls", "file": template, "file.format": "text" });
    let metrics = json!([{ "name": "calls_total", "type": "counter", "help": "Calls." }]).to_string();
    let totals = json!({
        "connector.class": "prometheus-sink", "topics": "calls", "prometheus.metrics": metrics,
        "prometheus.totals.interval.ms": "500"
    });
    let connectors = [("files", files), ("totals", totals)];
    for (name, config) in &connectors {
        send("PUT", &format!("/connectors/{name}/config"), Some(config));
    }
    let out = dir.path().join("calls-0.txt");
    let arrived = |what: &str, expected: &[(u32, u32)]| {
        let expected: Vec<String> = expected.iter().flat_map(|(from, to)| *from..*to).map(|n| n.to_string()).collect();
        wait(what, SOON, || {
            let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).ok()?.text().ok()?;
            let total = page.lines().find(|line| line.starts_with("calls_total"))?.rsplit_once(' ')?.1.parse();
            (lines(&out) == expected && total == Ok(expected.len())).then_some(())
        });
    };
    arrived("the records of before", &[(0, 30)]);
    for (name, _) in &connectors {
        send("PUT", &format!("/connectors/{name}/stop"), None);
    }
    again();
    reader.write_all("calls", numbers(100..160));
    for (name, _) in &connectors {
        send("PUT", &format!("/connectors/{name}/resume"), None);
    }
    arrived("the records of a topic that was created while they were stopped", &[(0, 30), (100, 160)]);
    again();
    reader.write_all("calls", numbers(200..220));
    arrived("the records of one that was created while they ran", &[(0, 30), (100, 160), (200, 220)]);
}
