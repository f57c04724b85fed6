//! The sink against a server that answers as Slack does.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use connect_api::{
    CancellationToken, ErrorClass, Settings, SinkConnector, SinkRecord, SinkTask, Value, config::Config,
};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_slack::{SlackConfig, SlackSink};
use serde_json::Value as Json;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const HOOK: &str = "/services/T00/B00/s3cret";

async fn start(server: &MockServer, interval: &str) -> (Box<dyn SinkTask>, Arc<Host>, CancellationToken) {
    let settings = Settings::from([
        ("slack.webhook.url", format!("{}{HOOK}", server.uri())),
        ("slack.interval.ms", interval.to_owned()),
        ("http.proxy", "none".to_owned()),
        ("http.request.timeout.ms", "300".to_owned()),
    ]);
    let host = Host::new();
    let (context, stopping) = host.sink(&settings);
    let config = SlackConfig::parse(&settings).unwrap();
    (SlackSink::start_task(config, context).await.unwrap(), host, stopping)
}

/// Remembers messages that it takes, and when.
#[derive(Clone, Default)]
struct Channel {
    answers: Arc<Mutex<Vec<ResponseTemplate>>>,
    messages: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Respond for Channel {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let json: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(request.headers["content-type"], "application/json; charset=utf-8");
        let mut answers = self.answers.lock().unwrap();
        // The first of two messages is taken, so that trouble comes in the middle of a slice.
        if self.messages.lock().unwrap().len() % 2 == 1
            && let Some(answer) = answers.pop()
        {
            return answer;
        }
        self.messages.lock().unwrap().push((json["text"].as_str().unwrap().to_owned(), Instant::now()));
        ResponseTemplate::new(200).set_body_string("ok")
    }
}

async fn channel(answers: Vec<ResponseTemplate>) -> (MockServer, Channel) {
    let (server, channel) = (MockServer::start().await, Channel::default());
    *channel.answers.lock().unwrap() = answers;
    Mock::given(any()).respond_with(channel.clone()).mount(&server).await;
    (server, channel)
}

fn alarms(n: i64) -> Vec<SinkRecord> {
    let alarm = |i: i64| match i % 2 {
        0 => Value::map([("priority", Value::from("P1_LIFE")), ("message", Value::from(format!("m{i}")))]),
        _ => Value::Null,
    };
    (0..n).map(|i| record("active-alarms", i, "pump", alarm(i))).collect()
}

#[tokio::test]
async fn raises_and_clears_arrive_once_in_order_whatever_slack_answers_at_first() {
    let (server, channel) = channel(vec![
        ResponseTemplate::new(429).insert_header("retry-after", "1").set_body_string("rate_limited"),
        ResponseTemplate::new(500).set_body_string("rollup_error"),
        ResponseTemplate::new(503),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(2)),
    ])
    .await;
    let (mut task, host, _) = start(&server, "1").await;
    let begin = Instant::now();
    assert_eq!(deliver(&mut *task, &alarms(12), &host).await.unwrap(), 4);
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    let texts: Vec<String> = channel.messages.lock().unwrap().iter().map(|(text, _)| text.clone()).collect();
    let expected: Vec<String> = (0..12)
        .map(|i| match i % 2 {
            0 => format!(":rotating_light: *pump* P1_LIFE: m{i}"),
            _ => ":large_green_circle: *pump* cleared".to_owned(),
        })
        .collect();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn messages_keep_their_distance() {
    let (server, channel) = channel(Vec::new()).await;
    let (mut task, host, _) = start(&server, "100").await;
    deliver(&mut *task, &alarms(4), &host).await.unwrap();
    let times: Vec<Instant> = channel.messages.lock().unwrap().iter().map(|(_, at)| *at).collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(99), "{:?}", pair[1] - pair[0]);
    }
}

#[tokio::test]
async fn a_stopping_task_does_not_wait_for_its_turn() {
    let (server, channel) = channel(Vec::new()).await;
    let (mut task, host, stopping) = start(&server, "60000").await;
    deliver(&mut *task, &alarms(1), &host).await.unwrap();
    stopping.cancel();
    let e = tokio::time::timeout(Duration::from_secs(5), task.put(&alarms(2)[1..])).await.unwrap().unwrap_err();
    assert_eq!(e.class(), ErrorClass::Retriable);
    assert_eq!(channel.messages.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn words_decide_and_the_url_is_never_shown() {
    for (status, word, class) in [
        (400, "invalid_payload", None),
        (400, "user_not_found", Some(ErrorClass::Fatal)),
        (403, "action_prohibited", Some(ErrorClass::Fatal)),
        (404, "no_service", Some(ErrorClass::Fatal)),
        (410, "channel_is_archived", Some(ErrorClass::Fatal)),
        (404, "Cannot POST /services/T00/B00/s3cret", Some(ErrorClass::Fatal)),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(word);
        Mock::given(any()).respond_with(answer).expect(1).mount(&server).await;
        let (mut task, host, _) = start(&server, "1").await;
        let result = deliver(&mut *task, &alarms(1), &host).await;
        let (found, e) = match result {
            Ok(_) => (None, host.reported()[0].1.clone()),
            Err(e) => (Some(e.class()), e),
        };
        assert_eq!(found, class, "{word}");
        assert_eq!(
            found.is_some(),
            e.message().contains("set slack.webhook.url") || e.message().contains("correct slack.webhook.url")
        );
        assert!(!e.report().contains("s3cret"), "{}", e.report());
    }
}
