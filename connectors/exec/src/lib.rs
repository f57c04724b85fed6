//! Exec source: any program in any language as a source. What it writes to its standard output, line by line, becomes
//! records; what Kafka has is told on its standard input.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`task`] | from lines to batches, and from receipts to acknowledgements |
//! | `program` | the process with its pipes and its process group |
//! | `lines` | reads lines of a bounded length |
//! | [`message`] | one line as a record; pure |

pub mod config;
mod lines;
pub mod message;
mod program;
pub mod task;

use connect_api::{
    Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Result, Settings, SourceConnector, SourceContext,
    SourceTask, async_trait, config::Problems,
};

pub use config::ExecConfig;
use task::ExecTask;

/// The plugin behind `connector.class: exec-source`.
#[derive(Debug)]
pub struct ExecSource {
    settings: Settings,
}

#[async_trait]
impl Connector for ExecSource {
    type Config = ExecConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "exec-source",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Runs a program, in any language, and writes the lines of its standard output as records. The program is \
                told on its standard input what Kafka has, and at its start where it was. Its standard error goes to \
                the connector's log. It is always one task, and no shell is involved. When the program fails so does the \
                task, and the restart policy decides.",
    };

    fn validate(config: &ExecConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(_config: ExecConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self { settings: context.settings })
    }

    // There is one program.
    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.settings.clone()])
    }
}

#[async_trait]
impl SourceConnector for ExecSource {
    async fn start_task(config: ExecConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(ExecTask::start(config, context).await?))
    }

    fn alter_offsets(_config: &ExecConfig, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            if *partition != message::partition() {
                let expected = serde_json::Value::Object(message::partition());
                return Err(Error::fatal(format!("the source partition of a program is {expected}")));
            }
            if let Some(offset) = offset {
                message::position(offset)?;
            }
        }
        Ok(true)
    }
}
