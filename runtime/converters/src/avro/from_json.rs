//! JSON to Avro by a schema, strictly: what does not fit is an error that says where, nothing is left out or made up.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connect_api::{Error, Result, SchemaAndValue, Value, logical, parse_decimal, time};
use serde_json::Value as Json;

use super::{
    Reader,
    decode::Decoder,
    encode::{block, bytes, decimal, encode_json, long},
    names::Style,
    node::{Kind, Node},
    to_connect,
};

/// Writes JSON in an Avro schema, as people and programs write it.
///
/// | Avro | JSON |
/// |---|---|
/// | `bytes`, `fixed` | text in base64, as [`JsonConverter`](crate::JsonConverter) writes it; a number or its text for a decimal |
/// | `timestamp-millis` | milliseconds since 1970, or a text of RFC 3339 |
/// | a union | the value itself, or an object with the member's name: `{"string": "a"}` |
/// | a field that is missing | its default; null where it may be null |
#[derive(Debug)]
pub struct AvroFromJson {
    id: i32,
    node: Arc<Node>,
    has_decimals: bool,
}

impl AvroFromJson {
    /// For the schema with this text, which the registry has under that id.
    pub fn new(id: i32, schema: &str) -> Result<Self> {
        apache_avro::Schema::parse_str(schema).map_err(|e| Error::data(format!("parsing an Avro schema: {e}")))?;
        let tree: Json = serde_json::from_str(schema).unwrap_or_else(|_| schema.into());
        Ok(Self { id, node: Node::parse(schema)?, has_decimals: has_decimals(&tree) })
    }

    /// Whether the schema has decimals, whose digits have to be given as texts where a number of [`Json`] would round them.
    pub fn has_decimals(&self) -> bool {
        self.has_decimals
    }

    /// Whether a value is a text, so that it needs no quotes around it.
    pub fn is_text(&self) -> bool {
        matches!(self.node.kind, Kind::String | Kind::Enum { .. })
    }

    /// The value in Confluent's wire format.
    pub fn write(&self, value: &Json) -> Result<Bytes> {
        let mut out = Vec::with_capacity(128);
        out.push(0);
        out.extend_from_slice(&self.id.to_be_bytes());
        match (&self.node.kind, value) {
            // A value that is nothing but bytes is written without its length.
            (Kind::Bytes, Json::String(text)) if self.node.logical_type() != Some("decimal") => {
                out.extend_from_slice(&from_base64(text)?);
            }
            _ => encode(&self.node, value, &mut out)?,
        }
        Ok(out.into())
    }
}

/// Reads Avro without Confluent's five bytes in front, by a schema that is known from elsewhere.
#[derive(Debug)]
pub struct BareAvro(Reader);

impl BareAvro {
    /// For the schema with this text.
    pub fn new(schema: &str) -> Result<Self> {
        apache_avro::Schema::parse_str(schema).map_err(|e| Error::data(format!("parsing an Avro schema: {e}")))?;
        let node = Node::parse(schema)?;
        let style = Style { enums: true, full_member_names: false, meta_data: true };
        let schema = to_connect::connect_schema(&node, style)?;
        let decoder = Decoder::plan(&node, schema.as_ref(), style)?;
        Ok(Self(Reader { schema, raw: false, decoder }))
    }

    /// The value that the bytes are; bytes that are left are an error.
    pub fn read(&self, bytes: &Bytes) -> Result<SchemaAndValue> {
        let mut input = bytes.clone();
        let value = self.0.decoder.decode(&mut input)?;
        if !input.is_empty() {
            return Err(Error::data(format!("there are {} bytes more than the schema describes", input.len())));
        }
        Ok(SchemaAndValue { schema: self.0.schema.clone(), value })
    }
}

fn has_decimals(schema: &Json) -> bool {
    match schema {
        Json::Object(object) => {
            object.get("logicalType").is_some_and(|name| name == "decimal") || object.values().any(has_decimals)
        }
        Json::Array(items) => items.iter().any(has_decimals),
        _ => false,
    }
}

