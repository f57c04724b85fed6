//! Offsets, active topics and restarts over REST, side by side with Kafka Connect: the same requests get the same
//! answers and have the same effect.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, rest::Rest, wait};
use xtask::servers::{Kafka, KafkaConnect, without};

const SOON: Duration = Duration::from_secs(90);

/// A worker of either kind, with a folder and a topic of its own.
struct Side {
    url: String,
    dir: String,
    topic: String,
}

impl Side {
    /// Status and body; what is the side's own in them is made common.
    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Json) {
        let method: reqwest::Method = method.parse().expect("method");
        let client = reqwest::blocking::Client::new();
        let mut request = client.request(method, format!("{}{path}", self.url)).timeout(SOON);
        if let Some(body) = body {
            let own = body.replace("$DIR", &self.dir).replace("$TOPIC", &self.topic);
            request = request.header("content-type", "application/json").body(own);
        }
        let answer = request.send().expect("an answer");
        let (status, text) = (answer.status().as_u16(), answer.text().expect("text"));
        let authority = self.url.trim_start_matches("http://");
        let common = text.replace(&self.dir, "$DIR").replace(&self.topic, "$TOPIC").replace(authority, "$WORKER");
        let mut json: Json = serde_json::from_str(&common).unwrap_or(Json::Null);
        without_own(&mut json);
        (status, json)
    }

    fn get(&self, path: &str) -> Json {
        self.ask("GET", path, None).1
    }

    fn positions(&self, connector: &str) -> Vec<i64> {
        let body = self.get(&format!("/connectors/{connector}/offsets"));
        let of = |o: &Json| o["offset"]["position"].as_i64().or(o["offset"]["kafka_offset"].as_i64());
        body["offsets"].as_array().into_iter().flatten().filter_map(of).collect()
    }

    fn await_position(&self, connector: &str, position: i64) {
        wait(&format!("{connector} of {} to stand at {position}", self.url), SOON, || {
            self.positions(connector).contains(&position).then_some(())
        });
    }

    /// Stops it and waits until its tasks are gone, which a JVM worker does in the background.
    fn stop(&self, connector: &str) {
        assert_eq!(self.ask("PUT", &format!("/connectors/{connector}/stop"), None), (204, Json::Null));
        wait(&format!("{connector} of {} to be stopped", self.url), SOON, || {
            let status = self.get(&format!("/connectors/{connector}/status"));
            (status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([])).then_some(())
        });
    }

    fn await_running(&self, connector: &str) {
        wait(&format!("{connector} of {} to run", self.url), SOON, || {
            let status = self.get(&format!("/connectors/{connector}/status"));
            let running = status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING";
            running.then_some(())
        });
    }
}

/// Removes what this worker says beyond Kafka Connect, and versions, and gives lists without order one.
fn without_own(json: &mut Json) {
    match json {
        Json::Object(members) => {
            for own in ["detail", "inode", "head", "version"] {
                members.remove(own);
            }
            members.values_mut().for_each(without_own);
            for unordered in ["offsets", "topics"] {
                if let Some(list) = members.get_mut(unordered).and_then(Json::as_array_mut) {
                    list.sort_by_key(Json::to_string);
                }
            }
        }
        Json::Array(all) => all.iter_mut().for_each(without_own),
        _ => {}
    }
}

/// Asks both and compares. A message of ours may go on with the cause.
fn same(sides: &[Side; 2], method: &str, path: &str, body: Option<&str>) -> (u16, Json) {
    let [theirs, ours] = sides.each_ref().map(|side| {
        wait("the end of rebalances", SOON, || {
            let answer = side.ask(method, path, body);
            // What a JVM worker says for a moment after each change.
            let text = answer.1["message"].as_str().unwrap_or_default();
            let busy = text.contains("momentarily") || text.contains("a rebalance is expected");
            (!busy).then_some(answer)
        })
    });
    let what = format!("{method} {path} {body:?}");
    let message = |j: &Json| j["message"].as_str().map(str::to_owned);
    match (message(&theirs.1), message(&ours.1)) {
        (Some(their), Some(our)) if theirs.0 >= 400 => {
            assert_eq!(theirs.0, ours.0, "{what}: {their} | {our}");
            assert!(our == their || our.starts_with(&format!("{their}: ")), "{what}: {their} | {our}");
        }
        _ => assert_eq!(theirs, ours, "{what}"),
    }
    theirs
}

