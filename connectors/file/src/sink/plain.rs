//! Appends records to one file, which tasks may share.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use connect_api::{Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, async_trait};

use super::{
    config::Sync,
    format::Lines,
    trouble::{named, trouble},
};

/// What every line of the format json begins with.
const LINE_START: &[u8] = br#"{"topic":"#;

/// Opens for appending and ends a last line that has no end: a crash of ours cut it off, or somebody else
/// wrote it.
fn open(path: &Path, lines: &Lines) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        // A pipe waits for its reader, as Kafka's class does: what nobody reads is not stored.
        return File::options().append(true).open(path);
    }
    let mut file = File::options().create(true).append(true).read(true).open(path)?;
    // Other tasks may be writing to the same file at this moment.
    file.lock()?;
    let ended = end_last_line(&mut file, path, lines);
    file.unlock()?;
    ended.map(|()| file)
}

fn end_last_line(file: &mut File, path: &Path, lines: &Lines) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut start = length;
    let mut tail = Vec::new();
    while start > 0 {
        let from = start.saturating_sub(8192);
        let mut chunk = vec![0u8; (start - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut chunk)?;
        let at = chunk.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let found = at > 0;
        tail = [&chunk[at..], &tail].concat();
        start = from + at as u64;
        if found {
            break;
        }
    }
    if tail.is_empty() {
        return Ok(());
    }
    let known = tail.len().min(LINE_START.len());
    if matches!(lines, Lines::Record(_)) && tail[..known] == LINE_START[..known] {
        tracing::warn!(
            "removing {} bytes of a line that was cut off at the end of {}; its record comes again",
            tail.len(),
            path.display()
        );
        return file.set_len(start);
    }
    // Whose bytes these are cannot be known, so they stay, as a line of their own.
    file.write_all(b"\n")
}

/// A running task.
pub struct PlainTask {
    file: File,
    path: PathBuf,
    lines: Lines,
    sync: Sync,
    context: SinkContext,
    text: Vec<u8>,
    /// Whether lines were written since the last flush.
    unflushed: bool,
    /// Whether such lines went with a file that somebody removed.
    lost: bool,
}

impl PlainTask {
    /// Opens the file.
    pub fn start(path: &str, lines: Lines, sync: Sync, context: SinkContext) -> Result<Self> {
        let path = PathBuf::from(path);
        let opened = tokio::task::block_in_place(|| open(&path, &lines));
        let file = opened.map_err(|e| named(Error::fatal, "opening file", &path, e))?;
        Ok(Self { file, path, lines, sync, context, text: Vec::new(), unflushed: false, lost: false })
    }

    /// Goes to a new file when the path names another one than it did.
    fn follow_path(&mut self) -> Result<()> {
        let looking = |e| trouble("looking at file", &self.path, e);
        let held = self.file.metadata().map_err(looking)?;
        match fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(looking(e)),
            _ => {}
        }
        let opened = open(&self.path, &self.lines).map_err(|e| trouble("opening file", &self.path, e))?;
        tracing::info!("file {} was renamed or removed; going on in a new one", self.path.display());
        if self.unflushed && held.nlink() > 0 {
            self.sync()?;
        }
        self.lost |= std::mem::take(&mut self.unflushed) && held.nlink() == 0;
        self.file = opened;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // Pipes and devices keep nothing that could be lost.
        if self.sync == Sync::Never || self.file.metadata().is_ok_and(|found| !found.is_file()) {
            return Ok(());
        }
        self.file.sync_data().map_err(|e| trouble("syncing file", &self.path, e))
    }
}

#[async_trait]
impl SinkTask for PlainTask {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.text.clear();
        for record in records {
            let before = self.text.len();
            if let Err(e) = self.lines.write(record, &mut self.text) {
                self.text.truncate(before);
                if e.class() != ErrorClass::Data {
                    return Err(e);
                }
                self.context.report(record, e).await?;
            }
        }
        self.follow_path()?;
        self.unflushed = true;
        let (file, lines, text) = (&mut self.file, &self.lines, &self.text);
        // Local files are quick; a thread hop for each batch would cost more than the write.
        let written = file.lock().and_then(|()| {
            let before = file.metadata();
            let mut begin = Vec::new();
            if before.as_ref().is_ok_and(|before| before.is_file() && before.len() == 0) {
                lines.begin(&mut begin);
            }
            let written = file.write_all(&begin).and_then(|()| file.write_all(text));
            if let (Err(_), Ok(before)) = (&written, before)
                && before.is_file()
            {
                // A full disk takes a part; what comes again must not be glued to it.
                file.set_len(before.len())?;
            }
            file.unlock().and(written)
        });
        written.map_err(|e| trouble(&format!("appending {} lines to file", records.len()), &self.path, e))?;
        if self.sync == Sync::Put {
            tokio::task::block_in_place(|| self.sync())?;
        }
        Ok(())
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        tokio::task::block_in_place(|| {
            // Lines that were put may have gone with a file that somebody removed before they were safe.
            self.follow_path()?;
            self.sync()
        })?;
        self.unflushed = false;
        if std::mem::take(&mut self.lost) {
            let text = format!(
                "flushing file {}: it was removed with lines that were not safe; they come again",
                self.path.display()
            );
            return Err(Error::retriable(text));
        }
        Ok(offsets.to_vec())
    }
}
