//! The source over HTTP, with a Kafka that stores, fails or does nothing, as the test says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{
    CancellationToken, Error, Headers, OffsetMap, Outcome, Result, Row, Settings, SinkRecord, SourceContext,
    SourceRecord, SourceTask, State, Table, TableWriter, TaskContext, TaskHost, async_trait, config::Config,
};
use connector_alarm::{Alarm, RegisteredAlarm};
use connector_webhook_source::{WebhookSourceConfig, task::WebhookTask};
use reqwest::{Client, Response};
use serde_json::{Value as Json, json};
use tokio::{sync::watch, time::timeout};

const SOON: Duration = Duration::from_secs(10);

/// What Kafka does with records.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Stores,
    Fails,
    Hangs,
    /// The worker does not poll.
    Paused,
}

/// Kafka and the worker around it: records that are stored show in the table of their topic.
struct Kafka {
    stored: Mutex<Vec<SourceRecord>>,
    tables: Mutex<Vec<(String, Table, TableWriter)>>,
    mode: watch::Sender<Mode>,
    hanging: watch::Sender<usize>,
    refused: Mutex<Vec<String>>,
}

#[async_trait]
impl TaskHost for Kafka {
    async fn state(&self, _name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal("no state in this test"))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        let mut tables = self.tables.lock().unwrap();
        if let Some((_, table, _)) = tables.iter().find(|(name, ..)| name == topic) {
            return Ok(table.clone());
        }
        let (table, writer) = Table::new();
        tables.push((topic.into(), table.clone(), writer));
        Ok(table)
    }

    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(None)
    }

    async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
        Err(error)
    }

    async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }

    fn request(&self, _request: connect_api::SinkRequest) {}

    fn refused(&self, why: &str) {
        self.refused.lock().unwrap().push(why.to_owned());
    }
}

