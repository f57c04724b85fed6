//! What a task costs a process: `connectd` by its REST API, or this program run as a contestant of its own.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tocsin_tests::{Connectd, wait};

use crate::usage::Usage;

/// No task takes longer.
pub const LONGEST: Duration = Duration::from_secs(300);

/// What was measured of one task.
pub struct Cost {
    /// CPU-seconds.
    pub cpu: f64,
    /// Seconds by the clock on the wall.
    pub seconds: f64,
    /// Most MiB.
    pub memory: f64,
    /// CPU-seconds by the names of threads.
    pub threads: BTreeMap<String, f64>,
}

impl Cost {
    /// Where CPU-seconds went, most first.
    pub fn by_thread(&self) -> String {
        let mut threads: Vec<_> = self.threads.iter().filter(|(_, cpu)| **cpu >= 0.05).collect();
        threads.sort_by(|a, b| b.1.total_cmp(a.1));
        let shown: Vec<String> = threads.iter().map(|(name, cpu)| format!("{name} {cpu:.2}")).collect();
        shown.join(", ")
    }
}

/// Does the work and answers what it cost a process that runs.
pub fn measured(process: u32, work: impl FnOnce()) -> Cost {
    let usage = Usage::of(process);
    usage.forget_peak();
    let (before, threads_before, began) = (usage.cpu(), usage.threads(), Instant::now());
    work();
    let seconds = began.elapsed().as_secs_f64();
    let mut threads = usage.threads();
    threads.iter_mut().for_each(|(name, cpu)| *cpu -= threads_before.get(name).unwrap_or(&0.0));
    Cost { cpu: usage.cpu() - before, seconds, memory: usage.peak_memory(), threads }
}

/// Runs this program with other arguments and answers what that cost from its start until it said `done`; it must wait then
/// until its input is closed.
pub fn measured_child(arguments: &[&str]) -> Cost {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting this program");
    let mut answer = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("standard output"));
    let began = Instant::now();
    output.read_line(&mut answer).expect("an answer");
    assert_eq!(answer, "done\n", "the bare contestant failed");
    let usage = Usage::of(child.id());
    let seconds = began.elapsed().as_secs_f64();
    let cost = Cost { cpu: usage.cpu(), seconds, memory: usage.peak_memory(), threads: usage.threads() };
    drop(child.stdin.take());
    child.wait().expect("its end");
    cost
}

/// What it costs to deliver so many records through a new connector, a sink.
pub fn delivered(connectd: &Connectd, config: &Json, records: u64) -> Cost {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sink-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let cost = measured(connectd.id(), || {
        configure(connectd.url(), &name, config);
        wait("all records", LONGEST, || {
            let status = connectd.get(&format!("/connectors/{name}/status")).1;
            assert_ne!(status["tasks"][0]["state"], "FAILED", "{status}");
            (status["tasks"][0]["detail"]["records_out"].as_u64() >= Some(records)).then_some(())
        });
    });
    delete(connectd.url(), &name);
    cost
}

/// Creates a connector.
pub fn configure(url: &str, name: &str, config: &Json) {
    let answer = reqwest::blocking::Client::new().put(format!("{url}/connectors/{name}/config")).json(config).send();
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 201, "{}", answer.text().unwrap_or_default());
}

/// Deletes a connector.
pub fn delete(url: &str, name: &str) {
    let client = reqwest::blocking::Client::new();
    wait("the connector's deletion", LONGEST, || {
        let answer = client.delete(format!("{url}/connectors/{name}")).send().expect("an answer");
        (answer.status() == 204).then_some(())
    });
}
