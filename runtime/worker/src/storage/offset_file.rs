//! Source offsets in a file, in the format of Kafka Connect's standalone worker, written atomically.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use connect_api::{Error, Result};

use super::java;

type Entries = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The file of a standalone worker.
#[derive(Debug)]
pub struct OffsetFile {
    path: PathBuf,
    /// Held as long as the worker runs, so that a second one does not write the same file. A file of its own, as
    /// the other is replaced with each commit.
    _lock: File,
}

impl OffsetFile {
    /// Reads the file; a missing or empty one means that there are no offsets yet. A file of another kind
    /// or a damaged one is an error: starting over silently would repeat or skip records. So is one that another
    /// worker uses.
    pub(super) fn open(path: &Path) -> Result<(Self, Entries)> {
        let lock = lock(path)?;
        Ok((Self { path: path.to_owned(), _lock: lock }, read(path)?))
    }

    /// Whether the file could be opened, apart from another worker's using it now.
    pub fn check(path: &Path) -> Result<()> {
        fs::metadata(folder(path)).map_err(|e| unusable(path, e))?;
        read(path).map(drop)
    }

    /// Replaces what the file holds; durable when it returns.
    pub(super) fn save(&self, entries: &Entries) -> Result<()> {
        let bytes = java::write(entries);
        tokio::task::block_in_place(|| self.replace(&bytes))
            .map_err(|e| Error::retriable(format!("writing the offset file {}", self.path.display())).caused_by(e))
    }

    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        let temporary = beside(&self.path, ".tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // The rename itself has to reach the disk.
        File::open(folder(&self.path))?.sync_all()
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn read(path: &Path) -> Result<Entries> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::fatal(format!("reading the offset file {}", path.display())).caused_by(e)),
    };
    let all = if bytes.is_empty() { Ok(BTreeMap::new()) } else { java::read(&bytes) };
    all.map_err(|why| {
        Error::fatal(format!(
            "reading the offset file {}: {why}; restore it from a copy, or remove it to read all sources from their beginning",
            path.display()
        ))
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn unusable(path: &Path, e: std::io::Error) -> Error {
    let way_out = match e.kind() {
        std::io::ErrorKind::NotFound => "its folder does not exist: create it",
        std::io::ErrorKind::PermissionDenied => "let this user write to its folder",
        _ => "its folder must be one that this worker can write to",
    };
    Error::fatal(format!("offset.storage.file.filename={}: {way_out}, or name another file", path.display()))
        .caused_by(e)
}

/// Locks the file for this worker, by a file beside it. That its folder can be written shows here and not only
/// after the first records.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(beside(path, ".lock")).map_err(|e| unusable(path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::fatal(format!(
                "offset.storage.file.filename={}: another worker uses this file; stop it, or give each worker a file of \
                 its own",
                path.display()
            )));
        }
        // Some network file systems cannot lock.
        Err(TryLockError::Error(e)) => {
            tracing::warn!("{} cannot be locked, so nothing keeps a second worker from using it: {e}", path.display())
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_a_second_worker_and_a_missing_folder_are_refused() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("offsets");
        let (file, entries) = OffsetFile::open(&path).expect("new");
        assert!(entries.is_empty());
        let e = OffsetFile::open(&path).expect_err("a second worker");
        assert!(e.message().contains("another worker uses this file"), "{e}");
        OffsetFile::check(&path).expect("right although in use");
        drop(file);
        fs::write(&path, b"\xAC\xED\x00\x05s").expect("damage");
        let e = OffsetFile::open(&path).expect_err("damaged");
        assert!(e.message().contains("ends early") && e.message().contains("remove it"), "{e}");
        let e = OffsetFile::open(&dir.path().join("no/such/folder")).expect_err("no folder");
        assert!(e.message().contains("offset.storage.file.filename=") && e.message().contains("create it"), "{e}");
    }
}
