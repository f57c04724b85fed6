//! The InfluxDB sink and the least program that could do its work, from one topic of JSON into a server that takes everything
//! and keeps nothing, and the sink into a real one: `cargo bench -p tocsin-benches --bench influxdb`.
//!
//! Counted are the CPU-seconds of the contestant's own process, consumer included, neither Kafka's nor the server's.
#![allow(clippy::print_stdout, reason = "a command line prints")]

mod bare;
mod contest;
mod null_server;

use std::process::ExitCode;

use clap::Parser;

/// What the benchmark is to do.
#[derive(Parser)]
struct Arguments {
    /// Messages in the topic
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// How often each contestant runs
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Leave the real InfluxDB out
    #[arg(long)]
    without_influxdb: bool,
    /// Further settings of the sink, KEY=VALUE
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the least program, which is measured as a process of its own
    #[arg(long, num_args = 4, hide = true, value_names = ["BOOTSTRAP", "TOPIC", "URL", "GZIP"])]
    bare: Option<Vec<String>>,
    /// Be the server that keeps nothing
    #[arg(long, hide = true)]
    null_server: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.bare {
        _ if arguments.null_server => null_server::serve(),
        Some(bare) => bare::run(&bare[0], &bare[1], &bare[2], bare[3] == "true", arguments.records),
        None => contest::run(&arguments),
    }
    ExitCode::SUCCESS
}
