//! What the worker and its tasks count, and how Prometheus gets it.
//!
//! Names and labels are those that the JMX exporter makes of Kafka Connect's MBeans with the rules that come with
//! Strimzi, which grew out of its example for Kafka Connect, so that dashboards and alerts go on working. What Kafka
//! Connect does not count begins with `tocsin_`.
//!
//! - [`counts`]: the counters of a task; [`window`]: what happened within the last minute
//! - [`table`]: the metrics, which make both [`page`] and the [`mod@reference`]; `text`: Prometheus's text format
//! - `process`: what the system knows of the process

pub mod counts;
pub mod page;
mod process;
pub mod reference;
pub mod table;
mod text;
pub mod window;