impl Kafka {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: Mutex::default(),
            tables: Mutex::default(),
            mode: watch::Sender::new(Mode::Stores),
            hanging: watch::Sender::new(0),
            refused: Mutex::default(),
        })
    }

    fn store(&self, record: SourceRecord) {
        let row = (!record.value.is_null()).then(|| Row {
            schema: None,
            value: record.value.clone(),
            headers: Headers::new(),
            timestamp: record.timestamp,
        });
        self.put(&record.topic, record.key.as_str().unwrap_or_default(), row);
        self.stored.lock().unwrap().push(record);
    }

    fn put(&self, topic: &str, key: &str, row: Option<Row>) {
        if let Some((.., writer)) = self.tables.lock().unwrap().iter().find(|(name, ..)| name == topic) {
            writer.put(key, row);
        }
    }

    fn stored(&self) -> Vec<SourceRecord> {
        self.stored.lock().unwrap().clone()
    }

    async fn stored_count(&self, n: usize) {
        timeout(SOON, async {
            while self.stored().len() < n {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("stored in time");
    }
}

/// A running connector; dropping it stops it.
struct Running {
    kafka: Arc<Kafka>,
    url: String,
    client: Client,
    stopping: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
}

async fn start(kafka: &Arc<Kafka>, more: &[(&str, &str)]) -> Running {
    let mut settings = Settings::from([("webhook.listen", "127.0.0.1:0"), ("webhook.ack.timeout.ms", "2000")]);
    settings.extend(&more.iter().copied().collect());
    let stopping = CancellationToken::new();
    let context = TaskContext::new("hooks".into(), 0, settings.clone(), stopping.clone(), kafka.clone());
    let config = WebhookSourceConfig::parse(&settings).unwrap();
    let mut task = WebhookTask::start(config, SourceContext::new(context)).await.unwrap();
    let url = format!("http://{}/hooks", task.address().unwrap());
    let (kafka2, stop) = (kafka.clone(), stopping.clone());
    let worker = tokio::spawn(async move {
        let mut mode = kafka2.mode.subscribe();
        let mut hanging = Vec::new();
        let work = async {
            loop {
                mode.wait_for(|mode| *mode != Mode::Paused).await.unwrap();
                let (records, slips) = task.poll().await.unwrap().into_parts();
                let now = *mode.borrow();
                match now {
                    Mode::Hangs => {
                        hanging.push(slips);
                        kafka2.hanging.send_modify(|n| *n += 1);
                    }
                    Mode::Fails => {
                        slips.into_iter().for_each(|slip| slip.answer(Outcome::failure(Error::retriable("down"))));
                    }
                    _ => {
                        records.into_iter().for_each(|record| kafka2.store(record));
                        for slip in slips {
                            let stored = slip.range.len();
                            slip.answer(Outcome { stored, ..Outcome::default() });
                        }
                    }
                }
            }
        };
        stop.run_until_cancelled(work).await;
        task.stop().await.unwrap();
    });
    let client = Client::builder().no_proxy().build().unwrap();
    Running { kafka: kafka.clone(), url, client, stopping, worker }
}

impl Running {
    async fn post(&self, body: &Json) -> Response {
        timeout(SOON, self.client.post(&self.url).json(body).send()).await.unwrap().unwrap()
    }

    async fn status(&self, body: &Json) -> u16 {
        self.post(body).await.status().as_u16()
    }

    async fn stop(self) {
        self.stopping.cancel();
        timeout(SOON, self.worker).await.unwrap().unwrap();
    }
}

fn notification(severity: &str, message: &str) -> Json {
    json!({"device-id": "r1", "group": "core", "keys": {"_instance_id": "i"}, "message": message, "rule": "temp",
        "severity": severity, "topic": "chassis", "trigger": "hot"})
}

const NAME: &str = "core/r1/chassis/temp/hot/_instance_id=i";
const HEALTHBOT: (&str, &str) = ("webhook.format", "healthbot");
const JSON: (&str, &str) = ("webhook.format", "json");

#[tokio::test]
async fn notifications_become_alarms_on_change_only_and_clear_with_a_tombstone() {
    let running = start(&Kafka::new(), &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("normal", "first")).await, 200, "a clear without a set");
    assert_eq!(running.status(&notification("minor", "warm")).await, 200);
    assert_eq!(running.status(&notification("minor", "still warm")).await, 200);
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "cool again")).await, 200);
    let stored = running.kafka.stored();
    assert!(stored.iter().all(|r| &*r.topic == "active-alarms" && r.key.as_str() == Some(NAME)));
    let alarms: Vec<Alarm> = stored[..2].iter().map(|r| Alarm::from_value(&r.value)).collect();
    assert_eq!((alarms[0].priority.name(), &*alarms[0].message), ("P3_PRODUCTIVITY", "warm"));
    assert_eq!((alarms[1].priority.name(), &*alarms[1].message), ("P2_PROPERTY", "hot"));
    assert_eq!((&*alarms[1].source, &*alarms[1].status, &*alarms[1].severity), ("hooks", "hot", "major"));
    assert_eq!(alarms[1].labels.get("device").map(String::as_str), Some("r1"));
    assert_eq!(stored.len(), 3);
    assert!(stored[2].value.is_null());
    running.stop().await;
}

#[tokio::test]
async fn a_restart_writes_only_differences() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    running.stop().await;
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(kafka.stored().len(), 1);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    assert_eq!(kafka.stored().len(), 2);
}

#[tokio::test]
async fn a_latching_alarm_clears_when_it_is_acknowledged_also_after_a_restart() {
    let kafka = Kafka::new();
    let registered = RegisteredAlarm { latching: true, ..Default::default() };
    kafka.table("alarms").await.unwrap();
    let row = |value| Some(Row { schema: None, value, headers: Headers::new(), timestamp: None });
    kafka.put("alarms", NAME, row(registered.to_value()));
    let running = start(&kafka, &[HEALTHBOT]).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    let latched = Alarm::from_value(&kafka.stored()[1].value);
    assert!(latched.latched);
    running.stop().await;
    let _running = start(&kafka, &[HEALTHBOT]).await;
    kafka.put("active-alarms", NAME, row(Alarm { acknowledged: true, ..latched }.to_value()));
    kafka.stored_count(3).await;
    assert!(kafka.stored()[2].value.is_null());
}

