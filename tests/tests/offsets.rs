//! Offsets, active topics and restarts over REST, side by side with Kafka Connect: the same requests get the same
//! answers and have the same effect.

use std::fs;

use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd,
    kafka::Reader,
    rest::Rest,
    sides::{SOON, Side, Sides},
    wait,
};
use xtask::servers::without;

/// Status and body, without what is this worker's own.
fn ask(side: &Side, method: &str, path: &str, body: Option<&str>) -> (u16, Json) {
    let answer = side.send(method, path, body);
    let mut json = answer.json();
    without_own(&mut json);
    (answer.status, json)
}

fn get(side: &Side, path: &str) -> Json {
    ask(side, "GET", path, None).1
}

fn await_position(side: &Side, connector: &str, position: i64) {
    wait(&format!("{connector} of {} to stand at {position}", side.name()), SOON, || {
        side.positions(connector).contains(&position).then_some(())
    });
}

/// Stops it and waits until its tasks are gone, which a JVM worker does in the background.
fn stop(side: &Side, connector: &str) {
    assert_eq!(ask(side, "PUT", &format!("/connectors/{connector}/stop"), None), (204, Json::Null));
    wait(&format!("{connector} of {} to be stopped", side.name()), SOON, || {
        (side.states(connector) == ("STOPPED".to_owned(), Vec::new())).then_some(())
    });
}

fn await_running(side: &Side, connector: &str) {
    wait(&format!("{connector} of {} to run", side.name()), SOON, || {
        let (state, tasks) = side.states(connector);
        (state == "RUNNING" && tasks.first().is_some_and(|t| t == "RUNNING")).then_some(())
    });
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
    let [theirs, ours] = sides.each_ref().map(|side| ask(side, method, path, body));
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

fn lines(reader: &Reader, topic: &str, count: usize) -> Vec<String> {
    let all = reader.until(topic, SOON, |all| all.len() >= count);
    all.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned()).collect()
}

#[test]
fn offsets_topics_and_restarts_are_those_of_kafka_connect() {
    if without("kafka") {
        return;
    }
    let mut sides = Sides::start(&[]);
    for side in &sides.both {
        fs::write(side.dir().join("in.txt"), (0..10).map(|n| format!("{n}\n")).collect::<String>()).expect("input");
        sides.reader.create(&side.own("lines-$SIDE"), 1, &[]);
    }
    let (both, reader) = (&sides.both, &sides.reader);
    unknown_connectors(both);
    source(both, reader);
    sink(both);
    topics(both, reader);
    restarts(both);
    // The last request stands in the topic of either, in the same words.
    let [theirs_asked, ours_asked] = both.each_ref().map(|side| {
        let topic = side.own("$SIDE-configs");
        let asked = reader.latest(&topic, "restart-connector-in", SOON, |record| record.is_some());
        String::from_utf8_lossy(asked.value.as_deref().unwrap_or_default()).into_owned()
    });
    assert_eq!(theirs_asked, ours_asked);

    // What was noted survives a restart of the worker.
    let noted = json!({ "out": { "topics": ["lines-$SIDE"] } });
    assert_eq!(get(&sides.both[1], "/connectors/out/topics"), noted);
    sides.restart_ours();
    let again = &sides.both[1];
    assert_eq!(get(again, "/connectors/out/topics"), noted);
    assert_eq!(ask(again, "DELETE", "/connectors/out", None).0, 204);
    assert_eq!(get(again, "/connectors/out/topics"), json!({ "out": { "topics": [] } }));
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
    let config = r#"{"connector.class":"FileStreamSource","tasks.max":"1","file":"$DIR/in.txt","topic":"lines-$SIDE"}"#;
    for side in both {
        assert_eq!(ask(side, "PUT", "/connectors/in/config", Some(config)).0, 201);
        await_running(side, "in");
        await_position(side, "in", 20);
    }
    same(both, "GET", path, None);
    // While it runs, nothing is changed.
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    let back = r#"{"offsets":[{"partition":{"filename":"$DIR/in.txt"},"offset":{"position":10}}]}"#;
    assert_eq!(same(both, "PATCH", path, Some(back)).0, 400);
    for side in both {
        stop(side, "in");
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
        assert_eq!(ask(side, "PUT", "/connectors/in/resume", None).0, 202);
        await_position(side, "in", 20);
        let wanted: Vec<String> = (0..10).chain(5..10).map(|n| n.to_string()).collect();
        assert_eq!(lines(reader, &side.own("lines-$SIDE"), 15), wanted, "from where it was put back to");
        stop(side, "in");
    }
    for _ in 0..2 {
        assert_eq!(same(both, "DELETE", path, None).0, 200);
        assert_eq!(same(both, "GET", path, None).1, json!({ "offsets": [] }));
    }
    for side in both {
        // A paused connector is not a stopped one.
        assert_eq!(ask(side, "PUT", "/connectors/in/pause", None).0, 202);
        wait("the pause", SOON, || {
            (get(side, "/connectors/in/status")["connector"]["state"] == "PAUSED").then_some(())
        });
    }
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    for side in both {
        assert_eq!(ask(side, "PUT", "/connectors/in/resume", None).0, 202);
        await_position(side, "in", 20);
        assert_eq!(lines(reader, &side.own("lines-$SIDE"), 25).len(), 25, "all over again");
    }
}

