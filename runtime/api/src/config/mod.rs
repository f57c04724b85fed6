//! Configuration definitions: one struct per plugin drives parsing, complete validation, Kafka's
//! `/config/validate` JSON and the reference page.
//!
//! - [`settings`]: the flat map of texts that a connector is configured with
//! - [`def`](mod@def): keys with their attributes, and validation that finds every problem
//! - [`types`]: what Rust types a key can have
//! - [`typed`]: from a definition to a struct, and the [`config!`](crate::config!) macro
//!
//! Rules and texts of values are Kafka's (`ConfigDef`).

pub mod def;
pub mod settings;
pub mod typed;
pub mod types;

pub use def::{
    ConfigDef, ConfigKey, ConfigValue, Default, Family, Importance, KeyType, Width, invalid_value, missing_value,
};
pub use settings::Settings;
pub use typed::{Config, Key, Problem, Problems, Reader, topic_name};
pub use types::{ClassName, ConfigType, Millis, Secret, split_list};
