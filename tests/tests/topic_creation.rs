//! Topics that source connectors create (KIP-158), on Apache Kafka.

use std::{fs, time::Duration};

use connect_api::Settings;
use connect_kafka::{Admin, Role, translate};
use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

fn describe(kafka: &Kafka, topic: &str) -> String {
    let told = kafka.tool(TOPICS, &["--bootstrap-server", &kafka.bootstrap(), "--describe", "--topic", topic]);
    let told = told.expect("describing the topic");
    told.lines().find(|l| l.contains("PartitionCount")).unwrap_or_default().replace('\t', " ")
}

fn names(kafka: &Kafka) -> Vec<String> {
    let told = kafka.tool(TOPICS, &["--bootstrap-server", &kafka.bootstrap(), "--list"]).expect("listing topics");
    told.lines().map(str::to_owned).collect()
}

struct Place {
    dir: tempfile::TempDir,
    kafka: Kafka,
}

impl Place {
    fn new(kafka: Kafka) -> Self {
        Self { dir: tempfile::tempdir().expect("folder"), kafka }
    }

    fn worker(&self, extra: &str) -> Connectd {
        let text = format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
             offset.storage.file.filename={}\n{extra}",
            self.kafka.bootstrap(),
            self.dir.path().join("offsets").display()
        );
        let worker = file(self.dir.path(), "worker.properties", &text);
        Connectd::start(&["-c", &worker], &self.dir.path().join(format!("log{}", extra.len())))
    }

    /// A source of one line to the topic, with these settings of topic creation.
    fn source(&self, topic: &str, creation: &Json) -> Json {
        let path = self.dir.path().join(format!("{topic}.txt"));
        fs::write(&path, "line\n").expect("input");
        let mut config =
            json!({"connector.class": "FileStreamSource", "file": path.display().to_string(), "topic": topic});
        let all = config.as_object_mut().expect("object");
        for (key, value) in creation.as_object().expect("object") {
            all.insert(format!("topic.creation.{key}"), value.clone());
        }
        config
    }

    fn runs(&self, connectd: &Connectd, topic: &str, creation: &Json) {
        let config = self.source(topic, creation);
        let (code, answer) = connectd.send("PUT", &format!("/connectors/{topic}/config"), Some(&config));
        assert_eq!(code, 201, "{answer}");
        let reader = Reader::new(&self.kafka.bootstrap());
        reader.until(topic, SOON, |all| all.iter().any(|r| r.value.as_deref() == Some(b"line")));
    }

    /// The trace of the task that fails.
    fn fails(&self, connectd: &Connectd, topic: &str, creation: &Json) -> String {
        let config = self.source(topic, creation);
        let (code, answer) = connectd.send("PUT", &format!("/connectors/{topic}/config"), Some(&config));
        assert_eq!(code, 201, "{answer}");
        wait(&format!("the task of {topic} to fail"), SOON, || {
            let task = &connectd.get(&format!("/connectors/{topic}/status")).1["tasks"][0];
            let trace = task["trace"].as_str().unwrap_or_default();
            // Behind the class of the exception.
            (task["state"] == "FAILED")
                .then(|| trace.split_once("Exception: ").map_or(trace, |(_, told)| told).to_owned())
        })
    }
}

#[test]
fn the_first_matching_group_creates_the_topic_and_existing_ones_stay_as_they_are() {
    if without("kafka") {
        return;
    }
    let place = Place::new(Kafka::start_with(&[("auto.create.topics.enable", "false")]).expect("kafka"));
    let connectd = place.worker("");
    let groups = json!({
        "groups": "compact,all", "compact.include": "state-.*", "compact.exclude": "state-tmp", "compact.partitions": "2",
        "compact.max.message.bytes": "50000", "all.include": "state-.*", "all.retention.ms": "123456",
        "default.partitions": "3", "default.replication.factor": "-1", "default.segment.bytes": "2000000"
    });
    place.runs(&connectd, "state-a", &groups);
    place.runs(&connectd, "state-tmp", &groups);
    place.runs(&connectd, "other", &groups);
    let told = describe(&place.kafka, "state-a");
    assert!(told.contains("PartitionCount: 2") && told.contains("max.message.bytes=50000"), "{told}");
    let told = describe(&place.kafka, "state-tmp");
    assert!(told.contains("PartitionCount: 3") && told.contains("retention.ms=123456"), "{told}");
    assert!(!told.contains("segment.bytes"), "settings of the default group are not inherited: {told}");
    let told = describe(&place.kafka, "other");
    assert!(told.contains("PartitionCount: 3") && told.contains("segment.bytes=2000000"), "{told}");

    let reader = Reader::new(&place.kafka.bootstrap());
    reader.create("state-old", 4, &[("retention.ms", "7777777")]);
    let before = describe(&place.kafka, "state-old");
    place.runs(&connectd, "state-old", &groups);
    assert_eq!(describe(&place.kafka, "state-old"), before);

    // What Kafka refuses fails the task with what was asked for.
    let wrong =
        json!({"default.partitions": "1", "default.replication.factor": "1", "default.cleanup.policy": "shred"});
    let trace = place.fails(&connectd, "refused", &wrong);
    assert!(trace.contains("Unable to create topic(s) 'refused'") && trace.contains("cleanup.policy=shred"), "{trace}");
    let many = json!({"default.partitions": "1", "default.replication.factor": "3"});
    let trace = place.fails(&connectd, "many", &many);
    assert!(trace.contains("there are not so many brokers") && trace.contains("replicationFactor=3"), "{trace}");

    // What is wrong with the settings is found before.
    let mut config = place.source("unset", &json!({"groups": "a", "a.partitions": "x"}));
    let (code, answer) = connectd.send("PUT", "/connectors/unset/config", Some(&config));
    let text = answer["message"].as_str().unwrap_or_default();
    assert_eq!(code, 400, "{text}");
    for part in [
        "Missing required configuration \"topic.creation.default.replication.factor\"",
        "Missing required configuration \"topic.creation.default.partitions\"",
        "Invalid value x for configuration topic.creation.a.partitions: Not a number of type INT",
    ] {
        assert!(text.contains(part), "{text}");
    }
    config["topic.creation.default.partitions"] = "1".into();
    config["topic.creation.default.replication.factor"] = "1".into();
    config["topic.creation.a.partitions"] = "1".into();
    config["topic.creation.a.retension.ms"] = "1".into();
    config["name"] = "unset".into();
    let (_, answer) = connectd.send("PUT", "/connector-plugins/FileStreamSource/config/validate", Some(&config));
    assert_eq!(answer["error_count"], 0, "{answer}");
    connectd.send("PUT", "/connectors/unset/config", Some(&config));
    wait("the hint", SOON, || {
        connectd.log_text().contains("did you mean topic.creation.a.retention.ms?").then_some(())
    });
}

