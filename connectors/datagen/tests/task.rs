//! The task without Kafka: models, numbering across restarts, rates, keys, headers, tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use connect_api::{
    CancellationToken, Connector as _, ConnectorContext, Settings, SourceConnector as _, SourceRecord, SourceTask,
    Value,
    config::{Config as _, Problems},
    json::to_json,
};
use connect_testkit::{
    Host,
    source::{self, Fate},
};
use connector_datagen::{DatagenConfig, DatagenSource};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

fn settings(more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([("datagen.rate", "0"), ("random.seed", "42"), ("batch.size", "50")]);
    more.iter().for_each(|(key, value)| {
        settings.set(*key, *value);
    });
    settings
}

async fn start(host: &Arc<Host>, settings: &Settings) -> Box<dyn SourceTask> {
    let (context, _) = host.source(settings);
    DatagenSource::start_task(DatagenConfig::parse(settings).expect("settings"), context).await.expect("a task")
}

async fn records(settings: &Settings, count: usize) -> Vec<SourceRecord> {
    let host = Host::new();
    let mut task = start(&host, settings).await;
    let mut records = source::take(&mut *task, &host, count).await.expect("records");
    records.truncate(count);
    source::stop(task).await;
    records
}

fn problems(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let settings: Settings = more.iter().copied().collect();
    let mut problems = Problems::new();
    match DatagenConfig::parse(&settings) {
        Ok(config) => config.validate(&mut problems),
        Err(found) => problems = found,
    }
    problems.iter().map(|p| (p.key.clone(), p.text.clone())).collect()
}

