//! What a task does: the endpoint, the statements, and how requests are made. Each kind of settings makes one of it.

use connect_api::{
    Result,
    config::{Config, Key, Problems},
};
use connector_http::{DeliveryConfig, HttpConfig, Joined};

use crate::{
    endpoint::Endpoint,
    statement::{BytesAs, Statement},
};

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tombstones {
        /// Nothing.
        Ignore = "ignore",
        /// Write a point with the field `tombstone`.
        Marker = "marker",
    }
}

/// What a task does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub endpoint: Endpoint,
    /// What.
    pub statements: Vec<Statement>,
    /// The setting that has the statements, or most of them.
    pub key: &'static str,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Most points of one request.
    pub batch_lines: usize,
    /// How many requests may be under way.
    pub lanes: usize,
    /// What becomes of tombstones.
    pub tombstones: Tombstones,
}

/// Settings that make a plan.
pub trait Front: Config {
    /// Settings of the HTTP client.
    fn http(&self) -> &HttpConfig;

    /// The plan.
    fn plan(&self) -> Result<Plan>;

    /// Rules that span several keys, those of the client excepted.
    fn check(&self, problems: &mut Problems);

    /// The settings that are given and have no effect here.
    fn without_effect(&self) -> Vec<&'static str>;
}

/// Settings that the sink has under all of its names, with those of its HTTP client.
pub type Shared = Joined<Requests, Joined<DeliveryConfig, HttpConfig>>;

connect_api::config! {
    /// Settings that the sink has under all of its names.
    #[derive(Debug, Clone)]
    pub struct Requests {
        /// Most points of one request.
        batch_lines: i32 = Key::new("influxdb.batch.lines").default("5000").low().at_least(1),
        /// What becomes of members that are bytes: base64 or hex for texts of that kind, skip for no field.
        bytes: BytesAs = Key::new("influxdb.bytes").default("base64").low(),
        /// What to do with tombstones: ignore them, or write a marker, a point whose only field is tombstone=true.
        /// A marker has tags of the key and constant ones only.
        tombstones: Tombstones = Key::new("influxdb.tombstones").default("ignore"),
    }
}

impl Requests {
    /// Most points of one request.
    pub fn lines(&self) -> usize {
        usize::try_from(self.batch_lines).unwrap_or(1)
    }

    /// Judges whether markers of tombstones can be told apart; `key` is the setting that has the tags.
    pub fn check(&self, statements: &[Statement], key: &str, problems: &mut Problems) {
        if self.tombstones == Tombstones::Marker && !statements.iter().all(Statement::has_key_tag) {
            let text = format!(
                "influxdb.tombstones=marker needs a tag of _key in {key}, or markers of all keys are one point"
            );
            problems.add("influxdb.tombstones", text);
        }
    }
}
