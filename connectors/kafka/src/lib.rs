//! Kafka source: topics of a cluster, this one or another, as a source, so that they can be transformed or replicated.
//!
//! Every task looks for topics itself and takes its share of their partitions, so that a new topic disturbs no other.
//! Offsets are source offsets of the worker: nothing is kept in the cluster that is read.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`selection`] | which topics and partitions a task reads; pure |
//! | [`position`] | source partitions and offsets, as MirrorMaker's; pure |
//! | [`task`] | reads, converts, hands over |

pub mod config;
pub mod position;
pub mod selection;
pub mod task;

use connect_api::{
    Connector, ConnectorContext, OffsetMap, PluginInfo, Result, Settings, SourceConnector, SourceContext, SourceTask,
    SourceTrial, async_trait,
    config::{Config as _, Problems},
};

pub use config::KafkaSourceConfig;
use task::KafkaTask;

/// The plugin behind `connector.class: kafka-source`.
#[derive(Debug)]
pub struct KafkaSource {
    settings: Settings,
}

/// Settings by which a task knows its share.
const SHARE: (&str, &str) = ("task.share", "task.shares");

#[async_trait]
impl Connector for KafkaSource {
    type Config = KafkaSourceConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "kafka-source",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Reads topics of a Kafka cluster, this one or another, and writes their records to this one, with keys, \
                headers, time stamps and partitions: the way to transform what is in Kafka already, and simple \
                replication. New topics and partitions are found by themselves. Each record comes at least once.",
    };

    fn validate(config: &KafkaSourceConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(_config: KafkaSourceConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self { settings: context.settings })
    }

    // Tasks share partitions by their names, so that each keeps its own when topics come and go.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        let share = |n: usize| {
            let (task, tasks) = (n.to_string(), max_tasks.to_string());
            self.settings.clone().with(SHARE.0, task).with(SHARE.1, tasks)
        };
        Ok((0..max_tasks).map(share).collect())
    }
}

#[async_trait]
impl SourceConnector for KafkaSource {
    async fn start_task(config: KafkaSourceConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(KafkaTask::start(config, context)?))
    }

    // Reading changes nothing in the cluster that is read.
    async fn start_trial(config: KafkaSourceConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        KafkaTask::try_out(config, context).await.map(Some)
    }

    fn alter_offsets(_config: &KafkaSourceConfig, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        position::check(offsets)?;
        Ok(true)
    }
}

/// The number of the task and of how many it is one; one that reads everything where the settings do not tell.
fn share(settings: &Settings) -> Result<selection::Share> {
    let shares = ShareConfig::parse(settings)?;
    Ok(selection::Share { number: shares.number.unsigned_abs(), of: shares.of.unsigned_abs() })
}

connect_api::config! {
    /// What the connector adds to a task's settings.
    struct ShareConfig {
        /// Number of the task.
        number: i32 = connect_api::config::Key::new(SHARE.0).default("0").at_least(0),
        /// How many tasks there are.
        of: i32 = connect_api::config::Key::new(SHARE.1).default("1").at_least(1),
    }
}
