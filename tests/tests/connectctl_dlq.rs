//! Dead letters with `connectctl dlq`: those of our worker, and those in the form of Kafka Connect's workers.

use std::{collections::BTreeMap, path::Path};

use connect_kafka::{Outgoing, RawRecord};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, ctl::Ctl, file, kafka::Reader, sides::SOON, wait};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};
use xtask::servers::{Kafka, without};

const THEN: i64 = 1_700_000_000_000;

fn headers(record: &RawRecord) -> BTreeMap<String, String> {
    let text =
        |bytes: &Option<bytes::Bytes>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    record.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn of_key<'a>(all: &'a [RawRecord], key: &str) -> Vec<&'a RawRecord> {
    all.iter().filter(|r| r.key.as_deref() == Some(key.as_bytes())).collect()
}

fn worker(dir: &Path, kafka: &Kafka) -> Connectd {
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    Connectd::start(&["-c", &file(dir, "worker.properties", &text)], &dir.join("log"))
}

fn sink(dir: &Path, letters: &str) -> Json {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": "numbers", "file": dir.join("out.txt").display().to_string(),
        "transforms": "cast", "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.cast.spec": "x:int32", "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": letters, "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true"
    })
}

#[test]
fn dead_letters_of_a_connector_are_seen_replayed_once_and_deleted() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    reader.create("numbers", 2, &[]);
    reader.create("other", 1, &[]);
    let send = |partition, key: &str, value: &str| {
        let headers: &[(&str, Option<&[u8]>)] = &[("user", Some(b"me"))];
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let partition = Some(partition);
        reader.send(Outgoing { topic: "numbers", partition, timestamp: Some(THEN), key, value, headers });
    };
    send(0, "good", "{\"x\":\"1\"}");
    send(0, "no-json", "nojson");
    send(1, "no-number", "{\"x\":\"abc\"}");
    let connectd = worker(dir.path(), &kafka);
    // Nothing but the worker's address: it says where Kafka is.
    let ctl = Ctl::new(connectd.url());
    assert_eq!(connectd.send("PUT", "/connectors/sink/config", Some(&sink(dir.path(), "dead"))).0, 201);
    let mut plain = sink(dir.path(), "");
    plain["topics"] = "other".into();
    plain["file"] = dir.path().join("plain.txt").display().to_string().into();
    assert_eq!(connectd.send("PUT", "/connectors/plain/config", Some(&plain)).0, 201);
    reader.until("dead", SOON, |all| all.len() >= 2);
    ctl.out(&["stop", "sink", "--wait"]);

    listed(&ctl);
    shown(&ctl);
    replayed(&ctl, &reader);
    purged(&ctl, &reader);
}

fn listed(ctl: &Ctl) {
    let all = ctl.json(&["dlq", "list"]);
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!((&all[0]["connector"], &all[0]["topic"]), (&json!("sink"), &json!("dead")));
    assert_eq!((&all[0]["letters"], &all[0]["replayed"], &all[0]["counted"]), (&json!(2), &json!(0), &json!(2)));
    assert_eq!(all[0]["tasks"], json!([{"what": "sink-0", "letters": 2}]));
    let stages: Vec<&str> =
        all[0]["stages"].as_array().expect("stages").iter().filter_map(|s| s["what"].as_str()).collect();
    assert!(stages.len() == 2 && stages.contains(&"TRANSFORMATION") && stages.contains(&"VALUE_CONVERTER"), "{all}");
    assert_eq!(ctl.out(&["dlq", "list", "-o", "name"]), "sink\n");
    assert_eq!(ctl.out(&["dlq", "list", "--topic", "dead", "-o", "name"]), "dead\n");
    let text = ctl.out(&["dlq", "list", "sink"]);
    assert!(text.contains("sink") && text.contains("1 × DataException: "), "{text}");
    let none = ctl.run(&["dlq", "list", "plain"]).expect(1);
    assert!(none.err.contains("plain has no dead letter queue"), "{none:?}");
    let near = ctl.run(&["dlq", "show", "sinc"]).expect(1);
    assert!(near.err.contains("did you mean sink?"), "{near:?}");
    let near = ctl.run(&["dlq", "show", "--topic", "daed"]).expect(1);
    assert!(near.err.contains("did you mean dead?"), "{near:?}");
}

