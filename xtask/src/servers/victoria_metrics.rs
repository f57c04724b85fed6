//! VictoriaMetrics, which takes the write path of InfluxDB 2.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, debian, http};

/// A VictoriaMetrics server. It proves paths, precision and compression, not errors: it takes malformed lines silently.
#[derive(Debug)]
pub struct VictoriaMetrics {
    process: Process,
    port: Port,
}

impl VictoriaMetrics {
    /// Fetches it unless it is in the cache; returns the program.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        debian::program(cache, "victoria-metrics", "usr/bin/victoria-metrics")
    }

    /// Starts one.
    pub fn start() -> Result<Self> {
        let program = Self::fetch(&Cache::open()?)?;
        let port = Port::claim()?;
        let dir = process::folder("victoria-metrics")?;
        let mut command = std::process::Command::new(program);
        command.arg(format!("-httpListenAddr={}", port.address()));
        command.arg(format!("-storageDataPath={}", dir.path().join("data").display()));
        // Points of any age are kept: tests choose their own times.
        command.arg("-retentionPeriod=100y");
        let address = port.address();
        let launch = Launch {
            name: "victoria-metrics",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/health")),
            ready_within: Duration::from_secs(30),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port })
    }

    /// Its URL, to be followed by `/api/v2/write`.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The series that a selector matches: `{"metric": {"__name__": …}, "values": […], "timestamps": […]}` each.
    ///
    /// Series are called `measurement_field`, times are milliseconds. What was written shows after up to about a second:
    /// ask until it does.
    pub fn export(&self, selector: &str) -> Result<Vec<Value>> {
        let doing = || format!("exporting {selector} from victoria-metrics");
        let address = self.port.address();
        http::body_of(http::get(&address, "/internal/force_flush")?, doing)?;
        let path = format!("/api/v1/export?match[]={}", http::encode(selector));
        let body = http::body_of(http::get(&address, &path)?, doing)?;
        let parse = |line: &str| {
            serde_json::from_str(line)
                .map_err(|error| Error::Answer { doing: doing(), answer: format!("{error}: {line}") })
        };
        body.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }
}

impl Server for VictoriaMetrics {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
