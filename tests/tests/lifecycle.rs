//! Pause, stop, delete, shutdown, rebalance and dead letters on real Kafka: nothing is lost on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const LIMIT: Duration = Duration::from_secs(30);

/// One broker for all tests of this file, each with topics and groups of its own.
static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start().expect("kafka"));

/// A worker with string converters.
fn start(dir: &Path, more: &str) -> Connectd {
    let worker = file(
        dir,
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=60000\nconsumer.session.timeout.ms=6000\n{more}",
            KAFKA.bootstrap(),
            dir.join("offsets").display()
        ),
    );
    Connectd::start(&["-c", &worker], &dir.join("log"))
}

fn create(connectd: &Connectd, name: &str, config: &Json) {
    let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": name, "config": config })));
    assert_eq!(status, 201, "{body}");
}

fn text_sink(topic: &str, path: &Path) -> Json {
    json!({ "connector.class": "FileStreamSink", "topics": topic, "file": path })
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn write(reader: &Reader, topic: &str, range: std::ops::Range<u32>) {
    reader.write_all(topic, range.map(|n| (n.to_string(), Some(n.to_string().into_bytes()))));
}

/// The group's members with how many partitions each of them has.
fn members(group: &str) -> Vec<u32> {
    let bootstrap = KAFKA.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--describe", "--members", "--group", group];
    let text = KAFKA.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments).expect("tool");
    let of_group = text.lines().filter(|l| l.split_whitespace().next() == Some(group));
    // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS
    of_group
        .map(|l| l.split_whitespace().nth(4).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}")))
        .collect()
}

#[test]
fn a_paused_sink_stays_in_its_group_and_delivers_nothing_until_it_is_resumed() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"));
    reader.create("paused", 1, &[]);
    let mut connectd = start(dir.path(), "");
    create(&connectd, "paused-sink", &text_sink("paused", &out));
    write(&reader, "paused", 0..20);
    wait("records before the pause", LIMIT, || (lines(&out) == numbers(0..20)).then_some(()));

    assert_eq!(connectd.send("PUT", "/connectors/paused-sink/pause", None).0, 202);
    connectd.await_state("paused-sink", "PAUSED");
    // Longer than the session's timeout: a consumer that is not polled would be thrown out.
    let until = Instant::now() + Duration::from_secs(8);
    write(&reader, "paused", 20..40);
    wait("the pause to have lasted 8 s", LIMIT, || (Instant::now() >= until).then_some(()));
    assert_eq!(members("connect-paused-sink"), [1], "the group's members while it is paused");
    assert_eq!(lines(&out), numbers(0..20), "what was delivered while it was paused");
    let task = connectd.get("/connectors/paused-sink/tasks/0/status").1;
    assert_eq!(task["state"], "PAUSED", "{task}");

    assert_eq!(connectd.send("PUT", "/connectors/paused-sink/resume", None).0, 202);
    connectd.await_state("paused-sink", "RUNNING");
    write(&reader, "paused", 40..60);
    wait("records after the pause", LIMIT, || (lines(&out).len() >= 60).then_some(()));
    assert!(connectd.terminate().1, "stopped well");
    assert_eq!(lines(&out), numbers(0..60), "each record once and in order");
}

#[test]
fn a_stopped_sink_has_no_tasks_and_continues_from_its_committed_offsets() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"));
    reader.create("stopped", 1, &[]);
    let connectd = start(dir.path(), "");
    create(&connectd, "stopped-sink", &text_sink("stopped", &out));
    write(&reader, "stopped", 0..20);
    wait("records before the stop", LIMIT, || (lines(&out) == numbers(0..20)).then_some(()));

    assert_eq!(connectd.send("PUT", "/connectors/stopped-sink/stop", None).0, 204);
    wait("the connector to be stopped", LIMIT, || {
        (connectd.states("stopped-sink") == ("STOPPED".to_owned(), Vec::new())).then_some(())
    });
    assert_eq!(connectd.get("/connectors/stopped-sink/tasks"), (200, json!([])));
    assert_eq!(members("connect-stopped-sink"), [0_u32; 0], "the group's members after the stop");
    write(&reader, "stopped", 20..40);
    assert_eq!(lines(&out), numbers(0..20), "what was delivered after the stop");

    assert_eq!(connectd.send("PUT", "/connectors/stopped-sink/resume", None).0, 202);
    connectd.await_state("stopped-sink", "RUNNING");
    wait("records after the stop", LIMIT, || (lines(&out).len() >= 40).then_some(()));
    assert_eq!(lines(&out), numbers(0..40), "each record once and in order");
}

