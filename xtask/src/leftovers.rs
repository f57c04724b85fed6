//! Processes that a test run leaves behind: found by a mark in their environment, ended by their ids.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

const VARIABLE: &str = "TOCSIN_TEST_RUN";

/// A mark that all descendants of a command inherit.
pub(crate) struct Marker(String);

impl Marker {
    /// A mark that no other run has.
    pub(crate) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(format!("{}-{}", std::process::id(), now.as_nanos()))
    }

    /// Marks a command.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env(VARIABLE, &self.0);
    }
}

/// Ends marked processes that are still alive after a short wait; tells which they were.
pub(crate) fn end(marker: &Marker) -> Vec<String> {
    // Test servers are ended by a process of their own when a test program ends: give it time.
    let mut left = wait(marker, Duration::from_secs(3));
    let described: Vec<_> = left.iter().map(|(pid, line)| format!("{pid} ({line})")).collect();
    for signal in ["TERM", "KILL"] {
        if left.is_empty() {
            break;
        }
        eprintln!("still alive, sending SIG{signal}: {}", described.join("; "));
        let pids = left.iter().map(|(pid, _)| pid.to_string());
        let sent = Command::new("sh").args(["-c", "kill -s \"$@\"", "sh", signal]).args(pids).status();
        if let Err(error) = sent {
            eprintln!("sending SIG{signal}: {error}");
        }
        left = wait(marker, Duration::from_secs(5));
    }
    described
}

fn wait(marker: &Marker, within: Duration) -> Vec<(u32, String)> {
    let deadline = Instant::now() + within;
    loop {
        let alive = marked(marker);
        if alive.is_empty() || Instant::now() >= deadline {
            return alive;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where the system does not show environments there is nothing to be found; the servers' own watch remains.
fn marked(marker: &Marker) -> Vec<(u32, String)> {
    let mark = format!("{VARIABLE}={}", marker.0).into_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Processes of others cannot be read, and are not ours.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|&byte| byte == 0).any(|variable| variable == mark) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, brief(&String::from_utf8_lossy(&line))));
        }
    }
    found
}

/// The beginning of a command line: those of Java or of a shell's script can be long.
fn brief(line: &str) -> String {
    const SHOWN: usize = 100;
    let words = line.replace('\0', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_marked_process_is_found_and_ended() {
        let marker = Marker::new();
        assert!(marked(&marker).is_empty());
        let mut command = Command::new("sleep");
        marker.mark(&mut command);
        let mut child = command.arg("60").spawn().unwrap();
        let id = child.id();
        // A process that has just been started shows its environment a moment later.
        let deadline = Instant::now() + Duration::from_secs(10);
        while marked(&marker).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The caller's own child stays in the process table until waited for, without an environment.
        let ended = end(&marker);
        assert_eq!(ended, [format!("{id} (sleep 60)")]);
        assert!(!child.wait().unwrap().success());
    }
}
