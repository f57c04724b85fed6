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

#[test]
fn a_distributed_worker_takes_over_from_kafka_connect_and_hands_back() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("lines", 2, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut text = String::new();
    let mut add = |n: std::ops::Range<u32>| {
        text.extend(n.map(|n| format!("{n}\n")));
        fs::write(path("in.txt"), &text).expect("input");
    };
    let settings = [
        ("group.id", "cluster"),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("config.storage.topic", "cluster-configs"),
        ("config.storage.replication.factor", "1"),
        ("offset.storage.topic", "cluster-offsets"),
        ("offset.storage.replication.factor", "1"),
        ("offset.storage.partitions", "3"),
        ("status.storage.topic", "cluster-status"),
        ("status.storage.replication.factor", "1"),
        ("offset.flush.interval.ms", "500"),
        ("plugin.discovery", "hybrid_warn"),
    ];
    let lines: Vec<String> = settings.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    let worker = file(
        dir.path(),
        "connect-distributed.properties",
        &format!("bootstrap.servers={}\nlisteners=http://127.0.0.1:0\n{}", kafka.bootstrap(), lines.concat()),
    );
    let http = reqwest::blocking::Client::new();
    let get = |url: String| -> serde_json::Value {
        http.get(&url).send().and_then(|r| r.json()).unwrap_or_else(|e| panic!("{url}: {e}"))
    };
    let running = |base: &str, name: &str| {
        wait(&format!("{name} to run on {base}"), SOON, || {
            let status = get(format!("{base}/connectors/{name}/status"));
            let all = status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING";
            all.then_some(status)
        })
    };
    let arrived = |n: usize| {
        wait(&format!("{n} lines"), SOON, || {
            let out = fs::read_to_string(path("out.txt")).unwrap_or_default();
            let mut numbers: Vec<u32> = out.lines().filter_map(|l| l.parse().ok()).collect();
            numbers.sort_unstable();
            assert!(numbers.len() <= n, "lines came twice: {numbers:?}");
            (numbers == (0..n as u32).collect::<Vec<_>>()).then_some(())
        });
    };

    // Kafka Connect begins: a source, a sink, and one that is stopped.
    add(0..10);
    let mut theirs = KafkaConnect::distributed(&kafka.bootstrap(), &settings).expect("kafka connect");
    let url = theirs.url();
    let source = serde_json::json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": path("in.txt"), "topic": "lines"
    });
    let sink = serde_json::json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "2",
        "topics": "lines", "file": path("out.txt")
    });
    let create = |base: &str, name: &str, config: &serde_json::Value| {
        wait(&format!("{name} to be created"), SOON, || {
            let answer = http.put(format!("{base}/connectors/{name}/config")).json(config).send().expect("request");
            // A worker that rebalances says 409.
            let code = answer.status().as_u16();
            assert!([200, 201, 409].contains(&code), "{:?}", answer.text());
            (code != 409).then_some(())
        });
    };
    create(&url, "in-1", &source);
    create(&url, "out", &sink);
    create(
        &url,
        "idle",
        &serde_json::json!({"connector.class": "FileStreamSource", "file": path("none.txt"), "topic": "none"}),
    );
    wait("the stop", SOON, || {
        (http.put(format!("{url}/connectors/idle/stop")).send().expect("request").status() == 204).then_some(())
    });
    running(&url, "in-1");
    running(&url, "out");
    arrived(10);
    let (tasks, config) = (get(format!("{url}/connectors/out/tasks")), get(format!("{url}/connectors/out/config")));
    theirs.stop().expect("stop kafka connect");

    // This worker goes on with what it finds.
    add(10..20);
    let mut ours = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let url_of_ours = ours.url().to_owned();
    running(&url_of_ours, "in-1");
    running(&url_of_ours, "out");
    arrived(20);
    assert_eq!(get(format!("{url_of_ours}/connectors/out/config")), config);
    assert_eq!(get(format!("{url_of_ours}/connectors/out/tasks")), tasks);
    let (state, tasks) = ours.states("idle");
    assert_eq!((state.as_str(), tasks.len()), ("STOPPED", 0));
    let second = Connectd::refused(&["-c", &worker], &dir.path().join("second"));
    assert!(second.contains("group.id=cluster: another worker is its member"), "{second}");
    create(
        &url_of_ours,
        "extra",
        &serde_json::json!({
            "connector.class": "FileStreamSource", "file": path("in.txt"), "topic": "extra"
        }),
    );
    assert_eq!(ours.send("PUT", "/connectors/extra/pause", None).0, 202);
    assert_eq!(ours.send("DELETE", "/connectors/idle", None).0, 204);
    ours.await_state("extra", "PAUSED");
    assert!(ours.terminate().1, "connectd ends well");

    // And hands it back.
    add(20..30);
    theirs.start_again().expect("start kafka connect again");
    running(&url, "in-1");
    running(&url, "out");
    arrived(30);
    wait("the paused one", SOON, || {
        let status = get(format!("{url}/connectors/extra/status"));
        (status["connector"]["state"] == "PAUSED" && status["tasks"][0]["state"] == "PAUSED").then_some(())
    });
    assert_eq!(get(format!("{url}/connectors/idle/status"))["error_code"], 404);
}
