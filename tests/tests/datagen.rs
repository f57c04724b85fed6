//! datagen-source on real Kafka: SAL's hundred topics with a registry, simulated calls, and numbers across kill -9.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::Value as Json;
use tocsin_tests::{Connectd, avro, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Registry, without};

const SOON: Duration = Duration::from_secs(180);

/// A worker that writes texts and JSON, unless a connector says otherwise.
fn worker(dir: &Path, kafka: &Kafka) -> String {
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.properties", &text)
}

/// The sum of a metric over the tasks of a connector.
fn metric(connectd: &Connectd, name: &str, connector: &str) -> f64 {
    let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("answer").text().expect("text");
    let label = format!("connector=\"{connector}\"");
    let own = page.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
    own.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).expect("a number")).sum()
}

#[test]
fn sals_hundred_topics_come_once_a_second_with_their_schemas_in_the_registry() {
    if without("kafka") || without("registry") {
        return;
    }
    let (kafka, registry) = (Kafka::start().expect("kafka"), Registry::start().expect("registry"));
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let url = registry.url();
    let worker = worker(dir.path(), &kafka);
    let avro = format!("value.converter: AvroConverter\nvalue.converter.schema.registry.url: \"{url}\"\n");
    let sal = format!(
        "name: sal\nconnector.class: datagen-source\ndatagen.preset: salmock\ntasks.max: 4\n{avro}\
         topic.creation.default: {{ replication.factor: 1, partitions: 1 }}\n"
    );
    let sal = file(dir.path(), "sal.yaml", &sal);
    let mut connectd = Connectd::start(&["-c", &worker, &sal], &dir.path().join("log"));
    wait("six rounds of a hundred topics", SOON, || {
        (metric(&connectd, "salmock_produced_total", "sal") >= 600.0).then_some(())
    });
    assert_eq!(connectd.states("sal").1.len(), 4, "its tasks");
    let topics: BTreeSet<String> = reader.topics().into_iter().filter(|t| !t.starts_with('_')).collect();
    assert_eq!(topics.len(), 100, "{topics:?}");
    let subjects: Json = reqwest::blocking::get(format!("{url}/subjects")).expect("registry").json().expect("json");
    let subjects: BTreeSet<&str> = subjects.as_array().expect("list").iter().filter_map(Json::as_str).collect();
    assert!(topics.iter().all(|topic| subjects.contains(format!("{topic}-value").as_str())), "{subjects:?}");

    let scripts = avro::Registry::new(&url);
    for topic in ["dome-wind", "mtm1m3-forceactuatordata", "atcamera-logevent-startintegration"] {
        let records = reader.until(topic, SOON, |records| records.len() >= 15);
        let latest: Json = reqwest::blocking::get(format!("{url}/subjects/{topic}-value/versions/latest"))
            .and_then(|answer| answer.json())
            .expect("registry");
        let schema = latest["schema"].as_str().expect("a schema");
        assert!(schema.contains("sal_topic_type") && schema.contains("sal_units"), "{schema}");
        let times: Vec<i64> = records.iter().filter_map(|r| r.timestamp).collect();
        let seconds = (times[times.len() - 1] - times[0]) as f64 / 1000.0;
        // While topics are created records wait; five seconds of them are made up for.
        assert!(times.len() as f64 <= seconds + 7.5, "one a second: {times:?}");
        for record in &records {
            assert!(record.key.is_none());
            let fields = scripts.decode(record.value.as_deref().expect("a value"), schema);
            assert_eq!(fields[0].0, "kafka_timestamp");
            assert!(matches!(fields[4].1, apache_avro::types::Value::Long(0..=10)), "{fields:?}");
        }
    }

    // Another one that knows nothing but the registry finds the same topics there.
    let body = serde_json::json!({ "name": "found", "config": {
        "connector.class": "datagen-source", "datagen.preset": "salmock", "schema.registry.url": url,
        "salmock.max.topics": "7", "datagen.rate": "20", "tasks.max": "2",
        "value.converter": "AvroConverter", "value.converter.schema.registry.url": url } });
    let (code, answer) = connectd.send("POST", "/connectors", Some(&body));
    assert_eq!(code, 201, "{answer}");
    wait("records of topics of the registry", SOON, || {
        (metric(&connectd, "salmock_produced_total", "found") >= 100.0).then_some(())
    });
    let (_, used) = connectd.get("/connectors/found/topics");
    let used: BTreeSet<&str> =
        used["found"]["topics"].as_array().expect("topics").iter().filter_map(Json::as_str).collect();
    assert!(used.len() == 7 && used.iter().all(|topic| topics.contains(*topic)), "{used:?}");
    let (_, log) = connectd.get("/connectors/found/logs");
    assert!(!log.to_string().contains("ERROR"), "{log}");
    connectd.kill9();
}

