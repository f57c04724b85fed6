//! Kafka: whether it answers, whether it is the worker's, and the worker's own topics in it.

use std::time::Duration;

use connect_api::time;
use connect_kafka::{Admin, Partition, Role, TopicState, is_embedded_id, newest};
use connect_rest_model::StorageTopics;

use super::{
    finding::{Check, Finding, Found, Level},
    worker::{Told, of_clock},
};
use crate::{consent::listed, error::Failure, places::kafka::Kafka, shell};

/// Asks Kafka who it is. Without an answer nothing else need be asked of it.
pub(super) async fn look(kafka: &Kafka, told: &Told, limit: Duration) -> (Option<Admin>, usize, Finding) {
    let asked = async {
        let admin = Admin::new(&kafka.client(Role::Admin)?)?;
        let brokers = admin.cluster(limit).await.map_err(|e| kafka.failure(e))?.brokers;
        Ok::<_, Failure>((admin, brokers))
    };
    let (admin, brokers) = match asked.await {
        Ok(answer) => answer,
        Err(e) => return (None, 0, unreachable(&e)),
    };
    let id = admin.cluster_id(limit).await.ok().flatten();
    // Another Kafka may be named than that of the worker.
    let embedded = id.as_deref().is_some_and(is_embedded_id);
    let version = match brokers.first() {
        _ if embedded => Some("embedded".to_owned()),
        // What may not be described is not known; everything else works all the same.
        Some(broker) => admin.version(broker.id, limit).await.ok().flatten(),
        None => None,
    };
    let version = version.map_or_else(|| "its version is not told".into(), |v| format!("version {v}"));
    let count = super::connectors::counted(brokers.len(), "broker");
    let what = format!("{count} at {}, {version}, cluster {}", kafka.brokers(), id.as_deref().unwrap_or("without id"));
    let theirs = told.server.as_ref().and_then(|s| s.kafka_cluster_id.as_deref());
    let own = told.worker.as_ref().is_some_and(|w| w.mode == "embedded");
    let finding = of_cluster(what, id.as_deref(), theirs, own, &kafka.origin);
    (Some(admin), brokers.len(), finding)
}

/// Whether the cluster that was asked is the worker's, which has an embedded one of its `own` or names it.
fn of_cluster(what: String, id: Option<&str>, theirs: Option<&str>, own: bool, origin: &str) -> Finding {
    match (theirs, id) {
        // librdkafka names the cluster that is embedded, and the worker itself.
        (Some(_), Some(id)) if own && is_embedded_id(id) => Finding::ok(Check::Kafka, what),
        (Some(theirs), Some(id)) if theirs != id => {
            Finding::new(Check::Kafka, Level::Warn, format!("{what}, but the worker is on cluster {theirs}"))
                .remedy(format!("{origin} names another Kafka than the worker's; what follows is about that one"))
        }
        _ => Finding::ok(Check::Kafka, what),
    }
}

fn unreachable(e: &Failure) -> Finding {
    let text = e.to_string();
    match text.split_once("; asked was ") {
        Some((what, asked)) => {
            let (place, hint) = asked.rsplit_once("; ").unwrap_or((asked, "is it running?"));
            Finding::new(Check::Kafka, Level::Fail, format!("{what} ({place})")).remedy(hint)
        }
        None => Finding::new(Check::Kafka, Level::Fail, text),
    }
}

/// What a topic of a distributed worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Config,
    Offset,
    Status,
}

impl Purpose {
    /// The worker's setting that names the topic.
    fn key(self) -> &'static str {
        match self {
            Self::Config => "config.storage.topic",
            Self::Offset => "offset.storage.topic",
            Self::Status => "status.storage.topic",
        }
    }

    fn holds(self) -> &'static str {
        match self {
            Self::Config => "connectors",
            Self::Offset => "offsets of sources",
            Self::Status => "states",
        }
    }
}

/// The worker's own topics, and by the way the clock of who wrote there last.
pub(super) async fn topics(
    admin: &Admin,
    kafka: &Kafka,
    brokers: usize,
    names: &StorageTopics,
    limit: Duration,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    let all = [(Purpose::Config, &names.config), (Purpose::Offset, &names.offset), (Purpose::Status, &names.status)];
    for (purpose, name) in all {
        let topic = admin.topic(name, limit).await.map_err(|e| kafka.failure(e))?;
        let policy = match &topic {
            // Who may not describe the topic's settings is told so.
            Some(_) => Some(admin.topic_setting(name, "cleanup.policy").await.map_err(|e| kafka.failure(e))?),
            None => None,
        };
        found.findings.extend(judge(purpose, name, topic.as_ref(), policy.flatten().as_deref(), brokers));
    }
    if found.findings.is_empty() {
        let text = format!("{}, {} and {} are compacted", names.config, names.offset, names.status);
        found.add(Finding::ok(Check::Topics, text));
    }
    // Only the clock is at stake here: what can be said of it is said.
    let written = newest(&kafka.client(Role::Consumer)?, std::slice::from_ref(&names.status), 1, limit).await;
    if let Some(at) = written.ok().and_then(|n| n.records.last()?.timestamp) {
        let ahead = of_clock(&format!("the clock by which topic {} was written", names.status), at - time::now_ms());
        // A record of an hour ago is no clock that is behind.
        if ahead.level > Level::Ok && at > time::now_ms() {
            found.add(ahead);
        }
    }
    Ok(found)
}

