//! The source against Mosquitto, without Kafka: what is handed over, what is acknowledged, what comes again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use connect_api::{
    ErrorClass, Outcome, Result, Settings, SourceBatch, SourceConnector as _, SourceContext, SourceRecord, SourceTask,
    TaskContext, Value, config::Config as _,
};
use connect_testkit::{Host, source, source::Fate};
use connector_mqtt::{MqttConfig, MqttSource};
use tokio::time::{Instant, sleep, timeout};
use xtask::servers::{Certificates, Mosquitto, Server, without};

const SOON: Duration = Duration::from_secs(60);
/// How long nothing comes that is not expected.
const QUIET: Duration = Duration::from_millis(700);
const VERSIONS: [&str; 2] = ["3.1.1", "5"];

fn settings(broker: &Mosquitto, given: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([
        ("mqtt.server.uri", format!("tcp://{}", broker.address()).as_str()),
        ("mqtt.topics", "site/#"),
        ("mqtt.client.id", "tested"),
        ("mqtt.keepalive.interval.seconds", "5"),
    ]);
    settings.extend(&given.iter().copied().collect());
    settings
}

fn context(host: &Arc<Host>, settings: &Settings, task: u32) -> SourceContext {
    let stopping = connect_api::CancellationToken::new();
    SourceContext::new(TaskContext::new("mqtt".into(), task, settings.clone(), stopping, host.clone()))
}

async fn start(host: &Arc<Host>, settings: &Settings) -> Box<dyn SourceTask> {
    let config = MqttConfig::parse(settings).expect("settings");
    MqttSource::start_task(config, context(host, settings, 0)).await.expect("a task")
}

/// Polls as the worker does: again after errors that may pass.
async fn poll(task: &mut dyn SourceTask) -> Result<SourceBatch> {
    let deadline = Instant::now() + SOON;
    loop {
        match timeout(SOON, task.poll()).await.expect("a batch in time") {
            Err(e) if e.class() == ErrorClass::Retriable => {
                assert!(Instant::now() < deadline, "{}", e.one_line());
                sleep(Duration::from_millis(100)).await;
            }
            polled => return polled,
        }
    }
}

async fn take(task: &mut dyn SourceTask, count: usize, fate: Fate) -> Vec<SourceRecord> {
    let mut all = Vec::new();
    while all.len() < count {
        let (records, slips) = poll(task).await.expect("a batch").into_parts();
        for slip in slips {
            let stored = slip.range.len();
            slip.answer(match fate {
                Fate::Stored => Outcome { stored, ..Outcome::default() },
                Fate::Refused => Outcome::failure(connect_api::Error::retriable("kafka is away in this test")),
            });
        }
        all.extend(records);
    }
    all
}

/// Waits until the broker has the session with its subscriptions.
async fn subscribed(task: &mut dyn SourceTask, broker: &Mosquitto) {
    let deadline = Instant::now() + SOON;
    while !broker.process().log().contains("Sending SUBACK") {
        assert!(Instant::now() < deadline, "{}", broker.process().log());
        // Only a task that is polled connects.
        if let Ok(Err(e)) = timeout(Duration::from_millis(50), task.poll()).await {
            assert_eq!(e.class(), ErrorClass::Retriable, "{}", e.one_line());
        }
    }
}

fn texts(records: &[SourceRecord]) -> Vec<String> {
    let text = |record: &SourceRecord| match &record.value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_string(),
    };
    records.iter().map(text).collect()
}

fn header(record: &SourceRecord, key: &str) -> Option<Value> {
    record.headers.last(key).map(|header| header.value.clone())
}

const LOG: &str = "log_type all\n";

