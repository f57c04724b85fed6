//! Source offsets in a file, in the format of Kafka Connect's standalone worker, written atomically.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use connect_api::{Error, OffsetMap, Result, async_trait};
use tokio::sync::Mutex;

use super::{OffsetStore, java, offset_key, offset_value};

/// The file of a standalone worker.
#[derive(Debug)]
pub struct OffsetFile {
    path: PathBuf,
    /// Held as long as the worker runs, so that a second one does not write the same file. A file of its own, as
    /// the other is replaced with each commit.
    _lock: File,
    all: Mutex<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl OffsetFile {
    /// Reads the file; a missing or empty one means that there are no offsets yet. A file of another kind
    /// or a damaged one is an error: starting over silently would repeat or skip records. So is one that another
    /// worker uses.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), all: Mutex::new(read(path)?), _lock: lock })
    }

    /// Whether the file could be opened, apart from another worker's using it now.
    pub fn check(path: &Path) -> Result<()> {
        lock_file(path)?;
        read(path).map(drop)
    }

    fn beside(&self) -> PathBuf {
        beside(&self.path, ".tmp")
    }

    fn writing(&self, e: std::io::Error) -> Error {
        Error::retriable(format!("writing the offset file {}", self.path.display())).caused_by(e)
    }

    fn save(&self, bytes: &[u8]) -> std::io::Result<()> {
        let temporary = self.beside();
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // The rename itself has to reach the disk.
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn read(path: &Path) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
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

/// The file whose lock stands for the offset file's. That its folder can be written shows here and not only after
/// the first records.
fn lock_file(path: &Path) -> Result<File> {
    File::create(beside(path, ".lock")).map_err(|e| {
        let way_out = match e.kind() {
            std::io::ErrorKind::NotFound => "its folder does not exist: create it",
            std::io::ErrorKind::PermissionDenied => "let this user write to its folder",
            _ => "its folder must be one that this worker can write to",
        };
        Error::fatal(format!("offset.storage.file.filename={}: {way_out}, or name another file", path.display()))
            .caused_by(e)
    })
}

fn lock(path: &Path) -> Result<File> {
    let file = lock_file(path)?;
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

#[async_trait]
impl OffsetStore for OffsetFile {
    async fn get(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let all = self.all.lock().await;
        let Some(Some(bytes)) = all.get(&offset_key(connector, partition)) else { return Ok(None) };
        serde_json::from_slice(bytes).map(Some).map_err(|e| {
            Error::fatal(format!("reading an offset of {connector} in {}", self.path.display())).caused_by(e)
        })
    }

    async fn put(&self, connector: &str, offsets: Vec<(Arc<OffsetMap>, OffsetMap)>) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut all = self.all.lock().await;
        let mut next = all.clone();
        next.extend(
            offsets.iter().map(|(partition, offset)| (offset_key(connector, partition), Some(offset_value(offset)))),
        );
        let bytes = java::write(&next);
        tokio::task::block_in_place(|| self.save(&bytes)).map_err(|e| self.writing(e))?;
        *all = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(key: &str, value: impl Into<serde_json::Value>) -> OffsetMap {
        [(key.to_owned(), value.into())].into_iter().collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn offsets_survive_and_a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("offsets");
        let partition = Arc::new(map("filename", "/a"));
        let file = OffsetFile::open(&path).expect("new");
        file.put("c", vec![(partition.clone(), map("position", 7))]).await.expect("put");
        let e = OffsetFile::open(&path).expect_err("a second worker");
        assert!(e.message().contains("another worker uses this file"), "{e}");
        OffsetFile::check(&path).expect("right although in use");
        drop(file);
        let again = OffsetFile::open(&path).expect("reopened");
        assert_eq!(again.get("c", &partition).await.expect("get"), Some(map("position", 7)));
        assert_eq!(again.get("d", &partition).await.expect("get"), None);
        drop(again);
        fs::write(&path, b"\xAC\xED\x00\x05s").expect("damage");
        let e = OffsetFile::open(&path).expect_err("damaged");
        assert!(e.message().contains("ends early") && e.message().contains("remove it"), "{e}");
        let e = OffsetFile::open(&dir.path().join("no/such/folder")).expect_err("no folder");
        assert!(e.message().contains("offset.storage.file.filename=") && e.message().contains("create it"), "{e}");
    }
}
