//! Everything that a plugin author sees of Tocsin: the data model, configuration definitions, and the
//! traits of connectors, tasks, converters, transforms and predicates, in Kafka Connect's vocabulary.
//!
//! - [`Value`], [`Schema`], [`Struct`], [`logical`], [`validate()`], [`project`]: the data model
//! - [`parse_value`], [`value_text`]: values from texts and back, as headers carry them
//! - [`Record`], [`SourceRecord`], [`SinkRecord`], [`Headers`]: what travels
//! - [`mod@config`]: one struct per plugin → parsing, validation, reference page
//! - [`Connector`], [`SourceConnector`], [`SourceTask`], [`SinkConnector`], [`SinkTask`]: connectors
//! - [`SourceBatch`], [`Receipt`], [`Outcome`]: how a source learns what became of its records
//! - [`Converter`], [`Transform`], [`Predicate`] and their plugin traits
//! - [`SourceContext`], [`SinkContext`], [`State`], [`Table`], [`Feed`]: what the worker offers
//! - [`Counter`], [`Gauge`], [`Summary`]: what a plugin shows on the page `/metrics`; [`Exposition`]: metrics that are
//!   settings
//! - [`SourceTrial`], [`SinkTrial`]: test calls, without consequences
//! - [`Error`]: one type, classified by what the worker must do
//! - [`java_regex`]: what Java says of a wrong regular expression
//! - [`template`]: templates and expressions over records; [`json`]: values as plain JSON; [`time`]: dates
//!
//! Start from the crate in `tests/third-party`, which is not of this workspace: a complete source, sink and
//! transform, under 60 lines each, in a server of their own.

pub mod config;
mod connector;
mod context;
mod error;
mod exposition;
pub mod java_regex;
pub mod json;
pub mod logical;
mod meters;
mod plugin;
mod projector;
mod receipt;
mod record;
mod schema;
mod strict;
mod structure;
mod table;
pub mod template;
mod text;
pub mod time;
mod trial;
mod validate;
mod value;
mod value_parse;
mod value_text;

pub use async_trait::async_trait;
pub use bigdecimal::BigDecimal;
pub use bytes::Bytes;
pub use tokio_util::sync::CancellationToken;

pub use config::Settings;
pub use connector::{
    Connector, PartitionOffset, PluginInfo, SinkConnector, SinkTask, SourceConnector, SourceTask, TopicPartition,
};
pub use context::{ConnectorContext, SinkContext, SinkRequest, SourceContext, TaskContext, TaskHost};
pub use error::{Error, ErrorClass, Result};
pub use exposition::{Exposition, Expositions, Family, FamilyKind, Series, SeriesValue, refuse_clash};
pub use meters::{Counter, Gauge, Meter, MeterLabels, MeterValue, Meters, Summary};
pub use plugin::{
    Converter, ConverterPlugin, Predicate, PredicatePlugin, Prepare, RecordMeta, Role, SchemaAndValue, Step, Transform,
    TransformPlugin,
};
pub use projector::project;
pub use receipt::{Outcome, Receipt, ReceiptSlip, SourceBatch};
pub use record::{Header, Headers, OffsetMap, Origin, Record, SinkRecord, SourceRecord, TimestampType, Topic};
pub use schema::{Field, Schema, SchemaBuilder, Type};
pub use structure::Struct;
pub use table::{Feed, FeedEvent, Row, State, Table, TableWriter};
pub use text::{float32, float64};
pub use trial::{Check, Reading, Rendered, Rendering, SinkTrial, SourceTrial};
pub use validate::validate;
pub use value::{Map, TextKey, Value};
pub use value_parse::{parse_decimal, parse_value};
pub use value_text::{decimal_text, value_text};
