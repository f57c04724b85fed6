//! The worker: runs connectors.
//!
//! Calls go rest → controller → supervisor → runners → {pipeline, tolerance, offsets, storage}.
//!
//! - [`registry`]: plugins by name, their types erased
//! - [`framework`], [`worker_config`], [`validation`]: settings of every connector, of the worker, and
//!   complete validation
//! - [`controller`]: what should run, with [`connector_offsets`]; [`supervisor`]: what runs, one actor per connector
//! - [`plugin_threads`]: where the code of plugins runs
//! - [`task`]: puts a task together; [`source_runner`], [`sink_runner`]: run one task each
//! - [`converters`]: records as bytes; [`pipeline`]: converters and transforms in order; [`tolerance`]: retry, dead letters; [`error_log`]: what is
//!   logged of them
//! - [`offsets`]: which source offsets are safe to commit; [`storage`]: where they are kept
//! - `by_content`: tables of what others write
//! - `batch_size`: batches that fit where topics take small ones only
//! - [`topic_creation`]: topics that source tasks create; [`topic_pattern`]: `topics.regex` for librdkafka
//! - [`task_host`], [`state`]: what tasks can ask for: tables, keyed state, offsets
//! - [`trial`]: test calls, without consequences
//! - [`providers`]: references in settings, resolved and kept out of what is shown
//! - [`override_policy`], [`versions`], [`unknown_keys`]: parts of validation
//! - [`active_topics`]: which topics connectors use
//! - `stage`: what is done for a request; [`java_value`]: untyped parts of requests
//! - [`task_status`]: what tasks count and say of themselves; [`progress`]: whether they get on, which the [`observer`]
//!   looks at; [`metrics`]: all that for Prometheus
//! - [`status`]: states as the REST API shows them; [`rest`]: the API itself; [`loggers`]: what it sets;
//!   [`log_book`]: the latest log lines of each connector

pub mod active_topics;
mod batch_size;
mod by_content;
pub mod cluster;
pub mod connector_offsets;
pub mod controller;
pub mod converters;
pub mod distributed;
pub mod error_log;
pub mod framework;
pub mod java_value;
pub mod log_book;
pub mod loggers;
pub mod metrics;
pub mod observer;
pub mod offsets;
pub mod override_policy;
pub mod pipeline;
pub mod plugin_threads;
pub mod progress;
pub mod providers;
pub mod registry;
pub mod rest;
pub mod restart;
pub mod sink_runner;
pub mod source_runner;
mod stage;
pub mod state;
pub mod status;
pub mod storage;
pub mod supervisor;
pub mod task;
pub mod task_host;
pub mod task_status;
pub mod tolerance;
pub mod topic_creation;
pub mod topic_pattern;
pub mod trial;
pub mod unknown_keys;
pub mod validation;
pub mod versions;
pub mod worker_config;

pub use controller::Controller;
pub use registry::Plugins;
pub use worker_config::Worker;
