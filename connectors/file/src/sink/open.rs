//! A file that is written to.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use connect_api::{Error, Result};
use flate2::{Compression, write::GzEncoder};

use super::{
    journal::{Entry, Store, sync_folder, sync_folders},
    paths::Paths,
    setup::Setup,
    trouble::{named, trouble},
};

/// How much is compressed at once: each such part can be unpacked on its own.
const MEMBER: usize = 1 << 20;

/// A file's handle, which is counted.
#[derive(Debug)]
struct Handle {
    file: File,
    open: Arc<AtomicUsize>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether what was written is where it was written.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is.
    Here,
    /// Somebody gave the file another name.
    Renamed,
    /// Somebody removed it.
    Gone,
}

/// A file with what is to be written to it.
#[derive(Debug)]
pub struct Open {
    /// What the journal will say of it.
    pub entry: Entry,
    /// When it was last written to.
    pub used: Instant,
    handle: Option<Handle>,
    buffer: Vec<u8>,
    /// Whether a write failed, of which a part may be there.
    torn: bool,
    unsynced: bool,
    /// Whether what was there before does not end with a line's end.
    unended: bool,
}

impl Open {
    /// One that the journal knows, or that is to be made.
    pub fn new(entry: Entry) -> Self {
        let used = Instant::now();
        Self { entry, used, handle: None, buffer: Vec::new(), torn: false, unsynced: false, unended: false }
    }

    /// Takes a line.
    pub fn add(&mut self, line: &[u8]) {
        self.buffer.extend_from_slice(line);
        self.entry.text += line.len() as u64;
        self.entry.records += 1;
        self.used = Instant::now();
    }

