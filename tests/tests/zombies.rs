//! A task that does not stop is given up, and does nothing to Kafka any more, whatever it comes back to.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{hanging::Hanging, wait};
use xtask::servers::without;

const SOON: Duration = Duration::from_secs(60);

/// Where a source hangs, and after how many calls.
const SOURCES: &[(&str, u32)] = &[("poll", 0), ("poll", 40), ("transform", 40), ("task.start", 0), ("task.stop", 0)];
const SINKS: &[(&str, u32)] =
    &[("put", 0), ("flush", 0), ("transform", 0), ("open", 0), ("task.start", 0), ("close", 0), ("task.stop", 0)];

struct Case {
    name: String,
    config: Json,
    stopping: bool,
}

fn cases(worker: &Hanging, class: &str, all: &[(&str, u32)]) -> Vec<Case> {
    let case = |(place, after): &(&str, u32)| {
        let name = format!("{class}-{place}-{after}");
        let mut config = worker.config(class, &name, place, "block");
        let prefix = if *place == "transform" { "transforms.hang." } else { "" };
        config[format!("{prefix}hang.after")] = json!(after.to_string());
        for (key, value) in [
            ("hang.misdeeds", "true"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "dead"),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
        ] {
            config[key] = json!(value);
        }
        Case { name, config, stopping: place.ends_with("stop") || *place == "close" }
    };
    all.iter().map(case).collect()
}

/// The values of a topic, up to a record that is written now.
fn values(worker: &Hanging, topic: &str) -> Vec<String> {
    worker.reader.write(topic, "end", Some(b"end"));
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let all = worker.reader.until(topic, SOON, |all| all.last().is_some_and(|r| r.key.as_deref() == Some(b"end")));
    all.iter().filter(|r| r.key.as_deref() != Some(b"end")).map(|r| text(r.value.as_deref())).collect()
}

fn offsets(worker: &Hanging, name: &str) -> Json {
    worker.connectd.get(&format!("/connectors/{name}/offsets")).1["offsets"][0]["offset"].clone()
}

/// Creates all, and has every task hang, be given up and have a successor; answers when each of them was restarted.
fn replace(worker: &Hanging, cases: &[Case]) -> Vec<Instant> {
    for case in cases {
        let (status, body) =
            worker.connectd.send("PUT", &format!("/connectors/{}/config", case.name), Some(&case.config));
        assert_eq!(status, 201, "{body}");
    }
    let restart = |case: &Case| {
        let began = Instant::now();
        if case.stopping {
            worker.connectd.await_state(&case.name, "RUNNING");
            if case.name.starts_with("hanging-sink") {
                let out = worker.folder(&case.name).join("out");
                wait("the first record", SOON, || out.exists().then_some(()));
            }
        } else {
            worker.await_begun(&case.name);
        }
        let (took, status, body) = worker.timed("POST", &format!("/connectors/{}/tasks/0/restart", case.name), None);
        assert_eq!(status, 204, "{} after {took:?}: {body}", case.name);
        worker.await_begun(&case.name);
        began.max(Instant::now() - took)
    };
    let restarted = cases.iter().map(restart).collect();
    for case in cases {
        worker.connectd.await_state(&case.name, "RUNNING");
    }
    restarted
}

/// Lets all that were given up go on, and waits until they have ended.
fn let_go(worker: &Hanging, cases: &[Case]) {
    for case in cases {
        worker.let_go(&case.name);
        wait(&format!("the end of {}", case.name), SOON, || {
            let said = worker.connectd.log_text();
            let ended = |l: &&str| l.contains(&case.name) && l.contains("the task that was given up has ended");
            said.lines().find(ended).map(drop)
        });
    }
}

/// Nothing may have come of what they did when they were let go.
fn nothing_was_done(worker: &Hanging, cases: &[Case]) {
    let mut told = 0;
    for case in cases {
        if let Ok(done) = fs::read_to_string(worker.folder(&case.name).join("done")) {
            let refused =
                |what: &str| done.contains(&format!("{what}: the task did not stop in time and was given up"));
            assert!(
                done.contains("report: ") && !done.contains("report: done") && refused("state"),
                "{}: {done}",
                case.name
            );
            told += 1;
        }
    }
    assert!(told > 0, "nobody tried");
    assert_eq!(values(worker, "dead"), Vec::<String>::new(), "dead letters");
    assert_eq!(values(worker, "hanging-state"), Vec::<String>::new(), "state");
}

