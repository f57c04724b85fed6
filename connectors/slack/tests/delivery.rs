//! The sink against servers that answer as Slack's documentation says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod slack;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use connect_api::{ErrorClass, Value};
use connect_testkit::{
    Host,
    sink::{deliver, flush, record},
};
use serde_json::Value as Json;
use slack::{Slack, alarm, drain, start, start_on};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const HOOK: &str = "/services/T00/B00/s3cret";

fn hook(server: &MockServer) -> (&'static str, String) {
    ("slack.webhook.url", format!("{}{HOOK}", server.uri()))
}

/// Remembers messages that it takes, and when.
#[derive(Clone, Default)]
struct Channel {
    answers: Arc<Mutex<Vec<ResponseTemplate>>>,
    messages: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Channel {
    fn texts(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|(text, _)| text.clone()).collect()
    }
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
        let text = json["attachments"][0]["text"].as_str().or(json["text"].as_str()).unwrap();
        self.messages.lock().unwrap().push((text.to_owned(), Instant::now()));
        ResponseTemplate::new(200).set_body_string("ok")
    }
}

async fn channel(answers: Vec<ResponseTemplate>) -> (MockServer, Channel) {
    let (server, channel) = (MockServer::start().await, Channel::default());
    *channel.answers.lock().unwrap() = answers;
    Mock::given(any()).respond_with(channel.clone()).mount(&server).await;
    (server, channel)
}

#[tokio::test]
async fn a_webhook_gets_every_change_once_in_order_whatever_slack_answers_at_first() {
    let (server, channel) = channel(vec![
        ResponseTemplate::new(429).insert_header("retry-after", "1").set_body_string("rate_limited"),
        ResponseTemplate::new(500).set_body_string("rollup_error"),
        ResponseTemplate::new(503),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(2)),
    ])
    .await;
    let (mut task, host) = start(&[hook(&server), ("slack.digest.after", "0".into())]).await;
    let begin = Instant::now();
    let records: Vec<_> = (0..12)
        .map(|i| {
            record(
                "active-alarms",
                i,
                "pump",
                if i % 2 == 0 { alarm("P1_LIFE", &format!("m{i}")) } else { Value::Null },
            )
        })
        .collect();
    deliver(&mut *task, &records, &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    let expected: Vec<String> = (0..12)
        .map(|i| match i % 2 {
            0 => format!(":rotating_light: *pump* P1_LIFE: m{i}"),
            _ => ":large_green_circle: *pump* cleared".to_owned(),
        })
        .collect();
    assert_eq!(channel.texts(), expected);
    assert_eq!(flush(&mut *task, &records).await.unwrap()[0].offset, 12);
}

#[tokio::test]
async fn messages_keep_their_distance_and_what_waits_is_not_safe() {
    let (server, channel) = channel(Vec::new()).await;
    let (mut task, host) = start(&[hook(&server), ("slack.interval.ms", "100".into())]).await;
    let records: Vec<_> = (0..4).map(|i| record("active-alarms", i, format!("a{i}"), alarm("P1_LIFE", "m"))).collect();
    deliver(&mut *task, &records, &host).await.unwrap();
    assert_eq!(flush(&mut *task, &records).await.unwrap()[0].offset, 0, "none is told yet");
    connect_testkit::sink::when_due(&mut *task).await.unwrap();
    assert_eq!(flush(&mut *task, &records).await.unwrap()[0].offset, 1);
    // Whoever takes over at offset 0 nevertheless does not tell of it twice.
    let mut task = start_on(&host, &[hook(&server), ("slack.interval.ms", "100".into())]).await;
    deliver(&mut *task, &records, &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    let times: Vec<Instant> = channel.messages.lock().unwrap().iter().map(|(_, at)| *at).collect();
    assert_eq!(times.len(), 4);
    for pair in times[1..].windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(99), "{:?}", pair[1] - pair[0]);
    }
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
        let (mut task, host) = start(&[hook(&server)]).await;
        deliver(&mut *task, &[record("t", 0, "pump", alarm("P1_LIFE", "m"))], &host).await.unwrap();
        let (found, e) = match drain(&mut *task).await {
            Ok(()) => (None, host.reported()[0].1.clone()),
            Err(e) => (Some(e.class()), e),
        };
        assert_eq!(found, class, "{word}");
        let names_the_url =
            e.message().contains("set slack.webhook.url") || e.message().contains("correct slack.webhook.url");
        assert_eq!(found.is_some(), names_the_url, "{e:?}");
        assert!(!e.report().contains("s3cret"), "{}", e.report());
    }
}

