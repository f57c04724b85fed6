//! Dead letters and logged errors: those of Kafka Connect and of this worker for the same bad records, side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use connect_kafka::{Outgoing, RawRecord};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, KafkaConnect, Server, without};

const SOON: Duration = Duration::from_secs(90);
const PREFIX: &str = "__connect.errors.";

type Headers = Vec<(String, Option<String>)>;

fn headers(record: &RawRecord) -> Headers {
    let text = |bytes: &Option<bytes::Bytes>| bytes.as_deref().map(|b| String::from_utf8_lossy(b).into_owned());
    record.headers.iter().map(|(k, v)| (k.to_string(), text(v))).collect()
}

/// The last header of that name, which is the one that was added.
fn header<'a>(all: &'a Headers, name: &str) -> Option<&'a str> {
    all.iter().rev().find(|(k, _)| k.strip_prefix(PREFIX) == Some(name))?.1.as_deref()
}

/// Lines about failed operations, without what is in front and behind, and without the clock.
fn logged(log: &str) -> BTreeSet<String> {
    let clock = regex::Regex::new(r"timestamp=\d{10,}").expect("expression");
    let line = regex::Regex::new(r"(?m)Error encountered in task .*?(?:timestampType=CreateTime\}|headers=\)\})\.")
        .expect("expression");
    line.find_iter(log).map(|m| clock.replace(m.as_str(), "timestamp=T").into_owned()).collect()
}

struct Place {
    dir: tempfile::TempDir,
    kafka: Kafka,
    reader: Reader,
}

impl Place {
    fn start() -> Self {
        let kafka = Kafka::start().expect("kafka");
        let reader = Reader::new(&kafka.bootstrap());
        Self { dir: tempfile::tempdir().expect("folder"), kafka, reader }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn settings(&self, offsets: &str) -> Vec<(&'static str, String)> {
        vec![
            ("key.converter", "org.apache.kafka.connect.storage.StringConverter".into()),
            ("value.converter", "org.apache.kafka.connect.storage.StringConverter".into()),
            ("offset.storage.file.filename", self.path(offsets)),
        ]
    }

    fn connectd(&self) -> Connectd {
        let mut text = format!("bootstrap.servers={}\n", self.kafka.bootstrap());
        for (key, value) in self.settings("our-offsets") {
            text.push_str(&format!("{key}={value}\n"));
        }
        let worker = file(self.dir.path(), "worker.properties", &text);
        Connectd::start(&["-c", &worker], &self.dir.path().join("log"))
    }

    fn letters(&self, topic: &str, count: usize) -> Vec<RawRecord> {
        let mut all = self.reader.until(topic, SOON, |all| all.len() >= count);
        all.sort_by_key(|r| header(&headers(r), "offset").and_then(|o| o.parse::<i64>().ok()));
        all
    }
}

/// Both connectors' failures of all stages in conversion and transformation. Partitions have bad records only.
fn write_bad_records(reader: &Reader) {
    let send = |key: Option<&[u8]>, value: &[u8], headers: &[(&str, Option<&[u8]>)]| {
        let timestamp = Some(1_700_000_000_000);
        reader.send(Outgoing { topic: "bad", partition: Some(0), timestamp, key, value: Some(value), headers });
    };
    send(Some(b"{bad \xff"), b"{ \"x\" :  \"1\"}", &[("own", Some(b"1")), ("none", None)]);
    send(None, b"{bad", &[]);
    send(Some(b"\"k\""), b"{\"x\":\"1\"}", &[("h", Some(b"{bad"))]);
    // A dead letter that comes again: what is there stays, and the new headers come behind it.
    send(None, b"{\"x\": \"abc\"}", &[("__connect.errors.topic", Some(b"\"before\""))]);
    send(None, b"{\"x\":\"2\"}", &[]);
}

fn sink(letters: &str, group: &str, file: String) -> Json {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": "bad", "file": file,
        "consumer.override.group.id": group,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "header.converter": "org.apache.kafka.connect.json.JsonConverter", "header.converter.schemas.enable": "false",
        "transforms": "cast", "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.cast.spec": "x:int32", "errors.tolerance": "all", "errors.log.enable": "true",
        "errors.log.include.messages": "true", "errors.deadletterqueue.topic.name": letters,
        "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true"
    })
}

fn source(input: String) -> Json {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": input, "topic": "numbers",
        "transforms": "cast", "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.cast.spec": "int32", "errors.tolerance": "all", "errors.log.enable": "true",
        "errors.log.include.messages": "true"
    })
}

