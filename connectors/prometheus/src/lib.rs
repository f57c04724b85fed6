//! Prometheus sink: counters, gauges and histograms of records on the worker's page `/metrics`.
//!
//! - [`config`]: the settings
//! - [`metric`]: the metrics that settings define, and what a record does to them; pure
//! - [`series`]: series with their values, and how those of several partitions come together; pure
//! - [`stored`]: totals in the keyed state, with the offsets up to which they count
//! - [`board`]: what the tasks of a connector show together
//! - [`task`]: counts records, stores totals
//! - [`remote`]: writes all series to a server
//! - [`trial`]: what a record would do

pub mod board;
pub mod config;
pub mod metric;
pub mod remote;
pub mod series;
pub mod stored;
pub mod task;
pub mod trial;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::PrometheusConfig;

/// The task setting that says how many tasks there are.
const TASKS: &str = "prometheus.tasks";

/// The connector.
#[derive(Debug)]
pub struct PrometheusSink(Settings);

#[async_trait]
impl Connector for PrometheusSink {
    type Config = PrometheusConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "prometheus-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Makes counters, gauges and histograms of records, by settings, and shows them on the worker's page \
                /metrics with the label connector. Totals are those of all tasks of the connector on the worker, and are \
                stored with the offsets up to which they count: each record counts once, whatever is restarted, killed or \
                rebalanced.",
    };

    fn validate(config: &PrometheusConfig, problems: &mut Problems) {
        config.own.own.with.validate(problems);
        config.own.with.validate(&config.own.own.with, problems);
        config.with.validate(problems);
    }

    async fn start(_config: PrometheusConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone().with(TASKS, max_tasks.to_string()); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for PrometheusSink {
    async fn start_task(config: PrometheusConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(task::PrometheusTask::start(&config, context).await?))
    }

    async fn start_trial(config: PrometheusConfig, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(trial::PrometheusTrial::new(&config, &context)?)))
    }
    fn alter_offsets(_config: &PrometheusConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }

    fn keeps_offsets_in(config: &PrometheusConfig) -> Option<String> {
        Some(config.state.clone())
    }
}
