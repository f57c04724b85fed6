//! Topics of a telescope's service abstraction layer (SAL), with schemas of the shape that SAL's have as Avro.

use serde_json::{Value as Json, json};

/// A topic a line: type, name, and fields as `name:type[count]:unit`.
const TOPICS: &str = include_str!("salmock.txt");

/// States of SAL's components, which the type `STATE` stands for.
const STATES: [&str; 5] = ["DISABLED", "ENABLED", "FAULT", "OFFLINE", "STANDBY"];

/// The names of the topics that need no registry.
pub fn topics() -> impl Iterator<Item = &'static str> {
    use std::sync::LazyLock;
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| lines().map(|line| topic(line.name)).collect());
    NAMES.iter().map(String::as_str)
}

/// The topic of a SAL name: in lower case, with dashes.
pub fn topic(name: &str) -> String {
    name.replace('_', "-").to_lowercase()
}

/// The Avro schema of a topic of this preset.
pub fn schema(wanted: &str) -> Option<String> {
    let line = lines().find(|line| topic(line.name) == wanted)?;
    let subsystem = line.name.split('_').next().unwrap_or(line.name);
    let timestamp = json!({"type": "long", "logicalType": "timestamp-millis"});
    let mut fields = vec![
        json!({"name": "kafka_timestamp", "type": timestamp}),
        json!({"name": "sal_revcode", "type": "string"}),
        json!({"name": "sal_created", "type": timestamp}),
        json!({"name": "sal_ingested", "type": timestamp}),
        json!({"name": "sal_sequence", "type": "long"}),
        json!({"name": "sal_origin", "type": "int"}),
        json!({"name": "sal_host", "type": "int"}),
    ];
    fields.extend(line.fields.split_whitespace().zip(0..).map(|(text, index)| field(text, index)));
    let schema = json!({
        "type": "record",
        "name": line.name,
        "namespace": "lsst.sal",
        "sal_topic_type": line.kind,
        "sal_subsystem": subsystem,
        "fields": fields,
    });
    Some(schema.to_string())
}

struct Line {
    kind: &'static str,
    name: &'static str,
    fields: &'static str,
}

fn lines() -> impl Iterator<Item = Line> {
    TOPICS.lines().filter_map(|line| {
        let (kind, rest) = line.split_once(' ')?;
        let (name, fields) = rest.split_once(' ')?;
        Some(Line { kind, name, fields })
    })
}

fn field(text: &str, index: usize) -> Json {
    let mut parts = text.split(':');
    let (name, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let units = parts.next().unwrap_or("unitless");
    let (kind, count) = match kind.split_once('[') {
        Some((kind, count)) => (kind, count.trim_end_matches(']').parse::<u32>().ok()),
        None => (kind, None),
    };
    let kind = match kind {
        "STATE" => json!({"type": "enum", "name": name, "symbols": STATES}),
        "byte" => "bytes".into(),
        kind => Json::from(kind),
    };
    let kind = if count.is_some() { json!({"type": "array", "items": kind}) } else { kind };
    let mut field = json!({"name": name, "type": kind, "sal_index": index, "sal_units": units});
    if let Some(count) = count {
        field["sal_count"] = count.into();
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_hundred_topics_with_schemas_of_sal() {
        let names: Vec<_> = topics().collect();
        assert_eq!(names.len(), 100);
        for name in names {
            assert!(connect_api::config::topic_name(name).is_ok() && name == name.to_lowercase(), "{name}");
            let schema = schema(name).expect(name);
            apache_avro::Schema::parse_str(&schema).expect(&schema);
            let json: Json = serde_json::from_str(&schema).expect("json");
            assert_eq!(json["namespace"], "lsst.sal");
            assert!(json["sal_topic_type"].as_str().is_some_and(|t| t.starts_with("SAL")), "{schema}");
            assert!(json["fields"].as_array().is_some_and(|f| f.len() > 7), "{schema}");
        }
        assert_eq!(topic("MTM1M3_forceActuatorData"), "mtm1m3-forceactuatordata");
        assert_eq!(schema("nope"), None);
    }
}