#[test]
fn dead_letters_and_log_lines_are_those_of_kafka_connect() {
    if without("kafka") {
        return;
    }
    let place = Place::start();
    place.reader.create("bad", 1, &[]);
    write_bad_records(&place.reader);
    fs::write(place.path("in.txt"), "1\nabc\n").expect("input");
    let http = reqwest::blocking::Client::new();

    let settings = place.settings("their-offsets");
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut theirs = KafkaConnect::standalone(&place.kafka.bootstrap(), &settings).expect("kafka connect");
    let create = |base: &str, name: &str, config: &Json| {
        let answer = http.put(format!("{base}/connectors/{name}/config")).json(config).send().expect("request");
        assert_eq!(answer.status().as_u16(), 201, "{:?}", answer.text());
    };
    create(&theirs.url(), "sink", &sink("dead-theirs", "theirs", place.path("theirs.txt")));
    create(&theirs.url(), "source", &source(place.path("in.txt")));
    let expected = place.letters("dead-theirs", 4);
    wait("kafka connect to log all errors", SOON, || (logged(&theirs.process().log()).len() == 5).then_some(()));
    theirs.stop().expect("stop kafka connect");
    let told = logged(&theirs.process().log());

    let ours = place.connectd();
    create(ours.url(), "sink", &sink("dead-ours", "ours", place.path("ours.txt")));
    create(ours.url(), "source", &source(place.path("in.txt")));
    let letters = place.letters("dead-ours", 4);
    wait("all errors to be logged", SOON, || (logged(&ours.log_text()).len() == 5).then_some(()));
    // Our file source keeps more in an offset than the position.
    let more = regex::Regex::new(r", inode=\d+, head=[^}]*").expect("expression");
    let logged_here: BTreeSet<String> =
        logged(&ours.log_text()).iter().map(|l| more.replace(l, "").into_owned()).collect();
    assert_eq!(logged_here, told);

    assert_eq!((expected.len(), letters.len()), (4, 4));
    let mut stages = BTreeMap::new();
    for (theirs, ours) in expected.iter().zip(&letters) {
        let same = |r: &RawRecord| (r.key.clone(), r.value.clone(), r.timestamp);
        assert_eq!(same(ours), same(theirs), "bytes and time are the original record's");
        let (ours, theirs) = (headers(ours), headers(theirs));
        let names = |all: &Headers| all.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs));
        let stage = header(&theirs, "stage").expect("stage").to_owned();
        for ((name, our), (_, their)) in ours.iter().zip(&theirs) {
            match name.strip_prefix(PREFIX) {
                // Words and stack are those of another program.
                Some("exception.message" | "exception.stacktrace") => {
                    assert!(our.as_deref().is_some_and(|text| !text.is_empty()), "{stage}: {name}");
                }
                _ => assert_eq!(our, their, "{stage}: {name}"),
            }
        }
        stages.insert(stage, header(&ours, "exception.stacktrace").map(str::to_owned));
    }
    let names: Vec<&str> = stages.keys().map(String::as_str).collect();
    assert_eq!(names, ["HEADER_CONVERTER", "KEY_CONVERTER", "TRANSFORMATION", "VALUE_CONVERTER"]);
}

#[test]
fn what_a_sink_refuses_is_dead_lettered_as_it_was_consumed() {
    if without("kafka") {
        return;
    }
    let place = Place::start();
    place.reader.create("requests", 1, &[]);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let server = runtime.block_on(async {
        let server = wiremock::MockServer::start().await;
        let answer = |code: u16| wiremock::ResponseTemplate::new(code);
        let refused = wiremock::Mock::given(wiremock::matchers::body_string_contains("bad")).respond_with(answer(400));
        refused.with_priority(1).mount(&server).await;
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer(200)).mount(&server).await;
        server
    });
    // Blanks that no converter would write.
    let value: &[u8] = b"{ \"a\" :\t\"bad\" }";
    let timestamp = Some(1_700_000_000_000);
    for value in [b"{\"a\":1}".as_slice(), value] {
        let headers: &[(&str, Option<&[u8]>)] = &[("own", Some(b"x"))];
        place.reader.send(Outgoing {
            topic: "requests",
            partition: None,
            timestamp,
            key: Some(b"k"),
            value: Some(value),
            headers,
        });
    }
    let config = json!({
        "connector.class": "webhook-sink", "topics": "requests", "webhook.url": server.uri(),
        "value.converter": "JsonConverter", "value.converter.schemas.enable": "false", "errors.tolerance": "all",
        "errors.log.enable": "true", "errors.deadletterqueue.topic.name": "refused",
        "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true",
        "transforms": "m", "transforms.m.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.m.static.field": "b", "transforms.m.static.value": "c"
    });
    let connectd = place.connectd();
    let (code, answer) = connectd.send("PUT", "/connectors/hook/config", Some(&config));
    assert_eq!(code, 201, "{answer}");
    let letter = place.letters("refused", 1).remove(0);
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(b"k".as_slice()), Some(value)));
    assert_eq!(letter.timestamp, timestamp);
    let all = headers(&letter);
    let named = |name: &str| header(&all, name).map(str::to_owned);
    assert_eq!(all[0], ("own".to_owned(), Some("x".to_owned())));
    assert_eq!(named("stage").as_deref(), Some("TASK_PUT"));
    assert_eq!(named("class.name").as_deref(), Some("org.apache.kafka.connect.sink.SinkTask"));
    assert_eq!((named("topic").as_deref(), named("offset").as_deref()), (Some("requests"), Some("1")));
    let line = "Error encountered in task hook-0. Executing stage 'TASK_PUT' with class \
                'org.apache.kafka.connect.sink.SinkTask'. ";
    wait("the log", SOON, || connectd.log_text().contains(line).then_some(()));
}

