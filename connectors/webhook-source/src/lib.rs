//! Webhook source: receives HTTP requests and produces what they tell, as alarms or as it is.
//!
//! The caller gets 200 when Kafka has it, and 503 when it should send the same again.
//!
//! - [`config`]: the settings
//! - [`intake`]: answers requests; a bounded queue stands between it and the task
//! - [`signature`]: whether a body is signed; [`once`]: whether a request came before
//! - [`task`]: takes requests from the queue and sends what they tell; [`alarms`]: writes changes of alarms
//! - [`event`]: from a body to events; pure. [`numbers`]: numbers that are too long; [`healthbot`]: HealthBot's
//!   notifications; [`alert`]: alerts of Alertmanager and Grafana; [`presets`]: what makes alarms of each format

pub mod alarms;
pub mod alert;
pub mod config;
pub mod event;
pub mod healthbot;
pub mod intake;
pub mod numbers;
pub mod once;
pub mod presets;
pub mod signature;
pub mod task;

use connect_api::{
    Check, Connector, ConnectorContext, PluginInfo, Reading, Result, Settings, SourceConnector, SourceContext,
    SourceTask, SourceTrial, async_trait, config::Problems,
};
use connector_http::Listener;

pub use config::WebhookSourceConfig;

/// The connector.
#[derive(Debug)]
pub struct WebhookSource(Settings);

#[async_trait]
impl Connector for WebhookSource {
    type Config = WebhookSourceConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "webhook-source",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Receives webhooks by HTTP POST: notifications of HealthBot and alerts of Alertmanager and Grafana, which \
                become alarms, or any JSON. A caller gets 200 when Kafka has its records, and 503 with Retry-After when it should send the same again: \
                because too many requests are waiting, Kafka does not acknowledge, or the connector was paused. \
                Nothing is kept in between, so nothing that was answered with 200 can be lost. While the connector \
                is stopped, has failed, or was paused when the worker started, nothing listens and connections are \
                refused, unless another connector shares the address: then its paths answer 503 for a minute, and \
                404 from then on. Callers must therefore also try again when a connection is refused. There is one \
                task, whatever tasks.max says.",
    };

    fn validate(config: &WebhookSourceConfig, problems: &mut Problems) {
        let own = &config.own.own;
        own.validate(problems);
        own.with.validate(problems);
        config.own.with.validate(problems);
        if config.emits_alarms() {
            config.with.validate(config.format, own.has_key(), problems);
        }
    }

    async fn start(_config: WebhookSourceConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone()])
    }
}

#[async_trait]
impl SourceConnector for WebhookSource {
    async fn start_task(config: WebhookSourceConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(task::WebhookTask::start(config, context).await?))
    }

    // Who sends a webhook has to be answered, and only what Kafka has may be answered with 200.
    async fn start_trial(config: WebhookSourceConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let name = context.connector();
        let check = Check::Passed(Listener::look(&config.own.with, &config.paths_of(name), name).await?);
        let why = "webhooks are received by the running connector alone, which has to answer them: send one to it, and \
                   look at its topic";
        Ok(Some(SourceTrial { check, reading: Reading::Impossible(why.into()) }))
    }
}
