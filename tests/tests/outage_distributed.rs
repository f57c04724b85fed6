//! A distributed worker without Kafka: at its start, and for longer than anybody's session lasts.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(60);

fn worker(kafka: &Kafka) -> String {
    format!(
        "bootstrap.servers: {}\ngroup.id: cluster\n\
         key.converter: StringConverter\nvalue.converter: StringConverter\n\
         config: {{ storage.topic: configs, storage.replication.factor: 1 }}\n\
         offset: {{ storage.topic: offsets, storage.replication.factor: 1, flush.interval.ms: 500 }}\n\
         status: {{ storage.topic: status, storage.replication.factor: 1 }}\n\
         session.timeout.ms: 6000\nheartbeat.interval.ms: 2000\nconsumer.session.timeout.ms: 6000\n",
        kafka.bootstrap()
    )
}

fn source(path: &str, topic: &str) -> Json {
    json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": path, "topic": topic})
}

#[test]
fn an_outage_longer_than_all_sessions_loses_nothing_and_what_was_asked_meanwhile_comes_true_or_not_at_all() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let reader = Reader::new(&kafka.bootstrap());
    ["numbers", "impatient", "late"].iter().for_each(|topic| reader.create(topic, 1, &[]));
    let settings = file(dir.path(), "worker.yaml", &worker(&kafka));
    let mut connectd = Connectd::start(&["-c", &settings], &dir.path().join("log"));
    let put = |connectd: &Connectd, name: &str, config: &Json| {
        connectd.send("PUT", &format!("/connectors/{name}/config"), Some(config))
    };
    let sink = json!({
        "connector.class": "FileStreamSink", "tasks.max": "1", "topics": "numbers,impatient", "file": path("out.txt")
    });
    let mut impatient = source(&path("impatient.txt"), "impatient");
    for (key, value) in [("delivery.timeout.ms", "5000"), ("request.timeout.ms", "2000"), ("linger.ms", "0")] {
        impatient[format!("producer.override.{key}")] = value.into();
    }
    impatient["restart.attempts"] = "0".into();
    let all = [
        ("in", source(&path("in.txt"), "numbers")),
        ("out", sink),
        ("impatient", impatient),
        ("doomed", source(&path("none.txt"), "none")),
        ("idle", source(&path("none.txt"), "none")),
    ];
    for (name, config) in &all {
        let (status, body) = put(&connectd, name, config);
        assert_eq!(status, 201, "{name}: {body}");
        connectd.await_state(name, "RUNNING");
    }
    let mut next = 0;
    let mut add = |n: usize| {
        for name in ["in.txt", "impatient.txt"] {
            let text: String = (next..next + n).map(|n| format!("{name}:{n}\n")).collect();
            let file = fs::File::options().create(true).append(true).open(path(name));
            file.and_then(|mut f| f.write_all(text.as_bytes())).expect("input");
        }
        next += n;
        2 * next
    };
    let arrived = |n: usize| {
        wait(&format!("{n} lines"), SOON, || {
            let text = fs::read_to_string(path("out.txt")).unwrap_or_default();
            (text.lines().collect::<BTreeSet<_>>().len() == n).then_some(())
        });
    };
    arrived(add(500));

    kafka.stop().expect("stop kafka");
    let began = Instant::now();
    add(500);
    thread::scope(|scope| {
        let at_once = || {
            for path in
                ["/", "/health", "/connectors?expand=status", "/connectors/in/offsets", "/connectors/out/status"]
            {
                let began = Instant::now();
                assert_eq!(connectd.get(path).0, 200, "{path}");
                assert!(began.elapsed() < Duration::from_secs(2), "{path}: {:?}", began.elapsed());
            }
        };
        let asked = [
            scope.spawn(|| put(&connectd, "late", &source(&path("impatient.txt"), "late"))),
            scope.spawn(|| connectd.send("DELETE", "/connectors/doomed", None)),
        ];
        at_once();
        // As in Kafka Connect, a task whose own limit was passed fails; what it read comes again after a restart.
        wait("a failure", SOON, || (connectd.states("impatient").1 == ["FAILED"]).then_some(()));
        for answer in asked {
            let (status, body) = answer.join().expect("a request");
            let text = body["message"].as_str().unwrap_or_default();
            assert!(status == 500 && text.starts_with("Error writing connector "), "{status}: {body}");
        }
        at_once();
    });
    connectd.await_state("in", "RUNNING");
    connectd.await_state("out", "RUNNING");
    assert_eq!(connectd.get("/connectors/doomed").0, 200, "it was not deleted yet");
    let missing = connectd.get("/connectors/late");
    assert_eq!(missing.0, 404, "{missing:?}");
    assert!(began.elapsed() > Duration::from_secs(20), "the sessions are over");

    kafka.start_again().expect("start kafka");
    add(500);
    let names = |connectd: &Connectd| connectd.get("/connectors").1;
    // The first of the two changes was on its way when Kafka went. The other one waited for it, and by then the worker did
    // not know whether it still had its place.
    let came_true = wait("what was stored late to be taken up", SOON, || match names(&connectd) {
        all if all == json!(["doomed", "idle", "impatient", "in", "late", "out"]) => Some("late"),
        all if all == json!(["idle", "impatient", "in", "out"]) => Some("doomed"),
        _ => None,
    });
    wait("the worker's place", SOON, || connectd.log_text().contains("is confirmed again").then_some(()));
    if came_true == "late" {
        assert_eq!(connectd.send("DELETE", "/connectors/doomed", None).0, 204);
    } else {
        assert_eq!(put(&connectd, "late", &source(&path("impatient.txt"), "late")).0, 201);
    }
    assert_eq!(names(&connectd), json!(["idle", "impatient", "in", "late", "out"]));
    connectd.await_state("late", "RUNNING");
    assert_eq!(connectd.get("/connectors/doomed/status").0, 404);
    // A request for a restart counts whoever has stored it, and however late.
    let asked = br#"{"include-tasks":true,"only-failed":true}"#;
    reader.write("configs", "restart-connector-impatient", Some(asked));
    reader.write("configs", "restart-connector-doomed", Some(asked));
    arrived(add(500));
    for name in ["in", "out", "impatient", "late"] {
        connectd.await_state(name, "RUNNING");
    }
    let lines = reader.until("late", SOON, |all| all.len() >= 2000);
    assert_eq!(lines.len(), 2000, "the new connector has written everything");
    let (took, well) = connectd.terminate();
    assert!(well && took < Duration::from_secs(25), "it took {took:?} to end ({well})");
    connectd.start_again();
    assert_eq!(names(&connectd), json!(["idle", "impatient", "in", "late", "out"]), "that is what is stored");
    arrived(add(500));
}

