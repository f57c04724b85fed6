//! Webhook sink: records as HTTP requests, each in one or several in one, in order.
//!
//! - [`config`]: the settings; [`aiven`] and [`confluent`]: those of the connectors that it stands in for; `dialect`: texts
//!   of the latter in our forms
//! - [`plan`]: what all of these mean
//! - [`task`]: sends requests; `tries`: how often, where that is limited
//! - [`request`]: from a record to the parts of a request; [`batch`]: from several bodies to one; both pure
//! - [`responses`]: answers as records
//! - [`presets`]: ready requests of alarms; [`alertmanager`]: a task of its own, as Alertmanager forgets

pub mod aiven;
pub mod alertmanager;
pub mod batch;
pub mod config;
pub mod confluent;
mod dialect;
pub mod plan;
pub mod presets;
pub mod request;
pub mod responses;
pub mod task;
mod tries;

use std::marker::PhantomData;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::WebhookSinkConfig;
use plan::Style;

/// The connector, in one of the ways to configure it.
#[derive(Debug)]
pub struct HttpSink<S>(Settings, PhantomData<S>);

/// `webhook-sink`
pub type WebhookSink = HttpSink<config::Webhook>;
/// Aiven's HTTP sink.
pub type AivenHttpSink = HttpSink<aiven::Aiven>;
/// Confluent's HTTP sink.
pub type ConfluentHttpSink = HttpSink<confluent::Confluent>;

#[async_trait]
impl<S: Style> Connector for HttpSink<S> {
    type Config = S::Config;

    const INFO: PluginInfo = S::INFO;

    fn validate(config: &S::Config, problems: &mut Problems) {
        S::validate(config, problems);
    }

    async fn start(_config: S::Config, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings, PhantomData))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl<S: Style> SinkConnector for HttpSink<S> {
    async fn start_task(config: S::Config, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        S::task(config, context).await
    }

    async fn start_trial(config: S::Config, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        S::trial(&config, &context).await.map(Some)
    }

    fn alter_offsets(_config: &S::Config, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
