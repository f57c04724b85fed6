//! What had a file's name between the file that was read and the one that is read next: nobody reads it, so somebody
//! should know.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file that was read to its end, as it was then.
#[derive(Debug)]
pub struct Former {
    inode: u64,
    created: Option<SystemTime>,
    modified: SystemTime,
    /// Inodes of the files that were seen to have the name since then.
    successors: Vec<u64>,
}

/// A file that was passed over.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// It has this name now.
    Renamed(PathBuf),
    /// It may have been one, by its name and its times.
    Perhaps(PathBuf),
    /// The file with this inode is no longer in the folder.
    Gone(u64),
}

impl Former {
    /// Of a file, and of the inodes that were seen to have its name since.
    pub fn new(file: &File, successors: Vec<u64>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { inode: metadata.ino(), created: metadata.created().ok(), modified: metadata.modified()?, successors })
    }

    /// The files that had the name `path` before `current` got it, as far as that can be known: those that were seen,
    /// and files beside it, with names that begin so, which came after this one and were written to after this one was
    /// for the last time. A compressed copy keeps the time of what it was made of.
    pub fn passed_over(&self, path: &Path, current: &File) -> io::Result<Vec<Passed>> {
        let current = current.metadata()?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut passed = Vec::new();
        let mut seen: Vec<u64> = self.successors.iter().copied().filter(|inode| *inode != current.ino()).collect();
        for entry in fs::read_dir(folder)?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if !metadata.is_file() || [self.inode, current.ino()].contains(&metadata.ino()) {
                continue;
            }
            let known = seen.iter().position(|inode| *inode == metadata.ino()).map(|at| seen.remove(at)).is_some();
            let file_name = entry.file_name();
            let suffix = file_name.as_encoded_bytes().strip_prefix(name);
            match suffix.filter(|_| self.came_between(&metadata, &current)) {
                _ if known => passed.push(Passed::Renamed(entry.path())),
                Some(suffix) if is_of_rotation(suffix) => passed.push(Passed::Renamed(entry.path())),
                Some(_) => passed.push(Passed::Perhaps(entry.path())),
                None => {}
            }
        }
        passed.extend(seen.into_iter().map(Passed::Gone));
        Ok(passed)
    }

    fn came_between(&self, file: &Metadata, current: &Metadata) -> bool {
        let created = file.created().ok();
        let after = created.zip(self.created).is_none_or(|(file, former)| file >= former);
        let before = created.zip(current.created().ok()).is_none_or(|(file, current)| file <= current);
        file.len() > 0 && after && before && file.modified().is_ok_and(|modified| modified > self.modified)
    }
}

/// Whether it is a number or a date, as rotation puts it behind a name.
fn is_of_rotation(suffix: &[u8]) -> bool {
    let suffix = suffix.strip_suffix(b".gz").unwrap_or(suffix);
    matches!(suffix, [b'.' | b'-' | b'_', b'0'..=b'9', rest @ ..] if
        rest.iter().all(|b| b.is_ascii_digit() || b".-_:T".contains(b)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        follow::{Followed, News},
        input::Input,
    };

    /// A file with one line, written to so many seconds after the first one of a test.
    fn file(path: &Path, second: u64) -> File {
        fs::write(path, "line\n").expect("file");
        let file = File::options().append(true).open(path).expect("file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + second);
        file.set_modified(time).expect("time");
        file
    }

    fn input(file: File, path: &Path) -> Input {
        Input::new(file, path, true).expect("input")
    }

    #[test]
    fn rotation_puts_numbers_and_dates_behind_names() {
        for suffix in [".1", ".12.gz", "-20261121", ".2026-11-21T10:00", "_3"] {
            assert!(is_of_rotation(suffix.as_bytes()), "{suffix}");
        }
        for suffix in ["", ".gz", "-errors.log", ".bak", "2", ".1~", ".x1"] {
            assert!(!is_of_rotation(suffix.as_bytes()), "{suffix}");
        }
    }

    #[test]
    fn files_that_came_and_went_between_two_looks_are_named() {
        let dir = tempfile::tempdir().expect("folder");
        let path = |name: &str| dir.path().join(name);
        let older = file(&path("log.3"), 0);
        let former = Former::new(&file(&path("log.2"), 10), Vec::new()).expect("former");
        let passed = |current: &File| former.passed_over(&path("log"), current).expect("folder");
        let current = file(&path("log"), 30);
        assert_eq!(passed(&current), []);
        // A compressed copy of the one that was read, one that is empty, and one of another name.
        file(&path("log.2.gz"), 10);
        fs::write(path("log.empty"), "").expect("file");
        file(&path("other.1"), 20);
        assert_eq!(passed(&current), []);
        fs::remove_file(path("log")).expect("remove");
        file(&path("log.1"), 20);
        let current = file(&path("log"), 30);
        assert_eq!(passed(&current), [Passed::Renamed(path("log.1"))]);
        drop(older);
    }

    #[test]
    fn a_file_that_is_rotated_twice_between_two_looks_knows_what_was_passed_over() {
        let dir = tempfile::tempdir().expect("folder");
        let (path, older) = (dir.path().join("log"), |n: u8| dir.path().join(format!("log.{n}")));
        let mut followed = Followed::new(input(file(&path, 0), &path), 0, 100).expect("followed");
        assert_eq!(followed.check(&path, Duration::ZERO).expect("look"), None);
        fs::rename(&path, older(2)).expect("rename");
        file(&path, 1);
        fs::rename(&path, older(1)).expect("rename");
        let current = file(&path, 2);
        assert_eq!(followed.check(&path, Duration::ZERO).expect("look"), Some(News::Replaced));
        let former = followed.into_former().expect("former").expect("it has lost its name");
        assert_eq!(former.passed_over(&path, &current).expect("folder"), [Passed::Renamed(older(1))]);

        let kept = Followed::new(input(current, &path), 0, 100).expect("followed");
        assert!(kept.into_former().expect("former").is_none(), "it has its name");
    }

    #[test]
    fn files_that_were_seen_are_named_wherever_they_are() {
        let dir = tempfile::tempdir().expect("folder");
        let path = |name: &str| dir.path().join(name);
        let inode = |file: &File| file.metadata().expect("metadata").ino();
        let (read, seen) = (file(&path("log.2"), 10), file(&path("elsewhere"), 5));
        let current = file(&path("log"), 30);
        let former = Former::new(&read, vec![inode(&seen), u64::MAX, inode(&current)]).expect("former");
        assert_eq!(
            former.passed_over(&path("log"), &current).expect("folder"),
            [Passed::Renamed(path("elsewhere")), Passed::Gone(u64::MAX)]
        );
    }
}
