//! Answers of receivers on their way to Kafka when their task is given up.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use connect_api::{ErrorClass, Settings, SinkConnector, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, flush, record},
};
use connector_webhook_sink::ConfluentHttpSink;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

#[tokio::test]
async fn a_task_that_is_given_up_writes_no_answers_and_sends_no_requests() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    // Nobody listens there: answers wait to be written.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().to_string();
    let url = server.uri();
    let settings = Settings::from([
        ("http.api.url", url.as_str()),
        ("reporter.bootstrap.servers", closed.as_str()),
        ("reporter.result.topic.name", "answers"),
        ("http.proxy", "none"),
    ]);
    let host = Host::new();
    let (context, _) = host.sink(&settings);
    let config = <ConfluentHttpSink as connect_api::Connector>::Config::parse(&settings).unwrap();
    let mut task = ConfluentHttpSink::start_task(config, context).await.unwrap();
    let records = [record("t", 0, "k", 0), record("t", 1, "k", 1)];
    deliver(&mut *task, &records[..1], &host).await.unwrap();
    host.give_up();
    let began = Instant::now();
    let e = flush(&mut *task, &records[..1]).await.expect_err("the answer was not written");
    assert!(began.elapsed() < Duration::from_secs(5), "it is not waited for: {:?}", began.elapsed());
    assert_eq!(e.class(), ErrorClass::Fatal, "{e:?}");
    assert!(e.message().contains("writing answers to answers"), "{e:?}");
    let e = deliver(&mut *task, &records[1..], &host).await.expect_err("given up");
    assert_eq!(e.class(), ErrorClass::Fatal, "{e:?}");
}
