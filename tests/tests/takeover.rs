//! State passes between Kafka Connect and this worker, both ways.

use std::{fs, time::Duration};

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, KafkaConnect, Server, without};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_standalone_worker_goes_on_where_the_other_one_stopped() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("lines", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut text = String::new();
    let mut add = |n: std::ops::Range<u32>| {
        text.extend(n.map(|n| format!("{n}\n")));
        fs::write(path("in.txt"), &text).expect("input");
    };
    let offsets = path("offsets");
    let settings = [
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("offset.storage.file.filename", offsets.as_str()),
        ("offset.flush.interval.ms", "500"),
    ];
    let config = serde_json::json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": path("in.txt"), "topic": "lines"
    });
    let arrive = |n: usize| {
        let records = reader.until("lines", SOON, |records| records.len() >= n);
        let numbers: Vec<String> = records
            .iter()
            .map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned())
            .collect();
        assert_eq!(numbers, (0..n).map(|n| n.to_string()).collect::<Vec<_>>());
    };
    let stored = |size: &mut Vec<u8>| {
        wait("offsets to be stored", SOON, || fs::read(&offsets).ok().filter(|now| now != size).map(|now| *size = now));
    };
    let (http, mut before) = (reqwest::blocking::Client::new(), Vec::new());

    add(0..10);
    let mut theirs = KafkaConnect::standalone(&kafka.bootstrap(), &settings).expect("kafka connect");
    let url = format!("{}/connectors/in/config", theirs.url());
    let created = http.put(&url).json(&config).send().expect("create");
    assert_eq!(created.status(), 201, "{:?}", created.text());
    arrive(10);
    stored(&mut before);
    theirs.stop().expect("stop kafka connect");

    add(10..20);
    let lines: Vec<String> = settings.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    let worker =
        file(dir.path(), "worker.properties", &format!("bootstrap.servers={}\n{}", kafka.bootstrap(), lines.concat()));
    let mut ours = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    assert_eq!(ours.send("PUT", "/connectors/in/config", Some(&config)).0, 201);
    arrive(20);
    stored(&mut before);
    assert!(ours.terminate().1, "connectd ends well");

    add(20..30);
    theirs.start_again().expect("start kafka connect again");
    let created = http.put(&url).json(&config).send().expect("create");
    assert_eq!(created.status(), 201, "{:?}", created.text());
    arrive(30);
}
