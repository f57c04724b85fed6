//! What Kafka Connect's REST API makes of any request: statuses, texts and types that clients rely on.

use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd,
    rest::{Answer, Rest},
};

#[test]
fn the_server_tells_its_version_and_health() {
    let rest = Rest::start(&[]);
    let root = rest.get("/");
    assert_eq!((root.status, root.content_type.as_deref()), (200, Some("application/json")));
    let body = root.json();
    assert!(body["version"].as_str().is_some_and(|v| v.split('.').count() == 3), "{body}");
    assert!(body["commit"].is_string() && body["kafka_cluster_id"].is_string(), "{body}");
    let health = rest.get("/health").json();
    assert_eq!(
        health,
        json!({ "status": "healthy", "message": "Worker has completed startup and is ready to handle requests." })
    );
}

#[test]
fn wrong_requests_are_refused_with_kafka_connects_texts() {
    let rest = Rest::start(&[]);
    let invalid = |messages: &[&str]| {
        format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list \
             of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
            messages.len(),
            messages.join("\n")
        )
    };
    let source = |change: &[(&str, Json)]| {
        let mut config = rest.source();
        change.iter().for_each(|(key, value)| config[*key] = value.clone());
        config
    };
    let post = |name: Json, config: Json| json!({ "name": name, "config": config }).to_string();
    let exact: Vec<(String, u16, String)> = vec![
        (
            post(json!("c"), source(&[("tasks.max", json!("0")), ("batch.size", json!("x"))])),
            400,
            invalid(&[
                "Invalid value 0 for configuration tasks.max: Value must be at least 1",
                "Invalid value x for configuration batch.size: Not a number of type INT",
            ]),
        ),
        (
            post(json!(" "), source(&[])),
            400,
            invalid(&["Invalid value  for configuration name: String may not be empty"]),
        ),
        (
            post(json!("a\u{7}b"), source(&[])),
            400,
            invalid(&[
                "Invalid value a\u{7}b for configuration name: String may not contain control sequences but had the \
                       following ASCII chars: 7",
            ]),
        ),
        (
            post(json!("c"), source(&[("name", json!("d"))])),
            400,
            "Connector name configuration (d) doesn't match connector name in the URL (c)".into(),
        ),
        (
            post(json!("c"), json!({ "connector.class": "FileStreamSource" })),
            400,
            invalid(&[
                "Missing required configuration \"file\" which has no default value.",
                "Missing required configuration \"topic\" which has no default value.",
            ]),
        ),
    ];
    for (body, status, message) in exact {
        let answer = rest.send("POST", "/connectors", &body);
        assert_eq!((answer.status, answer.message()), (status, message), "{body}");
    }
    let parts: Vec<(String, u16, &[&str])> = vec![
        (post(json!("c"), json!({ "topic": "t" })), 400, &["Connector config {", "contains no connector type"]),
        (post(json!("c"), json!({})), 400, &["contains no connector type"]),
        (
            post(json!("c"), json!({ "connector.class": "FileStreamSorce" })),
            400,
            &[
                "Failed to find any class that implements Connector and which name matches FileStreamSorce",
                "Did you mean",
            ],
        ),
        (post(json!("c"), source(&[("file", Json::Null)])), 400, &["Missing required configuration \"file\""]),
        (
            post(json!("c"), source(&[("errors.tolerance", Json::Null)])),
            400,
            &["Null value can not be supplied as the configuration value."],
        ),
        (post(json!("c"), source(&[("file", json!({ "a": 1 }))])), 500, &["Cannot deserialize value of type"]),
        (post(json!("c"), json!([])), 500, &["Cannot deserialize value"]),
        (r#"{"name":"c"}"#.into(), 500, &["connectorConfig", "is null"]),
        (r#"{"name":"c","config":{},"x":1}"#.into(), 500, &["Unrecognized field \"x\""]),
        (r#"{"name":"c","config":{}"#.into(), 500, &["line: 1, column:"]),
        ("[]".into(), 500, &["Cannot deserialize value"]),
        (" ".into(), 500, &["is null"]),
        (
            json!({ "name": "c", "config": source(&[]), "initial_state": "UP" }).to_string(),
            500,
            &["InitialState", "No enum constant", "UP"],
        ),
    ];
    for (body, status, parts) in parts {
        let answer = rest.send("POST", "/connectors", &body);
        let message = answer.message();
        assert!(
            answer.status == status && parts.iter().all(|p| message.contains(p)),
            "{body}: {} {message}",
            answer.status
        );
    }
    assert_eq!(rest.get("/connectors").json(), json!([]), "nothing was created");
    // A refused change leaves everything as it was.
    rest.create("c", &rest.source());
    let before = rest.get("/connectors/c/config").json();
    for (method, body) in [
        ("PUT", source(&[("name", json!("d"))])),
        ("PUT", source(&[("tasks.max", json!("x"))])),
        ("PATCH", json!({ "connector.class": null })),
        ("PATCH", json!({ "file": null })),
        ("PATCH", json!({ "name": "d" })),
    ] {
        let answer = rest.send(method, "/connectors/c/config", &body.to_string());
        assert_eq!(answer.status, 400, "{method} {body}: {}", answer.text);
    }
    assert_eq!(rest.get("/connectors/c/config").json(), before);
    rest.connectd.await_state("c", "RUNNING");
}

#[test]
fn requests_that_no_endpoint_takes_have_kafka_connects_error_bodies() {
    let rest = Rest::start(&[]);
    let answers = |status: u16, reason: &str| (status, format!("HTTP {status} {reason}"));
    let got = |answer: &Answer| (answer.status, answer.message());
    for path in ["/nope", "/connectors/c/nope", "/connectors/c/tasks-config", "/Connectors"] {
        assert_eq!(got(&rest.get(path)), answers(404, "Not Found"), "{path}");
    }
    for (method, path) in
        [("DELETE", "/connectors"), ("POST", "/connectors/c"), ("PUT", "/"), ("GET", "/connectors/c/pause")]
    {
        assert_eq!(got(&rest.order(method, path)), answers(405, "Method Not Allowed"), "{method} {path}");
    }
    let accept = |range: &str| rest.ask("GET", "/connectors", &[("accept", range)], None);
    for range in ["text/html", "application/xml, text/*", "garbage"] {
        assert_eq!(got(&accept(range)), answers(406, "Not Acceptable"), "{range}");
    }
    for range in ["*/*", "application/*", "text/html, application/json;q=0.1", "application/json;q=0", "*/json"] {
        assert_eq!(accept(range).status, 200, "{range}");
    }
    let body = json!({ "name": "c", "config": rest.source() }).to_string();
    for kind in ["text/json", "application/x-www-form-urlencoded", "application/merge-patch+json"] {
        let answer = rest.ask("POST", "/connectors", &[("content-type", kind)], Some(&body));
        assert_eq!(got(&answer), answers(415, "Unsupported Media Type"), "{kind}");
    }
    assert_eq!(got(&rest.ask("POST", "/connectors", &[], Some(&body))), answers(415, "Unsupported Media Type"));
    // A type that is none is refused whatever the path, a wrong one only where path and method are right.
    for kind in ["garbage", "application/", "application/json, text/plain", "application/json; x"] {
        for path in ["/connectors", "/nope", "/"] {
            let answer = rest.ask("POST", path, &[("content-type", kind)], Some("x"));
            assert_eq!((answer.status, answer.text.as_str()), (400, ""), "{kind} {path}");
        }
    }
    let text = [("content-type", "text/plain")];
    assert_eq!(got(&rest.ask("GET", "/connectors", &text, None)), answers(415, "Unsupported Media Type"));
    assert_eq!(got(&rest.ask("POST", "/nope", &text, Some("x"))), answers(404, "Not Found"));
    assert_eq!(got(&rest.ask("DELETE", "/connectors", &text, Some("x"))), answers(405, "Method Not Allowed"));
    assert_eq!(rest.ask("GET", "/", &text, Some("x")).status, 200);
    let charset = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(rest.ask("POST", "/connectors", &charset, Some(&body)).status, 201);

    for path in ["/connectors", "/connectors/c", "/connectors/c/status", "/connector-plugins", "/health"] {
        let (plain, slash) = (rest.get(path), rest.get(&format!("{path}/")));
        assert_eq!((plain.status, slash.status), (200, 200), "{path}");
        let head = rest.order("HEAD", path);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
    assert_eq!(rest.order("PUT", "/connectors/c/pause/").status, 202);
    assert_eq!(rest.order("HEAD", "/connectors/nope").status, 404);
    // Matrix parameters are no part of a name.
    for path in ["/connectors/c;v=1", "/connectors;x/c/status;y=2", "/connectors/c;/config/"] {
        assert_eq!(rest.get(path).status, 200, "{path}");
    }
    assert_eq!(rest.get("/connectors/c%3Bv=1").message(), "Connector c;v=1 not found");
    for (path, why) in [
        ("/connectors/%FF", "Bad UTF-8 encoding"),
        ("/connectors/%zz", "Bad Request"),
        ("/connectors/%01", "Suspicious Path Character"),
        ("/connectors//status", "Ambiguous URI empty segment"),
    ] {
        assert_eq!(got(&rest.get(path)), (400, why.to_owned()), "{path}");
    }
    let large = format!(r#"{{"name":"c","config":{{"a":"{}"}}}}"#, "x".repeat(17 << 20));
    assert_eq!(got(&rest.send("POST", "/connectors", &large)), (413, "the body is larger than 16 MB".into()));
}

#[test]
fn scalars_keep_the_text_that_was_written() {
    let rest = Rest::start(&[]);
    let mut config = rest.source().to_string();
    config.pop();
    let body = format!(
        r#"{{"name":12,"config":{config},"a":1,"b":1.50,"c":1e3,"d":true,"e":12345678901234567890,"f":"ü"}}}}"#
    );
    assert_eq!(rest.send("POST", "/connectors", &body).status, 201);
    let config = rest.get("/connectors/12/config").json();
    for (key, text) in
        [("a", "1"), ("b", "1.50"), ("c", "1e3"), ("d", "true"), ("e", "12345678901234567890"), ("f", "ü")]
    {
        assert_eq!(config[key], text);
    }
}

#[test]
fn options_names_the_methods_of_a_path() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let client = reqwest::blocking::Client::new();
    let ask = |path: &str| {
        let url = format!("{}{path}", connectd.url());
        client.request("OPTIONS".parse().expect("method"), url).send().expect("answer")
    };
    let answer = ask("/connectors/");
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().ok()), (200, Some("text/plain")));
    let mut methods: Vec<String> = answer.text().expect("text").split(", ").map(str::to_owned).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "HEAD", "OPTIONS", "POST"]);
    assert_eq!(ask("/nowhere").status(), 404);
}
