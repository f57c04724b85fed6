//! Slack sink: a message per raised and per cleared alarm, through an incoming webhook.
//!
//! - [`config`]: the settings
//! - [`task`]: sends messages, at the pace that Slack allows
//! - [`message`]: from a record to a message, and from Slack's words to errors; pure

pub mod config;
pub mod message;
pub mod task;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::SlackConfig;

/// The connector.
#[derive(Debug)]
pub struct SlackSink(Settings);

#[async_trait]
impl Connector for SlackSink {
    type Config = SlackConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "slack-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Posts a message to a Slack channel for each record, and another one for each tombstone: alarms raised \
                and cleared. Messages are templates over the record. Slack takes about one message a second, so there \
                is one task, whatever tasks.max says; a task that is stopped in the middle of a batch posts it again \
                from its start, which consumer.override.max.poll.records keeps small.",
    };

    fn validate(config: &SlackConfig, problems: &mut Problems) {
        config.own.validate(problems);
        config.with.validate(problems);
    }

    async fn start(_config: SlackConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone()])
    }
}

#[async_trait]
impl SinkConnector for SlackSink {
    async fn start_task(config: SlackConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(task::SlackTask::new(config, context)?))
    }

    async fn start_trial(config: SlackConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(task::SlackTask::new(config, context)?)))
    }

    fn alter_offsets(_config: &SlackConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
