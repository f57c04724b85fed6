//! What is known of a partition's files, stored beside them: how far the partition has come, and how long each file is
//! that is not complete.
//!
//! It is replaced as a whole, so that it tells the truth of one moment. What files have beyond it is cut off when the
//! partition is taken up again, and comes again from Kafka.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use connect_api::{Error, Result, TopicPartition, template::percent_encode};
use serde::{Deserialize, Serialize};

use super::trouble::trouble;

/// The folder of all journals, in the folder that a template of paths begins with.
const FOLDER: &str = ".file-sink";

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The settings by which files were made, the path and a blank first.
    pub file: String,
    /// Kafka's id of the topic whose offsets these are; none where Kafka gives none, or since offsets were set.
    #[serde(default)]
    pub topic: Option<String>,
    /// Offset behind the last record; none before the first one.
    pub next: Option<i64>,
    /// Latest time stamp of all records.
    pub newest: Option<i64>,
    /// The files that are not complete, and those that have just become so.
    pub files: Vec<Entry>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path that the template made, below the base.
    pub series: String,
    /// The path of the complete file, below the base.
    pub path: String,
    /// Whether it has another name until it is complete.
    pub part: bool,
    /// Whether it is complete.
    pub done: bool,
    /// Its inode; 0 while it has not been made.
    pub inode: u64,
    /// Bytes of it that are ours or were there before.
    pub length: u64,
    /// Bytes before compression.
    pub text: u64,
    /// Records.
    pub records: u64,
    /// When its first record came, in milliseconds since 1970.
    pub began: i64,
}

/// A journal that nobody else writes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    durable: Journal,
    sync: bool,
    // Held as long as the journal is ours.
    _lock: File,
}

impl Store {
    /// Takes the journal of a partition, or begins one. An error, retriable, while somebody else has it.
    pub fn open(base: &Path, connector: &str, partition: &TopicPartition, sync: bool) -> Result<Self> {
        let path = path(&folder(base, connector), partition);
        let within = path.parent().unwrap_or(base);
        // The base itself is not made: a disk that is not mounted must not be mistaken for an empty one.
        fs::metadata(base).map_err(|e| trouble("looking at folder", base, e))?;
        fs::create_dir_all(within).map_err(|e| trouble("making folder", within, e))?;
        if sync {
            sync_folders(within, base)?;
        }
        Self::take(path, sync)
    }

    fn take(path: PathBuf, sync: bool) -> Result<Self> {
        let lock_path = path.with_extension("lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(|e| trouble("opening file", &lock_path, e))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Error::retriable(format!(
                "taking up the files of {}: another task still has them; they are taken up when it has ended",
                path.display()
            )),
            TryLockError::Error(e) => trouble("locking file", &lock_path, e),
        })?;
        let durable = read(&path)?.unwrap_or_default();
        Ok(Self { path, durable, sync, _lock: lock })
    }

    /// Every journal of this partition that was written by the same setting `file`.
    pub fn all_of(base: &Path, file: &str, partition: &TopicPartition) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for connector in folders(&[base.join(FOLDER)])? {
            let path = path(&connector, partition);
            if read(&path)?.is_some_and(|journal| journal.file.starts_with(&format!("{file} "))) {
                found.push(Self::take(path, true)?);
            }
        }
        Ok(found)
    }

    /// The journal of another partition or connector that has a file of this path, below the base: one that was made if
    /// `made` is its inode, or any.
    pub fn other_with(&self, base: &Path, file: &str, made: Option<u64>) -> Result<Option<PathBuf>> {
        let is_it = |entry: &Entry| entry.path == file && made.is_none_or(|inode| entry.inode == inode);
        let topics = folders(&[base.join(FOLDER)]).and_then(|connectors| folders(&connectors))?;
        for path in folders(&topics)? {
            if path == self.path || path.extension() != Some("json".as_ref()) {
                continue;
            }
            if read(&path)?.is_some_and(|journal| journal.files.iter().any(is_it)) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// What was written last.
    pub fn durable(&self) -> &Journal {
        &self.durable
    }

    /// Replaces it.
    pub fn write(&mut self, journal: Journal) -> Result<()> {
        if journal == self.durable {
            return Ok(());
        }
        let path = &self.path;
        let new = path.with_extension("new");
        let text = serde_json::to_vec(&journal)
            .map_err(|e| Error::fatal(format!("writing {}", path.display())).caused_by(e))?;
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            if self.sync { file.sync_all() } else { Ok(()) }
        });
        written.map_err(|e| trouble("writing file", &new, e))?;
        fs::rename(&new, path).map_err(|e| trouble("renaming file", &new, e))?;
        if let (true, Some(within)) = (self.sync, path.parent()) {
            sync_folder(within)?;
        }
        self.durable = journal;
        Ok(())
    }
}

/// What is in these folders.
fn folders(of: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in of {
        let listing = |e| trouble("listing folder", folder, e);
        match fs::read_dir(folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            found => {
                for entry in found.map_err(listing)? {
                    all.push(entry.map_err(listing)?.path());
                }
            }
        }
    }
    Ok(all)
}

fn folder(base: &Path, connector: &str) -> PathBuf {
    // A name of dots alone would be another folder.
    base.join(FOLDER).join(percent_encode(connector).replace('.', "%2E"))
}

fn path(folder: &Path, partition: &TopicPartition) -> PathBuf {
    folder.join(&*partition.topic).join(format!("{}.json", partition.partition))
}

fn read(path: &Path) -> Result<Option<Journal>> {
    let text = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| trouble("reading file", path, e))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| {
        let way_out =
            "it says what is in the files of its partition; bring it back from a copy, or move it away with those";
        Error::fatal(format!("reading {}: {way_out}", path.display())).caused_by(e)
    })
}

/// Makes what a folder has by name reach the disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| trouble("syncing folder", folder, e))
}

/// The same for all folders from this one up to the base.
pub fn sync_folders(folder: &Path, base: &Path) -> Result<()> {
    for above in folder.ancestors().take_while(|f| f.starts_with(base)) {
        sync_folder(above)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: 3 }
    }

    #[test]
    fn a_journal_is_kept_and_has_one_owner() {
        let dir = tempfile::tempdir().expect("folder");
        let mut store = Store::open(dir.path(), "..", &partition(), true).expect("new");
        assert_eq!(*store.durable(), Journal::default());
        let journal = Journal { file: "x json".into(), next: Some(5), ..Journal::default() };
        store.write(journal.clone()).expect("written");
        let e = Store::open(dir.path(), "..", &partition(), true).expect_err("taken");
        assert_eq!(e.class(), connect_api::ErrorClass::Retriable);
        drop(store);
        assert_eq!(*Store::open(dir.path(), "..", &partition(), true).expect("again").durable(), journal);
        assert_eq!(Store::all_of(dir.path(), "x", &partition()).expect("found").len(), 1);
        assert_eq!(Store::all_of(dir.path(), "y", &partition()).expect("none").len(), 0);
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_not_taken_for_none() {
        let dir = tempfile::tempdir().expect("folder");
        drop(Store::open(dir.path(), "c", &partition(), true).expect("new"));
        let path = path(&folder(dir.path(), "c"), &partition());
        fs::write(&path, "{").expect("torn");
        let e = Store::open(dir.path(), "c", &partition(), true).expect_err("unreadable");
        assert!(e.class() == connect_api::ErrorClass::Fatal && e.message().contains("t/3.json"), "{e:?}");
        let e = Store::open(&dir.path().join("gone"), "c", &partition(), true).expect_err("no base");
        assert!(e.message().contains("make its folder"), "{e:?}");
    }
}
