//! Test calls on Apache Kafka: everything is shown, and nothing is left behind.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{InfluxDb, Ioc, Kafka, Prometheus, Server, without};

const SOON: Duration = Duration::from_secs(60);

struct Setup {
    kafka: Kafka,
    reader: Reader,
    dir: TempDir,
    connectd: Connectd,
}

impl Setup {
    fn start() -> Self {
        let kafka = Kafka::start().expect("kafka");
        let reader = Reader::new(&kafka.bootstrap());
        let dir = tempfile::tempdir().expect("folder");
        let worker = format!(
            "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
             offset: {{ storage.file.filename: {}, flush.interval.ms: 300 }}\n\
             config.providers: file\nconfig.providers.file.class: FileConfigProvider\n",
            kafka.bootstrap(),
            dir.path().join("offsets").display()
        );
        let worker = file(dir.path(), "worker.yaml", &worker);
        let connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
        Self { kafka, reader, dir, connectd }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    fn tool(&self, class: &str, args: &[&str]) -> String {
        self.kafka.tool(class, args).expect("a tool of kafka")
    }

    fn groups(&self) -> String {
        let bootstrap = self.kafka.bootstrap();
        self.tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &["--bootstrap-server", &bootstrap, "--list"],
        )
    }

    fn topics(&self) -> String {
        let bootstrap = self.kafka.bootstrap();
        self.tool("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &bootstrap, "--list"])
    }

    /// Tries out a configuration.
    fn config(&self, config: &Json, query: &str) -> Json {
        let class = config["connector.class"].as_str().expect("class");
        let (status, report) =
            self.connectd.send("PUT", &format!("/connector-plugins/{class}/config/test{query}"), Some(config));
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Tries out a connector.
    fn connector(&self, name: &str, query: &str) -> Json {
        let (status, report) = self.connectd.send("POST", &format!("/connectors/{name}/test{query}"), None);
        assert_eq!(status, 200, "{report}");
        report
    }
}

/// Result and message of a stage.
fn stage<'a>(report: &'a Json, stage: &str, of: &str) -> (&'a str, &'a str) {
    let all = report["stages"].as_array().expect("stages");
    let found = all.iter().find(|s| s["stage"] == stage && s["of"] == of);
    let found = found.unwrap_or_else(|| panic!("no stage {stage} of {of}: {report:#}"));
    (found["result"].as_str().expect("result"), found["message"].as_str().unwrap_or_default())
}

fn texts(report: &Json, part: &str) -> Vec<String> {
    let of = |r: &Json| r[part]["text"].as_str().map_or_else(|| r[part].to_string(), str::to_owned);
    report["records"].as_array().expect("records").iter().map(of).collect()
}

#[test]
fn a_source_is_tried_from_its_offsets_on_and_keeps_them() {
    if without("kafka") {
        return;
    }
    let s = Setup::start();
    fs::write(s.path("in.txt"), "one\ntwo\n").expect("input");
    s.reader.create("lines", 1, &[]);
    let config = json!({ "connector.class": "file-source", "file": s.path("in.txt"), "topic": "lines" });
    let mut made = config.clone();
    made["name"] = "in".into();
    let (status, body) = s.connectd.send("POST", "/connectors", Some(&json!({ "name": "in", "config": config })));
    assert_eq!(status, 201, "{body}");
    let offsets = || s.connectd.get("/connectors/in/offsets").1;
    wait("the offset", SOON, || (offsets()["offsets"][0]["offset"]["position"] == 8).then_some(()));

    // Beside the running one there is nothing to see; what comes meanwhile is the running one's all the same.
    let report = s.connector("in", "?timeout=2&records=3");
    assert!(stage(&report, "read", "file-source").1.starts_with("nothing came within "), "{report:#}");
    assert_eq!(stage(&report, "render", "converters and transforms").0, "skipped");
    let mut input = fs::File::options().append(true).open(s.path("in.txt")).expect("input");
    input.write_all(b"three\n").expect("input");
    wait("the next offset", SOON, || (offsets()["offsets"][0]["offset"]["position"] == 14).then_some(()));

    // Stopped: it goes on where it was, and stands there as before when it has been tried.
    assert_eq!(s.connectd.send("PUT", "/connectors/in/stop", None).0, 204);
    input.write_all("four\nfünf\nsix\n".as_bytes()).expect("input");
    let before = (offsets(), s.connectd.get("/connectors/in/status").1);
    let report = s.connector("in", "?records=2");
    assert_eq!(texts(&report, "value"), ["four", "fünf"]);
    let first = &report["records"][0];
    assert_eq!((&first["outcome"], &first["topic"]), (&json!("shown"), &json!("lines")));
    assert_eq!(first["from"]["partition"], Json::Null, "a later record's offset covers it: {first}");
    assert_eq!(before, (offsets(), s.connectd.get("/connectors/in/status").1));

    // The brokers that are named are the ones that are asked.
    let mut elsewhere = made.clone();
    elsewhere["producer.override.bootstrap.servers"] = "127.0.0.1:1".into();
    let report = s.config(&elsewhere, "?timeout=3");
    let (result, message) = stage(&report, "connect", "kafka");
    assert!(result == "failed" && message.contains("kafka at 127.0.0.1:1 does not answer"), "{result}: {message}");
    assert!(!message.contains(&s.kafka.bootstrap()), "{message}");

    // What transforms do to records is shown, and what fails with its stage.
    let mut changed = made.clone();
    for (key, value) in [
        ("transforms", "five, up, part"),
        ("transforms.five.type", "Filter"),
        ("transforms.five.predicate", "five"),
        ("predicates", "five, six"),
        ("predicates.five.type", "Expression"),
        ("predicates.five.expression", "value == 'fünf'"),
        ("predicates.six.type", "Expression"),
        ("predicates.six.expression", "value == 'six'"),
        ("transforms.up.type", "InsertHeader"),
        ("transforms.up.header", "h"),
        ("transforms.up.value.literal", "${file:SECRET:token}"),
        ("transforms.part.type", "ExtractField$Value"),
        ("transforms.part.field", "f"),
        ("transforms.part.predicate", "six"),
        ("topic", "never-made"),
    ] {
        changed[key] = value.replace("SECRET", &s.path("secrets.properties")).into();
    }
    fs::write(s.path("secrets.properties"), "token=hidden-for-sure\n").expect("secrets");
    let topics = s.topics();
    let report = s.config(&changed, "?records=3");
    let outcomes: Vec<&str> =
        report["records"].as_array().expect("records").iter().filter_map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["shown", "dropped", "failed"], "{report:#}");
    assert_eq!(report["records"][2]["error"]["stage"], "TRANSFORMATION");
    assert!(report["records"][2]["error"]["class"].as_str().is_some_and(|c| c.ends_with("ExtractField$Value")));
    assert_eq!(report["passed"], false);
    let header = &report["records"][0]["headers"][0];
    assert_eq!(header["key"], "h");
    assert!(header["value"]["text"].as_str().is_some_and(|t| t.starts_with("${file:")), "{header}");
    assert!(!report.to_string().contains("hidden-for-sure"));
    let (result, message) = stage(&report, "render", "converters and transforms");
    assert_eq!((result, message), ("passed", "not there yet in kafka: topic never-made"));

