//! Appends records to files.
//!
//! - [`config`]: the settings, and those of Kafka's class
//! - [`mod@format`]: from a record to a line; pure
//! - [`plain`]: one file, which tasks share: at least once
//! - [`task`]: files of each partition, whose paths a template makes: exactly once
//! - [`partition`]: the files of a partition; [`journal`]: what is stored about them; `open`: one of them
//! - [`paths`]: which file a record belongs to; [`setup`]: the settings as a task uses them
//! - [`trial`]: test calls; `trouble`: what the system says

pub mod config;
pub mod format;
pub mod journal;
mod open;
pub mod partition;
pub mod paths;
pub mod plain;
pub mod setup;
pub mod task;
pub mod trial;
mod trouble;

use connect_api::{
    Connector, ConnectorContext, PluginInfo, Result, Settings, SinkConnector, SinkContext, SinkTask, SinkTrial,
    TopicPartition, async_trait, config::Problems,
};

use self::{
    config::{FileSinkConfig, FileStreamSinkConfig, Sync},
    journal::Store,
    partition::Partition,
    paths::Paths,
    plain::PlainTask,
    setup::Setup,
    task::FilesTask,
    trial::{ManyFiles, OneFile},
};

/// `file-sink`
pub struct FileSink(Settings);

#[async_trait]
impl Connector for FileSink {
    type Config = FileSinkConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "file-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes records to files as lines of JSON, CSV or a template, on the disk before offsets are committed. \
                A path is one file, which tasks share and records reach at least once; when it is renamed or removed, as \
                logrotate does, it is made anew at the next write. A template of paths gives each partition files of its \
                own, which have each record exactly once, across crashes, too: a journal beside them says how far they \
                are. Those are rotated by size, number and time, compressed, and get their names when they are complete.",
    };

    fn validate(config: &FileSinkConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(_config: FileSinkConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for FileSink {
    async fn start_task(config: FileSinkConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        if Paths::is_template(&config.file) {
            return Ok(Box::new(FilesTask::new(Setup::new(&config)?, context)));
        }
        Ok(Box::new(PlainTask::start(&config.file, config.lines()?, config.sync, context)?))
    }

    async fn start_trial(config: FileSinkConfig, _context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        if Paths::is_template(&config.file) {
            return Ok(Some(Box::new(ManyFiles(Setup::new(&config)?))));
        }
        let lines = config.lines()?;
        Ok(Some(Box::new(OneFile { path: config.file, lines })))
    }

    // What files have says where a partition goes on, so it is told there, too.
    fn alter_offsets(config: &FileSinkConfig, offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        if Paths::is_template(&config.file) {
            let setup = Setup::new(config)?;
            for (partition, next) in offsets {
                for store in Store::all_of(setup.paths.base(), &config.file, partition)? {
                    Partition::rewind(&setup, partition, store, *next)?;
                }
            }
        }
        Ok(true)
    }
}

/// Kafka's class.
pub struct FileStreamSink(Settings);

#[async_trait]
impl Connector for FileStreamSink {
    type Config = FileStreamSinkConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "file-stream-sink",
        aliases: &["org.apache.kafka.connect.file.FileStreamSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Appends the text of each record's value to a file, as Kafka's example connector does.",
    };

    async fn start(_config: FileStreamSinkConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for FileStreamSink {
    async fn start_task(config: FileStreamSinkConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(PlainTask::start(&config.file, config.lines(), Sync::Commit, context)?))
    }

    async fn start_trial(config: FileStreamSinkConfig, _context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(OneFile { lines: config.lines(), path: config.file })))
    }

    fn alter_offsets(_config: &FileStreamSinkConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}