#[test]
fn calls_come_in_their_three_forms_and_numbers_go_on_across_kills() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["text", "call", "keyed", "numbers"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let worker = worker(dir.path(), &kafka);
    let calls = |form: &str| {
        let text = format!(
            "name: {form}\nconnector.class: datagen-source\ndatagen.preset: calls\ntopics: {form}\ncalls.form: {form}\n"
        );
        file(dir.path(), &format!("{form}.yaml"), &text)
    };
    let numbers = "name: numbers\nconnector.class: datagen-source\ntopics: numbers\ndatagen.rate: 500\nrandom.seed: 9\n\
                   datagen.model: |\n  n: sequence\n  walk: { kind: walk, start: 10, decimals: 3 }\n  text: letters\n";
    let numbers = file(dir.path(), "numbers.yaml", numbers);
    let files = [calls("text"), calls("call"), calls("keyed"), numbers];
    let [text, call, keyed, numbers] = files.each_ref();
    let log = dir.path().join("log");
    let mut connectd = Connectd::start(&["-c", &worker, text, call, keyed, numbers], &log);

    let json = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).expect("json");
    let enough = |topic: &str| reader.until(topic, SOON, |records| records.len() >= 50);
    for record in enough("text") {
        assert!(record.key.is_none());
        let value = json(record.value.as_deref().expect("a value"));
        let inner = json(value.as_str().expect("a JSON text").as_bytes());
        assert_eq!(members(&inner), ["key", "called_phone_number", "start_call_epoch_time", "call_duration"]);
    }
    for record in enough("call") {
        let value = json(record.value.as_deref().expect("a value"));
        assert_eq!(members(&value), ["called_phone_number", "start_call_epoch_time", "call_duration"]);
        assert!(record.key.as_deref().is_some_and(|key| key.starts_with(b"0041") && key.len() == 11));
        assert!(value["call_duration"].as_i64() >= Some(1));
    }
    for record in enough("keyed") {
        let value = json(record.value.as_deref().expect("a value"));
        assert_eq!(members(&value), ["key", "value"]);
        assert_eq!(record.key.as_deref(), value["key"].as_str().map(str::as_bytes));
        assert_eq!(members(&value["value"]).len(), 3);
    }
    wait("the calls to be healthy", SOON, || (metric(&connectd, "health_status", "call") == 1.0).then_some(()));

    let mut reached = 200;
    let mut seen: Vec<Json> = Vec::new();
    for kill in 0..4 {
        let records = reader.until("numbers", SOON, |records| {
            let last = records.last().and_then(|r| json(r.value.as_deref()?)["n"].as_i64());
            last.is_some_and(|last| last >= reached)
        });
        seen.clear();
        for value in records.iter().map(|r| json(r.value.as_deref().expect("a value"))) {
            let n = value["n"].as_u64().expect("a number") as usize;
            assert!(n <= seen.len(), "{n} comes after {}", seen.len());
            // What comes twice after a kill is the same.
            match seen.get(n) {
                Some(before) => assert_eq!(*before, value),
                None => seen.push(value),
            }
        }
        reached = seen.len() as i64 + 300;
        if kill < 3 {
            connectd.kill9();
            connectd.start_again();
        }
    }
    let walks: BTreeSet<String> = seen.iter().map(|value| value["walk"].to_string()).collect();
    assert!(walks.len() > 100, "the walk goes on");
}

fn members(object: &Json) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect()
}

#[test]
fn the_example_runs_on_the_embedded_broker() {
    let dir = tempfile::tempdir().expect("folder");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/connectors/datagen.yaml");
    let connectd = Connectd::start(&[example], &dir.path().join("log"));
    wait("a hundred topics twice", SOON, || {
        (metric(&connectd, "salmock_produced_total", "salmock") >= 200.0).then_some(())
    });
    for (connector, least) in [("plant", 2), ("salmock", 100), ("calls", 1)] {
        connectd.await_state(connector, "RUNNING");
        wait("records in its topics", SOON, || {
            let (_, topics) = connectd.get(&format!("/connectors/{connector}/topics"));
            topics[connector]["topics"].as_array().filter(|topics| topics.len() == least).map(drop)
        });
    }
}
