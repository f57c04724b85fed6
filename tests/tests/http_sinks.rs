//! The sinks that send over HTTP, in the real server, against servers that are busy, broken and rude: every
//! record arrives, in order.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, kafka::Reader, wait};
use tokio::runtime::Runtime;
use wiremock::{Match, Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 60;
/// Part of the URLs; must never be shown.
const SECRET: &str = "s3cret";

/// Remembers the texts that it takes, in order, and when.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<(String, Instant)>>>);

impl Taken {
    fn texts(&self) -> Vec<String> {
        self.0.lock().expect("lock").iter().map(|(text, _)| text.clone()).collect()
    }

    fn when(&self, text: &str) -> Option<Instant> {
        self.0.lock().expect("lock").iter().find(|(t, _)| t == text).map(|(_, at)| *at)
    }
}

impl Respond for Taken {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.lock().expect("lock").push((text_of(request), Instant::now()));
        ResponseTemplate::new(200).set_body_string("ok")
    }
}

/// The text of a message, of either sink.
fn text_of(request: &Request) -> String {
    let body: Json = serde_json::from_slice(&request.body).expect("a body of JSON");
    body["text"].as_str().expect("text").to_owned()
}

/// The request whose text is this.
struct Says(&'static str);

impl Match for Says {
    fn matches(&self, request: &Request) -> bool {
        text_of(request) == self.0
    }
}

fn text(n: usize) -> String {
    format!("key-{}:{n}", n % 3)
}

/// A server that takes everything but one record, and some only when they come again.
fn server(runtime: &Runtime) -> (MockServer, Taken) {
    let (server, taken) = (runtime.block_on(MockServer::start()), Taken::default());
    runtime.block_on(async {
        let busy = ResponseTemplate::new(429).insert_header("retry-after", "2").set_body_string("rate_limited");
        let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(3));
        let troubles = [("key-1:7", busy, 1), ("key-0:18", ResponseTemplate::new(500), 2), ("key-2:29", late, 1)];
        for (text, answer, times) in troubles {
            Mock::given(Says(text)).respond_with(answer).up_to_n_times(times).expect(times).mount(&server).await;
        }
        let wrong = ResponseTemplate::new(400).set_body_string("no such thing");
        Mock::given(Says("key-0:12")).respond_with(wrong).expect(1).mount(&server).await;
        let unavailable = ResponseTemplate::new(503).set_body_string("down");
        Mock::given(Says("key-1:40")).respond_with(unavailable).up_to_n_times(1).expect(1).mount(&server).await;
        let closed = |_: &Request| io::Error::from(io::ErrorKind::ConnectionReset);
        Mock::given(Says("key-0:51")).respond_with_err(closed).up_to_n_times(1).expect(1).mount(&server).await;
        Mock::given(any()).respond_with(taken.clone()).mount(&server).await;
    });
    (server, taken)
}

