//! What the worker and its tasks count, and how Prometheus gets it.
//!
//! - [`counts`]: the counters of a task; [`window`]: what happened within the last minute
pub mod counts;
pub mod window;
