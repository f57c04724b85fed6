//! Mails about alarms as the guide and the example have them, and shelves of every kind.

use std::{path::Path, time::Duration};

use apache_avro::types::Value as Avro;
use connect_kafka::Outgoing;
use serde_json::json;
use tocsin_tests::{
    Connectd,
    avro::{JLAB, Registry, jlab_alarm},
    file,
    kafka::Reader,
    wait,
};
use xtask::servers::{self, Aiosmtpd, Kafka, without};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LIMIT: Duration = Duration::from_secs(120);
/// The shelf of JLab's last generation.
const SHELVED: &str = r#"{"type":"record","name":"ShelvedAlarm","namespace":"org.jlab.kafka.alarms","fields":[
    {"name":"expiration","type":["null","long"],"default":null},{"name":"reason","type":"string"}]}"#;
/// The keys of its active alarms.
const KEY: &str = r#"{"type":"record","name":"ActiveAlarmKey","namespace":"org.jlab.kafka.alarms","fields":[
    {"name":"name","type":"string"},{"name":"type","type":{"type":"enum","name":"ActiveMessageType","symbols":["Alarming","Ack"]}}]}"#;

fn worker(dir: &Path, kafka: &Kafka, converters: &str) -> String {
    let settings = format!(
        "bootstrap.servers: {}\n{converters}offset: {{ storage.file.filename: {}, flush.interval.ms: 300 }}\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.yaml", &settings)
}

/// Subjects and recipients, in order.
fn mails(server: &Aiosmtpd) -> Vec<String> {
    let told = |mail: &servers::Received| {
        let to: Vec<&str> = mail.to.iter().filter_map(|address| address.split('@').next()).collect();
        format!("{} to {}", mail.header("Subject").expect("subject"), to.join(" "))
    };
    server.mails().expect("mails").iter().map(told).collect()
}