fn settings(name: &str) -> Vec<(&'static str, String)> {
    let string = "org.apache.kafka.connect.storage.StringConverter".to_owned();
    vec![
        ("group.id", name.to_owned()),
        ("key.converter", string.clone()),
        ("value.converter", string),
        ("config.storage.topic", format!("{name}-configs")),
        ("config.storage.replication.factor", "1".into()),
        ("offset.storage.topic", format!("{name}-offsets")),
        ("offset.storage.replication.factor", "1".into()),
        ("offset.storage.partitions", "2".into()),
        ("status.storage.topic", format!("{name}-status")),
        ("status.storage.replication.factor", "1".into()),
        ("offset.flush.interval.ms", "500".into()),
    ]
}

fn lines(reader: &Reader, topic: &str, count: usize) -> Vec<String> {
    let all = reader.until(topic, SOON, |all| all.len() >= count);
    all.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned()).collect()
}

#[test]
fn offsets_topics_and_restarts_are_those_of_kafka_connect() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let mut folders = Vec::new();
    for name in ["theirs", "ours"] {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).expect("folder");
        fs::write(folder.join("in.txt"), (0..10).map(|n| format!("{n}\n")).collect::<String>()).expect("input");
        reader.create(&format!("lines-{name}"), 1, &[]);
        folders.push(folder.display().to_string());
    }
    let jvm = settings("jvm");
    let mut jvm: Vec<(&str, &str)> = jvm.iter().map(|(k, v)| (*k, v.as_str())).collect();
    jvm.push(("plugin.discovery", "hybrid_warn"));
    let theirs = KafkaConnect::distributed(&kafka.bootstrap(), &jvm).expect("kafka connect");
    let text: String = settings("tocsin").iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    let worker = file(dir.path(), "worker.properties", &format!("bootstrap.servers={}\n{text}", kafka.bootstrap()));
    let mut connectd = Connectd::start(&["-c", &worker], &dir.path().join("log"));
    let side = |url: &str, name: &str, dir: &str| Side {
        url: url.to_owned(),
        dir: dir.to_owned(),
        topic: format!("lines-{name}"),
    };
    let both = [side(&theirs.url(), "theirs", &folders[0]), side(connectd.url(), "ours", &folders[1])];

    unknown_connectors(&both);
    source(&both, &reader);
    sink(&both);
    topics(&both, &reader);
    restarts(&both);
    // The last request stands in the topic of either, in the same words.
    let [theirs_asked, ours_asked] = ["jvm-configs", "tocsin-configs"].map(|topic| {
        let asked = reader.latest(topic, "restart-connector-in", SOON, |record| record.is_some());
        String::from_utf8_lossy(asked.value.as_deref().unwrap_or_default()).into_owned()
    });
    assert_eq!(theirs_asked, ours_asked);

    // What was noted survives a restart of the worker.
    assert_eq!(both[1].get("/connectors/out/topics"), json!({ "out": { "topics": ["$TOPIC"] } }));
    assert!(connectd.terminate().1, "connectd ends well");
    connectd.start_again();
    let again = side(connectd.url(), "ours", &folders[1]);
    assert_eq!(again.get("/connectors/out/topics"), json!({ "out": { "topics": ["$TOPIC"] } }));
    assert_eq!(again.ask("DELETE", "/connectors/out", None).0, 204);
    assert_eq!(again.get("/connectors/out/topics"), json!({ "out": { "topics": [] } }));
}

