//! What is answered, and when: nothing is acknowledged that Kafka does not have.

use super::*;

impl Running {
    async fn post_as(&self, id: &str, body: &Json) -> (u16, String) {
        let request = self.client.post(&self.url).header("idempotency-key", id).json(body);
        let answer = timeout(SOON, request.send()).await.unwrap().unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
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
    let expected = "expected the header Content-Type: application/json, or a type that ends in +json\n";
    assert_eq!(send("text/plain", token, "{}".into()).await, (415, expected.into()));
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
        ("grafana", parsed(include_str!("../data/grafana.json"))),
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

#[tokio::test]
async fn objects_that_expressions_cannot_judge_are_refused_with_the_reason() {
    let settings = [
        JSON,
        ("webhook.alarms", "true"),
        ("webhook.topic", "doors"),
        ("alarm.name", "door/{{value.door}}"),
        ("alarm.raise", "value.open and value.minutes > 5"),
        ("alarm.clear", "not value.open"),
        ("alarm.severity", "'MAJOR' if value.minutes > 60 else 'MINOR'"),
        ("alarm.message", "open"),
    ];
    let running = start(&Kafka::new(), &settings).await;
    let good = json!({"door": "a", "open": true, "minutes": 6});
    assert_eq!(running.status(&good).await, 200);
    let stored = running.kafka.stored().len();
    for (bad, why) in [
        (json!({"door": "a", "open": true, "minutes": "ten"}), "value.minutes is a text and 5 is a number"),
        (json!({"door": "a"}), "value.open is missing or null"),
        (json!({"door": "a", "open": null}), "value.open is missing or null"),
        (json!({"door": "a", "open": true}), "value.minutes is missing or null"),
        (json!([good, {"door": "zz"}]), "value.open is missing or null"),
    ] {
        let answer = running.post(&bad).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 422, "{bad}: {text}");
        assert!(text.contains(why), "{bad}: {text}");
    }
    assert_eq!(running.kafka.stored().len(), stored, "nothing of them is stored");
}

#[tokio::test]
async fn numbers_that_would_change_are_refused() {
    let running = start(&Kafka::new(), &[JSON, ("webhook.key.pointer", "/n")]).await;
    let post = |body: &'static str| {
        let sent = running.client.post(&running.url).header("content-type", "application/json").body(body).send();
        async move {
            let answer = timeout(SOON, sent).await.unwrap().unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let why = "the number 12345678901234567890123 needs more than 64 bits with a sign: send it as a text\n";
    assert_eq!(post(r#"[{"n": 1}, {"n": 12345678901234567890123}]"#).await, (422, why.into()));
    assert!(running.kafka.stored().is_empty());
    assert_eq!(post(r#"{"n": "12345678901234567890123"}"#).await.0, 200);
    assert_eq!(running.kafka.stored()[0].key.as_str(), Some("12345678901234567890123"));
}
