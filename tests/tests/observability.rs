//! What an operator sees of a worker: logs per connector, JSON, tasks that do not get on, metrics.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, program, rest::Rest, wait};
use xtask::servers::{Kafka, Prometheus, Server, without};

const SOON: Duration = Duration::from_secs(60);

/// A standalone worker on Kafka in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
    kafka: Kafka,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("folder"), kafka: Kafka::start().expect("kafka") }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn start(&self, settings: &str, arguments: &[&str]) -> Connectd {
        let worker = file(
            self.dir.path(),
            "worker.properties",
            &format!(
                "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
                 offset.storage.file.filename={}\noffset.flush.interval.ms=500\n{settings}",
                self.kafka.bootstrap(),
                self.path("offsets")
            ),
        );
        Connectd::start(&[&["-c", &worker], arguments].concat(), &self.dir.path().join("log"))
    }

    fn source(&self, topic: &str) -> Json {
        json!({ "connector.class": "FileStreamSource", "file": self.path("in.txt"), "topic": topic })
    }

    fn append(&self, text: &str) {
        let mut input = fs::File::options().create(true).append(true).open(self.path("in.txt")).expect("input");
        input.write_all(text.as_bytes()).expect("input");
    }
}

fn create(connectd: &Connectd, name: &str, config: &Json) {
    let (code, answer) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(config));
    assert_eq!(code, 201, "{answer}");
}

fn detail(connectd: &Connectd, name: &str) -> Json {
    connectd.get(&format!("/connectors/{name}/status")).1["tasks"][0]["detail"].clone()
}

