//! Nested mappings and lists → Kafka Connect's flat texts.
//!
//! Nested mappings join with dots, lists of single values with commas, and a list of mappings becomes one
//! JSON text. Numbers, booleans and dates keep the text that was written.

use serde_json::Value as Json;

use crate::{
    Position, Tree,
    node::{Entry, Node},
};

type Failure = (Position, String);

/// The settings of a document, which must be a mapping, in the order written.
pub fn flatten(tree: &Tree) -> Result<Vec<(String, String)>, Failure> {
    let mut flat = Flat { settings: Vec::new(), seen: Vec::new() };
    match tree.entries() {
        Some(entries) => flat.mapping("", entries)?,
        None => {
            return Err((tree.position, format!("settings must be a mapping of keys to values, not {}", tree.kind())));
        }
    }
    Ok(flat.settings)
}

struct Flat {
    settings: Vec<(String, String)>,
    seen: Vec<Position>,
}

impl Flat {
    fn mapping(&mut self, prefix: &str, entries: &[Entry]) -> Result<(), Failure> {
        for entry in entries {
            let key = if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
            match &entry.value.node {
                Node::Mapping(inner) => self.mapping(&key, inner)?,
                Node::Scalar(text) => self.add(key, text.clone(), entry.position)?,
                Node::Null => {
                    return Err((
                        entry.position,
                        format!("{key} has no value; write \"\" for an empty text, or remove the line"),
                    ));
                }
                Node::List(items) => {
                    let text = list(&key, items)?;
                    self.add(key, text, entry.position)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, key: String, value: String, at: Position) -> Result<(), Failure> {
        if let Some(i) = self.settings.iter().position(|(k, _)| *k == key) {
            let first = self.seen[i].line;
            return Err((
                at,
                format!(
                    "the key {key} stands twice, once nested and once with dots, first in line {first}; remove one of them"
                ),
            ));
        }
        self.settings.push((key, value));
        self.seen.push(at);
        Ok(())
    }
}

fn list(key: &str, items: &[Tree]) -> Result<String, Failure> {
    if items.iter().any(|i| matches!(i.node, Node::Mapping(_))) {
        if let Some(other) = items.iter().find(|i| !matches!(i.node, Node::Mapping(_))) {
            return Err((other.position, format!("the list {key} mixes mappings with other values; write either")));
        }
        return Ok(Json::Array(items.iter().map(|i| json(i, false)).collect()).to_string());
    }
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.text() else {
            return Err((
                item.position,
                format!("the list {key} holds {}; it can hold single values or mappings", item.kind()),
            ));
        };
        if text.contains(',') {
            return Err((
                item.position,
                format!(
                    "an item of the list {key} contains a comma, which separates items; Kafka Connect has no way to write it"
                ),
            ));
        }
        texts.push(text);
    }
    Ok(texts.join(","))
}

/// A node as JSON: what is a number or boolean in JSON stays one unless it was quoted.
pub fn json(tree: &Tree, quoted: bool) -> Json {
    match &tree.node {
        Node::Null => Json::Null,
        Node::Scalar(text) if !quoted => match serde_json::from_str::<Json>(text) {
            Ok(value @ (Json::Number(_) | Json::Bool(_))) if value.to_string().as_str() == text.as_str() => value,
            _ => Json::String(text.clone()),
        },
        Node::Scalar(text) => Json::String(text.clone()),
        Node::List(items) => Json::Array(items.iter().map(|i| json(i, false)).collect()),
        Node::Mapping(entries) => {
            Json::Object(entries.iter().map(|e| (e.key.clone(), json(&e.value, e.quoted))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn flat(text: &str) -> Result<Vec<(String, String)>, Failure> {
        flatten(&yaml::parse(text).expect("yaml")[0])
    }

    #[test]
    fn the_example_of_the_design_becomes_flat_settings() {
        let text = "name: influxdb-sink\ntopics: [active-alarms]\ninfluxdb: { url: \"http://127.0.0.1:8086\", database: alarms }\n\
                    errors: { tolerance: all, deadletterqueue: { topic.name: dead-alarms, topic.replication.factor: 1 } }\n";
        let settings = flat(text).expect("flat");
        let get = |k: &str| settings.iter().find(|(key, _)| key == k).map(|(_, v)| v.as_str());
        assert_eq!(get("topics"), Some("active-alarms"));
        assert_eq!(get("influxdb.url"), Some("http://127.0.0.1:8086"));
        assert_eq!(get("errors.deadletterqueue.topic.replication.factor"), Some("1"));
    }

    #[test]
    fn lists_of_mappings_become_json_and_keep_their_types() {
        let settings = flat("channels:\n  - {name: a, high: 1.5, id: \"7\", version: 1.10}\n").expect("flat");
        assert_eq!(settings[0].1, r#"[{"name":"a","high":1.5,"id":"7","version":"1.10"}]"#);
    }

    #[test]
    fn what_cannot_be_flat_is_named() {
        let fail = |text: &str| flat(text).expect_err(text);
        assert!(fail("a: ['x,y']\n").1.contains("comma"));
        assert!(fail("a: [[1]]\n").1.contains("a list"));
        assert!(fail("a: [{b: 1}, 2]\n").1.contains("mixes"));
        assert!(fail("a:\nb: 1\n").1.contains("a has no value"));
        assert_eq!(fail("a: {b: 1}\na.b: 2\n").0.line, 2);
        assert!(fail("[1]\n").1.contains("mapping"));
    }
}
