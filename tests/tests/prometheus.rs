//! The Prometheus sink in the real server, on real Kafka: totals stay exact, and never go back on the page, across kills
//! and rebalances while a server for remote writes fails now and then.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use tokio::runtime::Runtime;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};
use xtask::servers::{Kafka, Prometheus, without};

const RECORDS: usize = 100_000;
const KILLS: usize = 6;
/// Every so many records one is bad.
const BAD: usize = 9_973;
const LIMIT: Duration = Duration::from_secs(240);

/// The values of a page's lines that begin so, by the whole line in front of the value.
fn values(page: &str, name: &str) -> Vec<(String, f64)> {
    let ours = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        (series.to_owned(), value.parse().expect("a number"))
    };
    ours.map(value).collect()
}

fn sum(page: &str, name: &str) -> f64 {
    values(page, name).iter().map(|(_, value)| value).sum()
}

fn page(url: &str) -> Option<String> {
    let answer = reqwest::blocking::Client::new().get(format!("{url}/metrics")).timeout(Duration::from_secs(20)).send();
    answer.ok()?.text().ok()
}

/// Refuses one write in ten.
#[derive(Clone, Default)]
struct Unreliable(Arc<AtomicUsize>);

impl Respond for Unreliable {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        match self.0.fetch_add(1, Ordering::Relaxed) % 10 {
            3 => ResponseTemplate::new(503),
            _ => ResponseTemplate::new(204),
        }
    }
}

fn worker(kafka: &Kafka, folder: &std::path::Path) -> String {
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\n",
        kafka.bootstrap(),
        folder.join("offsets").display()
    );
    file(folder, "worker.properties", &text)
}

fn config(more: Json) -> Json {
    let mut config = json!({
        "name": "calls", "connector.class": "prometheus-sink", "tasks.max": "3", "topics": "calls",
        "consumer.override.session.timeout.ms": "6000", "consumer.override.max.poll.records": "500",
        "prometheus.totals.interval.ms": "500",
        "prometheus.metrics": json!([
            { "name": "calls_total", "type": "counter", "help": "Calls.", "labels": { "to": "{{value.to}}" } },
            { "name": "calls_seconds_total", "type": "counter", "help": "Time.", "value": "value.seconds" },
            { "name": "call_seconds", "type": "histogram", "help": "Times.", "value": "value.seconds", "buckets": [60, 600] },
            { "name": "last_call", "type": "gauge", "help": "Last.", "value": "value.n" },
        ]).to_string(),
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead-calls",
        "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true",
    });
    for (key, value) in more.as_object().expect("settings") {
        config[key] = value.clone();
    }
    config
}

fn seconds(n: usize) -> usize {
    n % 700
}

