//! Topics that source tasks create before their first record (KIP-158): the groups of settings, and creation itself.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use connect_api::{
    Error, ErrorClass, Result, Settings, Topic,
    config::{ConfigType, Key, Problems, split_list},
};
use connect_kafka::{Admin, Cut, TopicSpec, not_permitted};
use regex::Regex;

use crate::{
    registry::nearest,
    status::{TaskStatus, Trouble},
};

/// What all settings of topic creation begin with.
pub const PREFIX: &str = "topic.creation.";
const GROUPS: &str = "topic.creation.groups";
const DEFAULT: &str = "default";
const OWN: [&str; 4] = ["include", "exclude", "partitions", "replication.factor"];

/// Settings of topics that Kafka 4.1 knows, for hints.
const TOPIC_SETTINGS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// How the topics of a group are created.
#[derive(Debug, Clone)]
struct Group {
    name: String,
    include: Regex,
    exclude: Regex,
    partitions: i32,
    replication: i16,
    settings: Vec<(String, String)>,
}

impl Group {
    fn takes(&self, topic: &str) -> bool {
        !self.exclude.is_match(topic) && self.include.is_match(topic)
    }

    fn spec(&self, topic: &str) -> TopicSpec {
        TopicSpec {
            name: topic.to_owned(),
            partitions: self.partitions,
            replication_factor: self.replication.into(),
            settings: self.settings.clone(),
        }
    }
}

/// A connector's groups in order, `default`, which takes every topic, last.
#[derive(Debug, Clone)]
pub struct Groups(Vec<Group>);

impl Groups {
    /// As the settings of a source connector say; `None` where there is none about topic creation. The error lists
    /// every problem.
    pub fn read(settings: &Settings) -> Result<Option<Self>, Problems> {
        if !settings.has_prefix(PREFIX) {
            return Ok(None);
        }
        let mut reader = Reader { settings, problems: Problems::new() };
        let default = reader.group(DEFAULT, None);
        let mut all: Vec<Option<Group>> =
            listed(settings).iter().map(|name| reader.group(name, default.as_ref())).collect();
        all.push(default);
        let all: Option<Vec<Group>> = all.into_iter().collect();
        match all {
            Some(groups) if reader.problems.is_empty() => Ok(Some(Self(groups))),
            _ => Err(reader.problems),
        }
    }

    fn first(&self, topic: &str) -> Option<&Group> {
        self.0.iter().find(|g| g.takes(topic))
    }
}

/// The groups that are listed, without `default`, which always is one.
fn listed(settings: &Settings) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut all = split_list(settings.get(GROUPS).unwrap_or_default().trim());
    all.retain(|name| name != DEFAULT && seen.insert(name.clone()));
    all
}

struct Reader<'a> {
    settings: &'a Settings,
    problems: Problems,
}

impl Reader<'_> {
    fn value<T: ConfigType + 'static>(&mut self, key: Key<T>, default: Option<T>) -> Option<T> {
        let key = key.documented("");
        let given = self.settings.get(&key.name);
        if let (None, Some(default)) = (given, default) {
            return Some(default);
        }
        let errors = key.validate(given).errors;
        if errors.is_empty() {
            return T::parse(given.unwrap_or_default().trim()).ok();
        }
        for text in errors {
            self.problems.add(&key.name, text);
        }
        None
    }

    /// A group, whose numbers are those of the default group where it has none.
    fn group(&mut self, name: &str, default: Option<&Group>) -> Option<Group> {
        let prefix = format!("{PREFIX}{name}.");
        let key = |own: &str| format!("{prefix}{own}");
        // What is wrong with the default group is said once, there.
        let lacking = name != DEFAULT && default.is_none();
        let replication = Key::new(&key("replication.factor")).check(|n: &i16| {
            positive(
                (*n).into(),
                "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster",
            )
        });
        let replication = self.value(replication, default.map(|d| d.replication).or(lacking.then_some(1)));
        let partitions =
            Key::new(&key("partitions")).check(|n: &i32| positive(*n, "Number of partitions must be positive"));
        let partitions = self.value(partitions, default.map(|d| d.partitions).or(lacking.then_some(1)));
        let (include, exclude) = if name == DEFAULT {
            (any_of(&[".*".to_owned()]).ok(), any_of(&[]).ok())
        } else {
            (self.patterns(&key("include")), self.patterns(&key("exclude")))
        };
        let given = self.settings.prefixed(&prefix);
        let settings = given.iter().filter(|(k, _)| !OWN.contains(k)).map(|(k, v)| (k.to_owned(), v.to_owned()));
        Some(Group {
            name: name.to_owned(),
            include: include?,
            exclude: exclude?,
            partitions: partitions?,
            replication: replication?,
            settings: settings.collect(),
        })
    }

    fn patterns(&mut self, key: &str) -> Option<Regex> {
        let check = |all: &Vec<String>| any_of(all).map(drop);
        let all: Vec<String> = self.value(Key::new(key).default("").check(check), Some(Vec::new()))?;
        any_of(&all).ok()
    }
}

