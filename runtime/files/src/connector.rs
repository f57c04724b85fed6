//! The three forms in which a connector may be written: Kafka's `{name, config}`, flat, and Strimzi's
//! Kubernetes resource.

use std::path::Path;

use crate::{FileError, Position, Tree, flatten, node::Entry, read};

/// How a connector starts (KIP-980).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum InitialState {
    Running,
    Paused,
    Stopped,
}

impl InitialState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "RUNNING" => Some(Self::Running),
            "PAUSED" => Some(Self::Paused),
            "STOPPED" => Some(Self::Stopped),
            _ => None,
        }
    }
}

/// A connector as a file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorFile {
    /// Name.
    pub name: String,
    /// Settings with `name` among them, in the order written.
    pub config: Vec<(String, String)>,
    /// How it starts; `None` leaves an existing connector's state alone.
    pub initial_state: Option<InitialState>,
    /// The file.
    pub file: String,
    /// Where in the file it begins.
    pub position: Position,
}

/// Reads all connectors of a file. An empty file is an error.
pub fn read_connectors(path: &Path) -> Result<Vec<ConnectorFile>, FileError> {
    let file = path.display().to_string();
    from_documents(&file, &read(path)?)
}

/// The connectors of documents that were read before.
pub fn from_documents(file: &str, documents: &[Tree]) -> Result<Vec<ConnectorFile>, FileError> {
    if documents.is_empty() {
        return Err(FileError {
            file: file.to_owned(),
            position: None,
            message: "the file declares no connector; write one with name and connector.class, or remove the file"
                .into(),
        });
    }
    let read = |tree: &Tree| {
        connector(file, tree).map_err(|(position, message)| FileError {
            file: file.to_owned(),
            position: Some(position),
            message,
        })
    };
    documents.iter().map(read).collect()
}

/// The line of a setting in a document that declares a connector in any of the three forms.
pub fn line_of(document: &Tree, key: &str) -> Option<usize> {
    let spec = document.entry("spec").map(|e| &e.value);
    let below_config = |tree: &Tree| tree.entry("config").and_then(|e| nested(&e.value, key));
    let own = || match key {
        "connector.class" => spec?.entry("class").map(|e| e.position.line),
        "tasks.max" => spec?.entry("tasksMax").map(|e| e.position.line),
        "name" => document.entry("metadata")?.value.entry("name").map(|e| e.position.line),
        _ => None,
    };
    spec.and_then(below_config).or_else(|| below_config(document)).or_else(own).or_else(|| nested(document, key))
}

/// The line of a key whose dots may be written as nesting.
fn nested(tree: &Tree, key: &str) -> Option<usize> {
    let entries = tree.entries()?;
    if let Some(entry) = entries.iter().find(|e| e.key == key) {
        return Some(entry.position.line);
    }
    entries.iter().find_map(|e| nested(&e.value, key.strip_prefix(&e.key)?.strip_prefix('.')?))
}

type Failure = (Position, String);

fn connector(file: &str, tree: &Tree) -> Result<ConnectorFile, Failure> {
    let Some(entries) = tree.entries() else {
        return Err((tree.position, format!("a connector is a mapping with a name, not {}", tree.kind())));
    };
    if tree.entry("kind").is_some() && (tree.entry("metadata").is_some() || tree.entry("spec").is_some()) {
        return resource(file, tree, entries);
    }
    match tree.entry("config") {
        Some(config) if config.value.entries().is_some() => wrapped(file, tree, entries, config),
        // A plugin might have a setting of that name.
        Some(config) if tree.entry("connector.class").is_none() && tree.entry("connector").is_none() => {
            Err((config.position, format!("config must be a mapping of settings, not {}", config.value.kind())))
        }
        _ => flat(file, tree),
    }
}

fn text_of(entry: &Entry) -> Result<&str, Failure> {
    entry
        .value
        .text()
        .ok_or_else(|| (entry.position, format!("{} must be a single value, not {}", entry.key, entry.value.kind())))
}

