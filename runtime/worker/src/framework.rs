//! The settings that every connector has, whatever its plugin (config.md §4; KIP-891 names and orders).

use connect_api::{
    Settings,
    config::{ClassName, ConfigDef, ConfigKey, Key, Millis, Width},
};

use crate::registry::Direction;

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
        dlq_topic: String = Key::new("errors.deadletterqueue.topic.name").default("")
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
    /// Settings of every sink connector.
    #[derive(Debug)]
    pub struct SinkOnlyConfig {
        /// Topics to consume, separated by commas.
        topics: Vec<String> = Key::new("topics").default("").high().form(COMMON, Width::Long, "Topics").order(4),
        /// Regular expression that the names of the topics to consume match as a whole.
        topics_regex: String = Key::new("topics.regex").default("").high().form(COMMON, Width::Long, "Topics regex").order(4)
            .check(|r: &String| crate::topic_pattern::subscription(r).map(drop)),
    }
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
    let mut definition = CommonConfig::definition();
    if direction == Direction::Sink {
        definition.embed("", &SinkOnlyConfig::definition());
    }
    definition
}

/// Settings of Kafka Connect that change what a connector does and that this worker cannot honour: they are
/// refused by name, with the way out.
pub fn refused(settings: &Settings, direction: Direction) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut refuse =
        |key: &str, way_out: &str| found.push((key.to_owned(), format!("{key} is not supported: {way_out}")));
    for (key, value) in settings.iter() {
        let value = value.trim();
        if is_reference(value) {
            refuse(
                key,
                "references such as ${file:…} need config providers; write the value itself, or let the deployment fill it in",
            );
            continue;
        }
        match key {
            "exactly.once.support" if !value.eq_ignore_ascii_case("requested") => {
                refuse(key, "delivery is at least once; remove it");
            }
            "transaction.boundary" if !value.eq_ignore_ascii_case("poll") => {
                refuse(key, "there are no transactions; remove it")
            }
            "transaction.boundary.interval.ms" => refuse(key, "there are no transactions; remove it"),
            "offsets.storage.topic" if direction == Direction::Source => {
                refuse(key, "source offsets are kept by the worker (offset.storage.file.filename); remove it");
            }
            "connector.plugin.version"
            | "key.converter.plugin.version"
            | "value.converter.plugin.version"
            | "header.converter.plugin.version" => refuse(key, "each plugin has one version here; remove it"),
            k if k.starts_with("topic.creation.") && direction == Direction::Source => {
                refuse(key, "create the topics before, or let the broker create them (auto.create.topics.enable)");
            }
            "config.action.reload" if !["none", "restart"].contains(&value) => {
                refuse(key, "it is none of none, restart");
            }
            _ => {}
        }
    }
    found
}

/// Whether the value holds a reference to a config provider, `${provider:key}`: sent as it stands it would be a
/// wrong password or a wrong file.
fn is_reference(value: &str) -> bool {
    value.split("${").skip(1).any(|rest| rest.split_once('}').is_some_and(|(inside, _)| inside.contains(':')))
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
    const DEFAULTS: &[&str] = &["exactly.once.support", "transaction.boundary", "config.action.reload"];
    DEFAULTS.contains(&key) || PREFIXES.iter().any(|p| key.starts_with(p))
}

/// The definition of `KEY.type` of a transform or predicate alias.
pub fn type_key(name: String, recommended: Vec<String>) -> ConfigKey {
    let mut key = Key::<ClassName>::new(&name).high().documented("Class of the plugin.");
    key.recommended = recommended;
    key
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

    #[test]
    fn what_would_be_ignored_is_refused() {
        let given = Settings::from([
            ("exactly.once.support", "required"),
            ("topic.creation.default.partitions", "3"),
            ("a", "b"),
        ]);
        assert_eq!(refused(&given, Direction::Source).len(), 2);
        assert!(refused(&Settings::from([("exactly.once.support", "REQUESTED")]), Direction::Source).is_empty());
        assert_eq!(refused(&Settings::from([("http.password", "${file:/etc/x:pw}")]), Direction::Sink).len(), 1);
        assert!(refused(&Settings::from([("a", "$${b} {{c:d}}")]), Direction::Sink).is_empty());
    }
}