const MODEL: &str = "
id: sequence
site: { kind: choice, weights: { north: 3, south: 1 } }
temperature: { kind: walk, start: 20, step: 0.5, min: -10, max: 40, decimals: 2 }
wave: { kind: sine, mean: 5, amplitude: 2, period: 4 }
noise: { kind: normal, mean: 100, deviation: 15 }
pressure: { kind: float, min: 990, max: 1030 }
level: { kind: int, min: 1, max: 6 }
open: { kind: bool, probability: 0.25 }
remark: { kind: text, template: \"{{site}}-{{id}}\", null: 0.5 }
unique: uuid
at: now
place: { kind: record, fields: { room: { kind: regex, pattern: \"[A-Z][0-9]{3}\" }, floor: { kind: constant, value: 2 } } }
samples: { kind: array, length: [2, 4], of: { kind: float } }
tags: { kind: map, keys: [a, b], length: 2, of: { kind: name } }
";

#[tokio::test]
async fn a_models_values_are_as_it_says() {
    let all = records(&settings(&[("topics", "t"), ("datagen.model", MODEL)]), 4000).await;
    for (n, record) in all.iter().enumerate() {
        connect_api::validate(record.value_schema.as_ref().expect("a schema"), &record.value).expect("valid");
        assert_eq!(record.value.get("id"), Some(&Value::Int64(n as i64)));
    }
    let names: Vec<_> = all[0].value_schema.as_ref().expect("schema").fields().iter().map(|f| f.name()).collect();
    assert_eq!(names[..3], ["id", "site", "temperature"], "fields keep the order of the model");
    let real = |name: &str| -> Vec<f64> {
        all.iter().map(|r| r.value.get(name).and_then(Value::as_f64).expect(name)).collect()
    };
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let part = |of: &dyn Fn(&Value) -> bool| all.iter().filter(|r| of(&r.value)).count() as f64 / all.len() as f64;

    // Bounds are five standard deviations or more.
    let noise = real("noise");
    let deviation = (noise.iter().map(|v| (v - mean(&noise)).powi(2)).sum::<f64>() / noise.len() as f64).sqrt();
    assert!((mean(&noise) - 100.0).abs() < 1.2 && (deviation - 15.0).abs() < 0.9, "{} {deviation}", mean(&noise));
    let pressure = real("pressure");
    assert!((mean(&pressure) - 1010.0).abs() < 1.0 && pressure.iter().all(|v| (990.0..1030.0).contains(v)));
    let wave = real("wave");
    assert!(wave.chunks(4).all(|w| w.iter().zip([5.0, 7.0, 5.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-9)));
    let walk = real("temperature");
    assert!(walk.iter().all(|v| (-10.0..=40.0).contains(v) && (v * 100.0 - (v * 100.0).round()).abs() < 1e-6));
    assert!(walk.windows(2).all(|w| (w[0] - w[1]).abs() < 4.0), "steps of a half");
    assert!(walk.windows(2).any(|w| w[0] != w[1]));
    assert!((part(&|v| v.get("site") == Some(&"north".into())) - 0.75).abs() < 0.04);
    assert!((part(&|v| v.get("open") == Some(&true.into())) - 0.25).abs() < 0.04);
    assert!((part(&|v| v.get("remark").is_some_and(Value::is_null)) - 0.5).abs() < 0.05);
    assert!((1..=6).all(|n| part(&|v| v.get("level") == Some(&Value::Int32(n))) > 0.12));
    let sample = all.iter().map(|r| to_json(&r.value)).find(|v| !v["remark"].is_null()).expect("a remark");
    assert_eq!(sample["remark"], format!("{}-{}", sample["site"].as_str().expect("site"), sample["id"]));
    assert_eq!((sample["place"]["floor"].as_i64(), sample["unique"].as_str().map(str::len)), (Some(2), Some(36)));
    assert!((2..=4).contains(&sample["samples"].as_array().expect("samples").len()), "{sample}");
}

#[test]
fn every_problem_of_a_model_is_named_with_its_field() {
    let model = "
a: nothing
b: { kind: int, min: 5, max: 1, step: 2 }
c: { kind: walk, start: 9, max: 1 }
d: { kind: choice }
e: { kind: record, fields: { f: { kind: float, min: x }, g: { kind: text, template: '{{' } } }
h: { kind: array, of: sequence }
i: { min: 1 }
j: { kind: bool, probability: 2, null: 3 }
k: { kind: regex, pattern: '(' }
l: { kind: choice, weights: { a: -1 } }
";
    let found = problems(&[("topics", "t"), ("datagen.model", model)]);
    assert!(found.iter().all(|(key, _)| key == "datagen.model"), "{found:?}");
    for what in [
        "field a has the unknown kind nothing; kinds are int, long",
        "field b has step, which int does not have; it has min, max, null",
        "field b has a min above its max",
        "field c has a start outside",
        "field d has no values, a list, or weights",
        "field e.f has min that is no number",
        "field e.g has a wrong template",
        "field h[] is a sequence in a list",
        "field i has no kind",
        "field j has a probability outside of 0 to 1",
        "field j has null outside of 0 to 1",
        "field k has a pattern that cannot be used",
        "field l has weights",
    ] {
        assert!(found.iter().any(|(_, text)| text.contains(what)), "{what}: {found:#?}");
    }
    assert_eq!(found.len(), 13, "{found:#?}");
}

#[test]
fn records_that_would_have_no_end_of_values_are_refused() {
    let model = "a: { kind: array, length: 5000, of: { kind: array, length: 5000, of: int } }";
    let found = problems(&[("topics", "t"), ("datagen.model", model)]);
    assert!(found[0].1.contains("could have 25005002 values") && found.len() == 1, "{found:?}");
    let tree = json!({"type": "record", "name": "T", "fields": [
        {"name": "t", "type": {"type": "array", "items": "T", "arg.properties": {"length": 100}}}]});
    let found = problems(&[("topics", "t"), ("datagen.form", "map"), ("schema.string", &tree.to_string())]);
    assert!(found[0].1.contains("by length") && found.len() == 1, "{found:?}");
}

#[test]
fn settings_that_do_not_fit_together_are_named() {
    let model = ("datagen.model", "a: int");
    let keys = |more: &[(&str, &str)]| problems(more).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(&[("topics", "t"), model]), Vec::<String>::new());
    assert_eq!(keys(&[("datagen.preset", "salmock")]), Vec::<String>::new());
    assert_eq!(keys(&[("datagen.preset", "calls")]), Vec::<String>::new());
    assert_eq!(keys(&[]), ["topics"]);
    assert_eq!(keys(&[("topics", "t")]), ["topics"]);
    assert_eq!(keys(&[("topics", "t,t"), model]), ["topics"]);
    assert_eq!(keys(&[("topics", "t"), model, ("quickstart", "users")]), ["topics"]);
    assert_eq!(keys(&[("topics", "t"), ("quickstart", "clickstream")]), ["quickstart"]);
    assert_eq!(keys(&[("topics", "t"), model, ("datagen.rate", "1"), ("max.interval", "1")]), ["max.interval"]);
    assert_eq!(keys(&[("topics", "t"), model, ("schema.keyfield", "b")]), ["schema.keyfield"]);
    assert_eq!(keys(&[("topics", "t"), ("schema.string", "{}")]), ["schema.string"]);
    assert_eq!(keys(&[("topics", "t"), ("datagen.schema.subject", "s")]), ["datagen.schema.subject"]);
    let registry = ("schema.registry.url", "http://127.0.0.1:8081");
    assert_eq!(keys(&[("topics", "t"), ("datagen.schema.subject", "s"), registry]), Vec::<String>::new());
    let user = ("schema.registry.basic.auth.user.info", "nobody");
    assert_eq!(keys(&[("datagen.preset", "salmock"), registry, user]), ["schema.registry.url"]);
    assert_eq!(keys(&[("datagen.preset", "calls"), ("schema.keyfield", "b")]), ["schema.keyfield"]);
    assert_eq!(keys(&[("datagen.preset", "calls"), model]), ["datagen.preset"]);
    assert_eq!(keys(&[("datagen.preset", "salmock"), ("topics", "nope")]), ["topics"]);
    assert_eq!(keys(&[("topics", "t"), ("datagen.model.a", "int")]), ["datagen.model"]);
    assert_eq!(keys(&[("topics", "t"), model, ("datagen.header.h", "{{")]), ["datagen.header.h"]);
    assert_eq!(keys(&[("topics", "t"), model, ("datagen.rate", "-1")]), ["datagen.rate"]);
    let streams = json!([{"topic": "a", "rate": "x"}, {"rate": 1}, {"topic": "b", "colour": 1, "model": {"x": "y"}}]);
    let found = problems(&[("datagen.streams", &streams.to_string())]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].1.contains("rate of a that is no number"), "{found:?}");
    assert!(found[1].1.contains("entry 2 of datagen.streams has no topic"), "{found:?}");
    assert!(found[2].1.contains("has colour of b"), "{found:?}");
}

#[tokio::test]
async fn a_killed_task_goes_on_with_the_same_sequence() {
    let model = "id: sequence\nwalk: { kind: walk, start: 3 }\ntext: letters\nn: { kind: normal }";
    let settings = settings(&[("topics", "a,b"), ("datagen.model", model)]);
    let at_once = records(&settings, 400).await;
    let by_topic = |records: &[SourceRecord]| {
        let mut all: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for record in records {
            all.entry(record.topic.to_string()).or_default().push(to_json(&record.value));
        }
        all
    };
    let expected = by_topic(&at_once);
    assert_ne!(expected["a"][..50], expected["b"][..50], "each topic has records of its own");

    let host = Host::new();
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut task = start(&host, &settings).await;
        all.extend(source::take(&mut *task, &host, 100).await.expect("records"));
        // What Kafka does not get comes again.
        source::poll(&mut *task, &host, Fate::Refused).await.expect("records");
        // Killed: nothing is stopped.
        drop(task);
    }
    let resumed = by_topic(&all);
    for topic in ["a", "b"] {
        let count = resumed[topic].len().min(expected[topic].len());
        assert!(count >= 60, "{count}");
        assert_eq!(resumed[topic][..count], expected[topic][..count]);
    }
}

#[tokio::test]
async fn a_killed_task_goes_on_within_a_batch_of_calls() {
    let settings = settings(&[("datagen.preset", "calls"), ("calls.pause.ms", "0")]);
    let key = |r: &SourceRecord| r.key.as_str().map(str::to_owned).expect("a caller");
    let expected: Vec<_> = records(&settings, 200).await.iter().map(key).collect();
    let host = Host::new();
    let mut all = Vec::new();
    while all.len() < 150 {
        let mut task = start(&host, &settings).await;
        let records = source::poll(&mut *task, &host, Fate::Refused).await.expect("records");
        // Kafka has got seven of them.
        for record in records.iter().take(7) {
            let (partition, offset) = record.source.as_ref().expect("an offset");
            host.commit(partition, offset.clone());
            all.push(key(record));
        }
    }
    assert_eq!(all[..], expected[..all.len()]);
}

#[tokio::test(start_paused = true)]
async fn each_topic_has_its_rate() {
    let streams = "
- { topic: fast, rate: 10 }
- { topic: slow, rate: 0.5 }
- { topic: few, rate: 5, iterations: 3, model: { y: uuid } }";
    let mut settings = settings(&[("datagen.streams", streams), ("datagen.model", "x: int")]);
    settings.remove("datagen.rate");
    let host = Host::new();
    let mut task = start(&host, &settings).await;
    let begin = Instant::now();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while begin.elapsed() < Duration::from_secs(20) {
        for record in source::poll(&mut *task, &host, Fate::Stored).await.expect("records") {
            *counts.entry(record.topic.to_string()).or_default() += 1;
            let field = if &*record.topic == "few" { "y" } else { "x" };
            assert!(record.value.get(field).is_some());
        }
    }
    assert!((199..=201).contains(&counts["fast"]) && (10..=11).contains(&counts["slow"]), "{counts:?}");
    assert_eq!(counts["few"], 3);
}

#[tokio::test]
async fn keys_and_headers_are_made_of_the_value() {
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": "in", "type":
        {"type": "record", "name": "S", "fields": [{"name": "n", "type":
            {"type": "long", "arg.properties": {"iteration": {"start": 7}}}}]}}]});
    let given = settings(&[
        ("topics", "t"),
        ("schema.string", &schema.to_string()),
        ("schema.keyfield", "in.n"),
        ("datagen.header.number", "{{iteration}} of {{topic}}"),
    ]);
    let all = records(&given, 2).await;
    assert_eq!((all[1].key.clone(), all[1].key_schema.clone()), (Value::Int64(8), Some(connect_api::Schema::int64())));
    assert_eq!(all[1].headers.last("number").map(|h| h.value.clone()), Some("1 of t".into()));

    let given =
        settings(&[("topics", "t"), ("datagen.model", "a: sequence"), ("datagen.key.template", "k{{value.a}}")]);
    assert_eq!(records(&given, 3).await[2].key, "k2".into());

    let given = settings(&[("topics", "t"), ("datagen.model", "a: {kind: text, template: '{{b}}'}")]);
    let (context, _) = Host::new().source(&given);
    let e = DatagenSource::start_task(DatagenConfig::parse(&given).expect("settings"), context).await.err();
    assert!(e.expect("refused").to_string().contains("b does not exist"));
}

