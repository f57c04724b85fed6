//! Which files a pattern matches.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use glob::MatchOptions;

/// As in shells, but for hidden files, which are as all others.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A pattern of paths, and one of what is left out.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    folders: String,
    exclude: Option<glob::Pattern>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Regular files, those that were changed last at the end.
    pub files: Vec<(PathBuf, Metadata)>,
    /// What could not be looked at, and why.
    pub problems: BTreeSet<String>,
}

impl Pattern {
    /// Whether a text has what makes it a pattern.
    pub(crate) fn is_one(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn check(text: &str) -> Result<glob::Pattern, String> {
        glob::Pattern::new(text).map_err(|e| format!("it is no pattern: {} at its character {}", e.msg, e.pos + 1))
    }

    pub(crate) fn new(text: &str, exclude: Option<&str>) -> Result<Pattern, String> {
        Self::check(text)?;
        let folder = Path::new(text).parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folders = folder.to_string_lossy().into_owned();
        Ok(Pattern { text: text.to_owned(), folders, exclude: exclude.map(Self::check).transpose()? })
    }

    /// The files that are there now.
    pub(crate) fn matches(&self) -> Matches {
        let mut found = Matches::default();
        // It was read before.
        for path in glob::glob_with(&self.text, OPTIONS).into_iter().flatten() {
            let looked = path.map_err(std::io::Error::from).and_then(|path| {
                let metadata = fs::metadata(&path)?;
                Ok((path, metadata))
            });
            match looked {
                Ok((path, metadata)) if metadata.is_file() && !self.excludes(&path) => {
                    found.files.push((path, metadata))
                }
                Ok(_) => {}
                // It was renamed or removed just now.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    found.problems.insert(format!("looking for files by {}: {e}", self.text));
                }
            }
        }
        // Of several paths to one file, as links make them, the shortest is its name.
        let depth = |path: &PathBuf| path.components().count();
        found.files.sort_by_cached_key(|(path, metadata)| (metadata.modified().ok(), depth(path), path.clone()));
        let mut seen = HashSet::new();
        found.files.retain(|(_, metadata)| seen.insert((metadata.dev(), metadata.ino())));
        found
    }

    /// Regular files that are in the folders of what it matches, and are not what it matches.
    pub(crate) fn others(&self) -> Vec<(PathBuf, Metadata)> {
        // Any number of folders may also be none.
        let base = self.folders.strip_suffix("/**").map(PathBuf::from);
        let folders = glob::glob_with(&self.folders, OPTIONS).into_iter().flatten().flatten().chain(base);
        let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flat_map(|entries| entries.flatten());
        let pattern = glob::Pattern::new(&self.text).ok();
        let is_other = |path: &Path| !pattern.as_ref().is_some_and(|p| p.matches_path_with(path, OPTIONS));
        entries
            .map(|entry| entry.path())
            .filter(|path| is_other(path) || self.excludes(path))
            .filter_map(|path| Some((fs::metadata(&path).ok().filter(Metadata::is_file)?, path)))
            .map(|(metadata, path)| (path, metadata))
            .collect()
    }

    fn excludes(&self, path: &Path) -> bool {
        self.exclude.as_ref().is_some_and(|exclude| {
            let of_names = !exclude.as_str().contains('/');
            let name = path.file_name().map(Path::new);
            exclude.matches_path_with(if of_names { name.unwrap_or(path) } else { path }, OPTIONS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_files_of_folders_but_for_what_is_left_out() {
        let dir = tempfile::tempdir().expect("folder");
        let path = |name: &str| dir.path().join(name);
        for folder in ["a", "b", "b/deep", "c.log"] {
            fs::create_dir(path(folder)).expect("folder");
        }
        for file in ["a/x.log", "a/y.log.gz", "b/z.log", "b/deep/w.log", "a/.hidden.log", "v.log"] {
            fs::write(path(file), file).expect("file");
        }
        let found = |text: &str, exclude: Option<&str>| {
            let pattern = Pattern::new(&path(text).to_string_lossy(), exclude).expect("a pattern");
            let all = pattern.matches();
            assert!(all.problems.is_empty());
            let names =
                all.files.iter().map(|(p, _)| p.strip_prefix(dir.path()).expect("inside").display().to_string());
            let (mut names, others) = (names.collect::<Vec<_>>(), pattern.others().len());
            names.sort();
            (names.join(" "), others)
        };
        assert_eq!(found("*.log", None), ("v.log".into(), 0));
        assert_eq!(found("*/*.log*", None), ("a/.hidden.log a/x.log a/y.log.gz b/z.log".into(), 0));
        assert_eq!(found("*/*.log*", Some("*.gz")), ("a/.hidden.log a/x.log b/z.log".into(), 1));
        assert_eq!(found("**/[wx].log", Some("**/a/*")), ("b/deep/w.log".into(), 5));
        assert_eq!(found("a/z*", None), (String::new(), 3));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert_eq!(
            Pattern::check("/var/[a").expect_err("no pattern"),
            "it is no pattern: invalid range pattern at its character 6"
        );
    }
}
