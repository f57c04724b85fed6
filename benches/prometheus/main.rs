//! What the Prometheus sink costs: a million calls of JSON as a counter and a histogram, with few series, with as many as there
//! may be, and with more than that: `cargo bench -p tocsin-benches --bench prometheus`.
//!
//! Counted are the CPU-seconds and the most memory of connectd, consumer included, not Kafka's.
#![allow(clippy::print_stdout, reason = "a command line prints")]

use clap::Parser;
use serde_json::{Value as Json, json};
use tocsin_benches::{contest::delivered, topic::fill};
use tocsin_tests::{Connectd, file};
use xtask::servers::Kafka;

const TOPIC: &str = "calls";

/// What the benchmark is to do.
#[derive(Parser)]
struct Arguments {
    /// Messages in the topic
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// How often each contestant runs
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let kafka = Kafka::start().expect("kafka");
    let call = |n: u64| format!("{{\"from\":\"line-{n}\",\"area\":\"{:03}\",\"seconds\":{}.5}}", n % 100, n % 700);
    let bytes = fill(&kafka.bootstrap(), TOPIC, arguments.records, call);
    println!("{} messages of {:.0} bytes", arguments.records, bytes as f64 / arguments.records as f64);
    println!("\n| Round | Labels | Most series of a metric | CPU-s per million | records/s | most MiB |");
    println!("|---|---|---|---|---|---|");
    for round in 1..=arguments.rounds {
        for (labels, most) in
            [("none", 1000), ("area (100)", 1000), ("each record its own", 1000), ("each record its own", 100_000)]
        {
            // Series of one before would count as memory of the next.
            let folder = tempfile::tempdir().expect("folder");
            let worker = format!(
                "bootstrap.servers={}\noffset.storage.file.filename={}\nkey.converter=StringConverter\n\
                 value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n",
                kafka.bootstrap(),
                folder.path().join("offsets").display()
            );
            let worker = file(folder.path(), "connectd.properties", &worker);
            let connectd = Connectd::start(&["--config", &worker], &folder.path().join("connectd.log"));
            let cost = delivered(&connectd, &sink(round, labels, most), arguments.records);
            let records = arguments.records as f64;
            println!(
                "| {round} | {labels} | {most} | {:.2} | {:.0} | {:.0} |",
                cost.cpu / records * 1e6,
                records / cost.seconds,
                cost.memory
            );
        }
    }
}

fn sink(round: u32, labels: &str, most: u32) -> Json {
    let names = match labels {
        "none" => json!({}),
        "area (100)" => json!({ "area": "{{value.area}}" }),
        _ => json!({ "from": "{{value.from}}" }),
    };
    let metrics = json!([
        { "name": "calls_total", "type": "counter", "help": "Calls.", "labels": names },
        { "name": "call_seconds", "type": "histogram", "help": "Their time.", "value": "value.seconds", "buckets": [10, 60, 600] }
    ]);
    // Totals of another name begin anew.
    let state = format!("{round}-{most}-{}", labels.replace([' ', '(', ')'], ""));
    json!({
        "connector.class": "prometheus-sink", "tasks.max": "1", "topics": TOPIC, "prometheus.series.max": most.to_string(),
        "prometheus.metrics": metrics.to_string(), "prometheus.state": state
    })
}