fn shown(ctl: &Ctl) {
    let all = ctl.json(&["dlq", "show", "sink"]);
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let one = ctl.json(&["dlq", "show", "sink", "--stage", "transformation"]);
    assert_eq!(one.as_array().map(Vec::len), Some(1), "{one}");
    let one = &one[0];
    assert_eq!(one["origin"], json!({"topic": "numbers", "partition": 1, "offset": 0}));
    assert_eq!(one["time"], "2023-11-14T22:13:20.000Z");
    assert_eq!((&one["connector"], &one["task"]), (&json!("sink"), &json!("0")));
    assert_eq!(one["key"]["value"], "no-number");
    assert_eq!((&one["value"]["format"], &one["value"]["value"]), (&json!("json"), &json!({"x": "abc"})));
    assert_eq!(one["headers"][0]["name"], "user");
    let place = format!("{}:{}", one["partition"], one["offset"]);
    assert_eq!(ctl.out(&["dlq", "show", "sink", "--offset", &place, "-o", "name"]), format!("{place}\n"));
    let text = ctl.out(&["dlq", "show", "sink", "--stage", "VALUE_CONVERTER", "--reason", "dataexception"]);
    assert!(
        text.contains("\n  value         nojson (text)\n") && text.contains("\n  origin        numbers:0:1\n"),
        "{text}"
    );
    assert!(!text.contains("no-number"), "{text}");
    let wide = ctl.out(&["dlq", "show", "sink", "-o", "wide"]);
    assert!(wide.contains("org.apache.kafka.connect.errors.DataException"), "{wide}");
    let none = ctl.run(&["dlq", "show", "sink", "--since", "1h"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("no such dead letters in topic dead"), "{none:?}");
    for letters in [&["dead"][..], &["dead", "--stage", "transformation", "--stage", "value_converter"]] {
        let some = ctl.run(&[&["dlq", "show", "--limit", "1", "--topic"], letters].concat()).expect(0);
        let such = if letters.len() > 1 { "such " } else { "" };
        assert_eq!(some.err, format!("1 of 2 {such}letters, the newest; --limit N shows more\n"));
    }
    assert_eq!(ctl.run(&["dlq", "show", "sink"]).expect(0).err, "");
    let newest = ctl.json(&["dlq", "show", "--topic", "dead", "--limit", "1"]);
    assert_eq!(newest.as_array().map(Vec::len), Some(1), "{newest}");
}

fn replayed(ctl: &Ctl, reader: &Reader) {
    let trial = ctl.run(&["dlq", "replay", "sink", "--dry-run"]).expect(0);
    assert!(trial.out.starts_with("2 letters of dead would be replayed: 2 to numbers\n"), "{trial:?}");
    assert!(!reader.topics().iter().any(|t| t.starts_with("connectctl-")), "a dry run creates nothing");
    let one = ["dlq", "replay", "sink", "--stage", "VALUE_CONVERTER", "--same-partition"];
    let done = ctl.json(&one);
    assert_eq!(done["replayed"].as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!(done["replayed"][0]["to"], json!({"topic": "numbers", "partition": 0, "offset": 2}));
    let again = ctl.json(&one);
    assert_eq!((&again["replayed"], &again["replayed_before"]), (&json!([]), &json!(1)));
    let rest = ctl.run(&["dlq", "replay", "sink", "--rate", "50/s"]).expect(0);
    assert!(rest.out.contains("1 letter of dead replayed: 1 to numbers\n1 skipped: replayed before"), "{rest:?}");

    let all = reader.all("numbers");
    assert_eq!(all.len(), 5);
    let pair = of_key(&all, "no-json");
    let (was, is) = (pair[0], pair[1]);
    assert_eq!((&was.value, was.timestamp, was.partition), (&is.value, is.timestamp, is.partition));
    let told = headers(is);
    assert_eq!(told["user"], "me");
    assert_eq!(told["__connectctl.replay.topic"], "dead");
    assert!(told["__connectctl.replay.by"].len() > 2 && told["__connectctl.replay.time"].starts_with("20"), "{told:?}");
    assert_eq!(told.len(), 6, "no header of the error is left: {told:?}");
    assert_eq!(of_key(&all, "no-number").len(), 2);

    let letters = ctl.json(&["dlq", "show", "sink"]);
    assert!(
        letters.as_array().expect("letters").iter().all(|l| l["replayed"]["to"]["topic"] == "numbers"),
        "{letters}"
    );
    assert_eq!(ctl.json(&["dlq", "list"])[0]["replayed"], 2);
    let elsewhere = ctl.json(&["dlq", "replay", "sink", "--again", "--limit", "1", "--to", "other"]);
    assert_eq!(elsewhere["replayed"].as_array().map(Vec::len), Some(1), "{elsewhere}");
    assert_eq!(reader.all("other").len(), 1);
    let missing = ctl.run(&["dlq", "replay", "sink", "--again", "--to", "nowhere"]).expect(1);
    assert!(missing.err.contains("there is no topic nowhere"), "{missing:?}");
    ctl.run(&["dlq", "replay", "sink", "--to", "dead"]).expect(2);
}

fn purged(ctl: &Ctl, reader: &Reader) {
    // A letter that is not replayed lies behind those that are.
    reader.send(Outgoing {
        topic: "dead",
        partition: Some(0),
        timestamp: Some(THEN + 1000),
        key: None,
        value: Some(b"x"),
        headers: &[],
    });
    let trial = ctl.json(&["dlq", "purge", "sink", "--replayed", "--dry-run"]);
    let cut = json!({"partition": 0, "deleted": 2, "stays": 1, "stays_behind": 0, "up_to": 2});
    assert_eq!(trial["partitions"], json!([cut]));
    ctl.run(&["dlq", "purge", "sink", "--replayed"]).expect(2);
    assert_eq!(ctl.json(&["dlq", "list"])[0]["letters"], 3, "nothing was confirmed");
    let done = ctl.json(&["dlq", "purge", "sink", "--replayed", "--yes"]);
    assert_eq!(done["partitions"], json!([cut]));
    let left = ctl.json(&["dlq", "list"]);
    assert_eq!((&left[0]["letters"], &left[0]["replayed"]), (&json!(1), &json!(0)), "{left}");
    let records = reader.all("connectctl-dlq-replayed");
    let mut known = BTreeMap::new();
    known.extend(records.iter().map(|r| (r.key.clone(), r.value.is_some())));
    assert!(known.len() == 2 && known.values().all(|there| !there), "what is gone is forgotten: {known:?}");
    // The time of the letter's record is what counts.
    let none = ctl.json(&["dlq", "purge", "sink", "--before", "2023-11-14T22:13:21Z", "--yes"]);
    assert_eq!(none["partitions"][0]["deleted"], 0, "{none}");
    ctl.out(&["dlq", "purge", "--topic", "dead", "--all", "--yes"]);
    assert_eq!(ctl.json(&["dlq", "list", "sink"])[0]["letters"], 0);
}

/// Headers as `DeadLetterQueueReporter` of Kafka Connect writes them.
fn of_jvm<'a>(offset: &'a str, message: Option<&'a str>) -> Vec<(&'a str, Option<&'a [u8]>)> {
    let trace =
        "java.sql.SQLException: no table\n\tat a.B.c(B.java:1)\nCaused by: java.net.ConnectException: refused\n";
    let texts = [
        ("__connect.errors.topic", Some("alarms")),
        ("__connect.errors.partition", Some("0")),
        ("__connect.errors.offset", Some(offset)),
        ("__connect.errors.connector.name", Some("jdbc-sink")),
        ("__connect.errors.task.id", Some("1")),
        ("__connect.errors.stage", Some("TASK_PUT")),
        ("__connect.errors.class.name", Some("org.apache.kafka.connect.sink.SinkTask")),
        ("__connect.errors.exception.class.name", Some("java.sql.SQLException")),
        ("__connect.errors.exception.message", message),
        ("__connect.errors.exception.stacktrace", Some(trace)),
    ];
    let own: &[u8] = b"\x01\xff";
    let texts = texts.into_iter().map(|(name, text)| (name, text.map(str::as_bytes)));
    [("own", Some(own))].into_iter().chain(texts).collect()
}

#[test]
fn letters_of_a_jvm_worker_are_read_without_any_worker() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("dead", 1, &[]);
    reader.create("alarms", 1, &[("max.message.bytes", "2000")]);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let registry = runtime.block_on(MockServer::start());
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"int"}]}"#;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "schema": schema }));
    runtime.block_on(Mock::given(path("/schemas/ids/7")).respond_with(answer).mount(&registry));
    let send = |key: &[u8], value: &[u8], headers: &[(&str, Option<&[u8]>)]| {
        let (key, value) = (Some(key), Some(value));
        reader.send(Outgoing { topic: "dead", partition: Some(0), timestamp: Some(THEN), key, value, headers });
    };
    send(b"avro", b"\0\0\0\0\x07\x2a", &of_jvm("10", Some("no table")));
    send(b"bytes", b"\xfe\xff", &of_jvm("11", None));
    // Larger than the topic it comes from takes by now.
    send(b"large", &[b'x'; 5000], &of_jvm("12", Some("no table")));
    send(b"after", b"text", &of_jvm("13", Some("no table")));
    send(b"bare", b"{}", &[]);
    let mut cut = of_jvm("14", Some("no table"));
    cut.push(("__connect.errors.value.size", Some(b"2000000")));
    send(b"cut", b"beginning", &cut);

    // No worker is there to be asked.
    let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap());
    let ctl = ctl.env("SCHEMA_REGISTRY", &registry.uri());
    let all = ctl.json(&["dlq", "show", "--topic", "dead"]);
    assert_eq!(all.as_array().map(Vec::len), Some(6), "{all}");
    assert_eq!(all[0]["summary"], "SQLException: no table: ConnectException: refused");
    assert_eq!(all[0]["value"], json!({"format": "avro", "schema_id": 7, "bytes": 6, "value": {"n": 21}}));
    assert_eq!(all[0]["headers"], json!([{"name": "own", "value": {"format": "hex", "bytes": 2, "value": "01ff"}}]));
    assert_eq!(all[1]["value"], json!({"format": "hex", "bytes": 2, "value": "feff"}));
    assert_eq!((&all[1]["message"], &all[1]["task"]), (&Json::Null, &json!("1")));
    assert_eq!((&all[4]["origin"], &all[4]["stage"]), (&Json::Null, &Json::Null));
    assert_eq!(all[5]["cut_from"], 2_000_000);
    let text = ctl.out(&["dlq", "show", "--topic", "dead", "--offset", "0:0"]);
    assert!(text.contains("\n  value         {\"n\":21} (avro, schema 7)\n"), "{text}");
    let list = ctl.json(&["dlq", "list", "--topic", "dead"]);
    assert_eq!(
        (&list[0]["letters"], &list[0]["connectors"][0]),
        (&json!(6), &json!({"what": "jdbc-sink", "letters": 5}))
    );
    let lost = ctl.run(&["dlq", "show", "jdbc-sink"]).expect(3);
    assert!(lost.err.contains("127.0.0.1:9"), "{lost:?}");

    // One that is too large does not keep those from their turn that were sent with it, and is named.
    let partly = ctl.run(&["dlq", "replay", "--topic", "dead", "-o", "json"]).expect(1);
    let sent: Vec<String> =
        partly.json()["replayed"].as_array().expect("letters").iter().map(|s| s["letter"].to_string()).collect();
    assert_eq!(sent, ["\"0:0\"", "\"0:1\"", "\"0:3\""], "{partly:?}");
    assert!(
        partly.err.contains("3 letters not replayed: ")
            && partly.err.contains("0:2: it is larger than max.message.bytes"),
        "{partly:?}"
    );
    assert_eq!(reader.all("alarms").len(), 3);
    let left = ctl.run(&["dlq", "replay", "--topic", "dead", "--offset", "0:4", "--offset", "0:5"]).expect(1);
    assert!(
        left.err.contains("0:4: the letter does not say where it comes from") && left.err.contains("0:5: "),
        "{left:?}"
    );
    assert_eq!(reader.all("alarms").len(), 3);
    let bare = ctl.json(&["dlq", "replay", "--topic", "dead", "--offset", "0:4", "--to", "alarms"]);
    assert_eq!(bare["replayed"].as_array().map(Vec::len), Some(1), "{bare}");

    // A queue that was deleted and created again has letters of its own.
    let trial = ctl.json(&["dlq", "replay", "--topic", "dead", "--dry-run", "--offset", "0:0"]);
    assert_eq!((&trial["replayed"], &trial["replayed_before"]), (&json!([]), &json!(1)));
    runtime.block_on(delete_topic(&kafka.bootstrap(), "dead"));
    wait("the topic to be gone", SOON, || (!reader.topics().contains(&"dead".to_owned())).then_some(()));
    reader.create("dead", 1, &[]);
    send(b"new", b"text", &of_jvm("20", Some("no table")));
    let again = ctl.json(&["dlq", "replay", "--topic", "dead"]);
    assert_eq!((&again["replayed"][0]["letter"], &again["replayed_before"]), (&json!("0:0"), &json!(0)), "{again}");

    // Letters that are only compacted are nothing that Kafka deletes; the way out is told.
    reader.create("compacted", 1, &[("cleanup.policy", "compact")]);
    reader.write("compacted", "k", Some(b"v"));
    let refused = ctl.run(&["dlq", "purge", "--topic", "compacted", "--all", "--yes"]).expect(1);
    assert!(refused.err.contains("cleanup.policy of the topic has to include delete"), "{refused:?}");
}

