//! The Avro schema to write packets with, from files: parts that refer to each other by name are made one.

use std::{collections::HashMap, fs};

use apache_avro::Schema as Avro;
use connect_api::{Error, Result};
use serde_json::Value as Json;

/// Reads the schema of these files, the parts that others refer to first; `None` where no file is named.
///
/// # Errors
///
/// If a file cannot be read or is no part of a schema.
pub fn read(files: &[String]) -> Result<Option<Avro>> {
    let Some(last) = files.last() else { return Ok(None) };
    let failed = |file: &str, e: Box<dyn std::error::Error + Send + Sync>| {
        Error::fatal(format!("reading the schema in {file}: correct alert.stream.schema.files")).caused_by(e)
    };
    let mut parts = HashMap::new();
    let mut whole = Json::Null;
    for file in files {
        let text = fs::read_to_string(file).map_err(|e| failed(file, e.into()))?;
        let json: Json = serde_json::from_str(&text).map_err(|e| failed(file, e.into()))?;
        whole = inlined(&json, "", &parts);
        if let Some(name) = full_name(&whole, "") {
            parts.insert(name, whole.clone());
        }
    }
    let mut seen = Vec::new();
    once(&mut whole, "", &mut seen);
    Avro::parse(&whole).map(Some).map_err(|e| failed(last, e.into()))
}

fn full_name(schema: &Json, namespace: &str) -> Option<String> {
    let name = schema.get("name")?.as_str()?;
    let namespace = schema.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
    Some(absolute(name, namespace))
}

fn absolute(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The schema with parts in place of their names.
fn inlined(schema: &Json, namespace: &str, parts: &HashMap<String, Json>) -> Json {
    match schema {
        Json::String(name) => {
            parts.get(&absolute(name, namespace)).or_else(|| parts.get(name)).unwrap_or(schema).clone()
        }
        Json::Array(branches) => branches.iter().map(|branch| inlined(branch, namespace, parts)).collect(),
        Json::Object(members) => {
            let namespace = members.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
            let mut members = members.clone();
            for key in ["type", "items", "values"] {
                if let Some(inner) = members.get_mut(key) {
                    *inner = inlined(inner, namespace, parts);
                }
            }
            if let Some(Json::Array(fields)) = members.get_mut("fields") {
                for field in fields {
                    *field = inlined(field, namespace, parts);
                }
            }
            Json::Object(members)
        }
        other => other.clone(),
    }
}

/// Leaves the first definition of each name, and names in place of the others: a schema defines a name once.
fn once(schema: &mut Json, namespace: &str, seen: &mut Vec<String>) {
    match schema {
        Json::Array(branches) => branches.iter_mut().for_each(|branch| once(branch, namespace, seen)),
        Json::Object(members) => {
            let namespace = members.get("namespace").and_then(Json::as_str).unwrap_or(namespace).to_owned();
            let defines = members.get("type").and_then(Json::as_str);
            if defines.is_some_and(|kind| ["record", "enum", "fixed"].contains(&kind)) {
                let name = members.get("name").and_then(Json::as_str).unwrap_or_default();
                let name = absolute(name, &namespace);
                if seen.contains(&name) {
                    *schema = Json::String(name);
                    return;
                }
                seen.push(name);
            }
            for key in ["type", "items", "values"] {
                if let Some(inner) = members.get_mut(key) {
                    once(inner, &namespace, seen);
                }
            }
            if let Some(Json::Array(fields)) = members.get_mut("fields") {
                fields.iter_mut().for_each(|field| once(field, &namespace, seen));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[&str]) -> Result<Option<Avro>> {
        let dir = tempfile::tempdir().expect("folder");
        let path = |n: usize| dir.path().join(format!("{n}.avsc")).to_string_lossy().into_owned();
        for (n, part) in parts.iter().enumerate() {
            fs::write(path(n), part).expect("a file");
        }
        read(&(0..parts.len()).map(path).collect::<Vec<_>>())
    }

    #[test]
    fn parts_are_put_where_they_are_named_each_once() {
        let cutout = r#"{"namespace":"ztf.alert","type":"record","name":"cutout","fields":[{"name":"stampData","type":"bytes"}]}"#;
        let alert = r#"{"namespace":"ztf","type":"record","name":"alert","fields":[
            {"name":"id","type":"long"},
            {"name":"one","type":["null","ztf.alert.cutout"],"default":null},
            {"name":"all","type":{"type":"array","items":"ztf.alert.cutout"}}]}"#;
        let schema = written(&[cutout, alert]).expect("a schema").expect("one");
        let text = schema.canonical_form();
        assert_eq!(text.matches("stampData").count(), 1, "{text}");
        assert!(text.contains(r#""name":"ztf.alert""#) && text.contains(r#""items":"ztf.alert.cutout""#), "{text}");
    }

    #[test]
    fn what_is_no_schema_is_named() {
        assert!(read(&[]).is_ok_and(|none| none.is_none()));
        let e = read(&["/nonexistent.avsc".into()]).expect_err("no file");
        assert!(e.message().contains("/nonexistent.avsc") && e.message().contains("alert.stream.schema.files"));
        assert!(written(&["{"]).is_err());
        assert!(written(&[r#"{"type":"record","name":"a","fields":[{"name":"x","type":"missing"}]}"#]).is_err());
    }
}
