//! Configurations of Aiven's and Confluent's HTTP sinks against mocks: what they say is done.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{ErrorClass, Settings, SinkConnector, SinkTask, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_webhook_sink::{AivenHttpSink, ConfluentHttpSink};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, body_string, header, method, path},
};

async fn start<S: SinkConnector>(given: &[(&str, &str)]) -> (Box<dyn SinkTask>, Arc<Host>) {
    let settings: Settings = given.iter().copied().collect();
    let host = Host::new();
    let (context, _) = host.sink(&settings);
    (S::start_task(S::Config::parse(&settings).unwrap(), context).await.unwrap(), host)
}

#[tokio::test]
async fn aivens_batches_carry_a_token_and_the_values_as_they_are() {
    let server = MockServer::start().await;
    let token = ResponseTemplate::new(200).set_body_json(json!({"tok": "t0"}));
    Mock::given(path("/token"))
        .and(body_string("grant_type=client_credentials&scope=s&client_id=me&client_secret=s3cret"))
        .respond_with(token)
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/x"))
        .and(method("POST"))
        .and(header("authorization", "Bearer t0"))
        .and(header("content-type", "text/plain"))
        .and(header("x-a", "1"))
        .and(body_string("one\n{\"n\":2}\n"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let (url, token_url) = (format!("{}/x", server.uri()), format!("{}/token", server.uri()));
    let (mut task, host) = start::<AivenHttpSink>(&[
        ("http.url", &url),
        ("http.authorization.type", "oauth2"),
        ("oauth2.access.token.url", &token_url),
        ("oauth2.client.id", "me"),
        ("oauth2.client.secret", "s3cret"),
        ("oauth2.client.scope", "s"),
        ("oauth2.client.authorization.mode", "URL"),
        ("oauth2.response.token.property", "tok"),
        ("http.headers.content.type", "text/plain"),
        ("http.headers.additional", "X-A:1"),
        ("batching.enabled", "true"),
        ("http.proxy", "none"),
    ])
    .await;
    let records = [
        record("t", 0, "k", "one"),
        record("t", 2, "k", Value::map([("n", Value::Int64(2))])),
        record("t", 3, "k", Value::Null),
    ];
    deliver(&mut *task, &records, &host).await.unwrap();
    assert_eq!(
        host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(),
        [Some(3)],
        "values must not be null"
    );
}

#[tokio::test]
async fn aivens_retries_end_where_they_are_said_to_and_nowhere_else() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).expect(4).mount(&server).await;
    let url = server.uri();
    let common = [("http.url", url.as_str()), ("http.authorization.type", "none"), ("http.proxy", "none")];
    let limited: Vec<_> = common.iter().copied().chain([("max.retries", "3"), ("retry.backoff.ms", "200")]).collect();
    let (mut task, host) = start::<AivenHttpSink>(&limited).await;
    let began = Instant::now();
    let e = deliver(&mut *task, &[record("t", 0, "k", "v")], &host).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.report().contains("giving up after 4 tries") && e.report().contains("503"), "{}", e.report());
    assert!(began.elapsed() >= Duration::from_millis(600), "with pauses: {:?}", began.elapsed());

    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(9).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let url = server.uri();
    let endless = [("http.url", url.as_str()), ("http.authorization.type", "none"), ("http.proxy", "none")];
    let (mut task, host) = start::<AivenHttpSink>(&endless).await;
    assert_eq!(deliver(&mut *task, &[record("t", 0, "k", "v")], &host).await.unwrap(), 9);
}

#[tokio::test]
async fn confluents_given_up_records_are_bad_ones_and_the_next_are_tried_anew() {
    let server = MockServer::start().await;
    Mock::given(path("/k0")).respond_with(ResponseTemplate::new(404)).expect(3).mount(&server).await;
    Mock::given(path("/k1")).respond_with(ResponseTemplate::new(500)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(2).mount(&server).await;
    let url = format!("{}/${{key}}", server.uri());
    let (mut task, host) = start::<ConfluentHttpSink>(&[
        ("http.api.url", &url),
        ("max.retries", "2"),
        ("retry.backoff.ms", "10"),
        ("retry.on.status.codes", "400-"),
        ("behavior.on.error", "log"),
    ])
    .await;
    let records = [record("t", 0, "k0", "a"), record("t", 1, "k1", "b"), record("t", 2, "k2", "c")];
    deliver(&mut *task, &records, &host).await.unwrap();
    let reported = host.reported();
    assert_eq!(reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(0)]);
    assert!(reported[0].1.report().contains("404"), "{}", reported[0].1.report());
}

