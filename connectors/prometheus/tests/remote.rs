//! Remote write to a real Prometheus, and to servers that refuse.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{
    Check, Connector, ErrorClass, Result, Settings, SinkConnector, SinkRecord, SinkTask, TopicPartition, Value,
    config::{Config, Problems},
};
use connect_testkit::{
    Host,
    sink::{deliver, flush, record, stop},
};
use connector_prometheus::{PrometheusConfig, PrometheusSink};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, header, path},
};
use xtask::servers::{Prometheus, without};

const METRICS: &str = r#"[
    {"name": "calls_total", "type": "counter", "help": "Calls.", "labels": {"to": "{{value.to}}"}},
    {"name": "call_seconds", "type": "histogram", "help": "Times.", "value": "value.seconds", "buckets": [60, 3600]},
    {"name": "last_seconds", "type": "gauge", "help": "Last.", "value": "value.seconds", "labels": {"from": "{{key}}"},
     "tombstones": "drop"}]"#;

fn settings(url: &str) -> Settings {
    let pairs = [
        ("prometheus.metrics", METRICS),
        ("prometheus.remote.write.url", url),
        ("prometheus.remote.write.interval.ms", "100"),
        ("prometheus.remote.write.labels", "job=calls, instance=here"),
        ("http.proxy", "none"),
        ("http.request.timeout.ms", "10000"),
    ];
    Settings::from(pairs)
}

async fn start(host: &Arc<Host>, url: &str) -> Box<dyn SinkTask> {
    start_with(host, settings(url)).await
}

async fn start_with(host: &Arc<Host>, settings: Settings) -> Box<dyn SinkTask> {
    let (context, _stopping) = host.sink(&settings);
    let config = PrometheusConfig::parse(&settings).expect("settings");
    let mut task = PrometheusSink::start_task(config, context).await.expect("task");
    let partition = TopicPartition { topic: "calls".into(), partition: 0 };
    task.open(&[partition]).await.expect("opened");
    task
}

