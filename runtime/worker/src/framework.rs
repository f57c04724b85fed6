//! The settings that every connector has, whatever its plugin (config.md §4; KIP-891 names and orders).

use connect_api::{
    Settings,
    config::{ClassName, ConfigDef, ConfigKey, Key, Millis, Width, topic_name},
};

use crate::{
    registry::{AnyConverter, Direction},
    restart::RestartConfig,
};

connect_api::config_enum! {
    /// What a change of values that config providers give does to a connector.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Reload {
        /// Nothing.
        None = "none",
        /// It is restarted.
        Restart = "restart",
    }
}

connect_api::config_enum! {
    /// What happens to a record that cannot be converted, transformed or written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tolerate {
        /// The task fails.
        None = "none",
        /// The record is skipped, or dead-lettered where a topic is named.
        All = "all",
    }
}

const COMMON: &str = "Common";
const ERRORS: &str = "Error Handling";
const EXACTLY_ONCE: &str = "Exactly Once Support";

/// The key by which a version of the connector is asked for.
pub(crate) const CONNECTOR_VERSION: &str = "connector.plugin.version";

/// The keys that converters are chosen by, and the key of each one's version.
pub(crate) const CONVERTERS: [(&str, &str); 3] = [
    ("key.converter", "key.converter.plugin.version"),
    ("value.converter", "value.converter.plugin.version"),
    ("header.converter", "header.converter.plugin.version"),
];

/// All keys in the order of Kafka Connect 4.1; the last three belong to sinks there, and to sources, too, here.
const ORDER: &[&str] = &[
    "name",
    "connector.class",
    CONNECTOR_VERSION,
    "tasks.max",
    "tasks.max.enforce",
    "key.converter",
    "key.converter.plugin.version",
    "value.converter",
    "value.converter.plugin.version",
    "header.converter",
    "header.converter.plugin.version",
    "transforms",
    "predicates",
    "config.action.reload",
    "errors.retry.timeout",
    "errors.retry.delay.max.ms",
    "errors.tolerance",
    "errors.log.enable",
    "errors.log.include.messages",
    "topic.creation.groups",
    "exactly.once.support",
    "transaction.boundary",
    "transaction.boundary.interval.ms",
    "offsets.storage.topic",
    "topics",
    "topics.regex",
    "errors.deadletterqueue.topic.name",
    "errors.deadletterqueue.topic.replication.factor",
    "errors.deadletterqueue.context.headers.enable",
];

connect_api::config! {
    /// Settings of every connector.
    #[derive(Debug)]
    pub struct CommonConfig {
        /// Globally unique name to use for this connector.
        name: String = Key::new("name").high().form(COMMON, Width::Medium, "Connector name").check(|n: &String| name_is_right(n)),
        /// Name or alias of the class for this connector: a short name such as file-source, a JVM class, or its
        /// simple name.
        class: String = Key::new("connector.class").high().form(COMMON, Width::Long, "Connector class"),
        /// Maximum number of tasks to use for this connector.
        tasks_max: i32 = Key::new("tasks.max").default("1").high().form(COMMON, Width::Short, "Tasks max").order(4).at_least(1),
        /// Whether a connector that generates more tasks than tasks.max fails; if not, it is only warned of.
        tasks_max_enforce: bool = Key::new("tasks.max.enforce").default("true").low()
            .form(COMMON, Width::Short, "Enforce tasks max").order(5),
        /// Converter of record keys; the worker's when absent.
        key_converter: Option<ClassName> = Key::new("key.converter").low().form(COMMON, Width::Short, "Key converter class").order(6),
        /// Converter of record values; the worker's when absent.
        value_converter: Option<ClassName> = Key::new("value.converter").low()
            .form(COMMON, Width::Short, "Value converter class").order(8),
        /// Converter of record headers; the worker's when absent.
        header_converter: Option<ClassName> = Key::new("header.converter").low()
            .form(COMMON, Width::Short, "Header converter class").order(10),
        /// Aliases of the transformations to apply to records, in order.
        transforms: Vec<String> = Key::new("transforms").default("").low()
            .form("Transforms", Width::Long, "Transforms").order(12).check(|a: &Vec<String>| aliases_are_unique(a)),
        /// Aliases of the predicates used by transformations.
        predicates: Vec<String> = Key::new("predicates").default("").low()
            .form("Predicates", Width::Long, "Predicates").order(13).check(|a: &Vec<String>| aliases_are_unique(a)),
        /// What is done when a value expires that a config provider gave. Those of the built-in providers never do: new
        /// ones are taken up when connector and tasks are restarted.
        reload: Reload = Key::new("config.action.reload").default("restart").low()
            .form(COMMON, Width::Medium, "Reload Action").order(14),
        /// How long a failed operation is tried again, in milliseconds: 0 is never, -1 for ever.
        retry_timeout: i64 = Key::new("errors.retry.timeout").default("0")
            .form(ERRORS, Width::Medium, "Retry Timeout for Errors").order(1),
        /// The longest pause between two tries, in milliseconds.
        retry_delay_max: Millis = Key::new("errors.retry.delay.max.ms").default("60000")
            .form(ERRORS, Width::Medium, "Maximum Delay Between Retries for Errors").order(2),
        /// What happens to a record that fails: none fails the task, all skips or dead-letters the record.
        tolerance: Tolerate = Key::new("errors.tolerance").default("none").form(ERRORS, Width::Short, "Error Tolerance").order(3),
        /// Whether each failed operation is logged.
        log: bool = Key::new("errors.log.enable").default("false").form(ERRORS, Width::Short, "Log Errors").order(4),
        /// Whether the log tells which record failed.
        log_messages: bool = Key::new("errors.log.include.messages").default("false")
            .form(ERRORS, Width::Short, "Log Error Details").order(5),
        /// Topic for records that fail; empty is none. Here sources have it, too.
        dlq_topic: String = Key::new("errors.deadletterqueue.topic.name").default("").topic()
            .form(ERRORS, Width::Medium, "Dead Letter Queue Topic Name").order(6),
        /// Replication factor of the dead letter queue's topic where it has to be created.
        dlq_replication: i16 = Key::new("errors.deadletterqueue.topic.replication.factor").default("3")
            .form(ERRORS, Width::Medium, "Dead Letter Queue Topic Replication Factor").order(7),
        /// Whether dead letters carry headers that tell where and why they failed.
        dlq_headers: bool = Key::new("errors.deadletterqueue.context.headers.enable").default("false")
            .form(ERRORS, Width::Medium, "Enable Error Context Headers").order(8),
    }
}

