//! Programs from Debian packages, unpacked without being installed and so without root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::prerequisites::{self, Prerequisite};
use super::{Cache, Error, Result, command};

const FETCH_WITHIN: Duration = Duration::from_secs(900);

/// The version is the distribution's: what is in the cache stays.
pub(crate) const VERSION: &str = "debian";

/// The path of a program (`usr/bin/influxd`) of a package, fetched if need be.
///
/// Where the package cannot be fetched, an installed program of that name is taken, and said so.
pub(crate) fn program(cache: &Cache, package: &str, program: &str) -> Result<PathBuf> {
    match unpacked(cache, package, &[package]) {
        Ok(folder) => Ok(folder.join(program)),
        Err(error) => {
            let name = program.rsplit('/').next().unwrap_or(program);
            let Some(installed) = prerequisites::on_path(name) else { return Err(error) };
            eprintln!("using {} because the package cannot be fetched: {error:?}", installed.display());
            Ok(installed)
        }
    }
}

/// The folder of several packages, such as a program's with those of its libraries, fetched if need be.
pub(crate) fn unpacked(cache: &Cache, item: &str, packages: &[&str]) -> Result<PathBuf> {
    cache.ensure(item, VERSION, |into| fetch(packages, into))
}

/// The folder that holds the machine's libraries below `usr/lib` or `lib` of unpacked packages.
pub(crate) fn libraries(unpacked: &Path) -> Result<PathBuf> {
    let folder = unpacked.join("usr/lib");
    let doing = || format!("looking for libraries below {}", folder.display());
    let entries = fs::read_dir(&folder).map_err(Error::io(doing()))?;
    let multiarch = |path: &PathBuf| path.is_dir() && path.to_string_lossy().contains("-linux-");
    let found = entries.flatten().map(|entry| entry.path()).find(multiarch);
    found.ok_or_else(|| Error::Answer { doing: doing(), answer: "there are none".into() })
}

fn fetch(packages: &[&str], into: &Path) -> Result<()> {
    Prerequisite::Apt.check()?;
    let names = packages.join(", ");
    let apt = into.join("apt");
    for folder in ["lists/partial", "archives/partial"] {
        let folder = apt.join(folder);
        fs::create_dir_all(&folder).map_err(Error::io(format!("creating {}", folder.display())))?;
    }
    // The system's lists may be missing or old, and only root may refresh them: keep our own while we need them.
    let update = apt_get(&apt, into, &["update"], "fetching the list of debian packages");
    let download = apt_get(&apt, into, &[&["download"], packages].concat(), &format!("fetching from debian {names}"));
    // Hooks of the system run at the end of an update and may need root: its failure matters only if nothing came.
    download.map_err(|error| update.err().unwrap_or(error)).map_err(|error| advise(packages, error))?;
    let files = fs::read_dir(into).map_err(Error::io(format!("listing {}", into.display())))?;
    for file in files.flatten().filter(|file| file.path().extension().is_some_and(|ending| ending == "deb")) {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(file.path()).arg(into);
        command::run(&mut dpkg, &format!("unpacking the debian packages {names}"), FETCH_WITHIN)?;
        fs::remove_file(file.path()).map_err(Error::io(format!("removing {}", file.path().display())))?;
    }
    fs::remove_dir_all(&apt).map_err(Error::io(format!("removing {}", apt.display())))
}

fn apt_get(apt: &Path, into: &Path, words: &[&str], doing: &str) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-q").arg("-o").arg(format!("Dir::State::lists={}", apt.join("lists").display()));
    command.arg("-o").arg(format!("Dir::Cache={}", apt.display()));
    // As root it would switch to a user who cannot write here.
    command.args(["-o", "APT::Sandbox::User=root"]).args(words).current_dir(into);
    command::run(&mut command, doing, FETCH_WITHIN).map(drop)
}

fn advise(packages: &[&str], error: Error) -> Error {
    match error {
        Error::Command { doing, outcome, output } => {
            let packages = packages.join(" ");
            let output = format!("{output}\n(as root, `apt-get install {packages}` makes it available as well)");
            Error::Command { doing, outcome, output }
        }
        other => other,
    }
}
