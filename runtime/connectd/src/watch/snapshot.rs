//! The contents of all watched files at a moment.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use connect_files::{is_hidden, is_readable};

/// No connector file is as large as that.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Files with their contents, or why those could not be read.
    pub(super) files: BTreeMap<PathBuf, Result<Vec<u8>, String>>,
    /// Files and folders that were asked for and are missing or empty, and how.
    pub(super) missing: BTreeMap<PathBuf, String>,
}

impl Snapshot {
    /// What is at these paths, through symbolic links.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut snapshot = Self::default();
        for path in paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => snapshot.folder(path),
                Ok(_) => snapshot.file(path),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    snapshot.missing.insert(path.clone(), "there is no such file or folder".into());
                }
                Err(e) => drop(snapshot.missing.insert(path.clone(), format!("cannot be looked at: {e}"))),
            }
        }
        snapshot
    }

    fn folder(&mut self, folder: &Path) {
        let before = self.files.len();
        let listed = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let entries = match listed {
            Ok(entries) => entries,
            Err(e) => return drop(self.missing.insert(folder.to_owned(), format!("cannot be listed: {e}"))),
        };
        for path in entries.into_iter().map(|entry| entry.path()).filter(|path| is_readable(path) && !is_hidden(path)) {
            // A link whose target is away is a file that is gone; an unreadable one is there.
            match fs::metadata(&path) {
                Ok(found) if found.is_file() => self.file(&path),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => drop(self.files.insert(path, Err(format!("cannot be looked at: {e}")))),
            }
        }
        if self.files.len() == before {
            let why = "the folder holds no .yaml, .yml, .json or .properties file";
            self.missing.insert(folder.to_owned(), why.into());
        }
    }

    fn file(&mut self, path: &Path) {
        let read = match fs::metadata(path) {
            Ok(found) if found.len() > LARGEST => {
                Err(format!("has {} bytes, which no connector file has; at most {LARGEST} are read", found.len()))
            }
            _ => fs::read(path).map_err(|e| format!("cannot be read: {e}")),
        };
        self.files.insert(path.to_owned(), read);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn contents_behind_links_are_seen_when_the_link_is_swapped() {
        let dir = tempfile::tempdir().expect("folder");
        let at = |name: &str| dir.path().join(name);
        // As Kubernetes mounts a ConfigMap.
        for (version, text) in [("..1", "a: 1"), ("..2", "a: 2")] {
            fs::create_dir(at(version)).expect("folder");
            fs::write(at(version).join("c.yaml"), text).expect("file");
        }
        symlink("..1", at("..data")).expect("link");
        symlink("..data/c.yaml", at("c.yaml")).expect("link");
        fs::write(at("notes.txt"), "ignored").expect("file");
        fs::write(at(".c.yaml"), "an editor's").expect("file");
        let paths = [dir.path().to_owned()];
        let first = Snapshot::of(&paths);
        assert_eq!(first.files, BTreeMap::from([(at("c.yaml"), Ok(b"a: 1".to_vec()))]));
        symlink("..2", at("..next")).expect("link");
        fs::rename(at("..next"), at("..data")).expect("swap");
        let second = Snapshot::of(&paths);
        assert_eq!(second.files, BTreeMap::from([(at("c.yaml"), Ok(b"a: 2".to_vec()))]));
    }

    #[test]
    fn what_is_missing_or_empty_is_told_apart_from_what_is_gone() {
        let dir = tempfile::tempdir().expect("folder");
        let (empty, none) = (dir.path().join("empty"), dir.path().join("none.yaml"));
        fs::create_dir(&empty).expect("folder");
        let snapshot = Snapshot::of(&[empty.clone(), none.clone()]);
        assert_eq!(snapshot.missing.keys().collect::<Vec<_>>(), [&empty, &none]);
        fs::write(empty.join("a.yaml"), "").expect("file");
        assert!(Snapshot::of(&[empty]).missing.is_empty());
    }

    #[test]
    fn files_that_cannot_be_meant_are_not_read() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("large.json");
        fs::File::create(&path).and_then(|f| f.set_len(LARGEST + 1)).expect("file");
        let snapshot = Snapshot::of(&[dir.path().to_owned()]);
        assert!(matches!(&snapshot.files[&path], Err(why) if why.contains("no connector file")));
    }
}
