//! InfluxDB sink: writes records as points, over the write APIs of InfluxDB 1, 2 and 3. It also stands in for the sinks of
//! Lenses and Confluent, with their settings.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | own settings |
//! | [`lenses`], [`kcql`] | settings of Lenses' connector, and its query language; pure |
//! | [`confluent`] | settings of Confluent's connector |
//! | [`plan`] | what all kinds of settings are turned into: endpoint and statements |
//! | [`statement`] | what of a record becomes measurement, tags, fields and time; pure |
//! | [`moment`] | the times of points; pure |
//! | [`line_protocol`] | from records to lines; pure |
//! | [`endpoint`] | the write APIs, and what their answers mean |
//! | [`task`] | requests |
//! | `trial` | what test calls ask |

pub mod config;
pub mod confluent;
pub mod endpoint;
pub mod kcql;
pub mod lenses;
pub mod line_protocol;
pub mod moment;
pub mod plan;
pub mod statement;
pub mod task;
mod trial;

use std::marker::PhantomData;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

pub use config::InfluxConfig;
pub use confluent::ConfluentConfig;
pub use lenses::LensesConfig;
use plan::Front;
use task::InfluxTask;

/// A kind of settings under its own names.
pub trait Kind: Send + Sync + 'static {
    /// The settings.
    type Config: Front;

    /// The names.
    const INFO: PluginInfo;
}

/// A connector by the settings of a kind.
#[derive(Debug)]
pub struct Sink<K> {
    settings: Settings,
    kind: PhantomData<fn() -> K>,
}

/// The plugin behind `connector.class: influxdb-sink`.
pub type InfluxSink = Sink<Own>;

/// The kind of the connector's own settings.
#[derive(Debug)]
pub struct Own;

impl Kind for Own {
    type Config = InfluxConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "influxdb-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records to InfluxDB 1, 2 or 3, or what takes its line protocol: a measurement by a template, \
                fields from the value's members (nested ones as a.b, lists as a0, a1 …), tags from chosen members or \
                the key. Points of one measurement with the same tags and time overwrite each other: a redelivery \
                is harmless, and two records that must both be kept need different tags or times.",
    };
}

/// The plugin that runs with the settings of Lenses' connector.
pub type LensesInfluxSink = Sink<Lenses>;

/// The kind of the settings of Lenses' connector.
#[derive(Debug)]
pub struct Lenses;

impl Kind for Lenses {
    type Config = LensesConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "influxdb-kcql-sink",
        aliases: &[
            "io.lenses.streamreactor.connect.influx.InfluxSinkConnector",
            "com.datamountaineer.streamreactor.connect.influx.InfluxSinkConnector",
        ],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records to InfluxDB 1 by statements in Lenses' query language (KCQL), with the settings of its \
                connector. For versions 2 and 3, measurements by templates and more see influxdb-sink.",
    };
}

/// The plugin that runs with the settings of Confluent's connector.
pub type ConfluentInfluxSink = Sink<Confluent>;

/// The kind of the settings of Confluent's connector.
#[derive(Debug)]
pub struct Confluent;

impl Kind for Confluent {
    type Config = ConfluentConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "influxdb-confluent-sink",
        aliases: &["io.confluent.influxdb.InfluxDBSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records to InfluxDB 1 with the settings of Confluent's connector: members of the value are fields, \
                but for measurement, which names the measurement, and tags, whose members are tags. For versions 2 and 3, \
                measurements by templates and more see influxdb-sink.",
    };
}

#[async_trait]
impl<K: Kind> Connector for Sink<K> {
    type Config = K::Config;

    const INFO: PluginInfo = K::INFO;

    fn validate(config: &K::Config, problems: &mut Problems) {
        config.check(problems);
        config.http().validate(problems);
    }

    async fn start(config: K::Config, context: ConnectorContext) -> Result<Self> {
        for key in config.without_effect() {
            tracing::info!("{key} has no effect here");
        }
        Ok(Self { settings: context.settings, kind: PhantomData })
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.settings.clone(); max_tasks])
    }
}

#[async_trait]
impl<K: Kind> SinkConnector for Sink<K> {
    async fn start_task(config: K::Config, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(InfluxTask::new(config.plan()?, config.http(), context)?))
    }

    async fn start_trial(config: K::Config, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(InfluxTask::new(config.plan()?, config.http(), context)?)))
    }

    fn alter_offsets(_config: &K::Config, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