fn sink(both: &[Side; 2]) {
    let path = "/connectors/out/offsets";
    // Of the same name on the same brokers, they would share their group.
    let config = r#"{"connector.class":"FileStreamSink","tasks.max":"1","file":"$DIR/out.txt","topics":"lines-$SIDE",
        "consumer.override.group.id":"readers-of-lines-$SIDE"}"#;
    for side in both {
        assert_eq!(ask(side, "PUT", "/connectors/out/config", Some(config)).0, 201);
        await_position(side, "out", 25);
    }
    same(both, "GET", path, None);
    assert_eq!(same(both, "DELETE", path, None).0, 400);
    for side in both {
        stop(side, "out");
    }
    let right = r#"{"kafka_topic":"lines-$SIDE","kafka_partition":0}"#;
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
        (r#"{"kafka_topic":"lines-$SIDE","kafka_partition":7}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"lines-$SIDE","kafka_partition":-1}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, r#"{"kafka_offset":1}"#, 500),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, "null", 500),
        (r#"{"kafka_topic":"lines-$SIDE","kafka_partition":"0","x":1}"#, r#"{"kafka_offset":"+22","y":1}"#, 200),
    ] {
        let body = format!(r#"{{"offsets":[{{"partition":{partition},"offset":{offset}}}]}}"#);
        assert_eq!(same(both, "PATCH", path, Some(&body)).0, status, "{body}");
    }
    assert_eq!(same(both, "GET", path, None).1["offsets"][0]["offset"]["kafka_offset"], 22);
    let resumed = |side: &Side, first: &str, count: usize| {
        let out = side.dir().join("out.txt");
        fs::remove_file(&out).expect("remove the output");
        assert_eq!(ask(side, "PUT", "/connectors/out/resume", None).0, 202);
        let text = wait("the output", SOON, || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            (text.lines().count() >= count).then_some(text)
        });
        assert_eq!((text.lines().next(), text.lines().count()), (Some(first), count), "{}", side.name());
        await_position(side, "out", 25);
        stop(side, "out");
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
        assert_eq!(ask(side, "PUT", "/connectors/out/resume", None).0, 202);
        await_running(side, "out");
    }
}

fn topics(both: &[Side; 2], reader: &Reader) {
    for name in ["in", "out"] {
        let wanted = json!({ name: { "topics": ["lines-$SIDE"] } });
        assert_eq!(same(both, "GET", &format!("/connectors/{name}/topics"), None).1, wanted);
    }
    assert_eq!(same(both, "PUT", "/connectors/in/topics/reset", None), (202, Json::Null));
    for side in both {
        wait("the reset", SOON, || {
            (get(side, "/connectors/in/topics") == json!({ "in": { "topics": [] } })).then_some(())
        });
        let path = side.dir().join("in.txt");
        fs::write(&path, fs::read_to_string(&path).expect("input") + "more\n").expect("input");
        assert_eq!(lines(reader, &side.own("lines-$SIDE"), 26)[25], "more");
        wait("the topic to be noted again", SOON, || {
            (get(side, "/connectors/in/topics") == json!({ "in": { "topics": ["lines-$SIDE"] } })).then_some(())
        });
    }
}

fn restarts(both: &[Side; 2]) {
    both.iter().for_each(|side| await_running(side, "in"));
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
        both.iter().for_each(|side| await_running(side, "in"));
        assert_eq!(same(both, "POST", path, None).0, status, "{path}");
    }
    both.iter().for_each(|side| await_running(side, "in"));
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