#[tokio::test]
async fn tries_are_those_of_a_request_whatever_becomes_of_others() {
    let server = MockServer::start().await;
    let requests = std::sync::atomic::AtomicU32::new(0);
    let one_in_five = move |_: &wiremock::Request| {
        let n = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        ResponseTemplate::new(if n.is_multiple_of(5) { 503 } else { 200 })
    };
    Mock::given(any()).respond_with(one_in_five).mount(&server).await;
    let (mut task, host) = start::<AivenHttpSink>(&[
        ("http.url", &server.uri()),
        ("http.authorization.type", "none"),
        ("http.proxy", "none"),
        ("max.retries", "1"),
        ("retry.backoff.ms", "1"),
    ])
    .await;
    let records: Vec<_> = (0..40).map(|n| record("t", n, "k", "v")).collect();
    assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 10);
    assert!(host.reported().is_empty());
}

#[tokio::test]
async fn a_batch_that_is_given_up_is_given_up_as_a_whole() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let (mut task, host) = start::<ConfluentHttpSink>(&[
        ("http.api.url", &server.uri()),
        ("batch.max.size", "10"),
        ("max.retries", "2"),
        ("retry.backoff.ms", "10"),
        ("behavior.on.error", "ignore"),
    ])
    .await;
    let records: Vec<_> = (0..4).map(|n| record("t", n, "k", n)).collect();
    deliver(&mut *task, &records, &host).await.unwrap();
    assert_eq!(host.reported().len(), 4);
    let requests = async || server.received_requests().await.unwrap().len();
    assert_eq!(requests().await, 3, "none is tried alone");
    deliver(&mut *task, &records[..1], &host).await.unwrap();
    assert_eq!(requests().await, 3 + 3, "what comes next is tried anew");
}

#[tokio::test]
async fn confluents_tombstones_batches_and_credentials_are_as_set() {
    let server = MockServer::start().await;
    let basic = header("authorization", "Basic dTpwdw==");
    Mock::given(method("PUT"))
        .and(path("/t"))
        .and(basic)
        .and(body_string(r#"["a","b"]"#))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path("/t"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!("{}/${{topic}}", server.uri());
    let (mut task, host) = start::<ConfluentHttpSink>(&[
        ("http.api.url", &url),
        ("request.method", "PUT"),
        ("request.body.format", "json"),
        ("batch.max.size", "5"),
        ("batch.json.as.array", "true"),
        ("behavior.on.null.values", "delete"),
        ("auth.type", "BASIC"),
        ("connection.user", "u"),
        ("connection.password", "pw"),
    ])
    .await;
    let records = [record("t", 0, "k", "a"), record("t", 1, "k", "b"), record("t", 2, "k", Value::Null)];
    deliver(&mut *task, &records, &host).await.unwrap();
    assert!(host.reported().is_empty());
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_by_the_names_of_their_settings() {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(401).set_body_json(json!({"error": "invalid_client"}));
    Mock::given(path("/token")).respond_with(refused).mount(&server).await;
    let token_url = format!("{}/token", server.uri());
    let (mut task, host) = start::<ConfluentHttpSink>(&[
        ("http.api.url", &server.uri()),
        ("auth.type", "OAUTH2"),
        ("oauth2.token.url", &token_url),
        ("oauth2.client.id", "me"),
        ("oauth2.client.secret", "s3cret"),
    ])
    .await;
    let e = deliver(&mut *task, &[record("t", 0, "k", "v")], &host).await.unwrap_err();
    assert!(e.is_denied() && e.message().contains("(oauth2.token.url): correct oauth2.client.id and"), "{e:?}");
}
