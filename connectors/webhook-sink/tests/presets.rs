//! Alarms as requests of receivers that cannot be installed here, PagerDuty and Teams, and of Alertmanager where a real one
//! would take long; all are mocks. A real Alertmanager is in the end-to-end tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use connect_api::{
    Error, ErrorClass, Headers, Rendering, Row, Settings, SinkConnector, SinkRecord, SinkTask, TopicPartition, Value,
    config::Config, time,
};
use connect_testkit::{
    Host,
    sink::{deliver, record, when_due},
};
use connector_alarm::{Alarm, Priority, ShelvedAlarm};
use connector_webhook_sink::{WebhookSink, WebhookSinkConfig};
use serde_json::{Value as Json, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

const RAISED: i64 = 1_700_000_000_000;

async fn start(host: &Arc<Host>, given: &[(&str, &str)]) -> Box<dyn SinkTask> {
    let mut settings: Settings = given.iter().copied().collect();
    settings.set("http.proxy", "none");
    let (context, _) = host.sink(&settings);
    let mut task = WebhookSink::start_task(WebhookSinkConfig::parse(&settings).unwrap(), context).await.unwrap();
    task.open(&[TopicPartition { topic: "active-alarms".into(), partition: 0 }]).await.unwrap();
    task
}

async fn server(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    server
}

async fn bodies(server: &MockServer) -> Vec<Json> {
    let all = server.received_requests().await.unwrap();
    all.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

fn alarm(offset: i64, name: &str, change: impl FnOnce(&mut Alarm)) -> SinkRecord {
    let mut alarm = Alarm::new(Priority::Property);
    alarm.source = "epics".into();
    alarm.severity = "MAJOR".into();
    alarm.status = "HIHI".into();
    alarm.message = "too \"hot\"".into();
    alarm.raised = Some(RAISED);
    alarm.labels = [("zone".to_owned(), "NL".to_owned())].into();
    change(&mut alarm);
    record("active-alarms", offset, name, alarm.to_value())
}

fn over(offset: i64, name: &str) -> SinkRecord {
    record("active-alarms", offset, name, Value::Null)
}

fn pagerduty(server: &MockServer) -> [(&'static str, String); 3] {
    [
        ("webhook.preset", "pagerduty".into()),
        ("webhook.url", format!("{}/v2/enqueue", server.uri())),
        ("webhook.pagerduty.routing.key", "r0utingkey".into()),
    ]
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

#[tokio::test]
async fn pagerduty_is_told_when_to_trigger_acknowledge_and_resolve() {
    let (server, host) = (server(202).await, Host::new());
    let mut task = start(&host, &borrowed(&pagerduty(&server))).await;
    let long = "n".repeat(300);
    let records = [
        alarm(0, "pump_7", |_| {}),
        alarm(1, "pump_7", |alarm| alarm.acknowledged = true),
        over(2, "pump_7"),
        alarm(3, &long, |alarm| alarm.priority = Priority::Diagnostic),
        alarm(4, "marked", |alarm| alarm.cleared = true),
    ];
    deliver(&mut *task, &records, &host).await.unwrap();
    let sent = bodies(&server).await;
    assert_eq!(
        sent[0],
        json!({
            "routing_key": "r0utingkey", "event_action": "trigger", "dedup_key": "pump_7", "client": "Tocsin",
            "payload": {
                "summary": "pump_7: too \"hot\"", "source": "epics", "severity": "error", "class": "HIHI",
                "timestamp": "2023-11-14T22:13:20.000Z", "custom_details": {
                    "name": "pump_7", "active": true, "priority": "P2_PROPERTY", "acknowledged": false,
                    "source": "epics", "severity": "MAJOR", "status": "HIHI", "message": "too \"hot\"", "value": null,
                    "raised": "2023-11-14T22:13:20.000Z", "latched": false, "labels": {"zone": "NL"}
                }
            }
        })
    );
    for (n, action) in [(1, "acknowledge"), (2, "resolve")] {
        let expected = json!({"routing_key": "r0utingkey", "event_action": action, "dedup_key": "pump_7"});
        assert_eq!(sent[n], expected);
    }
    let key = sent[3]["dedup_key"].as_str().unwrap();
    assert!(key.len() == 255 && key.starts_with("nnn") && key.contains('#'), "{key}");
    assert_eq!(sent[3]["payload"]["severity"], "info");
    assert_eq!(sent[4]["event_action"], "resolve");
}

#[tokio::test]
async fn a_wrong_routing_key_fails_the_task_and_a_wrong_event_does_not() {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let body: Json = serde_json::from_slice(&request.body).unwrap();
        let error = match body["dedup_key"].as_str() {
            Some("event") => "'payload.severity' is invalid".to_owned(),
            _ => format!("Length of 'routing_key' {} is incorrect (should be 32 characters)", body["routing_key"]),
        };
        ResponseTemplate::new(400).set_body_json(json!({"status": "invalid event", "errors": [error]}))
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let host = Host::new();
    let mut task = start(&host, &borrowed(&pagerduty(&server))).await;
    deliver(&mut *task, &[alarm(0, "event", |_| {})], &host).await.unwrap();
    assert_eq!(host.reported().len(), 1);
    let e = deliver(&mut *task, &[alarm(1, "key", |_| {})], &host).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(!e.report().contains("r0utingkey"), "{}", e.report());
}

#[tokio::test]
async fn a_preview_hides_the_routing_key() {
    let settings = [("webhook.preset", "pagerduty"), ("webhook.pagerduty.routing.key", "r0utingkey")];
    let settings: Settings = settings.into_iter().collect();
    let (context, _) = Host::new().sink(&settings);
    let config = WebhookSinkConfig::parse(&settings).unwrap();
    let mut trial = WebhookSink::start_trial(config, context).await.unwrap().unwrap();
    let Rendering::Sent(sent) = trial.render(&over(0, "pump")).unwrap() else { panic!("something is sent") };
    assert_eq!(sent.to, "POST https://events.pagerduty.com/v2/enqueue");
    let body = sent.body.unwrap();
    assert!(body.contains("[hidden]") && !body.contains("r0utingkey"), "{body}");
}

#[tokio::test]
async fn teams_gets_cards_whose_texts_say_what_alarms_say() {
    let (server, host) = (server(202).await, Host::new());
    let url = server.uri();
    let mut task = start(&host, &[("webhook.preset", "teams"), ("webhook.url", &url)]).await;
    let records = [
        alarm(0, "pump_7", |alarm| alarm.message = "see [here](http://evil) *now*".into()),
        alarm(1, "pump_7", |alarm| alarm.acknowledged = true),
        over(2, "pump_7"),
    ];
    deliver(&mut *task, &records, &host).await.unwrap();
    let sent = bodies(&server).await;
    let card = |n: usize| &sent[n]["attachments"][0]["content"];
    assert_eq!(sent[0]["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card(0)["body"][0]["text"], "Alarm: pump\\_7");
    assert_eq!(card(0)["body"][0]["color"], "Attention");
    assert_eq!(card(0)["body"][1]["text"], "see \\[here\\](http://evil) \\*now\\*");
    let facts = card(0)["body"][2]["facts"].as_array().unwrap();
    assert!(facts.contains(&json!({"title": "Priority", "value": "P2\\_PROPERTY"})), "{facts:?}");
    assert!(facts.contains(&json!({"title": "zone", "value": "NL"})), "{facts:?}");
    assert_eq!(card(1)["body"][0]["text"], "Acknowledged: pump\\_7");
    assert_eq!(
        card(2)["body"][0],
        json!({
            "type": "TextBlock", "size": "Medium", "weight": "Bolder", "color": "Good", "wrap": true,
            "text": "Cleared: pump\\_7"
        })
    );
    assert_eq!(card(2)["body"][1]["type"], "FactSet", "no text where there is none");
}

#[tokio::test]
async fn templates_of_presets_can_be_replaced() {
    let (server, host) = (server(200).await, Host::new());
    let url = server.uri();
    let body = r#"{"labels": {{dict(labels, team="ops")}}, "annotations": {"a": {{alarm.message}}}, "generatorURL": "http://x"}"#;
    let given = [("webhook.preset", "alertmanager"), ("webhook.url", &*url), ("webhook.body", body)];
    let mut task = start(&host, &given).await;
    deliver(&mut *task, &[alarm(0, "pump", |_| {})], &host).await.unwrap();
    let sent = &bodies(&server).await[0][0];
    assert_eq!((&sent["labels"]["team"], &sent["generatorURL"]), (&"ops".into(), &"http://x".into()));
    assert_eq!(sent["labels"]["alarm"], "pump");
}

fn at(alert: &Json, name: &str) -> i64 {
    time::parse_rfc3339(alert[name].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn alerts_are_sent_again_in_time_and_resolved_by_what_they_were_known_by() {
    let (server, host) = (server(200).await, Host::new());
    let url = server.uri();
    let settings =
        [("webhook.preset", "alertmanager"), ("webhook.url", &*url), ("webhook.alertmanager.repeat.ms", "200")];
    let mut task = start(&host, &settings).await;
    assert_eq!(task.due(), None, "nothing to send again");
    deliver(&mut *task, &[alarm(0, "pump", |_| {}), alarm(1, "fan", |_| {})], &host).await.unwrap();
    let first = bodies(&server).await;
    assert_eq!(first.len(), 1);
    let pump = &first[0][0];
    assert_eq!(
        pump["labels"],
        json!({
            "alertname": "pump", "severity": "error", "priority": "P2_PROPERTY", "source": "epics", "zone": "NL",
            "alarm": "pump"
        })
    );
    assert_eq!(pump["annotations"], json!({"summary": "too \"hot\"", "status": "HIHI", "severity": "MAJOR"}));
    assert_eq!(at(pump, "startsAt"), RAISED);
    let ends = at(pump, "endsAt") - time::now_ms();
    assert!((-60_000..=1000).contains(&ends), "five times as long as the interval: {ends}");
    when_due(&mut *task).await.unwrap();
    assert_eq!(bodies(&server).await[1].as_array().unwrap().len(), 2, "both again");

    // Escalated: known by other labels from now on.
    deliver(&mut *task, &[alarm(2, "pump", |alarm| alarm.priority = Priority::Life)], &host).await.unwrap();
    let escalated = &bodies(&server).await[2];
    assert_eq!(escalated[0]["labels"]["priority"], "P2_PROPERTY");
    assert!(at(&escalated[0], "endsAt") <= time::now_ms(), "the old one is over");
    assert_eq!(escalated[1]["labels"]["priority"], "P1_LIFE");
    assert!(at(&escalated[1], "endsAt") > at(&escalated[0], "endsAt"));

    // Another task of the connector, as after a restart, knows them from the state alone.
    drop(task);
    let mut task = start(&host, &settings).await;
    when_due(&mut *task).await.unwrap();
    let again = &bodies(&server).await[3];
    assert_eq!(again.as_array().unwrap().len(), 2);
    deliver(&mut *task, &[over(3, "pump"), over(4, "unknown")], &host).await.unwrap();
    let resolved = &bodies(&server).await[4];
    assert_eq!(resolved.as_array().unwrap().len(), 1, "of what is not known nothing is said: {resolved}");
    assert_eq!(resolved[0]["labels"]["priority"], "P1_LIFE");
    assert!(at(&resolved[0], "endsAt") <= time::now_ms() && at(&resolved[0], "startsAt") == RAISED);
    deliver(&mut *task, &[alarm(5, "fan", |alarm| alarm.cleared = true)], &host).await.unwrap();
    assert_eq!(task.due(), None, "nothing is active any more");
    // Delivered once more, as after a crash: nobody knows them.
    deliver(&mut *task, &[over(3, "pump")], &host).await.unwrap();
    assert_eq!(bodies(&server).await.len(), 6);
}

#[tokio::test]
async fn alerts_of_a_request_that_failed_are_put_together_anew() {
    let server = MockServer::start().await;
    let refuse_pump = |request: &Request| {
        let all: Json = serde_json::from_slice(&request.body).unwrap();
        let bad = all.as_array().unwrap().iter().any(|alert| alert["labels"]["alarm"] == "bad");
        ResponseTemplate::new(if bad { 400 } else { 200 })
    };
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(refuse_pump).mount(&server).await;
    let host = Host::new();
    let url = server.uri();
    let mut task = start(&host, &[("webhook.preset", "alertmanager"), ("webhook.url", &url)]).await;
    let mut keyless = alarm(1, "", |_| {});
    keyless.record.key = Value::Null;
    let records = [alarm(0, "pump", |_| {}), keyless, alarm(2, "bad", |_| {}), alarm(3, "fan", |_| {})];
    assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 1);
    let mut reported: Vec<_> = host.reported().iter().filter_map(|(offset, _): &(_, Error)| *offset).collect();
    reported.sort_unstable();
    assert_eq!(reported, [1, 2], "each bad one once");
    tokio::time::timeout(Duration::from_secs(10), task.put(&[])).await.unwrap().unwrap();
    let last = bodies(&server).await.pop().unwrap();
    let names: Vec<&str> = last.as_array().unwrap().iter().filter_map(|a| a["labels"]["alarm"].as_str()).collect();
    assert_eq!(names, ["fan", "pump"]);
}

#[tokio::test]
async fn shelved_alarms_are_not_sent_again_until_they_come_off_the_shelf() {
    let (server, host) = (server(200).await, Host::new());
    let url = server.uri();
    let settings = [
        ("webhook.preset", "alertmanager"),
        ("webhook.url", &*url),
        ("webhook.alertmanager.repeat.ms", "100"),
        ("shelved.alarms.topic", "shelved-alarms"),
    ];
    let shelve = |expiration: Option<i64>| {
        let shelved = ShelvedAlarm { expiration, reason: "maintenance".into() };
        let row = Row { schema: None, value: shelved.to_value(), headers: Headers::new(), timestamp: None };
        host.row("shelved-alarms", "pump", Some(row));
    };
    let mut task = start(&host, &settings).await;
    deliver(&mut *task, &[alarm(0, "pump", |_| {}), alarm(1, "fan", |_| {})], &host).await.unwrap();
    shelve(None);
    when_due(&mut *task).await.unwrap();
    let again = bodies(&server).await.pop().unwrap();
    let names = |all: &Json| -> Vec<String> {
        let all = all.as_array().unwrap().iter();
        all.map(|alert| alert["labels"]["alarm"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&again), ["fan"], "alertmanager forgets the other one");
    shelve(Some(time::now_ms() - 1));
    when_due(&mut *task).await.unwrap();
    let again = bodies(&server).await.pop().unwrap();
    assert_eq!(names(&again), ["fan", "pump"]);
}
