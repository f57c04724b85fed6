//! A plugin that hangs in any of its methods holds up nothing but itself.

use std::{process::Command, thread, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{hanging::Hanging, wait};
use xtask::servers::without;

const SOON: Duration = Duration::from_secs(60);
/// The worker answers at once; the machine may be busy.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Five seconds for a connector beside one for its tasks, and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(12);

/// Class, method and way of hanging of every case, apart from those that only a request leads to.
const CASES: &[(&str, &str, &str)] = &[
    ("hanging-source", "start", "block"),
    ("hanging-source", "start", "spin"),
    ("hanging-source", "start", "await"),
    ("hanging-sink", "start", "block"),
    ("hanging-source", "task_configs", "block"),
    ("hanging-sink", "task_configs", "block"),
    ("hanging-source", "watch", "block"),
    ("hanging-source", "task.start", "block"),
    ("hanging-source", "task.start", "await"),
    ("hanging-source", "poll", "block"),
    ("hanging-source", "poll", "spin"),
    ("hanging-source", "poll", "await"),
    ("hanging-source", "transform", "block"),
    ("hanging-sink", "task.start", "block"),
    ("hanging-sink", "task.start", "await"),
    ("hanging-sink", "open", "block"),
    ("hanging-sink", "open", "await"),
    ("hanging-sink", "put", "block"),
    ("hanging-sink", "put", "await"),
    ("hanging-sink", "flush", "block"),
    ("hanging-sink", "flush", "await"),
    ("hanging-sink", "transform", "block"),
];

/// Those that hang when they are stopped.
const STOPS: &[(&str, &str, &str)] = &[
    ("hanging-source", "stop", "block"),
    ("hanging-source", "stop", "await"),
    ("hanging-sink", "stop", "block"),
    ("hanging-source", "task.stop", "block"),
    ("hanging-source", "task.stop", "await"),
    ("hanging-sink", "task.stop", "block"),
    ("hanging-sink", "task.stop", "await"),
    ("hanging-sink", "close", "block"),
    ("hanging-sink", "close", "await"),
];

fn name((class, place, how): (&str, &str, &str)) -> String {
    format!("{class}-{place}-{how}")
}

/// How far the source that is well has come.
fn progress(worker: &Hanging) -> Option<i64> {
    worker.connectd.get("/connectors/well/offsets").1["offsets"][0]["offset"]["n"].as_i64()
}

fn all_is_well(worker: &Hanging) {
    for path in ["/", "/health", "/connectors", "/connectors?expand=status&expand=info", "/connector-plugins"] {
        let (took, status, _) = worker.timed("GET", path, None);
        assert!(status == 200 && took < AT_ONCE, "{path}: {status} after {took:?}");
    }
    let before = progress(worker);
    wait("the connector that is well to go on", Duration::from_secs(15), || (progress(worker) > before).then_some(()));
    let other = worker.config("hanging-source", "other", "nowhere", "block");
    let (took, status, body) = worker.timed("PUT", "/connectors/other/config", Some(&other));
    assert!(status == 201 && took < 3 * AT_ONCE, "{status} after {took:?}: {body}");
    let (took, status, _) = worker.timed("DELETE", "/connectors/other", None);
    assert!(status == 204 && took < 3 * AT_ONCE, "{status} after {took:?}");
}

/// Does this for all cases side by side.
fn for_all(cases: &[(&'static str, &'static str, &'static str)], work: impl Fn(&str) + Sync) {
    let work = &work;
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || work(&name(*case)));
        }
    });
}

/// A worker with a connector that is well.
fn started() -> Hanging {
    let worker = Hanging::start();
    let well = worker.config("hanging-source", "well", "nowhere", "block");
    assert_eq!(worker.connectd.send("PUT", "/connectors/well/config", Some(&well)).0, 201);
    wait("the connector that is well", SOON, || progress(&worker));
    worker
}

