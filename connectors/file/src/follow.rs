//! Follows one file to its end, and finds the file in which a task stood. Everything here blocks, shortly.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{DirEntryExt, FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    between::Former,
    lines::{Lines, Piece},
    place::{Head, Identity, Place, has_fingerprint},
};

const CHUNK: usize = 128 * 1024;

/// A file that is read from some place on.
#[derive(Debug)]
pub struct Followed {
    file: File,
    device: u64,
    inode: u64,
    head: Head,
    lines: Lines,
    /// Bytes behind the last piece.
    position: u64,
    /// Bytes that were read.
    read: u64,
    /// Whether the last read came to the end of the file.
    at_end: bool,
    /// Length and time of the last change when the beginning was last looked at.
    seen: (u64, i64, i64),
    stage: Stage,
    /// Inodes of the files that were seen to have its name since it had not.
    successors: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// More may come.
    Following,
    /// Another file has the name since then; who writes may still have this one open.
    Replaced(Instant),
    /// What is there is read to the end.
    Draining,
    /// Nothing more is read.
    Over,
}

/// What a look at the file and its name has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// There is no file of that name; this one is still read.
    Gone,
    /// Another file has the name; it is read when this one is at its end.
    Replaced,
    /// The file was cut off or written anew.
    Rewritten,
}

impl Followed {
    /// Reads a file from a position on. Lines are taken up to so many bytes.
    pub fn new(file: File, position: u64, limit: usize) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            head: Head::read(&file, position)?,
            lines: Lines::new(limit),
            position,
            read: position,
            at_end: true,
            seen: change(&metadata),
            stage: Stage::Following,
            successors: Vec::new(),
            file,
        })
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        let identity = Identity { inode: self.inode, head: self.head.fingerprint() };
        Place { position: self.position, identity: Some(identity) }
    }

    /// Bytes behind the last piece.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What is to be known of it when it is over and another one has its name; `None` if it had the name to the end.
    pub fn into_former(self) -> io::Result<Option<Former>> {
        if self.successors.is_empty() { Ok(None) } else { Former::new(&self.file, self.successors).map(Some) }
    }

    /// The bytes of a piece, until more is read.
    pub fn slice(&self, piece: &Piece) -> &[u8] {
        let (Piece::Line(range) | Piece::TooLong(range)) = piece;
        self.lines.slice(range.clone())
    }

    /// The next piece of what was read.
    pub fn next_piece(&mut self) -> Option<Piece> {
        let (piece, length) = match self.stage {
            Stage::Over => match self.lines.next_piece() {
                (None, passed) => {
                    let (piece, rest) = self.lines.rest();
                    (piece, passed + rest)
                }
                some => some,
            },
            _ => self.lines.next_piece(),
        };
        self.head.extend(self.lines.passed(length));
        self.position += length as u64;
        piece
    }

    /// Whether nothing more is read of it.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Reads on; `false` when there is nothing new to take.
    pub fn read_more(&mut self) -> io::Result<bool> {
        if self.stage == Stage::Over {
            // The last line may have no end.
            return Ok(true);
        }
        let (file, at) = (&self.file, self.read);
        let read = self.lines.fill(CHUNK, |room| file.read_at(room, at))?;
        self.read += read as u64;
        self.at_end = read < CHUNK;
        if read == 0 && self.stage == Stage::Draining {
            self.stage = Stage::Over;
            return Ok(true);
        }
        Ok(read > 0)
    }

    /// To be called before reading on: looks, at the end of the file, whether it still is the one to read. One that was
    /// replaced is read for `wait` longer.
    pub fn check(&mut self, path: &Path, wait: Duration) -> io::Result<Option<News>> {
        if !self.at_end || matches!(self.stage, Stage::Draining | Stage::Over) {
            return Ok(None);
        }
        let metadata = self.file.metadata()?;
        let seen = std::mem::replace(&mut self.seen, change(&metadata));
        if metadata.len() < self.read || (self.seen != seen && !self.head.matches(&self.file)?) {
            self.stage = Stage::Over;
            return Ok(Some(News::Rewritten));
        }
        let named = match fs::metadata(path) {
            Ok(named) => named,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.stage = Stage::Following;
                return Ok(Some(News::Gone));
            }
            Err(e) => return Err(e),
        };
        if (named.dev(), named.ino()) == (self.device, self.inode) {
            self.stage = Stage::Following;
            self.successors.clear();
            return Ok(None);
        }
        if self.successors.last() != Some(&named.ino()) {
            self.successors.push(named.ino());
        }
        let (since, news) = match self.stage {
            Stage::Replaced(since) => (since, None),
            _ => (Instant::now(), Some(News::Replaced)),
        };
        self.stage = if since.elapsed() >= wait { Stage::Draining } else { Stage::Replaced(since) };
        Ok(news)
    }
}

fn change(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Where to go on.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub file: File,
    /// From there on.
    pub position: u64,
    /// What somebody who knows the files should know.
    pub remark: Option<Remark>,
}

/// What became of the file in which a task stood.
#[derive(Debug)]
pub enum Remark {
    /// It has another name now.
    Renamed(PathBuf),
    /// It is not there any more, or was cut off or written anew.
    Lost(&'static str),
}

/// Opens the file of that name, or the one in which the task stood if that is in the same folder under another name.
/// `None` if there is none.
pub fn find(path: &Path, place: Option<&Place>) -> io::Result<Option<Found>> {
    let named = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // Opening a pipe would wait for its writer, and it has no positions.
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(_) => Some(File::open(path)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let Some(Place { position, identity }) = place.filter(|place| place.position > 0) else {
        return Ok(named.map(|file| Found { file, position: 0, remark: None }));
    };
    let lost = match (&named, identity) {
        (Some(file), Some(identity)) if file.metadata()?.ino() == identity.inode => {
            if holds(file, *position, identity)? { None } else { Some("it was cut off or written anew") }
        }
        (Some(file), None) => (file.metadata()?.len() < *position).then_some("it is shorter now"),
        (_, Some(identity)) => {
            if let Some((path, file)) = renamed(path, *position, identity) {
                return Ok(Some(Found { file, position: *position, remark: Some(Remark::Renamed(path)) }));
            }
            Some("another file has its name, and under no other name is it in the same folder")
        }
        (None, None) => None,
    };
    let (position, remark) = lost.map_or((*position, None), |why| (0, Some(Remark::Lost(why))));
    Ok(named.map(|file| Found { file, position, remark }))
}

fn holds(file: &File, position: u64, identity: &Identity) -> io::Result<bool> {
    Ok(file.metadata()?.len() >= position && has_fingerprint(file, identity.head)?)
}

/// What cannot be read in the folder is not the file: that one was read before.
fn renamed(path: &Path, position: u64, identity: &Identity) -> Option<(PathBuf, File)> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.ino() == identity.inode) {
        if entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            && holds(&file, position, identity).unwrap_or(false)
        {
            return Some((entry.path(), file));
        }
    }
    None
}
