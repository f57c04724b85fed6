//! A loader that numbers its posts, across kills of the worker and restarts of Kafka: whatever was answered with 200 is
//! in the topic, whole, and what was posted again with its id while the worker lived is there once.

#![allow(clippy::print_stdout, reason = "the figures are what the long run is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use reqwest::blocking::Client;
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Port, Server, without};

const LIMIT: Duration = Duration::from_secs(120);
const SENDERS: usize = 4;

/// How many disturbances: four, unless a long run asks for more.
fn rounds() -> usize {
    match std::env::var("TOCSIN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TOCSIN_KILLS is {text:?}, which is no number of kills")),
        Err(_) => 4,
    }
}

/// Posts batches until it is told to stop, each again and again with its id until it is taken; answers what was taken.
fn send(sender: usize, url: &str, stop: &AtomicBool, taken: &AtomicUsize) -> BTreeMap<String, usize> {
    let client = Client::builder().timeout(Duration::from_secs(5)).build().expect("client");
    let mut acknowledged = BTreeMap::new();
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let (id, size) = (format!("{sender}-{n}"), 1 + n % 5);
        let items: Vec<Json> = (0..size).map(|part| json!({"batch": id, "part": part})).collect();
        let post = || client.post(url).header("Idempotency-Key", &id).json(&items).send();
        wait("the batch to be taken", LIMIT, || match post() {
            Ok(answer) if answer.status() == 200 => Some(()),
            // Never 429, and nothing else than the word to come again.
            Ok(answer) => {
                assert_eq!(answer.status(), 503, "{:?}", answer.text());
                assert!(answer.headers().contains_key("retry-after"));
                None
            }
            Err(_) => None,
        });
        acknowledged.insert(id, size);
        taken.fetch_add(1, Ordering::AcqRel);
    }
    acknowledged
}

#[test]
fn no_acknowledged_post_is_lost_across_kills_and_restarts_of_kafka() {
    if without("kafka") {
        return;
    }
    let (mut kafka, port) = (Kafka::start().expect("kafka"), Port::claim().expect("port"));
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("posts", 3, &[]);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         value.converter.schemas.enable: false\noffset.storage.file.filename: {}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let source = format!(
        "name: loader\nconnector.class: webhook-source\nwebhook:\n  listen: '{}'\n  format: json\n  topic: posts\n  \
         key.template: '{{{{value.batch}}}}'\n  ack.timeout.ms: 2000\n",
        port.address()
    );
    let (worker, source) = (file(dir.path(), "worker.yaml", &worker), file(dir.path(), "loader.yaml", &source));
    let mut connectd = Connectd::start(&["-c", &worker, &source], &dir.path().join("log"));
    connectd.await_state("loader", "RUNNING");
    let url = format!("http://{}/loader", port.address());
    let (stop, taken, began) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
    let (mut kills, mut restarts) = (0, 0);
    let acknowledged: BTreeMap<String, usize> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| {
                let (url, stop, taken) = (&url, &stop, &taken);
                scope.spawn(move || send(n, url, stop, taken))
            })
            .collect();
        for round in 0..rounds() {
            let goal = taken.load(Ordering::Acquire) + 100;
            wait("posts before the next disturbance", LIMIT, || (taken.load(Ordering::Acquire) >= goal).then_some(()));
            match round % 3 {
                0 => {
                    connectd.kill9();
                    connectd.start_again();
                    kills += 1;
                }
                1 => {
                    kafka.restart().expect("restart");
                    restarts += 1;
                }
                _ => {
                    // As a machine that goes down and takes both with it.
                    kafka.kill9().expect("kill");
                    connectd.kill9();
                    kafka.start_again().expect("start");
                    connectd.start_again();
                    (kills, restarts) = (kills + 1, restarts + 1);
                }
            }
        }
        let goal = taken.load(Ordering::Acquire) + 100;
        wait("posts after the last disturbance", LIMIT, || (taken.load(Ordering::Acquire) >= goal).then_some(()));
        stop.store(true, Ordering::Release);
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
    });

    let mut stored: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in reader.all("posts") {
        let value: Json = serde_json::from_slice(record.value.as_deref().expect("value")).expect("json");
        let batch = value["batch"].as_str().expect("batch").to_owned();
        let id = record.headers.iter().find(|(name, _)| &**name == "Idempotency-Key").and_then(|(_, id)| id.clone());
        assert_eq!(id.as_deref(), Some(batch.as_bytes()), "readers know by it what came again");
        stored.entry(batch).or_default().push(value["part"].as_u64().expect("part"));
    }
    let mut again = 0;
    for (batch, size) in &acknowledged {
        let parts = stored.get(batch).unwrap_or_else(|| panic!("{batch} was acknowledged and is lost"));
        let distinct: BTreeSet<_> = parts.iter().collect();
        assert_eq!(distinct.len(), *size, "{batch} was acknowledged and is there only in part: {parts:?}");
        again += usize::from(parts.len() > *size);
    }
    let posts = acknowledged.len();
    // Only what was under way when the worker was killed, of each sender one at most, may have come again.
    assert!(again <= SENDERS * (kills + restarts), "{again} of {posts} are there more than once");
    eprintln!(
        "{posts} posts acknowledged in {:.1} s, {kills} kills, {restarts} restarts of kafka, {again} stored again",
        began.elapsed().as_secs_f64()
    );
}
