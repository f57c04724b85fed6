//! What a worker of Kafka Connect cannot do is said with the way out; contexts lead to it; how far its sinks are behind is
//! asked of Kafka; and addresses that are none.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{ctl::Ctl, file, kafka::Reader, wait};
use xtask::servers::{Kafka, KafkaConnect, without};

const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

#[test]
fn what_a_jvm_worker_cannot_is_said_with_the_way_out() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    Reader::new(&kafka.bootstrap()).create("lines", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let offsets = path("offsets");
    let settings =
        [("key.converter", STRING), ("value.converter", STRING), ("offset.storage.file.filename", offsets.as_str())];
    let connect = KafkaConnect::standalone(&kafka.bootstrap(), &settings).expect("kafka connect");

    // A context is all that is needed from here on.
    let contexts = path("config.yaml");
    let ctl = Ctl::new("").env("CONNECTCTL_CONFIG", &contexts);
    let (url, bootstrap) = (format!("url={}", connect.url()), format!("bootstrap.servers={}", kafka.bootstrap()));
    ctl.out(&["context", "set", "jvm", &url, &bootstrap]);
    ctl.out(&["context", "set", "dead", "url=http://127.0.0.1:1"]);
    ctl.out(&["context", "use", "jvm"]);
    assert!(ctl.out(&["context", "list"]).contains("jvm"));
    let text = format!("name: out\nconnector.class: {SINK}\ntopics: lines\nfile: {}\n", path("out.txt"));
    let good = file(dir.path(), "good.yaml", &text);
    assert_eq!(ctl.run(&["apply", "-f", &good, "--wait"]).expect(0).out, "out created\n");
    assert!(ctl.run(&["--context", "dead", "list"]).expect(3).err.contains("http://127.0.0.1:1: connection refused"));
    assert!(ctl.run(&["--context", "jmv", "list"]).expect(1).err.contains("did you mean jvm?"));

    let tried = ctl.run(&["test", "out"]).expect(1);
    let tried_file = ctl.run(&["test", &good]).expect(1);
    for said in [tried, tried_file] {
        assert!(
            said.err.contains("cannot try out connectors") && said.err.contains("connectctl validate -f"),
            "{said:?}"
        );
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
    }
    let counted = ctl.run(&["metrics"]).expect(1);
    assert!(counted.err.contains("has no /metrics") && counted.err.contains("connectctl doctor"), "{counted:?}");
    let logged = ctl.run(&["logs", "out"]).expect(1);
    assert!(
        logged.err.contains("look into its log file") && logged.err.contains("connectctl describe out"),
        "{logged:?}"
    );
    // The ways out are there.
    ctl.run(&["validate", "-f", &good]).expect(0);
    assert!(ctl.out(&["describe", "out"]).contains("RUNNING"));
    ctl.out(&["offsets", "show", "out"]);
    let report = ctl.json(&["doctor", "--fail-on", "warn"]);
    assert!(
        report["findings"].as_array().is_some_and(|f| f.iter().any(|f| f["check"] == "kafka" && f["level"] == "ok"))
    );

    // A plugin that it has not got.
    let create = ["create", "influxdb-sink", "--influxdb", "http://h:8086", "lines"];
    let missing = ctl.run(&create).expect(1);
    let class = "com.datamountaineer.streamreactor.connect.influx.InfluxSinkConnector";
    assert!(missing.err.contains(&format!("the worker has no plugin {class}")), "{missing:?}");
    assert_eq!(ctl.json(&["list"])[0]["name"], "out");

    addresses(&ctl, &kafka);
}

/// Typing errors, and addresses of something else.
fn addresses(ctl: &Ctl, kafka: &Kafka) {
    let unknown = ctl.run(&["stauts"]).expect(2);
    assert!(
        unknown.err.contains("unrecognized subcommand 'stauts'") && unknown.err.contains("'status'"),
        "{unknown:?}"
    );
    for verb in [&["status", "uot"][..], &["describe", "uot"], &["pause", "uot"], &["get", "uot"]] {
        let near = ctl.run(verb).expect(1);
        assert!(near.err.contains("did you mean out?"), "{verb:?}: {near:?}");
    }
    // The port of Kafka itself, and one where nobody listens.
    for (url, part) in [
        (format!("http://{}", kafka.bootstrap()), ""),
        ("http://127.0.0.1:1".into(), "connection refused; is it running?"),
    ] {
        for command in [&["list"][..], &["status"], &["info"], &["logs", "out"], &["metrics"]] {
            let away = ctl.run(&[&["--url", &url, "--timeout", "5"], command].concat()).expect(3);
            assert!(away.err.contains(&url) && away.err.contains(part) && away.err.lines().count() == 1, "{away:?}");
        }
        let report = ctl.run(&["--url", &url, "doctor", "--quick", "--timeout", "5", "-o", "json"]).expect(4).json();
        assert_eq!(report["findings"][0]["level"], json!("fail"), "{report}");
    }
}

