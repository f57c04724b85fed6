//! Batches against mocks that fail in every way that a server has: what can be stored is, once and in order, and a bad
//! record is found wherever it stands.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use connect_api::{ErrorClass, Settings, SinkConnector, SinkTask, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_webhook_sink::{WebhookSink, WebhookSinkConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{any, path},
};

async fn start(url: &str, more: &[(&str, &str)]) -> (Box<dyn SinkTask>, Arc<Host>) {
    let mut settings = Settings::from([
        ("webhook.url", url),
        ("webhook.body.format", "value"),
        ("webhook.batch.format", "array"),
        ("http.proxy", "none"),
        ("http.request.timeout.ms", "400"),
    ]);
    settings.extend(&more.iter().copied().collect());
    with(&settings).await
}

async fn with(settings: &Settings) -> (Box<dyn SinkTask>, Arc<Host>) {
    let host = Host::new();
    let (context, _) = host.sink(settings);
    let config = WebhookSinkConfig::parse(settings).unwrap();
    (WebhookSink::start_task(config, context).await.unwrap(), host)
}

fn numbers(range: std::ops::Range<i64>) -> Vec<connect_api::SinkRecord> {
    range.map(|n| record("t", n, format!("k{}", n % 3), n)).collect()
}

/// A receiver of arrays of numbers that refuses those with a bad one, whole, and may fail otherwise at first.
#[derive(Clone, Default)]
struct Receiver {
    bad: Option<i64>,
    troubles: Arc<Mutex<VecDeque<ResponseTemplate>>>,
    stored: Arc<Mutex<Vec<i64>>>,
    requests: Arc<Mutex<usize>>,
}

impl Respond for Receiver {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        *self.requests.lock().unwrap() += 1;
        let all: Vec<i64> = serde_json::from_slice(&request.body).unwrap();
        if let Some(trouble) = self.troubles.lock().unwrap().pop_front() {
            return trouble;
        }
        if let Some(bad) = self.bad.filter(|bad| all.contains(bad)) {
            return ResponseTemplate::new(400).set_body_string(format!("{bad} is bad"));
        }
        self.stored.lock().unwrap().extend(all);
        ResponseTemplate::new(200)
    }
}

#[tokio::test]
async fn a_poison_record_is_found_wherever_it_stands_in_a_batch() {
    for in_flight in ["1", "3"] {
        for bad in 0..8 {
            let receiver = Receiver { bad: Some(bad), ..Receiver::default() };
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(receiver.clone()).mount(&server).await;
            let (mut task, host) = start(&server.uri(), &[("http.max.in.flight", in_flight)]).await;
            deliver(&mut *task, &numbers(0..8), &host).await.unwrap();
            let mut stored = receiver.stored.lock().unwrap().clone();
            if in_flight != "1" {
                stored.sort_unstable();
            }
            assert_eq!(stored, (0..8).filter(|n| *n != bad).collect::<Vec<_>>(), "all others, once, bad is {bad}");
            let reported = host.reported();
            assert_eq!(reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(bad)]);
            assert!(reported[0].1.one_line().ends_with(&format!("400 Bad Request: {bad} is bad")), "{reported:?}");
        }
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_written_does_not_split_more_than_its_batch() {
    let receiver = Receiver::default();
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(receiver.clone()).mount(&server).await;
    let settings = Settings::from([
        ("webhook.url", server.uri().as_str()),
        ("webhook.body", "{{value.n}}"),
        ("webhook.batch.format", "array"),
        ("webhook.tombstones", "ignore"),
        ("http.proxy", "none"),
    ]);
    let (mut task, host) = with(&settings).await;
    let mut records: Vec<_> = (0..6).map(|n| record("t", n, "k", Value::map([("n", Value::Int64(n))]))).collect();
    records[2].record.value = Value::map([("m", Value::Int64(2))]);
    records[4].record.value = Value::Null;
    deliver(&mut *task, &records, &host).await.unwrap();
    assert_eq!(*receiver.stored.lock().unwrap(), [0, 1, 3, 5]);
    assert_eq!(*receiver.requests.lock().unwrap(), 2);
    assert_eq!(host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(2)]);
}

