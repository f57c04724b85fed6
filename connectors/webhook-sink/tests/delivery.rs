//! The sink against servers that are busy, broken, slow and gone: every record arrives, in order.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use connect_api::{ErrorClass, Settings, SinkConnector, SinkTask, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_webhook_sink::{WebhookSink, WebhookSinkConfig};
use tokio::{io::AsyncReadExt, net::TcpListener};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{any, body_json_string, header, method, path},
};

async fn start(url: &str, more: &[(&str, &str)]) -> (Box<dyn SinkTask>, Arc<Host>) {
    let mut settings =
        Settings::from([("webhook.url", url), ("http.proxy", "none"), ("http.request.timeout.ms", "300")]);
    settings.extend(&more.iter().copied().collect());
    let host = Host::new();
    let (context, _) = host.sink(&settings);
    let config = WebhookSinkConfig::parse(&settings).unwrap();
    (WebhookSink::start_task(config, context).await.unwrap(), host)
}

/// Accepts a body of a number, but answers by a script first.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<Vec<ResponseTemplate>>>,
    accepted: Arc<Mutex<Vec<i64>>>,
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let n: i64 = String::from_utf8_lossy(&request.body).parse().unwrap();
        // Every third request is answered by the script.
        if n % 3 == 1
            && let Some(answer) = self.answers.lock().unwrap().pop()
        {
            return answer;
        }
        self.accepted.lock().unwrap().push(n);
        ResponseTemplate::new(202)
    }
}

#[tokio::test]
async fn every_record_arrives_once_and_in_order_whatever_the_server_answers_at_first() {
    let answers = vec![
        ResponseTemplate::new(429).insert_header("retry-after", "1"),
        ResponseTemplate::new(500).set_body_string("broken"),
        ResponseTemplate::new(503),
        ResponseTemplate::new(408),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(2)),
    ];
    let script = Script { answers: Arc::new(Mutex::new(answers)), accepted: Arc::default() };
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(script.clone()).mount(&server).await;
    let (mut task, host) = start(&server.uri(), &[("webhook.body", "{{value}}")]).await;
    let records: Vec<_> = (0..20).map(|i| record("t", i, "k", i)).collect();
    let begin = Instant::now();
    let retries = deliver(&mut *task, &records, &host).await.unwrap();
    assert_eq!(retries, 5);
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    assert_eq!(*script.accepted.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_hangs_up_is_tried_again() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (mut task, host) = start(&format!("http://{address}/"), &[]).await;
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        drop((stream, socket));
        let socket = std::net::TcpListener::bind(address).unwrap();
        let server = MockServer::builder().listener(socket).start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        std::future::pending::<()>().await;
    });
    assert!(deliver(&mut *task, &[record("t", 0, "k", 1)], &host).await.unwrap() >= 1);
}

#[tokio::test]
async fn a_refused_record_is_reported_once_and_the_others_arrive() {
    let server = MockServer::start().await;
    let refuse = ResponseTemplate::new(422).set_body_string("no such field");
    Mock::given(path("/k1")).respond_with(refuse).expect(1).mount(&server).await;
    Mock::given(path("/k3")).respond_with(ResponseTemplate::new(503)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).expect(2).mount(&server).await;
    let (mut task, host) = start(&format!("{}/{{{{key}}}}", server.uri()), &[]).await;
    let records: Vec<_> = ["k0", "k1", "..", "k3"].iter().zip(0..).map(|(k, i)| record("t", i, *k, i)).collect();
    deliver(&mut *task, &records, &host).await.unwrap();
    let reported = host.reported();
    assert_eq!(reported.iter().filter_map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 2]);
    assert!(reported[0].1.one_line().ends_with("the server answered 422 Unprocessable Entity: no such field"));
}

#[tokio::test]
async fn wrong_credentials_are_fatal_and_nothing_secret_is_shown() {
    let server = MockServer::start().await;
    let echo = |r: &Request| {
        let seen = format!("{} {:?}", r.url, r.headers.get("x-key"));
        ResponseTemplate::new(403).set_body_string(seen)
    };
    Mock::given(any()).respond_with(echo).mount(&server).await;
    let url = format!("{}/hook?token=tops3cret", server.uri());
    let (mut task, host) = start(&url, &[("webhook.headers", "X-Key: an0thers3cret")]).await;
    let e = deliver(&mut *task, &[record("t", 0, "k", 1)], &host).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    let shown = format!("{}/hook (webhook.url): allow it to whom http.token,", server.uri());
    assert!(e.message().contains(&shown) && !e.report().contains("s3cret"), "{}", e.report());
}

#[tokio::test]
async fn methods_headers_and_tombstones_are_as_set() {
    let server = MockServer::start().await;
    let body = r#"{"topic":"t","partition":null,"timestamp":0,"key":"a","value":{"x":1},"headers":{},"offset":0}"#;
    Mock::given(method("PUT"))
        .and(path("/a"))
        .and(header("x-key", "1"))
        .and(header("content-type", "text/x"))
        .and(header("authorization", "Bearer tok"))
        .and(body_json_string(body))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path("/a"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let records = [record("t", 0, "a", Value::map([("x", Value::Int64(1))])), record("t", 1, "a", Value::Null)];
    let common = [
        ("webhook.method", "PUT"),
        ("webhook.headers", "X-Key: 1"),
        ("webhook.content.type", "text/x"),
        ("http.token", "tok"),
    ];
    let url = format!("{}/{{{{key}}}}", server.uri());
    let all: Vec<_> = common.iter().copied().chain([("webhook.tombstones", "delete")]).collect();
    let (mut task, host) = start(&url, &all).await;
    deliver(&mut *task, &records, &host).await.unwrap();
    let all: Vec<_> = common.iter().copied().chain([("webhook.tombstones", "ignore")]).collect();
    let (mut task, host) = start(&url, &all).await;
    deliver(&mut *task, &records[1..], &host).await.unwrap();
}
