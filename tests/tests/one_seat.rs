//! A worker that was halted for longer than its session comes back while another has its place.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);

fn worker(kafka: &Kafka, session: &str) -> String {
    format!(
        "bootstrap.servers: {}\ngroup.id: cluster\n\
         key.converter: StringConverter\nvalue.converter: StringConverter\n\
         config: {{ storage.topic: configs, storage.replication.factor: 1 }}\n\
         offset: {{ storage.topic: offsets, storage.replication.factor: 1, flush.interval.ms: 300 }}\n\
         status: {{ storage.topic: status, storage.replication.factor: 1 }}\n\
         session.timeout.ms: {session}\nconsumer.session.timeout.ms: 6000\n",
        kafka.bootstrap()
    )
}

/// The source's positions in the order in which they were stored.
fn positions(reader: &Reader) -> Vec<i64> {
    let value = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).ok()?["position"].as_i64();
    reader.all("offsets").iter().filter_map(|r| value(r.value.as_deref()?)).collect()
}

fn lines(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn who_comes_back_to_find_its_place_taken_ends_and_has_written_nothing() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("lines", 1, &[]);
    let settings = file(dir.path(), "worker.yaml", &worker(&kafka, "6000"));
    let start = |n: usize| Connectd::start(&["-c", &settings], &path(&format!("log-{n}")));
    let source = |file: &str| json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": path(file), "topic": "lines"});
    let sink = json!({
        "connector.class": "FileStreamSink", "tasks.max": "1", "file": path("out.txt"), "topics": "lines"
    });
    let mut input = File::create(path("in.txt")).expect("input");
    let (full, mut written) = (AtomicBool::new(false), 0);
    let mut worker = start(0);
    for (name, config) in [("in", source("in.txt")), ("out", sink)] {
        let (status, body) = worker.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(status, 201, "{body}");
        worker.await_state(name, "RUNNING");
    }
    for round in 1..=3 {
        let mut successor = thread::scope(|scope| {
            // Lines come all the time, so that there is something to read, to write and to commit.
            let writing = scope.spawn(|| {
                while !full.load(Ordering::Acquire) {
                    writeln!(input, "line {written}").expect("input");
                    written += 1;
                    thread::sleep(Duration::from_millis(2));
                }
            });
            let before = positions(&reader).last().copied().unwrap_or(0);
            wait("more to be committed", SOON, || (positions(&reader).last() > Some(&(before + 1000))).then_some(()));
            worker.halt();
            let successor = start(round);
            successor.await_state("in", "RUNNING");
            let taken = positions(&reader).last().copied();
            wait("the successor to go on", SOON, || (positions(&reader).last().copied() > taken).then_some(()));
            // Asked while it is halted, and answered when it has woken.
            let url = format!("{}/connectors/late-{round}/config", worker.url());
            let late = source("none.txt");
            let asked = scope.spawn(move || {
                let answer = reqwest::blocking::Client::new().put(url).timeout(SOON).json(&late).send();
                answer.ok().map(|answer| answer.status().as_u16())
            });
            thread::sleep(Duration::from_millis(200));
            worker.go_on();
            let woken = Instant::now();
            assert!(!worker.await_end(SOON), "round {round}: it has failed");
            assert!(woken.elapsed() < Duration::from_secs(20), "round {round}: it took {:?}", woken.elapsed());
            let answer = asked.join().expect("a request");
            assert!(answer != Some(201), "round {round}: it took a configuration");
            let text = worker.log_text();
            assert!(text.contains("the worker has lost its place in the cluster: group.id=cluster: "), "{text}");
            full.store(true, Ordering::Release);
            writing.join().expect("the writer");
            full.store(false, Ordering::Release);
            successor
        });
        assert_eq!(successor.get("/connectors").1, json!(["in", "out"]), "round {round}");
        let all = positions(&reader);
        let back = all.windows(2).find(|two| two[1] < two[0]);
        assert_eq!(back, None, "round {round}: a position of before was stored");
        wait(&format!("{written} lines"), SOON, || (lines(&path("out.txt")) == written).then_some(()));
        for name in ["in", "out"] {
            successor.await_state(name, "RUNNING");
        }
        std::mem::swap(&mut worker, &mut successor);
    }
    assert!(worker.terminate().1, "the last one ends well");
}

#[test]
fn a_worker_that_was_halted_goes_on_where_nobody_has_taken_its_place() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("lines", 1, &[]);
    let settings = file(dir.path(), "worker.yaml", &worker(&kafka, "6000"));
    let mut worker = Connectd::start(&["-c", &settings], &path("log"));
    let config =
        json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": path("in.txt"), "topic": "lines"});
    file(dir.path(), "in.txt", "before\n");
    assert_eq!(worker.send("PUT", "/connectors/in/config", Some(&config)).0, 201);
    worker.await_state("in", "RUNNING");
    reader.until("lines", SOON, |all| all.len() == 1);
    worker.halt();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(100));
    }
    worker.go_on();
    file(dir.path(), "in.txt", "before\nafter\n");
    reader.until("lines", SOON, |all| all.len() == 2);
    wait("the position", SOON, || (positions(&reader).last() == Some(&13)).then_some(()));
    assert_eq!(worker.send("DELETE", "/connectors/in", None).0, 204);
    assert!(worker.log_text().contains("is confirmed again"), "{}", worker.log_text());
    assert!(worker.terminate().1);
}