#[test]
fn a_source_that_was_given_up_writes_neither_records_nor_offsets_nor_dead_letters() {
    if without("kafka") {
        return;
    }
    let worker = Hanging::start();
    let cases = cases(&worker, "hanging-source", SOURCES);
    for case in &cases {
        worker.reader.create(&case.name, 1, &[]);
    }
    replace(&worker, &cases);
    // Its successor is at work, so that offsets have gone on and a late one would be seen.
    let own = |value: &String| value.split_once(':').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let numbers = |name: &str| -> Vec<(u32, i64)> { values(&worker, name).iter().filter_map(own).collect() };
    for case in &cases {
        let before = offsets(&worker, &case.name)["n"].as_i64().unwrap_or(-1);
        wait("the successor's offsets", SOON, || {
            (offsets(&worker, &case.name)["n"].as_i64()? > before + 10).then_some(())
        });
        // From here on nobody writes but the one that was given up.
        assert_eq!(worker.connectd.send("PUT", &format!("/connectors/{}/stop", case.name), None).0, 204);
        let far = json!({"offsets": [{"partition": {"source": "hanging"}, "offset": {"n": 100_000}}]});
        let (status, body) = worker.connectd.send("PATCH", &format!("/connectors/{}/offsets", case.name), Some(&far));
        assert_eq!(status, 200, "{body}");
    }
    let before: Vec<_> = cases.iter().map(|case| numbers(&case.name)).collect();
    let_go(&worker, &cases);
    for (case, before) in cases.iter().zip(before) {
        let after = numbers(&case.name);
        assert_eq!(after, before, "{}: it wrote after it had been given up", case.name);
        let mut instances: Vec<u32> = after.iter().map(|(i, _)| *i).collect();
        instances.dedup();
        assert!(instances.is_sorted() && (1..=2).contains(&instances.len()), "{}: {instances:?}", case.name);
        // The successor went on from the last commit: nothing is left out.
        let mut all: Vec<i64> = after.iter().map(|(_, n)| *n).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (0..=all.last().copied().unwrap_or(-1)).collect::<Vec<_>>(), "{}", case.name);
        assert_eq!(offsets(&worker, &case.name), json!({"n": 100_000}), "{}: it stored offsets", case.name);
    }
    nothing_was_done(&worker, &cases);
}

#[test]
fn a_sink_that_was_given_up_leaves_its_group_and_neither_commits_nor_puts_again() {
    if without("kafka") {
        return;
    }
    let worker = Hanging::start();
    let cases = cases(&worker, "hanging-sink", SINKS);
    for case in &cases {
        worker.reader.create(&case.name, 1, &[]);
        let records = (0..5).map(|n| ("k".to_owned(), Some(n.to_string().into_bytes())));
        worker.reader.write_all(&case.name, records);
    }
    let restarted = replace(&worker, &cases);
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(worker.folder(name).join("out")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    for (case, restarted) in cases.iter().zip(restarted) {
        wait("the successor's commit", SOON, || (offsets(&worker, &case.name)["kafka_offset"] == 5).then_some(()));
        // The default session of a lost member lasts 45 s.
        let took = restarted.elapsed();
        assert!(took < Duration::from_secs(40), "{}: its successor had to wait for {took:?}", case.name);
        assert_eq!(worker.connectd.send("PUT", &format!("/connectors/{}/stop", case.name), None).0, 204);
        // A group without members takes commits from anybody.
        let back = json!({"offsets": [{
            "partition": {"kafka_topic": case.name, "kafka_partition": 0}, "offset": {"kafka_offset": 2}
        }]});
        let (status, body) = worker.connectd.send("PATCH", &format!("/connectors/{}/offsets", case.name), Some(&back));
        assert_eq!(status, 200, "{}: {body}", case.name);
    }
    let before: Vec<_> = cases.iter().map(|case| lines(&case.name)).collect();
    let_go(&worker, &cases);
    for (case, before) in cases.iter().zip(before) {
        let after = lines(&case.name);
        // The batch that was being put when the task was given up may still be put; no other.
        assert!(after.starts_with(&before) && after.len() <= before.len() + 5, "{}: {before:?} {after:?}", case.name);
        let place = case.name.trim_start_matches("hanging-sink-");
        if !place.starts_with("put") {
            assert_eq!(after, before, "{}: it put more", case.name);
        }
        assert_eq!(offsets(&worker, &case.name)["kafka_offset"], 2, "{}: it committed", case.name);
    }
    nothing_was_done(&worker, &cases);
}