fn positive(n: i32, text: &str) -> Result<(), String> {
    if n >= 1 || n == -1 { Ok(()) } else { Err(format!("{text}, or -1 to use the broker's default")) }
}

/// Matches names that one of the expressions matches as a whole. None of them match the empty name only.
fn any_of(all: &[String]) -> Result<Regex, String> {
    for one in all {
        Regex::new(one).map_err(|_| format!("Syntax error in regular expression {one}"))?;
    }
    let joined = format!("^(?:{})$", all.join("|"));
    Regex::new(&joined).map_err(|_| format!("Syntax error in regular expression {joined}"))
}

/// Sentences about settings of topic creation that have no effect, by key.
pub fn without_effect(settings: &Settings) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let groups = listed(settings);
    let mut add = |key: &str, text: String| found.push((key.to_owned(), text));
    if split_list(settings.get(GROUPS).unwrap_or_default().trim()).iter().any(|g| g == DEFAULT) {
        add(
            GROUPS,
            format!("the '{DEFAULT}' topic creation group always exists and does not need to be listed explicitly"),
        );
    }
    for key in settings.keys().filter(|k| k.starts_with(PREFIX) && *k != GROUPS) {
        let rest = &key[PREFIX.len()..];
        // Names of groups may hold dots.
        let of = groups.iter().map(String::as_str).chain([DEFAULT]);
        let Some((group, own)) = of.filter_map(|g| Some((g, rest.strip_prefix(g)?.strip_prefix('.')?))).next() else {
            add(key, format!("the setting {key} has no effect: {GROUPS} lists no group of that name"));
            continue;
        };
        if group == DEFAULT && ["include", "exclude"].contains(&own) {
            add(
                key,
                format!("the setting {key} has no effect: the '{DEFAULT}' group takes every topic that no other takes"),
            );
        } else if !OWN.contains(&own) && !TOPIC_SETTINGS.contains(&own) {
            let near = nearest(own, OWN.iter().chain(TOPIC_SETTINGS).copied());
            let hint = near.map(|n| format!("; did you mean {PREFIX}{group}.{n}?")).unwrap_or_default();
            add(
                key,
                format!("the setting {key} names no setting of topics that is known here; Kafka may refuse it{hint}"),
            );
        }
    }
    found
}

/// Creates topics that a task is about to write to.
pub struct TopicCreator {
    admin: Admin,
    brokers: String,
    groups: Groups,
    /// Topics that are there.
    known: BTreeSet<Topic>,
    cut: Cut,
}

const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

impl TopicCreator {
    /// For a task whose topics are created by these groups at these brokers.
    pub fn new(admin: Admin, brokers: String, groups: Groups) -> Self {
        Self { admin, brokers, groups, known: BTreeSet::new(), cut: Cut::default() }
    }

    /// Creates nothing once this is cut.
    pub fn cut_by(mut self, cut: &Cut) -> Self {
        self.cut = cut.clone();
        self
    }

    /// Returns when the topic is there. What passes by itself is tried again; an error is for the task to fail with.
    pub async fn ensure(&mut self, topic: &Topic, status: &Arc<TaskStatus>) -> Result<()> {
        if self.known.contains(topic) {
            return Ok(());
        }
        // Kafka Connect fails the task where creating a topic takes too long; an outage is no reason to.
        while let Err(e) = self.create(topic).await {
            if e.class() != ErrorClass::Retriable {
                return Err(e);
            }
            if status.retrying(Trouble::Topic, &e) {
                tracing::warn!("checking for or creating topic {topic} is tried again: {}", e.one_line());
            }
            tokio::time::sleep(e.delay().unwrap_or(PAUSE)).await;
        }
        if status.recovered(Trouble::Topic) {
            tracing::info!("topic {topic} is there");
        }
        self.known.insert(topic.clone());
        Ok(())
    }

    async fn create(&self, topic: &str) -> Result<()> {
        let brokers = &self.brokers;
        let described = self.admin.partitions(topic, LIMIT).await.map_err(|e| match not_permitted(&e) {
            true => fatal(format!("Not authorized to describe topic(s) '{topic}' on the brokers {brokers}"), e),
            false => e,
        })?;
        if described.is_some() {
            return Ok(());
        }
        // The default group takes every topic.
        let Some(group) = self.groups.first(topic) else { return Ok(()) };
        let spec = group.spec(topic);
        self.cut.pass().await?;
        match self.admin.create_topic(&spec).await {
            Ok(created) => {
                let what = if created { "created" } else { "found existing" };
                tracing::info!("{what} topic {} by the topic creation group {}", new_topic(&spec), group.name);
                Ok(())
            }
            Err(e) if not_permitted(&e) => Err(fatal(
                format!(
                    "Task failed to create new topic {}. Ensure that the task is authorized to create topics or that the \
                     topic exists and restart the task",
                    new_topic(&spec)
                ),
                e,
            )),
            Err(e) if e.class() == ErrorClass::Retriable => Err(e),
            Err(e) => Err(fatal(
                format!(
                    "Unable to create topic(s) '{topic}' as the topic creation group {} says {}",
                    group.name,
                    new_topic(&spec)
                ),
                e,
            )),
        }
    }
}

