//! What the worker gives to connectors, tasks and transforms when they start.

use std::{collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    Converter, Counter, Error, Exposition, Expositions, Feed, Gauge, Meters, OffsetMap, PartitionOffset, Result, Role,
    Settings, SinkRecord, SourceRecord, State, Summary, Table, Topic, TopicPartition,
};

/// What a connector gets.
#[derive(Debug, Clone)]
pub struct ConnectorContext {
    /// Name of the connector.
    pub name: Arc<str>,
    /// All of its settings, references resolved.
    pub settings: Settings,
    /// Cancelled when the connector is to stop.
    pub stopping: CancellationToken,
}

/// Services behind a [`TaskContext`]; the worker implements it, the testkit for tests.
#[async_trait]
pub trait TaskHost: Send + Sync {
    /// See [`TaskContext::state`].
    async fn state(&self, name: &str) -> Result<Arc<dyn State>>;

    /// See [`TaskContext::table`].
    async fn table(&self, topic: &str) -> Result<Table>;

    /// See [`TaskContext::table_by_content`]. The default, for hosts without bytes, is the plain table.
    async fn table_by_content(&self, topic: &str) -> Result<Table> {
        self.table(topic).await
    }

    /// See [`TaskContext::feed`]. The default, for hosts that have no use for it, is an error.
    async fn feed(&self, topic: &str, client: &Settings) -> Result<Feed> {
        let _ = client;
        Err(Error::fatal(format!("topic {topic} cannot be followed here")))
    }

    /// See [`SourceContext::offset`].
    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>>;

    /// See [`SourceContext::offsets`]. The default, for hosts that keep none, is nothing.
    async fn offsets(&self) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        Ok(Vec::new())
    }

    /// See [`SourceContext::report`].
    async fn report_source(&self, record: SourceRecord, error: Error) -> Result<()>;

    /// See [`SinkContext::report`].
    async fn report_sink(&self, record: &SinkRecord, error: Error) -> Result<()>;

    /// What a sink task asks of its consumer.
    fn request(&self, request: SinkRequest);

    /// See [`TaskContext::note`].
    fn note(&self, text: Option<String>) {
        let _ = text;
    }

    /// See [`SinkContext::undelivered`].
    fn undelivered(&self, records: Vec<(TopicPartition, u64)>) {
        let _ = records;
    }

    /// See [`TaskContext::kafka`].
    fn kafka(&self) -> Settings {
        Settings::new()
    }

    /// See [`TaskContext::kafka_producer`].
    fn kafka_producer(&self) -> Settings {
        Settings::new()
    }

    /// See [`TaskContext::on_given_up`]. The default, for hosts that give no task up, forgets it.
    fn on_given_up(&self, close: Box<dyn FnOnce() + Send>) {
        drop(close);
    }

    /// See [`TaskContext::topic_ids`]. The default, for hosts without Kafka, knows none.
    async fn topic_ids(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, Arc<str>>> {
        let _ = topics;
        Ok(BTreeMap::new())
    }

    /// See [`TaskContext::converter`].
    fn converter(&self, key: &str, role: Role) -> Result<Box<dyn Converter>> {
        let _ = role;
        Err(Error::fatal(format!("there are no converters here for {key}")))
    }

    /// See [`TaskContext::converter_settings`].
    fn converter_settings(&self, role: Role) -> Settings {
        let _ = role;
        Settings::new()
    }

    /// Where [`TaskContext::counter`] and its likes are kept. The default, for hosts that show no metrics, forgets them.
    fn meters(&self) -> Meters {
        Meters::default()
    }

    /// Where [`TaskContext::expose`] keeps what is shown. The default, for hosts that show no metrics, forgets it.
    fn expositions(&self) -> Expositions {
        Expositions::default()
    }

    /// See [`SourceContext::refused`].
    fn refused(&self, why: &str) {
        let _ = why;
    }

    /// See [`SourceContext::missed`].
    fn missed(&self, text: &str) {
        let _ = text;
    }
}

/// What a sink task asks of its consumer; carried out in order, soon after `put` or `flush` returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkRequest {
    /// See [`SinkContext::request_commit`].
    Commit,
    /// See [`SinkContext::seek`].
    Seek(Vec<PartitionOffset>),
    /// See [`SinkContext::pause`].
    Pause(Vec<TopicPartition>),
    /// See [`SinkContext::resume`].
    Resume(Vec<TopicPartition>),
}

