//! A task with a worker in memory around it.
#![allow(dead_code, reason = "each test has use for some of it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use connect_api::{
    CancellationToken, Result, Settings, SourceRecord, SourceTask, TextKey, Value, config::Config, json::to_json,
};
use connect_testkit::{Host, source};
use connector_syslog::{SyslogSourceConfig, task::SyslogTask};

/// What should take no time may wait for a busy machine.
pub const SOON: Duration = Duration::from_secs(25);

pub struct Running {
    pub task: SyslogTask,
    pub host: Arc<Host>,
    pub stopping: CancellationToken,
}

pub async fn try_start(more: &[(&str, &str)]) -> Result<Running> {
    let mut settings = Settings::from([("syslog.timezone", "UTC")]);
    settings.extend(&more.iter().copied().collect());
    let host = Host::new();
    let (context, stopping) = host.source(&settings);
    let task = SyslogTask::start(SyslogSourceConfig::parse(&settings)?, context).await?;
    Ok(Running { task, host, stopping })
}

pub async fn start(more: &[(&str, &str)]) -> Running {
    try_start(more).await.expect("a task")
}

impl Running {
    /// Where the listener of that number listens.
    pub fn address(&self, n: usize) -> SocketAddr {
        self.task.listens()[n].address.parse().expect("an address")
    }

    pub async fn take(&mut self, count: usize) -> Vec<SourceRecord> {
        source::take(&mut self.task, &self.host, count).await.expect("records")
    }

    /// Polls, whatever comes, until the condition holds; answers the records.
    pub async fn until(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Host, &[SourceRecord]) -> bool,
    ) -> Vec<SourceRecord> {
        let mut all = Vec::new();
        let deadline = tokio::time::Instant::now() + SOON;
        while !condition(&self.host, &all) {
            assert!(tokio::time::Instant::now() < deadline, "waited for {what}; {} records came", all.len());
            let polled = tokio::time::timeout(Duration::from_millis(50), self.task.poll()).await;
            if let Ok(batch) = polled {
                all.extend(batch.expect("a batch").into_parts().0);
            }
        }
        all
    }
}

pub fn field(record: &SourceRecord, name: &str) -> serde_json::Value {
    match &record.value {
        Value::Struct(value) => value.get(name).map(to_json).unwrap_or_default(),
        Value::Map(map) => map.get(&TextKey(name)).map(to_json).unwrap_or_default(),
        _ => serde_json::Value::Null,
    }
}

pub fn messages(records: &[SourceRecord]) -> Vec<String> {
    records.iter().map(|r| field(r, "message").as_str().unwrap_or("-").to_owned()).collect()
}
