//! Schemas as JSON objects and back.

use connect_api::{Error, Result, Schema, SchemaBuilder, Type};
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, value::RawValue};

use crate::{
    json_typed,
    json_write::{Writer, string},
};

/// Appends the JSON object of a schema; within a struct with the name of its field, which comes last.
pub(crate) fn write(schema: &Schema, field: Option<&str>, writer: &Writer, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(b"{\"type\":");
    string(type_name(schema.kind()), out);
    match schema.kind() {
        Type::Array => {
            out.extend_from_slice(b",\"items\":");
            element(schema.value_schema()?, writer, out)?;
        }
        Type::Map => {
            out.extend_from_slice(b",\"keys\":");
            element(schema.key_schema()?, writer, out)?;
            out.extend_from_slice(b",\"values\":");
            element(schema.value_schema()?, writer, out)?;
        }
        Type::Struct => {
            out.extend_from_slice(b",\"fields\":[");
            for field in schema.fields() {
                if field.index() > 0 {
                    out.push(b',');
                }
                write(field.schema(), Some(field.name()), writer, out)?;
            }
            out.push(b']');
        }
        _ => {}
    }
    out.extend_from_slice(b",\"optional\":");
    out.extend_from_slice(if schema.is_optional() { b"true" } else { b"false" });
    if let Some(name) = schema.name() {
        member("name", name, out);
    }
    if let Some(version) = schema.version() {
        out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
    }
    if let Some(doc) = schema.doc() {
        member("doc", doc, out);
    }
    if let Some(parameters) = schema.parameters() {
        out.extend_from_slice(b",\"parameters\":{");
        for (i, (name, value)) in parameters.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(name, out);
            out.push(b':');
            string(value, out);
        }
        out.push(b'}');
    }
    if let Some(default) = schema.default() {
        out.extend_from_slice(b",\"default\":");
        writer.value(Some(schema), default, out)?;
    }
    if let Some(name) = field {
        member("field", name, out);
    }
    out.push(b'}');
    Ok(())
}

fn element(schema: Option<&Schema>, writer: &Writer, out: &mut Vec<u8>) -> Result<()> {
    match schema {
        Some(s) => write(s, None, writer, out),
        // The special array or map whose elements are all null.
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    string(value, out);
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array => "array",
        Type::Map => "map",
        Type::Struct => "struct",
    }
}

#[derive(Deserialize)]
struct Node<'a> {
    #[serde(rename = "type")]
    kind: Option<Json>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
    optional: Option<Json>,
    name: Option<Json>,
    version: Option<Json>,
    doc: Option<Json>,
    parameters: Option<Json>,
    #[serde(borrow, default, deserialize_with = "present")]
    default: Option<&'a RawValue>,
    field: Option<Json>,
}

// An explicit null is a default of null, which is not the same as no default.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The schema of a JSON text that is known to be well-formed.
pub(crate) fn read(text: &str, replace_null_with_default: bool) -> Result<Schema> {
    let node = parse(text)?;
    build(&node, replace_null_with_default)
}

fn parse(text: &str) -> Result<Node<'_>> {
    serde_json::from_str(text).map_err(|e| Error::data("Schema must contain 'type' field").caused_by(e))
}

fn build(node: &Node<'_>, replace: bool) -> Result<Schema> {
    let nested = |raw: Option<&RawValue>, missing: &'static str| match raw {
        Some(raw) => read(raw.get(), replace),
        None => Err(Error::data(missing)),
    };
    let Some(kind) = node.kind.as_ref().and_then(Json::as_str) else {
        return Err(Error::data("Schema must contain 'type' field"));
    };
    let mut builder = match kind {
        "boolean" => SchemaBuilder::new(Type::Boolean),
        "int8" => SchemaBuilder::new(Type::Int8),
        "int16" => SchemaBuilder::new(Type::Int16),
        "int32" => SchemaBuilder::new(Type::Int32),
        "int64" => SchemaBuilder::new(Type::Int64),
        "float" => SchemaBuilder::new(Type::Float32),
        "double" => SchemaBuilder::new(Type::Float64),
        "bytes" => SchemaBuilder::new(Type::Bytes),
        "string" => SchemaBuilder::new(Type::String),
        "array" => Schema::array(nested(node.items, "Array schema did not specify the element type")?),
        "map" => Schema::map(
            nested(node.keys, "Map schema did not specify the key type")?,
            nested(node.values, "Map schema did not specify the value type")?,
        ),
        "struct" => structure(node, replace)?,
        unknown => return Err(Error::data(format!("Unknown schema type: {unknown}"))),
    };
    builder = if node.optional == Some(Json::Bool(true)) { builder.optional() } else { builder.required() };
    if let Some(name) = node.name.as_ref().and_then(Json::as_str) {
        builder = builder.name(name);
    }
    if let Some(version) = node.version.as_ref().and_then(Json::as_i64) {
        builder = builder.version(version as i32);
    }
    if let Some(doc) = node.doc.as_ref().and_then(Json::as_str) {
        builder = builder.doc(doc);
    }
    if let Some(Json::Object(parameters)) = &node.parameters {
        for (name, value) in parameters {
            let text = value.as_str().ok_or_else(|| Error::data("Schema parameters must have string values."))?;
            builder = builder.parameter(name, text);
        }
    }
    let Some(default) = node.default else { return builder.build() };
    // The default is read with the schema as it is so far.
    let schema = builder.build()?;
    let default = json_typed::typed(&schema, default.get().as_bytes(), replace)?;
    schema.to_builder().default(default).build()
}

fn structure(node: &Node<'_>, replace: bool) -> Result<SchemaBuilder> {
    let wrong = || Error::data("Struct schema's \"fields\" argument is not an array.");
    let fields = node.fields.ok_or_else(wrong)?;
    let fields: Vec<&RawValue> = serde_json::from_str(fields.get()).map_err(|e| wrong().caused_by(e))?;
    let mut builder = Schema::structure();
    for field in fields {
        let unnamed = || Error::data("Struct schema's field name not specified properly");
        let field = parse(field.get()).map_err(|e| unnamed().caused_by(e))?;
        let name = field.field.as_ref().and_then(Json::as_str).ok_or_else(unnamed)?;
        builder = builder.field(name, build(&field, replace)?);
    }
    Ok(builder)
}