fn fatal(text: String, cause: Error) -> Error {
    Error::fatal(text).caused_by(cause)
}

/// A topic to create as Kafka's `NewTopic` prints itself.
fn new_topic(spec: &TopicSpec) -> String {
    let settings: Vec<String> = spec.settings.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "(name={}, numPartitions={}, replicationFactor={}, replicasAssignments=null, configs={{{}}})",
        spec.name,
        spec.partitions,
        spec.replication_factor,
        settings.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(extra: &[(&str, &str)]) -> Result<Groups, Vec<String>> {
        let mut settings = Settings::from([
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.retention.ms", "1000"),
        ]);
        for (k, v) in extra {
            settings.set(format!("topic.creation.{k}"), *v);
        }
        let read = Groups::read(&settings).map_err(|p| p.iter().map(|p| p.text.clone()).collect::<Vec<_>>());
        read.map(|groups| groups.expect("there are settings"))
    }

    fn text(groups: &Groups, topic: &str) -> String {
        let group = groups.first(topic).expect("a group");
        format!("{} {}", group.name, new_topic(&group.spec(topic)))
    }

    #[test]
    fn the_first_group_that_takes_a_topic_counts_and_default_is_last() {
        let g = groups(&[
            ("groups", "compact, default, orders"),
            ("compact.include", "state-.*, table"),
            ("compact.exclude", "state-tmp.*"),
            ("compact.partitions", "1"),
            ("compact.cleanup.policy", "compact"),
            ("orders.include", ".*-orders|state-.*"),
            ("orders.replication.factor", "-1"),
            ("default.include", "nothing"),
        ])
        .expect("right");
        let rest = "replicasAssignments=null, configs=";
        assert_eq!(
            text(&g, "state-orders"),
            format!(
                "compact (name=state-orders, numPartitions=1, replicationFactor=1, {rest}{{cleanup.policy=compact}})"
            )
        );
        assert_eq!(
            text(&g, "state-tmp-orders"),
            format!("orders (name=state-tmp-orders, numPartitions=3, replicationFactor=-1, {rest}{{}})")
        );
        assert_eq!(
            text(&g, "tables"),
            format!("default (name=tables, numPartitions=3, replicationFactor=1, {rest}{{retention.ms=1000}})"),
            "whole names are matched, and the default group takes the rest"
        );
    }

    #[test]
    fn a_group_that_includes_nothing_takes_nothing() {
        let g = groups(&[("groups", "g")]).expect("right");
        assert_eq!(g.first("x").map(|g| g.name.as_str()), Some("default"));
    }

    #[test]
    fn every_problem_is_named_with_its_key() {
        assert!(Groups::read(&Settings::from([("topic", "t")])).is_ok_and(|g| g.is_none()));
        let missing = Groups::read(&Settings::from([("topic.creation.groups", "a")])).expect_err("no default group");
        let texts: Vec<&str> = missing.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value.",
                "Missing required configuration \"topic.creation.default.partitions\" which has no default value."
            ]
        );
        let wrong =
            groups(&[("groups", "a"), ("default.partitions", "0"), ("a.replication.factor", "x"), ("a.include", "(")]);
        assert_eq!(
            wrong.expect_err("wrong"),
            [
                "Invalid value 0 for configuration topic.creation.default.partitions: Number of partitions must be positive, \
                 or -1 to use the broker's default",
                "Invalid value x for configuration topic.creation.a.replication.factor: Not a number of type SHORT",
                "Invalid value [(] for configuration topic.creation.a.include: Syntax error in regular expression (",
            ]
        );
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let settings = Settings::from([
            ("topic.creation.groups", "a.b,default"),
            ("topic.creation.a.b.include", "x"),
            ("topic.creation.c.partitions", "1"),
            ("topic.creation.default.include", "x"),
            ("topic.creation.a.b.retention.mss", "1"),
            ("topic.creation.default.cleanup.policy", "compact"),
        ]);
        let all = without_effect(&settings);
        let text = |key: &str| all.iter().find(|(k, _)| k == key).map(|(_, t)| t.clone()).unwrap_or_default();
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(text("topic.creation.groups").contains("always exists"));
        assert!(text("topic.creation.c.partitions").contains("lists no group"));
        assert!(text("topic.creation.default.include").contains("takes every topic"));
        assert!(text("topic.creation.a.b.retention.mss").ends_with("did you mean topic.creation.a.b.retention.ms?"));
    }
}