#[tokio::test]
async fn an_alarm_has_one_message_that_changes_with_it_across_restarts() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[])).await;
    let raised = [
        record("active-alarms", 0, "pump", alarm("P3_PRODUCTIVITY", "warm")),
        record("active-alarms", 1, "valve", alarm("P4_DIAGNOSTIC", "stuck")),
    ];
    deliver(&mut *task, &raised, &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #alarms: pump warm", "post #alarms: valve stuck"]);
    assert_eq!(slack.color("1"), "#f2c744");
    // The task that goes on knows the messages, and does not tell of what comes again.
    let mut task = start_on(&host, &slack.settings(&[])).await;
    let graver = record("active-alarms", 2, "pump", alarm("P1_LIFE", "hot"));
    deliver(&mut *task, &[raised[1].clone(), graver], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["update 1: pump hot", "reply 1: <!here> pump hot"], "who is mentioned hears of it");
    assert_eq!(slack.color("1"), "#b00020");
    let over = record("active-alarms", 3, "pump", Value::Null);
    deliver(&mut *task, std::slice::from_ref(&over), &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["update 1: pump over", "reply 1: pump over"]);
    assert_eq!(slack.color("1"), "#2eb67d");
    assert_eq!(flush(&mut *task, &[over]).await.unwrap()[0].offset, 4);
    let again = record("active-alarms", 4, "pump", alarm("P1_LIFE", "hot again"));
    deliver(&mut *task, &[again], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #alarms: <!here> pump hot again"], "the next time is another message");
    // What was never told of needs no end.
    deliver(&mut *task, &[record("active-alarms", 5, "unknown", Value::Null)], &host).await.unwrap();
    assert_eq!(task.due(), None);
}

#[tokio::test]
async fn many_are_told_in_one_message_and_their_own_messages_are_brought_up_to_date() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[("slack.digest.after", "3")])).await;
    deliver(&mut *task, &[record("t", 0, "own", alarm("P1_LIFE", "first"))], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    slack.calls();
    let mut many: Vec<_> =
        (1..40).map(|i| record("t", i, format!("a{i}"), alarm("P4_DIAGNOSTIC", &format!("m{i}")))).collect();
    many.push(record("t", 40, "own", Value::Null));
    many.push(record("t", 41, "a1", alarm("P4_DIAGNOSTIC", "newer")));
    deliver(&mut *task, &many, &host).await.unwrap();
    connect_testkit::sink::when_due(&mut *task).await.unwrap();
    let calls = slack.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].starts_with("post #alarms: *40 alarms changed*: 39 active, 1 cleared\n"), "{calls:?}");
    assert!(calls[0].contains("a1 newer\na2 m2\n") && calls[0].ends_with("… and 10 more"), "{calls:?}");
    assert_eq!(flush(&mut *task, &many).await.unwrap()[0].offset, 40, "one message is not up to date");
    // A restart in between does not lose that.
    let mut task = start_on(&host, &slack.settings(&[("slack.digest.after", "3")])).await;
    deliver(&mut *task, &many[39..], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["update 1: own over"]);
    assert_eq!(flush(&mut *task, &many).await.unwrap()[0].offset, 42);
    deliver(&mut *task, &[record("t", 42, "a7", Value::Null)], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["reply 2: a7 over"], "in the thread of the digest");
}

#[tokio::test]
async fn a_channel_that_is_held_does_not_hold_the_others() {
    let slack = Slack::start().await;
    let rules = r##"[{"when": "value.priority == 'P1_LIFE'", "channel": "#urgent"}]"##;
    let (mut task, host) = start(&slack.settings(&[("slack.rules", rules)])).await;
    slack.answer("#alarms", ResponseTemplate::new(429).insert_header("retry-after", "2"));
    let records = [
        record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m")),
        record("t", 1, "b", alarm("P1_LIFE", "m")),
        record("t", 2, "c", alarm("P1_LIFE", "m")),
    ];
    deliver(&mut *task, &records, &host).await.unwrap();
    let begin = Instant::now();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #urgent: b m", "post #urgent: c m", "post #alarms: a m"]);
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn what_slack_says_decides() {
    let says = |word: &str| ResponseTemplate::new(200).set_body_string(format!(r#"{{"ok":false,"error":"{word}"}}"#));
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[("slack.channel", "{{value.message}}")])).await;
    let put = |offset: i64, name: &str, message: &str| record("t", offset, name, alarm("P1_LIFE", message));
    // A record's channel that is not there is the record's fault.
    slack.answer("#none", says("channel_not_found"));
    deliver(&mut *task, &[put(0, "a", "#none"), put(1, "b", "#here")], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #here: <!here> b #here"]);
    assert!(host.reported()[0].1.one_line().ends_with("slack says channel_not_found"), "{:?}", host.reported());
    // A message that somebody has deleted is posted anew.
    slack.answer("update", says("message_not_found"));
    deliver(&mut *task, &[put(2, "b", "#there")], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #here: <!here> b #there"]);
    // What passes comes again, what does not needs a person.
    slack.answer("#here", says("internal_error"));
    deliver(&mut *task, &[put(3, "c", "#here")], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #here: <!here> c #here"]);
    for (word, way_out) in [("token_revoked", "correct slack.token"), ("missing_scope", "chat:write"), ("odd", "odd")] {
        slack.answer("#here", says(word));
        let mut task = start(&slack.settings(&[("slack.channel", "#here")])).await.0;
        deliver(&mut *task, &[put(4, word, "#here")], &Host::new()).await.unwrap();
        let e = drain(&mut *task).await.unwrap_err();
        assert_eq!((e.class(), e.is_denied()), (ErrorClass::Fatal, word == "token_revoked"), "{e:?}");
        assert!(e.one_line().contains(way_out) && !e.report().contains("xoxb-s3cret"), "{e:?}");
    }
}

#[tokio::test]
async fn tombstones_delete_or_are_ignored_where_that_is_asked() {
    for (tombstones, expected) in [("delete", vec!["delete 1"]), ("ignore", Vec::new())] {
        let slack = Slack::start().await;
        let (mut task, host) = start(&slack.settings(&[("slack.tombstones", tombstones)])).await;
        for r in [record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m")), record("t", 1, "a", Value::Null)] {
            slack.calls();
            deliver(&mut *task, &[r], &host).await.unwrap();
            drain(&mut *task).await.unwrap();
        }
        assert_eq!(slack.calls(), expected);
    }
}
