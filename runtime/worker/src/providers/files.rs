//! Providers that read files: FileConfigProvider and DirectoryConfigProvider.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use connect_api::{Result, Settings};
use java_properties::{LineContent, PropertiesIter};

use super::{Answer, config_error};

/// The parameter that says below which paths a provider may read.
pub(super) const ALLOWED_PATHS: &str = "allowed.paths";

/// Below which paths a provider may read; everywhere where it is not said.
#[derive(Debug)]
pub(super) struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    pub(super) fn read(parameters: &Settings) -> Result<Self, String> {
        let Some(text) = parameters.get(ALLOWED_PATHS).filter(|t| !t.is_empty()) else { return Ok(Self(None)) };
        let one = |path: &str| {
            let path = normalised(Path::new(path));
            let hint = if path.to_string_lossy().starts_with(' ') { "; write no blank behind the comma" } else { "" };
            if !path.is_absolute() {
                return Err(format!("Path {} is not absolute{hint}", path.display()));
            }
            match path.try_exists() {
                Ok(true) => Ok(path),
                Ok(false) => Err(format!("Path {} does not exist", path.display())),
                Err(e) => Err(format!("Path {} cannot be looked at: {e}", path.display())),
            }
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(|all| Self(Some(all)))
    }

    /// The path to read, unless it is outside of what is allowed.
    fn check(&self, path: &str) -> Result<PathBuf, Answer> {
        let Some(allowed) = &self.0 else { return Ok(path.into()) };
        let path = normalised(Path::new(path));
        if allowed.iter().any(|a| path.starts_with(a)) {
            return Ok(path);
        }
        Err(Answer::refused(format!("the path {} is not within {ALLOWED_PATHS}", path.display())))
    }
}

/// The path without `.` and `..`, whatever is on the disk.
fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => drop(out.pop()),
                Some(Component::RootDir) => {}
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    out
}

/// Values of a properties file in UTF-8.
pub(super) fn properties(allowed: &AllowedPaths, path: &str, keys: &BTreeSet<&str>) -> Result<Answer> {
    if path.is_empty() {
        return Ok(Answer::refused("there is no path; write ${provider:/path/of/the/file:key}".into()));
    }
    let file = match allowed.check(path) {
        Ok(file) => file,
        Err(refused) => return Ok(refused),
    };
    // The file holds secrets, so its text must not come up in what is wrong with it.
    let failed = || config_error(format!("Could not read properties from file {path}"));
    let bytes = fs::read(&file).map_err(|e| failed().caused_by(e))?;
    if let Err(e) = std::str::from_utf8(&bytes) {
        return Err(failed().caused_by(io::Error::new(io::ErrorKind::InvalidData, e.to_string())));
    }
    let mut values = BTreeMap::new();
    for line in PropertiesIter::new_with_encoding(bytes.as_slice(), encoding_rs::UTF_8) {
        let line = line.map_err(|e| match e.line_number() {
            Some(n) => failed().caused_by(io::Error::new(io::ErrorKind::InvalidData, format!("line {n} is wrong"))),
            None => failed(),
        })?;
        if let LineContent::KVPair(key, value) = line.consume_content()
            && keys.contains(key.as_str())
        {
            // The last one counts, as for Java.
            values.insert(key, value);
        }
    }
    Ok(Answer { values, refused: None })
}

/// Contents of files in a directory, as they are.
pub(super) fn directory(allowed: &AllowedPaths, path: &str, keys: &BTreeSet<&str>) -> Result<Answer> {
    if path.is_empty() {
        return Ok(Answer::refused("there is no path; write ${provider:/path/of/the/directory:file}".into()));
    }
    let folder = match allowed.check(path) {
        Ok(folder) => folder,
        Err(refused) => return Ok(refused),
    };
    if !folder.is_dir() {
        return Ok(Answer::refused(format!("the path {path} is not a directory")));
    }
    let listed = |e: io::Error| config_error(format!("Could not list directory {path}")).caused_by(e);
    let mut values = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let name = entry.file_name();
        let Some(key) = name.to_str().filter(|name| keys.contains(name)) else { continue };
        // Links are followed: mounted secrets are links.
        if entry.path().is_file() {
            let text = fs::read_to_string(entry.path()).map_err(|e| {
                config_error(format!("Could not read file {} for property {key}", entry.path().display())).caused_by(e)
            })?;
            values.insert(key.to_owned(), text);
        }
    }
    Ok(Answer { values, refused: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_without_the_disk() {
        for (given, wanted) in
            [("/a/./b/../c", "/a/c"), ("/../a", "/a"), ("../a/..", ".."), ("a/../../b", "../b"), ("/a//b/", "/a/b")]
        {
            assert_eq!(normalised(Path::new(given)), Path::new(wanted), "{given}");
        }
    }

    #[test]
    fn allowed_paths_must_be_absolute_and_there() {
        let read = |text: &str| AllowedPaths::read(&Settings::from([(ALLOWED_PATHS, text)])).map(drop);
        assert_eq!(read("etc"), Err("Path etc is not absolute".into()));
        assert_eq!(
            read("/, /x"),
            Err("Path  /x is not absolute; write no blank behind the comma".into()),
            "blanks are part of a path, as for Java"
        );
        assert_eq!(read("/,/nowhere/x/.."), Err("Path /nowhere does not exist".into()));
        assert_eq!(read(""), Ok(()));
    }

    #[test]
    fn paths_are_compared_part_by_part_after_dots_are_gone() {
        let allowed = AllowedPaths(Some(vec!["/etc/secrets".into()]));
        assert_eq!(allowed.check("/etc/secrets/a/../b").ok(), Some("/etc/secrets/b".into()));
        for outside in ["/etc/secrets/../shadow", "/etc/secrets2", "etc/secrets", "/etc"] {
            assert!(allowed.check(outside).is_err(), "{outside}");
        }
    }
}