#[tokio::test]
async fn topics_are_divided_among_tasks_and_confluents_configuration_runs() {
    let configs = async |settings: &Settings, most: usize| {
        let config = DatagenConfig::parse(settings).expect("settings");
        let context =
            ConnectorContext { name: "c".into(), settings: settings.clone(), stopping: CancellationToken::new() };
        DatagenSource::start(config, context).await.expect("started").task_configs(most).expect("tasks")
    };
    let given = settings(&[("datagen.preset", "salmock")]);
    let tasks = configs(&given, 8).await;
    assert_eq!(tasks.len(), 8);
    let mut topics = Vec::new();
    for task in tasks {
        let own: std::collections::BTreeSet<_> =
            records(&task, 200).await.iter().map(|r| r.topic.to_string()).collect();
        assert!((12..=13).contains(&own.len()), "{own:?}");
        topics.extend(own);
    }
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 100, "each is in one task");

    let confluent = Settings::from([
        ("connector.class", "io.confluent.kafka.connect.datagen.DatagenConnector"),
        ("kafka.topic", "users"),
        ("quickstart", "USERS"),
        ("max.interval", "1"),
        ("iterations", "20"),
        ("schema.filename", ""),
    ]);
    let tasks = configs(&confluent, 2).await;
    assert_eq!(tasks.len(), 2, "both have records of the one topic");
    let host = Host::new();
    for task in &tasks {
        let mut running = start(&host, task).await;
        let all = source::take(&mut *running, &host, 20).await.expect("records");
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|r| r.key.as_str().is_some_and(|k| k.starts_with("User_"))));
        source::silent(&mut *running, Duration::from_millis(100)).await;
        source::stop(running).await;
    }
    assert_eq!(configs(&settings(&[("topics", "t"), ("quickstart", "users")]), 2).await.len(), 1);
}

#[tokio::test]
async fn topics_without_limit_leave_room_for_each_other() {
    let given = settings(&[("topics", "a,b,c"), ("datagen.model", "x: int"), ("batch.size", "30")]);
    let all = records(&given, 600).await;
    for topic in ["a", "b", "c"] {
        let own = all.iter().filter(|r| &*r.topic == topic).count();
        assert!(own >= 100, "{own} of {topic}");
    }
}