#[test]
fn the_newest_letter_is_the_same_one_in_every_command() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("dead", 2, &[]);
    let send = |partition, key: &str, time, headers: &[(&str, Option<&[u8]>)]| {
        let (partition, timestamp, value) = (Some(partition), Some(time), Some(&b"text"[..]));
        reader.send(Outgoing { topic: "dead", partition, timestamp, key: Some(key.as_bytes()), value, headers });
    };
    send(0, "first", THEN + 1000, &[]);
    // It was replayed, and has failed again: at the end of the queue, with the time stamp of long ago.
    send(0, "again", THEN, &[("__connectctl.replay.time", Some(b"2026-11-22T03:00:00Z"))]);
    send(1, "other", THEN + 5000, &[]);
    send(1, "late", THEN + 2000, &[]);
    let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap());
    let list = ctl.json(&["dlq", "list", "--topic", "dead"]);
    assert_eq!(list[0]["newest"]["letter"], "0:1", "{list}");
    let show = |arguments: &[&str]| ctl.out(&[&["dlq", "show", "--topic", "dead", "-o", "name"], arguments].concat());
    assert_eq!(show(&["--limit", "1"]), "0:1\n");
    assert_eq!(show(&[]), "0:0\n1:0\n1:1\n0:1\n");
    assert_eq!(
        show(&["--since", "2000-01-01T00:00:00Z", "--limit", "3"]),
        "1:0\n1:1\n0:1\n",
        "a filter changes no order"
    );
    assert_eq!(show(&["--offset", "0:0", "--offset", "1:0", "--limit", "1"]), "1:0\n");
}

async fn delete_topic(bootstrap: &str, topic: &str) {
    use rdkafka::{admin::AdminClient, client::DefaultClientContext, config::ClientConfig};
    let made: Result<AdminClient<DefaultClientContext>, _> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create();
    let deleted = made.expect("admin").delete_topics(&[topic], &Default::default()).await.expect("deleting the topic");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}
