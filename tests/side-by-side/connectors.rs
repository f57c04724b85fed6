//! Connectors: created, changed, steered, restarted, deleted.

use std::fs;

use serde_json::json;
use tocsin_tests::sides::Side;

use crate::talk::Talk;

const SOURCE: &str =
    r#"{"connector.class":"FileStreamSource","tasks.max":"1","file":"$DIR/absent.txt","topic":"$SIDE-none"}"#;

fn is_gone(side: &Side, name: &str) -> bool {
    side.send("GET", &format!("/connectors/{name}/status"), None).status == 404
}

/// Everything that is asked of a connector.
fn shown(talk: &mut Talk<'_>, name: &str) {
    for path in ["", "/config", "/tasks", "/status", "/tasks/0/status", "/tasks/1/status", "/topics", "/offsets"] {
        talk.say("GET", &format!("/connectors/{name}{path}"), None);
    }
}

/// Requests about a connector that there is not.
pub fn unknown(talk: &mut Talk<'_>) {
    talk.part = "unknown connectors";
    shown(talk, "none");
    for (method, path, body) in [
        ("PATCH", "offsets", Some(r#"{"offsets":[{"partition":{"a":1},"offset":null}]}"#)),
        ("PATCH", "offsets", Some(r#"{"offsets":[]}"#)),
        ("PATCH", "config", Some("{}")),
        ("PATCH", "config", Some("")),
        ("PATCH", "config", Some(r#"{"name":"other"}"#)),
        ("PUT", "config", Some(r#"{"topic":"t"}"#)),
        ("DELETE", "offsets", None),
        ("PUT", "topics/reset", None),
        ("POST", "restart", None),
        ("POST", "restart?includeTasks=true", None),
        ("POST", "restart?onlyFailed=true", None),
        ("POST", "tasks/0/restart", None),
        ("PUT", "pause", None),
        ("PUT", "resume", None),
        ("PUT", "stop", None),
    ] {
        talk.say(method, &format!("/connectors/none/{path}"), body);
    }
    talk.say("DELETE", "/connectors/none", None);
}

/// From creation to deletion.
pub fn lived(talk: &mut Talk<'_>) {
    talk.part = "connectors";
    let create = format!(r#"{{"name":"c","config":{SOURCE}}}"#);
    talk.say("POST", "/connectors", Some(&create));
    talk.await_states("c", "RUNNING", &["RUNNING"]);
    talk.say("POST", "/connectors", Some(&create));
    shown(talk, "c");
    for query in ["", "?expand", "?expand=info", "?expand=status", "?expand=info&expand=status", "?expand=status,info"]
    {
        talk.say("GET", &format!("/connectors{query}"), None);
    }
    talk.say("PUT", "/connectors/c/config", Some(&SOURCE.replace(r#""tasks.max":"1""#, r#""tasks.max":3,"x":1.50"#)));
    talk.await_states("c", "RUNNING", &["RUNNING"]);
    for patch in [
        "",
        "null",
        r#"{"batch.size":7,"x":null,"none":null}"#,
        "{}",
        r#"{"batch.size":"x"}"#,
        r#"{"connector.class":null}"#,
    ] {
        talk.say("PATCH", "/connectors/c/config", Some(patch));
        talk.await_states("c", "RUNNING", &["RUNNING"]);
    }
    talk.say("PUT", "/connectors/c/config", Some(r#"{"name":"d","connector.class":"FileStreamSource"}"#));
    talk.say("PUT", "/connectors/c/config", Some(r#"{"connector.class":"FileStreamSource"}"#));
    shown(talk, "c");
    steered(talk);
    // Another kind under the same name.
    let sink = r#"{"connector.class":"FileStreamSink","tasks.max":"2","file":"$DIR/other.txt","topics":"$SIDE-none",
        "consumer.override.group.id":"$SIDE-c"}"#;
    talk.say("PUT", "/connectors/c/pause", None);
    talk.await_states("c", "PAUSED", &["PAUSED"]);
    talk.say("PUT", "/connectors/c/config", Some(sink));
    talk.say("PUT", "/connectors/c/resume", None);
    talk.await_states("c", "RUNNING", &["RUNNING", "RUNNING"]);
    shown(talk, "c");
    talk.say("DELETE", "/connectors/c", None);
    talk.await_both("the status of c to go", |side| is_gone(side, "c"));
    shown(talk, "c");
    renamed(talk);
    initial_states(talk);
    names(talk);
}

/// A patch that gives a connector's configuration the name of another.
fn renamed(talk: &mut Talk<'_>) {
    talk.say("PUT", "/connectors/renamed/config", Some(SOURCE));
    talk.await_states("renamed", "RUNNING", &["RUNNING"]);
    talk.say("PATCH", "/connectors/renamed/config", Some(r#"{"name":"zz"}"#));
    talk.each(|side| drop(side.send("DELETE", "/connectors/renamed", None)));
    talk.await_both("the status of renamed to go", |side| is_gone(side, "renamed"));
}

fn steered(talk: &mut Talk<'_>) {
    for (order, state, tasks) in [
        ("pause", "PAUSED", &["PAUSED"][..]),
        ("pause", "PAUSED", &["PAUSED"]),
        ("resume", "RUNNING", &["RUNNING"]),
        ("resume", "RUNNING", &["RUNNING"]),
        ("stop", "STOPPED", &[]),
        ("stop", "STOPPED", &[]),
        ("pause", "PAUSED", &[]),
        ("resume", "RUNNING", &["RUNNING"]),
        ("stop", "STOPPED", &[]),
    ] {
        talk.say("PUT", &format!("/connectors/c/{order}"), None);
        talk.await_states("c", state, tasks);
        talk.say("GET", "/connectors/c", None);
        talk.say("GET", "/connectors/c/tasks", None);
        talk.say("GET", "/connectors/c/status", None);
    }
    talk.say("POST", "/connectors/c/restart?includeTasks=true", None);
    talk.await_states("c", "STOPPED", &[]);
    talk.say("PUT", "/connectors/c/resume", None);
    for path in [
        "tasks/0/restart",
        "tasks/7/restart",
        "tasks/-1/restart",
        "tasks/x/restart",
        "restart",
        "restart?includeTasks=false&onlyFailed=false",
        "restart?onlyFailed=true",
        "restart?includeTasks=1",
        "restart?includeTasks=TRUE&onlyFailed=true",
        "restart?includeTasks=true",
    ] {
        talk.await_states("c", "RUNNING", &["RUNNING"]);
        talk.say("POST", &format!("/connectors/c/{path}"), None);
    }
    talk.await_states("c", "RUNNING", &["RUNNING"]);
}

fn initial_states(talk: &mut Talk<'_>) {
    for (state, then) in [("PAUSED", "PAUSED"), ("stopped", "STOPPED"), ("Running", "RUNNING")] {
        let body = format!(r#"{{"name":"i","config":{SOURCE},"initial_state":"{state}"}}"#);
        talk.say("POST", "/connectors", Some(&body));
        let tasks: &[&str] = if then == "RUNNING" { &["RUNNING"] } else { &[] };
        talk.await_states("i", then, tasks);
        talk.say("GET", "/connectors/i/tasks", None);
        talk.say("PUT", "/connectors/i/resume", None);
        talk.await_states("i", "RUNNING", &["RUNNING"]);
        talk.say("DELETE", "/connectors/i", None);
        talk.await_both("the status of i to go", |side| is_gone(side, "i"));
    }
    for state in ["\"UP\"", "\"\"", "1", "true", "null", "\"STARTED\""] {
        let body = format!(r#"{{"name":"","config":{SOURCE},"initial_state":{state}}}"#);
        talk.say("POST", "/connectors", Some(&body));
    }
}

fn names(talk: &mut Talk<'_>) {
    for (name, path) in [("a b?c", "a%20b%3Fc"), ("ü+&=;", "%C3%BC+&=%3B"), ("  trimmed\n", "trimmed"), ("#x", "%23x")]
    {
        let body = json!({ "name": name, "config": serde_json::from_str::<serde_json::Value>(SOURCE).expect("JSON") });
        talk.say("POST", "/connectors", Some(&body.to_string()));
        talk.await_states(path, "RUNNING", &["RUNNING"]);
        talk.say("GET", &format!("/connectors/{path}/status"), None);
        talk.say("DELETE", &format!("/connectors/{path}"), None);
    }
    talk.await_both("no connector", |side| side.get("/connectors") == json!([]));
}

/// Tasks and connectors that fail.
pub fn failed(talk: &mut Talk<'_>) {
    talk.part = "failures";
    talk.each(|side| fs::write(side.dir().join("bad.txt"), "1\nabc\n").expect("input"));
    let bad = r#"{"connector.class":"FileStreamSource","file":"$DIR/bad.txt","topic":"$SIDE-bad","transforms":"c",
        "transforms.c.type":"org.apache.kafka.connect.transforms.Cast$Value","transforms.c.spec":"int32"}"#;
    talk.say("PUT", "/connectors/f/config", Some(bad));
    for (order, state, tasks) in [
        ("", "RUNNING", &["FAILED"][..]),
        ("pause", "PAUSED", &["FAILED"]),
        ("resume", "RUNNING", &["FAILED"]),
        ("stop", "STOPPED", &[]),
        ("resume", "RUNNING", &["FAILED"]),
    ] {
        if !order.is_empty() {
            talk.say("PUT", &format!("/connectors/f/{order}"), None);
        }
        talk.await_states("f", state, tasks);
    }
    talk.say("GET", "/connectors/f/status", None);
    talk.say("POST", "/connectors/f/restart?includeTasks=true&onlyFailed=true", None);
    talk.await_states("f", "RUNNING", &["FAILED"]);
    talk.say("PATCH", "/connectors/f/config", Some(r#"{"errors.tolerance":"all"}"#));
    talk.await_states("f", "RUNNING", &["RUNNING"]);
    talk.say("DELETE", "/connectors/f", None);
    // One that could not create its topics.
    let broken = SOURCE.replace('{', r#"{"topic.creation.groups":"a","topic.creation.a.include":"x","#);
    talk.say("PUT", "/connectors/g/config", Some(&broken));
    // It is there on one side only.
    talk.each(|side| drop(side.send("DELETE", "/connectors/g", None)));
    talk.await_both("no connector", |side| side.get("/connectors") == json!([]));
}