connect_api::config! {
    /// Versions of plugins (KIP-891). Every plugin has one version here; asking for another is refused.
    #[derive(Debug)]
    pub struct VersionConfig {
        /// Version of the connector: exact, or a range such as [1.0,2.0). There is one, that of the worker.
        connector: Option<String> = Key::new(CONNECTOR_VERSION).form(COMMON, Width::Medium, "Connector version").order(3),
        /// Version of the key converter; as connector.plugin.version.
        key_converter: Option<String> = Key::new("key.converter.plugin.version").low()
            .form(COMMON, Width::Short, "Key converter version").order(7),
        /// Version of the value converter; as connector.plugin.version.
        value_converter: Option<String> = Key::new("value.converter.plugin.version").low()
            .form(COMMON, Width::Short, "Value converter version").order(9),
        /// Version of the header converter; as connector.plugin.version.
        header_converter: Option<String> = Key::new("header.converter.plugin.version").low()
            .form(COMMON, Width::Short, "Header converter version").order(11),
    }
}

connect_api::config! {
    /// Settings that Kafka Connect has for every source connector and that mean nothing where sources deliver at
    /// least once. What would change something is refused by [`refused`].
    #[derive(Debug)]
    pub struct SourceOnlyConfig {
        /// Groups of topics that are created before the first record. topic.creation.GROUP.include and .exclude list
        /// expressions that names match as a whole; .partitions and .replication.factor are those of topic.creation.default
        /// where the group has none, which are required where there is any such setting (-1 is the broker's default);
        /// anything else below the group is a setting of the topic, such as cleanup.policy. The first group that takes a
        /// topic counts, default takes the rest.
        topic_groups: Vec<String> = Key::new("topic.creation.groups").default("").low()
            .form("Topic Creation", Width::Long, "Topic Creation Groups").order(1)
            .check(|a: &Vec<String>| aliases_are_unique(a)),
        /// Whether exactly-once delivery is required. Only requested is possible: delivery is at least once.
        exactly_once: String = Key::new("exactly.once.support").default("requested")
            .form(EXACTLY_ONCE, Width::Short, "Exactly once support").order(2)
            .check(|v: &String| one_of(v, &["REQUESTED", "REQUIRED"])),
        /// Where transactions end. Only poll is possible, and there are no transactions.
        boundary: String = Key::new("transaction.boundary").default("poll")
            .form(EXACTLY_ONCE, Width::Short, "Transaction Boundary").order(3)
            .check(|v: &String| one_of(v, &["INTERVAL", "POLL", "CONNECTOR"])),
        /// Time between the ends of transactions. Refused: there are none.
        boundary_interval: Option<i64> = Key::new("transaction.boundary.interval.ms").low()
            .form(EXACTLY_ONCE, Width::Short, "Transaction boundary interval").order(4)
            .check(|v: &Option<i64>| if v.is_some_and(|v| v < 0) { Err("Value must be at least 0".into()) } else { Ok(()) }),
        /// Topic for the connector's own offsets. Refused: the worker keeps them.
        offsets_topic: Option<String> = Key::new("offsets.storage.topic").low()
            .form("offsets.topic", Width::Long, "Offsets topic").order(1),
    }
}