#[test]
fn a_worker_that_starts_without_kafka_says_so_and_waits_for_it() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let settings = file(dir.path(), "worker.yaml", &worker(&kafka));
    kafka.stop().expect("stop kafka");
    let mut connectd = Connectd::begin(tocsin_tests::program("connectd"), &["-c", &settings], &dir.path().join("log"));
    let health = connectd.get("/health");
    assert_eq!(health, (503, json!({"status": "starting", "message": "Worker is still starting up."})));
    assert_eq!(connectd.get("/").0, 200);
    assert_eq!(connectd.get("/connector-plugins").0, 200);
    let bad = json!({"connector.class": "FileStreamSource", "name": "c"});
    let judged = connectd.send("PUT", "/connector-plugins/FileStreamSource/config/validate", Some(&bad));
    assert_eq!((judged.0, judged.1["error_count"].as_i64()), (200, Some(2)), "{}", judged.1);
    wait("the log to say what it waits for", SOON, || {
        connectd.log_text().contains(&format!("waiting for kafka at {}", kafka.bootstrap())).then_some(())
    });
    let url = format!("{}/connectors", connectd.url());
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(120)).build().expect("client");
    let asked = thread::spawn(move || client.get(url).send().map(|r| (r.status().as_u16(), r.text())));
    kafka.start_again().expect("start kafka");
    connectd.await_healthy();
    let (status, body) = asked.join().expect("a request").expect("an answer");
    assert_eq!((status, body.expect("text").as_str()), (200, "[]"), "it waited for the worker");
}

#[test]
fn a_worker_without_kafka_gives_up_after_a_minute() {
    let dir = tempfile::tempdir().expect("folder");
    // Nothing listens on this port.
    let text = "bootstrap.servers: 127.0.0.1:9\ngroup.id: cluster\n\
                key.converter: StringConverter\nvalue.converter: StringConverter\n\
                config.storage.topic: configs\noffset.storage.topic: offsets\nstatus.storage.topic: status\n";
    let settings = file(dir.path(), "worker.yaml", text);
    let began = Instant::now();
    let said = Connectd::refused_within(&["-c", &settings], &dir.path().join("log"), Duration::from_secs(90));
    let expected = "Failed to connect to and describe Kafka cluster at 127.0.0.1:9. Check worker's broker connection and \
                    security properties";
    assert!(said.contains(expected), "{said}");
    assert!(began.elapsed() > Duration::from_secs(50), "as long as Kafka Connect waits");
}
