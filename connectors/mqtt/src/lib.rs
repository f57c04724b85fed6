//! MQTT source: subscribes to topics of an MQTT broker and acknowledges a message when Kafka has its record.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`address`] | addresses of brokers, filters of topics; pure |
//! | [`packet`] | what is said on the wire, in both versions of the protocol; pure |
//! | [`inflight`] | messages that are not settled with the broker; pure |
//! | `connection` | one connection: reads messages, writes acknowledgements, keeps alive |
//! | `tls` | TLS |
//! | [`record`] | from messages to records; pure |
//! | [`task`] | from connections to batches, and from receipts to acknowledgements |

pub mod address;
pub mod config;
mod connection;
pub mod inflight;
pub mod packet;
pub mod record;
pub mod task;
mod tls;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SourceConnector, SourceContext, SourceTask, SourceTrial,
    async_trait, config::Problems,
};

pub use config::MqttConfig;
use task::MqttTask;

/// The plugin behind `connector.class: mqtt-source`.
#[derive(Debug)]
pub struct MqttSource {
    config: MqttConfig,
    settings: Settings,
}

#[async_trait]
impl Connector for MqttSource {
    type Config = MqttConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "mqtt-source",
        aliases: &["io.confluent.connect.mqtt.MqttSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Subscribes to topics of an MQTT broker, version 3.1.1 or 5, and writes a record for each message. A message of \
                quality of service 1 or 2 is acknowledged when Kafka has its record, and the broker keeps the session \
                while the connector is away, so that what is published meanwhile arrives. Every message then comes at \
                least once. When too much waits, nothing more is read from the broker.",
    };

    fn validate(config: &MqttConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(config: MqttConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self { config, settings: context.settings })
    }

    // What is not shared would come once for each task.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.settings.clone(); self.config.tasks(max_tasks)])
    }
}

#[async_trait]
impl SourceConnector for MqttSource {
    async fn start_task(config: MqttConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(MqttTask::start(config, context).await?))
    }

    // A session of its own, which goes with the connection: nothing is acknowledged, and nobody misses anything.
    async fn start_trial(config: MqttConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        MqttTask::try_out(config, context).await.map(Some)
    }
}