#[tokio::test]
async fn bursts_of_failures_and_both_forms_of_retry_after_lose_and_double_nothing() {
    let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    let troubles = VecDeque::from([
        ResponseTemplate::new(429).insert_header("retry-after", "1"),
        ResponseTemplate::new(429).insert_header("retry-after", later.as_str()),
        ResponseTemplate::new(500),
        ResponseTemplate::new(502),
        ResponseTemplate::new(503).set_body_string("x".repeat(5_000_000)),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(2)),
        ResponseTemplate::new(404),
    ]);
    let receiver = Receiver { troubles: Arc::new(Mutex::new(troubles)), ..Receiver::default() };
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(receiver.clone()).mount(&server).await;
    let more = [("webhook.batch.max.records", "10"), ("webhook.retry.statuses", "404")];
    let (mut task, host) = start(&server.uri(), &more).await;
    let began = std::time::Instant::now();
    assert_eq!(deliver(&mut *task, &numbers(0..35), &host).await.unwrap(), 7);
    assert!(began.elapsed() >= Duration::from_millis(1900), "both were waited for: {:?}", began.elapsed());
    assert_eq!(*receiver.stored.lock().unwrap(), (0..35).collect::<Vec<_>>());
    assert!(host.reported().is_empty());
}

/// What is done with the connection of a request.
type Rudeness = fn(TcpStream) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Is rude with the first requests, and then a receiver.
async fn rude(how: Rudeness, times: usize) -> (String, Receiver) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let receiver = Receiver::default();
    let polite = receiver.clone();
    tokio::spawn(async move {
        for _ in 0..times {
            let (mut stream, _) = socket.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            tokio::spawn(how(stream));
        }
        drop(socket);
        let server = MockServer::builder().listener(std::net::TcpListener::bind(address).unwrap()).start().await;
        Mock::given(any()).respond_with(polite).mount(&server).await;
        std::future::pending::<()>().await;
    });
    (format!("http://{address}/"), receiver)
}

#[tokio::test]
async fn connections_that_break_or_hang_are_tried_again() {
    let half_closed: Rudeness = |mut stream| {
        Box::pin(async move {
            stream.shutdown().await.unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
        })
    };
    let silent: Rudeness = |stream| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(stream);
        })
    };
    let half_a_head: Rudeness = |mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-").await.unwrap();
        })
    };
    for how in [half_closed, silent, half_a_head] {
        let (url, receiver) = rude(how, 2).await;
        let (mut task, host) = start(&url, &[]).await;
        assert!(deliver(&mut *task, &numbers(0..5), &host).await.unwrap() >= 2);
        assert_eq!(*receiver.stored.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_success_whose_text_breaks_off_or_never_ends_stays_one() {
    let cut: Rudeness = |mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        })
    };
    let huge: Rudeness = |mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await.unwrap();
            // Until the client has enough.
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        })
    };
    for how in [cut, huge] {
        let (url, receiver) = rude(how, 1).await;
        let (mut task, host) = start(&url, &[]).await;
        assert_eq!(deliver(&mut *task, &numbers(0..5), &host).await.unwrap(), 0);
        assert!(receiver.stored.lock().unwrap().is_empty(), "not sent again");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_say_what_to_set() {
    let server = MockServer::start().await;
    let there = ResponseTemplate::new(307).insert_header("location", "https://other/place?secret=x");
    Mock::given(path("/here")).respond_with(there).expect(1).mount(&server).await;
    let (mut task, host) = start(&format!("{}/here", server.uri()), &[]).await;
    let e = deliver(&mut *task, &numbers(0..1), &host).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.report().contains("a redirect to https://other/place; redirects are not followed"), "{}", e.report());
}

#[tokio::test]
async fn batches_are_of_one_url_and_within_their_limits() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let url = format!("{}/{{{{key}}}}", server.uri());
    let (mut task, host) = start(&url, &[("webhook.batch.max.bytes", "12")]).await;
    deliver(&mut *task, &numbers(0..30), &host).await.unwrap();
    let mut stored: Vec<Vec<i64>> = vec![Vec::new(); 3];
    for request in server.received_requests().await.unwrap() {
        assert!(request.body.len() <= 12, "{} bytes", request.body.len());
        let all: Vec<i64> = serde_json::from_slice(&request.body).unwrap();
        let key: usize = request.url.path().trim_start_matches("/k").parse().unwrap();
        stored[key].extend(all);
    }
    for (key, stored) in (0..).zip(stored) {
        assert_eq!(stored, (0..30).filter(|n| n % 3 == key).collect::<Vec<_>>());
    }
    assert!(server.received_requests().await.unwrap().len() <= 12);
}

#[tokio::test]
async fn statuses_mean_what_the_settings_say() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(404)).expect(1).mount(&server).await;
    let (mut task, host) = start(&server.uri(), &[("webhook.success.statuses", "200-299,404")]).await;
    assert_eq!(deliver(&mut *task, &numbers(0..3), &host).await.unwrap(), 0);
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let (mut task, host) = start(&server.uri(), &[("webhook.success.statuses", "202")]).await;
    assert_eq!(deliver(&mut *task, &numbers(0..3), &host).await.unwrap_err().class(), ErrorClass::Fatal);
}