#[test]
fn connectors_that_are_deleted_and_created_again_continue_where_they_were() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (input, out) = (dir.path().join("in"), dir.path().join("out"));
    let reader = Reader::new(&KAFKA.bootstrap());
    reader.create("deleted", 1, &[]);
    let mut connectd = start(dir.path(), "");
    let add = |range| {
        let text: String = numbers(range).iter().map(|n| format!("{n}\n")).collect();
        fs::File::options()
            .create(true)
            .append(true)
            .open(&input)
            .expect("input")
            .write_all(text.as_bytes())
            .expect("input");
    };
    let source = json!({ "connector.class": "file-source", "topic": "deleted", "file": input });
    let both = |connectd: &Connectd| {
        create(connectd, "deleted-source", &source);
        create(connectd, "deleted-sink", &text_sink("deleted", &out));
    };
    add(0..10);
    both(&connectd);
    wait("records before the deletion", LIMIT, || (lines(&out) == numbers(0..10)).then_some(()));
    for name in ["deleted-source", "deleted-sink"] {
        assert_eq!(connectd.send("DELETE", &format!("/connectors/{name}"), None).0, 204);
        assert_eq!(connectd.get(&format!("/connectors/{name}")).0, 404);
        assert_eq!(connectd.get(&format!("/connectors/{name}/status")).0, 404);
    }
    assert_eq!(connectd.get("/connectors"), (200, json!([])));
    add(10..20);
    both(&connectd);
    wait("records after the deletion", LIMIT, || (lines(&out).len() >= 20).then_some(()));
    assert_eq!(lines(&out), numbers(0..20), "each record once and in order");

    // The offsets are on the disk: another process continues there, too.
    assert!(connectd.terminate().1, "stopped well");
    connectd.start_again();
    add(20..30);
    both(&connectd);
    wait("records after the restart", LIMIT, || (lines(&out).len() >= 30).then_some(()));
    assert_eq!(lines(&out), numbers(0..30), "each record once and in order");
}

/// Takes requests and answers none of them until told so.
struct Slow {
    url: String,
    answers: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let url = format!("http://{}/", listener.local_addr().expect("address"));
        let (answers, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (open, count) = (answers.clone(), taken.clone());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if open.load(Ordering::Acquire) {
                    answer(stream, &count);
                } else {
                    count.fetch_add(1, Ordering::AcqRel);
                    kept.push(stream);
                }
            }
        });
        Self { url, answers, taken }
    }
}

fn answer(mut stream: TcpStream, taken: &AtomicUsize) {
    let mut buffer = [0; 65536];
    // A request is small and comes at once; the connection is closed behind the answer.
    if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
        let said = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        if said.is_ok() {
            taken.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[test]
fn a_slow_sink_does_not_hold_up_the_end_and_its_record_comes_again() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&KAFKA.bootstrap());
    reader.create("slow", 1, &[]);
    let slow = Slow::start();
    let mut connectd = start(dir.path(), "task.shutdown.graceful.timeout.ms=2000\n");
    let config = json!({ "connector.class": "webhook-sink", "topics": "slow", "webhook.url": slow.url, "http.proxy": "none",
        "http.request.timeout.ms": 60000 });
    create(&connectd, "slow-sink", &config);
    write(&reader, "slow", 0..3);
    wait("the first request", LIMIT, || (slow.taken.load(Ordering::Acquire) == 1).then_some(()));
    let (took, well) = connectd.terminate();
    assert!(well, "stopped well");
    assert!(took < Duration::from_millis(3500), "stopped in {took:?}, with 2 s for tasks");

    slow.taken.store(0, Ordering::Release);
    slow.answers.store(true, Ordering::Release);
    connectd.start_again();
    create(&connectd, "slow-sink", &config);
    wait("the records of before", LIMIT, || (slow.taken.load(Ordering::Acquire) == 3).then_some(()));
}