#[test]
fn totals_are_exact_and_never_go_back_across_kills_and_rebalances() {
    if without("kafka") || without("prometheus") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let runtime = Runtime::new().expect("runtime");
    let (receiver, unreliable) = (runtime.block_on(MockServer::start()), Unreliable::default());
    runtime.block_on(Mock::given(any()).respond_with(unreliable.clone()).mount(&receiver));
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("calls", 6, &[]);
    let config = config(json!({
        "prometheus.remote.write.url": format!("{}/api/v1/write", receiver.uri()), "http.proxy": "none",
        "prometheus.remote.write.interval.ms": "200",
    }));
    let connectors = file(dir.path(), "calls.json", &config.to_string());
    let worker = worker(&kafka, dir.path());
    let mut connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));

    // What the page shows is looked at throughout, by a reader that does not know of kills.
    let (url, over) = (Arc::new(Mutex::new(connectd.url().to_owned())), Arc::new(AtomicBool::new(false)));
    let watched = {
        let (url, over) = (url.clone(), over.clone());
        thread::spawn(move || {
            let (mut most, mut looks) = (0.0, 0);
            while !over.load(Ordering::Relaxed) {
                let at = url.lock().expect("lock").clone();
                // Without any series Prometheus sees that there is nothing, not that there is less.
                if let Some(page) = page(&at).filter(|page| page.contains("# TYPE calls_seconds_total")) {
                    let now = sum(&page, "calls_seconds_total");
                    assert!(now >= most, "the total went back from {most} to {now}");
                    (most, looks) = (now, looks + 1);
                }
                thread::sleep(Duration::from_millis(20));
            }
            looks
        })
    };
    let chunk = RECORDS.div_ceil(KILLS + 1);
    for round in 0..=KILLS {
        let record = |n: usize| {
            let value = if n % BAD == BAD - 1 {
                json!({ "to": "nobody", "seconds": "many", "n": n })
            } else {
                json!({ "to": format!("to-{}", n % 40), "seconds": seconds(n), "n": n })
            };
            (format!("from-{n}"), Some(value.to_string().into_bytes()))
        };
        reader.write_all("calls", (round * chunk..RECORDS.min((round + 1) * chunk)).map(record));
        if round == KILLS {
            break;
        }
        // In the middle of what was just written, once some of it has been counted.
        let counted = |page: &str| sum(page, "calls_total");
        let before = page(connectd.url()).map_or(0.0, |page| counted(&page));
        wait("some of it to be counted", LIMIT, || {
            page(connectd.url()).filter(|page| counted(page) > before).map(drop)
        });
        if round % 2 == 1 {
            // Partitions move from task to task.
            let (code, answer) = connectd.send("POST", &format!("/connectors/calls/tasks/{}/restart", round % 3), None);
            assert_eq!(code, 204, "{answer}");
            let (before, written) = (page(connectd.url()).map_or(0.0, |page| counted(&page)), (round + 1) * chunk);
            let all = (0..written).filter(|n| n % BAD != BAD - 1).count() as f64;
            wait("counting to go on after the rebalance", LIMIT, || {
                page(connectd.url()).map(|page| counted(&page)).filter(|now| *now > before || *now == all)
            });
        }
        connectd.kill9();
        connectd.start_again();
        *url.lock().expect("lock") = connectd.url().to_owned();
    }
    let good: Vec<usize> = (0..RECORDS).filter(|n| n % BAD != BAD - 1).collect();
    let text =
        wait("every call", LIMIT, || page(connectd.url()).filter(|p| sum(p, "calls_total") >= good.len() as f64));
    let check = |text: &str| {
        assert_eq!(sum(text, "calls_total"), good.len() as f64);
        assert_eq!(sum(text, "calls_seconds_total"), good.iter().map(|n| seconds(*n)).sum::<usize>() as f64);
        assert_eq!(sum(text, "call_seconds_count"), good.len() as f64);
        let below = good.iter().filter(|n| seconds(**n) <= 60).count();
        let bucket = values(text, "call_seconds_bucket").into_iter().find(|(series, _)| series.contains("le=\"60\""));
        assert_eq!(bucket, Some(("call_seconds_bucket{connector=\"calls\",le=\"60\"}".to_owned(), below as f64)));
        let of_one = values(text, "calls_total").into_iter().find(|(series, _)| series.contains("to=\"to-7\""));
        let expected = good.iter().filter(|n| *n % 40 == 7).count();
        assert_eq!(of_one, Some(("calls_total{connector=\"calls\",to=\"to-7\"}".to_owned(), expected as f64)));
    };
    check(&text);
    let written = file(dir.path(), "metrics.txt", &text);
    for line in Prometheus::check(written.as_ref()).expect("a page that it can read") {
        assert!(line.starts_with("kafka_connect_"), "{line}");
    }
    // Fewer tasks, and a stop in order: the same totals, and no record comes twice.
    let mut fewer = config;
    fewer["tasks.max"] = json!("2");
    let (code, answer) = connectd.send("PUT", "/connectors/calls/config", Some(&fewer));
    assert_eq!(code, 200, "{answer}");
    connectd.await_state("calls", "RUNNING");
    let text = wait("the page of fewer tasks", LIMIT, || page(connectd.url()).filter(|p| p.contains("calls_total{")));
    check(&text);
    assert!(connectd.terminate().1, "stopped well");
    connectd.start_again();
    let text = wait("the page again", LIMIT, || page(connectd.url()).filter(|p| p.contains("calls_total{")));
    check(&text);
    connectd.await_state("calls", "RUNNING");
    over.store(true, Ordering::Relaxed);
    let looks = watched.join().expect("the total never went back");
    assert!(looks > 20, "{looks} looks");
    assert!(unreliable.0.load(Ordering::Relaxed) > 20, "writes were refused now and then");
    let letters: std::collections::BTreeSet<Vec<u8>> =
        reader.all("dead-calls").into_iter().filter_map(|r| r.value.map(|v| v.to_vec())).collect();
    assert_eq!(letters.len(), RECORDS - good.len(), "each bad record is a dead letter");
}

