//! Compressed copies of files that were being read: what `gzip` leaves of a log after its rotation.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    follow::change,
    input::Input,
    place::{HEAD, Place, begins_with},
};

/// The compressed files of some folders.
#[derive(Debug, Default)]
pub struct Archives(Vec<Archive>);

#[derive(Debug)]
struct Archive {
    path: PathBuf,
    /// When its contents were last written to: `gzip` keeps the time.
    modified: i64,
    /// How its contents begin.
    head: Vec<u8>,
}

/// What was found of a file.
#[derive(Debug)]
pub enum Copied {
    /// It was read to its end before it was compressed.
    Read,
    /// It may hold more than was read.
    Unread(PathBuf, Box<Input>),
}

impl Archives {
    /// Those beside a file.
    pub fn beside(path: &Path) -> Self {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        Self::among(entries.map(|entry| entry.path()))
    }

    /// Those among some files. What cannot be read is none.
    pub fn among(paths: impl Iterator<Item = PathBuf>) -> Self {
        Self(paths.filter_map(Archive::look).collect())
    }

    /// The copy of the file in which a task stood there.
    pub fn copy_of(&self, place: &Place) -> Option<Copied> {
        let head = place.identity.as_ref()?.head;
        let mut alike = self.0.iter().filter(|archive| head.0 > 0 && begins_with(&archive.head, head));
        if place.ended.is_some() && alike.clone().any(|archive| place.ended == Some(archive.modified)) {
            return Some(Copied::Read);
        }
        // The oldest one that was written to later, should several files begin so.
        let latest = place.ended.unwrap_or(i64::MIN);
        let copy = alike.clone().filter(|archive| archive.modified > latest).min_by_key(|archive| archive.modified);
        let path = copy.or_else(|| alike.next())?.path.clone();
        let input = Input::new(File::open(&path).ok()?, &path, true).ok()?;
        Some(Copied::Unread(path, Box::new(input)))
    }
}

impl Archive {
    fn look(path: PathBuf) -> Option<Self> {
        if path.extension()? != "gz" {
            return None;
        }
        let file = File::open(&path).ok()?;
        let metadata = file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.size() > 0)?;
        let mut input = Input::new(file, &path, true).ok().filter(Input::is_compressed)?;
        let (mut head, mut read) = (vec![0; HEAD], 0);
        while read < HEAD {
            match input.read_at(&mut head[read..], read as u64).ok()? {
                None => {}
                Some(0) => break,
                Some(n) => read += n,
            }
        }
        head.truncate(read);
        Some(Self { path, modified: change(&metadata).1, head })
    }
}