#[test]
fn tasks_share_partitions_and_a_change_of_their_number_loses_nothing() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"));
    reader.create("shared", 4, &[]);
    let connectd = start(dir.path(), "");
    let config = json!({ "connector.class": "file-sink", "topics": "shared", "file": out, "tasks.max": 2 });
    create(&connectd, "shared-sink", &config);
    connectd.await_state("shared-sink", "RUNNING");
    let arrived = || arrived(&out);
    write(&reader, "shared", 0..60);
    wait("records of two tasks", LIMIT, || (arrived().len() == 60).then_some(()));
    wait("nothing to be left", LIMIT, || {
        let (_, status) = connectd.get("/connectors/shared-sink/status");
        let lag = |task: usize| status["tasks"][task]["detail"]["lag"].as_u64();
        (lag(0) == Some(0) && lag(1) == Some(0)).then_some(())
    });
    wait("two members with two partitions each", LIMIT, || (members("connect-shared-sink") == [2, 2]).then_some(()));

    // Records come while the tasks change.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reader = Reader::new(&KAFKA.bootstrap());
            (60..260).step_by(10).for_each(|n| write(&reader, "shared", n..n + 10));
        });
        for (count, partitions) in [(4, vec![1; 4]), (1, vec![4])] {
            let (status, body) =
                connectd.send("PATCH", "/connectors/shared-sink/config", Some(&json!({ "tasks.max": count })));
            assert_eq!((status, &body["config"]["tasks.max"]), (200, &json!(count.to_string())), "{body}");
            connectd.await_state("shared-sink", "RUNNING");
            assert_eq!(connectd.states("shared-sink").1.len(), count);
            wait("the partitions to be shared anew", LIMIT, || {
                (members("connect-shared-sink") == partitions).then_some(())
            });
        }
    });
    wait("every record", LIMIT, || (arrived().len() == 260).then_some(()));
    // Tasks that are stopped commit what they have written.
    assert_each_once_and_in_order(&out);
}

#[test]
fn a_member_that_comes_and_goes_takes_nothing_from_the_others() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"));
    reader.create("joined", 4, &[]);
    let connectd = start(dir.path(), "");
    let config = json!({ "connector.class": "file-sink", "topics": "joined", "file": out,
        "consumer.override.group.id": "joined-group" });
    create(&connectd, "stays", &config);
    write(&reader, "joined", 0..40);
    wait("the records of one member", LIMIT, || (arrived(&out).len() == 40).then_some(()));
    // What comes first after each rebalance must come as well.
    create(&connectd, "goes", &config);
    wait("two members with two partitions each", LIMIT, || (members("joined-group") == [2, 2]).then_some(()));
    write(&reader, "joined", 40..80);
    wait("the records of two members", LIMIT, || (arrived(&out).len() == 80).then_some(()));
    assert_eq!(connectd.send("DELETE", "/connectors/goes", None).0, 204);
    wait("one member with all partitions", LIMIT, || (members("joined-group") == [4]).then_some(()));
    write(&reader, "joined", 80..120);
    wait("the records of the one that is left", LIMIT, || (arrived(&out).len() == 120).then_some(()));
    assert_each_once_and_in_order(&out);
}

/// The numbers in the lines of a file sink.
fn arrived(path: &Path) -> BTreeSet<u32> {
    let records = lines(path).into_iter().filter_map(|l| serde_json::from_str::<Json>(&l).ok());
    records.filter_map(|r| r["value"].as_str()?.parse().ok()).collect()
}

fn assert_each_once_and_in_order(path: &Path) {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    for line in lines(path) {
        let record: Json = serde_json::from_str(&line).expect("line");
        let (partition, offset) = (record["partition"].as_i64().expect("n"), record["offset"].as_i64().expect("n"));
        assert_eq!(last.insert(partition, offset).map_or(0, |o| o + 1), offset, "partition {partition}");
    }
}

const BAD: &[u8] = b"{\"n\": 2, \xff";

fn write_with_a_bad_one(reader: &Reader, topic: &str) {
    let value = |n| if n == 2 { BAD.to_vec() } else { format!("{{\"n\":{n}}}").into_bytes() };
    reader.write_all(topic, (0..5).map(|n| ("key".to_owned(), Some(value(n)))));
}

fn json_sink(topic: &str, path: &Path) -> Json {
    json!({ "connector.class": "file-sink", "topics": topic, "file": path, "value.converter": "JsonConverter",
        "value.converter.schemas.enable": false })
}

fn values(path: &Path) -> Vec<i64> {
    let records = lines(path).into_iter().filter_map(|l| serde_json::from_str::<Json>(&l).ok());
    records.filter_map(|r| r["value"]["n"].as_i64()).collect()
}