fn name_of(tree: &Tree, entry: Option<&Entry>, place: &str) -> Result<String, Failure> {
    let entry = entry.ok_or_else(|| (tree.position, format!("the connector has no name; add the key {place}")))?;
    let name = text_of(entry)?;
    if name.trim().is_empty() {
        return Err((entry.position, "the connector's name is empty; give it one".into()));
    }
    Ok(name.to_owned())
}

fn state_of(entry: &Entry) -> Result<InitialState, Failure> {
    let text = text_of(entry)?;
    InitialState::parse(text)
        .ok_or_else(|| (entry.position, format!("{} is {text}; it must be running, paused or stopped", entry.key)))
}

fn with_name(name: &str, mut config: Vec<(String, String)>, at: Position) -> Result<Vec<(String, String)>, Failure> {
    match config.iter().find(|(k, _)| k == "name") {
        Some((_, other)) if other != name => {
            Err((at, format!("the settings name the connector {other} but the file names it {name}")))
        }
        Some(_) => Ok(config),
        None => {
            config.insert(0, ("name".into(), name.to_owned()));
            Ok(config)
        }
    }
}

/// Kafka's form: `{name, config: {…}, initial_state}`.
fn wrapped(file: &str, tree: &Tree, entries: &[Entry], config: &Entry) -> Result<ConnectorFile, Failure> {
    for entry in entries {
        if !["name", "config", "initial_state"].contains(&entry.key.as_str()) {
            return Err((
                entry.position,
                format!("unknown key {} beside name and config; settings belong below config", entry.key),
            ));
        }
    }
    let name = name_of(tree, tree.entry("name"), "name")?;
    Ok(ConnectorFile {
        config: with_name(&name, flatten(&config.value)?, config.position)?,
        name,
        initial_state: tree.entry("initial_state").map(state_of).transpose()?,
        file: file.to_owned(),
        position: tree.position,
    })
}

/// Flat: `name` beside the settings.
fn flat(file: &str, tree: &Tree) -> Result<ConnectorFile, Failure> {
    let name = name_of(tree, tree.entry("name"), "name")?;
    let initial_state = tree.entry("initial_state").map(state_of).transpose()?;
    let mut config = flatten(tree)?;
    config.retain(|(k, _)| k != "initial_state");
    Ok(ConnectorFile {
        config: with_name(&name, config, tree.position)?,
        name,
        initial_state,
        file: file.to_owned(),
        position: tree.position,
    })
}

