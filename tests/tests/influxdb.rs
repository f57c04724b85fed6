//! The InfluxDB sink in the real server, with real Kafka and a real InfluxDB: crashes, a receiver that cannot be relied on,
//! records that it refuses, and the examples.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{InfluxDb, Kafka, without};

use crate::proxy::Proxy;

#[path = "influxdb/proxy.rs"]
mod proxy;

const SOON: Duration = Duration::from_secs(60);
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

struct Place {
    kafka: Kafka,
    influx: InfluxDb,
    reader: Reader,
    dir: tempfile::TempDir,
}

impl Place {
    /// Kafka and InfluxDB with a database; `None` without the programs.
    fn start(database: &str) -> Option<Self> {
        if without("kafka") || without("influxdb") {
            return None;
        }
        let (kafka, influx) = (Kafka::start().expect("kafka"), InfluxDb::start().expect("influxdb"));
        influx.create_database(database).expect("database");
        let (reader, dir) = (Reader::new(&kafka.bootstrap()), tempfile::tempdir().expect("folder"));
        Some(Self { kafka, influx, reader, dir })
    }

    fn connectd(&self) -> Connectd {
        let worker = format!(
            "bootstrap.servers: {}\ngroup.id: cluster\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
             value.converter.schemas.enable: false\n\
             config: {{ storage.topic: configs, storage.replication.factor: 1 }}\n\
             offset: {{ storage.topic: offsets, storage.replication.factor: 1, flush.interval.ms: 300 }}\n\
             status: {{ storage.topic: status, storage.replication.factor: 1 }}\n\
             session.timeout.ms: 6000\nheartbeat.interval.ms: 2000\nconsumer.session.timeout.ms: 6000\n",
            self.kafka.bootstrap()
        );
        let worker = file(self.dir.path(), "worker.yaml", &worker);
        Connectd::start(&["-c", &worker], &self.dir.path().join("log"))
    }
}

fn create(connectd: &Connectd, name: &str, config: &Json) {
    let (status, body) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(config));
    assert_eq!(status, 201, "{body}");
}

#[test]
fn crashes_and_a_receiver_that_fails_one_request_in_ten_lose_nothing() {
    const RECORDS: usize = 100_000;
    const KILLS: usize = 3;
    let Some(place) = Place::start("d") else { return };
    let proxy = Proxy::start(&place.influx.url());
    place.reader.create("numbers", 3, &[]);
    let record = |n: usize| (n.to_string(), Some(format!("{{\"n\":{n},\"at\":{}}}", n + 1).into_bytes()));
    place.reader.write_all("numbers", (0..RECORDS).map(record));
    let mut connectd = place.connectd();
    create(
        &connectd,
        "influx",
        &json!({
            "connector.class": "influxdb-sink", "tasks.max": "1", "topics": "numbers", "influxdb.url": proxy.url(),
            "influxdb.database": "d", "influxdb.time.field": "at", "influxdb.batch.lines": "500",
            "influxdb.gzip": "false", "http.proxy": "none", "errors.retry.delay.max.ms": "500",
            "consumer.override.session.timeout.ms": "6000"
        }),
    );
    for kill in 1..=KILLS {
        // Each time while points arrive.
        let so_far = RECORDS * kill / (KILLS + 2);
        wait(&format!("{so_far} points"), SOON, || (proxy.stored() >= so_far).then_some(()));
        connectd.kill9();
        proxy.next_generation();
        connectd.start_again();
    }
    wait("every number", Duration::from_secs(180), || {
        let count = place.influx.rows("d", "SELECT COUNT(n) FROM numbers").ok()?.first()?.get(1)?.as_u64()?;
        (count == RECORDS as u64).then_some(())
    });
    connectd.await_state("influx", "RUNNING");
    let rows = place.influx.rows("d", "SELECT n FROM numbers").expect("rows");
    let numbers: BTreeSet<i64> = rows.iter().filter_map(|row| row[1].as_i64()).collect();
    assert_eq!(numbers.len(), RECORDS, "each number once");
    assert!(rows.iter().all(|row| row[0].as_i64() == row[1].as_i64().map(|n| (n + 1) * 1_000_000)), "each at its time");

    // What came twice did so because of a crash, or since the answer of the first time was an error.
    wait("the proxy to have no request", SOON, || proxy.is_idle().then_some(()));
    let (requests, faults) = (proxy.requests(), proxy.requests().iter().filter(|r| r.failed).count());
    assert!(faults * 12 > requests.len() && faults > 10, "{faults} of {} requests failed", requests.len());
    let mut last: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
    let mut twice = 0;
    for request in requests.iter().filter(|r| r.stored) {
        for number in &request.numbers {
            if let Some((generation, failed)) = last.insert(*number, (request.generation, request.failed)) {
                twice += 1;
                assert!(generation < request.generation || failed, "{number} came again without a reason");
            }
        }
    }
    // Half of the faults are told of requests that were stored; what was not committed at a crash is no more than a part.
    assert!((1..RECORDS).contains(&twice), "{twice} points came twice in {} requests", requests.len());
    assert!(connectd.terminate().1, "stopped well");
}