#[test]
fn whatever_hangs_hangs_alone_and_can_be_restarted_and_deleted() {
    if without("kafka") {
        return;
    }
    let worker = started();
    for case in CASES.iter().chain(STOPS).filter(|(class, ..)| *class == "hanging-sink") {
        worker.reader.create(&name(*case), 1, &[]);
        worker.reader.write(&name(*case), "k", Some(b"first"));
    }
    let put = |case: (&str, &str, &str)| {
        let config = worker.config(case.0, &name(case), case.1, case.2);
        worker.timed("PUT", &format!("/connectors/{}/config", name(case)), Some(&config))
    };
    thread::scope(|scope| {
        // Whoever waits for what hangs hears of it when that is restarted.
        let creations: Vec<_> = CASES.iter().map(|case| (case, scope.spawn(|| put(*case)))).collect();
        for case in CASES {
            worker.await_begun(&name(*case));
        }
        all_is_well(&worker);
        for_all(CASES, |name| {
            let (took, status, body) =
                worker.timed("POST", &format!("/connectors/{name}/restart?includeTasks=true"), None);
            assert!(status == 202 && took < AT_ONCE, "restart of {name}: {status} after {took:?}: {body}");
            // That plan, as Kafka Connect's, leaves out tasks that have not said yet how they are.
            if name.contains("task.start") {
                let (took, status, body) = worker.timed("POST", &format!("/connectors/{name}/tasks/0/restart"), None);
                assert!(status == 204 && took < BOUND, "restart of {name}-0: {status} after {took:?}: {body}");
            }
        });
        for ((_, place, _), creation) in creations {
            let (_, status, body) = creation.join().expect("a request");
            // It is stored, and what it waited for was started again by somebody else.
            assert_eq!(status, 201, "{place}: {body}");
        }
        for case in CASES {
            worker.connectd.await_state(&name(*case), "RUNNING");
        }
        all_is_well(&worker);
    });
    for case in STOPS {
        let (_, status, body) = put(*case);
        assert_eq!(status, 201, "{body}");
        worker.connectd.await_state(&name(*case), "RUNNING");
    }
    // A sink closes only what it has been given.
    for case in STOPS.iter().filter(|(class, ..)| *class == "hanging-sink") {
        let out = worker.folder(&name(*case)).join("out");
        wait("the first record", SOON, || out.exists().then_some(()));
    }
    for_all(STOPS, |name| {
        let (took, status, body) = worker.timed("DELETE", &format!("/connectors/{name}"), None);
        assert!(status == 204 && took < BOUND, "deletion of {name}: {status} after {took:?}: {body}");
        worker.await_begun(name);
    });
    all_is_well(&worker);
    for_all(CASES, |name| {
        let (took, status, body) = worker.timed("DELETE", &format!("/connectors/{name}"), None);
        assert!(status == 204 && took < BOUND, "deletion of {name}: {status} after {took:?}: {body}");
    });
    assert_eq!(worker.connectd.get("/connectors").1, json!(["well"]));
}