/// The Kubernetes resource that Strimzi users know.
fn resource(file: &str, tree: &Tree, entries: &[Entry]) -> Result<ConnectorFile, Failure> {
    for entry in entries {
        match entry.key.as_str() {
            "apiVersion" | "metadata" | "spec" | "status" => {}
            "kind" => {
                let kind = text_of(entry)?;
                if kind != "KafkaConnector" {
                    return Err((entry.position, format!("kind is {kind}; only KafkaConnector resources are read")));
                }
            }
            other => return Err((entry.position, format!("unknown key {other} in a KafkaConnector resource"))),
        }
    }
    let metadata = tree.entry("metadata").map(|e| &e.value);
    let name = name_of(tree, metadata.and_then(|m| m.entry("name")), "metadata.name")?;
    let spec = tree
        .entry("spec")
        .ok_or_else(|| (tree.position, "the resource has no spec; add one with class and config".to_owned()))?;
    let Some(parts) = spec.value.entries() else {
        return Err((spec.position, "spec must be a mapping with class and config".into()));
    };
    let mut config = Vec::new();
    let mut initial_state = None;
    let mut own: Vec<(String, String)> = vec![("name".into(), name.clone())];
    for part in parts {
        match part.key.as_str() {
            "class" => own.push(("connector.class".into(), text_of(part)?.to_owned())),
            "tasksMax" => own.push(("tasks.max".into(), text_of(part)?.to_owned())),
            "state" => initial_state = Some(state_of(part)?),
            "pause" => {
                let text = text_of(part)?;
                initial_state = match text {
                    "true" => Some(InitialState::Paused),
                    "false" => initial_state,
                    _ => return Err((part.position, format!("pause is {text}; it must be true or false"))),
                };
            }
            "config" => config = flatten(&part.value)?,
            other => {
                return Err((
                    part.position,
                    format!("unknown key {other} in spec; known are class, tasksMax, state, pause and config"),
                ));
            }
        }
    }
    for (key, value) in own {
        match config.iter().find(|(k, _)| *k == key) {
            Some((_, other)) if *other != value => {
                return Err((
                    spec.position,
                    format!("spec.config sets {key} to {other} but the resource sets it to {value}; remove one"),
                ));
            }
            Some(_) => {}
            None => config.push((key, value)),
        }
    }
    Ok(ConnectorFile { name, config, initial_state, file: file.to_owned(), position: tree.position })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_text;

    fn read(text: &str) -> Result<Vec<ConnectorFile>, FileError> {
        from_documents("f.yaml", &read_text("f.yaml", text)?)
    }

    fn settings(c: &ConnectorFile) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = c.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn three_forms_mean_the_same() {
        let text = "name: c\nconfig: {connector.class: file-sink, tasks.max: 2, topics: [a]}\n---\n\
                    name: c\nconnector.class: file-sink\ntasks: {max: 2}\ntopics: a\n---\n\
                    apiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaConnector\nmetadata: {name: c, labels: {x: y}}\n\
                    spec: {class: file-sink, tasksMax: 2, config: {topics: a}}\n";
        let all = read(text).expect("three");
        assert_eq!(settings(&all[0]), settings(&all[1]));
        assert_eq!(settings(&all[1]), settings(&all[2]));
        assert_eq!(
            settings(&all[0]),
            [("connector.class", "file-sink"), ("name", "c"), ("tasks.max", "2"), ("topics", "a")]
        );
    }

    #[test]
    fn states_are_read_in_each_form() {
        let text = "name: c\ninitial_state: paused\na: b\n---\nkind: KafkaConnector\nmetadata: {name: d}\nspec: {class: x, state: stopped}\n";
        let all = read(text).expect("two");
        assert_eq!(all[0].initial_state, Some(InitialState::Paused));
        assert!(!all[0].config.iter().any(|(k, _)| k == "initial_state"));
        assert_eq!(all[1].initial_state, Some(InitialState::Stopped));
    }

    #[test]
    fn settings_have_lines_in_each_form() {
        for (text, key, line) in [
            ("name: c\nconfig:\n  a.b: 1\n", "a.b", Some(3)),
            ("name: c\na:\n  b.c:\n    d: 1\n", "a.b.c.d", Some(4)),
            ("kind: KafkaConnector\nmetadata: {}\nspec:\n  class: x\n  config: {a: b}\n", "connector.class", Some(4)),
            ("name: c\n", "topics", None),
        ] {
            assert_eq!(line_of(&read_text("f.yaml", text).expect(text)[0], key), line, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_line_and_way_out() {
        for (text, part) in [
            ("a: b\n", "has no name"),
            ("name: ''\n", "name is empty"),
            ("name: c\nconfig: {name: d}\n", "the file names it c"),
            ("name: c\ntopics: a\nconfig: {x: y}\n", "belong below config"),
            ("name: c\ninitial_state: up\n", "running, paused or stopped"),
            ("name: c\nconfig: x\n", "a mapping of settings"),
            ("kind: Pod\nmetadata: {name: x}\n", "only KafkaConnector"),
            ("kind: KafkaConnector\nmetadata: {name: x}\n", "no spec"),
            ("kind: KafkaConnector\nmetadata: {name: x}\nspec: {klass: y}\n", "unknown key klass"),
            ("- a\n", "a mapping with a name"),
            ("", "declares no connector"),
        ] {
            let e = read(text).expect_err(text).to_string();
            assert!(e.starts_with("f.yaml") && e.contains(part), "{text:?}: {e}");
        }
    }
}