fn one_of(text: &str, possible: &[&str]) -> Result<(), String> {
    if possible.iter().any(|p| p.eq_ignore_ascii_case(text)) {
        return Ok(());
    }
    Err(format!("String must be one of (case insensitive): {}", possible.join(", ")))
}

connect_api::config! {
    /// Settings of every sink connector.
    #[derive(Debug)]
    pub struct SinkOnlyConfig {
        /// Topics to consume, separated by commas.
        topics: Vec<String> = Key::new("topics").default("").high()
            .check(|all: &Vec<String>| all.iter().filter(|t| !t.is_empty()).try_for_each(|t| topic_name(t))).form(COMMON, Width::Long, "Topics").order(4),
        /// Regular expression that the names of the topics to consume match as a whole.
        topics_regex: String = Key::new("topics.regex").default("").high().form(COMMON, Width::Long, "Topics regex").order(4)
            .check(|r: &String| crate::topic_pattern::subscription(r).map(drop)),
    }
}

connect_api::config! {
    /// How many records a sink gets at once; Kafka Connect has no such settings.
    #[derive(Debug)]
    pub struct PutConfig {
        /// How long to wait for more records before those that are there are given to the sink, in milliseconds, so that
        /// what it sends is worth a request. 0 is not at all: the sink gets what was read at once.
        linger: Millis = Key::new("put.linger.ms").default("0").low(),
        /// The most records that the sink gets at once. Where it is not set: what one read gives, which
        /// consumer.override.max.poll.records limits (500), or 10,000 with put.linger.ms.
        records: Option<i32> = Key::new("put.max.records").low()
            .check(|n: &Option<i32>| at_least_one(*n)),
        /// The most bytes of keys, values and headers, as Kafka has them, that the sink gets at once; a larger record comes
        /// alone. Where it is not set there is no limit, or 8 MiB with put.linger.ms.
        bytes: Option<i32> = Key::new("put.max.bytes").low()
            .check(|n: &Option<i32>| at_least_one(*n)),
    }
}

fn at_least_one(n: Option<i32>) -> Result<(), String> {
    if n.is_some_and(|n| n < 1) { Err("Value must be at least 1".into()) } else { Ok(()) }
}

fn name_is_right(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("String may not be empty".into());
    }
    let control: Vec<String> = name.chars().filter(|c| c.is_control()).map(|c| (c as u32).to_string()).collect();
    if control.is_empty() {
        return Ok(());
    }
    Err(format!("String may not contain control sequences but had the following ASCII chars: {}", control.join(", ")))
}

fn aliases_are_unique(aliases: &[String]) -> Result<(), String> {
    let distinct: std::collections::BTreeSet<_> = aliases.iter().collect();
    if distinct.len() == aliases.len() { Ok(()) } else { Err("Duplicate alias provided.".into()) }
}

/// The framework's keys for a connector of that direction.
pub fn definition(direction: Direction) -> ConfigDef {
    use connect_api::config::Config as _;
    let own = match direction {
        Direction::Source => vec![SourceOnlyConfig::definition()],
        Direction::Sink => vec![SinkOnlyConfig::definition(), PutConfig::definition()],
    };
    let parts = [CommonConfig::definition(), VersionConfig::definition(), RestartConfig::definition()];
    let mut keys: Vec<ConfigKey> = own.iter().chain(&parts).flat_map(|d| d.keys()).cloned().collect();
    // Ours come behind Kafka Connect's.
    keys.sort_by_key(|k| ORDER.iter().position(|name| *name == k.name).unwrap_or(ORDER.len()));
    let mut definition = ConfigDef::new();
    for key in keys {
        definition.push(key);
    }
    definition
}

/// Settings of Kafka Connect that change what a connector does and that this worker cannot honour: they are
/// refused by name, with the way out.
pub fn refused(settings: &Settings, direction: Direction) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, value) in settings.iter() {
        let value = value.trim();
        let mut refuse =
            |key: &str, way_out: &str| found.push((key.to_owned(), format!("{key} is not supported: {way_out}")));
        match key {
            // Kafka Connect's words where exactly-once delivery is not enabled.
            "exactly.once.support" if value.eq_ignore_ascii_case("required") && direction == Direction::Source => {
                found.push((key.to_owned(), "This worker does not have exactly-once source support enabled.".into()));
            }
            "transaction.boundary" if ["interval", "connector"].contains(&value.to_ascii_lowercase().as_str()) => {
                refuse(key, "there are no transactions; remove it");
            }
            "transaction.boundary.interval.ms" => refuse(key, "there are no transactions; remove it"),
            "offsets.storage.topic" if direction == Direction::Source => {
                refuse(key, "source offsets are kept by the worker (offset.storage.file.filename); remove it");
            }
            _ => {}
        }
    }
    found
}

