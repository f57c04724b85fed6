//! Alert packets as record values: in Avro's binary form, or as structs.

use std::collections::HashMap;

use apache_avro::{
    Schema as Avro,
    schema::{EnumSchema, Name, RecordField, RecordSchema},
    types::Value as Packet,
    writer::datum::GenericDatumWriter,
};
use connect_api::{Bytes, Error, Result, Schema, SchemaBuilder, Struct, Type, Value, logical};
use serde_json::Value as Json;

const ENUM: &str = "io.confluent.connect.avro.Enum";
const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";

/// The packet in Avro's binary form, without its schema.
///
/// # Errors
///
/// If the packet is not of the schema.
pub fn to_bytes(schema: &Avro, packet: Packet) -> Result<Bytes> {
    let writer = GenericDatumWriter::builder(schema).build();
    let bytes = writer.and_then(|writer| writer.write_value_to_vec(packet));
    bytes.map(Bytes::from).map_err(|e| Error::data("encoding an alert packet").caused_by(e))
}

/// The packet with null in place of its stamps: of every field that holds a record with `stampData`.
///
/// # Errors
///
/// If such a field cannot be null.
pub fn without_stamps(packet: Packet) -> Result<Packet> {
    let Packet::Record(mut fields) = packet else { return Ok(packet) };
    for (name, value) in &mut fields {
        let is_stamp = |value: &Packet| match value {
            Packet::Record(members) => members.iter().any(|(member, _)| member == "stampData"),
            _ => false,
        };
        match value {
            // Unions of this kind have two branches; null is the other one.
            Packet::Union(branch, within) if is_stamp(within) => {
                *value = Packet::Union(1 - (*branch).min(1), Box::new(Packet::Null));
            }
            other if is_stamp(other) => {
                return Err(Error::data(format!(
                    "the stamp {name} cannot be left out: its schema does not allow null"
                )));
            }
            _ => {}
        }
    }
    Ok(Packet::Record(fields))
}

/// The text of a packet's field; `None` if it has no such field, or none with a text or a whole number.
pub fn field_text(packet: &Packet, field: &str) -> Option<String> {
    let Packet::Record(fields) = packet else { return None };
    let mut value = &fields.iter().find(|(name, _)| name == field)?.1;
    while let Packet::Union(_, within) = value {
        value = within;
    }
    match value {
        Packet::String(text) => Some(text.clone()),
        Packet::Int(n) => Some(n.to_string()),
        Packet::Long(n) => Some(n.to_string()),
        _ => None,
    }
}

/// The Connect schema for packets of an Avro schema: records are structs with their full names, unions with null are
/// optional, enums are strings and fixed values bytes. What Connect has no place for goes into the parameters that
/// Confluent's Avro converter puts it in, so that such a converter finds it again.
///
/// # Errors
///
/// If there is something else in it: other unions, records within themselves, logical types other than dates and times.
pub fn connect_schema(schema: &Avro) -> Result<Schema> {
    translate(schema, &mut HashMap::new())
}

/// A packet as a value of the schema that [`connect_schema`] has made.
///
/// # Errors
///
/// If the packet is not of the schema.
pub fn to_value(schema: &Schema, packet: Packet) -> Result<Value> {
    Ok(match packet {
        Packet::Null => Value::Null,
        Packet::Boolean(v) => v.into(),
        Packet::Int(v) => v.into(),
        Packet::Long(v) => v.into(),
        Packet::Float(v) => v.into(),
        Packet::Double(v) => v.into(),
        Packet::String(v) | Packet::Enum(_, v) => v.into(),
        Packet::Bytes(v) | Packet::Fixed(_, v) => Value::Bytes(v.into()),
        Packet::Date(days) => Value::Date(days),
        Packet::TimeMillis(ms) => Value::Time(ms),
        Packet::TimestampMillis(ms) => Value::Timestamp(ms),
        Packet::Union(_, within) => return to_value(schema, *within),
        Packet::Array(items) => {
            let element = schema.value_schema()?.ok_or_else(untyped)?;
            Value::array(items.into_iter().map(|item| to_value(element, item)).collect::<Result<_>>()?)
        }
        Packet::Map(entries) => {
            let element = schema.value_schema()?.ok_or_else(untyped)?;
            let entries = entries.into_iter().map(|(name, value)| Ok((name, to_value(element, value)?)));
            Value::map(entries.collect::<Result<Vec<_>>>()?)
        }
        Packet::Record(members) => {
            let fields = schema.struct_fields()?;
            // They come in the order of the schema that the struct's schema was made of.
            let values = members.into_iter().zip(fields).map(|((_, value), field)| to_value(field.schema(), value));
            Struct::from_values(schema, values.collect::<Result<_>>()?)?.into_value()
        }
        other => return Err(Error::data(format!("an alert packet holds {other:?}, which has no counterpart"))),
    })
}

