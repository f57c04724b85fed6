//! The Java runtime.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Cache, Error, Result, command, prerequisites};

const OLDEST: u32 = 17;
const WAY: &str = "apt-get install openjdk-17-jre-headless (or newer; JAVA_HOME is looked at first)";

/// A Java runtime that is new enough.
#[derive(Debug, Clone)]
pub(crate) struct Java {
    program: PathBuf,
    /// Such as `17.0.15`.
    version: String,
}

impl Java {
    /// Finds it in `$JAVA_HOME`, else on the search path, and checks its version.
    pub fn find() -> Result<Self> {
        let program = tool("java").ok_or_else(|| Error::missing(format!("Java {OLDEST} or newer"), WAY))?;
        let old = |what: &str| {
            let found = program.display();
            Error::missing(format!("Java {OLDEST} or newer ({found} is {what})"), WAY)
        };
        let doing = format!("asking {} for its version", program.display());
        let printed = command::run(Command::new(&program).arg("--version"), &doing, Duration::from_secs(30));
        // Java 8 does not know this option.
        let printed = printed.map_err(|error| match error {
            Error::Command { .. } => old("older than 9 or broken"),
            other => other,
        })?;
        let Some((major, version)) = parse_version(&printed) else {
            return Err(Error::Answer { doing, answer: printed });
        };
        if major < OLDEST {
            return Err(old(&version));
        }
        Ok(Self { program, version })
    }

    /// A command with the options that all servers share; small, and with its temporary files in `dir`.
    pub fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // Servers that live for seconds never pay back what the optimising compiler costs.
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
        // Native libraries are unpacked there, and left there by a killed server.
        command.arg(format!("-Djava.io.tmpdir={}", dir.display()));
        command
    }

    /// An option that has a program start about twice as fast: an archive of its classes as they are once loaded.
    ///
    /// The archive is made once for each version of the program and of Java, by `run`, which gets the option that has a
    /// process write it when it ends.
    pub fn shared_classes(
        &self,
        cache: &Cache,
        (item, version): (&str, &str),
        run: impl FnOnce(String) -> Result<()>,
    ) -> Result<Option<String>> {
        const FILE: &str = "classes.jsa";
        let (item, version) = (format!("{item}-classes"), format!("{version}-java-{}", self.version));
        let folder = cache
            .ensure(&item, &version, |into| run(format!("-XX:ArchiveClassesAtExit={}", into.join(FILE).display())))?;
        // Java leaves it out where it cannot be made, and ignores it where it does not fit.
        let file = folder.join(FILE);
        Ok(file.is_file().then(|| format!("-XX:SharedArchiveFile={}", file.display())))
    }
}

/// A program of the Java that is used: in `$JAVA_HOME`, else on the search path.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin").join(name));
    home.filter(|program| program.is_file()).or_else(|| prerequisites::on_path(name))
}

/// Major and full version from what `java --version` prints.
fn parse_version(printed: &str) -> Option<(u32, String)> {
    // The virtual machine may print first what it picked up from the environment.
    printed.lines().find_map(|line| {
        let version = line.split_whitespace().nth(1)?;
        let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
        Some((version[..digits].parse().ok()?, version.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_several_vendors_are_understood() {
        let major = |printed| parse_version(printed).map(|(major, _)| major);
        assert_eq!(
            parse_version("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)\n"),
            Some((17, "17.0.15".into()))
        );
        assert_eq!(major("java 21 2023-09-19 LTS\n"), Some(21));
        assert_eq!(major("openjdk 25-ea 2025-09-16\n"), Some(25));
        assert_eq!(major("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk 11.0.2 2019-01-15\n"), Some(11));
        assert_eq!(major("something else entirely\n"), None);
    }
}