#[test]
fn how_far_sinks_of_a_jvm_worker_are_behind_is_asked_of_kafka() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let bootstrap = kafka.bootstrap();
    let reader = Reader::new(&bootstrap);
    let write = |count: usize| {
        reader.write_all("lines", (0..count).map(|n| (n.to_string(), Some(b"a line".to_vec()))));
    };
    reader.create("lines", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let offsets = path("offsets");
    let settings = [
        ("key.converter", STRING),
        ("value.converter", STRING),
        ("offset.storage.file.filename", offsets.as_str()),
        ("offset.flush.interval.ms", "1000"),
    ];
    let connect = KafkaConnect::standalone(&bootstrap, &settings).expect("kafka connect");
    let blind = Ctl::new(&connect.url());
    let ctl = Ctl::new(&connect.url()).env("BOOTSTRAP_SERVERS", &bootstrap);
    let text = format!("name: out\nconnector.class: {SINK}\ntopics: lines\nfile: {}\n", path("out.txt"));
    ctl.out(&["apply", "-f", &file(dir.path(), "out.yaml", &text), "--wait"]);
    write(5);
    let until = |lag: u64| {
        let is = || (ctl.json(&["status", "out"])[0]["lag"] == json!(lag)).then_some(());
        wait(&format!("a lag of {lag}"), Duration::from_secs(90), is);
    };
    until(0);
    ctl.out(&["stop", "out", "--wait"]);
    write(3);
    until(3);
    assert!(ctl.out(&["status", "out"]).contains("\n  lag           3 records behind\n"));
    assert!(ctl.out(&["describe", "out"]).contains("\n  lag           3 records behind\n"));
    let all = ctl.out(&["status"]);
    let mut lines = all.lines();
    assert!(lines.next().is_some_and(|l| l.contains("TASKS  LAG")), "{all}");
    assert!(lines.next().is_some_and(|l| l.contains("STOPPED  0/0      3")), "{all}");
    let top = ctl.json(&["top"]);
    assert_eq!((&top[0]["lag"], &top[0]["type"]), (&json!(3), &json!("sink")), "{top}");

    // Nobody says where Kafka is.
    let said = blind.run(&["status"]).expect(0);
    assert!(!said.out.contains("LAG") && said.err.is_empty(), "{said:?}");
    assert_eq!(blind.json(&["top"])[0]["lag"], Json::Null);
    // It is not there.
    let begin = Instant::now();
    let dead = blind.run(&["--bootstrap-servers", "127.0.0.1:1", "status"]).expect(0);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(dead.out.contains("STOPPED") && dead.err.lines().count() == 1, "{dead:?}");
    assert!(dead.err.starts_with("the lag of out is not known: ") && dead.err.contains("127.0.0.1:1"), "{dead:?}");

    // It is another one than the worker's.
    let other = Kafka::start().expect("another kafka");
    let wrong = blind.run(&["--bootstrap-servers", &other.bootstrap(), "status"]).expect(0);
    assert!(wrong.err.contains("the lag of out is not known: Kafka at ") && !wrong.out.contains("LAG"), "{wrong:?}");
    assert!(wrong.err.contains("but the worker is on cluster "), "{wrong:?}");
    drop(other);

    ctl.out(&["resume", "out", "--wait"]);
    until(0);

    // A worker that knows no offsets: Kafka is asked for those of the group that the settings name.
    reader.commit("own-group", "lines", 0, 2);
    let config =
        json!({ "name": "old", "connector.class": "c", "topics": "lines", "consumer.override.group.id": "own-group" });
    let old = Ctl::new(&old_worker("old", &config)).env("BOOTSTRAP_SERVERS", &bootstrap);
    let shown = old.run(&["status", "old", "-o", "json"]).expect(0);
    assert_eq!((&shown.json()[0]["lag"], shown.err.as_str()), (&json!(6), ""), "{shown:?}");
    let report = old.json(&["doctor", "--only", "lag", "--max-lag", "1"]);
    assert!(report["findings"][0]["text"].as_str().is_some_and(|t| t.contains("old is 6 records behind")), "{report}");
}

/// A worker of Kafka Connect as they were before 3.5, with a sink that runs: its address.
fn old_worker(name: &str, config: &Json) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its number");
    let info = json!({ "name": name, "type": "sink", "tasks": [], "config": config });
    let status = json!({ "name": name, "type": "sink", "connector": { "state": "RUNNING", "worker_id": "w" },
        "tasks": [{ "id": 0, "state": "RUNNING", "worker_id": "w" }] });
    let name = name.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            let Some(Ok(first)) = lines.next() else { continue };
            // The rest of the head.
            lines.find(|line| line.as_ref().map_or(true, String::is_empty));
            let path = first.split(' ').nth(1).unwrap_or_default();
            let own = format!("/connectors/{name}");
            let answer = match path {
                "/" => json!({ "version": "3.4.0", "commit": "c", "kafka_cluster_id": null }),
                "/connectors" => json!([name]),
                path if path.starts_with("/connectors?expand") => json!({ &name: { "status": status, "info": info } }),
                path if *path == own => info.clone(),
                path if path.strip_prefix(&own) == Some("/status") => status.clone(),
                _ => Json::Null,
            };
            let (code, body) = match answer {
                Json::Null => ("404 Not Found", json!({ "error_code": 404, "message": "HTTP 404 Not Found" })),
                body => ("200 OK", body),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\nConnection: close\r\n");
            // Who asked may be gone.
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    format!("http://{address}")
}
