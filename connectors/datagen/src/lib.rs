//! Generator source: random but valid records, of any Avro schema, of a small model, or of a ready simulation.
//!
//! Each topic has a sequence of records, numbered from 0. What a record holds depends on the seed, its topic and its number
//! alone, so that a task goes on with the same sequence wherever it was killed.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`spec`], `given` | what each topic gets: from settings, entries and presets |
//! | [`discovery`] | which topics there are, and which of them a task has |
//! | [`task`] | the task over its sequences, and what it counts |
//! | [`sequence`] | the records of one topic, and source offsets |
//! | [`schedule`] | when records are due |
//! | [`plan`], [`maker`] | how values are made, put together once |
//! | [`avro`], [`hints`] | from Avro schemas, with hints of Avro Random Generator, to makers |
//! | [`model`] | from models in YAML to makers |
//! | [`number`], [`pattern`], [`random`] | numbers and times, texts of regular expressions, chance |
//! | [`preset`] | SAL's topics, telephone calls, ready schemas |

pub mod avro;
pub mod config;
pub mod discovery;
mod given;
pub mod hints;
pub mod maker;
pub mod model;
pub mod number;
pub mod pattern;
pub mod plan;
pub mod preset;
pub mod random;
pub mod schedule;
pub mod sequence;
pub mod spec;
pub mod task;

use connect_api::{
    Check, Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Reading, Result, Settings, SourceConnector,
    SourceContext, SourceTask, SourceTrial, async_trait, config::Problems,
};

pub use config::DatagenConfig;
use sequence::Position;
use task::DatagenTask;

/// The plugin behind `connector.class: datagen-source`.
#[derive(Debug)]
pub struct DatagenSource {
    config: DatagenConfig,
    settings: Settings,
    discovered: Vec<(String, String)>,
}

#[async_trait]
impl Connector for DatagenSource {
    type Config = DatagenConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "datagen-source",
        aliases: &["io.confluent.kafka.connect.datagen.DatagenConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Generates random but valid records: of any Avro schema, of a small model in YAML, or of a ready simulation, \
                into many topics at a rate. Its topics are divided among its tasks.",
    };

    fn validate(config: &DatagenConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(config: DatagenConfig, context: ConnectorContext) -> Result<Self> {
        let discovered = discovery::discover(&config).await?;
        Ok(Self { config, settings: context.settings, discovered })
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        discovery::distribute(&self.config, &self.settings, &self.discovered, max_tasks)
    }
}

#[async_trait]
impl SourceConnector for DatagenSource {
    async fn start_task(config: DatagenConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(DatagenTask::start(config, context).await?))
    }

    // The task makes records and nothing else.
    async fn start_trial(config: DatagenConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let task = DatagenTask::start(config, context).await?;
        let check = Check::Passed("schemas and models can be used".into());
        Ok(Some(SourceTrial { check, reading: Reading::Task(Box::new(task)) }))
    }

    fn alter_offsets(_config: &DatagenConfig, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        for offset in offsets.iter().filter_map(|(_, offset)| offset.as_ref()) {
            Position::from_offset(offset).ok_or_else(|| {
                Error::fatal("an offset must be null or have the number of the next record as 'iteration', from 0")
            })?;
        }
        Ok(true)
    }
}