async fn start_with_a_call(host: &Arc<Host>, url: &str) -> Box<dyn SinkTask> {
    let (mut task, records) = (start(host, url).await, [call(0, "ann", "bob", 30)]);
    deliver(&mut *task, &records, host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    task
}

fn call(offset: i64, from: &str, to: &str, seconds: i64) -> SinkRecord {
    record("calls", offset, from, Value::map([("to", Value::from(to)), ("seconds", Value::Int64(seconds))]))
}

/// Calls the task without records when it is due.
async fn call_when_due(task: &mut dyn SinkTask) -> Result<()> {
    tokio::time::sleep_until(task.due().expect("due")).await;
    task.put(&[]).await
}

async fn check(url: &str) -> Result<Check> {
    let settings = settings(url);
    let (context, _stopping) = Host::new().sink(&settings);
    let config = PrometheusConfig::parse(&settings).expect("settings");
    let mut trial = PrometheusSink::start_trial(config, context).await.expect("trial").expect("there is one");
    trial.check().await
}

/// Asks until the answer is this: values by labels.
fn await_values(prometheus: &Prometheus, expression: &str, expected: &[(&str, &str)]) {
    let (began, limit) = (Instant::now(), Duration::from_secs(60));
    loop {
        let all = prometheus.query(expression).expect("answer");
        let mut found: Vec<(String, String)> = all
            .iter()
            .map(|one| (one["metric"].to_string(), one["value"][1].as_str().unwrap_or_default().to_owned()))
            .collect();
        found.sort();
        let same = found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|((labels, value), (label, expected))| labels.contains(label) && value == expected);
        if same {
            return;
        }
        assert!(began.elapsed() < limit, "{expression} is {found:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_takes_totals_and_the_ends_of_series() {
    if without("prometheus") {
        return;
    }
    let prometheus = Prometheus::start_receiver().expect("prometheus");
    let url = format!("{}/api/v1/write", prometheus.url());
    let Check::Passed(said) = check(&url).await.expect("check") else { panic!("not passed") };
    assert!(said.contains("takes remote writes"), "{said}");
    assert!(prometheus.query("{connector=\"test\"}").expect("answer").is_empty(), "a check leaves no trace");

    let host = Host::new();
    let mut task = start(&host, &url).await;
    let records = [call(0, "ann", "bob", 30), call(1, "bob", "a\"b\\c\nd", 90), call(2, "bob", "bob", 60)];
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    call_when_due(&mut *task).await.expect("written");
    await_values(
        &prometheus,
        "calls_total{job=\"calls\",instance=\"here\",connector=\"test\"}",
        &[(r#""to":"a\"b\\c\nd""#, "1"), (r#""to":"bob""#, "2")],
    );
    await_values(&prometheus, "call_seconds_bucket", &[("\"+Inf\"", "3"), ("\"3600\"", "3"), ("\"60\"", "2")]);
    await_values(&prometheus, "call_seconds_sum / call_seconds_count", &[("", "60")]);
    await_values(&prometheus, "last_seconds", &[("ann", "30"), ("bob", "60")]);

    let more = [call(3, "ann", "bob", 10), record("calls", 4, "bob", Value::Null)];
    deliver(&mut *task, &more, &host).await.expect("put");
    flush(&mut *task, &more).await.expect("flushed");
    call_when_due(&mut *task).await.expect("written");
    await_values(&prometheus, "last_seconds", &[("ann", "10")]);
    stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_is_told_with_the_way_out() {
    if without("prometheus") {
        return;
    }
    let prometheus = Prometheus::start_receiver().expect("prometheus");
    let e = check(&format!("{}/api/v1/writes", prometheus.url())).await.expect_err("another path");
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.message().contains("/api/v1/write for Prometheus") && e.one_line().contains("404"), "{}", e.one_line());
    drop(prometheus);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("port");
    let e = check(&format!("http://{closed}/api/v1/write")).await.expect_err("nobody there");
    assert_eq!(e.class(), ErrorClass::Retriable);
    assert!(e.message().contains("prometheus.remote.write.url"), "{}", e.message());
}

// wiremock: a proxy's login, or another server's front page.
#[tokio::test]
async fn a_web_page_is_no_receiver_whatever_its_status() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_raw("\n<!DOCTYPE html><html>Log in</html>", "text/html");
    Mock::given(any()).respond_with(page).mount(&server).await;
    let e = check(&server.uri()).await.expect_err("a page");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("a web page"), "{}", e.one_line());
    let mut task = start_with_a_call(&Host::new(), &server.uri()).await;
    let e = call_when_due(&mut *task).await.expect_err("a page");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("prometheus.remote.write.url"), "{}", e.one_line());
}

// wiremock: answers that a Prometheus gives only when it is overloaded, or behind a proxy.
#[tokio::test]
async fn answers_are_classified_and_a_refused_write_is_left_out() {
    for (status, class) in [(503, ErrorClass::Retriable), (429, ErrorClass::Retriable), (401, ErrorClass::Fatal)] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).insert_header("retry-after", "7");
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let mut task = start_with_a_call(&Host::new(), &server.uri()).await;
        let e = call_when_due(&mut *task).await.expect_err("refused");
        assert_eq!(e.class(), class, "{}", e.one_line());
        assert_eq!(e.delay(), (class == ErrorClass::Retriable).then_some(Duration::from_secs(7)));
        assert!(task.due().is_some_and(|due| due <= tokio::time::Instant::now()), "it is still due");
    }
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(400).set_body_string("out of order sample");
    Mock::given(any()).respond_with(refused).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let host = Host::new();
    let mut task = start_with_a_call(&host, &server.uri()).await;
    call_when_due(&mut *task).await.expect("left out");
    assert_eq!(host.counted("tocsin_prometheus_refused_writes_total"), 1);
    assert!(host.noted().is_some_and(|note| note.contains("out of order sample")), "{:?}", host.noted());
    call_when_due(&mut *task).await.expect("written");
    assert_eq!(host.noted(), None);
    stop(task).await;
}

// wiremock: Prometheus has no OAuth of its own; a proxy in front of it has.
#[tokio::test]
async fn writes_carry_a_token_of_oauth_2_and_get_another_one_when_it_is_refused() {
    let server = MockServer::start().await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let token = move |_: &Request| {
        let token = format!("t{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        ResponseTemplate::new(200).set_body_string(format!(r#"{{"access_token": "{token}", "expires_in": 3600}}"#))
    };
    Mock::given(path("/token")).respond_with(token).expect(2).mount(&server).await;
    let taken = || ResponseTemplate::new(204);
    let first = Mock::given(path("/write")).and(header("authorization", "Bearer t0"));
    first.respond_with(taken()).up_to_n_times(2).expect(2).mount(&server).await;
    let second = Mock::given(path("/write")).and(header("authorization", "Bearer t1"));
    second.respond_with(taken()).expect(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(401)).expect(1).mount(&server).await;
    let settings = settings(&format!("{}/write", server.uri()))
        .with("http.oauth2.token.url", format!("{}/token", server.uri()))
        .with("http.oauth2.client.id", "tocsin")
        .with("http.oauth2.client.secret", "s3cret");
    let host = Host::new();
    let mut task = start_with(&host, settings.clone()).await;
    let records = [call(0, "ann", "bob", 30)];
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    for _ in 0..3 {
        call_when_due(&mut *task).await.expect("written");
    }
    stop(task).await;
    let mut problems = Problems::new();
    let both = PrometheusConfig::parse(&settings.with("http.token", "t")).expect("single keys");
    PrometheusSink::validate(&both, &mut problems);
    assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["http.oauth2.token.url"]);
}