#[test]
fn a_request_that_waits_for_what_hangs_is_told_what_the_worker_does() {
    if without("kafka") {
        return;
    }
    let worker = started();
    let stopped = worker.config("hanging-source", "offsets", "alter_offsets", "block");
    assert_eq!(worker.connectd.send("PUT", "/connectors/offsets/config", Some(&stopped)).0, 201);
    assert_eq!(worker.connectd.send("PUT", "/connectors/offsets/stop", None).0, 204);
    let offsets = json!({"offsets": [{"partition": {"source": "hanging"}, "offset": {"n": 7}}]});
    let config = |name: &str, place: &str| worker.config("hanging-source", name, place, "block");
    // A change is answered when it is stored, whatever its connector does then.
    for (name, place) in [("s", "start"), ("t", "task_configs")] {
        let path = format!("/connectors/{name}/config");
        let (took, status, body) = worker.timed("PUT", &path, Some(&config(name, place)));
        assert!(status == 201 && took < 3 * AT_ONCE, "{name}: {status} after {took:?}: {body}");
    }
    let requests: [(&str, &str, String, Json, &str); 3] = [
        (
            "v",
            "PUT",
            "/connector-plugins/hanging-source/config/validate".into(),
            config("v", "validate"),
            "performing multi-property validation for the connector",
        ),
        (
            "c",
            "POST",
            "/connectors".into(),
            json!({"name": "c", "config": config("c", "validate")}),
            "performing multi-property validation for the connector",
        ),
        (
            "offsets",
            "PATCH",
            "/connectors/offsets/offsets".into(),
            offsets.clone(),
            "modifying offsets for connector offsets",
        ),
    ];
    thread::scope(|scope| {
        let asked: Vec<_> = requests
            .iter()
            .map(|(name, method, path, body, doing)| {
                (*name, *doing, scope.spawn(|| worker.timed(method, path, Some(body))))
            })
            .collect();
        for name in asked.iter().map(|(name, ..)| *name).chain(["s", "t"]) {
            worker.await_begun(name);
        }
        all_is_well(&worker);
        for (name, doing, request) in asked {
            let (took, status, body) = request.join().expect("a request");
            let text = body["message"].as_str().unwrap_or_default();
            let expected = format!("Request timed out. The worker is currently {doing}, which began at ");
            // The answer of this endpoint has no full stop at its end, as in Kafka Connect.
            let text = if name == "v" { format!("{text}.") } else { text.to_owned() };
            assert!(status == 500 && text.starts_with(&expected) && text.ends_with("Z."), "{name}: {status} {body}");
            assert!(took > Duration::from_secs(85) && took < Duration::from_secs(100), "{name}: {took:?}");
        }
    });
    all_is_well(&worker);
    // Who asked was told that it failed, so it must not be done behind their back.
    worker.let_go("offsets");
    let (_, status, body) = worker.timed("PATCH", "/connectors/offsets/offsets", Some(&offsets));
    assert_eq!(status, 200, "{body}");
}

#[test]
fn the_process_ends_although_everything_hangs() {
    if without("kafka") {
        return;
    }
    let mut worker = Hanging::start();
    let cases: Vec<_> = CASES.iter().filter(|(.., how)| *how != "await").copied().collect();
    for case in cases.iter().filter(|(class, ..)| *class == "hanging-sink") {
        worker.reader.create(&name(*case), 1, &[]);
        worker.reader.write(&name(*case), "k", Some(b"first"));
    }
    let (url, client) = (worker.connectd.url().to_owned(), reqwest::blocking::Client::new());
    let creations: Vec<_> = cases
        .iter()
        .map(|case| {
            let config = worker.config(case.0, &name(*case), case.1, case.2);
            let request = client.put(format!("{url}/connectors/{}/config", name(*case))).json(&config);
            // Some hang until the end, and are then answered, or not.
            thread::spawn(move || drop(request.send()))
        })
        .collect();
    for case in &cases {
        worker.await_begun(&name(*case));
    }
    let (took, well) = worker.connectd.terminate();
    assert!(well && took < Duration::from_secs(25), "it took {took:?} to end ({well})");
    for creation in creations {
        creation.join().expect("a request");
    }
    // The same again, from what was stored: what hangs holds up neither the start nor readiness nor the end.
    for case in &cases {
        std::fs::remove_file(worker.folder(&name(*case)).join("begun")).expect("remove");
    }
    worker.connectd.start_again();
    for case in &cases {
        worker.await_begun(&name(*case));
    }
    let (took, well) = worker.connectd.terminate();
    assert!(well && took < Duration::from_secs(25), "it took {took:?} to end ({well})");
}

