//! A schema registry, Apicurio, with the REST API of Confluent's.

use std::path::PathBuf;
use std::time::Duration;

use super::java::Java;
use super::process::{self, Launch, Process, Server};
use super::{Cache, Port, Result, http, maven};

const VERSION: &str = "3.0.9";
/// What it is called in the cache, and its version.
pub(crate) const ITEM: (&str, &str) = ("apicurio", VERSION);

/// A schema registry in memory: a restart empties it.
///
/// Its global compatibility level is `NONE` at first, where Confluent's is `BACKWARD`.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    port: Port,
    /// Some versions of its framework listen here.
    _management: Port,
}

impl Registry {
    /// Fetches it unless it is in the cache.
    pub(crate) fn fetch(cache: &Cache) -> Result<()> {
        Install::find(cache).map(drop)
    }

    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_from(Install::find(&Cache::open()?)?)
    }

    fn start_from(install: Install) -> Result<Self> {
        let [port, management] = Port::claim_many()?;
        let dir = process::folder("registry")?;
        let mut command = install.java.command(dir.path());
        command.arg("-Xmx128m").args(&install.classes);
        for (name, port) in [("http", &port), ("management", &management)] {
            command.arg(format!("-Dquarkus.{name}.host=127.0.0.1"));
            command.arg(format!("-Dquarkus.{name}.port={}", port.number()));
        }
        command.arg("-jar").arg(install.folder.join(format!("apicurio-registry-app-{VERSION}-runner.jar")));
        let address = port.address();
        let launch = Launch {
            name: "apicurio registry",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/apis/ccompat/v7/subjects")),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port, _management: management })
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

/// The program, apart from any server.
#[derive(Debug, Clone)]
struct Install {
    folder: PathBuf,
    java: Java,
    /// An option about the archive of classes.
    classes: Option<String>,
}

impl Install {
    fn find(cache: &Cache) -> Result<Self> {
        let java = Java::find()?;
        let artifact = format!("io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
        let folder = cache.ensure(ITEM.0, ITEM.1, |into| maven::fetch_archive(&artifact, into))?;
        let install = Self { folder, java, classes: None };
        let classes = install.java.shared_classes(cache, ITEM, |option| {
            Registry::start_from(Self { classes: Some(option), ..install.clone() })?.stop()
        })?;
        Ok(Self { classes, ..install })
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
