//! What comes as Python packages, in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::prerequisites::Prerequisite;
use super::{Result, command};

const FETCH_WITHIN: Duration = Duration::from_secs(900);

/// Makes a virtual environment in a folder and installs packages (`name==version`) into it.
pub(crate) fn fetch(packages: &[&str], into: &Path) -> Result<()> {
    Prerequisite::Python.check()?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(into);
    command::run(&mut venv, &format!("making a virtual environment in {}", into.display()), FETCH_WITHIN)?;
    let mut pip = Command::new(interpreter(into));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(packages);
    command::run(&mut pip, &format!("installing {} with pip", packages.join(", ")), FETCH_WITHIN)?;
    Ok(())
}

/// The interpreter of a virtual environment. Scripts beside it do not survive its renaming: use `-m` and a module.
pub(crate) fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python3")
}
