//! Connectors as files declare them, with the line of every key.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::PathBuf,
};

use connect_files::{
    ConnectorFile, FileError, Tree,
    connector::{from_documents, line_of},
    files, read, read_input,
};
use connect_rest_model::ConfigMap;
use serde::Serialize;

/// How standard input is called in problems.
const STDIN: &str = "<stdin>";

/// Something that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line from 1, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The connector, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// The key, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Whether the connector can run all the same.
    pub warning: bool,
}

impl Problem {
    /// `file:line: connector: key: message`, as editors can jump to.
    pub fn line(&self) -> String {
        let line = self.line.map(|l| format!(":{l}")).unwrap_or_default();
        let warning = if self.warning { "warning: " } else { "" };
        let part = |p: &Option<String>| p.as_ref().map(|p| format!("{p}: ")).unwrap_or_default();
        format!("{}{line}: {warning}{}{}{}", self.file, part(&self.connector), part(&self.key), self.message)
    }
}

impl From<FileError> for Problem {
    fn from(e: FileError) -> Self {
        let line = e.position.map(|p| p.line);
        Self { file: e.file, line, connector: None, key: None, message: e.message, warning: false }
    }
}

/// A connector that a file declares.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What is declared.
    pub connector: ConnectorFile,
    document: Tree,
}

impl Declared {
    /// The settings as a request has them.
    pub fn config(&self) -> ConfigMap {
        self.connector.config.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect()
    }

    /// The value of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.connector.config.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A problem of a key, at its line; of a key that is not written, at the line where the connector begins.
    pub fn problem(&self, key: Option<&str>, message: impl Into<String>) -> Problem {
        let line = key.and_then(|k| line_of(&self.document, k));
        Problem {
            file: self.connector.file.clone(),
            line: Some(line.unwrap_or(self.connector.position.line)),
            connector: Some(self.connector.name.clone()),
            key: key.map(str::to_owned),
            message: message.into(),
            warning: false,
        }
    }
}

/// Reads all files, folders and standard input (`-`), and says everything that is wrong in them. The same name
/// in two places is wrong, too.
pub fn read_all(arguments: &[PathBuf]) -> (Vec<Declared>, Vec<Problem>) {
    let mut all: Vec<Declared> = Vec::new();
    let mut problems = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            documents(STDIN, stdin(), &mut all, &mut problems);
            continue;
        }
        match files(argument) {
            Ok(paths) => {
                for path in paths {
                    documents(&path.display().to_string(), read(&path), &mut all, &mut problems);
                }
            }
            Err(e) => problems.push(e.into()),
        }
    }
    let mut places: HashMap<&str, String> = HashMap::new();
    for declared in &all {
        let c = &declared.connector;
        let place = format!("{}:{}", c.file, c.position.line);
        match places.get(c.name.as_str()) {
            Some(first) => problems.push(declared.problem(
                Some("name"),
                format!("the connector is declared twice, first at {first}; rename or remove one of them"),
            )),
            None => drop(places.insert(&c.name, place)),
        }
    }
    (all, problems)
}

fn stdin() -> Result<Vec<Tree>, FileError> {
    let mut text = String::new();
    let read = io::stdin().lock().read_to_string(&mut text);
    read.map_err(|e| FileError {
        file: STDIN.into(),
        position: None,
        message: format!("cannot be read as UTF-8 text: {e}"),
    })?;
    read_input(STDIN, &text)
}

/// Documents are read one by one, so that each tells what is wrong in it.
fn documents(
    file: &str,
    documents: Result<Vec<Tree>, FileError>,
    all: &mut Vec<Declared>,
    problems: &mut Vec<Problem>,
) {
    let documents = match documents {
        Ok(documents) => documents,
        Err(e) => return problems.push(e.into()),
    };
    if documents.is_empty() {
        problems.extend(from_documents(file, &[]).err().map(Problem::from));
    }
    for document in documents {
        match from_documents(file, std::slice::from_ref(&document)) {
            Ok(connectors) => {
                all.extend(connectors.into_iter().map(|connector| Declared { connector, document: document.clone() }));
            }
            Err(e) => problems.push(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use connect_files::read_text;

    use super::*;

    fn declared(text: &str) -> Declared {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        documents("f.yaml", read_text("f.yaml", text), &mut all, &mut problems);
        assert_eq!(problems, []);
        all.remove(0)
    }

    #[test]
    fn every_form_knows_the_lines_of_its_keys() {
        let line = |text: &str, key: &str| declared(text).problem(Some(key), "x").line;
        let flat = "name: c\nconnector.class: file-sink\nerrors:\n  deadletterqueue:\n    topic.name: d\n";
        assert_eq!(line(flat, "errors.deadletterqueue.topic.name"), Some(5));
        assert_eq!(line(flat, "file"), Some(1));
        let wrapped = "\n\nname: c\nconfig:\n  connector.class: x\n  tasks: {max: 1}\n";
        assert_eq!((line(wrapped, "tasks.max"), line(wrapped, "none")), (Some(6), Some(3)));
        let resource =
            "kind: KafkaConnector\nmetadata:\n  name: c\nspec:\n  class: x\n  tasksMax: 2\n  config:\n    file: y\n";
        let lines: Vec<_> =
            ["name", "connector.class", "tasks.max", "file"].iter().map(|k| line(resource, k)).collect();
        assert_eq!(lines, [Some(3), Some(5), Some(6), Some(8)]);
    }

    #[test]
    fn problems_name_all_they_know() {
        let problem = declared("name: c\na: b\n").problem(Some("a"), "is wrong");
        assert_eq!(problem.line(), "f.yaml:2: c: a: is wrong");
        let warning = Problem { warning: true, line: None, ..problem };
        assert_eq!(warning.line(), "f.yaml: warning: c: a: is wrong");
    }

    #[test]
    fn every_document_of_every_file_is_judged() {
        let folder = tempfile::tempdir().expect("folder");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("write");
        put("a.yaml", "name: c\nx: y\n---\nno-name: 1\n---\n- list\n");
        put("b.json", "{\"name\": \"c\"}");
        put("ignored.txt", "");
        let (all, problems) = read_all(&[folder.path().to_owned(), folder.path().join("none.yaml")]);
        assert_eq!(all.len(), 2);
        let texts: Vec<String> = problems.iter().map(Problem::line).collect();
        assert_eq!(texts.len(), 4, "{texts:#?}");
        for (text, part) in texts.iter().zip([
            "a.yaml:4: the connector has no name",
            "a.yaml:6: ",
            "none.yaml: there is no such file or folder",
            "twice",
        ]) {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }
}
