//! Worker and connector files: YAML, JSON and Java properties, told apart by their ending.
//!
//! - [`node`]: documents as trees that keep every scalar's text and position
//! - [`yaml`], [`properties`]: the readers (JSON is read by both its own parser and the YAML one)
//! - [`flatten`](mod@flatten): nested mappings and lists → Kafka Connect's flat texts
//! - [`connector`]: the three forms in which a connector may be written
//!
//! Every error names file, line and, where there is one, key, and says how to mend it.

pub mod connector;
pub mod flatten;
pub mod node;
pub mod properties;
pub mod yaml;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::de::IgnoredAny;

pub use connector::{ConnectorFile, InitialState, read_connectors};
pub use flatten::flatten;
pub use node::{Node, Position, Tree};

/// What is wrong in a file, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file as it was named.
    pub file: String,
    /// Line from 1 and column from 1, where known.
    pub position: Option<Position>,
    /// What is wrong and the way out.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(p) => write!(f, "{}:{}:{}: {}", self.file, p.line, p.column, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for FileError {}

/// The formats, by ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
    Properties,
}

fn format(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        "properties" => Some(Format::Properties),
        _ => None,
    }
}

const WRONG_ENDING: &str = "the ending must be .yaml, .yml, .json or .properties";

/// Whether the file's ending is one of those that are read.
pub fn is_readable(path: &Path) -> bool {
    format(path).is_some()
}

/// Whether its name begins with a dot, as those of files that an editor has open do; folders are read without them.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Folders inside a folder that have files which could be read, but are not looked into; in order. None where the path is
/// no folder.
pub fn subfolders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten();
    let inside = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> =
        inside.filter(|p| p.is_dir() && !is_hidden(p) && files(p).is_ok_and(|found| !found.is_empty())).collect();
    folders.sort();
    folders
}

/// The files that a path names: itself, or those that can be read in a folder, sorted.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let fail = |message: String| FileError { file: path.display().to_string(), position: None, message };
    let entries = fs::read_dir(path).map_err(|e| fail(format!("cannot be listed: {e}")))?;
    let mut inside: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    inside.retain(|p| p.is_file() && is_readable(p) && !is_hidden(p));
    inside.sort();
    if inside.is_empty() {
        return Err(fail("the folder holds no .yaml, .yml, .json or .properties file".into()));
    }
    Ok(inside)
}

/// Reads the documents of a file.
pub fn read(path: &Path) -> Result<Vec<Tree>, FileError> {
    let file = path.display().to_string();
    let fail = |message: String| FileError { file: file.clone(), position: None, message };
    // Of a path that is not there its ending is of no interest.
    if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Err(fail("there is no such file or folder".into()));
    }
    if format(path).is_none() {
        return Err(fail(WRONG_ENDING.into()));
    }
    read_bytes(path, &fs::read(path).map_err(|e| fail(format!("cannot be read: {e}")))?)
}

/// As [`read`], of contents that were read before.
pub fn read_bytes(path: &Path, bytes: &[u8]) -> Result<Vec<Tree>, FileError> {
    let fail = |position, message| FileError { file: path.display().to_string(), position, message };
    let Some(format) = format(path) else { return Err(fail(None, WRONG_ENDING.into())) };
    parse(bytes, format).map_err(|(position, message)| fail(position, message))
}

/// As [`read`], from standard input: YAML or JSON.
pub fn read_text(name: &str, text: &str) -> Result<Vec<Tree>, FileError> {
    parse(text.as_bytes(), Format::Yaml).map_err(|(position, message)| FileError {
        file: name.to_owned(),
        position,
        message,
    })
}

/// As [`read`], from standard input, which has no ending: properties where every line is `key=value`, as a mapping in YAML or
/// JSON never is; else YAML or JSON.
pub fn read_input(name: &str, text: &str) -> Result<Vec<Tree>, FileError> {
    let format = if is_properties(text) { Format::Properties } else { Format::Yaml };
    parse(text.as_bytes(), format).map_err(|(position, message)| FileError { file: name.to_owned(), position, message })
}

/// Whether every line that is neither blank nor a comment begins with `key=`, or goes on with the one above.
fn is_properties(text: &str) -> bool {
    let (mut some, mut goes_on) = (false, false);
    for line in text.lines() {
        let line = line.trim_start();
        let begins = !goes_on && !line.is_empty() && !line.starts_with(['#', '!']);
        if begins {
            let key = line.split_once('=').map(|(key, _)| key.trim_end());
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_$".contains(c);
            if !key.is_some_and(|key| !key.is_empty() && key.chars().all(plain)) {
                return false;
            }
            some = true;
        }
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        goes_on = (begins || goes_on) && backslashes % 2 == 1;
    }
    some
}

type Failure = (Option<Position>, String);

fn parse(bytes: &[u8], format: Format) -> Result<Vec<Tree>, Failure> {
    if format == Format::Properties {
        return properties::parse(bytes).map(|tree| vec![tree]);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        (Some(Position { line, column: 1 }), "the file is not UTF-8 text; save it as UTF-8".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if format == Format::Json {
        // JSON's own parser judges the syntax; the tree with texts and positions comes from the YAML one.
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|e| (Some(Position { line: e.line(), column: e.column().max(1) }), not_json(&e)))?;
    }
    yaml::parse(text)
}

fn not_json(e: &serde_json::Error) -> String {
    let text = e.to_string();
    // The place stands in front already.
    let text = text.split(" at line ").next().unwrap_or_default();
    let hint = match text {
        t if t.starts_with("EOF") => "; the file ends too early: is a closing quote, brace or bracket missing?",
        "key must be a string" => {
            "; is there a comma too many before this? Keys stand in double quotes, and there are no comments"
        }
        "trailing comma" => "; remove it",
        "trailing characters" => "; a JSON file holds one document",
        t if t.starts_with("expected `,`") => "; is a comma missing before this?",
        _ => "",
    };
    format!("not valid JSON: {text}{hint}")
}

/// Reads a worker file: one document, flattened.
pub fn read_worker(path: &Path) -> Result<Vec<(String, String)>, FileError> {
    let file = path.display().to_string();
    let documents = read(path)?;
    let [tree] = documents.as_slice() else {
        return Err(FileError {
            file,
            position: None,
            message: format!("a worker file holds one document with its settings, not {}", documents.len()),
        });
    };
    flatten(tree).map_err(|(position, message)| FileError { file, position: Some(position), message })
}

#[cfg(test)]
mod tests {
    use super::is_properties;

    #[test]
    fn only_lines_of_keys_and_values_are_properties() {
        for (text, properties) in [
            ("name=a\nconnector.class=b\n", true),
            ("\u{20}# c\n\n! c\n name = a: {b}\nx=1,\\\n  y: 2\n", true),
            ("name=a\nx=1\\\\\ny: 2\n", false),
            ("# c\\\nname=a\n", true),
            ("name: a=b\nx=1\n", false),
            ("{\"name\": \"a=b\"}\n", false),
            ("- a=b\n", false),
            ("'a'=b\n", false),
            ("=b\n", false),
            ("a=b\nc\n", false),
            ("---\na=b\n", false),
            ("", false),
            ("# c\n", false),
        ] {
            assert_eq!(is_properties(text), properties, "{text}");
        }
    }
}
