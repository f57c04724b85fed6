//! The traits of connectors and tasks.

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    ConnectorContext, OffsetMap, Result, Settings, SinkContext, SinkRecord, SinkTrial, SourceBatch, SourceContext,
    SourceTrial, Topic,
    config::{Config, Problems},
};

/// How a plugin is named and described.
#[derive(Debug, Clone, Copy)]
pub struct PluginInfo {
    /// Short name; connectors carry their direction, such as `file-source`.
    pub name: &'static str,
    /// Other names: the JVM classes that it stands in for, complete. Their simple names work, too.
    pub aliases: &'static [&'static str],
    /// Version of the plugin.
    pub version: &'static str,
    /// One paragraph for the reference page.
    pub about: &'static str,
}

impl PluginInfo {
    /// The name that Kafka Connect's REST API shows as `class`: the first alias, else the short name.
    pub fn class(&self) -> &'static str {
        self.aliases.first().copied().unwrap_or(self.name)
    }

    /// What stored task configurations have as `task.class`: the class of the tasks by the JVM's habit, so that a
    /// worker there can take them over.
    pub fn task_class(&self) -> String {
        let class = self.class();
        class.strip_suffix("Connector").map_or_else(|| class.to_owned(), |stem| format!("{stem}Task"))
    }
}

/// What source and sink connectors have in common.
///
/// A connector decides which tasks run; tasks move the records.
#[async_trait]
pub trait Connector: Sized + Send + Sync + 'static {
    /// Its settings.
    type Config: Config;

    /// Its names.
    const INFO: PluginInfo;

    /// Rules that span several keys. Keys by themselves have been checked. Must not do I/O.
    fn validate(config: &Self::Config, problems: &mut Problems) {
        let _ = (config, problems);
    }

    /// Starts the connector. What is returned is ready; an error makes the connector FAILED.
    async fn start(config: Self::Config, context: ConnectorContext) -> Result<Self>;

    /// The settings of each task, at most `max_tasks`. An empty list means that there is nothing to do.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>>;

    /// Resolves when the task settings have to be made anew, with an error when the connector failed.
    /// Must be cancel-safe; the default never resolves.
    async fn watch(&mut self) -> Result<()> {
        std::future::pending().await
    }

    /// Stops the connector. Tasks are stopped on their own.
    async fn stop(self) -> Result<()> {
        Ok(())
    }
}

/// A connector whose tasks read from outside and produce to Kafka.
#[async_trait]
pub trait SourceConnector: Connector {
    /// Starts a task. What is returned is ready to be polled. `config` is read from the task's settings.
    async fn start_task(config: Self::Config, context: SourceContext) -> Result<Box<dyn SourceTask>>;

    /// Looks at the source for a test call, without any consequences there or here, and starts a task that reads it.
    /// `config` is the connector's; the task reads for all of its tasks, beside those that may be running. The default
    /// is `None`, which says that there are no test calls: a task may do more than read.
    async fn start_trial(config: Self::Config, context: SourceContext) -> Result<Option<SourceTrial>> {
        let _ = (config, context);
        Ok(None)
    }

    /// Whether the source, so configured, can take part in exactly-once delivery; `None` if it does not know.
    fn exactly_once(config: &Self::Config) -> Option<bool> {
        let _ = config;
        None
    }

    /// Checks offsets that a person wants to set, and sets them in the outside system if they are kept
    /// there. `true` means that setting them here is enough for them to take effect.
    fn alter_offsets(config: &Self::Config, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        let _ = (config, offsets);
        Ok(false)
    }
}

/// A connector whose tasks consume from Kafka and write outside.
#[async_trait]
pub trait SinkConnector: Connector {
    /// Starts a task. What is returned is ready for records. `config` is read from the task's settings.
    async fn start_task(config: Self::Config, context: SinkContext) -> Result<Box<dyn SinkTask>>;

    /// Makes what a test call asks instead of a task; nothing may be written, opened for writing or created. `config`
    /// is the connector's. The default is `None`, which says that records can be shown but not what is made of them.
    async fn start_trial(config: Self::Config, context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        let _ = (config, context);
        Ok(None)
    }

    /// Checks offsets that a person wants to set, `None` where one is to be forgotten, and sets them in the outside
    /// system if they are kept there. `true` means that setting them in Kafka is enough for them to take effect.
    fn alter_offsets(config: &Self::Config, offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        let _ = (config, offsets);
        Ok(false)
    }

    /// The name of the keyed state in which tasks keep offsets with what records before come to, under `TOPIC/PARTITION`
    /// and keys that begin so and go on with `#`. When a person sets or forgets offsets of partitions, the worker
    /// forgets what is kept there of them.
    fn keeps_offsets_in(config: &Self::Config) -> Option<String> {
        let _ = config;
        None
    }
}

/// A running source task.
#[async_trait]
pub trait SourceTask: Send {
    /// The next records; waits until there are some, and must not return empty batches in a tight loop.
    ///
    /// Must be cancel-safe: what was read but not returned when the future is dropped must come again.
    /// The worker keeps a pending poll across pauses and offset commits; not calling it is the
    /// backpressure. A [`crate::ErrorClass::Retriable`] error is logged and poll called again after a
    /// back-off; every other one makes the task FAILED.
    async fn poll(&mut self) -> Result<SourceBatch>;

    /// Whether what was polled comes again after a restart unless its offset was committed. If not, the worker takes time
    /// for sending the rest of the batch in hand when it is to stop, and for what [`SourceTask::remaining`] returns.
    fn rereads(&self) -> bool {
        true
    }

    /// What was read and not polled yet, of a task whose source does not give it again. Asked for once, when the task is to
    /// stop, after the last poll; reads nothing more.
    async fn remaining(&mut self) -> Result<SourceBatch> {
        Ok(SourceBatch::default())
    }

    /// Stops the task and frees what it holds.
    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A topic's partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: i32,
}

/// An offset of a partition: the next record to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffset {
    /// Which partition.
    pub partition: TopicPartition,
    /// Offset of the next record.
    pub offset: i64,
}

/// A running sink task.
#[async_trait]
pub trait SinkTask: Send {
    /// Partitions were assigned, in addition to those before.
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Takes records, in order per partition. They may be kept in memory until [`SinkTask::flush`].
    ///
    /// - [`crate::ErrorClass::Retriable`]: the same slice comes again after a back-off.
    /// - [`crate::ErrorClass::Data`]: the slice is halved until the record that fails stands alone;
    ///   `errors.tolerance` and the dead letter queue then decide. Records may so be put twice.
    /// - [`crate::ErrorClass::Fatal`]: the task becomes FAILED.
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()>;

    /// When the task wants [`SinkTask::put`] to be called although no record may have come: with none, as for a message or
    /// a request that it has put together from several records and that must not wait for more, or for a file whose time
    /// is over. Asked for whenever the task is not busy; `None`, as by default, leaves it to the records. A call without
    /// records may fail as others do, and is tried again after a retriable error.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Makes everything that was put durable, and answers which offsets are safe to commit: at most the
    /// given ones, which are those of the records put so far. The default writes nothing and finds all safe.
    ///
    /// After an error nothing is committed, and partitions are read again from their last commit.
    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        Ok(offsets.to_vec())
    }

    /// Partitions are taken away; [`SinkTask::flush`] came before, unless they were lost.
    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// Stops the task and frees what it holds.
    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}