#[test]
fn names_that_another_connector_shows_otherwise_fail_the_start() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("calls", 2, &[]);
    let records =
        (0..20).map(|n| (format!("{n}"), Some(json!({ "to": "x", "seconds": 3, "n": n }).to_string().into_bytes())));
    reader.write_all("calls", records);
    let worker = worker(&kafka, dir.path());
    let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let (code, answer) = connectd.send("PUT", "/connectors/calls/config", Some(&config(json!({}))));
    assert_eq!(code, 201, "{answer}");
    wait("the totals", LIMIT, || page(connectd.url()).filter(|p| sum(p, "calls_seconds_total") == 60.0));

    let other = json!([{ "name": "call_seconds", "type": "gauge", "help": "Another.", "value": "value.seconds" }]);
    let other = config(json!({ "name": "other", "prometheus.metrics": other.to_string() }));
    let (code, answer) = connectd.send("PUT", "/connectors/other/config", Some(&other));
    assert_eq!(code, 201, "{answer}");
    let status = wait("the tasks to fail", LIMIT, || {
        let failed = connectd.states("other").1;
        (failed.len() == 3 && failed.iter().all(|state| state == "FAILED"))
            .then(|| connectd.get("/connectors/other/status").1.to_string())
    });
    assert!(status.contains("call_seconds is already of the histogram call_seconds of connector calls"), "{status}");
    assert_eq!(page(connectd.url()).map(|page| sum(&page, "calls_seconds_total")), Some(60.0));
}

#[test]
fn offsets_that_are_changed_take_their_totals_along() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("calls", 1, &[]);
    let call = |n: i64| json!({ "to": "x", "seconds": n, "n": n }).to_string().into_bytes();
    reader.write_all("calls", (0..10).map(|n| ("k".to_owned(), Some(call(n)))));
    let connectd = Connectd::start(&["-c", &worker(&kafka, dir.path())], &dir.path().join("log"));
    let send = |method: &str, path: &str, body: Option<Json>| {
        let (code, answer) = connectd.send(method, path, body.as_ref());
        assert!(code < 300, "{method} {path}: {code} {answer}");
        answer
    };
    let totals = |n: f64, sum_of: f64| {
        wait("the totals", LIMIT, || {
            let page = page(connectd.url())?;
            (sum(&page, "calls_total") == n && sum(&page, "calls_seconds_total") == sum_of).then_some(())
        });
    };
    send("PUT", "/connectors/calls/config", Some(config(json!({}))));
    totals(10.0, 45.0);
    send("PUT", "/connectors/calls/stop", None);
    let offset =
        json!({ "partition": { "kafka_topic": "calls", "kafka_partition": 0 }, "offset": { "kafka_offset": 8 } });
    let answer = send("PATCH", "/connectors/calls/offsets", Some(json!({ "offsets": [offset] })));
    assert!(answer.to_string().contains("altered successfully\""), "{answer}");
    send("PUT", "/connectors/calls/resume", None);
    totals(2.0, 17.0);
    send("PUT", "/connectors/calls/stop", None);
    send("DELETE", "/connectors/calls/offsets", None);
    send("PUT", "/connectors/calls/resume", None);
    totals(10.0, 45.0);
}
