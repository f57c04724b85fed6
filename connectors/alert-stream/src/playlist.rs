//! Which files there are, and where in them a source offset stands.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use connect_api::OffsetMap;

const ROUND: &str = "round";
const FILE: &str = "file";
const RECORD: &str = "record";

/// A packet in the sequence of all rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The round, from 0.
    pub round: i64,
    /// The file.
    pub file: String,
    /// The number of the packet in its file, from 0.
    pub record: u64,
}

impl Position {
    /// The position as a source offset.
    pub fn to_offset(&self) -> OffsetMap {
        [(ROUND, self.round.into()), (FILE, self.file.as_str().into()), (RECORD, self.record.into())]
            .into_iter()
            .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
            .collect()
    }

    /// The position that a source offset stands for; `None` if it is none of ours.
    pub fn from_offset(offset: &OffsetMap) -> Option<Position> {
        Some(Position {
            round: offset.get(ROUND)?.as_i64()?,
            file: offset.get(FILE)?.as_str()?.to_owned(),
            record: offset.get(RECORD)?.as_u64()?,
        })
    }
}

/// The files that are left of a round after that position, in order, each with the number of packets to pass over.
pub fn remaining(files: Vec<PathBuf>, after: Option<&Position>) -> Vec<(PathBuf, u64)> {
    let Some(after) = after else { return files.into_iter().map(|file| (file, 0)).collect() };
    let at = Path::new(&after.file);
    // By order and not by place: files may have come and gone since.
    let rest = files.into_iter().filter(|file| **file >= *at);
    rest.map(|file| if *file == *at { (file, after.record + 1) } else { (file, 0) }).collect()
}

/// All files that the settings name, sorted.
///
/// # Errors
///
/// If a folder cannot be read, or a name without wildcards does not exist.
pub fn find(names: &[String]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in names {
        let path = Path::new(name);
        match path.file_name().and_then(|name| name.to_str()) {
            Some(pattern) if pattern.contains(['*', '?']) => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                found.extend(list(folder, |name| matches(pattern, name))?);
            }
            _ if fs::metadata(path)?.is_dir() => found.extend(list(path, |name| name.ends_with(".avro"))?),
            _ => found.push(path.to_owned()),
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Why nothing was found, name by name.
pub fn why_nothing(names: &[String]) -> String {
    let reasons: Vec<String> = names.iter().map(|name| reason(name)).collect();
    reasons.join("; ")
}

fn reason(name: &str) -> String {
    if !Path::new(name).is_dir() {
        return format!("no file matches {name}");
    }
    match list(Path::new(name), |_| true).map_or(0, |files| files.len()) {
        0 => format!("the folder {name} has no files"),
        others => format!("of the {others} files in the folder {name} none ends in .avro"),
    }
}

fn list(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&wanted) && entry.path().is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a name matches a pattern, in which `*` stands for any text and `?` for any character.
fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match (first, name.chars().next()) {
        ('*', next) => matches(rest, name) || next.is_some_and(|c| matches(pattern, &name[c.len_utf8()..])),
        ('?', Some(c)) => matches(rest, &name[c.len_utf8()..]),
        (first, Some(c)) => first == c && matches(rest, &name[c.len_utf8()..]),
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn offsets_go_both_ways() {
        let position = Position { round: 3, file: "a.avro".into(), record: 7 };
        let offset = position.to_offset();
        assert_eq!(serde_json::Value::from(offset.clone()).to_string(), r#"{"round":3,"file":"a.avro","record":7}"#);
        assert_eq!(Position::from_offset(&offset), Some(position));
        assert_eq!(Position::from_offset(&OffsetMap::new()), None);
    }

    #[test]
    fn a_round_goes_on_behind_its_position() {
        let files = || paths(&["a.avro", "b.avro", "c.avro"]);
        let expect = |entries: &[(&str, u64)]| -> Vec<(PathBuf, u64)> {
            entries.iter().map(|(file, skip)| (PathBuf::from(file), *skip)).collect()
        };
        let at = |file: &str| Position { round: 0, file: file.into(), record: 4 };
        assert_eq!(remaining(files(), None), expect(&[("a.avro", 0), ("b.avro", 0), ("c.avro", 0)]));
        assert_eq!(remaining(files(), Some(&at("b.avro"))), expect(&[("b.avro", 5), ("c.avro", 0)]));
        assert_eq!(remaining(files(), Some(&at("bb.avro"))), expect(&[("c.avro", 0)]), "that file is gone");
    }

    #[test]
    fn files_folders_and_wildcards_are_found_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b2.avro", "b1.avro", "a.avro", "notes.txt"] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let find = |names: &[String]| -> Vec<String> {
            let found = find(names).expect("found");
            found.iter().map(|p| p.file_name().expect("a name").to_string_lossy().into_owned()).collect()
        };
        assert_eq!(find(&[name("")]), ["a.avro", "b1.avro", "b2.avro"]);
        assert_eq!(find(&[name("b?.avro"), name("b1.avro")]), ["b1.avro", "b2.avro"]);
        assert_eq!(find(&[name("*t*")]), ["notes.txt"]);
        assert!(super::find(&[name("absent.avro")]).is_err());
    }

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.avro", "é.avro", true),
            ("*.avro", "a.avro2", false),
            ("a?c", "aéc", true),
            ("a*b*c", "aXbYbc", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