#[tokio::test]
async fn every_quality_comes_in_both_versions_and_comes_again_only_while_it_is_not_acknowledged() {
    if without("mosquitto") {
        return;
    }
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
            let level: u8 = qos.parse().expect("quality");
            let settings = settings(&broker, &[("mqtt.version", version), ("mqtt.qos", qos)]);
            let mut task = start(&host, &settings).await;
            subscribed(&mut *task, &broker).await;
            broker.publish("site/a/b", level, "one\ntwo\nthree\n", &[]).expect("published");
            broker.publish("elsewhere", level, "not wanted\n", &[]).expect("published");
            let records = take(&mut *task, 3, Fate::Refused).await;
            assert_eq!(texts(&records), ["one", "two", "three"], "{version} {qos}");
            assert_eq!(records[0].key, Value::from("site/a/b"));
            assert_eq!(header(&records[0], "mqtt.qos"), Some(Value::Int32(i32::from(level))));
            assert_eq!(header(&records[0], "mqtt.duplicate"), Some(false.into()));
            source::stop(task).await;

            let mut task = start(&host, &settings).await;
            if level == 0 {
                source::silent(&mut *task, QUIET).await;
            } else {
                let again = take(&mut *task, 3, Fate::Stored).await;
                assert_eq!(texts(&again), ["one", "two", "three"], "{version} {qos}");
                assert_eq!(header(&again[0], "mqtt.duplicate"), Some(true.into()), "{version} {qos}");
            }
            source::stop(task).await;

            // What is published while nobody is there is kept; what was acknowledged is not.
            broker.publish("site/a", level, "four\n", &[]).expect("published");
            let mut task = start(&host, &settings).await;
            if level > 0 {
                assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["four"], "{version} {qos}");
            }
            source::silent(&mut *task, QUIET).await;
            source::stop(task).await;
        }
    }
}

#[tokio::test]
async fn what_is_under_way_while_the_broker_restarts_is_acknowledged_and_not_handed_over_again() {
    if without("mosquitto") {
        return;
    }
    for version in VERSIONS {
        for (qos, killed) in [("1", false), ("2", false), ("1", true), ("2", true)] {
            let further = format!("{LOG}autosave_on_changes true\n");
            let (mut broker, host) = (Mosquitto::start_with(&further).expect("mosquitto"), Host::new());
            let settings = settings(&broker, &[("mqtt.version", version), ("mqtt.qos", qos)]);
            let mut task = start(&host, &settings).await;
            subscribed(&mut *task, &broker).await;
            broker.publish("site/a", 2, "one\ntwo\n", &[]).expect("published");
            let mut held = Vec::new();
            while held.iter().map(|batch: &(Vec<_>, Vec<_>)| batch.0.len()).sum::<usize>() < 2 {
                held.push(poll(&mut *task).await.expect("a batch").into_parts());
            }
            if killed {
                broker.kill9().expect("kill")
            } else {
                broker.stop().expect("stop")
            }
            let lost = timeout(SOON, task.poll()).await.expect("in time").expect_err("the broker is away");
            assert_eq!(lost.class(), ErrorClass::Retriable);
            broker.start_again().expect("start");
            broker.publish("site/a", 2, "three\n", &[]).expect("published");
            // Only what is new is handed over.
            let third = take(&mut *task, 1, Fate::Stored).await;
            assert_eq!(texts(&third), ["three"], "{version} {qos}");
            for (records, slips) in held {
                assert!(!records.is_empty());
                slips.into_iter().for_each(|slip| slip.answer(Outcome { stored: 1, ..Outcome::default() }));
            }
            source::silent(&mut *task, QUIET).await;
            source::stop(task).await;
            let mut task = start(&host, &settings).await;
            source::silent(&mut *task, QUIET).await;
            source::stop(task).await;
        }
    }
}

