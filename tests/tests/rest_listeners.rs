//! How the REST API is reached: several listeners, TLS with certificates of clients, users and passwords, other
//! origins, further headers, and log levels on listeners of their own.

use std::{fs, path::Path, time::Duration};

use reqwest::{Certificate, Identity, blocking::Client};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, rest::Rest, wait};
use xtask::servers::Certificates;

const LIMIT: Duration = Duration::from_secs(30);

fn set(settings: &[(&str, &str)]) -> Vec<String> {
    settings.iter().flat_map(|(k, v)| ["--set".to_owned(), format!("{k}={v}")]).collect()
}

fn start(dir: &Path, settings: &[(&str, &str)]) -> Connectd {
    let arguments = set(settings);
    Connectd::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &dir.join("log"))
}

/// The last address that the log gives behind these words.
fn address(connectd: &Connectd, words: &str) -> String {
    let log = connectd.log_text();
    let found = log.lines().filter_map(|l| l.split_once(words)).next_back();
    found.unwrap_or_else(|| panic!("{words}: {log}")).1.trim().to_owned()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

const HTTPS: &str = "http://127.0.0.1:0,https://127.0.0.1:0";

#[test]
fn https_listeners_ask_for_certificates_as_they_are_told() {
    let dir = tempfile::tempdir().expect("folder");
    let c = Certificates::make(dir.path()).expect("certificates");
    let path = |p: std::path::PathBuf| p.to_string_lossy().into_owned();
    let (bundle, ca, store) = (path(c.broker_bundle()), path(c.ca()), path(c.client_keystore()));
    let authority = Certificate::from_pem(text(&c.ca()).as_bytes()).expect("certificate");
    let plain = Client::builder().tls_certs_merge([authority.clone()]).timeout(LIMIT).build().expect("client");
    let identity = Identity::from_pkcs8_pem(text(&c.client_certificate()).as_bytes(), text(&c.client_key()).as_bytes());
    let known = Client::builder().tls_certs_merge([authority]).identity(identity.expect("identity")).timeout(LIMIT);
    let known = known.build().expect("client");

    // PEM, under the prefix, which then hides what stands without it.
    let connectd = start(
        dir.path(),
        &[
            ("listeners", HTTPS),
            ("rest.advertised.listener", "https"),
            ("ssl.client.auth", "nonsense"),
            ("listeners.https.ssl.keystore.type", "PEM"),
            ("listeners.https.ssl.keystore.location", &bundle),
            ("listeners.https.ssl.truststore.type", "PEM"),
            ("listeners.https.ssl.truststore.location", &ca),
            ("listeners.https.ssl.client.auth", "required"),
            ("listeners.https.ssl.enabled.protocols", "TLSv1.3"),
        ],
    );
    let url = address(&connectd, "the REST API is on https://");
    assert!(plain.get(format!("https://{url}/")).send().is_err(), "without a certificate");
    let body = json!({ "name": "c", "config": { "connector.class": "FileStreamSource", "file": "/nonexistent",
        "topic": "t", "value.converter": "StringConverter" } });
    let made = known.post(format!("https://{url}/connectors")).json(&body).send().expect("answer");
    assert_eq!(made.status(), 201);
    assert_eq!(made.headers()["location"], format!("https://{url}/connectors/c"));
    let status: Json =
        known.get(format!("https://{url}/connectors/c/status")).send().and_then(|a| a.json()).expect("status");
    assert_eq!(status["connector"]["worker_id"], url);
    assert_eq!(connectd.get("/connectors"), (200, json!(["c"])), "the other listener answers, too");

    // PKCS#12, without prefix.
    drop(connectd);
    let other = tempfile::tempdir().expect("folder");
    let connectd = start(
        other.path(),
        &[("listeners", HTTPS), ("ssl.keystore.location", &store), ("ssl.keystore.password", Certificates::PASSWORD)],
    );
    let url = address(&connectd, "the REST API is on https://");
    assert_eq!(plain.get(format!("https://{url}/connectors")).send().expect("answer").status(), 200);
}

#[test]
fn users_and_passwords_are_asked_for_where_there_is_something() {
    let dir = tempfile::tempdir().expect("folder");
    let users = file(dir.path(), "users.properties", "alice=s3:cret\n");
    let module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
    let jaas = file(dir.path(), "jaas.conf", &format!("KafkaConnect {{\n  {module} required file=\"{users}\";\n}};\n"));
    let extension = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
    let connectd = start(
        dir.path(),
        &[
            ("listeners", "http://127.0.0.1:0"),
            ("rest.extension.classes", extension),
            ("java.security.auth.login.config", &jaas),
        ],
    );
    let client = Client::new();
    let get = |path: &str, password: Option<&str>| {
        let request = client.get(format!("{}{path}", connectd.url()));
        let request = match password {
            Some(password) => request.basic_auth("alice", Some(password)),
            None => request,
        };
        request.send().expect("answer")
    };
    for path in ["/", "/connectors", "/health", "/admin/loggers", "/metrics"] {
        let refused = get(path, None);
        assert_eq!((refused.status().as_u16(), refused.headers().get("www-authenticate")), (401, None), "{path}");
        assert_eq!(refused.headers()["content-type"], "application/json");
        assert_eq!(refused.text().expect("text"), "User cannot access the resource.");
        assert_eq!(get(path, Some("wrong")).status(), 401);
        assert_eq!(get(path, Some("s3:cret")).status(), 200);
    }
    assert_eq!(get("/nowhere", None).status(), 404, "there is nothing to protect");
}

#[test]
fn browsers_of_allowed_origins_are_told_so() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = start(
        dir.path(),
        &[
            ("access.control.allow.origin", "http://console.example.org"),
            ("access.control.allow.methods", "GET,PUT"),
            ("response.http.headers.config", "add Cache-Control: no-store, \"set X-Frame-Options: a, b\""),
        ],
    );
    let client = Client::new();
    let ask = |method: &str, origin: &str, wanted: Option<&str>| {
        let request = client.request(method.parse().expect("method"), format!("{}/connectors", connectd.url()));
        let request = request.header("origin", origin);
        let request = wanted
            .map_or(request.try_clone().expect("request"), |m| request.header("access-control-request-method", m));
        request.send().expect("answer")
    };
    let header = |answer: &reqwest::blocking::Response, name: &str| {
        answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned())
    };
    let origin = "http://console.example.org";
    let answer = ask("GET", origin, None);
    assert_eq!(header(&answer, "access-control-allow-origin").as_deref(), Some(origin));
    assert_eq!(header(&answer, "vary").as_deref(), Some("Origin"));
    assert_eq!(header(&answer, "cache-control").as_deref(), Some("no-store"));
    assert_eq!(header(&answer, "x-frame-options").as_deref(), Some("a, b"));
    let preflight = ask("OPTIONS", origin, Some("PUT"));
    assert_eq!(preflight.status(), 200);
    for (name, value) in [
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", "GET,PUT"),
        ("access-control-allow-headers", "Content-Type"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(header(&preflight, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(header(&ask("OPTIONS", origin, Some("DELETE")), "access-control-allow-methods"), None);
    let foreign = ask("GET", "http://evil.example.org", None);
    assert_eq!((foreign.status().as_u16(), header(&foreign, "access-control-allow-origin")), (200, None));
}

#[test]
fn log_levels_have_listeners_of_their_own_or_none() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = start(dir.path(), &[("admin.listeners", "http://127.0.0.1:0")]);
    let url = address(&connectd, "log levels are set on ");
    assert_eq!(reqwest::blocking::get(format!("{url}/admin/loggers")).expect("answer").status(), 200);
    assert_eq!(reqwest::blocking::get(format!("{url}/connectors")).expect("answer").status(), 404);
    assert_eq!(connectd.get("/admin/loggers").0, 404);
    drop(connectd);
    let other = tempfile::tempdir().expect("folder");
    let connectd = start(other.path(), &[("admin.listeners", "")]);
    assert_eq!((connectd.get("/admin/loggers").0, connectd.get("/connectors").0), (404, 200));
}

#[test]
fn log_levels_are_shown_set_and_take_effect() {
    let rest = Rest::start(&[]);
    let all = rest.get("/admin/loggers").json();
    assert_eq!(all["root"], json!({ "level": "INFO", "last_modified": null }));
    let names: Vec<&String> = all.as_object().expect("map").keys().collect();
    assert!(names.is_sorted() && names.iter().any(|n| *n == "connectd"), "{names:?}");
    for (path, body, status, text) in [
        ("connect_worker", "{}", 400, "Desired 'level' parameter was not specified in request."),
        ("connect_worker", r#"{"level":null}"#, 400, "Desired 'level' parameter was not specified in request."),
        ("connect_worker", r#"{"level":"loud"}"#, 404, "invalid log level 'loud'."),
    ] {
        let answer = rest.send("PUT", &format!("/admin/loggers/{path}"), body);
        assert_eq!((answer.status, answer.message().as_str()), (status, text));
    }
    assert_eq!(rest.get("/admin/loggers/nope").message(), "Logger nope not found.");

    for (body, part) in
        [("", "\"levelMap\" is null"), (r#"{"level":["a"]}"#, "Cannot deserialize value of type `java.lang.String`")]
    {
        let answer = rest.send("PUT", "/admin/loggers/connect_worker::rest", body);
        assert!(answer.status == 500 && answer.message().contains(part), "{}", answer.text);
    }
    let changed = rest.send("PUT", "/admin/loggers/connect_worker::rest", r#"{"level":" debug "}"#);
    let names = changed.json();
    assert_eq!(changed.status, 200);
    assert!(names.as_array().is_some_and(|n| n.contains(&json!("connect_worker::rest"))), "{names}");
    let shown = rest.get("/admin/loggers/connect_worker::rest").json();
    assert!(shown["level"] == "DEBUG" && shown["last_modified"].is_u64(), "{shown}");
    assert_eq!(rest.send("PUT", "/admin/loggers/connect_worker::rest", r#"{"level":"DEBUG"}"#).json(), json!([]));

    // A client that hangs up in the middle of a request is told of at that level only.
    let address = rest.connectd.url().trim_start_matches("http://").to_owned();
    let hang_up = || {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(&address).expect("connection");
        stream.write_all(b"POST /connectors HTTP/1.1\r\nHo").expect("part of a request");
    };
    wait("the line that is written at DEBUG", LIMIT, || {
        hang_up();
        rest.connectd.log_text().contains("a connection of the REST API: ").then_some(())
    });
    let cluster = rest.send("PUT", "/admin/loggers/ROOT?scope=cluster", r#"{"level":"error"}"#);
    assert_eq!((cluster.status, cluster.text.as_str()), (204, ""));
    assert_eq!(rest.get("/admin/loggers/root").json()["level"], "ERROR");
    assert_eq!(rest.get("/admin/loggers/connect_worker::rest").json()["level"], "ERROR");
}