/// The text with the server's place for that of the example's.
fn with_server(text: &str, name: &str, server: &Aiosmtpd) -> String {
    let line = |line: &str| match line.trim_start().split(':').next() {
        Some("smtp") => format!("  smtp: {{ host: 127.0.0.1, port: {}, security: none }}\n", server.port()),
        Some("name") => format!("name: {name}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_guides_recipe_and_the_example_do_what_they_say() {
    if without("kafka") || without("aiosmtpd") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("active-alarms", 1, &[]);
    reader.create("shelved-alarms", 1, &[]);
    let alarm =
        |priority: &str| json!({ "priority": priority, "message": "hot", "raised": 1, "source": "s" }).to_string();
    for (name, priority) in
        [("pump", Some("P2_PROPERTY")), ("fire", Some("P1_LIFE")), ("fire", None), ("never", None), ("pump", None)]
    {
        reader.write("active-alarms", name, priority.map(alarm).as_deref().map(str::as_bytes));
    }
    let guide = std::fs::read_to_string(Path::new(ROOT).join("docs/guide/email.md")).expect("guide");
    let guide = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("its recipe");
    let example = std::fs::read_to_string(Path::new(ROOT).join("configs/connectors/email.yaml")).expect("example");
    let converters =
        "key.converter: StringConverter\nvalue.converter: JsonConverter\nvalue.converter.schemas.enable: false\n";
    let all = [
        "P2_PROPERTY pump to operators",
        "P1_LIFE fire to operators on-call",
        "Re: P1_LIFE fire - cleared to operators on-call",
        "Re: P2_PROPERTY pump - cleared to operators",
    ];
    for (name, text) in [("guide", guide), ("example", example.as_str())] {
        let server = Aiosmtpd::start().expect("mail server");
        let dir = tempfile::tempdir().expect("folder");
        let connector = file(dir.path(), "email.yaml", &with_server(text, name, &server));
        let worker = worker(dir.path(), &kafka, converters);
        let mut connectd = Connectd::start(&["-c", &worker, &connector], &dir.path().join("log"));
        wait("the mails", LIMIT, || (mails(&server).len() >= all.len()).then_some(()));
        assert_eq!(mails(&server), all, "{name}");
        connectd.await_state(name, "RUNNING");
        if name == "example" {
            reader.write("active-alarms", "broken", Some(b"{}"));
            let dead = reader.until("dead-mails", LIMIT, |all| !all.is_empty());
            assert_eq!(dead[0].key.as_deref(), Some(&b"broken"[..]));
            reader.write("active-alarms", "door", Some(alarm("P3_PRODUCTIVITY").as_bytes()));
            wait("a later mail", LIMIT, || (mails(&server).len() > all.len()).then_some(()));
        }
        assert!(connectd.terminate().1, "stopped well");
    }
}

#[test]
fn a_shelf_with_plain_names_serves_alarms_with_keys_of_avro_and_its_absence_is_told() {
    if without("kafka") || without("registry") || without("aiosmtpd") {
        return;
    }
    let (kafka, registry) = (Kafka::start().expect("kafka"), servers::Registry::start().expect("registry"));
    let server = Aiosmtpd::start().expect("mail server");
    let (reader, schemas) = (Reader::new(&kafka.bootstrap()), Registry::new(&registry.url()));
    reader.create("active-alarms", 1, &[]);
    let raise = |name: &str| {
        let key = Avro::Record(vec![
            ("name".into(), Avro::String(name.into())),
            ("type".into(), Avro::Enum(0, "Alarming".into())),
        ]);
        let key = schemas.encode("active-alarms-key", KEY, key);
        let value = schemas.encode("active-alarms-value", JLAB, jlab_alarm((0, "P1_LIFE"), false));
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        reader.send(Outgoing { topic: "active-alarms", partition: None, timestamp: None, key, value, headers: &[] });
    };
    let dir = tempfile::tempdir().expect("folder");
    let avro = |which: &str| {
        format!("{which}.converter: AvroConverter\n{which}.converter.schema.registry.url: {}\n", registry.url())
    };
    let settings = worker(dir.path(), &kafka, &(avro("key") + &avro("value")));
    let mut connectd = Connectd::start(&["-c", &settings], &dir.path().join("log"));
    let config = json!({
        "name": "mails", "connector.class": "email-sink", "topics": "active-alarms",
        "shelved.alarms.topic": "shelved-alarms", "email.smtp.host": "127.0.0.1", "email.smtp.port": server.port(),
        "email.smtp.security": "none", "email.from": "alarms@example.org", "email.to": "ops@example.org",
        "email.subject": "{{key.name}}", "email.thread": "{{key.name}}",
    });
    let test = || {
        let (status, report) =
            connectd.send("PUT", "/connector-plugins/email-sink/config/test?timeout=20", Some(&config));
        assert_eq!(status, 200, "{report}");
        report
    };
    raise("door");
    let report = test();
    assert!(report["passed"] == false && report.to_string().contains("no topic shelved-alarms"), "{report:#}");
    // All that is wrong, at once.
    let mut wrong = config.clone();
    for (key, value) in [("email.from", "nobody"), ("email.subject", "{{x"), ("email.smtp.username", "u")] {
        wrong[key] = value.into();
    }
    let (_, found) = connectd.send("PUT", "/connector-plugins/email-sink/config/validate", Some(&wrong));
    for expected in ["is no address", "parsing the template", "must be set together", "would show the password"] {
        assert!(found.to_string().contains(expected), "{expected}: {found}");
    }

    assert_eq!(connectd.send("POST", "/connectors", Some(&json!({ "name": "mails", "config": config }))).0, 201);
    let note = || {
        let status = connectd.get("/connectors/mails/status").1;
        status["tasks"][0]["detail"]["note"].as_str().unwrap_or_default().to_owned()
    };
    wait("the note", LIMIT, || note().contains("no topic shelved-alarms (shelved.alarms.topic)").then_some(()));
    assert!(connectd.log_text().contains("kafka has no topic shelved-alarms"));
    wait("a mail", LIMIT, || (mails(&server).len() == 1).then_some(()));
    reader.create("shelved-alarms", 1, &[]);
    wait("the shelf", LIMIT, || note().is_empty().then_some(()));

    let shelved = Avro::Record(vec![
        ("expiration".into(), Avro::Union(0, Box::new(Avro::Null))),
        ("reason".into(), Avro::String("noisy".into())),
    ]);
    let shelved = schemas.encode("shelved-alarms-value", SHELVED, shelved);
    // Plain names and values of Avro, as its scripts have, or of JSON.
    reader.write("shelved-alarms", "pump", Some(&shelved));
    reader.write("shelved-alarms", "fan", Some(br#"{"expiration": null, "reason": "noisy"}"#));
    reader.write("shelved-alarms", "door", Some(&shelved));
    wait("the shelf to be noticed", LIMIT, || {
        let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).and_then(|answer| answer.text());
        let page = page.expect("metrics");
        page.lines().any(|line| line.starts_with("tocsin_shelved_alarms{") && line.ends_with(" 1")).then_some(())
    });
    for name in ["pump", "fan", "lamp"] {
        raise(name);
    }
    wait("a mail", LIMIT, || (mails(&server).len() >= 2).then_some(()));
    assert_eq!(mails(&server), ["door to ops", "lamp to ops"]);
    let preview = test();
    assert!(preview.to_string().contains("alarm pump is on the shelf: noisy"), "{preview:#}");
    for name in ["pump", "fan", "door"] {
        reader.write("shelved-alarms", name, None);
    }
    // Also the one that was told before.
    wait("what is off the shelf", LIMIT, || (mails(&server).len() >= 5).then_some(()));
    let mut told = mails(&server);
    told.sort();
    assert_eq!(told, ["door to ops", "door to ops", "fan to ops", "lamp to ops", "pump to ops"]);
    assert!(!connectd.log_text().contains("cannot be read"), "{}", connectd.log_text());
    assert!(connectd.terminate().1, "stopped well");
}
