//! Slack sink: a message per alarm, which changes with it, or a message per change through an incoming webhook.
//!
//! - [`config`]: the settings
//! - [`task`]: what is told when: new messages, changes, threads, digests
//! - [`channels`]: what waits for which channel, at the pace that Slack allows
//! - [`memory`]: what has been told of each alarm, across restarts
//! - [`message`]: from records to messages; [`limits`]: how long they may be; pure
//! - [`rules`]: channels, mentions and colours; pure
//! - [`api`]: requests; [`said`]: answers; [`words`]: what Slack's words mean

pub mod api;
pub mod channels;
pub mod config;
pub mod limits;
pub mod memory;
pub mod message;
pub mod rules;
pub mod said;
pub mod task;
pub mod words;

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
        about: "Tells a Slack channel of alarms. With slack.token an alarm has one message, coloured by its priority, which \
                is updated and threaded as the alarm changes and clears, also across restarts; with an incoming webhook \
                each change is a message. Channels and mentions are given by templates and rules. Slack takes about one \
                message a second and channel: when more records wait they are told in a digest. There is one task, \
                whatever tasks.max says",
    };

    fn validate(config: &SlackConfig, problems: &mut Problems) {
        config.own.own.validate(problems);
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
        task::start(config, context).await
    }

    async fn start_trial(config: SlackConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        let trial = Box::new(task::SlackTrial::new(&config, &context)?);
        connector_alarm::shelving::trial(trial, &config.own.with, &context).await.map(Some)
    }

    fn alter_offsets(_config: &SlackConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
