//! What the tests need of a task and of the broker.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{sync::Arc, time::Duration};

use connect_api::{
    ErrorClass, Outcome, Result, Settings, SourceBatch, SourceConnector as _, SourceContext, SourceRecord, SourceTask,
    TaskContext, Value, config::Config as _,
};
use connect_testkit::{Host, source::Fate};
use connector_mqtt::{MqttConfig, MqttSource};
use tokio::time::{Instant, sleep, timeout};
use xtask::servers::{Mosquitto, Server};

/// No wait is longer.
pub const SOON: Duration = Duration::from_secs(60);
/// How long nothing comes that is not expected.
pub const QUIET: Duration = Duration::from_millis(700);
/// The versions of the protocol.
pub const VERSIONS: [&str; 2] = ["3.1.1", "5"];

/// Settings of a source of this broker.
pub fn settings(broker: &Mosquitto, given: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([
        ("mqtt.server.uri", format!("tcp://{}", broker.address()).as_str()),
        ("mqtt.topics", "site/#"),
        ("mqtt.client.id", "tested"),
        ("mqtt.keepalive.interval.seconds", "5"),
    ]);
    settings.extend(&given.iter().copied().collect());
    settings
}

/// What a task is started with.
pub fn context(host: &Arc<Host>, settings: &Settings, task: u32) -> SourceContext {
    let stopping = connect_api::CancellationToken::new();
    SourceContext::new(TaskContext::new("mqtt".into(), task, settings.clone(), stopping, host.clone()))
}

/// A task on a host.
pub async fn start(host: &Arc<Host>, settings: &Settings) -> Box<dyn SourceTask> {
    let config = MqttConfig::parse(settings).expect("settings");
    MqttSource::start_task(config, context(host, settings, 0)).await.expect("a task")
}

/// Polls as the worker does: again after errors that may pass.
pub async fn poll(task: &mut dyn SourceTask) -> Result<SourceBatch> {
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

/// The next records, so many at least, answered with their fate.
pub async fn take(task: &mut dyn SourceTask, count: usize, fate: Fate) -> Vec<SourceRecord> {
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
pub async fn subscribed(task: &mut dyn SourceTask, broker: &Mosquitto) {
    let deadline = Instant::now() + SOON;
    while !broker.process().log().contains("Sending SUBACK") {
        assert!(Instant::now() < deadline, "{}", broker.process().log());
        // Only a task that is polled connects.
        if let Ok(Err(e)) = timeout(Duration::from_millis(50), task.poll()).await {
            assert_eq!(e.class(), ErrorClass::Retriable, "{}", e.one_line());
        }
    }
}

/// Their values.
pub fn texts(records: &[SourceRecord]) -> Vec<String> {
    let text = |record: &SourceRecord| match &record.value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_string(),
    };
    records.iter().map(text).collect()
}

/// The broker tells what it does.
pub const LOG: &str = "log_type all\n";