fn translate(schema: &Avro, known: &mut HashMap<Name, Schema>) -> Result<Schema> {
    Ok(match schema {
        Avro::Boolean => Schema::boolean(),
        Avro::Int => Schema::int32(),
        Avro::Long => Schema::int64(),
        Avro::Float => Schema::float32(),
        Avro::Double => Schema::float64(),
        Avro::String => Schema::string(),
        Avro::Enum(symbols) => enumeration(symbols)?,
        Avro::Bytes | Avro::Fixed(_) => Schema::bytes(),
        Avro::Date => logical::date(),
        Avro::TimeMillis => logical::time(),
        Avro::TimestampMillis => logical::timestamp(),
        Avro::Array(array) => Schema::array(translate(&array.items, known)?).build()?,
        Avro::Map(map) => Schema::map(Schema::string(), translate(&map.types, known)?).build()?,
        Avro::Record(record) => structure(record, known)?,
        Avro::Ref { name } => match known.get(name) {
            Some(schema) => schema.clone(),
            None => return Err(Error::fatal(format!("record {name} of an alert packet contains itself"))),
        },
        Avro::Union(union) => match union.variants() {
            [Avro::Null, other] | [other, Avro::Null] => translate(other, known)?.with_optional(true),
            _ => return Err(Error::fatal("a union of more than null and one type has no counterpart")),
        },
        other => return Err(Error::fatal(format!("the type {other:?} of an alert packet has no counterpart"))),
    })
}

fn structure(record: &RecordSchema, known: &mut HashMap<Name, Schema>) -> Result<Schema> {
    let mut builder = Schema::structure().name(record.name.to_string());
    if let Some(doc) = &record.doc {
        builder = builder.parameter(RECORD_DOC, doc);
    }
    for field in &record.fields {
        if let Some(doc) = &field.doc {
            builder = builder.parameter(format!("{FIELD_DOC}{}", field.name), doc);
        }
        let schema = of_field(field, known);
        let failed = |e: Error| e.context(format!("translating field {} of record {}", field.name, record.name));
        builder = builder.field(field.name.as_str(), schema.map_err(failed)?);
    }
    let schema = builder.build()?;
    known.insert(record.name.clone(), schema.clone());
    Ok(schema)
}

fn of_field(field: &RecordField, known: &mut HashMap<Name, Schema>) -> Result<Schema> {
    let schema = translate(&field.schema, known)?;
    match field.default.as_ref().and_then(|json| default(schema.kind(), json)) {
        Some(default) => schema.to_builder().parameter(FIELD_DEFAULT, "true").default(default).build(),
        None => Ok(schema),
    }
}

fn enumeration(schema: &EnumSchema) -> Result<Schema> {
    let name = schema.name.to_string();
    let builder = SchemaBuilder::new(Type::String).parameter(ENUM, &name).name(name);
    schema.symbols.iter().fold(builder, |b, symbol| b.parameter(format!("{ENUM}.{symbol}"), symbol)).build()
}

/// Scalars only: nobody gives packets other defaults but null.
fn default(kind: Type, json: &Json) -> Option<Value> {
    Some(match (kind, json) {
        (Type::Boolean, Json::Bool(v)) => Value::Boolean(*v),
        (Type::String, Json::String(v)) => v.as_str().into(),
        (Type::Int32, Json::Number(n)) => Value::Int32(n.as_i64()?.try_into().ok()?),
        (Type::Int64, Json::Number(n)) => Value::Int64(n.as_i64()?),
        (Type::Float32, Json::Number(n)) => Value::Float32(n.as_f64()? as f32),
        (Type::Float64, Json::Number(n)) => Value::Float64(n.as_f64()?),
        _ => return None,
    })
}

