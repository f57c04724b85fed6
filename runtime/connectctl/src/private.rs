//! Files with what not everybody may read: settings of connectors hold passwords.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::error::Failure;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// A new folder for a while, which only its owner may look into.
pub fn folder(prefix: &str) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(FOLDER)).tempdir()
}

/// Writes a file that only its owner may read, in place of the one that was there. It is never half written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".connectctl").permissions(Permissions::from_mode(FILE)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Writes a file that must not exist, unless it may be replaced. With secrets in it only its owner may read it.
pub fn create(path: &Path, text: &str, has_secrets: bool, replace: bool) -> Result<(), Failure> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Failed(format!("{} exists; --force replaces it, and --file may name another one", path.display()))
        }
        _ => Failure::Failed(format!("writing {}: {e}", path.display())),
    };
    if has_secrets && replace {
        return write(path, text).map_err(failed);
    }
    let mut options = fs::File::options();
    options.write(true).create_new(!replace).create(true).truncate(replace);
    if has_secrets {
        options.mode(FILE);
    }
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Whether the value is a secret, and does not only say where that is, such as `${env:INFLUX}`.
pub fn is_secret(value: &str) -> bool {
    !(value.starts_with("${") && value.ends_with('}') && value.matches("${").count() == 1)
}

/// Lets only its owner read a file that another program may have written anew.
pub fn close(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_references() {
        assert!(!is_secret("${env:INFLUX}"));
        for secret in ["hush", "${env:A}x", "x${env:A}", "${env:A}${env:B}"] {
            assert!(is_secret(secret), "{secret}");
        }
    }
}
