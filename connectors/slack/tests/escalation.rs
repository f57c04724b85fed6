//! Alarms that get graver and go on in another channel.
#![allow(clippy::unwrap_used, reason = "tests")]

mod slack;

use connect_api::Value;
use connect_testkit::sink::{deliver, flush, record};
use slack::{Slack, alarm, drain, start, start_on};
use wiremock::ResponseTemplate;

const ROUTES: &str = r##"[{"when": "value.priority == 'P1_LIFE'", "channel": "#urgent", "mention": "<!here>"}]"##;

#[tokio::test]
async fn an_alarm_that_gets_graver_goes_on_in_the_channel_that_the_rules_give_it_then() {
    for (more, pointer, changed) in [
        (("slack.update", "true"), "update 1: pump hot\n:arrow_right: goes on in #urgent", "update 2: pump hotter"),
        (("slack.update", "false"), "reply 1: pump hot\n:arrow_right: goes on in #urgent", "reply 2: pump hotter"),
        (("slack.tombstones", "delete"), "delete 1", "update 2: pump hotter"),
    ] {
        let slack = Slack::start().await;
        let settings = slack.settings(&[("slack.rules", ROUTES), more]);
        let (mut task, host) = start(&settings).await;
        let step = |offset: i64, value: Value| record("t", offset, "pump", value);
        deliver(&mut *task, &[step(0, alarm("P3_PRODUCTIVITY", "warm"))], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!(slack.calls(), ["post #alarms: pump warm"]);
        let graver = [step(1, alarm("P1_LIFE", "hot"))];
        deliver(&mut *task, &graver, &host).await.unwrap();
        connect_testkit::sink::when_due(&mut *task).await.unwrap();
        assert_eq!(slack.calls(), ["post #urgent: <!here> pump hot"]);
        // Who looks at the old message has to be told, also after a kill.
        assert_eq!((flush(&mut *task, &graver).await.unwrap()[0].offset, host.undelivered()), (1, 1));
        let mut task = start_on(&host, &settings).await;
        deliver(&mut *task, &graver, &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!((slack.calls(), host.undelivered()), (vec![pointer.to_owned()], 0));
        assert_eq!(flush(&mut *task, &graver).await.unwrap()[0].offset, 2);
        // It stays there, also when it is less grave.
        deliver(&mut *task, &[step(2, alarm("P3_PRODUCTIVITY", "hotter"))], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!(slack.calls()[0], changed);
        deliver(&mut *task, &[step(3, Value::Null)], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert!(slack.calls().iter().all(|call| call.contains(" 2")), "nothing more in the old channel");
        deliver(&mut *task, &[step(4, alarm("P3_PRODUCTIVITY", "again"))], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
        assert_eq!(slack.calls(), ["post #alarms: pump again"], "another alarm begins where alarms do");
    }
}

#[tokio::test]
async fn an_alarm_that_gets_graver_does_not_wait_behind_others_or_end_in_their_digest() {
    let slack = Slack::start().await;
    let settings = slack.settings(&[("slack.rules", ROUTES), ("slack.digest.after", "2")]);
    let (mut task, host) = start(&settings).await;
    slack.answer("#alarms", ResponseTemplate::new(429).insert_header("retry-after", "1"));
    let p3 = |offset: i64, name: &str| record("t", offset, name, alarm("P3_PRODUCTIVITY", "m"));
    let p1 = |offset: i64, name: &str| record("t", offset, name, alarm("P1_LIFE", "fire"));
    deliver(&mut *task, &[p3(0, "x")], &host).await.unwrap();
    task.put(&[]).await.unwrap();
    let records =
        [p3(1, "a"), p3(2, "b"), p3(3, "c"), record("t", 4, "b", Value::Null), p1(5, "a"), p1(6, "b"), p1(7, "x")];
    deliver(&mut *task, &records, &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(
        slack.calls(),
        ["post #urgent: <!here> *3 alarms changed*: 3 active, 0 cleared\na fire\nb fire\nx fire", "post #alarms: c m"]
    );
    assert_eq!(flush(&mut *task, &records).await.unwrap()[0].offset, 8);
    // Also of those of which a digest has told the old message says where they go on.
    deliver(&mut *task, &[p3(8, "d"), p3(9, "e"), p3(10, "f")], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls().len(), 1);
    deliver(&mut *task, &[p1(11, "d"), p1(12, "c"), p1(13, "z")], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    let mut calls = slack.calls();
    assert!(calls.remove(0).starts_with("post #urgent: <!here> *3 alarms changed*"));
    calls.sort();
    assert_eq!(
        calls,
        ["reply 3: d fire\n:arrow_right: goes on in #urgent", "update 2: c fire\n:arrow_right: goes on in #urgent",]
    );
}

#[tokio::test]
async fn the_end_of_an_alarm_is_told_where_the_alarm_is_although_its_new_channel_takes_no_messages() {
    let slack = Slack::start().await;
    let (mut task, host) = start(&slack.settings(&[("slack.rules", ROUTES), ("slack.thread", "false")])).await;
    let step = |offset: i64, value: Value| record("t", offset, "pump", value);
    deliver(&mut *task, &[step(0, alarm("P3_PRODUCTIVITY", "warm"))], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    slack.answer("#urgent", ResponseTemplate::new(200).set_body_string(r#"{"ok":false,"error":"not_in_channel"}"#));
    deliver(&mut *task, &[step(1, alarm("P1_LIFE", "hot")), step(2, Value::Null)], &host).await.unwrap();
    drain(&mut *task).await.unwrap();
    assert_eq!(slack.calls(), ["post #alarms: pump warm", "update 1: pump over"]);
    assert_eq!(host.reported()[0].0, Some(1));
}

#[tokio::test]
async fn messages_that_are_final_say_nothing_of_where_an_alarm_goes_on() {
    let slack = Slack::start().await;
    let more = [("slack.rules", ROUTES), ("slack.thread", "false"), ("slack.update", "false")];
    let (mut task, host) = start(&slack.settings(&more)).await;
    for (offset, priority) in [(0, "P3_PRODUCTIVITY"), (1, "P1_LIFE"), (2, "P1_LIFE")] {
        deliver(&mut *task, &[record("t", offset, "pump", alarm(priority, "m"))], &host).await.unwrap();
        drain(&mut *task).await.unwrap();
    }
    let urgent = "post #urgent: <!here> pump m";
    assert_eq!(slack.calls(), ["post #alarms: pump m", urgent, urgent]);
}
