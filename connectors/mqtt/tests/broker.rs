//! The source against Mosquitto, without Kafka: what is handed over, what is acknowledged, what comes again.

mod driver;

use std::collections::BTreeSet;
use std::time::Duration;

use connect_api::{ErrorClass, Outcome, SourceConnector as _, SourceRecord, Value, config::Config as _};
use connect_testkit::{Host, source, source::Fate};
use connector_mqtt::{MqttConfig, MqttSource};
use driver::{LOG, QUIET, SOON, VERSIONS, context, poll, settings, start, subscribed, take, texts};
use tokio::time::{Instant, sleep, timeout};
use xtask::servers::{Mosquitto, Server, without};

fn header(record: &SourceRecord, key: &str) -> Option<Value> {
    record.headers.last(key).map(|header| header.value.clone())
}

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
