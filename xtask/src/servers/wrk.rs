//! wrk, which posts as fast as it is answered.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Cache, Error, Result, command, debian, prerequisites, process};

const PACKAGE: &str = "wrk";
const PROGRAM: &str = "usr/bin/wrk";
/// What the program is linked with and no system has by itself.
const LIBRARY: &str = "libluajit-5.1-2";
/// Before the line of figures in what it says.
const MARK: &str = "figures:";

/// How a load was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// Of these each second.
    pub per_second: f64,
    /// Answers that were neither 2xx nor 3xx.
    pub refused: u64,
    /// Connections that failed, and answers that did not come in time.
    pub failed: u64,
    /// Time to the answer: half of them took longer.
    pub median: Duration,
    /// One of a hundred took longer.
    pub slow: Duration,
}

/// The program with its libraries.
#[derive(Debug)]
pub struct Wrk {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

impl Wrk {
    /// Fetches it unless it is installed or in the cache.
    pub fn fetch() -> Result<Self> {
        if let Some(program) = prerequisites::on_path(PACKAGE) {
            return Ok(Self { program, libraries: None });
        }
        let cache = Cache::open()?;
        let program = debian::program(&cache, PACKAGE, PROGRAM)?;
        let libraries = debian::libraries(&debian::unpacked(&cache, LIBRARY, &[LIBRARY])?)?;
        Ok(Self { program, libraries: Some(libraries) })
    }

    /// Posts the same JSON over that many connections for that long.
    pub fn post(&self, url: &str, body: &str, connections: usize, time: Duration) -> Result<Load> {
        let dir = process::folder("wrk")?;
        let body = process::write(dir.path(), "body", body)?;
        let script = process::write(dir.path(), "post.lua", &script(&body))?;
        let seconds = time.as_secs().max(1);
        let mut wrk = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            wrk.env("LD_LIBRARY_PATH", libraries);
        }
        wrk.args(["--threads", "1", "--connections", &connections.to_string()]);
        wrk.args(["--duration", &format!("{seconds}s"), "--timeout", "30s", "--script"]).arg(script).arg(url);
        let doing = format!("posting to {url} with wrk");
        let said = command::run(&mut wrk, &doing, time + Duration::from_secs(60))?;
        figures(&said).ok_or(Error::Answer { doing, answer: said })
    }
}

fn script(body: &Path) -> String {
    format!(
        "wrk.method = 'POST'\nlocal file = io.open('{}')\nwrk.body = file:read('*a')\nfile:close()\n\
         wrk.headers['Content-Type'] = 'application/json'\nfunction done(summary, latency, requests)\n  \
         local e = summary.errors\n  io.write(string.format('{MARK} %d %d %d %d %d %d\\n', summary.requests, \
         summary.duration, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), \
         latency:percentile(99)))\nend\n",
        body.display()
    )
}

fn figures(said: &str) -> Option<Load> {
    let line = said.lines().find_map(|line| line.strip_prefix(MARK))?;
    let all: Vec<u64> = line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [requests, micros, refused, failed, median, slow] = all[..] else { return None };
    let per_second = requests as f64 / Duration::from_micros(micros).as_secs_f64();
    let [median, slow] = [median, slow].map(Duration::from_micros);
    Some(Load { requests, per_second, refused, failed, median, slow })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_it_says() {
        let said = "Running 1s test\nfigures: 2000 1000000 1 2 1500 9000\n";
        let load = figures(said).expect("figures");
        assert_eq!((load.requests, load.per_second, load.refused, load.failed), (2000, 2000.0, 1, 2));
        assert_eq!((load.median, load.slow), (Duration::from_micros(1500), Duration::from_micros(9000)));
        assert_eq!(figures("Running 1s test\nfigures: 1 2\n"), None);
    }
}
