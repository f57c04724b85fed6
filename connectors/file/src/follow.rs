//! Follows one file to its end, and finds the file in which a task stood. Everything here blocks, shortly.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    archives::{Archives, Copied},
    between::Former,
    input::Input,
    lines::{Lines, Piece},
    place::{Head, Identity, Place, has_fingerprint},
};

const CHUNK: usize = 128 * 1024;

/// A file that is read from some place on.
#[derive(Debug)]
pub struct Followed {
    input: Input,
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
    /// Whether that end was in the middle of compressed data, and was told.
    told_cut: bool,
    /// Length and time of the last change when the beginning was last looked at.
    seen: (u64, i64, i64),
    stage: Stage,
    /// Inodes of the files that were seen to have its name since it had not.
    successors: Vec<u64>,
    finished: bool,
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
    pub fn new(input: Input, position: u64, limit: usize) -> io::Result<Self> {
        let metadata = input.file().metadata()?;
        let known = if input.is_compressed() { metadata.len() } else { position };
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            head: Head::read(input.file(), known)?,
            told_cut: false,
            lines: Lines::new(limit),
            position,
            read: position,
            at_end: true,
            seen: change(&metadata),
            stage: Stage::Following,
            successors: Vec::new(),
            finished: false,
            input,
        })
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        let identity = Identity { inode: self.inode, head: self.head.fingerprint() };
        let (length, modified, _) = self.seen;
        let is_end = !self.input.is_compressed() && self.position == length;
        Place { position: self.position, identity: Some(identity), ended: is_end.then_some(modified) }
    }

    /// Bytes behind the last piece.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What is to be known of it when it is over and another one has its name; `None` if it had the name to the end.
    pub fn into_former(self) -> io::Result<Option<Former>> {
        if self.successors.is_empty() && !self.finished {
            Ok(None)
        } else {
            Former::new(self.input.file(), self.successors).map(Some)
        }
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
        if !self.input.is_compressed() {
            self.head.extend(self.lines.passed(length));
        }
        self.position += length as u64;
        piece
    }

    /// Reads what is there, and then no more.
    pub fn finish(&mut self) {
        self.finished = true;
        if self.stage != Stage::Over {
            self.stage = Stage::Draining;
        }
    }

    /// Length and time of the last change when it was last looked at.
    pub fn seen(&self) -> (u64, i64, i64) {
        self.seen
    }

    /// Whether its end turned out to be in the middle of compressed data, once.
    pub fn is_newly_cut(&mut self) -> bool {
        let is_cut = self.input.is_cut();
        !std::mem::replace(&mut self.told_cut, is_cut) && is_cut
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
        let (input, at) = (&mut self.input, self.read);
        let mut is_on_its_way = false;
        // Most looks find nothing, and need no room for it.
        let read = if !input.has_more(at)? {
            0
        } else {
            self.lines.fill(CHUNK, |room| {
                let read = input.read_at(room, at)?;
                is_on_its_way = read.is_none();
                Ok::<_, io::Error>(read.unwrap_or(0))
            })?
        };
        if is_on_its_way {
            return Ok(true);
        }
        self.read += read as u64;
        // What is unpacked comes in pieces of any size.
        self.at_end = if self.input.is_compressed() { read == 0 } else { read < CHUNK };
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
        let metadata = self.input.file().metadata()?;
        let seen = std::mem::replace(&mut self.seen, change(&metadata));
        let least = if self.input.is_compressed() { seen.0 } else { self.read };
        if metadata.len() < least || (self.seen != seen && !self.head.matches(self.input.file())?) {
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

/// Length, time of the last change in milliseconds, and what is left of it in nanoseconds.
pub(crate) fn change(metadata: &Metadata) -> (u64, i64, i64) {
    let nanos = metadata.mtime_nsec();
    (metadata.len(), metadata.mtime() * 1000 + nanos / 1_000_000, nanos % 1_000_000)
}

/// Where to go on.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub input: Input,
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
/// `None` if there is none. Whether what is compressed is to be unpacked is `unpack`.
pub fn find(path: &Path, place: Option<&Place>, unpack: bool) -> io::Result<Option<Found>> {
    let named = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // Opening a pipe would wait for its writer, and it has no positions.
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(_) => Some(Input::new(File::open(path)?, path, unpack)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let Some(place) = place.filter(|place| place.position > 0) else {
        return Ok(named.map(|input| Found { input, position: 0, remark: None }));
    };
    let lost =
        match (&named, &place.identity) {
            (Some(input), Some(identity)) if input.file().metadata()?.ino() == identity.inode => {
                if holds(input, place)? { None } else { Some("it was cut off or written anew") }
            }
            (Some(input), None) => (!holds(input, place)?).then_some("it is shorter now"),
            (_, Some(identity)) => {
                if let Some((path, input)) = renamed(path, place, identity.inode, unpack) {
                    let (position, remark) = (place.position, Some(Remark::Renamed(path)));
                    return Ok(Some(Found { input, position, remark }));
                }
                match if unpack { Archives::beside(path).copy_of(place) } else { None } {
                    Some(Copied::Unread(path, input)) => {
                        let (position, remark) = (place.position, Some(Remark::Renamed(path)));
                        return Ok(Some(Found { input: *input, position, remark }));
                    }
                    Some(Copied::Read) => return Ok(named.map(|input| Found { input, position: 0, remark: None })),
                    None => Some("another file has its name, and under no other name is it in the same folder"),
                }
            }
            (None, None) => None,
        };
    let (position, remark) = lost.map_or((place.position, None), |why| (0, Some(Remark::Lost(why))));
    Ok(named.map(|input| Found { input, position, remark }))
}

/// Whether a file, which has the inode of the place, is the one in which the task stood.
pub fn holds(input: &Input, place: &Place) -> io::Result<bool> {
    // How long the contents of a compressed file are shows when they are read.
    let is_long_enough = input.is_compressed() || input.file().metadata()?.len() >= place.position;
    let is_the_same = match &place.identity {
        Some(identity) => has_fingerprint(input.file(), identity.head)?,
        None => true,
    };
    Ok(is_long_enough && is_the_same)
}

/// The file with that inode in the folder of `path`, if it is the one in which the task stood. What cannot be read in the
/// folder is not the file: that one was read before.
pub fn renamed(path: &Path, place: &Place, inode: u64, unpack: bool) -> Option<(PathBuf, Input)> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.ino() == inode) {
        if entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            && let Ok(input) = Input::new(file, path, unpack)
            && holds(&input, place).unwrap_or(false)
        {
            return Some((entry.path(), input));
        }
    }
    None
}