#[tokio::test]
async fn a_poll_succeeds_without_a_message_when_the_broker_is_back() {
    if without("mosquitto") {
        return;
    }
    let (mut broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    let mut task = start(&host, &settings(&broker, &[])).await;
    subscribed(&mut *task, &broker).await;
    source::silent(&mut *task, QUIET).await;
    for _ in 0..2 {
        broker.stop().expect("stop");
        let lost = timeout(SOON, task.poll()).await.expect("in time").expect_err("the broker is away");
        assert_eq!(lost.class(), ErrorClass::Retriable);
        broker.start_again().expect("start");
        let batch = poll(&mut *task).await.expect("the broker is back");
        assert!(batch.into_parts().0.is_empty());
        // Once is enough.
        source::silent(&mut *task, 4 * QUIET).await;
    }
    source::stop(task).await;
}

#[tokio::test]
async fn clients_that_throw_each_other_out_are_told_of_their_name() {
    if without("mosquitto") {
        return;
    }
    for version in VERSIONS {
        let broker = Mosquitto::start_with(LOG).expect("mosquitto");
        let settings = settings(&broker, &[("mqtt.version", version)]);
        let (mut one, mut other) = (start(&Host::new(), &settings).await, start(&Host::new(), &settings).await);
        let told = async |task: &mut dyn SourceTask| loop {
            if let Err(e) = task.poll().await {
                assert_eq!(e.class(), ErrorClass::Retriable, "{}", e.one_line());
                if e.one_line().contains("another client may have the same mqtt.client.id=tested") {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let either = async {
            tokio::select! {
                () = told(&mut *one) => {}
                () = told(&mut *other) => {}
            }
        };
        timeout(SOON, either).await.expect("it is said");
        source::stop(one).await;
        source::stop(other).await;
    }
}

#[tokio::test]
async fn properties_of_version_5_become_headers() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    let settings = settings(
        &broker,
        &[("mqtt.version", "5"), ("kafka.topic", "of.{{properties.site}}"), ("mqtt.key", "{{levels|last}}")],
    );
    let mut task = start(&host, &settings).await;
    subscribed(&mut *task, &broker).await;
    let words = "-V 5 -D publish user-property site north -D publish content-type text/plain -D publish response-topic r \
                 -D publish correlation-data 7";
    broker.publish("site/a", 1, "x\n", &words.split_whitespace().collect::<Vec<_>>()).expect("published");
    let records = take(&mut *task, 1, Fate::Stored).await;
    assert_eq!((&*records[0].topic, &records[0].key), ("of.north", &Value::from("a")));
    assert_eq!(header(&records[0], "mqtt.property.site"), Some("north".into()));
    assert_eq!(header(&records[0], "mqtt.content.type"), Some("text/plain".into()));
    assert_eq!(header(&records[0], "mqtt.response.topic"), Some("r".into()));
    assert_eq!(header(&records[0], "mqtt.correlation.data"), Some(Value::Bytes(b"7"[..].into())));
    source::stop(task).await;
}

#[tokio::test]
async fn bad_payloads_are_reported_whole_and_the_stream_goes_on() {
    if without("mosquitto") {
        return;
    }
    for version in VERSIONS {
        let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
        let given = [("mqtt.version", version), ("mqtt.value.format", "json"), ("mqtt.message.limit", "2000")];
        let settings = settings(&broker, &given);
        let mut task = start(&host, &settings).await;
        subscribed(&mut *task, &broker).await;
        let dir = tempfile::tempdir().expect("folder");
        let (large, binary) = (dir.path().join("large"), dir.path().join("binary"));
        std::fs::write(&large, vec![b'1'; 3_000_000]).expect("file");
        std::fs::write(&binary, b"\xff\x00{").expect("file");
        broker.publish("site/a", 1, "{\"n\":1}\n{\"n\":\n", &[]).expect("published");
        broker.publish_file("site/a", 1, &large, &[]).expect("published");
        broker.publish_file("site/a", 1, &binary, &[]).expect("published");
        broker.publish("site/a", 1, "{\"n\":2}\n", &["-r"]).expect("published");
        let records = take(&mut *task, 2, Fate::Stored).await;
        assert_eq!(records[1].value, Value::map([("n", Value::Int64(2))]));
        let reasons: Vec<String> = host.reported().iter().map(|(_, e)| e.one_line()).collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(reasons[0].contains("site/a") && reasons[0].contains("not JSON"), "{reasons:?}");
        assert!(reasons[1].contains("3000000 bytes") && reasons[1].contains("mqtt.message.limit"), "{reasons:?}");
        source::stop(task).await;
        // Nothing of all that comes again.
        let settings = settings.with("mqtt.retained", "never");
        let mut task = start(&host, &settings).await;
        source::silent(&mut *task, QUIET).await;
        source::stop(task).await;
        let mut task = start(&host, &settings.with("mqtt.retained", "always")).await;
        let retained = take(&mut *task, 1, Fate::Stored).await;
        assert_eq!(header(&retained[0], "mqtt.retained"), Some(true.into()), "{version}");
        source::stop(task).await;
    }
}

#[tokio::test]
async fn bad_payloads_that_nobody_tolerates_fail_the_task_and_stay_with_the_broker() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    host.intolerant();
    let settings = settings(&broker, &[("mqtt.value.format", "json")]);
    for round in 0..2 {
        let mut task = start(&host, &settings).await;
        subscribed(&mut *task, &broker).await;
        if round == 0 {
            broker.publish("site/a", 1, "{\n", &[]).expect("published");
        }
        let e = poll(&mut *task).await.expect_err("a bad payload");
        assert!(e.report().contains("not JSON"), "{}", e.report());
        source::stop(task).await;
    }
}

#[tokio::test]
async fn tls_with_client_certificates() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_secure().expect("mosquitto"), Host::new());
    let files = broker.certificates().expect("certificates");
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let (ca, own, key) = (path(files.ca()), path(files.client_certificate()), path(files.client_key()));
    let (encrypted, store) = (path(files.encrypted_client_key()), path(files.client_keystore()));
    let server = format!("ssl://{}", broker.tls_address().expect("tls"));
    let base = settings(&broker, &[("mqtt.server.uri", &server), ("mqtt.ssl.trust.store.path", &ca)]);
    let password = Certificates::PASSWORD;
    let good: [&[(&str, &str)]; 3] = [
        &[("mqtt.ssl.key.store.path", &own), ("mqtt.ssl.key.path", &key)],
        &[("mqtt.ssl.key.store.path", &own), ("mqtt.ssl.key.path", &encrypted), ("mqtt.ssl.key.password", password)],
        &[
            ("mqtt.ssl.key.store.path", &store),
            ("mqtt.ssl.key.store.password", password),
            ("mqtt.ssl.server.name", "localhost"),
        ],
    ];
    for (n, given) in good.into_iter().enumerate() {
        let id = format!("tls-{n}");
        let mut all = base.clone().with("mqtt.client.id", &id).with("mqtt.retained", "always");
        all.extend(&given.iter().copied().collect());
        broker.publish("site/a", 1, "over tls\n", &["-r"]).expect("published");
        let mut task = start(&host, &all).await;
        assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["over tls"]);
        source::stop(task).await;
    }
    let mut stranger = base.clone();
    stranger.remove("mqtt.ssl.trust.store.path");
    let wrong_name = {
        let mut settings = base.clone().with("mqtt.ssl.server.name", "elsewhere");
        settings.extend(&good[0].iter().copied().collect());
        settings
    };
    for (settings, expected) in
        [(base, "mqtt.ssl.key.store.path"), (stranger, "mqtt.ssl.trust.store.path"), (wrong_name, "mqtt.server.uri")]
    {
        let mut task = start(&host, &settings).await;
        let e = timeout(SOON, task.poll()).await.expect("in time").expect_err("refused");
        assert!(e.report().contains(expected) && e.report().contains(&server), "{expected}: {}", e.report());
        source::stop(task).await;
    }
}

