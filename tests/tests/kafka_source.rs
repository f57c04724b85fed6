//! kafka-source: from one Kafka to another and within one, across kill -9, new topics, and what cannot be read.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use connect_kafka::{Outgoing, RawRecord};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(120);
const RECORDS: usize = 20_000;

fn worker(dir: &std::path::Path, kafka: &Kafka) -> String {
    let text = format!(
        "bootstrap.servers={}\nkey.converter=ByteArrayConverter\nvalue.converter=ByteArrayConverter\n\
         header.converter=ByteArrayConverter\noffset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.properties", &text)
}

/// Key, value, time stamp and headers.
type Content = (Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>, Vec<(String, Option<Vec<u8>>)>);

/// What a record is, without its place.
fn content(r: &RawRecord) -> Content {
    let bytes = |b: &bytes::Bytes| b.to_vec();
    let headers = r.headers.iter().map(|(k, v)| (k.to_string(), v.as_ref().map(bytes))).collect();
    (r.key.as_ref().map(bytes), r.value.as_ref().map(bytes), r.timestamp, headers)
}

/// The contents of a topic by partition, in the order in which they came first.
fn by_partition(records: &[RawRecord]) -> BTreeMap<i32, Vec<Content>> {
    let mut all: BTreeMap<i32, Vec<Content>> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for record in records {
        if seen.insert((record.partition, content(record))) {
            all.entry(record.partition).or_default().push(content(record));
        }
    }
    all
}

fn put(connectd: &Connectd, name: &str, config: &serde_json::Value) {
    let (code, answer) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(config));
    assert!(code == 200 || code == 201, "{answer}");
}

