//! The alarm model: what an alarm is, when one is written or cleared, and how any record becomes one.
//!
//! The topics are compacted and event-sourced: the latest record of a key is the alarm's state, a tombstone removes it.
//! Alarm sources use [`Mapping`] and [`Engine`] directly; [`AlarmTransform`] gives both to the records of any connector.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`schemas`] | the Connect schemas of the three alarm topics, equal to the `.avsc` files in `schemas/` |
//! | [`generations`] | the Avro schemas of the topics: ours, and those of JLab's console |
//! | [`model`] | [`Alarm`], [`RegisteredAlarm`] and [`ShelvedAlarm`], and the values that they are written as |
//! | [`content`] | what is said of an alarm, fitted into any generation's schema |
//! | [`place`] | which alarm a record is about |
//! | [`priority`] | [`Priority`], and the table that gives severities theirs |
//! | [`config`] | the settings, and the types that templates and expressions have there |
//! | [`mapping`] | from a record, or from what a source has seen, to the state of an alarm |
//! | [`rules`] | the one decision: what to write, given what the topic says and what was seen |
//! | [`engine`] | the same over time: follows the topic, and remembers what is on its way there |
//! | [`audit`] | the headers that say who wrote |
//! | [`writer`] | from a change to its records: topics, and what clears an alarm; [`routing`]: topics by template |
//! | [`shelving`] | a sink's task that is silent about shelved alarms |
//! | [`transform`] | the `Alarm` transform |

pub mod audit;
pub mod config;
pub mod content;
pub mod engine;
pub mod generations;
mod kept;
pub mod mapping;
pub mod model;
pub mod place;
pub mod priority;
pub mod routing;
pub mod rules;
pub mod schemas;
pub mod shelving;
pub mod transform;
pub mod writer;

pub use audit::Audit;
pub use config::{AlarmConfig, RecordAlarmConfig};
pub use content::{Content, Details};
pub use engine::Engine;
pub use generations::{Generation, Kind};
pub use mapping::{Condition, Mapping, Observation, RecordMapping};
pub use model::{Alarm, RegisteredAlarm, ShelvedAlarm};
pub use priority::{Priority, PriorityTable};
pub use rules::{Change, Policy, State, acknowledge};
pub use transform::AlarmTransform;
pub use writer::Writer;
