//! Settings, tasks and records of the tests.

use std::sync::Arc;

use connect_api::{Connector, Settings, SinkConnector, SinkRecord, SinkTask, Value, config::Config};
use connect_testkit::{Host, sink};
use connector_email::EmailSink;
use xtask::servers::Aiosmtpd;

/// Settings for the server at this port.
pub fn settings(port: u16, more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([
        ("email.smtp.host", "127.0.0.1"),
        ("email.smtp.port", port.to_string().as_str()),
        ("email.smtp.security", "none"),
        ("email.from", "Alarms <alarms@example.org>"),
        ("email.to", "ops@example.org"),
        ("email.subject", "{{key}}: {{value}}"),
        ("email.text", "{{value}}"),
    ]);
    settings.extend(&more.iter().copied().collect());
    settings
}

/// A task.
pub async fn start(settings: &Settings, host: &Arc<Host>) -> Box<dyn SinkTask> {
    let config = <EmailSink as Connector>::Config::parse(settings).expect("settings");
    EmailSink::start_task(config, host.sink(settings).0).await.expect("task")
}

/// A record of topic t.
pub fn record(offset: i64, key: &str, value: &str) -> SinkRecord {
    sink::record("t", offset, key, value)
}

/// A tombstone.
pub fn cleared(offset: i64, key: &str) -> SinkRecord {
    sink::record("t", offset, key, Value::Null)
}

/// Subjects of the mails that the server has, in order.
pub fn subjects(server: &Aiosmtpd) -> Vec<String> {
    server.mails().expect("mails").iter().map(|mail| mail.header("Subject").expect("subject")).collect()
}