struct Inner {
    connector: Arc<str>,
    task: u32,
    settings: Settings,
    stopping: CancellationToken,
    host: Arc<dyn TaskHost>,
}

/// What every task gets, whatever its kind. Cloning is cheap.
#[derive(Clone)]
pub struct TaskContext(Arc<Inner>);

impl TaskContext {
    /// Made by the worker and the testkit.
    pub fn new(
        connector: Arc<str>,
        task: u32,
        settings: Settings,
        stopping: CancellationToken,
        host: Arc<dyn TaskHost>,
    ) -> Self {
        Self(Arc::new(Inner { connector, task, settings, stopping, host }))
    }

    /// Name of the connector.
    pub fn connector(&self) -> &Arc<str> {
        &self.0.connector
    }

    /// Number of the task, from 0.
    pub fn task(&self) -> u32 {
        self.0.task
    }

    /// All settings of the task, references resolved: the connector's and what `task_configs` added.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Cancelled when the task is to stop: whatever the task spawned should end with it.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Keyed state of this name, shared by the tasks of the connector and kept across restarts.
    pub async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        self.0.host.state(name).await
    }

    /// A compacted topic as a table, read with the task's converters. A topic that is missing is an
    /// empty table, and is followed as soon as it exists.
    pub async fn table(&self, topic: &str) -> Result<Table> {
        self.0.host.table(topic).await
    }

    /// As [`TaskContext::table`], of a topic that others write in a format of their own: keys and values are read by what
    /// they are, Avro with the schema registry of the task's converters or the worker's, JSON, text, or else with the task's
    /// converters. A key that is a record with a member `name` counts by that.
    pub async fn table_by_content(&self, topic: &str) -> Result<Table> {
        self.0.host.table_by_content(topic).await
    }

    /// A compacted topic from its beginning on, record by record, without converters: keys are UTF-8 text, values bytes.
    /// `client` are settings of the reader beside those of the task's consumers, such as the `bootstrap.servers` of another
    /// cluster. A topic that is missing has no records, and is followed as soon as it exists.
    pub async fn feed(&self, topic: &str, client: &Settings) -> Result<Feed> {
        self.0.host.feed(topic, client).await
    }

    /// Says in the task's status what a person should know of it although it is no failure, such as what is missing of
    /// what it watches. It stays until something else is said; `None` takes it back.
    pub fn note(&self, text: Option<String>) {
        self.0.host.note(text);
    }

    /// Settings, by the names of Java's clients, with which consumers of this connector reach the worker's Kafka:
    /// addresses, security, the worker's `consumer.` and the connector's `consumer.override.` settings. Empty where there
    /// is no Kafka, as in tests of a task alone.
    pub fn kafka(&self) -> Settings {
        self.0.host.kafka()
    }

    /// As [`TaskContext::kafka`], for producers: with the worker's `producer.` and the connector's `producer.override.`
    /// settings.
    pub fn kafka_producer(&self) -> Settings {
        self.0.host.kafka_producer()
    }

    /// Does this when the task is given up, because it has not stopped in time or its worker has lost its place: whatever
    /// the task itself has of ways to Kafka must let nothing through any more, for its successor may be running. It is
    /// done at once if that has happened, and must not wait.
    pub fn on_given_up(&self, close: impl FnOnce() + Send + 'static) {
        self.0.host.on_given_up(Box::new(close));
    }

    /// The ids of topics, as Kafka has them now: a topic that is deleted and created again has another id, and its offsets
    /// mean other records. A sink that keeps offsets with its data keeps the id with them. Topics that do not exist are
    /// left out, and all are where Kafka gives no ids: before 2.8, and the embedded broker.
    pub async fn topic_ids(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, Arc<str>>> {
        tokio::select! {
            biased;
            () = self.0.stopping.cancelled() => Err(Error::retriable("asking for the ids of topics: the task is to stop")),
            ids = self.0.host.topic_ids(topics) => ids,
        }
    }

    /// A converter for data that the task reads itself: the one that the task's setting `key` names, with the settings
    /// below it, or else the one that its records are written with.
    pub fn converter(&self, key: &str, role: Role) -> Result<Box<dyn Converter>> {
        self.0.host.converter(key, role)
    }

    /// The settings of the converter of the task's records, without their prefix, such as its `schema.registry.url`:
    /// the connector's, or the worker's where the connector names none.
    pub fn converter_settings(&self, role: Role) -> Settings {
        self.0.host.converter_settings(role)
    }

    /// A count of the task, or of a transform in it, that the worker's page `/metrics` shows under this name, which ends in
    /// `_total` by Prometheus's custom, with these labels beside `connector` and `task`. What asks again with the same name
    /// and labels gets the same count; it begins anew with the task. To be asked for once, not for each record, and with
    /// labels of few values.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.0.host.meters().counter(name, help, labels)
    }

    /// As [`TaskContext::counter`], a value that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.host.meters().gauge(name, help, labels)
    }

    /// As [`TaskContext::counter`], observations such as times in seconds: the page has their number and their sum.
    pub fn summary(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Summary {
        self.0.host.meters().summary(name, help, labels)
    }

    /// What the tasks of this connector on this worker show together on the page `/metrics`, under names that settings
    /// give, with the label `connector`. The first task that asks has it made, others get the same while any task holds
    /// it; one that does not fit, of other settings, is replaced. A name that another connector shows with another type
    /// is a fatal error.
    pub fn expose<E: Exposition>(&self, fits: impl FnOnce(&E) -> bool, make: impl FnOnce() -> E) -> Result<Arc<E>> {
        self.0.host.expositions().join(&self.0.connector, fits, make)
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskContext({}-{})", self.0.connector, self.0.task)
    }
}

