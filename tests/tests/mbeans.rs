//! Metrics held against the MBeans of Kafka Connect itself, which both ran the same connectors on the same lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, wait};
use xtask::servers::{Kafka, Port, without};

/// What is not counted here, as the reference says.
const LEFT_OUT: &[&str] = &[
    "kafka_connect_worker_connector_destroyed_task_count",
    "kafka_connect_sink_task_offset_commit_skip_rate",
    "kafka_connect_sink_task_offset_commit_skip_total",
    "kafka_connect_source_task_transaction_size_avg",
    "kafka_connect_source_task_transaction_size_max",
    "kafka_connect_source_task_transaction_size_min",
];

/// What counts something else here, as the reference says, or depends on the moment.
const OTHER_VALUES: &[&str] =
    &["_rate", "_ratio", "_avg", "_max", "_ms", "_timestamp", "_active_count", "_no", "_version"];
/// Kafka Connect counts the start of a task when the task ends.
const LATE: &str = "kafka_connect_worker_task_startup_";

const LINES: &str = "{\"a\":1}\nno json\n{\"a\":2}\nnor this\n";

/// Values by name and labels.
type Values = BTreeMap<(String, String), f64>;

fn connectors(dir: &Path, topic: &str) -> [(&'static str, Json); 2] {
    let path = |name: &str| dir.join(name).display().to_string();
    let source = json!({ "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "file": path("in.txt"), "topic": topic });
    let sink = json!({ "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": topic,
        "file": path(&format!("{topic}.txt")), "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false", "errors.tolerance": "all", "errors.log.enable": "true",
        "errors.deadletterqueue.topic.name": format!("dead-{topic}"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        // The other worker's consumer does not leave its group.
        "consumer.override.group.id": topic });
    [("in", source), ("out", sink)]
}

fn worker(dir: &Path, kafka: &Kafka, more: &str) -> String {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    format!(
        "bootstrap.servers={}\nkey.converter={string}\nvalue.converter={string}\n\
         offset.storage.file.filename={}\noffset.flush.interval.ms=500\n{more}",
        kafka.bootstrap(),
        dir.join(if more.is_empty() { "own-offsets" } else { "offsets" }).display()
    )
}

/// What the JMX exporter would make of the MBeans with Strimzi's rules.
fn of_beans(printed: &str) -> Values {
    let mut all = Values::new();
    for line in printed.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [bean, attribute, value] = fields[..] else { panic!("{line}") };
        let keys: BTreeMap<&str, &str> = bean.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let kind = keys["type"];
        let place = |names: &[&str]| {
            let labels: Vec<String> = names.iter().filter_map(|n| Some(format!("{n}=\"{}\"", keys.get(n)?))).collect();
            labels.join(",")
        };
        let snake = attribute.replace('-', "_");
        let (name, labels, value) = match (kind, attribute) {
            ("connector-metrics", "connector-class" | "connector-type" | "connector-version" | "status") => (
                format!("kafka_connect_connector_{snake}"),
                format!("{},{snake}=\"{value}\"", place(&["connector"])),
                1.0,
            ),
            ("connector-task-metrics", "status") => (
                "kafka_connect_connector_task_status".into(),
                format!("{},status=\"{value}\"", place(&["connector", "task"])),
                1.0,
            ),
            ("connect-worker-metrics", _) => {
                let Ok(value) = value.parse() else { continue };
                (format!("kafka_connect_worker_{snake}"), place(&["connector"]), value)
            }
            _ if keys.contains_key("task") => {
                // The rules take numbers only.
                let Ok(value) = value.parse() else { continue };
                let group = kind.trim_end_matches("-metrics").replace('-', "_");
                (format!("kafka_connect_{group}_{snake}"), place(&["connector", "task"]), value)
            }
            _ => continue,
        };
        all.insert((name, labels), value);
    }
    all
}

fn of_page(page: &str) -> Values {
    let lines = page.lines().filter(|l| !l.starts_with('#'));
    let one = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        ((name.to_owned(), labels.trim_end_matches('}').to_owned()), value.parse().expect("a number"))
    };
    lines.map(one).collect()
}

#[test]
fn metrics_are_those_of_kafka_connects_mbeans() {
    if without("kafka") {
        return;
    }
    let dir = tempfile::tempdir().expect("folder");
    let kafka = Kafka::start().expect("kafka");
    fs::write(dir.path().join("in.txt"), LINES).expect("input");
    let port = Port::claim().expect("a port");
    let count = LINES.lines().count();
    let more = format!("listeners=http://{}\nexpected.read={count}\n", port.address());
    let properties = file(dir.path(), "connect.properties", &worker(dir.path(), &kafka, &more));
    for (name, config) in connectors(dir.path(), "theirs") {
        fs::write(dir.path().join(format!("{name}.json")), config.to_string()).expect("file");
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beans/Beans.java");
    let printed = Kafka::ask(&program, properties.as_ref()).expect("Kafka Connect's MBeans");
    let theirs = of_beans(&printed);

    let own = file(dir.path(), "own.properties", &worker(dir.path(), &kafka, ""));
    let connectd = Connectd::start(&["-c", &own], &dir.path().join("log"));
    for (name, config) in connectors(dir.path(), "ours") {
        let (code, answer) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config));
        assert_eq!(code, 201, "{answer}");
    }
    let ours = wait("as many records to be read, and a commit", Duration::from_secs(60), || {
        let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).ok()?.text().ok()?;
        let all = of_page(&page);
        let value = |name: &str, connector: &str| {
            all.get(&(name.into(), format!("connector=\"{connector}\",task=\"0\""))).copied().unwrap_or_default()
        };
        let done = value("kafka_connect_sink_task_sink_record_read_total", "out") >= count as f64
            && value("kafka_connect_sink_task_offset_commit_completion_total", "out") >= 1.0
            && value("kafka_connect_source_task_source_record_write_total", "in") >= count as f64
            && value("kafka_connect_sink_task_partition_count", "out") >= 1.0
            && value("kafka_connect_connector_task_offset_commit_max_time_ms", "in") > 0.0;
        done.then_some(all)
    });

    let names = |values: &Values| -> BTreeSet<String> {
        let ours = values.keys().filter(|(name, _)| name.starts_with("kafka_connect_"));
        ours.map(|(name, labels)| {
            let keys: Vec<&str> = labels.split(',').filter_map(|l| l.split('=').next()).collect();
            format!("{name} {}", keys.join(","))
        })
        .collect()
    };
    let (their_names, our_names) = (names(&theirs), names(&ours));
    let left_out = |name: &&String| !LEFT_OUT.iter().any(|l| name.starts_with(&format!("{l} ")));
    let missing: Vec<&String> = their_names.difference(&our_names).filter(left_out).collect();
    assert_eq!(missing, Vec::<&String>::new(), "Kafka Connect has them");
    // Of the program: the names of these hold the worker's id.
    let invented: Vec<&String> = our_names.difference(&their_names).filter(|n| !n.contains(" clientid")).collect();
    assert_eq!(invented, Vec::<&String>::new(), "Kafka Connect does not have them");

    let mut compared = 0;
    for ((name, labels), value) in &theirs {
        if OTHER_VALUES.iter().any(|end| name.ends_with(end)) || name.starts_with(LATE) {
            continue;
        }
        let Some(own) = ours.get(&(name.clone(), labels.clone())) else {
            assert!(LEFT_OUT.contains(&name.as_str()), "{name}{{{labels}}} is missing");
            continue;
        };
        // How many commits there are is a matter of time.
        if !name.contains("commit_completion") {
            assert_eq!(own, value, "{name}{{{labels}}}");
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared}");
}
