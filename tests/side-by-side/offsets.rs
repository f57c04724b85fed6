//! Offsets and topics of connectors, and what requests about them have effect on.

use std::fs;

use serde_json::{Value as Json, json};
use tocsin_tests::{kafka::Reader, sides::Side};

use crate::talk::Talk;

const SOURCE: &str = r#"{"connector.class":"FileStreamSource","file":"$DIR/in.txt","topic":"$SIDE-lines"}"#;
// Of the same name on the same brokers, both would share one group.
const SINK: &str = r#"{"connector.class":"FileStreamSink","tasks.max":"1","file":"$DIR/out.txt","topics":"$SIDE-lines",
    "consumer.override.group.id":"$SIDE-readers"}"#;

/// All of it, from connectors that run to ones that are left running.
pub fn asked(talk: &mut Talk<'_>, reader: &Reader) {
    talk.part = "offsets";
    talk.each(|side| {
        fs::write(side.dir().join("in.txt"), (0..10).map(|n| format!("{n}\n")).collect::<String>()).expect("input");
        reader.create(&side.own("$SIDE-lines"), 1, &[]);
    });
    of_source(talk, reader);
    of_sink(talk);
    topics(talk, reader);
}

fn stop(talk: &mut Talk<'_>, connector: &str) {
    talk.say("PUT", &format!("/connectors/{connector}/stop"), None);
    talk.await_states(connector, "STOPPED", &[]);
}

fn await_position(talk: &mut Talk<'_>, connector: &str, position: i64) {
    talk.await_both(&format!("{connector} at {position}"), |side| side.positions(connector).contains(&position));
}

/// The lines that have come to the topic by now.
fn lines(talk: &mut Talk<'_>, reader: &Reader) {
    let [theirs, ours] = talk.both.each_ref().map(|side| {
        let all = reader.all(&side.own("$SIDE-lines"));
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        json!(all.iter().map(|r| text(r.value.as_deref())).collect::<Vec<_>>())
    });
    talk.report.values("offsets: lines in the topic", &theirs, &ours);
}

fn of_source(talk: &mut Talk<'_>, reader: &Reader) {
    let path = "/connectors/in/offsets";
    talk.say("PUT", "/connectors/in/config", Some(SOURCE));
    await_position(talk, "in", 20);
    talk.say("GET", path, None);
    // While it runs, nothing is changed.
    talk.say("DELETE", path, None);
    let back = r#"{"offsets":[{"partition":{"filename":"$DIR/in.txt"},"offset":{"position":10}}]}"#;
    talk.say("PATCH", path, Some(back));
    stop(talk, "in");
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
        talk.say("PATCH", path, Some(&body));
    }
    talk.say("GET", path, None);
    let extra = r#"{"offsets":[{"partition":{"filename":"x","n":5},"offset":{"position":7}},
        {"partition":{"filename":"x","n":5},"offset":{"position":8}},{"partition":{"filename":null},"offset":null}]}"#;
    for body in [extra, r#"{"offsets":[{"partition":{"n":5,"filename":"x"}}]}"#, r#"{"offsets":[{}]}"#, back] {
        talk.say("PATCH", path, Some(body));
        talk.say("GET", path, None);
    }
    talk.say("PUT", "/connectors/in/resume", None);
    await_position(talk, "in", 20);
    lines(talk, reader);
    stop(talk, "in");
    for _ in 0..2 {
        talk.say("DELETE", path, None);
        talk.say("GET", path, None);
    }
    // A paused connector is not a stopped one.
    talk.say("PUT", "/connectors/in/pause", None);
    talk.await_states("in", "PAUSED", &[]);
    talk.say("DELETE", path, None);
    talk.say("PUT", "/connectors/in/resume", None);
    await_position(talk, "in", 20);
    lines(talk, reader);
}