#[tokio::test]
async fn nothing_is_acknowledged_that_kafka_does_not_have() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[HEALTHBOT, ("webhook.ack.timeout.ms", "300")]).await;
    kafka.mode.send_replace(Mode::Fails);
    let answer = running.post(&notification("major", "hot")).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(running.status(&notification("major", "hot")).await, 503, "the engine must not take it for written");
    kafka.mode.send_replace(Mode::Hangs);
    assert_eq!(running.status(&notification("major", "hot")).await, 503);
    assert_eq!(running.status(&notification("major", "hot")).await, 503, "on its way is not there");
    kafka.mode.send_replace(Mode::Stores);
    // The worker does not forget what hangs; another alarm is stored meanwhile.
    let mut other = notification("major", "hot");
    other["device-id"] = json!("r2");
    assert_eq!(running.status(&other).await, 200);
}

#[tokio::test]
async fn a_paused_connector_and_a_full_queue_answer_503_and_take_nothing_twice() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[JSON, ("webhook.queue", "1"), ("webhook.ack.timeout.ms", "500")]).await;
    assert_eq!(running.status(&json!({"n": 0})).await, 200);
    kafka.mode.send_replace(Mode::Paused);
    // The poll that is under way still takes one.
    assert_eq!(running.status(&json!({"n": 1})).await, 200);
    let (one, two) = (json!({"n": 2}), json!({"n": 3}));
    let (first, second) = tokio::join!(running.post(&one), running.post(&two));
    let texts = [first.text().await.unwrap(), second.text().await.unwrap()];
    assert!(texts.iter().any(|t| t.starts_with("too many requests")), "{texts:?}");
    assert!(texts.iter().any(|t| t.starts_with("not stored in time")), "{texts:?}");
    kafka.mode.send_replace(Mode::Stores);
    assert_eq!(running.status(&json!({"n": 4})).await, 200);
    let stored: Vec<_> = kafka.stored().iter().map(|r| r.value.get("n").and_then(|n| n.as_i64()).unwrap()).collect();
    assert_eq!(stored, [0, 1, 4], "whoever was told to come again is not stored behind its back");
}