#[tokio::test]
async fn what_the_broker_refuses_for_good_fails_the_task_with_its_reason() {
    if without("mosquitto") {
        return;
    }
    let host = Host::new();
    let (secure, silent) =
        (Mosquitto::start_secure().expect("mosquitto"), Mosquitto::start_refusing_subscriptions().expect("mosquitto"));
    for version in VERSIONS {
        let version = ("mqtt.version", version);
        let wrong = settings(&secure, &[version, ("mqtt.username", Mosquitto::USER), ("mqtt.password", "wrong")]);
        let refused = settings(&silent, &[version]);
        for (settings, expected) in [(wrong, "mqtt.username"), (refused, "site/#")] {
            let mut task = start(&host, &settings).await;
            let e = timeout(SOON, task.poll()).await.expect("in time").expect_err("refused");
            assert_eq!(e.class(), ErrorClass::Fatal, "{}", e.report());
            assert!(e.report().contains(expected), "{}", e.report());
            source::stop(task).await;
        }
    }
    let login = [("mqtt.username", Mosquitto::USER), ("mqtt.password", Mosquitto::PASSWORD), ("mqtt.topics", "open/#")];
    let mut task = start(&host, &settings(&secure, &login).with("mqtt.retained", "always")).await;
    secure.publish("open/a", 1, "in\n", &["-r"]).expect("published");
    assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["in"]);
    source::stop(task).await;
}

