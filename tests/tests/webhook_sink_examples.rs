//! The examples of the webhook sink in `configs/connectors` send what they say, and its test calls say what is wrong.
//! The receivers are mocks, as PagerDuty and Teams cannot be installed here.

use std::{fs, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{
    Connectd,
    avro::{JLAB, Registry, jlab_alarm},
    file,
    kafka::Reader,
    wait,
};
use tokio::runtime::Runtime;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, header, path},
};
use xtask::servers::{Certificates, Port};

const LIMIT: Duration = Duration::from_secs(90);
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const PLACE: &str = "127.0.0.1:8000";

#[test]
fn every_example_sends_what_it_is_for() {
    let (runtime, dir) = (Runtime::new().expect("runtime"), tempfile::tempdir().expect("folder"));
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(202).set_body_string("taken")).mount(&server).await;
        server
    });
    let address = server.address().to_string();
    let names = [
        "webhook-sink.yaml",
        "webhook-pagerduty.yaml",
        "webhook-teams.yaml",
        "webhook-batches.yaml",
        "http-aiven.json",
        "http-confluent.json",
    ];
    let files = names.map(|name| {
        let text = fs::read_to_string(format!("{ROOT}/configs/connectors/{name}")).expect("an example");
        let text = match name {
            "webhook-pagerduty.yaml" => format!("{text}webhook.url: http://{PLACE}/v2/enqueue\n"),
            "webhook-batches.yaml" => format!("{text}value.converter: StringConverter\n"),
            _ => text,
        };
        assert!(text.contains(PLACE), "{name} has another place");
        file(dir.path(), name, &text.replace(PLACE, &address))
    });
    let connectd = Connectd::start(&files.each_ref().map(String::as_str), &dir.path().join("log"));
    let reader = Reader::new(&connectd.embedded_broker());
    let registry = wait("the registry's address", LIMIT, || {
        let line = |line: &str| line.trim().strip_prefix("Schema registry").map(|rest| rest.trim().to_owned());
        connectd.log_text().lines().find_map(line)
    });
    let alarm = Registry::new(&registry).encode("active-alarms-value", JLAB, jlab_alarm((0, "P1_LIFE"), false));
    reader.write_all("active-alarms", [("pump 7".to_owned(), Some(alarm)), ("pump 7".to_owned(), None)]);
    let texts =
        |texts: &[&str]| texts.iter().map(|t| ("k".to_owned(), Some(t.as_bytes().to_vec()))).collect::<Vec<_>>();
    reader.write_all("readings", texts(&["{\"n\":1}", "{\"n\":2}"]));
    reader.write_all("events", texts(&["{\"e\":1}", "{\"e\":2}"]));
    reader.write_all("messages", texts(&["hi", "there"]));

    let received = |path: &str| -> Vec<Request> {
        let all = runtime.block_on(server.received_requests()).expect("recording");
        all.into_iter().filter(|request| request.url.path() == path).collect()
    };
    // Kafka may give both records at once or one after the other.
    let until = |path: &str, text: &str| -> Vec<Request> {
        wait(&format!("{text} at {path}"), LIMIT, || {
            let all = received(path);
            all.iter().any(|r| String::from_utf8_lossy(&r.body).contains(text)).then_some(all)
        })
    };
    let body = |request: &Request| -> Json { serde_json::from_slice(&request.body).expect("json") };

    wait("the end of the ticket", LIMIT, || (received("/alarms/pump%207").len() >= 2).then_some(()));
    let tickets = received("/alarms/pump%207");
    assert_eq!(tickets.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["PUT", "DELETE"]);
    assert_eq!(body(&tickets[0])["value"], json!({"priority": "P1_LIFE", "acknowledged": false}));

    let events = until("/v2/enqueue", "resolve");
    let trigger = body(&events[0]);
    assert_eq!((&trigger["event_action"], &trigger["dedup_key"]), (&"trigger".into(), &"pump 7".into()));
    assert_eq!((&trigger["routing_key"], &trigger["payload"]["severity"]), (&"change-me".into(), &"critical".into()));
    let cards = until("/workflows/change-me", "Cleared: pump 7");
    assert_eq!(body(&cards[0])["attachments"][0]["content"]["body"][0]["text"], "Alarm: pump 7");

    let batches = until("/readings", "{\"n\":2}\n");
    assert!(batches.iter().all(|r| r.headers["content-type"] == "application/x-ndjson"));
    let key = b"change-me-change-me";
    for request in &batches {
        let text = |name: &str| request.headers[name].to_str().expect("text").to_owned();
        let key = openssl::pkey::PKey::hmac(key).expect("key");
        let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).expect("signer");
        let before = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
        signer.update(before.as_bytes()).and_then(|()| signer.update(&request.body)).expect("signed");
        let signature = openssl::base64::encode_block(&signer.sign_to_vec().expect("signature"));
        assert_eq!(text("webhook-signature"), format!("v1,{signature}"));
        assert!(text("webhook-id").starts_with("readings-0-"), "{}", text("webhook-id"));
    }

    let events = until("/events", "{\"e\":2}");
    assert!(events.iter().all(|r| body(r).is_array() && r.headers["authorization"] == "Bearer change-me"));
    let messages = until("/api/messages", "there");
    assert!(messages.iter().all(|r| r.method.as_str() == "PUT" && r.headers["x-api-key"] == "change-me"));
    assert!(messages.iter().flat_map(|r| body(r).as_array().cloned()).flatten().any(|m| m == json!({"message": "hi"})));
    reader.until("success-responses", LIMIT, |all| all.iter().any(|r| r.value.as_deref() == Some(b"taken")));
    for name in ["tickets", "pagerduty", "teams", "readings", "http-aiven", "http-confluent"] {
        connectd.await_state(name, "RUNNING");
    }
}