#[tokio::test]
async fn a_stopping_connector_answers_503_at_once() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[JSON, ("webhook.ack.timeout.ms", "60000")]).await;
    kafka.mode.send_replace(Mode::Hangs);
    let (client, url) = (running.client.clone(), running.url.clone());
    let waiting = tokio::spawn(async move { client.post(url).json(&json!({"n": 1})).send().await });
    timeout(SOON, kafka.hanging.subscribe().wait_for(|n| *n > 0)).await.unwrap().unwrap();
    running.stop().await;
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().unwrap().status(), 503);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_reason() {
    let more = [HEALTHBOT, ("webhook.body.limit", "1000"), ("webhook.token", "s3cret")];
    let running = start(&Kafka::new(), &more).await;
    let send = |content_type: &'static str, token: &'static str, body: String| {
        let request = running.client.post(&running.url).header("content-type", content_type);
        let sent = request.header("authorization", token).body(body).send();
        async move {
            let answer = timeout(SOON, sent).await.unwrap().unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let (json_type, token) = ("application/json", "Bearer s3cret");
    let mut wrong = notification("critical", "m");
    wrong["device-id"] = json!(7);
    let expected = "device-id: expected a text, found a number; \
        severity: expected one of major, minor, normal, found \"critical\"\n";
    assert_eq!(send(json_type, token, wrong.to_string()).await, (400, expected.into()));
    assert_eq!(send(json_type, token, "{".into()).await.0, 400);
    assert_eq!(send("text/plain", token, "{}".into()).await.0, 415);
    assert_eq!(send(json_type, "Bearer other", notification("major", "").to_string()).await.0, 401);
    assert_eq!(send(json_type, token, " ".repeat(1001)).await.0, 413);
    assert_eq!(send(json_type, token, notification("major", "").to_string()).await.0, 200);
    assert_eq!(running.client.get(&running.url).send().await.unwrap().status(), 405);
    assert_eq!(running.kafka.stored().len(), 1);
    let counted = running.kafka.refused.lock().unwrap();
    assert_eq!(counted.len(), 5, "but for the wrong method: {counted:?}");
    assert!(counted[0].starts_with("a request was answered with 400 Bad Request: device-id: "), "{counted:?}");
}

#[tokio::test]
async fn records_go_to_the_topic_of_the_template() {
    let topic = "{{group}}.{{device_id}}.{{topic}}.{{rule}}.{{trigger}}";
    let running = start(&Kafka::new(), &[HEALTHBOT, ("webhook.alarms", "false"), ("webhook.topic", topic)]).await;
    assert_eq!(running.status(&notification("normal", "m")).await, 200);
    let stored = running.kafka.stored();
    assert_eq!((&*stored[0].topic, stored[0].key.as_str()), ("core.r1.chassis.temp.hot", Some(NAME)));
    assert_eq!(stored[0].value.get("message").and_then(|m| m.as_str()), Some("m"));
    let running = start(&Kafka::new(), &[JSON, ("webhook.key.pointer", "/id")]).await;
    assert_eq!(running.status(&json!([{"id": 1}, {"id": "b"}])).await, 200);
    assert_eq!(running.status(&json!([{"id": 1}, {}])).await, 400, "all or none");
    assert_eq!(running.status(&json!([])).await, 200);
    let stored = running.kafka.stored();
    assert_eq!(stored.iter().map(|r| r.key.as_str().unwrap()).collect::<Vec<_>>(), ["1", "b"]);
    assert_eq!(&*stored[0].topic, "webhooks");
}

#[tokio::test]
async fn many_callers_at_once_are_all_stored() {
    let running = start(&Kafka::new(), &[JSON, ("webhook.key.pointer", "/n")]).await;
    let sends = (0..200).map(|n| {
        let (client, url) = (running.client.clone(), running.url.clone());
        tokio::spawn(async move { client.post(url).json(&json!({"n": n})).send().await.unwrap().status() })
    });
    for send in sends.collect::<Vec<_>>() {
        assert_eq!(timeout(SOON, send).await.unwrap().unwrap(), 200);
    }
    assert_eq!(running.kafka.stored().len(), 200);
}

const FIRING: &str = include_str!("data/alertmanager-firing.json");
const RESOLVED: &str = include_str!("data/alertmanager-resolved.json");

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn every_alert_of_a_group_is_an_alarm_of_its_own_and_retries_change_nothing() {
    let more = [("webhook.format", "alertmanager"), ("webhook.topic", "alerts-{{value.labels.job}}")];
    let running = start(&Kafka::new(), &more).await;
    for _ in 0..2 {
        assert_eq!(running.status(&parsed(FIRING)).await, 200);
    }
    assert_eq!(running.status(&parsed(RESOLVED)).await, 200);
    let (alarms, records): (Vec<_>, Vec<_>) =
        running.kafka.stored().into_iter().partition(|r| &*r.topic == "active-alarms");
    let shown = |r: &SourceRecord| (r.key.as_str().unwrap().to_owned(), r.value.is_null());
    let expected = [
        ("a4085f70c181adb3", false),
        ("a11d05025af428db", false),
        ("a4085f70c181adb3", true),
        ("a11d05025af428db", true),
    ];
    assert_eq!(alarms.iter().map(shown).collect::<Vec<_>>(), expected.map(|(key, null)| (key.to_owned(), null)));
    assert_eq!(Alarm::from_value(&alarms[0].value).message, "Pump 7 tripped");
    assert!(records.iter().all(|r| &*r.topic == "alerts-plant"), "beside them each alert as a record");
    assert_eq!(records.len(), 6, "of these each that was received");
}

#[tokio::test]
async fn a_group_with_one_bad_alert_is_refused_whole() {
    let more = [("webhook.format", "alertmanager"), ("alarm.priority", "critical:P1_LIFE")];
    let running = start(&Kafka::new(), &more).await;
    let mut body = parsed(FIRING);
    body["alerts"][1]["startsAt"] = json!("soon");
    let answer = running.post(&body).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text().await.unwrap(), "alerts[1].startsAt: expected a time, found a text\n");
    let answer = running.post(&parsed(FIRING)).await;
    assert_eq!(answer.status(), 500, "the settings are wrong, not the alerts");
    assert!(answer.text().await.unwrap().contains("no severity \"warning\" and no *"));
    assert!(running.kafka.stored().is_empty());
}

#[tokio::test]
async fn a_clear_can_be_a_marker_that_a_restart_takes_for_no_alarm() {
    let kafka = Kafka::new();
    let more = [HEALTHBOT, ("alarm.clear.with", "marker"), ("alarm.copy.topic", "alarms-{{labels.device}}")];
    let running = start(&kafka, &more).await;
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    let stored = kafka.stored();
    assert_eq!(stored.iter().map(|r| &*r.topic).collect::<Vec<_>>(), ["active-alarms", "alarms-r1"].repeat(2));
    let marker = Alarm::from_value(&stored[2].value);
    assert!(marker.cleared && marker.message == "hot");
    assert_eq!(stored[2].value, stored[3].value);
    running.stop().await;
    let running = start(&kafka, &more).await;
    assert_eq!(running.status(&notification("normal", "")).await, 200);
    assert_eq!(kafka.stored().len(), 4, "there is nothing to clear");
    assert_eq!(running.status(&notification("major", "hot")).await, 200);
    assert_eq!(kafka.stored().len(), 6);
}

impl Running {
    async fn post_as(&self, id: &str, body: &Json) -> (u16, String) {
        let request = self.client.post(&self.url).header("idempotency-key", id).json(body);
        let answer = timeout(SOON, request.send()).await.unwrap().unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn a_request_that_comes_again_with_its_id_is_stored_once() {
    let kafka = Kafka::new();
    let running = start(&kafka, &[JSON, ("webhook.ack.timeout.ms", "300")]).await;
    let (one, two) = (json!({"n": 1}), json!({"n": 2}));
    let stored = |text: &str| (200, format!("{text}\n"));
    assert_eq!(running.post_as("a", &one).await, stored("stored"));
    assert_eq!(running.post_as("a", &one).await, stored("stored before"));
    assert_eq!(running.post_as("a", &two).await.0, 422);
    assert_eq!(running.post_as("b", &one).await, stored("stored"), "another id is another request");
    assert_eq!(running.status(&one).await, 200);
    assert_eq!(running.status(&one).await, 200);
    assert_eq!(kafka.stored().len(), 4, "requests without an id are what they are");
    let header = |r: &SourceRecord| r.headers.last("Idempotency-Key").map(|h| h.value.to_string());
    assert_eq!(kafka.stored().iter().map(header).collect::<Vec<_>>(), [Some("a".into()), Some("b".into()), None, None]);
    assert_eq!(running.post_as(&"x".repeat(256), &one).await.0, 400);

    // Kafka refuses: the same id may be tried again.
    kafka.mode.send_replace(Mode::Fails);
    assert_eq!(running.post_as("c", &one).await.0, 503);
    kafka.mode.send_replace(Mode::Stores);
    assert_eq!(running.post_as("c", &one).await, stored("stored"));

    // Kafka is slow: who comes again waits for the first, and does not make a second.
    kafka.mode.send_replace(Mode::Hangs);
    assert_eq!(running.post_as("d", &one).await.0, 503);
    assert_eq!(running.post_as("d", &one).await.0, 503);
    assert_eq!(*kafka.hanging.borrow(), 1);

    // Nobody has taken it yet: nothing comes of it, and it may come again.
    kafka.mode.send_replace(Mode::Paused);
    let before = kafka.stored().len();
    // The poll that is under way still takes one.
    assert_eq!(running.post_as("e", &one).await.0, 200);
    assert_eq!(running.post_as("f", &one).await.0, 503);
    kafka.mode.send_replace(Mode::Stores);
    assert_eq!(running.post_as("f", &one).await, stored("stored"));
    assert_eq!(kafka.stored().len(), before + 2);
}

#[tokio::test]
async fn the_same_body_is_stored_once_where_the_settings_say_so() {
    let running = start(&Kafka::new(), &[JSON, ("webhook.idempotency", "body")]).await;
    for n in [1, 2, 1, 2] {
        assert_eq!(running.status(&json!({"n": n, "at": 5})).await, 200);
    }
    assert_eq!(running.kafka.stored().len(), 2);
}

#[tokio::test]
async fn only_signed_requests_are_taken() {
    let secret = ("webhook.hmac.secret", "It's a Secret to Everybody");
    let running = start(&Kafka::new(), &[JSON, secret, ("webhook.token", "s3cret")]).await;
    let body = r#"{"n": 1}"#;
    let sign = |signature: Option<&'static str>, token: &'static str| {
        let request = running.client.post(&running.url).header("authorization", token).body(body);
        let request = signature.iter().fold(request, |r, s| r.header("x-hub-signature-256", *s));
        async move { timeout(SOON, request.send()).await.unwrap().unwrap().status().as_u16() }
    };
    // As `openssl dgst -sha256 -hmac` has it.
    let right = "sha256=0928501b1168f13e201d3c9916e27ab0927fb3a1a8c5eaad7d410bb37b844558";
    let wrong = "sha256=0000000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(sign(Some(right), "Bearer s3cret").await, 200);
    assert_eq!(sign(Some(wrong), "Bearer s3cret").await, 401);
    assert_eq!(sign(None, "Bearer s3cret").await, 401);
    assert_eq!(sign(Some(right), "Bearer other").await, 401, "one does not stand for the other");
    assert_eq!(running.kafka.stored().len(), 1);
}

#[tokio::test]
async fn hostile_bodies_are_answered_and_hurt_nobody() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let wide = format!("[{}]", vec!["{}"; 20_000].join(","));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    let hostile: [&[u8]; 16] = [
        b"",
        b"\0",
        b"{",
        b"nil",
        b"1e999",
        b"{\"a\":1e999}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\\ud800\"}",
        b"\xff\xfe{}",
        b"{\"a\":\"\xc3\"}",
        b"{} trailing",
        b"[[]]",
        b"\xef\xbb\xbf{}",
        b"<xml/>",
        deep.as_bytes(),
        b"{\"alerts\":[{}]}",
    ];
    for (format, good) in [
        ("healthbot", notification("major", "hot")),
        ("alertmanager", parsed(FIRING)),
        ("grafana", parsed(include_str!("data/grafana.json"))),
        ("json", json!({"id": 1})),
    ] {
        let more = [("webhook.format", format), ("webhook.topic", "t-{{key}}"), ("webhook.key.pointer", "/id")];
        let more = if format == "json" { &more[..] } else { &more[..2] };
        let running = start(&Kafka::new(), more).await;
        let send = |body: Vec<u8>| {
            let request = running.client.post(&running.url).header("content-type", "application/json").body(body);
            async move { timeout(SOON, request.send()).await.unwrap().unwrap().status().as_u16() }
        };
        for body in hostile {
            assert_eq!(
                send(body.to_vec()).await,
                400,
                "{format}: {:?}",
                String::from_utf8_lossy(&body[..body.len().min(60)])
            );
        }
        assert_eq!(send(wide.clone().into_bytes()).await, 400, "{format}: what has no key, or no members");
        assert_eq!(send(long.clone().into_bytes()).await, 400);
        assert!(running.kafka.stored().is_empty(), "{format}");
        assert_eq!(running.kafka.refused.lock().unwrap().len(), hostile.len() + 2, "each is counted");
        assert_eq!(send(good.to_string().into_bytes()).await, 200, "{format}");
        running.stop().await;
    }
}

#[tokio::test]
async fn bodies_that_wait_are_bounded_by_their_bytes() {
    let kafka = Kafka::new();
    let more =
        [JSON, ("webhook.body.limit", "1000"), ("webhook.queue.bytes", "1000"), ("webhook.ack.timeout.ms", "500")];
    let running = start(&kafka, &more).await;
    kafka.mode.send_replace(Mode::Paused);
    // A poll that is under way still takes one.
    while running.status(&json!({"n": 0})).await == 200 {}
    let large = json!({"n": "x".repeat(600)});
    let (first, second) = tokio::join!(running.post(&large), running.post(&large));
    let texts = [first.text().await.unwrap(), second.text().await.unwrap()];
    assert!(texts.iter().any(|t| t.starts_with("too many requests")), "{texts:?}");
    assert!(texts.iter().any(|t| t.starts_with("not stored in time")), "{texts:?}");
    kafka.mode.send_replace(Mode::Stores);
    timeout(SOON, async { while running.status(&large).await != 200 {} }).await.expect("there is room again");
    let is_large = |r: &&SourceRecord| r.value.get("n").is_some_and(|n| n.as_str().is_some());
    assert_eq!(kafka.stored().iter().filter(is_large).count(), 1, "of those that were refused none");
}
