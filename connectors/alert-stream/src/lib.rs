//! Alert stream source: plays recorded alert packets, from Avro object container files, into a topic.
//!
//! A round sends every packet of every file; rounds begin at wall-clock multiples of an interval, as a survey telescope
//! sends a batch of alerts per exposure. After a restart playing goes on behind the last packet that Kafka has.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`task`] | when to send what: the task, and the player in the background that reads ahead for it |
//! | `round` | one round: from files to batches of records |
//! | [`playlist`] | which files there are, and where in them a source offset stands |
//! | [`schema_file`] | the schema to write with, from files |
//! | [`packet`] | packets as bare Avro or as structs; pure |

pub mod config;
pub mod packet;
pub mod playlist;
mod round;
pub mod schema_file;
pub mod task;

use connect_api::{
    Check, Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Reading, Result, Settings, SourceConnector,
    SourceContext, SourceTask, SourceTrial, async_trait,
};

pub use config::AlertStreamConfig;
use playlist::Position;
use task::AlertStreamTask;

/// The plugin behind `connector.class: alert-stream-source`.
#[derive(Debug)]
pub struct AlertStreamSource {
    settings: Settings,
}

#[async_trait]
impl Connector for AlertStreamSource {
    type Config = AlertStreamConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "alert-stream-source",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Plays recorded astronomical alert packets into a topic: all packets of a set of Avro files, again and \
                again at a fixed interval. It is always one task.",
    };

    async fn start(_config: AlertStreamConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self { settings: context.settings })
    }

    // The packets are one sequence.
    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.settings.clone()])
    }
}

#[async_trait]
impl SourceConnector for AlertStreamSource {
    async fn start_task(config: AlertStreamConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(AlertStreamTask::start(config, context).await?))
    }

    // The task reads files and nothing else.
    async fn start_trial(config: AlertStreamConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let check = Check::Passed(format!("there are files by {}", config.files.join(", ")));
        Ok(Some(SourceTrial { check, reading: Reading::Task(Self::start_task(config, context).await?) }))
    }

    fn alter_offsets(_config: &AlertStreamConfig, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        for offset in offsets.iter().filter_map(|(_, offset)| offset.as_ref()) {
            Position::from_offset(offset).ok_or_else(|| {
                Error::fatal(
                    "an offset must be null or have the whole numbers 'round' and 'record' and the text 'file'",
                )
            })?;
        }
        Ok(true)
    }
}