    /// Whether it is not known to be there.
    pub fn is_new(&self) -> bool {
        self.entry.inode == 0
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Where it is.
    pub fn location(&self, setup: &Setup) -> PathBuf {
        location(&self.entry, setup)
    }

    /// Looks what is in the place of a file that is to be made, before it is; `known` says that an attempt was made before.
    pub fn prepare(&mut self, setup: &Setup, journal: &Store, known: bool) -> Result<()> {
        let complete = setup.paths.base().join(&self.entry.path);
        match fs::metadata(&complete) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.entry.length = 0;
            }
            Err(e) => return Err(trouble("looking at file", &complete, e)),
            Ok(found) if found.len() > 0 && (self.entry.part || setup.rotates) => {
                return Err(Error::fatal(format!(
                    "making file {}: it is already there, so its records may be in it; move it away, or set file to another \
                     path",
                    complete.display()
                )));
            }
            Ok(found) => self.entry.length = if self.entry.part { 0 } else { found.len() },
        }
        let part = Paths::incomplete(&complete);
        if self.entry.part && !known && fs::metadata(&part).is_ok_and(|found| found.len() > 0) {
            if let Some(other) = journal.other_with(setup.paths.base(), &self.entry.path, None)? {
                return Err(of_another("making file", &part, &other));
            }
            return Err(Error::fatal(format!(
                "making file {}: it is already there, and this connector's journal of the partition does not know it, so its \
                 records may be in it; move it away, or set file to another path",
                part.display()
            )));
        }
        Ok(())
    }

    /// Makes the file, which the journal knows by now. One that is there is ours to write to unless another journal knows
    /// it, too: whoever makes a file has said so before.
    pub fn make(&mut self, setup: &Setup, journal: &Store) -> Result<()> {
        let (path, base) = (self.location(setup), setup.paths.base());
        let within = path.parent().unwrap_or(base);
        // A path that no file can have fails here, whatever the class of what the system says.
        fs::create_dir_all(within).map_err(|e| trouble("making folder", within, e))?;
        match File::options().create_new(true).append(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if let Some(other) = journal.other_with(base, &self.entry.path, None)? {
                    return Err(of_another("making file", &path, &other));
                }
            }
            made => drop(made.map_err(|e| trouble("making file", &path, e))?),
        }
        self.open(setup)?;
        let Some(handle) = &mut self.handle else { return Ok(()) };
        let made = |e| trouble("making file", &path, e);
        handle.file.set_len(self.entry.length).map_err(made)?;
        if self.entry.length > 0 && !setup.gzip {
            let mut last = [0];
            handle.file.seek(SeekFrom::End(-1)).and_then(|_| handle.file.read_exact(&mut last)).map_err(made)?;
            self.unended = last != *b"\n";
        }
        if setup.sync {
            sync_folders(within, base)?;
        }
        self.entry.inode = handle.file.metadata().map_err(made)?.ino();
        Ok(())
    }

    fn open(&mut self, setup: &Setup) -> Result<()> {
        if self.handle.is_some() {
            return Ok(());
        }
        let path = self.location(setup);
        let file = File::options().create(self.is_new()).append(true).read(true).open(&path);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::IsADirectory => named(Error::fatal, "opening file", &path, e),
            _ => trouble("opening file", &path, e),
        })?;
        if let Err(e) = file.try_lock() {
            return Err(
                Error::retriable(format!("locking file {}: somebody else writes to it", path.display())).caused_by(e)
            );
        }
        setup.open.fetch_add(1, Ordering::Relaxed);
        self.handle = Some(Handle { file, open: setup.open.clone() });
        Ok(())
    }

    /// Writes what was taken; of a compressed file only what is worth it, unless `all` is to be written.
    pub fn write(&mut self, setup: &Setup, all: bool) -> Result<()> {
        if self.buffer.is_empty() || (setup.gzip && !all && self.buffer.len() < MEMBER) {
            return Ok(());
        }
        self.open(setup)?;
        let mut begin = Vec::new();
        if self.entry.length == 0 {
            setup.lines.begin(&mut begin);
        } else if self.unended {
            begin.push(b'\n');
        }
        let path = self.location(setup);
        let Some(handle) = &mut self.handle else { return Ok(()) };
        let written = (|| {
            let length = if setup.gzip {
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                packed.write_all(&begin)?;
                packed.write_all(&self.buffer)?;
                append(&mut handle.file, &[&packed.finish()?], &mut self.torn, self.entry.length)
            } else {
                append(&mut handle.file, &[&begin, &self.buffer], &mut self.torn, self.entry.length)
            }?;
            self.entry.length += length;
            io::Result::Ok(())
        })();
        written.map_err(|e| trouble("writing to file", &path, e))?;
        (self.unended, self.unsynced) = (false, true);
        // What one great batch needed is not kept.
        if self.buffer.capacity() > 2 * MEMBER {
            drop(mem::take(&mut self.buffer))
        } else {
            self.buffer.clear()
        }
        if setup.open.load(Ordering::Relaxed) > setup.open_limit {
            self.close(setup)?;
        }
        Ok(())
    }

    /// Makes what was written reach the disk, if that is wanted.
    pub fn sync(&mut self, setup: &Setup) -> Result<()> {
        if setup.sync && self.unsynced {
            self.open(setup)?;
            if let Some(handle) = &self.handle {
                handle.file.sync_data().map_err(|e| trouble("syncing file", &self.location(setup), e))?;
            }
        }
        self.unsynced = false;
        Ok(())
    }

    /// Closes the file until it is written to again.
    pub fn close(&mut self, setup: &Setup) -> Result<()> {
        self.sync(setup)?;
        self.handle = None;
        Ok(())
    }

    /// Whether the file still is what has its name.
    pub fn find(&self, setup: &Setup) -> Result<Found> {
        let path = self.location(setup);
        let looking = |e| trouble("looking at file", &path, e);
        let named = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map_err(looking)?.ino()),
        };
        if named == Some(self.entry.inode) {
            return Ok(Found::Here);
        }
        let left = match &self.handle {
            Some(handle) => handle.file.metadata().map_err(looking)?.nlink(),
            None => 0,
        };
        Ok(if left > 0 { Found::Renamed } else { Found::Gone })
    }
}

fn append(file: &mut File, parts: &[&[u8]], torn: &mut bool, length: u64) -> io::Result<u64> {
    if mem::replace(torn, true) {
        // A full disk took a part of it the last time.
        file.set_len(length)?;
    }
    for part in parts {
        file.write_all(part)?;
    }
    *torn = false;
    Ok(parts.iter().map(|part| part.len() as u64).sum())
}

/// Says that a file is another partition's.
pub fn of_another(doing: &str, path: &Path, journal: &Path) -> Error {
    Error::fatal(format!(
        "{doing} {}: it belongs to another partition or connector, that of {}; each needs paths of its own, as with / or - \
         between {{{{topic}}}} and {{{{partition}}}}: correct the setting file, or move that journal away if nobody uses it any more",
        path.display(),
        journal.display()
    ))
}

/// Where a file is.
pub fn location(entry: &Entry, setup: &Setup) -> PathBuf {
    let complete = setup.paths.base().join(&entry.path);
    if entry.part { Paths::incomplete(&complete) } else { complete }
}

/// Gives a complete file its name.
pub fn complete(entry: &Entry, setup: &Setup) -> Result<()> {
    if entry.part {
        let (part, complete) = (location(entry, setup), setup.paths.base().join(&entry.path));
        fs::rename(&part, &complete).map_err(|e| trouble("renaming file", &part, e))?;
        if let (true, Some(within)) = (setup.sync, complete.parent()) {
            sync_folder(within)?;
        }
    }
    Ok(())
}