    // Nothing has happened by all that.
    assert_eq!(s.topics(), topics);
    assert_eq!(before.0, offsets());
    let mut written = Vec::new();
    s.reader.until("lines", SOON, |all| {
        written = all.to_vec();
        all.len() >= 3
    });
    assert_eq!(written.len(), 3, "only the running connector has written");
    assert_eq!(s.connectd.send("POST", "/connectors/none/test", None).0, 404);
    for wrong in ["?records=101", "?timeout=0"] {
        assert_eq!(s.connectd.send("POST", &format!("/connectors/in/test{wrong}"), None).0, 400, "{wrong}");
    }
}

#[test]
fn other_sources_are_tried_before_they_exist() {
    if without("kafka") || without("ioc") {
        return;
    }
    let s = Setup::start();
    let packets = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/demo/data");
    let alerts = json!({ "name": "a", "connector.class": "alert-stream-source", "topic": "ztf",
        "alert.stream.files": packets, "value.converter": "ByteArrayConverter" });
    let report = s.config(&alerts, "?records=1");
    let record = &report["records"][0];
    assert_eq!(record["topic"], "ztf", "{report:#}");
    assert!(record["value"]["base64"].is_string() && record["value"]["cut_from"].as_u64() > Some(16_384));
    assert_eq!(record["from"]["offset"]["record"], 0, "{}", record["from"]);

    let ioc = Ioc::start("record(ao,\"T:a\"){field(VAL,\"5\") field(PINI,\"YES\")}").expect("ioc");
    let epics = json!({ "name": "e", "connector.class": "epics-source", "epics.channels": "T:a, T:absent",
        "value.converter": "JsonConverter", "value.converter.schemas.enable": "false",
        "monitor.addr.list": ioc.addr_list(), "monitor.auto.addr.list": "false",
        "monitor.repeater.port": ioc.repeater_port().to_string() });
    let report = s.config(&epics, "?records=1&timeout=20");
    assert_eq!(stage(&report, "connect", "epics-source").0, "not_checked");
    let value = report["records"][0]["value"]["text"].as_str().unwrap_or_else(|| panic!("no value: {report:#}"));
    let value: Json = serde_json::from_str(value).expect("JSON");
    assert_eq!(report["records"][0]["key"]["text"], "T:a", "{report:#}");
    assert!(value.to_string().contains('5'), "{value}");
    assert_eq!(report["note"], "1 of 2 channels are not connected: T:absent");

    // The running connector says it in its status, too.
    assert_eq!(s.connectd.send("POST", "/connectors", Some(&json!({ "name": "e", "config": epics }))).0, 201);
    wait("the note in the status", SOON, || {
        let status = s.connectd.get("/connectors/e/status").1;
        (status["tasks"][0]["detail"]["note"] == "1 of 2 channels are not connected: T:absent").then_some(())
    });

    // A webhook cannot be read without being answered.
    let port = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = port.local_addr().expect("address").to_string();
    let hook = json!({ "name": "w", "connector.class": "webhook-source", "webhook.listen": address,
        "webhook.format": "json", "webhook.topic": "hooks" });
    let report = s.config(&hook, "");
    let (result, message) = stage(&report, "connect", "webhook-source");
    assert_eq!(result, "failed");
    assert!(message.contains("another program has the port; stop that, or set webhook.listen"), "{message}");
    drop(port);
    let report = s.config(&hook, "");
    assert_eq!(stage(&report, "connect", "webhook-source").0, "passed", "{report:#}");
    assert_eq!(stage(&report, "read", "webhook-source").0, "not_checked");
    assert!(TcpListener::bind(&address).is_ok(), "nothing has been bound");
    assert_eq!(s.connectd.send("POST", "/connectors", Some(&json!({ "name": "w", "config": hook }))).0, 201);
    s.connectd.await_state("w", "RUNNING");
    let report = s.connector("w", "");
    assert_eq!(
        stage(&report, "connect", "webhook-source"),
        ("passed", format!("the running connector listens on {address}").as_str())
    );
    let mut other = hook.clone();
    (other["name"], other["webhook.paths"]) = ("x".into(), "/w".into());
    let (result, message) = {
        let r = s.config(&other, "");
        let (a, b) = stage(&r, "connect", "webhook-source");
        (a.to_owned(), b.to_owned())
    };
    assert!(result == "failed" && message.contains("is the connector w's"), "{message}");
}

