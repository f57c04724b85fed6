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
async fn a_webhook_has_taken_a_message_when_it_says_so() {
    for (status, text, class) in [
        (200, "ok", None),
        (200, "OK\n", None),
        (204, "", None),
        (200, r#"{"success":true}"#, None),
        (200, "no_service", Some(ErrorClass::Fatal)),
        (200, "invalid_payload", Some(ErrorClass::Data)),
        (200, "rollup_error", Some(ErrorClass::Retriable)),
        (200, "<html>log in</html>", Some(ErrorClass::Fatal)),
        (200, "welcome", Some(ErrorClass::Fatal)),
        (200, r#"{"ok":false,"error":"no"}"#, Some(ErrorClass::Fatal)),
        (200, r#"{"result":"error"}"#, Some(ErrorClass::Fatal)),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_string(text);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let (mut task, host) = start(&[hook(&server)]).await;
        deliver(&mut *task, &[record("t", 0, "pump", alarm("P1_LIFE", "m"))], &host).await.unwrap();
        let found = task.put(&[]).await.err().or_else(|| host.reported().pop().map(|(_, e)| e));
        assert_eq!(found.as_ref().map(connect_api::Error::class), class, "{text}: {found:?}");
        assert!(!format!("{found:?}").contains("s3cret"));
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

#[tokio::test]
async fn long_messages_are_posted_once_and_answers_that_break_off_are_told_apart() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[])).await;
    let say = |text: &str| ResponseTemplate::new(200).set_body_string(text);
    // Slack's echo is six times as long as the text.
    let long = record("t", 0, "a", alarm("P4_DIAGNOSTIC", &"温".repeat(45_000)));
    deliver(&mut *task, &[long], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    let calls = slack.calls();
    assert_eq!((calls.len(), calls[0].ends_with("温…")), (1, true), "once, with a mark");
    // Slack has taken it, although not all is read of the answer.
    slack.answer("#alarms", say(r#"{"ok":true,"channel":"C1","ts":"1"#));
    deliver(&mut *task, &[record("t", 1, "b", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), Vec::<String>::new(), "it is not posted again");
    deliver(&mut *task, &[record("t", 2, "b", Value::Null)], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #alarms: b over"], "where the message is, is not known");
    // Nobody knows whether it has: no third message, nor a second before answers come through again.
    slack.answer("#alarms", say(r#"{"o"#));
    slack.answer("auth.test", say("{"));
    deliver(&mut *task, &[record("t", 3, "c", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["auth.test", "auth.test", "post #alarms: c m"]);
    let fatal = "this is no answer of Slack's";
    slack.answer("#alarms", say("<html>who are you?</html>"));
    deliver(&mut *task, &[record("t", 4, "d", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
    assert!(drain(&mut *task).await.unwrap_err().one_line().contains(fatal));
}

#[tokio::test]
async fn a_message_that_may_be_there_is_not_posted_a_third_time_soon() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[])).await;
    let cut = || ResponseTemplate::new(200).set_body_string("{");
    deliver(&mut *task, &[record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
    slack.answer("#alarms", cut());
    assert_eq!(task.put(&[]).await.unwrap_err().class(), ErrorClass::Retriable);
    slack.answer("#alarms", cut());
    tokio::time::sleep_until(task.due().unwrap()).await;
    assert_eq!(task.put(&[]).await.unwrap_err().class(), ErrorClass::Retriable);
    let pause = task.due().unwrap() - tokio::time::Instant::now();
    assert!(pause > Duration::from_secs(50), "{pause:?}");
    task.put(&[]).await.unwrap();
    assert!(host.noted().unwrap().ends_with("slack's answer breaks off; next try after 60.0 s"), "{:?}", host.noted());
    assert_eq!(slack.calls(), ["auth.test"]);
}

#[tokio::test]
async fn a_change_whose_thread_is_gone_is_a_new_message() {
    for (update, before) in [("false", vec![]), ("true", vec!["update 1: a worse"])] {
        for word in ["message_not_found", "thread_not_found", "cannot_reply_to_message"] {
            let slack = Slack::start().await;
            let (mut task, host) = start(&slack.settings(&[("slack.update", update)])).await;
            deliver(&mut *task, &[record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
            drain(&mut *task).await.unwrap();
            slack.calls();
            slack.answer(
                "thread",
                ResponseTemplate::new(200).set_body_string(format!(r#"{{"ok":false,"error":"{word}"}}"#)),
            );
            deliver(&mut *task, &[record("t", 1, "a", alarm("P1_LIFE", "worse"))], &host).await.unwrap();
            drain(&mut *task).await.unwrap();
            let expected: Vec<&str> = before.iter().copied().chain(["post #alarms: <!here> a worse"]).collect();
            assert_eq!(slack.calls(), expected, "{word}");
            // The next change goes to the new one.
            deliver(&mut *task, &[record("t", 2, "a", Value::Null)], &host).await.unwrap();
            drain(&mut *task).await.unwrap();
            assert!(slack.calls().contains(&"reply 2: a over".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_digest_that_is_refused_is_halved_until_the_bad_record_stands_alone() {
    for bad in 0..10 {
        let slack = Slack::start().await;
        slack.refuse("poison");
        let (mut task, host) = start(&slack.settings(&[("slack.digest.after", "3")])).await;
        let message = |i| if i == bad { "poison".to_owned() } else { format!("m{i}") };
        let records: Vec<_> =
            (0..10).map(|i| record("t", i, format!("a{i}"), alarm("P4_DIAGNOSTIC", &message(i)))).collect();
        deliver(&mut *task, &records, &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        let calls = slack.calls();
        for i in (0..10).filter(|i| *i != bad) {
            let told = calls.iter().filter(|call| call.contains(&format!("a{i} m{i}"))).count();
            assert_eq!(told, 1, "a{i} with {bad} bad: {calls:?}");
        }
        assert!(calls.len() <= 9, "{calls:?}");
        let reported: Vec<_> = host.reported().iter().map(|(offset, _)| *offset).collect();
        assert_eq!(reported, [Some(bad)]);
        assert_eq!(flush(&mut *task, &records).await.unwrap()[0].offset, 10);
    }
}

#[tokio::test]
async fn a_digest_that_has_to_wait_reports_a_bad_record_once_and_tells_what_was_before_it() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[("slack.digest.after", "1")])).await;
    let records = [
        record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m")),
        record("t", 1, "b", alarm("P4_DIAGNOSTIC", "m")),
        record("t", 2, "a", "no alarm"),
        record("t", 3, "c", "no alarm"),
    ];
    slack.answer("#alarms", ResponseTemplate::new(429).insert_header("retry-after", "1"));
    deliver(&mut *task, &records, &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #alarms: *2 alarms changed*: 2 active, 0 cleared\na m\nb m"]);
    let reported: Vec<_> = host.reported().iter().map(|(offset, _)| *offset).collect();
    assert_eq!(reported, [Some(3), Some(2)], "the one has no channel, the other no text");
    assert_eq!((flush(&mut *task, &records).await.unwrap()[0].offset, task.due()), (4, None));
}

#[tokio::test]
async fn records_without_a_key_are_each_a_message_of_their_own() {
    for (digest_after, expected) in [
        ("0", vec!["post #alarms: rec 1", "post #alarms: rec 2", "post #alarms: rec 3"]),
        ("1", vec!["post #alarms: *3 alarms changed*: 3 active, 0 cleared\nrec 1\nrec 2\nrec 3"]),
    ] {
        let slack = Slack::start().await;
        let settings = slack.settings(&[
            ("slack.raised.template", "rec {{value.m}}"),
            ("slack.digest.after", digest_after),
            ("slack.rules", "[]"),
        ]);
        let (mut task, host) = start(&settings).await;
        let rec = |i: i64| record("t", i, Value::Null, Value::map([("m", Value::Int32(i as i32 + 1))]));
        let records = [rec(0), rec(1), rec(2)];
        deliver(&mut *task, &records, &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!(slack.calls(), expected);
        // What comes again is not told again, what is new is.
        let mut task = start_on(&host, &settings).await;
        deliver(&mut *task, &[rec(1), rec(2), rec(3)], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!(slack.calls(), ["post #alarms: rec 4"]);
        // Nothing is kept of what does not come again.
        flush(&mut *task, &[rec(3)]).await.unwrap();
        let mut task = start_on(&host, &settings).await;
        deliver(&mut *task, &[rec(0)], &host).await.unwrap();
        assert!(task.due().is_some(), "it was forgotten");
    }
}

#[tokio::test]
async fn an_outage_is_told_until_a_message_gets_through_and_pauses_grow() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[])).await;
    let down = || slack.answer("#alarms", ResponseTemplate::new(503).set_body_string("down"));
    deliver(&mut *task, &[record("t", 0, "a", alarm("P4_DIAGNOSTIC", "m"))], &host).await.unwrap();
    assert_eq!((host.undelivered(), host.noted()), (1, None));
    for pause in [300, 600, 1200] {
        down();
        tokio::time::sleep_until(task.due().unwrap()).await;
        let began = tokio::time::Instant::now();
        let e = task.put(&[]).await.unwrap_err();
        assert_eq!((e.class(), e.delay()), (ErrorClass::Retriable, Some(Duration::from_millis(pause))));
        assert!(task.due().unwrap() >= began + Duration::from_millis(pause));
        // A call for something else changes nothing.
        if task.due().unwrap() > tokio::time::Instant::now() + Duration::from_millis(100) {
            task.put(&[]).await.unwrap();
        }
        let note = host.noted().unwrap();
        let end = format!("503 Service Unavailable: down; next try after {:.1} s", pause as f64 / 1000.0);
        assert!(note.ends_with(&end), "{note}");
        assert_eq!(host.undelivered(), 1);
    }
    drain(&mut *task).await.unwrap();
    assert_eq!((host.undelivered(), host.noted()), (0, None));
}

#[tokio::test]
async fn a_channel_that_fails_does_not_hold_the_others_and_is_named() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[("slack.channel", "{{value.message}}")])).await;
    let put = |offset: i64, channel: &str| record("t", offset, format!("a{offset}"), alarm("P4_DIAGNOSTIC", channel));
    slack.answer("#a", ResponseTemplate::new(503).insert_header("retry-after", "3"));
    deliver(&mut *task, &[put(0, "#a"), put(1, "#b"), put(2, "#b")], &host).await.unwrap();
    task.put(&[]).await.unwrap();
    assert_eq!((slack.calls(), host.undelivered()), (vec!["post #b: a1 #b".to_owned()], 2));
    assert!(host.noted().unwrap().starts_with("posting a message to channel #a of slack at"), "{:?}", host.noted());
    tokio::time::sleep_until(task.due().unwrap()).await;
    task.put(&[]).await.unwrap();
    assert_eq!(slack.calls(), ["post #b: a2 #b"]);
    assert!(host.noted().is_some(), "#a has got nothing yet");
    drain(&mut *task).await.unwrap();
    assert_eq!((slack.calls(), host.noted()), (vec!["post #a: a0 #a".to_owned()], None));
    // What goes with a partition is not kept any more.
    deliver(&mut *task, &[put(3, "#a")], &host).await.unwrap();
    task.close(&[connect_api::TopicPartition { topic: "t".into(), partition: 0 }]).await.unwrap();
    assert_eq!(host.undelivered(), 0);
}
