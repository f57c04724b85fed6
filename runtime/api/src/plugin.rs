//! The traits of converters, transforms and predicates.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    PluginInfo, Record, Result, Schema, Settings, TaskContext, Topic, Value,
    config::{Config, Problems},
};

/// A value with its schema; none for schemaless values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchemaAndValue {
    /// Schema.
    pub schema: Option<Schema>,
    /// Value.
    pub value: Value,
}

/// Work that must be awaited before a conversion can be tried again, such as fetching a schema.
pub type Prepare = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The result of a conversion: done, or to be tried again after some work.
///
/// Conversions are plain calls, without a future per record; only the first record of a schema waits.
pub enum Step<T> {
    /// Done.
    Done(T),
    /// Await this, then call again with the same arguments.
    Wait(Prepare),
}

/// What a converter converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Record keys.
    Key,
    /// Record values.
    Value,
    /// Header values.
    Header,
}

impl Role {
    /// The value of `converter.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Header => "header",
        }
    }
}

/// Bytes of Kafka records from values, and the other way round. One instance serves all topics of a task
/// and is used from one task at a time; caches may still be shared behind it.
pub trait Converter: Send + Sync {
    /// The bytes for a value; `None` is Kafka's null.
    fn serialize(&self, topic: &Topic, schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>>;

    /// The value of bytes.
    fn deserialize(&self, topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>>;
}

/// Makes converters of one kind.
pub trait ConverterPlugin: 'static {
    /// Its settings, those under `key.converter.` and so on, without the prefix.
    type Config: Config;

    /// Its names.
    const INFO: PluginInfo;

    /// Makes one.
    fn build(config: Self::Config, settings: &Settings, role: Role) -> Result<Box<dyn Converter>>;
}

/// What a transform knows of a record besides the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordMeta {
    /// Offset in Kafka; `None` for records on their way into Kafka.
    pub kafka_offset: Option<i64>,
}

/// Changes or drops records, one at a time, in the order of the stream.
pub trait Transform: Send {
    /// Work that must be awaited before this record can be changed, such as fetching a schema. It is asked for before
    /// every [`Transform::apply`] until there is none, so it has to be remembered when it is done. An error that is
    /// retriable is not the record's: it is tried again for as long as `errors.retry.timeout` says, then fails the task,
    /// and transforms in front of this one do not see the record again.
    fn prepare(&mut self, record: &Record) -> Option<Prepare> {
        let _ = record;
        None
    }

    /// The changed record; `None` drops it.
    fn apply(&mut self, record: Record, meta: &RecordMeta) -> Result<Option<Record>>;

    /// Takes what the last [`Transform::apply`] made of its record besides its answer. It is written behind that, after
    /// the transforms that follow; the record counts as stored when all of it is. Only records of sources can be several.
    fn further(&mut self) -> Vec<Record> {
        Vec::new()
    }
}

/// Makes transforms of one kind.
#[async_trait]
pub trait TransformPlugin: 'static {
    /// Its settings, those under `transforms.NAME.`, without the prefix.
    type Config: Config;

    /// Its names.
    const INFO: PluginInfo;

    /// Rules that span several keys.
    fn validate(_config: &Self::Config, _problems: &mut Problems) {}

    /// Makes one for a task. What is returned is ready.
    async fn build(config: Self::Config, context: &TaskContext) -> Result<Box<dyn Transform>>;
}

/// A condition on records.
pub trait Predicate: Send {
    /// Whether the record meets it.
    fn test(&self, record: &Record, meta: &RecordMeta) -> Result<bool>;
}

/// Makes predicates of one kind.
pub trait PredicatePlugin: 'static {
    /// Its settings, those under `predicates.NAME.`, without the prefix.
    type Config: Config;

    /// Its names.
    const INFO: PluginInfo;

    /// Makes one.
    fn build(config: Self::Config) -> Result<Box<dyn Predicate>>;
}
