//! Settings of the source.

use std::ops::Deref;

use connect_api::{
    Settings,
    config::{ClassName, Config, ConfigDef, Key, Problems, Reader},
    config_enum,
    template::Template,
};
use connect_kafka::{Role, translate};

use crate::selection::Patterns;

config_enum! {
    /// Where reading a partition begins that has not been read before.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Begin {
        /// With the first record that there is.
        Earliest = "earliest",
        /// With the first one that comes.
        Latest = "latest",
    }
}

/// What templates of topics know.
const NAMES: [&str; 2] = ["topic", "cluster"];
/// Where records go that are not renamed.
const SAME: &str = "{{topic}}";

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct OwnConfig {
        /// Topics to read: names and regular expressions, separated by commas. An expression matches whole names.
        topics: Vec<String> = Key::new("topics").high().check(|topics: &Vec<String>| {
            if topics.is_empty() {
                return Err("List must name at least one topic".into());
            }
            Patterns::parse(topics).map(drop)
        }),
        /// Topics that are left out although topics matches them: names and regular expressions.
        exclude: Vec<String> = Key::new("topics.exclude").default("__.*")
            .check(|topics: &Vec<String>| Patterns::parse(topics).map(drop)),
        /// Name of the cluster that is read, for source offsets and for target.topic. Changing it begins anew.
        alias: String = Key::new("source.cluster.alias").default("source").non_empty(),
        /// Where a partition begins that this connector has not read before: earliest or latest.
        begin: Begin = Key::new("source.begin").default("earliest"),
        /// Consumer group of the cluster that is read behind whose committed offsets partitions begin that this connector
        /// has not read before; what it has committed nothing for begins as source.begin says. Nothing is committed for it.
        group: Option<String> = Key::new("source.group.id"),
        /// Template of the topic that records go to. Names: topic and cluster, the alias. The record's topic for
        /// transforms is this one.
        target: Template = Key::new("target.topic").default(SAME).check(|target: &Template| match target.source() {
            "" => Err("String must be non-empty".into()),
            _ => target.check_names(&NAMES),
        }),
        /// Whether records keep the number of their partition; else the key decides, as for other records. The target must
        /// have as many partitions.
        keep_partition: bool = Key::new("target.partition.keep").default("true"),
        /// Converter that keys are read with, with its settings below. Default: that which they are written with.
        key_converter: Option<ClassName> = Key::new("source.key.converter").low(),
        /// Converter that values are read with, with its settings below, such as JsonConverter where they become Avro.
        /// Default: that which they are written with.
        value_converter: Option<ClassName> = Key::new("source.value.converter"),
        /// Converter that headers are read with, with its settings below. Default: that which they are written with. With
        /// ByteArrayConverter for header.converter they are kept byte for byte.
        header_converter: Option<ClassName> = Key::new("source.header.converter").low(),
        /// Most records of one batch.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1),
        /// How often new topics and partitions are looked for, in seconds.
        refresh: i32 = Key::new("refresh.topics.interval.seconds").default("30").low().at_least(1),
    }
}

/// Keys below which the clients of the cluster that is read have theirs, the later ones counting.
const CLIENT: [&str; 2] = ["source.cluster.", "source.consumer."];

/// Settings of the source with those of its client.
#[derive(Debug, Clone)]
pub struct KafkaSourceConfig {
    own: OwnConfig,
    /// Of the clients, by the names of Java's.
    cluster: Settings,
    /// Of the consumer alone.
    consumer: Settings,
    /// Whether there are transforms, which may name other topics.
    transforms: bool,
}

impl Deref for KafkaSourceConfig {
    type Target = OwnConfig;

    fn deref(&self) -> &OwnConfig {
        &self.own
    }
}

impl Config for KafkaSourceConfig {
    fn definition() -> ConfigDef {
        let mut definition = OwnConfig::definition();
        definition.family(
            CLIENT[0],
            "Client settings of the cluster that is read, above all `source.cluster.bootstrap.servers`, and those of \
             security. Without addresses it is the worker's own cluster, reached as the worker's consumers reach it.",
        );
        definition.family(CLIENT[1], "Settings of the consumer alone, such as `source.consumer.fetch.max.bytes`.");
        for key in ["source.key.converter.", "source.value.converter.", "source.header.converter."] {
            definition.family(key, "Settings of that converter.");
        }
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (mut cluster, consumer) = (reader.below(CLIENT[0]), reader.below(CLIENT[1]));
        cluster.remove("alias");
        let transforms = reader.given("transforms").is_some_and(|list| !list.trim().is_empty());
        OwnConfig::read(reader).map(|own| Self { own, cluster, consumer, transforms })
    }
}

