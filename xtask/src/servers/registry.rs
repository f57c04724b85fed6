//! A schema registry, Apicurio, with the REST API of Confluent's.

use std::path::PathBuf;
use std::time::Duration;

use super::java::Java;
use super::process::{self, Launch, Process, Server};
use super::{Cache, Port, Result, http, maven};

const VERSION: &str = "3.0.9";

/// A schema registry in memory: a restart empties it.
///
/// Its global compatibility level is `NONE` at first, where Confluent's is `BACKWARD`.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    port: Port,
}

impl Registry {
    /// Fetches it unless it is in the cache; returns its folder.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        cache.ensure("apicurio", VERSION, |into| {
            maven::fetch_archive(&format!("io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"), into)
        })
    }

    /// Starts one.
    pub fn start() -> Result<Self> {
        let folder = Self::fetch(&Cache::open()?)?;
        let java = Java::find()?;
        let [port, management] = Port::claim_many()?;
        let dir = process::folder("registry")?;
        let mut command = java.command(dir.path());
        command.arg("-Xmx128m");
        for (name, port) in [("http", &port), ("management", &management)] {
            command.arg(format!("-Dquarkus.{name}.host=127.0.0.1"));
            command.arg(format!("-Dquarkus.{name}.port={}", port.number()));
        }
        command.arg("-jar").arg(folder.join(format!("apicurio-registry-app-{VERSION}-runner.jar")));
        let address = port.address();
        let launch = Launch {
            name: "apicurio registry",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/apis/ccompat/v7/subjects")),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port })
    }

    /// Its URL, to be followed by `/subjects`.
    pub fn url(&self) -> String {
        format!("http://{}/apis/ccompat/v7", self.port.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.port.address()
    }
}

impl Server for Registry {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