#[test]
fn a_poison_record_in_each_position_of_a_batch_is_a_dead_letter_and_all_others_are_stored() {
    const BATCH: usize = 16;
    let Some(place) = Place::start("d") else { return };
    place.influx.write("d", "poison v=1i 1").expect("the type of the field");
    place.reader.create("poison", 1, &[]);
    // The record at the place of its batch's number is of another type, every other batch has one that is no point at all.
    let value = |n: usize| match (n / BATCH, n % BATCH) {
        (batch, at) if batch == at => format!("{{\"v\":\"text\",\"at\":{}}}", n + 1),
        (batch, at) if batch % 2 == 0 && at == (batch + 5) % BATCH => format!("{{\"v\":{n},\"at\":\"never\"}}"),
        _ => format!("{{\"v\":{n},\"at\":{}}}", n + 1),
    };
    let values = (0..BATCH * BATCH).map(|n| (n.to_string(), Some(value(n).into_bytes())));
    place.reader.write_all("poison", values);
    let mut connectd = place.connectd();
    create(
        &connectd,
        "influx",
        &json!({
            "connector.class": "influxdb-sink", "topics": "poison", "influxdb.url": place.influx.url(),
            "influxdb.database": "d", "influxdb.time.field": "at", "http.proxy": "none",
            "put.linger.ms": "5000", "put.max.records": BATCH.to_string(), "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true"
        }),
    );
    let (expected, good) = (BATCH + BATCH / 2, BATCH * BATCH - BATCH - BATCH / 2);
    let dead = place.reader.until("dead", SOON, |all| all.len() >= expected);
    let mut letters: Vec<(usize, String)> = Vec::new();
    for letter in &dead {
        let header = |name: &str| {
            let found = letter.headers.iter().find(|(key, _)| **key == *format!("__connect.errors.{name}"));
            let value = found.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let offset = header("offset").parse().expect("an offset");
        assert_eq!(letter.value.as_deref(), Some(value(offset).as_bytes()));
        letters.push((offset, header("exception.stacktrace")));
    }
    letters.sort();
    assert_eq!(letters.len(), expected, "{letters:?}");
    for (offset, why) in &letters {
        let told = match offset / BATCH == offset % BATCH {
            true => "is type string, already exists as type integer",
            false => "reading the time from member at: never is not a time",
        };
        assert!(why.contains(told), "{offset}: {why}");
    }
    wait("all others", SOON, || {
        let rows = place.influx.rows("d", "SELECT COUNT(v) FROM poison").ok()?;
        (rows[0][1].as_u64() == Some(good as u64 + 1)).then_some(())
    });
    connectd.await_state("influx", "RUNNING");
    let status = connectd.get("/connectors/influx/status").1;
    assert_eq!(status["tasks"][0]["detail"]["records_bad"], expected, "{status}");
    assert!(connectd.terminate().1, "stopped well");
}

/// An example with the settings that are this place's.
fn example(name: &str, own: &[(&str, &str)]) -> Json {
    let text = fs::read_to_string(format!("{ROOT}/configs/connectors/{name}.json")).expect("an example");
    let mut config = serde_json::from_str::<Json>(&text).expect("JSON")["config"].take();
    for (key, value) in own {
        config[*key] = (*value).into();
    }
    config
}

#[test]
fn the_examples_with_settings_of_lenses_and_confluent_do_what_they_say() {
    let Some(place) = Place::start("efd") else { return };
    place.influx.create_database("plant").expect("database");
    let url = place.influx.url();
    let connectd = place.connectd();
    let plain = [("value.converter", "JsonConverter"), ("value.converter.schemas.enable", "false")];
    let letters = ("errors.deadletterqueue.topic.replication.factor", "1");
    for topic in ["lsst.sal.Dome_wind", "lsst.sal.Dome_state", "measurements"] {
        place.reader.create(topic, 1, &[]);
    }
    let lenses = [("connect.influx.url", url.as_str()), ("http.proxy", "none"), letters, plain[0], plain[1]];
    create(&connectd, "kcql", &example("influxdb-kcql", &lenses));
    create(&connectd, "plant", &example("influxdb-confluent", &[("influxdb.url", &url), ("http.proxy", "none")]));

    let wind = "{\"speed\":[1.5,2.5],\"dome\":{\"open\":true},\"remark\":null}";
    place.reader.write("lsst.sal.Dome_wind", "k", Some(wind.as_bytes()));
    let state = "{\"state\":3,\"sal_host\":\"h\",\"sal_origin\":7,\"kafka_timestamp\":1700000000000,\"more\":1}";
    place.reader.write("lsst.sal.Dome_state", "k", Some(state.as_bytes()));
    let pump = "{\"measurement\":\"pumps\",\"tags\":{\"id\":\"p 1\"},\"rpm\":1400,\"taken_at\":5}";
    place.reader.write("measurements", "k", Some(pump.as_bytes()));
    place.reader.write("measurements", "k", Some(b"{\"rpm\":1401,\"taken_at\":6}"));

    let row = |database: &str, question: &str| {
        wait(question, SOON, || place.influx.rows(database, question).ok()?.first().cloned())
    };
    let one = row("efd", "SELECT speed0, speed1, \"dome.open\" FROM \"lsst.sal.Dome_wind\"");
    assert_eq!(one[1..], [json!(1.5), json!(2.5), json!(true)]);
    let one = row("efd", "SELECT now, sal_host, origin, dome FROM states");
    assert_eq!(one, [json!(1_700_000_000_000_000_000_i64), json!(3), json!("h"), json!("7"), json!("main")]);
    let one = row("plant", "SELECT rpm, taken_at, id FROM pumps");
    assert_eq!(one, [json!(5_000_000), json!(1400), json!(5), json!("p 1")]);
    let one = row("plant", "SELECT rpm, taken_at FROM kafka_measurements");
    assert_eq!(one, [json!(6_000_000), json!(1401), json!(6)]);
}

#[test]
fn a_password_that_changes_while_the_sink_runs_is_taken_up() {
    const PASSWORDS: [&str; 3] = ["passw0rd-of-today", "passw0rd-of-tomorrow", "passw0rd-of-later"];
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start_with_users().expect("influxdb");
    let ask = |question: &str| {
        let url = format!("{}/query", influx.url());
        let url = reqwest::Url::parse_with_params(&url, [("db", "d"), ("q", question)]).expect("a URL");
        let request = reqwest::blocking::Client::new().post(url).basic_auth("boss", Some("b0ss"));
        let answer = request.send().expect("an answer");
        answer.json::<Json>().expect("JSON")
    };
    ask("CREATE USER boss WITH PASSWORD 'b0ss' WITH ALL PRIVILEGES");
    ask("CREATE DATABASE d");
    ask(&format!("CREATE USER writer WITH PASSWORD '{}'", PASSWORDS[0]));
    ask("GRANT WRITE ON d TO writer");
    let dir = tempfile::tempdir().expect("folder");
    let secrets = dir.path().join("secrets.properties");
    let rotate = |password: &str| fs::write(&secrets, format!("password={password}\n")).expect("secrets");
    rotate(PASSWORDS[0]);
    let worker = file(
        dir.path(),
        "worker.yaml",
        "key.converter: StringConverter\nvalue.converter: JsonConverter\nvalue.converter.schemas.enable: false\n\
         restart.attempts: 0\nconfig.providers: file\nconfig.providers.file.class: FileConfigProvider\n",
    );
    let connectd = Connectd::start(&["-c", &worker, "--embedded"], &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    let write = |numbers: std::ops::Range<usize>| {
        let record = |n: usize| (n.to_string(), Some(format!("{{\"n\":{n},\"at\":{}}}", n + 1).into_bytes()));
        reader.write_all("numbers", numbers.map(record));
    };
    let stored = |expected: usize| {
        wait(&format!("{expected} points"), SOON, || {
            let status = connectd.get("/connectors/influx/status").1;
            assert_ne!(status["tasks"][0]["state"], "FAILED", "{status}");
            let count = ask("SELECT COUNT(n) FROM numbers");
            let count = count.pointer("/results/0/series/0/values/0/1").and_then(Json::as_u64);
            (count == Some(expected as u64)).then_some(())
        });
    };
    write(0..1000);
    create(
        &connectd,
        "influx",
        &json!({
            "connector.class": "influxdb-sink", "tasks.max": "1", "topics": "numbers", "influxdb.url": influx.url(),
            "influxdb.database": "d", "influxdb.time.field": "at", "influxdb.batch.lines": "100", "http.proxy": "none",
            "http.max.in.flight": "3", "influxdb.username": "writer",
            "influxdb.password": format!("${{file:{}:password}}", secrets.display())
        }),
    );
    stored(1000);
    for (n, password) in PASSWORDS[1..].iter().enumerate() {
        rotate(password);
        ask(&format!("SET PASSWORD FOR writer = '{password}'"));
        write(1000 * (n + 1)..1000 * (n + 2));
        stored(1000 * (n + 2));
    }
    let log = connectd.log_text();
    assert_eq!(log.matches("it begins anew with them").count(), 2, "{log}");
    assert!(log.contains("correct influxdb.username and influxdb.password: the server answered 401"), "{log}");
    assert!(!log.contains("the task failed"), "{log}");
    PASSWORDS.iter().for_each(|password| assert!(!log.contains(password), "{password} is shown: {log}"));
}