#[test]
fn a_worker_that_may_not_create_topics_leaves_them_to_the_broker() {
    if without("kafka") {
        return;
    }
    let place = Place::new(Kafka::start_with(&[("num.partitions", "5")]).expect("kafka"));
    // Asking for a topic must not create it, although this broker creates what is asked for.
    let settings = Settings::from([("bootstrap.servers", place.kafka.bootstrap())]);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let admin = Admin::new(&translate(Role::Admin, &settings).expect("settings")).expect("admin");
    for _ in 0..2 {
        let found = runtime.block_on(admin.partitions("asked", Duration::from_secs(20))).expect("asked");
        assert_eq!(found, None);
    }
    assert!(!names(&place.kafka).contains(&"asked".to_owned()));

    let groups = json!({"default.partitions": "2", "default.replication.factor": "1"});
    let connectd = place.worker("");
    place.runs(&connectd, "by-connect", &groups);
    assert!(describe(&place.kafka, "by-connect").contains("PartitionCount: 2"));
    drop(connectd);
    let connectd = place.worker("topic.creation.enable=false\n");
    place.runs(&connectd, "by-broker", &groups);
    assert!(describe(&place.kafka, "by-broker").contains("PartitionCount: 5"));
    assert!(
        connectd
            .log_text()
            .contains("topic.creation.* has no effect: the worker setting topic.creation.enable is false")
    );
}

#[test]
fn without_the_right_to_create_or_describe_the_task_fails_and_says_so() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start_with(&[
        ("auto.create.topics.enable", "false"),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ]);
    let place = Place::new(kafka.expect("kafka"));
    let bootstrap = place.kafka.bootstrap();
    let allow = |principal: &str, operations: &[&str], resource: &[&str]| {
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--add", "--allow-principal", principal];
        operations.iter().for_each(|o| arguments.extend(["--operation", o]));
        arguments.extend(resource);
        place.kafka.tool("org.apache.kafka.tools.AclCommand", &arguments).expect("adding a right");
    };
    // Who has some right for a resource has no other; everybody has every right for resources without any.
    allow("User:*", &["Describe", "Write"], &["--topic", "forbidden"]);
    allow("User:nobody", &["Read"], &["--topic", "hidden"]);
    allow("User:*", &["ClusterAction", "Describe", "DescribeConfigs", "IdempotentWrite", "Alter"], &["--cluster"]);
    let connectd = place.worker("");
    let groups =
        json!({"default.partitions": "1", "default.replication.factor": "1", "default.retention.ms": "9000000"});
    place.runs(&connectd, "allowed", &groups);
    let trace = place.fails(&connectd, "forbidden", &groups);
    let text = "Task failed to create new topic (name=forbidden, numPartitions=1, replicationFactor=1, \
                replicasAssignments=null, configs={retention.ms=9000000}). Ensure that the task is authorized to create \
                topics or that the topic exists and restart the task";
    assert!(trace.starts_with(text), "{trace}");
    let trace = place.fails(&connectd, "hidden", &groups);
    let text = format!("Not authorized to describe topic(s) 'hidden' on the brokers {bootstrap}");
    assert!(trace.starts_with(&text), "{trace}");

    // With the topic there, a restart is enough.
    assert!(!names(&place.kafka).contains(&"forbidden".to_owned()));
}
