//! Files with what not everybody may read: settings of connectors hold passwords.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

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

/// Lets only its owner read a file that another program may have written anew.
pub fn close(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(FILE))
}