#[test]
fn a_bad_record_goes_to_the_dead_letters_as_it_was_and_the_others_arrive() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"));
    reader.create("letters", 1, &[]);
    reader.create("dead-letters", 1, &[]);
    let connectd = start(dir.path(), "");
    let mut config = json_sink("letters", &out);
    for (key, value) in [
        ("errors.tolerance", json!("all")),
        ("errors.deadletterqueue.topic.name", json!("dead-letters")),
        ("errors.deadletterqueue.topic.replication.factor", json!(1)),
        ("errors.deadletterqueue.context.headers.enable", json!(true)),
    ] {
        config[key] = value;
    }
    create(&connectd, "letters-sink", &config);
    write_with_a_bad_one(&reader, "letters");
    wait("the other records", LIMIT, || (values(&out) == [0, 1, 3, 4]).then_some(()));
    let letters = reader.until("dead-letters", LIMIT, |all| !all.is_empty());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(BAD), "the original value");
    assert_eq!(letters[0].key.as_deref(), Some(&b"key"[..]), "the original key");
    let headers: BTreeMap<&str, String> = letters[0]
        .headers
        .iter()
        .map(|(k, v)| (&**k, String::from_utf8_lossy(v.as_deref().unwrap_or_default()).into_owned()))
        .collect();
    for (key, value) in [
        ("topic", "letters"),
        ("partition", "0"),
        ("offset", "2"),
        ("connector.name", "letters-sink"),
        ("task.id", "0"),
        ("stage", "VALUE_CONVERTER"),
        ("class.name", "org.apache.kafka.connect.json.JsonConverter"),
        ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
    ] {
        assert_eq!(
            headers.get(format!("__connect.errors.{key}").as_str()).map(String::as_str),
            Some(value),
            "{headers:?}"
        );
    }
    for key in ["exception.message", "exception.stacktrace"] {
        assert!(headers.get(format!("__connect.errors.{key}").as_str()).is_some_and(|v| !v.is_empty()), "{headers:?}");
    }
    connectd.await_state("letters-sink", "RUNNING");
    let detail = &connectd.get("/connectors/letters-sink/status").1["tasks"][0]["detail"];
    assert_eq!(detail["records_bad"], 1, "{detail}");
}

#[test]
fn without_tolerance_a_bad_record_fails_the_task_and_the_first_line_says_where_it_is() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let (reader, out, other) = (Reader::new(&KAFKA.bootstrap()), dir.path().join("out"), dir.path().join("other"));
    reader.create("strict", 1, &[]);
    let connectd = start(dir.path(), "");
    let mut config = json_sink("strict", &out);
    // Longer than any wait here: a member that does not leave its group is noticed.
    config["consumer.override.session.timeout.ms"] = json!(45000);
    create(&connectd, "strict-sink", &config);
    create(&connectd, "other-sink", &text_sink("strict", &other));
    write_with_a_bad_one(&reader, "strict");
    let trace = wait("the task to fail", LIMIT, || {
        connectd.get("/connectors/strict-sink/tasks/0/status").1["trace"].as_str().map(str::to_owned)
    });
    let mut lines_of_it = trace.lines();
    let first = lines_of_it.next().unwrap_or_default();
    assert_eq!(first, "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler");
    let second = lines_of_it.next().unwrap_or_default();
    for part in ["value", "JsonConverter", "topic strict, partition 0, offset 2", "errors.tolerance=all"] {
        assert!(second.contains(part), "{part}: {trace}");
    }
    assert_eq!(connectd.states("strict-sink"), ("RUNNING".to_owned(), vec!["FAILED".to_owned()]));
    wait("the other connector to deliver all", LIMIT, || (lines(&other).len() == 5).then_some(()));
    connectd.await_state("other-sink", "RUNNING");

    // A person tries again, then decides to skip it: nothing between is lost.
    let again = connectd.send("POST", "/connectors/strict-sink/restart?includeTasks=true&onlyFailed=true", None);
    assert_eq!((again.0, &again.1["tasks"][0]["state"]), (202, &json!("RESTARTING")));
    let tolerant = json!({ "errors.tolerance": "all" });
    assert_eq!(connectd.send("PATCH", "/connectors/strict-sink/config", Some(&tolerant)).0, 200);
    wait("the records behind the bad one", LIMIT, || (values(&out).ends_with(&[3, 4])).then_some(()));
    assert_eq!(values(&out).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 3, 4]));
    connectd.await_state("strict-sink", "RUNNING");
}
