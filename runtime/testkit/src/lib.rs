//! Drives tasks of connectors without Kafka, as the worker does; for tests, also those of third parties.
//!
//! - [`Host`]: the worker's side of a task, in memory: offsets, tables, state, reports
//! - [`source`]: polls with a bound, acknowledges, restarts from what was acknowledged
//! - [`sink`]: puts with the worker's contract: the same slice after a retriable error, halves after a data error
//! - [`hanging`]: connectors that hang, for tests of the worker
//!
//! What breaks the contract panics with what was expected: these are tests.

pub mod hanging;
mod host;
pub mod sink;
pub mod source;

pub use host::Host;

use std::time::Duration;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A task has this long to stop.
pub const STOP: Duration = Duration::from_secs(1);
