//! What comes from Maven repositories, fetched by Maven itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::prerequisites::Prerequisite;
use super::{Result, command, process};

const FETCH_WITHIN: Duration = Duration::from_secs(900);

/// Fetches artifacts (`group:artifact:version`) and all that they depend on into a folder of jars.
pub(crate) fn fetch_jars(artifacts: &[&str], into: &Path) -> Result<()> {
    Prerequisite::Maven.check()?;
    let pom = process::write(into, "pom.xml", &pom(artifacts))?;
    let mut mvn = Command::new("mvn");
    mvn.args(["-B", "-q", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
    mvn.arg(format!("-DoutputDirectory={}", into.display())).current_dir(into);
    command::run(&mut mvn, &format!("fetching {} with maven", artifacts.join(", ")), FETCH_WITHIN)?;
    Ok(())
}

/// Fetches one archive (`group:artifact:version:tar.gz:classifier`) and unpacks it into a folder.
pub(crate) fn fetch_archive(artifact: &str, into: &Path) -> Result<()> {
    Prerequisite::Maven.check()?;
    let download = into.join("download");
    let mut mvn = Command::new("mvn");
    mvn.args(["-B", "-q", "dependency:copy"]).arg(format!("-Dartifact={artifact}"));
    mvn.arg(format!("-DoutputDirectory={}", download.display())).current_dir(into);
    command::run(&mut mvn, &format!("fetching {artifact} with maven"), FETCH_WITHIN)?;
    let doing = format!("listing {}", download.display());
    for entry in fs::read_dir(&download).map_err(super::Error::io(doing))?.flatten() {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(entry.path()).arg("-C").arg(into);
        command::run(&mut tar, &format!("unpacking {}", entry.path().display()), FETCH_WITHIN)?;
    }
    fs::remove_dir_all(&download).map_err(super::Error::io(format!("removing {}", download.display())))
}

fn pom(artifacts: &[&str]) -> String {
    let mut dependencies = String::new();
    for artifact in artifacts {
        let mut parts = artifact.split(':');
        let mut part = || parts.next().unwrap_or_default();
        dependencies.push_str(&format!(
            "    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>\n",
            part(),
            part(),
            part()
        ));
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>tocsin</groupId>\n  <artifactId>test-server</artifactId>\n  <version>1</version>\n  \
         <packaging>pom</packaging>\n  <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_lists_each_artifact() {
        let pom = pom(&["org.a:one:1.0", "org.b:two:2.0"]);
        assert!(pom.contains(
            "<dependency><groupId>org.a</groupId><artifactId>one</artifactId><version>1.0</version></dependency>\n"
        ));
        assert!(pom.contains("<artifactId>two</artifactId><version>2.0</version>"));
    }
}