fn of_sink(talk: &mut Talk<'_>) {
    let path = "/connectors/out/offsets";
    talk.say("PUT", "/connectors/out/config", Some(SINK));
    await_position(talk, "out", 25);
    talk.say("GET", path, None);
    talk.say("DELETE", path, None);
    stop(talk, "out");
    let right = r#"{"kafka_topic":"$SIDE-lines","kafka_partition":0}"#;
    for (partition, offset) in [
        ("null", "null"),
        ("{}", "null"),
        (r#"{"kafka_topic":"t"}"#, "null"),
        (r#"{"kafka_topic":null,"kafka_partition":0}"#, "null"),
        (r#"{"kafka_topic":"t","kafka_partition":null}"#, "null"),
        (r#"{"kafka_topic":"t","kafka_partition":"x"}"#, "null"),
        (r#"{"kafka_topic":"t","kafka_partition":1.5}"#, "null"),
        (r#"{"kafka_topic":"t","kafka_partition":{"a":[1,null]}}"#, "null"),
        (right, "{}"),
        (right, r#"{"kafka_offset":null}"#),
        (right, r#"{"kafka_offset":"x"}"#),
        (right, r#"{"kafka_offset":true}"#),
        (right, r#"{"kafka_offset":-1}"#),
        (r#"{"kafka_topic":"$SIDE-lines","kafka_partition":7}"#, r#"{"kafka_offset":1}"#),
        (r#"{"kafka_topic":"$SIDE-lines","kafka_partition":-1}"#, r#"{"kafka_offset":1}"#),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, r#"{"kafka_offset":1}"#),
        (r#"{"kafka_topic":"none","kafka_partition":0}"#, "null"),
        (r#"{"kafka_topic":"$SIDE-lines","kafka_partition":"0","x":1}"#, r#"{"kafka_offset":"+22","y":1}"#),
    ] {
        let body = format!(r#"{{"offsets":[{{"partition":{partition},"offset":{offset}}}]}}"#);
        talk.say("PATCH", path, Some(&body));
    }
    talk.say("GET", path, None);
    resumed(talk);
    let forget = format!(r#"{{"offsets":[{{"partition":{right},"offset":null}}]}}"#);
    for _ in 0..2 {
        talk.say("PATCH", path, Some(&forget));
        talk.say("GET", path, None);
    }
    resumed(talk);
    for _ in 0..2 {
        talk.say("DELETE", path, None);
        talk.say("GET", path, None);
    }
    resumed(talk);
    talk.say("PUT", "/connectors/out/resume", None);
    talk.await_states("out", "RUNNING", &["RUNNING"]);
}

/// The stopped sink runs until it is at the end; what it wrote meanwhile is compared.
fn resumed(talk: &mut Talk<'_>) {
    let file = |side: &Side| side.dir().join("out.txt");
    talk.each(|side| fs::remove_file(file(side)).expect("removing the output"));
    talk.say("PUT", "/connectors/out/resume", None);
    await_position(talk, "out", 25);
    stop(talk, "out");
    let [theirs, ours] = talk.both.each_ref().map(|side| fs::read_to_string(file(side)).expect("output"));
    talk.report.texts("offsets: lines in the sink's file", &theirs, &ours);
}

fn topics(talk: &mut Talk<'_>, reader: &Reader) {
    for name in ["in", "out"] {
        talk.say("GET", &format!("/connectors/{name}/topics"), None);
    }
    talk.say("PUT", "/connectors/in/topics/reset", None);
    let noted = |topics: Json| move |side: &Side| side.get("/connectors/in/topics")["in"]["topics"] == topics;
    talk.await_both("the reset", noted(json!([])));
    talk.each(|side| {
        let path = side.dir().join("in.txt");
        let before = fs::read_to_string(&path).expect("input");
        fs::write(&path, before + "more\n").expect("input");
    });
    await_position(talk, "in", 25);
    talk.await_both("the topic to be noted again", noted(json!(["$SIDE-lines"])));
    await_position(talk, "out", 26);
    lines(talk, reader);
}

/// What survives a restart of both workers.
pub fn kept(talk: &mut Talk<'_>) {
    talk.part = "after a restart";
    talk.await_states("in", "RUNNING", &["RUNNING"]);
    talk.await_states("out", "RUNNING", &["RUNNING"]);
    talk.say("GET", "/connectors?expand=status&expand=info", None);
    for name in ["in", "out"] {
        for path in ["tasks", "topics", "offsets"] {
            talk.say("GET", &format!("/connectors/{name}/{path}"), None);
        }
        talk.say("DELETE", &format!("/connectors/{name}"), None);
        talk.await_both("the topics to be forgotten", |side| {
            side.get(&format!("/connectors/{name}/topics"))[name]["topics"] == json!([])
        });
    }
}
