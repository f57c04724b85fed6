//! Kafka Connect itself, to compare with and to hand state over to and from.

use std::fmt::Write as _;
use std::time::Duration;

use super::kafka::Install;
use super::process::{self, Launch, Process, Server};
use super::{Cache, Port, Result, http};

/// A worker of Apache Kafka Connect with the file connectors; it comes with Kafka's jars.
#[derive(Debug)]
pub struct KafkaConnect {
    process: Process,
    port: Port,
}

impl KafkaConnect {
    /// Starts a standalone worker. Settings must name converters and `offset.storage.file.filename`.
    pub fn standalone(bootstrap: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start("org.apache.kafka.connect.cli.ConnectStandalone", bootstrap, settings)
    }

    /// Starts a distributed worker. Settings must name converters, `group.id` and the three storage topics.
    pub fn distributed(bootstrap: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start("org.apache.kafka.connect.cli.ConnectDistributed", bootstrap, settings)
    }

    fn start(class: &str, bootstrap: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let install = Install::find(&Cache::open()?)?;
        let dir = process::folder("connect")?;
        let port = Port::claim()?;
        let address = port.address();
        let mut properties = format!("bootstrap.servers={bootstrap}\nlisteners=http://{address}\n");
        for (key, value) in settings {
            // Writing to a string cannot fail.
            let _ = writeln!(properties, "{key}={value}");
        }
        let file = process::write(dir.path(), "connect.properties", &properties)?;
        let mut command = install.class(class, dir.path());
        command.arg(&file);
        let launch = Launch {
            name: "kafka connect",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/connectors")),
            ready_within: Duration::from_secs(120),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port })
    }

    /// The URL of its REST API.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }
}

impl Server for KafkaConnect {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