fn untyped() -> Error {
    Error::data("a list or map of an alert packet has no element type")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = include_bytes!("../tests/data/ztf-alert.avro");

    fn alert() -> (Avro, Packet) {
        let mut reader = apache_avro::Reader::new(FILE).expect("a container");
        let packet = reader.next().expect("one packet").expect("a whole packet");
        (reader.writer_schema().clone(), packet)
    }

    #[test]
    fn the_bytes_of_a_packet_are_those_in_its_file() {
        let (schema, packet) = alert();
        let bytes = to_bytes(&schema, packet).expect("encoded");
        // The file is not compressed: its one block ends with the packet and the mark of 16 bytes.
        let (before, mark) = FILE.split_at(FILE.len() - 16);
        assert!(FILE[..before.len() - bytes.len()].windows(16).any(|w| w == mark));
        assert_eq!(bytes, before[before.len() - bytes.len()..]);
        assert_eq!(before[before.len() - bytes.len() - 4], 2, "the block has one packet, counted in zigzag");
    }

    #[test]
    fn a_packet_becomes_a_struct_of_its_schema() {
        let (avro, packet) = alert();
        let schema = connect_schema(&avro).expect("translated");
        assert_eq!((schema.name(), schema.fields().len()), (Some("ztf.alert"), 9));
        let value = to_value(&schema, packet).expect("converted");
        assert!(value.fits(&schema));
        assert_eq!(value.get("publisher").and_then(Value::as_str), Some("ZTF (www.ztf.caltech.edu)"));
        let candidate = value.get("candidate").expect("a candidate");
        assert!(matches!(candidate.get("jd"), Some(Value::Float64(jd)) if *jd > 2_450_000.0));
        assert!(matches!(value.get("prv_candidates"), Some(Value::Array(before)) if !before.is_empty()));
        for cutout in ["cutoutScience", "cutoutTemplate", "cutoutDifference"] {
            let stamp = value.get(cutout).and_then(|c| c.get("stampData"));
            assert!(matches!(stamp, Some(Value::Bytes(gzip)) if gzip.starts_with(&[0x1f, 0x8b])), "{cutout}");
        }
    }

    #[test]
    fn the_avro_converter_sees_the_same_schema() {
        let (avro, _) = alert();
        let text = serde_json::to_string(&avro).expect("json");
        let converted = connect_converters::connect_schema_from_avro(&text).expect("translated");
        assert_eq!(connect_schema(&avro).expect("translated"), converted);
    }

    #[test]
    fn keys_come_from_texts_and_whole_numbers() {
        let (_, packet) = alert();
        assert!(field_text(&packet, "objectId").is_some_and(|id| id.starts_with("ZTF")));
        assert!(field_text(&packet, "candid").is_some_and(|id| id.parse::<i64>().is_ok()));
        assert_eq!(field_text(&packet, "candidate"), None);
        assert_eq!(field_text(&packet, "nope"), None);
    }

    #[test]
    fn stamps_are_left_out_where_the_schema_allows_null() {
        let (schema, packet) = alert();
        let whole = to_bytes(&schema, packet.clone()).expect("encoded").len();
        let bare = without_stamps(packet).expect("without");
        for (name, value) in match &bare {
            Packet::Record(fields) => fields,
            other => panic!("{other:?}"),
        } {
            let left_out = matches!(value, Packet::Union(_, within) if **within == Packet::Null);
            assert_eq!(name.starts_with("cutout"), left_out, "{name}");
        }
        assert!(to_bytes(&schema, bare).expect("encoded").len() < whole / 2);
        let stamp = Packet::Record(vec![("stampData".into(), Packet::Bytes(vec![1]))]);
        let required = Packet::Record(vec![("cutoutScience".into(), stamp)]);
        assert!(without_stamps(required).is_err_and(|e| e.message().contains("cutoutScience")));
    }

    fn translated(json: &str) -> Result<Schema> {
        connect_schema(&Avro::parse_str(json).expect("an avro schema"))
    }

    #[test]
    fn optional_fields_defaults_and_references_are_translated() {
        let schema = translated(
            r#"{"type":"record","name":"a","namespace":"n","fields":[
                {"name":"one","type":{"type":"record","name":"cutout","fields":[{"name":"data","type":"bytes"}]}},
                {"name":"two","type":["null","cutout"],"default":null,"doc":"second"},
                {"name":"n","type":["int","null"],"default":7},
                {"name":"when","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
                {"name":"kind","type":{"type":"enum","name":"k","symbols":["A"]}},
                {"name":"m","type":{"type":"map","values":"float"}}]}"#,
        )
        .expect("translated");
        let field = |name: &str| schema.field(name).expect("a field").schema().clone();
        assert_eq!((field("two").name(), field("two").is_optional()), (Some("n.cutout"), true));
        assert_eq!(schema.parameter("io.confluent.connect.avro.field.doc.two"), Some("second"));
        assert_eq!((field("n").is_optional(), field("n").default()), (true, Some(&Value::Int32(7))));
        assert_eq!(field("when"), logical::timestamp().with_optional(true));
        assert_eq!((field("kind").kind(), field("kind").name()), (Type::String, Some("n.k")));
        assert_eq!(field("m").value_schema().expect("a map"), Some(&Schema::float32()));
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        let e = translated(r#"{"type":"record","name":"a","fields":[{"name":"x","type":["int","string"]}]}"#);
        let e = e.expect_err("a union");
        assert_eq!(
            e.one_line(),
            "translating field x of record a: a union of more than null and one type has no counterpart"
        );
        let e = translated(r#"{"type":"record","name":"a","fields":[{"name":"next","type":["null","a"]}]}"#);
        assert!(e.expect_err("itself").one_line().ends_with("record a of an alert packet contains itself"));
    }
}