#[test]
fn a_source_sets_aside_what_cannot_be_transformed() {
    if without("kafka") {
        return;
    }
    let place = Place::start();
    place.reader.create("numbers", 1, &[]);
    fs::write(place.path("in.txt"), "abc\n1\n").expect("input");
    let mut config = source(place.path("in.txt"));
    config["errors.deadletterqueue.topic.name"] = "dead-source".into();
    config["errors.deadletterqueue.topic.replication.factor"] = "1".into();
    config["errors.deadletterqueue.context.headers.enable"] = "true".into();
    let connectd = place.connectd();
    assert_eq!(connectd.send("PUT", "/connectors/source/config", Some(&config)).0, 201);
    let letter = place.letters("dead-source", 1).remove(0);
    assert_eq!(letter.value.as_deref(), Some(b"abc".as_slice()));
    let all = headers(&letter);
    assert_eq!(header(&all, "stage"), Some("TRANSFORMATION"));
    assert!(header(&all, "offset").is_none(), "it comes from no topic: {all:?}");
    place.reader.until("numbers", SOON, |all| all.iter().any(|r| r.value.as_deref() == Some(b"1")));
}

#[test]
fn a_queue_that_cannot_be_created_fails_the_task_and_says_which_setting() {
    if without("kafka") {
        return;
    }
    let place = Place::start();
    let mut config = sink("many", "g", place.path("out.txt"));
    config["errors.deadletterqueue.topic.replication.factor"] = "3".into();
    let connectd = place.connectd();
    assert_eq!(connectd.send("PUT", "/connectors/sink/config", Some(&config)).0, 201);
    let trace = wait("the task to fail", SOON, || {
        let task = &connectd.get("/connectors/sink/status").1["tasks"][0];
        (task["state"] == "FAILED").then(|| task["trace"].as_str().unwrap_or_default().to_owned())
    });
    assert!(trace.contains(": Could not initialize dead letter queue with topic=many"), "{trace}");
    assert!(trace.contains("errors.deadletterqueue.topic.replication.factor is 3"), "{trace}");
    assert!(trace.contains("there are not so many brokers"), "{trace}");

    // Sessions that Kafka's client, and its broker, have not.
    for (ms, texts) in [
        (
            "1",
            [
                "org.apache.kafka.common.KafkaException: Failed to construct",
                "consumer.override.session.timeout.ms is 1",
            ],
        ),
        ("5000", ["InvalidSessionTimeoutException: ", "group.min.session.timeout.ms"]),
    ] {
        let mut config = sink("many", "g", place.path("out.txt"));
        config["consumer.override.session.timeout.ms"] = ms.into();
        let name = format!("session-{ms}");
        assert_eq!(connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config)).0, 201);
        let trace = wait("the task to fail", SOON, || {
            let task = &connectd.get(&format!("/connectors/{name}/status")).1["tasks"][0];
            (task["state"] == "FAILED").then(|| task["trace"].as_str().unwrap_or_default().to_owned())
        });
        assert!(texts.iter().all(|text| trace.contains(text)), "{trace}");
    }
}

#[test]
fn records_that_were_sent_with_a_bad_one_are_stored_with_their_own_times() {
    if without("kafka") {
        return;
    }
    let place = Place::start();
    for topic in ["numbers", "dead"] {
        place.reader.create(topic, 1, &[]);
    }
    let now = connect_api::time::now_ms();
    let line = |n: i64| match n {
        // More than an hour ahead is more than Kafka takes.
        17 => json!({ "value": n, "timestamp": now + 1_000_000_000 }),
        n => json!({ "value": n, "timestamp": now - n }),
    };
    let lines: String = (0..50).map(|n| format!("{}\n", line(n))).collect();
    let program = file(place.dir.path(), "lines", &lines);
    let connectd = place.connectd();
    let source = json!({
        "connector.class": "exec-source", "exec.command": format!("cat {program}"), "topic": "numbers",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.topic.replication.factor": 1, "errors.deadletterqueue.context.headers.enable": true
    });
    let (code, answer) = connectd.send("PUT", "/connectors/source/config", Some(&source));
    assert_eq!(code, 201, "{answer}");
    let number = |r: &RawRecord| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).parse::<i64>().ok();
    let records = place
        .reader
        .until("numbers", SOON, |records| records.iter().filter_map(number).collect::<BTreeSet<_>>().len() >= 49);
    for record in &records {
        let n = number(record).expect("a number");
        assert!(n != 17 && record.timestamp == Some(now - n), "{n}: {:?}", record.timestamp);
    }
    let dead = place.reader.until("dead", SOON, |records| !records.is_empty());
    assert_eq!(dead.iter().filter_map(number).collect::<BTreeSet<_>>(), [17].into());
}
