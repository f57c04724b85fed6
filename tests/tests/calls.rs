//! The example of simulated calls as it is: from the source over three tasks to a real Prometheus, with its rules and
//! the queries of its dashboard.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value as Json;
use tocsin_tests::{Connectd, file, wait};
use xtask::servers::{Kafka, Prometheus, without};

const LIMIT: Duration = Duration::from_secs(120);

fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/calls")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(example(name)).expect("a file of the example")
}

/// Every query of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Json = serde_json::from_str(&text("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let of = |panel: &Json| panel["targets"].as_array().expect("targets").clone();
    panels.iter().flat_map(of).map(|target| target["expr"].as_str().expect("a query").to_owned()).collect()
}

fn value(prometheus: &Prometheus, query: &str) -> Option<f64> {
    let answer = prometheus.query(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    answer.first()?["value"][1].as_str()?.parse().ok().filter(|value: &f64| value.is_finite())
}

#[test]
fn calls_are_counted_by_three_tasks_and_long_ones_written() {
    if without("kafka") || without("prometheus") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let long = dir.path().join("long-calls.jsonl");
    // Another place for the file, and Prometheus reads every second: the rest is as it is.
    let connectors =
        text("connectors/calls.yaml").replace("file: long-calls.jsonl", &format!("file: {}", long.display()));
    let connectors = file(dir.path(), "calls.yaml", &connectors);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 1000 }}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    let target = connectd.url().trim_start_matches("http://");
    let prometheus = Prometheus::start_with_rules("connectd", target, &example("calls.rules")).expect("prometheus");

    for query in queries() {
        let query = query.replace("$__rate_interval", "1m");
        wait(&format!("an answer to {query}"), LIMIT, || value(&prometheus, &query));
    }
    let rules = prometheus.rules().expect("rules");
    assert_eq!(rules.len(), 4, "{rules:?}");
    assert!(rules.iter().all(|rule| rule["health"] == "ok" || rule["health"] == "unknown"), "{rules:?}");
    connectd.await_state("calls-metrics", "RUNNING");
    let tasks = wait("partitions for all tasks", LIMIT, || {
        let lags = value(&prometheus, "count(kafka_consumer_fetch_manager_records_lag{topic=\"calls\"})")?;
        // Four of the sink that counts, four of the one that writes.
        (lags == 8.0).then(|| connectd.states("calls-metrics").1)
    });
    assert_eq!(tasks.len(), 3);

    // The source stopped, all is counted and written that it made.
    let (code, answer) = connectd.send("PUT", "/connectors/calls/stop", None);
    assert!(code < 300, "{answer}");
    let all = wait("the lag to be gone", LIMIT, || {
        let page = reqwest::blocking::get(format!("{}/metrics", connectd.url())).ok()?.text().ok()?;
        let line = |name: &str| -> Option<f64> {
            let line = page.lines().find(|line| line.starts_with(name))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        let above_a_minute = line("call_duration_seconds_count{")?
            - line("call_duration_seconds_bucket{connector=\"calls-metrics\",le=\"60\"}")?;
        let written = fs::read_to_string(&long).ok()?;
        let last = offsets(&connectd, "calls-metrics") == offsets(&connectd, "long-calls");
        let enough = line("calls_total{")? > 50.0 && above_a_minute > 0.0;
        (last && enough && written.lines().count() as f64 == above_a_minute).then_some(page)
    });
    for line in fs::read_to_string(&long).expect("calls").lines() {
        let call: Json = serde_json::from_str(line).expect("JSON");
        assert!(call["value"]["call_duration"].as_i64().is_some_and(|seconds| seconds > 60), "{line}");
    }
    let written = file(dir.path(), "metrics.txt", &all);
    for line in Prometheus::check(written.as_ref()).expect("a page that it can read") {
        assert!(line.starts_with("kafka_connect_"), "{line}");
    }
}

fn offsets(connectd: &Connectd, connector: &str) -> Option<i64> {
    let (_, answer) = connectd.get(&format!("/connectors/{connector}/offsets"));
    let offsets = answer["offsets"].as_array()?;
    Some(offsets.iter().filter_map(|o| o["offset"]["kafka_offset"].as_i64()).sum())
}

#[test]
fn the_rules_are_right_and_fire_when_they_should() {
    if without("prometheus") {
        return;
    }
    let said = Prometheus::check_rules(&example("calls.rules")).expect("rules that promtool takes");
    assert!(said.contains("4 rules found"), "{said}");
    let dir = tempfile::tempdir().expect("folder");
    let alert = |name: &str, labels: &str, summary: &str| {
        format!(
            "      - alertname: {name}\n        eval_time: 20m\n        exp_alerts:\n          - exp_labels: {{ severity: \
             warning{labels} }}\n            exp_annotations: {{ summary: \"{summary}\" }}\n"
        )
    };
    let none = |name: &str| format!("      - alertname: {name}\n        eval_time: 20m\n");
    let series = |up: u32, calls: &str, seconds: &str, last: &str| {
        let one = |name: &str, values: &str| format!("      - series: '{name}'\n        values: '{values}'\n");
        [
            one("up{job=\"connectd\",instance=\"a\"}", &format!("{up}x25")),
            one("calls_total{connector=\"c\"}", calls),
            one("calls_duration_seconds_total{connector=\"c\"}", seconds),
            one("last_call_timestamp_seconds{connector=\"c\"}", last),
        ]
        .concat()
    };
    let case = |series: String, alerts: &[String]| {
        format!("  - interval: 1m\n    input_series:\n{series}    alert_rule_test:\n{}", alerts.concat())
    };
    let well = case(
        series(1, "0+6000x25", "0+720000x25", "0+60x25"),
        &[none("CallsWorkerDown"), none("CallsMissing"), none("CallsFew"), none("CallsLong")],
    );
    let ill = case(
        series(0, "0+600x25", "0+240000x25", "0+0x25"),
        &[
            alert("CallsWorkerDown", ", job: connectd, instance: a", "connectd does not answer at a"),
            alert("CallsMissing", "", "no call has ended for 20m 0s"),
            alert("CallsFew", "", "only 10 calls a second"),
            alert("CallsLong", "", "a call takes 6m 40s on average"),
        ],
    );
    let rules = example("calls.rules");
    let cases = format!("rule_files: [\"{}\"]\nevaluation_interval: 1m\ntests:\n{well}{ill}", rules.display());
    let cases = file(dir.path(), "cases.yml", &cases);
    Prometheus::test_rules(cases.as_ref()).expect("the rules fire as they should");
}
