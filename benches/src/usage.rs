//! CPU time and memory of a process, from `/proc` (proc(5)).

use std::{collections::BTreeMap, fs};

/// Clock ticks of `/proc` in a second: Linux shows user programs 100, whatever the kernel's own clock is.
const TICKS: f64 = 100.0;

/// A process whose use of the machine is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Usage(u32);

impl Usage {
    /// The process with this id.
    pub fn of(process: u32) -> Self {
        Self(process)
    }

    /// CPU-seconds of all of its threads until now, in user and kernel mode.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).expect("the process runs");
        cpu_and_name(&stat).0
    }

    /// CPU-seconds until now by the names of threads, of those that still run.
    pub fn threads(&self) -> BTreeMap<String, f64> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.0)).expect("the process runs").flatten() {
            // It may have ended since.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
            let (cpu, name) = cpu_and_name(&stat);
            *threads.entry(name.to_owned()).or_insert(0.0) += cpu;
        }
        threads
    }

    /// Lets [`Usage::peak_memory`] begin anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").expect("the process runs");
    }

    /// The most memory that it has had resident since its start or [`Usage::forget_peak`], in MiB.
    pub fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number of KiB") / 1024.0
    }
}

fn cpu_and_name(stat: &str) -> (f64, &str) {
    // The second field is the program's name in parentheses, which may itself have spaces.
    let (start, rest) = stat.rsplit_once(')').expect("a name");
    let name = start.split_once('(').expect("a name").1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number of ticks");
    ((ticks(11) + ticks(12)) / TICKS, name)
}