#[test]
fn a_test_call_says_precisely_what_is_wrong() {
    let (runtime, dir) = (Runtime::new().expect("runtime"), tempfile::tempdir().expect("folder"));
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        let right = header("authorization", "Bearer right");
        Mock::given(path("/who")).and(right).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        Mock::given(path("/who")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
        let refused = ResponseTemplate::new(401).set_body_json(json!({"error": "invalid_client"}));
        Mock::given(path("/token")).respond_with(refused).mount(&server).await;
        server
    });
    let (certificates, port) = (Certificates::make(dir.path()).expect("certificates"), Port::claim().expect("port"));
    // A server with a certificate for localhost and 127.0.0.1, but at another address.
    let address = port.address().replace("127.0.0.1", "127.0.0.2");
    let bundle = certificates.broker_bundle();
    let tls = format!(
        "name: tls\nconnector.class: webhook-source\nwebhook:\n  listen: '{address}'\n  format: json\n  topic: t\n  \
         token: s3cret\n  tls: {{ certificate.file: '{bundle}', key.file: '{bundle}' }}\n",
        bundle = bundle.display()
    );
    let connectd = Connectd::start(&[&file(dir.path(), "tls.yaml", &tls)], &dir.path().join("log"));
    connectd.await_state("tls", "RUNNING");
    let ask = |more: Json| -> (String, String) {
        let mut config = json!({
            "name": "w", "connector.class": "webhook-sink", "topics": "t", "http.proxy": "none",
            "http.tls.ca.file": certificates.ca(), "webhook.url": server.uri()
        });
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let (status, report) =
            connectd.send("PUT", "/connector-plugins/webhook-sink/config/test?timeout=8", Some(&config));
        assert_eq!(status, 200, "{report}");
        assert!(!report.to_string().contains("s3cret"), "{report}");
        let stages = report["stages"].as_array().expect("stages");
        let of_sink = stages.iter().find(|s| s["stage"] == "connect" && s["of"] == "webhook-sink");
        let of_sink = of_sink.unwrap_or_else(|| panic!("{report:#}"));
        let text = |name: &str| of_sink[name].as_str().unwrap_or_default().to_owned();
        (text("result"), format!("{} {}", text("message"), of_sink["error"]))
    };
    let closed = Port::claim().expect("port").address();
    let who = format!("{}/who", server.uri());
    let token_url = format!("{}/token", server.uri());
    for (more, expected, text) in [
        (json!({}), "partly", "to OPTIONS; whether it takes".to_owned()),
        (json!({"webhook.check.url": who, "http.token": "right"}), "passed", "answers 200 OK to GET".to_owned()),
        (
            json!({"webhook.check.url": who, "http.token": "s3cret-but-wrong"}),
            "failed",
            "correct http.token".to_owned(),
        ),
        (
            json!({"webhook.url": format!("http://{closed}/x")}),
            "failed",
            format!("connecting to http://{closed} (webhook.url)"),
        ),
        (
            json!({"webhook.url": format!("https://{address}/x")}),
            "failed",
            "the server's certificate is for localhost, 127.0.0.1, not for 127.0.0.2".to_owned(),
        ),
        (
            json!({"webhook.url": format!("https://{}/x", server.address())}),
            "failed",
            "the server does not speak TLS there; correct the port, or write http://".to_owned(),
        ),
        (
            json!({
                "http.oauth2.token.url": token_url, "http.oauth2.client.id": "me",
                "http.oauth2.client.secret": "s3cret-but-wrong"
            }),
            "failed",
            "correct http.oauth2.client.id and http.oauth2.client.secret".to_owned(),
        ),
        (json!({"webhook.preset": "alertmanager"}), "failed", "correct webhook.url, with its path".to_owned()),
    ] {
        let (result, said) = ask(more.clone());
        assert!(result == expected && said.contains(&text), "{more}: {result}: {said}");
    }
}