fn messages(connectd: &Connectd, path: &str) -> Vec<String> {
    let (code, answer) = connectd.get(path);
    assert_eq!(code, 200, "{answer}");
    answer["lines"].as_array().expect("lines").iter().map(|l| l["message"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn logs_of_a_connector_are_its_own_and_go_with_it() {
    // The option goes before the setting.
    let rest = Rest::start(&["--log-format", "json", "--set", "log.format=text"]);
    let ready = |l: &str| {
        serde_json::from_str::<Json>(l).is_ok_and(|l| l["message"] == "the worker is ready with 0 connectors")
    };
    let log = rest.connectd.log_text();
    assert!(log.lines().any(ready), "{log}");
    let mut config = rest.source();
    // A misspelt setting is warned of when the connector is created, before there is one.
    config["topik"] = "x".into();
    rest.create("c", &config);
    rest.create("d", &rest.source());
    rest.connectd.await_state("c", "RUNNING");
    let answer = rest.get("/connectors/none/logs");
    assert_eq!((answer.status, answer.message().as_str()), (404, "Connector none not found"));
    for (query, text) in [("limit=x", "limit=x is no number from 0"), ("level=loud", "level=loud is none of")] {
        let answer = rest.get(&format!("/connectors/c/logs?{query}"));
        assert_eq!((answer.status, answer.message().starts_with(text)), (400, true), "{}", answer.text);
    }
    let all = rest.get("/connectors/c/logs").json();
    let has = |lines: &Json, text: &str, level: &str, task: Json| {
        let lines = lines["lines"].as_array().expect("lines");
        lines.iter().any(|l| {
            l["message"].as_str().is_some_and(|m| m.contains(text)) && l["level"] == level && l["task"] == task
        })
    };
    assert!(has(&all, "topik", "WARN", Json::Null), "{all}");
    assert!(has(&all, "the task is RUNNING", "INFO", 0.into()), "{all}");
    let warnings = messages(&rest.connectd, "/connectors/c/logs?level=warn");
    assert!(
        warnings.iter().any(|m| m.contains("topik")) && !warnings.iter().any(|m| m.contains("RUNNING")),
        "{warnings:?}"
    );
    let others = messages(&rest.connectd, "/connectors/d/logs");
    assert!(!others.is_empty() && !others.iter().any(|m| m.contains("topik")), "{others:?}");
    let of_task = messages(&rest.connectd, "/connectors/c/logs?task=0");
    assert!(of_task.iter().all(|m| !m.contains("topik")) && !of_task.is_empty(), "{of_task:?}");

    // Who follows gets what is new, once.
    let last = all["last"].as_u64().expect("a number");
    assert_eq!(messages(&rest.connectd, &format!("/connectors/c/logs?since={last}")), Vec::<String>::new());
    assert_eq!(rest.order("PUT", "/connectors/c/pause").status, 202);
    wait("the pause in the log", SOON, || {
        let new = messages(&rest.connectd, &format!("/connectors/c/logs?since={last}"));
        new.iter().any(|m| m == "the task is PAUSED").then_some(())
    });
    let url = rest.connectd.url().to_owned();
    let ctl = Command::new(program("connectctl")).args(["--url", &url, "logs", "c", "-n", "2"]).output().expect("run");
    let shown = String::from_utf8_lossy(&ctl.stdout).into_owned();
    assert!(ctl.status.success() && shown.lines().count() == 2 && shown.contains(" INFO "), "{ctl:?}");

    assert_eq!(rest.order("DELETE", "/connectors/c").status, 204);
    assert_eq!(rest.get("/connectors/c/logs").status, 404);
    rest.create("c", &rest.source());
    let anew = messages(&rest.connectd, "/connectors/c/logs");
    assert!(!anew.iter().any(|m| m.contains("topik") || m.contains("PAUSED")), "{anew:?}");
}

#[test]
fn lines_of_kafkas_clients_are_their_connectors_and_hold_no_secrets_as_json_and_in_the_book() {
    if without("kafka") {
        return;
    }
    let mut place = Place::new();
    let secret = "hunter2-of-the-file";
    fs::write(place.path("secrets.properties"), format!("name={secret}\n")).expect("secrets");
    let reference = format!("${{file:{}:name}}", place.path("secrets.properties"));
    let connectd = place.start(
        "config.providers=file\nconfig.providers.file.class=FileConfigProvider\nlog.format=json\n",
        &["--log", "warn,connectd=info,librdkafka=debug"],
    );
    place.append("one\n");
    create(&connectd, "in", &place.source("numbers"));
    // Its task fails with the path in the text.
    let failing = json!({ "connector.class": "FileStreamSink", "topics": "numbers",
        "file": format!("{}/{reference}", place.path("no-folder")) });
    create(&connectd, "failing", &failing);
    create(
        &connectd,
        "out",
        &json!({ "connector.class": "FileStreamSink", "topics": "numbers", "file": place.path("out") }),
    );
    wait("the line", SOON, || fs::read_to_string(place.path("out")).ok().filter(|t| t == "one\n"));
    place.kafka.stop().expect("stop kafka");
    place.append("two\n");
    for name in ["in", "out"] {
        let lines = wait("the outage in the log", SOON, || {
            let (_, answer) = connectd.get(&format!("/connectors/{name}/logs?level=DEBUG&task=0"));
            let lines = answer["lines"].as_array().expect("lines").clone();
            // Threads of librdkafka say it.
            let said = |l: &Json| l["logger"] == "librdkafka" && l.to_string().contains("Connection refused");
            lines.iter().any(said).then_some(lines)
        });
        assert!(lines.iter().all(|l| l["task"] == 0), "{lines:?}");
    }
    let failing = wait("the failure in the log", SOON, || {
        let (code, answer) = connectd.get("/connectors/failing/logs");
        (code == 200 && answer.to_string().contains("the task failed")).then_some(answer)
    });
    assert!(failing.to_string().contains("${file:") && !failing.to_string().contains(secret), "{failing}");
    let log = connectd.log_text();
    assert!(!log.contains(secret), "{log}");
    let lines: Vec<Json> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert!(lines.iter().all(|l| l["timestamp"].is_string() && l["level"].is_string() && l["target"].is_string()));
    for connector in ["in", "out"] {
        let said = |l: &Json| l["connector"] == connector && l["task"] == 0 && l["target"] == "librdkafka";
        assert!(lines.iter().any(said), "{log}");
    }
}

/// A server that takes requests and answers each when it is told to.
fn slow_server() -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let (tell, told) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().expect("stream")).lines();
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            // The test may be over.
            if told.recv().is_err() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (url, tell)
}

#[test]
fn tasks_that_do_not_get_on_are_shown_with_what_they_are_doing_until_they_do() {
    if without("kafka") {
        return;
    }
    let mut place = Place::new();
    Reader::new(&place.kafka.bootstrap()).create("numbers", 1, &[]);
    let connectd = place.start("task.stalled.after.ms=3000\n", &[]);
    let (url, answer) = slow_server();
    place.append("one\n");
    create(&connectd, "in", &place.source("numbers"));
    create(
        &connectd,
        "out",
        &json!({ "connector.class": "webhook-sink", "topics": "numbers", "webhook.url": url,
            "http.request.timeout.ms": "600000" }),
    );
    let stalled = |name: &str| {
        wait(&format!("{name} to be stalled"), SOON, || detail(&connectd, name)["stalled"].as_str().map(str::to_owned))
    };
    let goes_on = |name: &str| {
        wait(&format!("{name} to get on"), SOON, || detail(&connectd, name)["stalled"].is_null().then_some(()));
    };
    assert_eq!(stalled("out"), "writing records (put)");
    assert!(detail(&connectd, "out")["stalled_since"].is_string());
    // Nothing else is: the source has nothing to do.
    assert_eq!(detail(&connectd, "in")["stalled"], Json::Null);
    let metrics = reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("answer").text().expect("text");
    for line in ["{connector=\"out\",task=\"0\"} 1\n", "{connector=\"in\",task=\"0\"} 0\n"] {
        assert!(metrics.contains(&format!("tocsin_task_stalled{line}")), "{metrics}");
    }
    let ctl = Command::new(program("connectctl")).args(["--url", connectd.url(), "status"]).output().expect("run");
    let shown = String::from_utf8_lossy(&ctl.stdout).into_owned();
    assert!(shown.contains("stalled for ") && shown.contains(": writing records (put)"), "{shown}");
    answer.send(()).expect("the server listens");
    goes_on("out");
    let said = |name: &str| messages(&connectd, &format!("/connectors/{name}/logs?task=0"));
    let count = |name: &str, text: &str| said(name).iter().filter(|m| m.contains(text)).count();
    wait("the end of the stall in the log", SOON, || (count("out", "the task gets on again") == 1).then_some(()));
    assert_eq!(count("out", "the task has not got on for 3 s: writing records (put)"), 1, "{:?}", said("out"));
    let since = wait("the record to be counted", SOON, || {
        let detail = detail(&connectd, "out");
        (detail["records_out"] == 1).then_some(detail)
    });
    assert!(since["last_record"].is_string() && since["rate_out"].as_f64() > Some(0.0), "{since}");

    // Kafka hangs: the source waits for its acknowledgement.
    place.kafka.pause().expect("pause kafka");
    place.append("two\nthree\n");
    assert_eq!(stalled("in"), "waiting for kafka to acknowledge 2 records");
    place.kafka.resume().expect("resume kafka");
    goes_on("in");
    drop(answer);
}

/// Writes a transaction, whose end takes an offset of its own.
fn write_transaction(bootstrap: &str, topic: &str, lines: &[&str]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", "of-a-test")
        .create()
        .expect("producer");
    producer.init_transactions(SOON).expect("transactions");
    producer.begin_transaction().expect("begin");
    for line in lines {
        producer.send(BaseRecord::<(), str>::to(topic).payload(line)).map_err(|(e, _)| e).expect("send");
    }
    producer.commit_transaction(SOON).expect("commit");
}

#[test]
fn the_end_of_a_transaction_is_no_lag_and_no_stall() {
    if without("kafka") {
        return;
    }
    let place = Place::new();
    Reader::new(&place.kafka.bootstrap()).create("numbers", 1, &[]);
    let connectd = place.start("task.stalled.after.ms=4000\n", &[]);
    create(
        &connectd,
        "out",
        &json!({ "connector.class": "FileStreamSink", "topics": "numbers", "file": place.path("out") }),
    );
    connectd.await_state("out", "RUNNING");
    write_transaction(&place.kafka.bootstrap(), "numbers", &["one", "two"]);
    wait("the lines", SOON, || fs::read_to_string(place.path("out")).ok().filter(|t| t == "one\ntwo\n"));
    wait("the lag to be over", SOON, || (detail(&connectd, "out")["lag"] == 0).then_some(()));
    let until = Instant::now() + Duration::from_secs(8);
    wait("twice the time of a stall", SOON, || {
        assert_eq!(detail(&connectd, "out")["stalled"], Json::Null);
        (Instant::now() > until).then_some(())
    });
    assert_eq!(detail(&connectd, "out")["lag"], 0);
}

#[test]
fn prometheus_reads_the_metrics() {
    if without("kafka") || without("prometheus") {
        return;
    }
    let place = Place::new();
    let connectd = place.start("admin.listeners=http://127.0.0.1:0\n", &[]);
    place.append("{\"a\":1}\nno json\n{\"a\":2}\n");
    create(&connectd, "in \"1\"", &place.source("numbers"));
    create(
        &connectd,
        "out",
        &json!({ "connector.class": "FileStreamSink", "topics": "numbers", "file": place.path("out"),
            "value.converter": "JsonConverter", "value.converter.schemas.enable": "false", "errors.tolerance": "all",
            "errors.log.enable": "true", "errors.deadletterqueue.topic.name": "dead",
            "errors.deadletterqueue.topic.replication.factor": "1" }),
    );
    let target = connectd.url().trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(&target).expect("prometheus");
    let value = |expression: &str| {
        let found = prometheus.query(expression).expect("an answer");
        found.first().and_then(|s| s["value"][1].as_str()?.parse::<f64>().ok())
    };
    let is = |expression: &str, expected: f64| {
        wait(&format!("{expression} to be {expected}"), SOON, || {
            value(expression).filter(|v| (v - expected).abs() < 1e-9).map(drop)
        });
    };
    is("kafka_connect_source_task_source_record_write_total{connector=\"in \\\"1\\\"\",task=\"0\"}", 3.0);
    is("kafka_connect_sink_task_sink_record_read_total{connector=\"out\",task=\"0\"}", 3.0);
    is("kafka_connect_sink_task_sink_record_send_total{connector=\"out\"}", 2.0);
    is("kafka_connect_task_error_total_records_skipped{connector=\"out\"}", 1.0);
    is("kafka_connect_task_error_total_errors_logged{connector=\"out\"}", 1.0);
    is("kafka_connect_task_error_deadletterqueue_produce_requests{connector=\"out\"}", 1.0);
    is("sum(kafka_connect_worker_connector_running_task_count)", 2.0);
    is("kafka_connect_connector_task_status{connector=\"out\",status=\"running\"}", 1.0);
    is("sum(kafka_connect_connector_status{status=\"failed\"}) or vector(0)", 0.0);
    is("kafka_consumer_fetch_manager_records_lag{clientid=\"connector-consumer-out-0\",topic=\"numbers\"}", 0.0);
    is("up", 1.0);
    wait("bytes that a producer has sent", SOON, || value("kafka_producer_outgoing_byte_total").filter(|v| *v > 0.0));

    let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("answer");
    assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = page.text().expect("text");
    let path = file(place.dir.path(), "metrics.txt", &page);
    // What it finds is about names, which are the JMX exporter's.
    for line in Prometheus::check(path.as_ref()).expect("a page that it can read") {
        let known =
            line.contains("should not have \"_count\" suffix") || line.contains("should not contain abbreviated units");
        assert!(known && line.starts_with("kafka_connect_"), "{line}");
    }
    // Each is in the reference, once on the page, and there is no other.
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md");
    let reference = fs::read_to_string(reference).expect("the reference");
    let mut names: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &names {
        assert!(reference.contains(&format!("| `{name}` |")), "{name} is not in the reference");
    }
    let documented = reference.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next());
    let missing: Vec<&str> = documented.filter(|name| !names.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "is in the reference and not on the page");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);

    // The listeners for administration have it, too, and nothing of the connectors.
    let log = connectd.log_text();
    let admin = log.split("log levels are set on ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let admin = admin.expect("an address");
    let answer = reqwest::blocking::get(format!("{admin}/metrics")).expect("answer");
    assert!(answer.status() == 200 && answer.text().expect("text").contains("kafka_connect_worker_task_count 2\n"));
}
