//! One text for all spellings of a schema.

use serde_json::{Map, Value as Json};

/// The schema with full names, members in one order and without idle objects such as `{"type":"int"}`.
///
/// Documentation, defaults and attributes stay: schemas that differ in them are different ones, unlike in
/// Avro's own canonical form.
pub(crate) fn canonical(schema: &Json) -> String {
    node(schema, "").to_string()
}

fn node(schema: &Json, namespace: &str) -> Json {
    match schema {
        Json::String(name) => Json::String(qualify(name, namespace)),
        Json::Array(members) => members.iter().map(|m| node(m, namespace)).collect(),
        Json::Object(object) => record(object, namespace),
        other => other.clone(),
    }
}

fn record(object: &Map<String, Json>, namespace: &str) -> Json {
    let kind = object.get("type").and_then(Json::as_str).unwrap_or_default();
    let named = matches!(kind, "record" | "error" | "enum" | "fixed");
    if object.len() == 1
        && let Some(kind) = object.get("type")
    {
        return node(kind, namespace);
    }
    let full = object.get("name").and_then(Json::as_str).filter(|_| named).map(|name| {
        let space = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
        qualify(name, space)
    });
    let inner = full.as_deref().map_or(namespace, |f| f.rsplit_once('.').map_or("", |(space, _)| space));
    let mut members: Vec<(&String, Json)> = Vec::new();
    for (name, value) in object {
        let value = match (name.as_str(), &full) {
            ("name", Some(full)) => Json::String(full.clone()),
            ("namespace", Some(_)) => continue,
            // Another word for the same.
            ("type", _) if kind == "error" => "record".into(),
            ("type", _) if !value.is_string() => node(value, namespace),
            ("items" | "values", None) => node(value, namespace),
            ("fields", Some(_)) => value.as_array().into_iter().flatten().map(|f| field(f, inner)).collect(),
            _ => sorted(value),
        };
        members.push((name, value));
    }
    members.sort_by_key(|(name, _)| *name);
    Json::Object(members.into_iter().map(|(name, value)| (name.clone(), value)).collect())
}

fn field(field: &Json, namespace: &str) -> Json {
    let Json::Object(object) = field else { return field.clone() };
    let mut members: Vec<(&String, Json)> = object
        .iter()
        .map(|(name, value)| (name, if name == "type" { node(value, namespace) } else { sorted(value) }))
        // What is the default anyway.
        .filter(|(name, value)| !(*name == "order" && value == "ascending"))
        .collect();
    members.sort_by_key(|(name, _)| *name);
    Json::Object(members.into_iter().map(|(name, value)| (name.clone(), value)).collect())
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Json::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn qualify(name: &str, namespace: &str) -> String {
    let primitive = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"].contains(&name);
    let complex = ["record", "error", "enum", "fixed", "array", "map"].contains(&name);
    if primitive || complex || name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let parse = |t: &str| canonical(&serde_json::from_str(t).expect("json"));
        parse(a) == parse(b)
    }

    #[test]
    fn spelling_does_not_matter() {
        assert!(same("\"int\"", r#"{"type":"int"}"#));
        assert!(same(
            r#"{"type":"record","name":"a.R","fields":[{"name":"x","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"y","type":"E"}]}"#,
            r#"{ "name":"R", "namespace":"a", "fields":[{"type":{"symbols":["A"],"type":"enum","name":"a.E"},"name":"x"},{"name":"y","type":"a.E"}], "type":"record" }"#,
        ));
    }

    #[test]
    fn documentation_defaults_and_attributes_do() {
        let base = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}"#;
        for other in [
            r#"{"type":"record","name":"R","doc":"d","fields":[{"name":"x","type":"int"}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int","default":1}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"int","connect.type":"int8"}}]}"#,
            r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":"int"}]}"#,
        ] {
            assert!(!same(base, other), "{other}");
        }
    }
}
