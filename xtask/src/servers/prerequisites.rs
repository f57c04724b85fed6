//! Programs that must be installed before a test server can be fetched or started.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Error, Result, command, java};

/// A program that is not fetched but expected to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prerequisite {
    /// A Java runtime, 17 or newer.
    Java,
    /// A Java compiler, for tests that bring a program of their own.
    Jdk,
    /// Apache Maven, which fetches what runs on Java.
    Maven,
    /// Python 3 that can make virtual environments.
    Python,
    /// `apt-get` and `dpkg`, which fetch Debian packages.
    Apt,
    /// The `openssl` command, which makes certificates.
    Openssl,
    /// `kcat`, a client of Kafka.
    Kcat,
}

impl Prerequisite {
    /// An error that names the program and how to get it, if it is not there.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Java => java::Java::find().map(drop),
            Self::Jdk => {
                let javac = java::tool("javac").unwrap_or_else(|| "javac".into());
                let way = "apt-get install openjdk-17-jdk-headless (or newer; JAVA_HOME is looked at first)";
                self.try_run("a Java compiler (javac)", &javac, &["--version"], way)
            }
            Self::Maven => self.try_run("Maven (mvn)", "mvn", &["--version"], "apt-get install maven"),
            Self::Python => self.try_run(
                "Python 3 with venv and pip (python3)",
                "python3",
                &["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))"],
                "apt-get install python3-venv",
            ),
            Self::Apt => {
                let way = "using Debian or a relative of it, or --without";
                self.try_run("apt-get", "apt-get", &["--version"], way)?;
                self.try_run("dpkg", "dpkg", &["--version"], way)
            }
            Self::Kcat => self.try_run("kcat", "kcat", &["-V"], "apt-get install kcat"),
            Self::Openssl => self.try_run("the openssl command", "openssl", &["version"], "apt-get install openssl"),
        }
    }

    fn try_run(self, what: &str, program: impl AsRef<OsStr>, args: &[&str], way: &str) -> Result<()> {
        let doing = format!("looking for {what}");
        command::run(Command::new(program).args(args), &doing, Duration::from_secs(30)).map(drop).map_err(|error| {
            match error {
                // There but not working: show how.
                Error::Command { output, .. } => Error::missing(format!("a working {what} ({output})"), way),
                _ => Error::missing(what, way),
            }
        })
    }
}

/// A program on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
