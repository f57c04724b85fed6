//! What the system knows of the process; nothing where it is not Linux.

use std::fs;

/// The clock of `/proc` for programs: a hundredth of a second on every architecture that is of interest here.
const TICKS: f64 = 100.0;

/// The process as metrics show it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Seconds of processor time.
    pub cpu_seconds: Option<f64>,
    /// When it was started, seconds since 1970.
    pub started: Option<f64>,
    /// Memory that it occupies.
    pub resident_bytes: Option<f64>,
    /// Memory that it has asked for.
    pub virtual_bytes: Option<f64>,
    /// Files that it has open.
    pub open_files: Option<f64>,
    /// How many it may open.
    pub most_files: Option<f64>,
}

impl Process {
    /// Asks the system.
    pub fn look() -> Self {
        // What cannot be read is not told: it is another system, or `/proc` is not there.
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let stat = read("/proc/self/stat");
        let (status, limits, system) = (read("/proc/self/status"), read("/proc/self/limits"), read("/proc/stat"));
        // The name of the program, in brackets, may hold blanks and brackets.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // Behind the brackets begins the third field of proc(5).
        let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
        let booted = value(&system, "btime");
        let kib = |name| value(&status, name).map(|n| n * 1024.0);
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
            started: booted.zip(field(22)).map(|(booted, after)| booted + after / TICKS),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as f64),
            most_files: value(&limits, "Max open files"),
        }
    }
}

/// The number behind a name at the beginning of a line.
fn value(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_system_tells_all_of_this_process() {
        let file = tempfile::tempfile().expect("a file");
        let began = Instant::now();
        while Process::look().cpu_seconds < Some(0.02) {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", Process::look());
        }
        let p = Process::look();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time").as_secs_f64();
        // The boot time is cut to seconds.
        assert!(p.started.is_some_and(|s| s <= now + 2.0 && s > now - 86_400.0), "{p:?}, {now}");
        assert!(p.resident_bytes > Some(1e6) && p.virtual_bytes >= p.resident_bytes, "{p:?}");
        assert!(p.open_files > Some(3.0) && p.open_files <= p.most_files, "{p:?}");
        drop(file);
    }
}