#[test]
fn while_the_worker_stops_connectors_stay_listed_and_nothing_is_changed() {
    if without("kafka") {
        return;
    }
    let worker = Hanging::start();
    let source = json!({ "connector.class": "FileStreamSource", "file": "/nonexistent/src", "topic": "t" });
    for (name, config) in [("src", source), ("h", worker.config("hanging-source", "h", "stop", "block"))] {
        let (code, answer) = worker.connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(code, 201, "{answer}");
        worker.connectd.await_state(name, "RUNNING");
    }
    let id = worker.connectd.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|s| s.success()), "sending SIGTERM");
    worker.await_begun("h");
    assert_eq!(worker.connectd.get("/connectors"), (200, json!(["h", "src"])));
    let other = json!({ "connector.class": "FileStreamSource", "file": "/nonexistent/other", "topic": "t" });
    for (method, path, body) in [
        ("POST", "/connectors", Some(json!({ "name": "src", "config": other.clone() }))),
        ("PUT", "/connectors/late/config", Some(other)),
        ("DELETE", "/connectors/src", None),
        ("POST", "/connectors/src/restart?includeTasks=true", None),
        ("PUT", "/connectors/src/pause", None),
    ] {
        let (code, answer) = worker.connectd.send(method, path, body.as_ref());
        assert_eq!((code, &answer["message"]), (500, &json!("Worker is shutting down")), "{method} {path}: {answer}");
    }
    assert_eq!(worker.connectd.get("/connectors/src/config").1["file"], "/nonexistent/src");
    wait("connectd to stop", Duration::from_secs(60), || {
        reqwest::blocking::get(format!("{}/", worker.connectd.url())).is_err().then_some(())
    });
    assert!(!worker.connectd.log_text().contains("panicked"), "{}", worker.connectd.log_text());
}

#[test]
fn changes_are_answered_when_they_are_stored_and_a_successor_waits_for_who_hangs() {
    if without("kafka") {
        return;
    }
    let grace = Duration::from_secs(8);
    let worker = Hanging::patient(grace);
    let hanging = |name: &str| {
        let config = worker.config("hanging-sink", name, "put", "block");
        let (status, body) = worker.connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(status, 201, "{body}");
        worker.reader.write(name, "key", Some(b"record"));
        worker.await_begun(name);
        worker.connectd.await_state(name, "RUNNING");
        config
    };
    let mut all: Vec<(&str, Json)> = ["deleted", "stopped", "changed"].map(|name| (name, hanging(name))).into();
    let at_once = |method: &str, path: &str, body: Option<&Json>, expected: u16| {
        let (took, status, answer) = worker.timed(method, path, body);
        assert!(status == expected && took < AT_ONCE, "{method} {path}: {status} after {took:?}: {answer}");
    };
    let began = std::time::Instant::now();
    at_once("DELETE", "/connectors/deleted", None, 204);
    at_once("PUT", "/connectors/stopped/stop", None, 204);
    for (_, config) in &mut all {
        config["hang.in"] = "nowhere".into();
    }
    at_once("PUT", "/connectors/changed/config", Some(&all[2].1), 200);
    assert_eq!(worker.connectd.get("/connectors").1, json!(["changed", "stopped"]));
    assert_eq!(worker.connectd.get("/connectors/deleted/status").0, 404);
    at_once("PUT", "/connectors/deleted/config", Some(&all[0].1), 201);
    assert_eq!(worker.connectd.get("/connectors/deleted/status").0, 404, "its predecessor has not stopped yet");
    at_once("DELETE", "/connectors/deleted", None, 204);
    at_once("PUT", "/connectors/deleted/config", Some(&all[0].1), 201);
    // Offsets change once the tasks have stopped.
    let (_, status, body) = worker.timed("DELETE", "/connectors/stopped/offsets", None);
    assert!(status == 200 && began.elapsed() > grace / 2, "{status} after {:?}: {body}", began.elapsed());
    worker.connectd.await_state("deleted", "RUNNING");
    assert!(began.elapsed() > grace / 2, "it was started beside its predecessor after {:?}", began.elapsed());
    worker.connectd.await_state("changed", "RUNNING");
    assert_eq!(worker.connectd.states("stopped"), ("STOPPED".to_owned(), Vec::new()));
    for name in ["deleted", "stopped", "changed"] {
        worker.let_go(name);
    }
}
