//! The source's connection to Mosquitto: security, refusals, brokers that go and come back, and what test calls make of it.

mod driver;

use std::time::Duration;

use connect_api::{ErrorClass, SourceConnector as _, SourceTask, config::Config as _};
use connect_testkit::{Host, source, source::Fate};
use connector_mqtt::{MqttConfig, MqttSource};
use driver::{LOG, QUIET, SOON, VERSIONS, context, poll, settings, start, subscribed, take, texts};
use tokio::time::{sleep, timeout};
use xtask::servers::{Certificates, Mosquitto, Server, without};

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