fn encode(node: &Node, json: &Json, out: &mut Vec<u8>) -> Result<()> {
    let wrong = || {
        let what =
            node.name().map_or_else(|| node.type_name().to_owned(), |n| format!("{} {}", node.type_name(), n.full));
        let mut shown = json.to_string();
        if let Some((at, _)) = shown.char_indices().nth(60) {
            shown.truncate(at);
            shown.push('…');
        }
        Error::data(format!("{shown} is no {what}"))
    };
    match &node.kind {
        Kind::Null => json.as_null().ok_or_else(wrong)?,
        Kind::Boolean => out.push(u8::from(json.as_bool().ok_or_else(wrong)?)),
        Kind::Int => {
            let number = json.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(wrong)?;
            long(i64::from(number), out);
        }
        Kind::Long => {
            let moment = || json.as_str().filter(|_| node.logical_type() == Some("timestamp-millis"));
            let number = json.as_i64().or_else(|| time::parse_rfc3339(moment()?));
            long(number.ok_or_else(wrong)?, out);
        }
        Kind::Float => out.extend_from_slice(&(number(json).ok_or_else(wrong)? as f32).to_le_bytes()),
        Kind::Double => out.extend_from_slice(&number(json).ok_or_else(wrong)?.to_le_bytes()),
        Kind::String => bytes(json.as_str().ok_or_else(wrong)?.as_bytes(), out),
        Kind::Bytes | Kind::Fixed { .. } => binary(node, json, out).transpose()?.ok_or_else(wrong)?,
        Kind::Enum { symbols, name, .. } => {
            let symbol = json.as_str().ok_or_else(wrong)?;
            let index = symbols.iter().zip(0..).find_map(|(s, i)| (**s == *symbol).then_some(i));
            let all = || symbols.iter().map(|s| &**s).collect::<Vec<_>>().join(", ");
            let unknown = || Error::data(format!("{symbol} is no symbol of {}: {}", name.full, all()));
            long(index.ok_or_else(unknown)?, out);
        }
        Kind::Array(element) => {
            let items = json.as_array().ok_or_else(wrong)?;
            block(items.len(), out);
            for (at, item) in items.iter().enumerate() {
                encode(element, item, out).map_err(|e| e.context(format!("element {at}")))?;
            }
            out.push(0);
        }
        Kind::Map(element) => {
            let entries = json.as_object().ok_or_else(wrong)?;
            block(entries.len(), out);
            for (key, value) in entries {
                bytes(key.as_bytes(), out);
                encode(element, value, out).map_err(|e| e.context(format!("key {key}")))?;
            }
            out.push(0);
        }
        Kind::Record { fields, .. } => {
            let object = json.as_object().ok_or_else(wrong)?;
            if let Some(unknown) = object.keys().find(|key| !fields.iter().any(|f| f.name == **key)) {
                let all = fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Error::data(format!("the schema has no field {unknown}; it has {all}")));
            }
            for field in fields {
                let doing = |e: Error| e.context(format!("field {}", field.name));
                match (object.get(&field.name), &field.default) {
                    (Some(value), _) => encode(&field.node, value, out).map_err(doing)?,
                    (None, Some(default)) => encode_json(&field.node, default, out).ok_or_else(|| {
                        doing(Error::data(format!("{default} is no default of type {}", field.node.type_name())))
                    })?,
                    (None, None) => encode(&field.node, &Json::Null, out)
                        .map_err(|_| doing(Error::data("it is missing and has no default")))?,
                }
            }
        }
        Kind::Union(members) => union(members, json, out)?,
        Kind::Recursive(name) => {
            return Err(Error::data(format!("{name} is part of itself, which cannot be written from JSON")));
        }
    }
    Ok(())
}

