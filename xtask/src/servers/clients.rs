//! Tools of others that users have: clients of Kafka and of Kafka Connect's REST API, and a tester of REST APIs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::prerequisites::Prerequisite;
use super::{Cache, Result, command, python};

const ITEM: (&str, &str) = ("rest-clients", "1");
/// With all that they depend on, so that they do the same tomorrow.
const PACKAGES: [&str; 26] = [
    "kafka-connect-py==1.0.0",
    "schemathesis==4.32.5",
    "anyio==4.16.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "graphql-core==3.3.2",
    "harfile==0.6.0",
    "hypothesis==6.170.15",
    "hypothesis-graphql==0.13.5",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jsonschema_rs==0.60.3",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "packaging==26.3",
    "pluggy==1.7.0",
    "pyrate-limiter==4.5.1",
    "pytest==9.2.0",
    "PyYAML==6.0.3",
    "requests==2.34.2",
    "rich==15.0.0",
    "sortedcontainers==2.4.0",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
];
const CLIENT_WITHIN: Duration = Duration::from_secs(60);
const TESTER_WITHIN: Duration = Duration::from_secs(300);

/// The tools, of which those in Python are fetched when they are needed first.
#[derive(Debug)]
pub struct Clients {
    python: PathBuf,
}

impl Clients {
    /// Fetches what is not in the cache; tells what must be installed.
    pub fn find() -> Result<Self> {
        Prerequisite::Kcat.check()?;
        let environment = Cache::open()?.ensure(ITEM.0, ITEM.1, |into| python::fetch(&PACKAGES, into))?;
        Ok(Self { python: python::interpreter(&environment) })
    }

    /// Runs `kc` of kafka-connect-py against the REST API at this URL; what it prints.
    pub fn kc(&self, url: &str, arguments: &[&str]) -> Result<String> {
        let mut kc = Command::new(&self.python);
        kc.args(["-c", "from kafka_connect.cli import cli; cli()", "--url", url]).args(arguments);
        command::run(&mut kc, &format!("running kc {}", arguments.join(" ")), CLIENT_WITHIN)
    }

    /// Runs `kcat`; what it prints.
    pub fn kcat(&self, arguments: &[&str]) -> Result<String> {
        let doing = format!("running kcat {}", arguments.join(" "));
        command::run(Command::new("kcat").args(arguments), &doing, CLIENT_WITHIN)
    }

    /// Runs `schemathesis` in a folder, where it may leave files; what it prints. What it finds wrong is an error.
    pub fn schemathesis(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        let mut tester = Command::new(&self.python);
        tester.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"]).args(arguments);
        tester.current_dir(folder);
        command::run(&mut tester, &format!("running schemathesis {}", arguments.join(" ")), TESTER_WITHIN)
    }
}