#[test]
fn topics_of_another_cluster_are_replicated_to_the_byte_across_kills() {
    if without("kafka") {
        return;
    }
    let (there, here) = (Kafka::start().expect("kafka"), Kafka::start().expect("kafka"));
    let (source, target) = (Reader::new(&there.bootstrap()), Reader::new(&here.bootstrap()));
    let dir = tempfile::tempdir().expect("folder");
    source.create("alarms.a", 3, &[]);
    source.create("other", 1, &[]);
    for reader in [&source, &target] {
        reader.create("alarms.odd", 2, &[]);
    }
    target.create("alarms.a", 3, &[]);
    source.write_all("alarms.a", (0..RECORDS).map(|n| (format!("k{}", n % 50), Some(n.to_string().into_bytes()))));
    let odd: &[(&str, Option<&[u8]>)] =
        &[("text", Some(b"1e3")), ("bytes", Some(&[0, 255])), ("text", None), ("", Some(b""))];
    for (key, value) in [(None, Some(&b"\x00\xff"[..])), (Some(&b""[..]), Some(&b""[..])), (Some(b"gone"), None)] {
        let record = Outgoing {
            topic: "alarms.odd",
            partition: Some(1),
            timestamp: Some(1_700_000_000_123),
            key,
            value,
            headers: odd,
        };
        source.send(record);
    }
    source.write("other", "k", Some(b"not asked for"));
    let mut connectd = Connectd::start(&["-c", &worker(dir.path(), &here)], &dir.path().join("log"));
    let config = json!({
        "connector.class": "kafka-source", "tasks.max": 2, "topics": "alarms\\..*",
        "topics.exclude": "alarms\\.b-.*,__.*",
        "source.cluster.bootstrap.servers": there.bootstrap(), "source.cluster.alias": "plant",
        "refresh.topics.interval.seconds": 1, "batch.size": 500
    });
    put(&connectd, "replica", &config);
    // A standalone worker forgets what came by REST.
    for part in 1..=3 {
        target.until("alarms.a", SOON, |records| records.len() >= part * RECORDS / 5);
        connectd.kill9();
        connectd.start_again();
        put(&connectd, "replica", &config);
    }
    let expected = by_partition(&source.all("alarms.a"));
    let count = |records: &[RawRecord]| by_partition(records).values().map(Vec::len).sum::<usize>();
    let copied = target.until("alarms.a", SOON, |records| count(records) == RECORDS);
    assert_eq!(by_partition(&copied), expected, "partitions and their order");
    let odd = target.until("alarms.odd", SOON, |records| records.len() >= 3);
    assert_eq!(by_partition(&odd), by_partition(&source.all("alarms.odd")));
    assert!(odd.iter().all(|r| r.partition == 1));

    // A topic that comes later, and one that is left out.
    for reader in [&source, &target] {
        reader.create("alarms.b", 1, &[]);
        reader.create("alarms.b-left-out", 1, &[]);
    }
    source.write("alarms.b-left-out", "k", Some(b"v"));
    source.write("alarms.b", "k", Some(b"v"));
    target.until("alarms.b", SOON, |records| !records.is_empty());
    assert!(target.all("alarms.b-left-out").is_empty());
    assert!(!target.topics().contains(&"other".to_owned()));

    // Offsets are MirrorMaker's, and can be set.
    let (_, offsets) = wait("offsets of all partitions", SOON, || {
        Some(connectd.get("/connectors/replica/offsets"))
            .filter(|(_, o)| o["offsets"].as_array().is_some_and(|o| o.len() >= 5))
    });
    let b = json!({"partition": {"cluster": "plant", "partition": 0, "topic": "alarms.b"}});
    let of_b = |all: &Vec<serde_json::Value>| all.iter().find(|o| o["partition"] == b["partition"]).cloned();
    let offset = offsets["offsets"].as_array().and_then(of_b).expect("offset")["offset"].clone();
    assert!(offset["offset"] == 0 && offset["topic_id"].is_string(), "{offsets}");
    assert_eq!(connectd.send("PUT", "/connectors/replica/stop", None).0, 204);
    wait("the connector to stop", SOON, || {
        (connectd.get("/connectors/replica/status").1["connector"]["state"] == "STOPPED").then_some(())
    });
    let again = json!({"offsets": [{"partition": b["partition"], "offset": {"offset": -1}}]});
    let (code, answer) = connectd.send("PATCH", "/connectors/replica/offsets", Some(&again));
    assert_eq!(code, 200, "{answer}");
    let wrong = json!({"offsets": [{"partition": {"topic": "alarms.b"}, "offset": {"offset": 1}}]});
    let (code, answer) = connectd.send("PATCH", "/connectors/replica/offsets", Some(&wrong));
    assert!(code == 500 && answer.to_string().contains("must have the texts 'cluster' and 'topic'"), "{code} {answer}");
    assert_eq!(connectd.send("PUT", "/connectors/replica/resume", None).0, 202);
    target.until("alarms.b", SOON, |records| records.len() == 2);
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_as_it_is_and_the_rest_is_transformed() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["readings", "measured", "dead"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &dir.path().join("log"));
    let mut config = json!({
        "connector.class": "kafka-source", "topics": "readings", "target.topic": "measured",
        "source.value.converter": "JsonConverter", "source.value.converter.schemas.enable": false,
        "key.converter": "StringConverter",
        "value.converter": "JsonConverter", "value.converter.schemas.enable": false,
        "header.converter": "ByteArrayConverter",
        "transforms": "only", "transforms.only.type": "ReplaceField$Value", "transforms.only.include": "value",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.topic.replication.factor": 1, "errors.deadletterqueue.context.headers.enable": true
    });
    let mut looped = config.clone();
    for key in ["target.topic", "transforms", "transforms.only.type", "transforms.only.include"] {
        looped.as_object_mut().expect("an object").remove(key);
    }
    let (code, answer) = connectd.send("PUT", "/connectors/c/config", Some(&looped));
    assert!(code == 400 && answer.to_string().contains("again and again"), "{answer}");

    reader.write_all(
        "readings",
        [r#"{"value":1,"unit":"mm"}"#, "{not json \u{e9}", r#"{"value":2}"#].map(|v| ("k".into(), Some(v.into()))),
    );
    put(&connectd, "c", &config);
    let measured = reader.until("measured", SOON, |records| records.len() == 2);
    let values: Vec<_> =
        measured.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default())).collect();
    assert_eq!(values, [r#"{"value":1}"#, r#"{"value":2}"#]);
    let dead = reader.until("dead", SOON, |records| records.len() == 1);
    assert_eq!(dead[0].value.as_deref(), Some("{not json \u{e9}".as_bytes()), "its bytes");
    assert_eq!(dead[0].key.as_deref(), Some(&b"k"[..]));
    let mut told = String::new();
    for (key, value) in &dead[0].headers {
        let _ = write!(told, "{key}={} ", String::from_utf8_lossy(value.as_deref().unwrap_or_default()));
    }
    assert!(told.contains("stage=TASK_POLL") && told.contains("readings-0 at offset 1"), "{told}");

    // Strict, the task fails at the bad record and what came before it is safe.
    config["errors.tolerance"] = json!("none");
    config["source.cluster.alias"] = json!("anew");
    config["target.topic"] = json!("strict");
    reader.create("strict", 1, &[]);
    put(&connectd, "c", &config);
    let task = wait("the task to fail", SOON, || {
        let (_, status) = connectd.get("/connectors/c/status");
        Some(status["tasks"][0].clone()).filter(|task| task["state"] == "FAILED")
    });
    assert!(task["trace"].as_str().is_some_and(|t| t.contains("readings-0 at offset 1")), "{task}");
    assert_eq!(reader.until("strict", SOON, |records| !records.is_empty()).len(), 1);
}

#[test]
fn reading_begins_where_it_is_said_to() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["in", "latest.in", "group.in"] {
        reader.create(topic, 1, &[]);
    }
    let lines = |range: std::ops::Range<usize>| range.map(|n| ("k".to_owned(), Some(n.to_string().into_bytes())));
    reader.write_all("in", lines(0..10));
    reader.commit("readers", "in", 0, 7);
    let dir = tempfile::tempdir().expect("folder");
    let log = dir.path().join("log");
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &log);
    let config = |name: &str, more: (&str, &str)| {
        let mut config = json!({
            "connector.class": "kafka-source", "topics": "in", "target.topic": "{{cluster}}.{{topic}}",
            "source.cluster.alias": name, "target.partition.keep": false
        });
        config[more.0] = json!(more.1);
        put(&connectd, name, &config);
    };
    config("latest", ("source.begin", "latest"));
    config("group", ("source.group.id", "readers"));
    wait("both to read", SOON, || {
        let text = std::fs::read_to_string(&log).expect("log");
        (text.matches("reading in-0").count() == 2).then_some(())
    });
    reader.until("group.in", SOON, |records| records.len() == 3);
    reader.write_all("in", lines(10..12));
    let numbers = |topic: &str, count: usize| -> Vec<String> {
        let all = reader.until(topic, SOON, |records| records.len() >= count);
        all.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned()).collect()
    };
    assert_eq!(numbers("latest.in", 2), ["10", "11"]);
    assert_eq!(numbers("group.in", 5), ["7", "8", "9", "10", "11"]);
}