fn union(members: &[Arc<Node>], json: &Json, out: &mut Vec<u8>) -> Result<()> {
    let before = out.len();
    let mut failures = Vec::new();
    let named = named(members, json);
    let all = members.iter().zip(0i64..).map(|(member, index)| (member, index, json));
    for (member, index, value) in named.into_iter().chain(all) {
        long(index, out);
        match encode(member, value, out) {
            Ok(()) => return Ok(()),
            Err(e) => {
                out.truncate(before);
                if !matches!(member.kind, Kind::Null) {
                    failures.push(e);
                }
            }
        }
    }
    match failures.len() {
        // What is wrong with the only one that it can be is more than that it fits none.
        1 => Err(failures.remove(0)),
        _ => {
            let names = members.iter().map(|m| m.name().map_or_else(|| m.type_name().into(), |n| n.full.clone()));
            let names: Vec<String> = names.collect();
            let error = Error::data(format!("it is none of {}", names.join(", ")));
            Err(match failures.into_iter().next() {
                Some(first) => error.caused_by(first),
                None => error,
            })
        }
    }
}

/// The member that an object names: one key with its name, others, if any, null.
fn named<'a>(members: &'a [Arc<Node>], json: &'a Json) -> Option<(&'a Arc<Node>, i64, &'a Json)> {
    let object = json.as_object()?;
    let is_named = |member: &Node, key: &str| match member.name() {
        Some(name) => name.full == key || name.short() == key,
        None => member.type_name() == key,
    };
    let find = |key: &str| members.iter().zip(0i64..).find(|(member, _)| is_named(member, key));
    let mut set = object.iter().filter(|(_, value)| !value.is_null());
    let (key, value) = set.next()?;
    let rest = set.next().is_none() && object.keys().all(|key| find(key).is_some());
    find(key).filter(|_| rest).map(|(member, index)| (member, index, value))
}

/// JSON has no names for what is no number, so texts stand for it.
fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| match json.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    })
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|e| Error::data("bytes have to be written in base64").caused_by(e))
}

