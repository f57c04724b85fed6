//! InfluxDB sink: writes records as points, over the write API of InfluxDB 1 or 2.
//!
//! - [`config`]: the settings
//! - [`task`]: requests, and what the server's answers mean
//! - [`line_protocol`]: from a record to a line; pure
//! - `trial`: what test calls ask

pub mod config;
pub mod line_protocol;
pub mod task;
mod trial;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::InfluxConfig;

/// The connector.
#[derive(Debug)]
pub struct InfluxSink(Settings);

#[async_trait]
impl Connector for InfluxSink {
    type Config = InfluxConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "influxdb-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records to InfluxDB 1 or 2, or what takes its line protocol: a measurement by a template, \
                fields from the value's members (nested ones as a.b, lists as a0, a1 …), tags from chosen members or \
                the key. Points of one measurement with the same tags and time overwrite each other: a redelivery \
                is harmless, and two records that must both be kept need different tags or times.",
    };

    fn validate(config: &InfluxConfig, problems: &mut Problems) {
        config.own.validate(problems);
        config.with.validate(problems);
    }

    async fn start(_config: InfluxConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for InfluxSink {
    async fn start_task(config: InfluxConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(task::InfluxTask::new(config, context)?))
    }

    async fn start_trial(config: InfluxConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(task::InfluxTask::new(config, context)?)))
    }

    fn alter_offsets(_config: &InfluxConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