fn judge(
    purpose: Purpose,
    name: &str,
    topic: Option<&TopicState>,
    policy: Option<&str>,
    brokers: usize,
) -> Vec<Finding> {
    let what = format!("{name} ({})", purpose.key());
    let Some(topic) = topic else {
        let text = format!("{what} is missing: {} have no place", purpose.holds());
        return vec![Finding::new(Check::Topics, Level::Fail, text).remedy("restart the worker, which creates it")];
    };
    let mut all = Vec::new();
    let mut add = |level, text: String, remedy: String| {
        all.push(Finding::new(Check::Topics, level, text).remedy(remedy));
    };
    if policy != Some("compact") {
        let found = policy.map_or_else(|| "no cleanup.policy that is told".into(), |p| format!("cleanup.policy={p}"));
        add(
            Level::Fail,
            format!("{what} has {found}: Kafka deletes old {}", purpose.holds()),
            format!("connectctl topics config set {} cleanup.policy=compact", shell::word(name)),
        );
    }
    if purpose == Purpose::Config && topic.partitions.len() != 1 {
        add(
            Level::Fail,
            format!("{what} has {} partitions: settings and tasks get out of order", topic.partitions.len()),
            "connectctl export --folder FOLDER, name another topic as config.storage.topic, connectctl apply -f FOLDER"
                .into(),
        );
    }
    let those = |wanted: fn(&Partition) -> bool| -> Vec<String> {
        topic.partitions.iter().filter(|p| wanted(p)).map(|p| p.number.to_string()).collect()
    };
    let (without_leader, behind) = (those(|p| p.leader.is_none()), those(|p| p.in_sync.len() < p.replicas.len()));
    if !without_leader.is_empty() {
        let text = format!("{what} has no leader for partition {}", listed(&without_leader));
        add(Level::Fail, text, "start the brokers that have it".into());
    } else if !behind.is_empty() {
        let text = format!("{what} has replicas that are not in sync: partition {}", listed(&behind));
        add(Level::Warn, text, "is a broker down or overloaded?".into());
    }
    if topic.partitions.iter().any(|p| p.replicas.len() == 1) && brokers > 1 {
        let text =
            format!("{what} has 1 replica although there are {brokers} brokers: one that is lost takes it along");
        let key = purpose.key().replace(".topic", ".replication.factor");
        let remedy = format!("raise it with kafka-reassign-partitions.sh; {key} is for topics that are created anew");
        add(Level::Warn, text, remedy);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topic of partitions with so many replicas, so many of them in sync.
    fn topic(partitions: &[(usize, usize)]) -> TopicState {
        let partition = |(number, (replicas, in_sync)): (usize, &(usize, usize))| Partition {
            number: i32::try_from(number).expect("a small number"),
            leader: (*in_sync > 0).then_some(1),
            replicas: (1..).take(*replicas).collect(),
            in_sync: (1..).take(*in_sync).collect(),
        };
        let partitions = partitions.iter().enumerate().map(partition).collect();
        TopicState { name: "t".into(), partitions, problem: None }
    }

    fn told(purpose: Purpose, topic: &TopicState, policy: &str, brokers: usize) -> Vec<(Level, String)> {
        let all = judge(purpose, "t", Some(topic), Some(policy), brokers);
        all.into_iter().map(|f| (f.level, f.text)).collect()
    }

    #[test]
    fn topics_that_lose_what_they_hold_are_failures() {
        let good = topic(&[(3, 3)]);
        assert_eq!(told(Purpose::Config, &good, "compact", 3), []);
        let deleting = told(Purpose::Offset, &good, "compact,delete", 3);
        assert_eq!(
            deleting[0].1,
            "t (offset.storage.topic) has cleanup.policy=compact,delete: Kafka deletes old offsets of sources"
        );
        let mended = judge(Purpose::Offset, "t", Some(&good), Some("delete"), 3);
        assert_eq!(mended[0].remedy.as_deref(), Some("connectctl topics config set t cleanup.policy=compact"));
        let wide = topic(&[(2, 1), (1, 1), (1, 0)]);
        let all = told(Purpose::Config, &wide, "delete", 2);
        assert_eq!(
            all.iter().map(|(l, _)| *l).collect::<Vec<_>>(),
            [Level::Fail, Level::Fail, Level::Fail, Level::Warn]
        );
        assert!(all[1].1.contains("3 partitions") && all[2].1.ends_with("partition 2"), "{all:?}");
        // Other topics may have many, and one broker cannot have more replicas.
        assert_eq!(told(Purpose::Status, &topic(&[(1, 1), (1, 1)]), "compact", 1), []);
        let missing = judge(Purpose::Status, "t", None, None, 1);
        assert!(missing[0].level == Level::Fail && missing[0].text.ends_with("states have no place"));
    }

    #[test]
    fn an_embedded_worker_does_not_make_every_kafka_embedded() {
        let level = |id, theirs, own| of_cluster("k".into(), Some(id), Some(theirs), own, "x").level;
        assert_eq!(level("mockCluster7f", "embedded", true), Level::Ok);
        assert_eq!(level("Some-real_cluster", "embedded", true), Level::Warn);
        assert_eq!(level("mockCluster7f", "Some-real_cluster", false), Level::Warn);
        assert_eq!(level("Some-real_cluster", "Some-real_cluster", false), Level::Ok);
    }

    #[test]
    fn a_kafka_that_is_away_is_told_with_its_address() {
        let e =
            Failure::Unreachable("asking: refused; asked was Kafka at h:1 (from x); is it running, and so on?".into());
        let finding = unreachable(&e);
        assert_eq!(finding.text, "asking: refused (Kafka at h:1 (from x))");
        assert_eq!(finding.remedy.as_deref(), Some("is it running, and so on?"));
    }
}