/// Nothing where the JSON is of another kind.
fn binary(node: &Node, json: &Json, out: &mut Vec<u8>) -> Option<Result<()>> {
    let size = if let Kind::Fixed { size, .. } = node.kind { Some(size) } else { None };
    if node.logical_type() == Some("decimal") {
        let text = match json {
            Json::Number(number) => number.to_string(),
            Json::String(text) => text.trim().to_owned(),
            _ => return None,
        };
        let scale = node.props.get("scale").and_then(Json::as_i64).unwrap_or(0);
        let given = parse_decimal(&text)?;
        let scaled = given.with_scale(scale);
        if scaled != given {
            return Some(Err(Error::data(format!("{text} has more than {scale} digits behind the point"))));
        }
        if let Some(precision) = node.props.get("precision").and_then(Json::as_u64)
            && scaled.digits() > precision
        {
            return Some(Err(Error::data(format!(
                "{text} has {} digits with a scale of {scale}, more than the precision of {precision}",
                scaled.digits()
            ))));
        }
        let Ok(schema) = logical::decimal(i32::try_from(scale).unwrap_or(i32::MAX)).build() else { return None };
        return Some(decimal(&schema, size, &Value::Decimal(Arc::new(scaled)), out));
    }
    let decoded = match from_base64(json.as_str()?) {
        Ok(decoded) => decoded,
        Err(e) => return Some(Err(e)),
    };
    match size {
        None => bytes(&decoded, out),
        Some(size) if size == decoded.len() => out.extend_from_slice(&decoded),
        Some(size) => return Some(Err(Error::data(format!("there are {} bytes instead of {size}", decoded.len())))),
    }
    Some(Ok(()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALARM: &str = r#"{"type":"record","name":"Alarm","namespace":"t","fields":[
        {"name":"priority","type":{"type":"enum","name":"Priority","symbols":["P1","P2"]}},
        {"name":"acknowledged","type":"boolean","default":false},
        {"name":"raised","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"note","type":["null","string"]},
        {"name":"data","type":["null","bytes"],"default":null},
        {"name":"level","type":["null","double","string"],"default":null},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u0000"}]}"#;

    fn alarm(json: Json) -> Result<Vec<u8>> {
        AvroFromJson::new(7, ALARM).expect("schema").write(&json).map(|b| b.to_vec())
    }

    #[test]
    fn a_record_is_written_with_its_defaults() {
        let bytes = alarm(json!({"priority": "P2", "raised": "1970-01-01T00:00:01Z", "level": 1.5})).expect("avro");
        assert_eq!(bytes[..5], [0, 0, 0, 0, 7]);
        // P2, false, 1000 zigzag, null, null, the second member, a decimal of one byte.
        let mut expected = vec![2, 0, 0xd0, 0x0f, 0, 0, 2];
        expected.extend_from_slice(&1.5f64.to_le_bytes());
        expected.extend_from_slice(&[2, 0]);
        assert_eq!(bytes[5..], expected);
        let bytes = alarm(json!({"priority": "P1", "acknowledged": true, "raised": 5, "note": {"string": "a"},
            "data": "AAE=", "level": {"double": null, "string": "b"}, "price": 12.5}));
        let bytes = bytes.expect("avro");
        assert_eq!(bytes[5..], [0, 1, 10, 2, 2, b'a', 2, 4, 0, 1, 4, 2, b'b', 4, 0x04, 0xe2]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let good = || json!({"priority": "P1", "raised": 1});
        for (change, said) in [
            (json!({"priority": "P3"}), "field priority: P3 is no symbol of t.Priority: P1, P2"),
            (json!({"prioriti": "P1"}), "the schema has no field prioriti; it has priority, acknowledged"),
            (json!({"acknowledged": "true"}), "field acknowledged: \"true\" is no boolean"),
            (json!({"raised": 1.5}), "field raised: 1.5 is no long"),
            (json!({"raised": null}), "field raised: null is no long"),
            (json!({"note": 5}), "field note: 5 is no string"),
            (json!({"data": "%"}), "field data: bytes have to be written in base64"),
            (json!({"level": true}), "field level: it is none of null, double, string"),
            (json!({"price": 1.005}), "field price: 1.005 has more than 2 digits behind the point"),
            (
                json!({"price": "12345678.1"}),
                "field price: 12345678.1 has 10 digits with a scale of 2, more than the precision of 9",
            ),
        ] {
            let mut value = good();
            for (key, new) in change.as_object().expect("object") {
                value[key] = new.clone();
            }
            let error = alarm(value).expect_err(said).one_line();
            assert!(error.starts_with(said), "{error}");
        }
        let error = alarm(json!({"priority": "P1"})).expect_err("missing").one_line();
        assert_eq!(error, "field raised: it is missing and has no default");
        assert!(alarm(json!([])).is_err_and(|e| e.one_line() == "[] is no record t.Alarm"));
    }

    #[test]
    fn texts_and_bytes_by_themselves_are_written_as_confluent_does() {
        let text = AvroFromJson::new(1, "\"string\"").expect("schema");
        assert!(text.is_text());
        assert_eq!(text.write(&json!("ab")).expect("avro")[..], [0, 0, 0, 0, 1, 4, b'a', b'b']);
        let bytes = AvroFromJson::new(1, "\"bytes\"").expect("schema");
        assert_eq!(bytes.write(&json!("AAE=")).expect("avro")[..], [0, 0, 0, 0, 1, 0, 1]);
        assert!(AvroFromJson::new(1, "{}").is_err());
    }

    #[test]
    fn avro_without_a_frame_is_read_by_a_known_schema() {
        let bytes = alarm(json!({"priority": "P1", "raised": 5})).expect("avro");
        let bare = BareAvro::new(ALARM).expect("schema");
        let read = bare.read(&Bytes::copy_from_slice(&bytes[5..])).expect("value");
        let Value::Struct(read) = &read.value else { panic!("{read:?}") };
        assert_eq!(read.values()[0], Value::String("P1".into()));
        assert!(bare.read(&Bytes::from_static(&[0, 0, 10, 0, 0, 0, 2, 0, 9])).is_err(), "a byte is left");
        assert!(bare.read(&Bytes::from_static(&[0, 0])).is_err());
    }
}