/// Delivers through the sink and checks what arrived.
fn delivers(name: &str, config: impl FnOnce(&str) -> Json) {
    let runtime = Runtime::new().expect("runtime");
    let (server, taken) = server(&runtime);
    let dir = tempfile::tempdir().expect("folder");
    let mut connectd = Connectd::start(&[], &dir.path().join("log"));
    let bootstrap = wait("the broker's address in the log", LIMIT, || {
        let text = connectd.log_text();
        let line = text.lines().find(|l| l.contains("Kafka broker "))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    });
    let mut config = config(&server.uri());
    for (key, value) in [
        ("topics", json!("messages")),
        ("value.converter", json!("StringConverter")),
        ("http.proxy", json!("none")),
        ("http.request.timeout.ms", json!(1000)),
        ("errors.tolerance", json!("all")),
    ] {
        config[key] = value;
    }
    let records = (0..RECORDS).map(|n| (format!("key-{}", n % 3), Some(n.to_string().into_bytes())));
    Reader::new(&bootstrap).write_all("messages", records);
    let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": name, "config": config })));
    assert_eq!(status, 201, "{body}");

    wait("the status to say that it is told to wait", LIMIT, || {
        let status = connectd.get(&format!("/connectors/{name}/status")).1;
        assert_ne!(status["tasks"][0]["state"], "FAILED", "{status}");
        let detail = &status["tasks"][0]["detail"];
        // Slack's channels wait each for itself, which is no trouble of the task's.
        let said = detail["retrying"].as_str().or(detail["note"].as_str())?;
        (said.contains("429") && said.contains("rate_limited") || said.contains("slack asks to wait 2 s")).then_some(())
    });
    wait("every record but the one that is refused", LIMIT, || (taken.texts().len() >= RECORDS - 1).then_some(()));
    for key in ["key-0:", "key-1:", "key-2:"] {
        let of_key = |texts: Vec<String>| texts.into_iter().filter(|t| t.starts_with(key)).collect::<Vec<_>>();
        let written = of_key((0..RECORDS).filter(|n| *n != 12).map(text).collect());
        assert_eq!(of_key(taken.texts()), written, "each record once and in the order of its key");
    }
    let (before, after) = (taken.when(&text(4)).expect("taken"), taken.when(&text(7)).expect("taken"));
    assert!(after - before >= Duration::from_millis(1900), "Retry-After is honoured: {:?}", after - before);
    connectd.await_state(name, "RUNNING");
    let status = wait("all to be counted", LIMIT, || {
        let status = connectd.get(&format!("/connectors/{name}/status")).1;
        let detail = &status["tasks"][0]["detail"];
        (detail["records_out"] == RECORDS - 1 && detail["records_bad"] == 1).then_some(status)
    });
    assert!(!status.to_string().contains(SECRET), "{status}");
    assert!(connectd.terminate().1, "stopped well");
    assert!(!connectd.log_text().contains(SECRET), "no secret in the log: {}", connectd.log_text());
    runtime.block_on(server.verify());
}

#[test]
fn slack_messages_arrive_once_and_in_order_whatever_slack_answers_at_first() {
    delivers("slack", |url| {
        json!({
            "connector.class": "slack-sink", "slack.webhook.url": format!("{url}/services/T00/B00/{SECRET}"),
            "slack.raised.template": "{{key}}:{{value}}", "slack.interval.ms": 1, "slack.digest.after": 0
        })
    });
}

#[test]
fn webhooks_arrive_once_and_in_order_whatever_the_server_answers_at_first() {
    delivers("webhook", |url| {
        json!({
            "connector.class": "webhook-sink", "webhook.url": format!("{url}/hook?token={SECRET}"),
            "webhook.body": "{\"text\": {{key ~ ':' ~ value}}}"
        })
    });
}

/// Lets in who has this token.
struct Bearer(&'static str);

impl Match for Bearer {
    fn matches(&self, request: &Request) -> bool {
        request.headers.get("authorization").is_some_and(|value| value == &format!("Bearer {}", self.0))
    }
}

#[test]
fn who_is_refused_looks_for_new_credentials_before_failing() {
    const TOKENS: [&str; 3] = ["token-of-yesterday", "token-of-today", "token-of-tomorrow"];
    let (runtime, taken) = (Runtime::new().expect("runtime"), Taken::default());
    let server = runtime.block_on(MockServer::start());
    let allow = |token: &'static str| {
        runtime.block_on(async {
            server.reset().await;
            Mock::given(Bearer(token)).respond_with(taken.clone()).mount(&server).await;
            Mock::given(any()).respond_with(ResponseTemplate::new(401).set_body_string("expired")).mount(&server).await;
        });
    };
    allow(TOKENS[0]);
    let dir = tempfile::tempdir().expect("folder");
    let secrets = dir.path().join("secrets.properties");
    let rotate = |token: &str| std::fs::write(&secrets, format!("token={token}\n")).expect("secrets");
    rotate(TOKENS[0]);
    let worker = tocsin_tests::file(
        dir.path(),
        "worker.yaml",
        "key.converter: StringConverter\nvalue.converter: StringConverter\nrestart.attempts: 0\n\
         config.providers: file\nconfig.providers.file.class: FileConfigProvider\n",
    );
    let connectd = Connectd::start(&["-c", &worker, "--embedded"], &dir.path().join("log"));
    let bootstrap = wait("the broker's address in the log", LIMIT, || {
        let text = connectd.log_text();
        let line = text.lines().find(|l| l.contains("Kafka broker "))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    });
    let config = json!({
        "connector.class": "webhook-sink", "topics": "messages", "webhook.url": server.uri(), "http.proxy": "none",
        "webhook.body": "{\"text\": {{value}}}", "http.token": format!("${{file:{}:token}}", secrets.display())
    });
    let reader = Reader::new(&bootstrap);
    let send = |text: &str| reader.write("messages", "key", Some(text.as_bytes()));
    send("first");
    let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": "w", "config": config })));
    assert_eq!(status, 201, "{body}");
    let arrives = |text: &str| wait(text, LIMIT, || taken.texts().contains(&text.to_owned()).then_some(()));
    arrives("first");
    // The token has changed and so has the file: the task never fails.
    rotate(TOKENS[1]);
    allow(TOKENS[1]);
    send("second");
    arrives("second");
    assert!(!connectd.log_text().contains("the task failed"), "{}", connectd.log_text());
    // The file has not changed yet: there is nothing to try it with.
    allow(TOKENS[2]);
    send("third");
    wait("the task to fail", LIMIT, || {
        (connectd.get("/connectors/w/status").1["tasks"][0]["state"] == "FAILED").then_some(())
    });
    rotate(TOKENS[2]);
    assert_eq!(connectd.send("POST", "/connectors/w/tasks/0/restart", None).0, 204);
    arrives("third");
    let log = connectd.log_text();
    assert!(log.contains("correct http.token"), "{log}");
    TOKENS.iter().for_each(|token| assert!(!log.contains(token), "{token} is shown: {log}"));
}