#[tokio::test]
async fn two_tasks_share_a_subscription() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    let settings = settings(&broker, &[("mqtt.topics", "$share/g/site/#,alone")]);
    let config = MqttConfig::parse(&settings).expect("settings");
    let mut tasks = Vec::new();
    for n in 0..2 {
        let task = MqttSource::start_task(config.clone(), context(&host, &settings, n)).await.expect("a task");
        tasks.push(task);
    }
    let deadline = Instant::now() + SOON;
    while broker.process().log().matches("Sending SUBACK").count() < 2 {
        assert!(Instant::now() < deadline, "{}", broker.process().log());
        for task in &mut tasks {
            if let Ok(Err(e)) = timeout(Duration::from_millis(50), task.poll()).await {
                assert_eq!(e.class(), ErrorClass::Retriable, "{}", e.one_line());
            }
        }
    }
    let numbers: String = (0..200).map(|n| format!("{n}\n")).collect();
    broker.publish("site/a", 1, &numbers, &[]).expect("published");
    broker.publish("alone", 1, "once\n", &[]).expect("published");
    let (mut shares, deadline) = ([BTreeSet::new(), BTreeSet::new()], Instant::now() + SOON);
    while shares[0].len() + shares[1].len() < 201 {
        assert!(Instant::now() < deadline, "{shares:?}");
        for (task, share) in tasks.iter_mut().zip(&mut shares) {
            if let Ok(batch) = timeout(Duration::from_millis(50), task.poll()).await {
                let (records, slips) = batch.expect("a batch").into_parts();
                slips.into_iter().for_each(|slip| slip.answer(Outcome { stored: 1, ..Outcome::default() }));
                share.extend(texts(&records));
            }
        }
    }
    assert!(shares[0].contains("once") && shares[0].is_disjoint(&shares[1]), "{shares:?}");
    assert!(shares.iter().all(|share| share.len() > 20), "{shares:?}");
    for task in tasks {
        source::stop(task).await;
    }
}

#[tokio::test]
async fn a_task_that_takes_nothing_keeps_its_connection_and_reads_no_more_than_its_queue() {
    if without("mosquitto") {
        return;
    }
    for version in VERSIONS {
        // Messages of quality 0 that the broker cannot write it keeps up to this limit.
        let further = format!("{LOG}max_queued_bytes 0\n");
        let (broker, host) = (Mosquitto::start_with(&further).expect("mosquitto"), Host::new());
        let given = [
            ("mqtt.version", version),
            ("mqtt.qos", "0"),
            ("mqtt.queue", "10"),
            ("mqtt.keepalive.interval.seconds", "1"),
        ];
        let mut task = start(&host, &settings(&broker, &given)).await;
        subscribed(&mut *task, &broker).await;
        let line = "x".repeat(1000);
        let lines: String = (0..2000).map(|n| format!("{n} {line}\n")).collect();
        broker.publish("site/a", 0, &lines, &[]).expect("published");
        // More than twice the time after which the broker gives up a silent client.
        sleep(Duration::from_secs(4)).await;
        let records = take(&mut *task, 1000, Fate::Stored).await;
        assert!(texts(&records)[0].starts_with("0 "), "{version}");
        let log = broker.process().log();
        assert_eq!(log.matches(" as tested ").count(), 1, "it has not connected again: {log}");
        assert!(!log.contains("exceeded timeout"), "{log}");
        source::stop(task).await;
    }
}