#[test]
fn a_topic_that_was_created_again_is_read_from_its_beginning() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let lines = |range: std::ops::Range<usize>| range.map(|n| ("k".to_owned(), Some(n.to_string().into_bytes())));
    let again = |count: std::ops::Range<usize>| {
        let bootstrap = kafka.bootstrap();
        let delete = ["--bootstrap-server", &bootstrap, "--delete", "--topic", "in"];
        kafka.tool("org.apache.kafka.tools.TopicCommand", &delete).expect("delete");
        reader.create("in", 1, &[]);
        reader.write_all("in", lines(count));
    };
    let came = |what: std::ops::Range<usize>| {
        let has = |records: &[RawRecord], n: usize| {
            records.iter().any(|r| r.value.as_deref() == Some(n.to_string().as_bytes()))
        };
        reader.until("out", SOON, |records| what.clone().all(|n| has(records, n)))
    };
    for topic in ["in", "out"] {
        reader.create(topic, 1, &[]);
    }
    reader.write_all("in", lines(0..30));
    let dir = tempfile::tempdir().expect("folder");
    let mut connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &dir.path().join("log"));
    let config = json!({ "connector.class": "kafka-source", "topics": "in", "target.topic": "out" });
    put(&connectd, "copy", &config);
    assert_eq!(came(0..30).len(), 30);
    // While nobody reads: the offset of before is that of the 30th record of the new topic.
    connectd.terminate();
    again(100..160);
    connectd.start_again();
    put(&connectd, "copy", &config);
    assert_eq!(came(100..160).len(), 90, "each once");
    // While it is read, and nothing is asked for.
    assert_eq!(connectd.send("PUT", "/connectors/copy/pause", None).0, 202);
    connectd.await_state("copy", "PAUSED");
    again(200..290);
    assert_eq!(connectd.send("PUT", "/connectors/copy/resume", None).0, 202);
    came(200..290);
}

#[test]
fn sinks_see_open_transactions_as_in_kafka_connect_and_copies_have_what_was_committed() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["in", "copy"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &dir.path().join("log"));
    let out = dir.path().join("out");
    put(&connectd, "copy", &json!({"connector.class": "kafka-source", "topics": "in", "target.topic": "copy"}));
    put(&connectd, "sink", &json!({"connector.class": "FileStreamSink", "topics": "in", "file": out}));
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("transactional.id", "t")
        .create()
        .expect("producer");
    producer.init_transactions(SOON).expect("transactions");
    let transaction = |values: &[&str]| {
        producer.begin_transaction().expect("a transaction");
        for value in values {
            producer.send(BaseRecord::<str, str>::to("in").payload(value)).map_err(|(e, _)| e).expect("queued");
        }
        producer.flush(SOON).expect("sent");
    };
    let lines = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
    transaction(&["kept", "too"]);
    wait("the sink to have what is not committed", SOON, || (lines() == 2).then_some(()));
    wait("its lag to be none", SOON, || {
        (connectd.get("/connectors/sink/status").1["tasks"][0]["detail"]["lag"] == 0).then_some(())
    });
    assert!(reader.all("copy").is_empty());
    producer.commit_transaction(SOON).expect("committed");
    reader.until("copy", SOON, |records| records.len() == 2);
    transaction(&["aborted"]);
    wait("the sink to have what is not committed", SOON, || (lines() == 3).then_some(()));
    producer.abort_transaction(SOON).expect("aborted");
    transaction(&["last"]);
    producer.commit_transaction(SOON).expect("committed");
    let copied = reader.until("copy", SOON, |records| records.len() >= 3);
    assert_eq!((copied.len(), copied[2].value.as_deref()), (3, Some(&b"last"[..])));
    wait("the sink to have read on", SOON, || (lines() == 4).then_some(()));
}
