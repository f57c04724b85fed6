//! Webhook sink: one HTTP request per record, in order.
//!
//! - [`config`]: the settings
//! - [`task`]: sends requests
//! - [`request`]: from a record to a request; pure

pub mod config;
pub mod request;
pub mod task;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::WebhookSinkConfig;

/// The connector.
#[derive(Debug)]
pub struct WebhookSink(Settings);

#[async_trait]
impl Connector for WebhookSink {
    type Config = WebhookSinkConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "webhook-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Sends each record as an HTTP request, one after the other in the order of its partition unless \
                http.max.in.flight says otherwise. URL and body \
                are templates over the record; without a body template the record is sent as JSON. An answer of 2xx \
                means delivered; 429, 5xx and no answer mean the same record again, after Retry-After if given; 400, \
                409, 413, 414, 422 and 431 are errors of the record, all others fail the task.",
    };

    fn validate(config: &WebhookSinkConfig, problems: &mut Problems) {
        config.own.own.own.validate(problems);
        config.own.with.validate(problems);
        config.with.validate(problems);
    }

    async fn start(_config: WebhookSinkConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for WebhookSink {
    async fn start_task(config: WebhookSinkConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(task::WebhookTask::new(config, context)?))
    }

    async fn start_trial(config: WebhookSinkConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(task::WebhookTask::new(config, context)?)))
    }

    fn alter_offsets(_config: &WebhookSinkConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