#[tokio::test]
async fn a_subscription_that_is_no_setting_any_more_is_given_up() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    let before = settings(&broker, &[("mqtt.topics", "old,site/#")]);
    let mut task = start(&host, &before).await;
    subscribed(&mut *task, &broker).await;
    broker.publish("old", 1, "wanted\n", &[]).expect("published");
    for record in take(&mut *task, 1, Fate::Stored).await {
        let (partition, offset) = record.source.expect("an offset");
        host.commit(&partition, offset);
    }
    source::stop(task).await;
    let mut task = start(&host, &settings(&broker, &[])).await;
    let deadline = Instant::now() + SOON;
    while !broker.process().log().contains("Sending UNSUBACK") {
        assert!(Instant::now() < deadline, "{}", broker.process().log());
        source::silent(&mut *task, Duration::from_millis(50)).await;
    }
    broker.publish("old", 1, "unwanted\n", &[]).expect("published");
    broker.publish("site/a", 1, "wanted\n", &[]).expect("published");
    assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["wanted"]);
    source::stop(task).await;
}

#[tokio::test]
async fn a_frozen_broker_is_noticed_and_another_address_taken() {
    if without("mosquitto") {
        return;
    }
    let (mut broker, other, host) =
        (Mosquitto::start_with(LOG).expect("mosquitto"), Mosquitto::start().expect("mosquitto"), Host::new());
    let servers = format!("tcp://{},tcp://{}", broker.address(), other.address());
    let given = [
        ("mqtt.server.uri", servers.as_str()),
        ("mqtt.keepalive.interval.seconds", "1"),
        ("mqtt.connect.timeout.seconds", "2"),
    ];
    let mut task = start(&host, &settings(&broker, &given)).await;
    subscribed(&mut *task, &broker).await;
    broker.pause().expect("pause");
    let e = timeout(SOON, task.poll()).await.expect("in time").expect_err("it is frozen");
    assert!(e.report().contains("silent"), "{}", e.report());
    other.publish("site/a", 1, "from the other\n", &["-r"]).expect("published");
    assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["from the other"]);
    source::stop(task).await;
    broker.resume().expect("resume");
}

#[tokio::test]
async fn a_test_call_shows_messages_and_takes_none_away() {
    if without("mosquitto") {
        return;
    }
    let (broker, host) = (Mosquitto::start_with(LOG).expect("mosquitto"), Host::new());
    let settings = settings(&broker, &[("mqtt.topics", "$share/g/site/#")]);
    let mut task = start(&host, &settings).await;
    subscribed(&mut *task, &broker).await;
    let config = MqttConfig::parse(&settings).expect("settings");
    let trial = MqttSource::start_trial(config.clone(), context(&host, &settings, 0)).await.expect("passed");
    let trial = trial.expect("a trial");
    assert!(matches!(&trial.check, connect_api::Check::Passed(text) if text.contains(&broker.address())));
    let connect_api::Reading::Task(mut reading) = trial.reading else { panic!("it can be read") };
    broker.publish("site/a", 1, "seen by both\n", &[]).expect("published");
    assert_eq!(texts(&take(&mut *reading, 1, Fate::Refused).await), ["seen by both"]);
    source::stop(reading).await;
    assert_eq!(texts(&take(&mut *task, 1, Fate::Stored).await), ["seen by both"]);
    source::stop(task).await;

    let mut nowhere = settings;
    nowhere.set("mqtt.server.uri", "tcp://127.0.0.1:1");
    let config = MqttConfig::parse(&nowhere).expect("settings");
    let refused = MqttSource::start_trial(config, context(&host, &nowhere, 0)).await;
    assert!(refused.is_err_and(|e| e.report().contains("tcp://127.0.0.1:1")));
}
