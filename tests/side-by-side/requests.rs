//! Requests that are no good, and those that only look so.

use serde_json::Value as Json;
use tocsin_tests::sides::Side;

use crate::talk::Talk;

/// Paths, methods and media types.
pub fn odd(talk: &mut Talk<'_>) {
    talk.part = "requests";
    for path in [
        "/nope",
        "/Connectors",
        "/connectors/",
        "/connectors?expand",
        "/connectors/c/nope",
        "/connectors/c/tasks-config",
        "/connectors/c;v=1",
        "/connectors/a%20b",
        "/connectors/a+b",
        "/connectors/%C3%BC",
        "/connectors/a%2Fb",
        "/connectors/a%25b",
        "/connectors//status",
        "/connectors/%FF",
        "/connectors/c/tasks/x/status",
        "/connectors/c/tasks/00/status",
        "/connectors/c/tasks/-1/status",
        "/connectors/c/tasks/99999999999/status",
        "/admin",
        "/admin/loggers/none.such",
        "/health/",
    ] {
        talk.say("GET", path, None);
        talk.say("HEAD", path, None);
    }
    for (method, path) in [
        ("DELETE", "/connectors"),
        ("POST", "/connectors/c"),
        ("PUT", "/"),
        ("GET", "/connectors/c/pause"),
        ("TRACE", "/connectors"),
        ("INVENTED", "/connectors"),
        ("PATCH", "/connector-plugins"),
        ("OPTIONS", "/nope"),
    ] {
        talk.say(method, path, None);
    }
    for range in ["text/html", "*/*", "application/*;q=0.5", "text/html, application/json;q=0.1", "garbage", ""] {
        talk.say_with("GET", "/connectors", &[("accept", range)], None);
    }
    let body = r#"{"name":" ","config":{"connector.class":"FileStreamSource"}}"#;
    for kind in
        ["text/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/xml", "garbage", "*/*"]
    {
        talk.say_with("POST", "/connectors", &[("content-type", kind)], Some(body));
        talk.say_with("PUT", "/connectors/none/pause", &[("content-type", kind)], Some("x"));
    }
    talk.say_with("POST", "/connectors", &[], Some(body));
    for level in [r#"{"level":"none"}"#, r#"{"level":""}"#, r#"{"level":null}"#, "{}", "[]", ""] {
        talk.say("PUT", "/admin/loggers/compat.none", Some(level));
    }
    for (scope, level) in [("", "debug"), ("", "DEBUG"), ("?scope=cluster", "info"), ("?scope=worker", "warn")] {
        let body = format!(r#"{{"level":"{level}"}}"#);
        talk.say("PUT", &format!("/admin/loggers/compat.none{scope}"), Some(&body));
        // Kafka Connect's workers learn of it from their topic.
        let is = |side: &Side| side.get("/admin/loggers/compat.none")["level"] == level.to_uppercase();
        talk.await_both("the level", is);
    }
    talk.say("GET", "/admin/loggers/compat.none", None);
    for path in ["/connectors/none/tasks", "/connectors/none/fence"] {
        talk.say(if path.ends_with("fence") { "PUT" } else { "POST" }, path, Some("[]"));
    }
}

/// Every body of the table that the reader of bodies is tested with.
pub fn bodies(talk: &mut Talk<'_>) {
    talk.part = "bodies";
    const GOLDEN: &str = include_str!("../../runtime/worker/src/rest/golden/bodies.jsonl");
    for line in GOLDEN.lines() {
        let case: Vec<Json> = serde_json::from_str(line).expect("a case");
        let [kind, body] = [0, 1].map(|i| case[i].as_str().expect("text"));
        let (method, path) = match kind {
            "create" => ("POST", "/connectors"),
            "config" => ("PUT", "/connectors/bodies/config"),
            "offsets" => ("PATCH", "/connectors/bodies/offsets"),
            other => panic!("a case of an unknown kind, {other}"),
        };
        talk.say(method, path, Some(body));
    }
    let (_, left) = talk.say("GET", "/connectors", None);
    for name in left.as_array().into_iter().flatten().filter_map(Json::as_str) {
        talk.say("DELETE", &format!("/connectors/{}", name.replace(' ', "%20")), None);
    }
}
