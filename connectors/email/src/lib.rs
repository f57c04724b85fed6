//! Email sink: a mail for each record, or for several.
//!
//! - [`config`]: the settings
//! - [`task`]: what is sent when
//! - [`message`]: from records to mails; [`recipients`]: who gets them; pure
//! - [`thread`]: what is remembered of mails; [`memory`]: where, and who got them
//! - [`smtp`]: talks to the server

pub mod config;
pub mod memory;
pub mod message;
pub mod recipients;
pub mod smtp;
pub mod task;
pub mod thread;
mod trial;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait,
};
use connector_alarm::shelving;

pub use config::EmailSinkConfig;

/// The connector.
#[derive(Debug)]
pub struct EmailSink(Settings);

#[async_trait]
impl Connector for EmailSink {
    type Config = EmailSinkConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "email-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Sends mails through an SMTP server: one for each record, or digests. Subject, texts and recipients are \
                templates over the record. Mails about the same key form a thread, which a tombstone ends with a last mail. \
                Answers of 4xx and no answer mean the same mail again; recipients and contents that are refused make \
                the record a bad one, all others fail the task. A record is mailed at least once; a mail that comes again \
                has the same Message-ID.",
    };

    async fn start(_config: EmailSinkConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for EmailSink {
    async fn start_task(config: EmailSinkConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        let task = task::EmailTask::start(&config.own, context.clone()).await?;
        shelving::silent(Box::new(task), &config.shelving, &context).await
    }

    async fn start_trial(config: EmailSinkConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        let trial = Box::new(trial::EmailTrial::new(&config.own, &context).await?);
        shelving::trial(trial, &config.shelving, &context).await.map(Some)
    }

    fn alter_offsets(_config: &EmailSinkConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