/// Is down until it is told otherwise.
#[derive(Clone, Default)]
struct Down(Arc<Mutex<(bool, Vec<Instant>)>>);

impl Respond for Down {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().expect("lock");
        state.1.push(Instant::now());
        if state.0 { ResponseTemplate::new(200).set_body_string("ok") } else { ResponseTemplate::new(503) }
    }
}

#[test]
fn what_waits_for_slack_is_not_out_and_an_outage_is_told_once_with_growing_pauses() {
    let (runtime, down) = (Runtime::new().expect("runtime"), Down::default());
    let server = runtime.block_on(MockServer::start());
    runtime.block_on(Mock::given(any()).respond_with(down.clone()).mount(&server));
    let dir = tempfile::tempdir().expect("folder");
    let mut connectd = Connectd::start(&[], &dir.path().join("log"));
    let bootstrap = wait("the broker's address in the log", LIMIT, || {
        let text = connectd.log_text();
        let line = text.lines().find(|l| l.contains("Kafka broker "))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    });
    Reader::new(&bootstrap).write_all("messages", (0..2).map(|n| (format!("key-{n}"), Some(b"m".to_vec()))));
    let config = json!({ "connector.class": "slack-sink", "topics": "messages", "value.converter": "StringConverter",
        "slack.webhook.url": format!("{}/services/T00/B00/{SECRET}", server.uri()), "http.proxy": "none",
        "slack.raised.template": "{{key}}:{{value}}" });
    let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": "slack", "config": config })));
    assert_eq!(status, 201, "{body}");
    let detail = || connectd.get("/connectors/slack/status").1["tasks"][0]["detail"].clone();
    wait("trouble in the status", LIMIT, || detail()["retrying"].as_str().map(drop));
    let requests = || down.0.lock().expect("lock").1.clone();
    wait("the sixth try", LIMIT, || {
        let detail = detail();
        assert!(detail["retrying"].as_str().is_some_and(|text| text.contains("503")), "all the time: {detail}");
        assert!(detail["note"].as_str().is_some_and(|text| text.contains("next try after")), "{detail}");
        assert_eq!((&detail["records_out"], &detail["last_record"]), (&json!(0), &Json::Null), "{detail}");
        assert!(detail["lag"].is_null() || detail["lag"] == 2, "what waits has not been told: {detail}");
        (requests().len() >= 6).then_some(())
    });
    let seen = requests();
    let pauses: Vec<Duration> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[4] >= Duration::from_millis(4800), "{pauses:?}");
    let lines = |text: &str| connectd.log_text().lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("writing failed"), lines("writing succeeds again")), (1, 0), "{}", connectd.log_text());
    down.0.lock().expect("lock").0 = true;
    wait("both to be told", LIMIT, || {
        let detail = detail();
        (detail["records_out"] == 2 && detail["lag"] == 0 && detail["retrying"].is_null() && detail["note"].is_null())
            .then_some(())
    });
    assert_eq!((lines("writing failed"), lines("writing succeeds again")), (1, 1), "{}", connectd.log_text());
    assert!(connectd.terminate().1, "stopped well");
}
