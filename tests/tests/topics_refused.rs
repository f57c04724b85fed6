//! Internal topics that would lose what they hold: refused with the words of Kafka Connect.

use std::time::Duration;

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, KafkaConnect, Server, without};

const SOON: Duration = Duration::from_secs(60);

/// What both say of a topic: the sentence itself, whatever stands around it.
fn complaint(said: &str, topic: &str) -> String {
    let start = said.find(&format!("Topic '{topic}' supplied via the ")).unwrap_or_else(|| panic!("no word: {said}"));
    said[start..].lines().next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned()
}

/// What Kafka Connect says when it ends because of its topics.
fn refused_by_kafka_connect(kafka: &Kafka, settings: &[(&str, &str)]) -> String {
    for _ in 0..5 {
        let said = match KafkaConnect::distributed(&kafka.bootstrap(), settings) {
            Err(refused) => refused.to_string(),
            // Its REST API may answer for a moment before it ends.
            Ok(mut worker) => {
                let ended = || worker.process_mut().is_alive().is_ok_and(|alive| !alive).then_some(());
                wait("kafka connect to end", SOON, ended);
                worker.process().log()
            }
        };
        // Sometimes it ends in the middle of starting its REST API, and what is said of that hides the reason.
        if said.contains("supplied via the ") {
            return said;
        }
    }
    panic!("kafka connect does not say what is wrong with {settings:?}");
}

#[test]
fn a_topic_that_would_lose_records_is_refused_with_kafka_connects_words() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    reader.create("deleting", 1, &[("cleanup.policy", "delete")]);
    reader.create("both", 1, &[("cleanup.policy", "compact,delete")]);
    reader.create("wide", 2, &[("cleanup.policy", "compact")]);
    for (n, (key, topic, compared)) in [
        ("config.storage.topic", "deleting", true),
        ("config.storage.topic", "wide", true),
        ("offset.storage.topic", "deleting", false),
        ("status.storage.topic", "both", false),
    ]
    .into_iter()
    .enumerate()
    {
        let group = format!("cluster-{n}");
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let mut settings = vec![
            ("group.id", group.as_str()),
            ("key.converter", converter),
            ("value.converter", converter),
            ("config.storage.replication.factor", "1"),
            ("offset.storage.replication.factor", "1"),
            ("offset.storage.partitions", "1"),
            ("status.storage.replication.factor", "1"),
            ("status.storage.partitions", "1"),
            ("plugin.discovery", "hybrid_warn"),
        ];
        let names =
            ["config", "offset", "status"].map(|kind| (format!("{kind}.storage.topic"), format!("{group}-{kind}")));
        for (name, usual) in &names {
            settings.push((name, if name == key { topic } else { usual }));
        }
        let lines: Vec<String> = settings.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        let text = format!("bootstrap.servers={}\n{}", kafka.bootstrap(), lines.concat());
        let worker = file(dir.path(), &format!("{group}.properties"), &text);
        let ours = Connectd::refused(&["-c", &worker], &dir.path().join(&group));
        let ours = complaint(&ours, topic);
        if compared {
            let theirs = refused_by_kafka_connect(&kafka, &settings);
            assert_eq!(ours, complaint(&theirs, topic), "{key}={topic}");
        } else {
            // Its words, taken down once: that worker goes on for minutes before it ends.
            let policy = if topic == "both" { "compact,delete" } else { "delete" };
            let what =
                if key.starts_with("offset") { "source connector offsets" } else { "connector and task statuses" };
            let theirs = format!(
                "Topic '{topic}' supplied via the '{key}' property is required to have 'cleanup.policy=compact' to \
                 guarantee consistency and durability of {what}, but found the topic currently has \
                 'cleanup.policy={policy}'. Continuing would likely result in eventually losing {what} and problems \
                 restarting this Connect cluster in the future. Change the '{key}' property in the Connect worker \
                 configurations to use a topic with 'cleanup.policy=compact'"
            );
            assert_eq!(ours, theirs);
        }
    }
}