impl KafkaSourceConfig {
    /// Settings of the client that reads, by the names of Java's; `own` are those of the worker's own cluster.
    pub fn client(&self, own: Settings) -> Settings {
        let mut all = if self.is_elsewhere() { Settings::new() } else { own };
        all.extend(&self.cluster);
        all.extend(&self.consumer);
        if let Some(group) = &self.group {
            all.set("group.id", group);
        }
        // Where an offset is out of range, nothing that is still there is passed over.
        let latest = self.begin == Begin::Latest && self.group.is_some();
        all.set("auto.offset.reset", if latest { "latest" } else { "earliest" });
        all
    }

    fn is_elsewhere(&self) -> bool {
        self.cluster.contains("bootstrap.servers") || self.consumer.contains("bootstrap.servers")
    }

    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let key = |name: &str| {
            let prefix = if self.consumer.contains(name) { CLIENT[1] } else { CLIENT[0] };
            format!("{prefix}{name}")
        };
        for (name, way_out) in [("group.id", "source.group.id"), ("auto.offset.reset", "source.begin")] {
            if self.cluster.contains(name) || self.consumer.contains(name) {
                problems.add(key(name), format!("{} has no effect here: set {way_out}", key(name)));
            }
        }
        let mut client = self.cluster.clone();
        client.extend(&self.consumer);
        for problem in translate(Role::Consumer, &client).err().unwrap_or_default() {
            problems.add(key(&problem.key), format!("{}: {}", key(&problem.key), problem.reason));
        }
        if !self.is_elsewhere() && self.target.source().replace(' ', "") == SAME && !self.transforms {
            let text = "target.topic is the topic that is read, on the same cluster: records would come again and again. \
                        Set target.topic, or source.cluster.bootstrap.servers, or transforms that name another topic";
            problems.add("target.topic", text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = given.iter().copied().chain([("topics", "a")]).collect();
        let mut problems = Problems::new();
        match KafkaSourceConfig::parse(&settings) {
            Ok(config) => config.validate(&mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn a_topic_is_not_copied_to_itself() {
        let elsewhere = ("source.cluster.bootstrap.servers", "other:9092");
        assert_eq!(problems(&[]), ["target.topic"]);
        assert_eq!(problems(&[("target.topic", "{{ topic }}")]), ["target.topic"]);
        assert!(problems(&[("target.topic", "copy-of-{{topic}}")]).is_empty());
        assert!(problems(&[("transforms", "route")]).is_empty());
        assert_eq!(problems(&[("target.topic", "{{nope}}")]), ["target.topic"]);
        assert!(problems(&[elsewhere]).is_empty());
    }

    #[test]
    fn settings_of_the_client_are_checked_where_they_stand() {
        let elsewhere = ("source.cluster.bootstrap.servers", "other:9092");
        assert_eq!(problems(&[elsewhere, ("source.cluster.group.id", "g")]), ["source.cluster.group.id"]);
        assert_eq!(
            problems(&[elsewhere, ("source.cluster.security.protocol", "SSLX")]),
            ["source.cluster.security.protocol"]
        );
        assert_eq!(problems(&[elsewhere, ("topics.exclude", "(")]), ["topics.exclude"]);
    }

    #[test]
    fn another_cluster_has_nothing_of_the_workers() {
        let own = Settings::from([("bootstrap.servers", "own:9092"), ("sasl.mechanism", "PLAIN")]);
        let config = |more: &[(&str, &str)]| {
            let settings: Settings = more.iter().copied().chain([("topics", "a")]).collect();
            KafkaSourceConfig::parse(&settings).expect("settings").client(own.clone())
        };
        let same = config(&[("source.consumer.fetch.max.bytes", "1000")]);
        assert_eq!((same.get("bootstrap.servers"), same.get("fetch.max.bytes")), (Some("own:9092"), Some("1000")));
        let other = config(&[("source.cluster.bootstrap.servers", "other:9092"), ("source.group.id", "g")]);
        assert_eq!((other.get("bootstrap.servers"), other.get("sasl.mechanism")), (Some("other:9092"), None));
        assert_eq!((other.get("group.id"), other.get("auto.offset.reset")), (Some("g"), Some("earliest")));
    }
}
