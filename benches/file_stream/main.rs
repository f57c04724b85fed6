//! FileStream source and sink with the same connector settings on `connectd` and on Kafka Connect, and bare librdkafka
//! moving the same bytes, against one Kafka: `cargo bench -p tocsin-benches`.
//!
//! Times depend on the machine and on what else it does, so contestants are compared within a run: CPU-seconds per
//! million records of the contestant's own process (not Kafka's), and how many times as much as librdkafka that is.
#![allow(clippy::print_stdout, reason = "a command line prints")]

mod contest;
mod raw;

use std::process::ExitCode;

use clap::Parser;

/// What the benchmark is to do.
#[derive(Parser)]
struct Arguments {
    /// Lines of the file
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Leave Kafka Connect out, which takes most of the time
    #[arg(long)]
    without_connect: bool,
    /// Further settings of connectd's worker, KEY=VALUE
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare librdkafka, which is measured as a process of its own
    #[arg(long, num_args = 4, hide = true, value_names = ["produce|consume", "BOOTSTRAP", "TOPIC", "FILE"])]
    raw: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.raw {
        Some(raw) => raw::run(&raw[0], &raw[1], &raw[2], &raw[3], arguments.records),
        None => contest::run(&arguments),
    }
    ExitCode::SUCCESS
}