macro_rules! context {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(TaskContext);

        impl $name {
            /// Made by the worker and the testkit.
            pub fn new(task: TaskContext) -> Self {
                Self(task)
            }
        }

        impl Deref for $name {
            type Target = TaskContext;

            fn deref(&self) -> &TaskContext {
                &self.0
            }
        }
    };
}

context! {
    /// What a source task gets.
    SourceContext
}
context! {
    /// What a sink task gets.
    SinkContext
}

impl SourceContext {
    /// The offset committed for a source partition; integers come back as 64 bits.
    pub async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.0.0.host.offset(partition).await
    }

    /// All source partitions of the connector that have a committed offset, with those.
    pub async fn offsets(&self) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        self.0.0.host.offsets().await
    }

    /// Reports input that cannot become a proper record: `errors.tolerance` and the dead letter queue
    /// decide. An error means that the task must end with it.
    pub async fn report(&self, record: SourceRecord, error: Error) -> Result<()> {
        self.0.0.host.report_source(record, error).await
    }

    /// Counts input that was refused and whose sender was told so: nobody else has to decide about it. The log says
    /// why, of many at once only now and then.
    pub fn refused(&self, why: &str) {
        self.0.0.host.refused(why);
    }

    /// Says in log and status that input is gone which was never read, such as records that were deleted too early. It
    /// counts among the errors.
    pub fn missed(&self, text: &str) {
        self.0.0.host.missed(text);
    }
}

impl SinkContext {
    /// Reports a record that the sink cannot write: `errors.tolerance` and the dead letter queue decide.
    /// An error means that `put` must end with it.
    pub async fn report(&self, record: &SinkRecord, error: Error) -> Result<()> {
        self.0.0.host.report_sink(record, error).await
    }

    /// Says how many of the records that were put the task keeps in memory to deliver them later, of each partition that has
    /// any; to be said at the end of [`crate::SinkTask::put`] and [`crate::SinkTask::close`]. They belong to the lag, and
    /// count as written when a put leaves fewer of them. A put that delivers none of them does not tell that writing
    /// succeeds again: pauses between tries grow on, and the status keeps what it says of the last one.
    pub fn undelivered(&self, records: Vec<(TopicPartition, u64)>) {
        self.0.0.host.undelivered(records);
    }

    /// Asks for an offset commit soon, without waiting for `offset.flush.interval.ms`.
    pub fn request_commit(&self) {
        self.0.0.host.request(SinkRequest::Commit);
    }

    /// Reads partitions from other offsets on, as a sink does that keeps offsets with its data. Those offsets count as
    /// committed; partitions that the task does not have are passed over.
    pub fn seek(&self, offsets: Vec<PartitionOffset>) {
        self.0.0.host.request(SinkRequest::Seek(offsets));
    }

    /// Takes no more records of these partitions until they are resumed, also when they are taken away and come back.
    /// A batch that is under way still comes.
    pub fn pause(&self, partitions: Vec<TopicPartition>) {
        self.0.0.host.request(SinkRequest::Pause(partitions));
    }

    /// Takes records of these partitions again.
    pub fn resume(&self, partitions: Vec<TopicPartition>) {
        self.0.0.host.request(SinkRequest::Resume(partitions));
    }
}
