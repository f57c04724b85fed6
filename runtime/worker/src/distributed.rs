//! Settings of a distributed worker (config.md §3): its group and the three topics that keep its state.

use connect_api::{
    Settings,
    config::{Key, Millis},
};
use connect_kafka::TopicSpec;

connect_api::config! {
    /// Settings of a distributed worker, which keeps connectors, source offsets and states in Kafka.
    #[derive(Debug, Clone)]
    pub struct DistributedConfig {
        /// Name of the Connect cluster, which is its consumer group. With it the worker is a distributed one.
        group_id: String = Key::new("group.id").high().non_empty(),
        /// After so long without a heartbeat a worker counts as gone.
        session_timeout: Millis = Key::new("session.timeout.ms").default("10000").high(),
        /// How often the worker tells its group that it is alive.
        heartbeat_interval: Millis = Key::new("heartbeat.interval.ms").default("3000").high(),
        /// Topic of connectors and their tasks.
        config_topic: String = Key::new("config.storage.topic").high().non_empty(),
        /// Replication factor of that topic where it has to be created; -1 is the broker's default.
        config_replication: i16 = Key::new("config.storage.replication.factor").default("3").low().check(replication),
        /// Topic of source offsets.
        offset_topic: String = Key::new("offset.storage.topic").high().non_empty(),
        /// Partitions of that topic where it has to be created; -1 is the broker's default.
        offset_partitions: i32 = Key::new("offset.storage.partitions").default("25").low().check(partitions),
        /// Replication factor of that topic where it has to be created; -1 is the broker's default.
        offset_replication: i16 = Key::new("offset.storage.replication.factor").default("3").low().check(replication),
        /// Topic of states.
        status_topic: String = Key::new("status.storage.topic").high().non_empty(),
        /// Partitions of that topic where it has to be created; -1 is the broker's default.
        status_partitions: i32 = Key::new("status.storage.partitions").default("5").low().check(partitions),
        /// Replication factor of that topic where it has to be created; -1 is the broker's default.
        status_replication: i16 = Key::new("status.storage.replication.factor").default("3").low().check(replication),
    }
}

/// Keys that matter only between several workers, of which there is one here.
pub const BETWEEN_WORKERS: &[&str] = &[
    "rebalance.timeout.ms",
    "worker.sync.timeout.ms",
    "worker.unsync.backoff.ms",
    "connect.protocol",
    "scheduled.rebalance.max.delay.ms",
    "inter.worker.key.ttl.ms",
    "inter.worker.key.generation.algorithm",
    "inter.worker.key.size",
    "inter.worker.signature.algorithm",
    "inter.worker.verification.algorithms",
];

fn partitions(n: &i32) -> Result<(), String> {
    match n {
        -1 | 1.. => Ok(()),
        _ => Err("Number of partitions must be positive, or -1 to use the broker's default".into()),
    }
}

fn replication(n: &i16) -> Result<(), String> {
    match n {
        -1 | 1.. => Ok(()),
        _ => Err("Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 \
                  to use the broker's default"
            .into()),
    }
}

impl DistributedConfig {
    /// What is wrong where two kinds of records would be kept in one topic, and the setting to change.
    pub fn same_topics(&self) -> Option<(&'static str, String)> {
        let all = [
            ("config.storage.topic", &self.config_topic),
            ("offset.storage.topic", &self.offset_topic),
            ("status.storage.topic", &self.status_topic),
        ];
        let earlier = |n: usize| all[..n].iter().find(|(_, topic)| *topic == all[n].1);
        (1..all.len()).find_map(|n| {
            let ((other, _), (key, topic)) = (earlier(n)?, all[n]);
            Some((key, format!("{key}: the topic {topic} is the one of {other}, too; give each a topic of its own")))
        })
    }

    /// The configuration topic; `all` are the worker's settings. It has one partition whatever they say.
    pub fn configs(&self, all: &Settings) -> TopicSpec {
        spec(&self.config_topic, 1, self.config_replication, all, "config.storage.")
    }

    /// The offset topic.
    pub fn offsets(&self, all: &Settings) -> TopicSpec {
        spec(&self.offset_topic, self.offset_partitions, self.offset_replication, all, "offset.storage.")
    }

    /// The status topic.
    pub fn statuses(&self, all: &Settings) -> TopicSpec {
        spec(&self.status_topic, self.status_partitions, self.status_replication, all, "status.storage.")
    }
}

/// What else stands below the prefix are settings of the topic.
fn spec(name: &str, partitions: i32, replication: i16, all: &Settings, prefix: &str) -> TopicSpec {
    const OURS: [&str; 4] = ["topic", "partitions", "replication.factor", "file.filename"];
    let own = all.prefixed(prefix);
    let settings = own.iter().filter(|(key, _)| !OURS.contains(key) && *key != "cleanup.policy");
    TopicSpec {
        name: name.to_owned(),
        partitions,
        replication_factor: replication.into(),
        settings: settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::config::Config as _;

    fn settings(extra: &[(&str, &str)]) -> Settings {
        let mut s = Settings::from([
            ("group.id", "g"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ]);
        for (k, v) in extra {
            s.set(*k, *v);
        }
        s
    }

    #[test]
    fn topics_are_made_as_the_settings_say() {
        let all = settings(&[
            ("config.storage.partitions", "7"),
            ("offset.storage.replication.factor", "-1"),
            ("offset.storage.segment.bytes", "1000000"),
            ("offset.storage.cleanup.policy", "delete"),
        ]);
        let config = DistributedConfig::parse(&all).expect("settings");
        assert_eq!(config.configs(&all).partitions, 1);
        let offsets = config.offsets(&all);
        assert_eq!((offsets.partitions, offsets.replication_factor), (25, -1));
        assert_eq!(offsets.settings, [("segment.bytes".to_owned(), "1000000".to_owned())]);
    }

    #[test]
    fn each_kind_of_record_has_a_topic_of_its_own() {
        let same = |extra: &[(&str, &str)]| DistributedConfig::parse(&settings(extra)).expect("settings").same_topics();
        assert_eq!(same(&[]), None);
        let (key, text) = same(&[("offset.storage.topic", "s")]).expect("two are equal");
        assert_eq!(key, "status.storage.topic");
        assert!(text.contains("the topic s is the one of offset.storage.topic, too"), "{text}");
        assert!(same(&[("offset.storage.topic", "c")]).is_some_and(|(key, _)| key == "offset.storage.topic"));
        assert!(same(&[("status.storage.topic", "c")]).is_some_and(|(_, text)| text.contains("config.storage.topic")));
    }

    #[test]
    fn impossible_counts_are_refused_with_kafka_connects_words() {
        let problems = DistributedConfig::parse(&settings(&[("status.storage.partitions", "0")])).expect_err("none");
        let text = problems.iter().map(|p| p.text.as_str()).collect::<String>();
        assert!(text.contains("Number of partitions must be positive"), "{text}");
    }
}