fn unknown_connectors(both: &[Side; 2]) {
    for (method, path, body) in [
        ("GET", "/connectors/none/offsets", None),
        ("PATCH", "/connectors/none/offsets", Some(r#"{"offsets":[{"partition":{"a":1},"offset":null}]}"#)),
        ("PATCH", "/connectors/none/offsets", Some(r#"{"offsets":[]}"#)),
        ("DELETE", "/connectors/none/offsets", None),
        ("GET", "/connectors/none/topics", None),
        ("PUT", "/connectors/none/topics/reset", None),
        ("POST", "/connectors/none/restart", None),
        ("POST", "/connectors/none/restart?includeTasks=true", None),
        ("POST", "/connectors/none/restart?onlyFailed=true", None),
        ("POST", "/connectors/none/tasks/0/restart", None),
        ("PUT", "/connectors/none/pause", None),
        ("PUT", "/connectors/none/resume", None),
        ("PUT", "/connectors/none/stop", None),
        ("GET", "/connectors/none/tasks-config", None),
    ] {
        same(both, method, path, body);
    }
}

fn source(both: &[Side; 2], reader: &Reader) {
    let path = "/connectors/in/offsets";
    let config = r#"{"connector.class":"FileStreamSource","tasks.max":"1","file":"$DIR/in.txt","topic":"$TOPIC"}"#;
    for side in both {
        assert_eq!(side.ask("PUT", "/connectors/in/config", Some(config)).0, 201);
        side.await_running("in");
        side.await_position("in", 20);
    }
    same(both, "GET", path, None);
    // While it runs, nothing is changed.
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    let back = r#"{"offsets":[{"partition":{"filename":"$DIR/in.txt"},"offset":{"position":10}}]}"#;
    assert_eq!(same(both, "PATCH", path, Some(back)).0, 400);
    for side in both {
        side.stop("in");
    }
    for (partition, offset) in [
        (r#"{"filename":"x"}"#, r#"{"position":"10"}"#),
        (r#"{"filename":"x"}"#, r#"{"position":-1}"#),
        (r#"{"filename":"x"}"#, r#"{"position":1.5}"#),
        (r#"{"filename":"x"}"#, r#"{"position":null}"#),
        (r#"{"filename":"x"}"#, r#"{"position":[1]}"#),
        (r#"{"filename":"x"}"#, r#"{"position":12345678901234567890}"#),
        (r#"{"filename":"x"}"#, "{}"),
        (r#"{"file":"x"}"#, r#"{"position":1}"#),
        (r#"{"filename":{"a":1}}"#, r#"{"position":1}"#),
        ("null", r#"{"position":1}"#),
        ("{}", r#"{"position":1}"#),
    ] {
        let body = format!(r#"{{"offsets":[{{"partition":{partition},"offset":{offset}}}]}}"#);
        assert_eq!(same(both, "PATCH", path, Some(&body)).0, 500, "{body}");
    }
    assert_eq!(same(both, "GET", path, None).1["offsets"][0]["offset"]["position"], 20, "nothing has been changed");
    let extra = r#"{"offsets":[{"partition":{"filename":"x","n":5},"offset":{"position":7}},
        {"partition":{"filename":"x","n":5},"offset":{"position":8}},{"partition":{"filename":null},"offset":null}]}"#;
    for body in [extra, r#"{"offsets":[{"partition":{"n":5,"filename":"x"}}]}"#, r#"{"offsets":[{}]}"#, back] {
        assert_eq!(same(both, "PATCH", path, Some(body)).0, 200, "{body}");
        same(both, "GET", path, None);
    }
    for side in both {
        assert_eq!(side.ask("PUT", "/connectors/in/resume", None).0, 202);
        side.await_position("in", 20);
        let wanted: Vec<String> = (0..10).chain(5..10).map(|n| n.to_string()).collect();
        assert_eq!(lines(reader, &side.topic, 15), wanted, "from where it was put back to");
        side.stop("in");
    }
    for _ in 0..2 {
        assert_eq!(same(both, "DELETE", path, None).0, 200);
        assert_eq!(same(both, "GET", path, None).1, json!({ "offsets": [] }));
    }
    for side in both {
        // A paused connector is not a stopped one.
        assert_eq!(side.ask("PUT", "/connectors/in/pause", None).0, 202);
        wait("the pause", SOON, || (side.get("/connectors/in/status")["connector"]["state"] == "PAUSED").then_some(()));
    }
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    for side in both {
        assert_eq!(side.ask("PUT", "/connectors/in/resume", None).0, 202);
        side.await_position("in", 20);
        assert_eq!(lines(reader, &side.topic, 25).len(), 25, "all over again");
    }
}

fn sink(both: &[Side; 2]) {
    let path = "/connectors/out/offsets";
    // Of the same name on the same brokers, they would share their group.
    let config = r#"{"connector.class":"FileStreamSink","tasks.max":"1","file":"$DIR/out.txt","topics":"$TOPIC",
        "consumer.override.group.id":"readers-of-$TOPIC"}"#;
    for side in both {
        assert_eq!(side.ask("PUT", "/connectors/out/config", Some(config)).0, 201);
        side.await_position("out", 25);
    }
    same(both, "GET", path, None);
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    for side in both {
        side.stop("out");
    }
    let right = r#"{"kafka_topic":"$TOPIC","kafka_partition":0}"#;
    for (partition, offset, status) in [
        ("null", "null", 400),
        ("{}", "null", 400),
        (r#"{"kafka_topic":"t"}"#, "null", 400),
        (r#"{"kafka_topic":null,"kafka_partition":0}"#, "null", 400),
        (r#"{"kafka_topic":"t","kafka_partition":null}"#, "null", 400),
        (r#"{"kafka_topic":"t","kafka_partition":"x"}"#, "null", 400),
        (r#"{"kafka_topic":"t","kafka_partition":1.5}"#, "null", 400),
        (r#"{"kafka_topic":"t","kafka_partition":{"a":[1,null]}}"#, "null", 400),
        (right, "{}", 400),
        (right, r#"{"kafka_offset":null}"#, 400),
        (right, r#"{"kafka_offset":"x"}"#, 400),
        (right, r#"{"kafka_offset":true}"#, 400),
        (right, r#"{"kafka_offset":-1}"#, 500),
        (r#"{"kafka_topic":"$TOPIC","kafka_partition":7}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"$TOPIC","kafka_partition":-1}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, "null", 500),
        (r#"{"kafka_topic":"$TOPIC","kafka_partition":"0","x":1}"#, r#"{"kafka_offset":"+22","y":1}"#, 200),
    ] {
        let body = format!(r#"{{"offsets":[{{"partition":{partition},"offset":{offset}}}]}}"#);
        assert_eq!(same(both, "PATCH", path, Some(&body)).0, status, "{body}");
    }
    assert_eq!(same(both, "GET", path, None).1["offsets"][0]["offset"]["kafka_offset"], 22);
    let resumed = |side: &Side, first: &str, count: usize| {
        let out = Path::new(&side.dir).join("out.txt");
        fs::remove_file(&out).expect("remove the output");
        assert_eq!(side.ask("PUT", "/connectors/out/resume", None).0, 202);
        let text = wait("the output", SOON, || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            (text.lines().count() >= count).then_some(text)
        });
        assert_eq!((text.lines().next(), text.lines().count()), (Some(first), count), "{}", side.url);
        side.await_position("out", 25);
        side.stop("out");
    };
    for side in both {
        resumed(side, "7", 3);
    }
    let forget = format!(r#"{{"offsets":[{{"partition":{right},"offset":null}}]}}"#);
    for _ in 0..2 {
        assert_eq!(same(both, "PATCH", path, Some(&forget)).0, 200);
        assert_eq!(same(both, "GET", path, None).1, json!({ "offsets": [] }));
    }
    for side in both {
        resumed(side, "0", 25);
    }
    for _ in 0..2 {
        assert_eq!(same(both, "DELETE", path, None).0, 200);
        assert_eq!(same(both, "GET", path, None).1, json!({ "offsets": [] }));
    }
    for side in both {
        resumed(side, "0", 25);
        assert_eq!(side.ask("PUT", "/connectors/out/resume", None).0, 202);
        side.await_running("out");
    }
}

fn topics(both: &[Side; 2], reader: &Reader) {
    for name in ["in", "out"] {
        let wanted = json!({ name: { "topics": ["$TOPIC"] } });
        assert_eq!(same(both, "GET", &format!("/connectors/{name}/topics"), None).1, wanted);
    }
    assert_eq!(same(both, "PUT", "/connectors/in/topics/reset", None), (202, Json::Null));
    for side in both {
        wait("the reset", SOON, || {
            (side.get("/connectors/in/topics") == json!({ "in": { "topics": [] } })).then_some(())
        });
        let path = Path::new(&side.dir).join("in.txt");
        fs::write(&path, fs::read_to_string(&path).expect("input") + "more\n").expect("input");
        assert_eq!(lines(reader, &side.topic, 26)[25], "more");
        wait("the topic to be noted again", SOON, || {
            (side.get("/connectors/in/topics") == json!({ "in": { "topics": ["$TOPIC"] } })).then_some(())
        });
    }
}

fn restarts(both: &[Side; 2]) {
    both.iter().for_each(|side| side.await_running("in"));
    for (path, status) in [
        ("/connectors/in/tasks/0/restart", 204),
        ("/connectors/in/tasks/7/restart", 404),
        ("/connectors/in/tasks/-1/restart", 404),
        ("/connectors/in/tasks/x/restart", 404),
        ("/connectors/in/restart", 204),
        ("/connectors/in/restart?includeTasks=false&onlyFailed=false", 204),
        ("/connectors/in/restart?onlyFailed=true", 202),
        ("/connectors/in/restart?includeTasks=true&onlyFailed=true", 202),
        ("/connectors/in/restart?includeTasks=true", 202),
    ] {
        both.iter().for_each(|side| side.await_running("in"));
        assert_eq!(same(both, "POST", path, None).0, status, "{path}");
    }
    both.iter().for_each(|side| side.await_running("in"));
}

#[test]
fn topics_are_not_tracked_or_reset_where_the_worker_says_so() {
    let dir = tempfile::tempdir().expect("folder");
    let off = Connectd::start(&["--set", "topic.tracking.enable=false"], &dir.path().join("off"));
    let fixed = Connectd::start(&["--set", "topic.tracking.allow.reset=false"], &dir.path().join("fixed"));
    let refused = |text: &str| (403, json!({ "error_code": 403, "message": text }));
    assert_eq!(off.get("/connectors/c/topics"), refused("Topic tracking is disabled."));
    assert_eq!(off.send("PUT", "/connectors/c/topics/reset", None), refused("Topic tracking is disabled."));
    assert_eq!(fixed.get("/connectors/c/topics"), (200, json!({ "c": { "topics": [] } })));
    assert_eq!(fixed.send("PUT", "/connectors/c/topics/reset", None), refused("Topic tracking reset is disabled."));
}

#[test]
fn offsets_of_sinks_are_shown_but_not_set_on_the_embedded_broker() {
    let rest = Rest::start(&[]);
    let input = rest.path("in.txt");
    fs::write(&input, "a\nb\n").expect("input");
    let source = json!({ "connector.class": "file-source", "file": input, "topic": "t",
        "value.converter": "StringConverter" });
    let sink = json!({ "connector.class": "file-sink", "file": rest.path("out.txt"), "topics": "t",
        "value.converter": "StringConverter" });
    rest.create("in", &source);
    rest.create("out", &sink);
    wait("the lines", SOON, || {
        (fs::read_to_string(rest.path("out.txt")).unwrap_or_default().lines().count() == 2).then_some(())
    });
    assert_eq!(rest.order("PUT", "/connectors/out/stop").status, 204);
    let offsets = rest.get("/connectors/out/offsets").json();
    // The topic has several partitions.
    let read = offsets["offsets"].as_array().into_iter().flatten().filter_map(|o| o["offset"]["kafka_offset"].as_i64());
    assert_eq!(read.sum::<i64>(), 2, "{offsets}");
    let forget = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}"#;
    for answer in
        [rest.send("PATCH", "/connectors/out/offsets", forget), rest.order("DELETE", "/connectors/out/offsets")]
    {
        let text = answer.message();
        assert!(answer.status == 500 && text.contains("the embedded broker cannot do that"), "{text}");
    }
    assert_eq!(rest.get("/health").status, 200);
}