/// Keys that this worker accepts although they are in no definition.
pub fn is_framework_key(key: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "transforms.",
        "predicates.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "producer.override.",
        "consumer.override.",
        "admin.override.",
    ];
    PREFIXES.iter().any(|p| key.starts_with(p))
}

/// The keys of a converter: one that all have but those of headers alone, and which the worker sets, and its own.
pub(crate) fn converter_keys(converter: &AnyConverter) -> impl Iterator<Item = ConfigKey> {
    let key = Key::<String>::new("converter.type").low();
    let key = key.documented("What the converter is used for: key, value or header. The worker sets it.");
    (!converter.headers_only).then_some(key).into_iter().chain(converter.definition.keys().to_vec())
}

/// The keys of a transform or predicate (`what`) alias that are not the plugin's own: `type` and `plugin.version`,
/// which come first, then for transforms `negate` and `predicate`, which come last.
pub(crate) fn alias_keys(what: &str, alias: &str, classes: Vec<String>) -> ([ConfigKey; 2], Vec<ConfigKey>) {
    let group = format!("{what}s: {alias}");
    let noun = if what == "Transform" { "Transformation" } else { "Predicate" };
    let word = noun.to_lowercase();
    let mut class = Key::<ClassName>::new("type")
        .high()
        .form(&group, Width::Long, &format!("{noun} type for {alias}"))
        .order(0)
        .documented(&format!("Class for the '{alias}' {word}."));
    class.recommended = classes;
    let version = Key::<Option<String>>::new("plugin.version")
        .high()
        .form(&group, Width::Long, &format!("{noun} version for {alias}"))
        .order(1)
        .documented(&format!("Version of the '{alias}' {word}."));
    let mut last = Vec::new();
    if what == "Transform" {
        let key = Key::<bool>::new("negate").default("false").form(&group, Width::None, "negate");
        last.push(key.documented("Whether the configured predicate should be negated."));
        let key = Key::<Option<String>>::new("predicate").form(&group, Width::None, "predicate");
        last.push(key.documented("The alias of a predicate used to determine whether to apply this transformation."));
    }
    ([class, version], last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::config::Config;

    #[test]
    fn names_must_not_be_empty_or_hold_control_characters() {
        let errors =
            |name: &str| CommonConfig::definition().validate(&Settings::from([("name", name)]))[0].errors.clone();
        assert_eq!(errors(" "), ["Invalid value  for configuration name: String may not be empty"]);
        assert!(errors("a\u{7}b")[0].ends_with("ASCII chars: 7"));
        assert!(errors("a/b c").is_empty());
    }

    /// The keys of Kafka Connect 4.1.0 in the order of its answer, a line each: direction, name, type, required, default
    /// (`*` where it is the worker's), importance, group, order, width, name in forms.
    const GOLDEN: &str = include_str!("golden/framework.jsonl");

    #[test]
    fn keys_are_those_of_kafka_connect_in_its_order() {
        for (direction, name) in [(Direction::Source, "source"), (Direction::Sink, "sink")] {
            let lines = GOLDEN.lines().map(|l| serde_json::from_str::<Vec<serde_json::Value>>(l).expect("a line"));
            let wanted: Vec<Vec<serde_json::Value>> = lines.filter(|l| l[0] == name).collect();
            // Restarts and dead letters of sources are ours alone.
            let kafkas = |k: &&ConfigKey| {
                let letters = direction == Direction::Source && k.name.starts_with("errors.deadletterqueue.");
                !letters && !k.name.starts_with("restart.") && !k.name.starts_with("put.")
            };
            let definition = definition(direction);
            let mut got = definition.keys().iter().filter(kafkas).map(crate::validation::key_info);
            for line in wanted {
                let key = got.next().expect("as many keys");
                let default = if line[4] == "*" { line[4].clone() } else { key.default_value.into() };
                let shown: Vec<serde_json::Value> = vec![
                    name.into(),
                    key.name.into(),
                    key.kind.into(),
                    key.required.into(),
                    default,
                    key.importance.into(),
                    key.group.into(),
                    key.order.into(),
                    key.width.into(),
                    key.display_name.into(),
                ];
                assert_eq!(shown, line);
                assert!(!key.documentation.is_empty());
            }
            assert!(got.next().is_none());
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let given = Settings::from([("exactly.once.support", "required"), ("offsets.storage.topic", "o"), ("a", "b")]);
        let texts = refused(&given, Direction::Source);
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[0].1, "This worker does not have exactly-once source support enabled.");
        assert!(refused(&Settings::from([("exactly.once.support", "REQUESTED")]), Direction::Source).is_empty());
    }
}