/// A server that takes no request, and keeps the methods of those that it was sent.
fn unwilling() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address").to_string();
    let methods = Arc::new(Mutex::new(Vec::new()));
    let kept = methods.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let kept = kept.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok(n @ 1..) = std::io::Read::read(&mut stream, &mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..n]);
                    let method = text.split(' ').next().unwrap_or_default().to_owned();
                    kept.lock().expect("lock").push(method);
                    if stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, methods)
}

#[test]
fn sinks_show_what_they_would_send_and_send_nothing() {
    if without("kafka") || without("influxdb") || without("prometheus") {
        return;
    }
    let mut s = Setup::start();
    s.reader.create("alarms", 2, &[]);
    let values: Vec<(String, Option<Vec<u8>>)> = (0..20)
        .map(|n| (format!("pump-{n}"), Some(format!("{{\"n\":{n},\"message\":\"hot\"}}").into_bytes())))
        .chain([("broken".to_owned(), Some(b"{".to_vec())), ("gone".to_owned(), None)])
        .collect();
    s.reader.write_all("alarms", values);
    let groups = s.groups();
    let base = |class: &str, more: Json| {
        let mut config = json!({ "name": "c", "connector.class": class, "topics": "alarms",
            "value.converter": "JsonConverter", "value.converter.schemas.enable": "false" });
        config.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        config
    };

    // InfluxDB, which is asked for its databases and for nothing else.
    let influx = InfluxDb::start().expect("influxdb");
    let to_influx = base(
        "influxdb-sink",
        json!({ "influxdb.url": influx.url(), "influxdb.database": "alarms",
        "influxdb.tags": "_key", "http.proxy": "none" }),
    );
    let report = s.config(&to_influx, "?records=4");
    let (result, message) = stage(&report, "connect", "influxdb-sink");
    assert_eq!(result, "failed", "{report:#}");
    assert!(message.contains("create it, or correct influxdb.database"), "{message}");
    influx.create_database("alarms").expect("database");
    let report = s.config(&to_influx, "?records=4");
    assert_eq!(stage(&report, "connect", "influxdb-sink").0, "passed", "{report:#}");
    let records = report["records"].as_array().expect("records");
    assert_eq!(records.len(), 4, "{report:#}");
    let by_key = |key: &str| {
        let found = records.iter().find(|r| r["key"]["data"] == key || r["key"]["text"] == key);
        found.unwrap_or_else(|| panic!("no {key}: {report:#}"))
    };
    let last = by_key("pump-19");
    let body = last["sends"]["body"].as_str().expect("a line");
    assert!(body.starts_with("alarms,_key=pump-19 ") && body.contains("n=19i"), "{body}");
    assert_eq!(last["sends"]["to"], format!("POST {}/write (database alarms)", influx.url()));
    assert_eq!(last["from"]["partition"]["kafka_topic"], "alarms");
    let broken = by_key("broken");
    assert_eq!((&broken["outcome"], &broken["error"]["stage"]), (&json!("failed"), &json!("VALUE_CONVERTER")));
    assert_eq!(broken["value"]["text"], "{");
    assert_eq!(by_key("gone")["remark"], "nothing is sent: influxdb.tombstones is ignore", "{}", by_key("gone"));
    assert_eq!(influx.rows("alarms", "SHOW MEASUREMENTS").expect("rows").len(), 0, "nothing was written");

    // Prometheus, which is asked with a write of nothing.
    let metrics = json!([{ "name": "pumps_total", "type": "counter", "help": "Pumps.", "labels": { "pump": "{{key}}" } },
        { "name": "pump_n", "type": "gauge", "help": "N.", "value": "value.n", "labels": { "pump": "{{key}}" } }]);
    let prometheus = Prometheus::start_receiver().expect("prometheus");
    let to_prometheus = |path: &str| {
        base(
            "prometheus-sink",
            json!({ "prometheus.metrics": metrics.to_string(), "http.proxy": "none",
            "prometheus.remote.write.url": format!("{}{path}", prometheus.url()) }),
        )
    };
    let report = s.config(&to_prometheus("/write"), "?records=4");
    let (result, message) = stage(&report, "connect", "prometheus-sink");
    assert!(result == "failed" && message.contains("correct the path, /api/v1/write for Prometheus"), "{message}");
    let report = s.config(&to_prometheus("/api/v1/write"), "?records=4");
    assert_eq!(stage(&report, "connect", "prometheus-sink").0, "passed", "{report:#}");
    let sent = report["records"].as_array().expect("records").iter().find(|r| r["key"]["data"] == "pump-19");
    let sent = &sent.unwrap_or_else(|| panic!("{report:#}"))["sends"];
    assert_eq!(sent["body"], "pumps_total{pump=\"pump-19\"} + 1\npump_n{pump=\"pump-19\"} = 19\n");
    assert!(prometheus.query("pumps_total").expect("answer").is_empty(), "nothing was written");

    // Slack and a webhook, whose server is asked for its options and nothing else.
    let (address, methods) = unwilling();
    let slack = base(
        "slack-sink",
        json!({ "slack.webhook.url": format!("http://{address}/services/T0/s3cret-part"),
        "slack.raised.template": "*{{key}}* {{value.message}}", "http.proxy": "none" }),
    );
    let report = s.config(&slack, "?records=4");
    assert_eq!(stage(&report, "connect", "slack-sink").0, "partly", "{report:#}");
    let sent = report["records"].as_array().expect("records").iter().find(|r| r["key"]["data"] == "pump-19");
    let sent = &sent.unwrap_or_else(|| panic!("{report:#}"))["sends"];
    assert_eq!(sent["body"], r#"{"text":"*pump-19* hot"}"#);
    assert!(!report.to_string().contains("s3cret"), "{report}");
    let hook = base(
        "webhook-sink",
        json!({ "webhook.url": format!("http://{address}/{{{{key}}}}?token=s3cret"),
        "webhook.headers": "X-Token: s3cret-header", "webhook.body": "{{value.n}}", "http.proxy": "none" }),
    );
    let report = s.config(&hook, "?records=4");
    let records = report["records"].as_array().expect("records");
    let sent = records.iter().find(|r| r["key"]["data"] == "pump-19").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(sent["sends"]["to"], format!("POST http://{address}/pump-19"));
    assert_eq!((&sent["sends"]["body"], &sent["sends"]["headers"]["x-token"]), (&json!("19"), &json!("[hidden]")));
    assert!(!report.to_string().contains("s3cret"), "{report}");
    let gone = records.iter().find(|r| r["key"]["data"] == "gone").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!((&gone["outcome"], &gone["error"]["stage"]), (&json!("failed"), &json!("TASK_PUT")), "{gone}");
    assert_eq!(*methods.lock().expect("lock"), ["OPTIONS", "OPTIONS"], "nothing else was sent");

    // A file, which is not made.
    let to_file = base("file-sink", json!({ "file": s.path("out.jsonl") }));
    let report = s.config(&to_file, "?records=4");
    assert_eq!(stage(&report, "connect", "file-sink").0, "partly", "{report:#}");
    let body = report["records"][0]["sends"]["body"].as_str().expect("line");
    assert!(body.starts_with(r#"{"topic":"alarms","partition":"#), "{body}");
    assert!(!fs::exists(s.path("out.jsonl")).expect("looked"));

    // Everything that is wrong is said at once; topics that are missing are not made.
    let wrong =
        base("influxdb-sink", json!({ "influxdb.url": "ftp://x", "influxdb.batch.lines": "many", "tasks.max": "0" }));
    let report = s.config(&wrong, "");
    let problems = report["stages"][0]["problems"].as_array().expect("problems");
    let keys: Vec<&str> = problems.iter().filter_map(|p| p["key"].as_str()).collect();
    for key in ["influxdb.url", "influxdb.batch.lines", "tasks.max"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(report["records"], json!([]));
    let mut absent = to_file.clone();
    absent["topics"] = "alarms,absent".into();
    let report = s.config(&absent, "");
    assert_eq!(stage(&report, "read", "kafka"), ("failed", "kafka has no topic absent: create it, or correct topics"));
    assert!(!s.topics().contains("absent"));
    assert_eq!(s.groups(), groups, "no group has been joined");

    // A peer that hangs costs its share of the time and is named.
    let hanging = TcpListener::bind("127.0.0.1:0").expect("port");
    let mut hangs = to_influx.clone();
    hangs["influxdb.url"] = format!("http://{}", hanging.local_addr().expect("address")).into();
    let began = Instant::now();
    let report = s.config(&hangs, "?timeout=3&records=1");
    assert!(began.elapsed() < Duration::from_secs(10));
    let (result, message) = stage(&report, "connect", "influxdb-sink");
    assert!(result == "failed" && message.contains("was not done within 1 s"), "{message}");
    assert_eq!(report["records"].as_array().map(Vec::len), Some(1), "kafka's records are shown all the same");

    // Kafka away: said so in time, and the peer is looked at all the same.
    s.kafka.stop().expect("stop kafka");
    let began = Instant::now();
    let report = s.config(&to_influx, "?timeout=6");
    assert!(began.elapsed() < Duration::from_secs(20));
    let (result, message) = stage(&report, "connect", "kafka");
    assert!(result == "failed" && message.contains("does not answer"), "{report:#}");
    assert_eq!(stage(&report, "connect", "influxdb-sink").0, "passed");
    assert_eq!(stage(&report, "read", "kafka").0, "skipped");
}
