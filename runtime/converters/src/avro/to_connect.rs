//! From Avro schemas to Connect schemas.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use connect_api::{Error, Map, Result, Schema, SchemaBuilder, Struct, Type, Value, logical};
use serde_json::Value as Json;

use super::{
    names::*,
    node::{Kind, Node},
};

/// The Connect schema of an Avro schema; `None` for the one that stands for values without schema.
pub(crate) fn connect_schema(node: &Node, style: Style) -> Result<Option<Schema>> {
    if is_anything(node) {
        return Ok(None);
    }
    Translator { style, budget: 100_000 }.schema(node, false, None).map(Some)
}

/// Whether this is the schema of values without schema, or a place of it.
pub(crate) fn is_anything(node: &Node) -> bool {
    match &node.kind {
        Kind::Recursive(name) => name == ANYTHING,
        _ => node.name().is_some_and(|n| n.full == ANYTHING),
    }
}

/// Key and value of the array of entries that stands for a map whose keys are not texts.
pub(crate) fn map_entry(element: &Node) -> Option<(&Node, &Node)> {
    let Kind::Record { name, fields, .. } = &element.kind else { return None };
    let ours = name.full == format!("{NAMESPACE}.{MAP_ENTRY}") || element.text(INTERNAL_TYPE) == Some(MAP_ENTRY);
    match &fields[..] {
        [key, value] if ours && key.name == "key" && value.name == "value" => Some((&key.node, &value.node)),
        _ => None,
    }
}

/// The member that is not null, of a union that does no more than allow null.
pub(crate) fn nullable(members: &[Arc<Node>]) -> Option<&Arc<Node>> {
    match members {
        [a, b] if matches!(a.kind, Kind::Null) => Some(b),
        [a, b] if matches!(b.kind, Kind::Null) => Some(a),
        _ => None,
    }
}

/// Name of the field that stands for a union's member.
pub(crate) fn member_name(member: &Node, style: Style) -> String {
    match (&member.kind, member.name()) {
        (Kind::Record { .. } | Kind::Enum { .. }, Some(name)) if style.full_member_names => name.full.clone(),
        (Kind::Record { .. } | Kind::Enum { .. }, Some(name)) => name.short().to_owned(),
        _ => member.type_name().to_owned(),
    }
}

struct Translator {
    style: Style,
    // Shared types are written out at each use: a small text can stand for a giant tree.
    budget: usize,
}

impl Translator {
    fn schema(&mut self, node: &Node, optional: bool, field_default: Option<&Json>) -> Result<Schema> {
        let Some(left) = self.budget.checked_sub(1) else {
            return Err(Error::data("translating an Avro schema: it has too many types when written out"));
        };
        self.budget = left;
        let members = match &node.kind {
            Kind::Union(members) => members,
            _ => return self.plain(node, optional, field_default),
        };
        match nullable(members) {
            // The default of a union belongs to its first member.
            Some(member) => self.schema(member, true, field_default.filter(|d| !d.is_null())),
            None => self.union(node, members, optional, field_default),
        }
    }

    fn union(&mut self, node: &Node, members: &[Arc<Node>], optional: bool, default: Option<&Json>) -> Result<Schema> {
        let mut builder = Schema::structure().name(UNION);
        let mut optional = optional;
        let mut names = HashSet::new();
        for member in members {
            if matches!(member.kind, Kind::Null) {
                optional = true;
                continue;
            }
            let name = member_name(member, self.style);
            if !names.insert(name.clone()) {
                return Err(Error::data("Multiple union schemas map to the Connect union field name"));
            }
            builder = builder.field(name, self.schema(member, true, None)?);
        }
        if optional {
            builder = builder.optional();
        }
        self.finish(builder, node, default)
    }

    fn plain(&mut self, node: &Node, optional: bool, field_default: Option<&Json>) -> Result<Schema> {
        let mut builder = self.kind(node)?;
        if optional {
            builder = builder.optional();
        }
        if self.style.meta_data
            && let Some(doc) = node.text(CONNECT_DOC)
        {
            builder = builder.doc(doc);
        }
        if let Some(version) = node.props.get(CONNECT_VERSION) {
            let number = version.as_i64().and_then(|v| i32::try_from(v).ok());
            let number = number.ok_or_else(|| Error::data(format!("Invalid Connect version found: {version}")))?;
            builder = builder.version(number);
        }
        if self.style.meta_data
            && let Some(parameters) = node.props.get(CONNECT_PARAMETERS)
        {
            let wrong = || Error::data(format!("Expected JSON object for schema parameters but found: {parameters}"));
            for (name, value) in parameters.as_object().ok_or_else(wrong)? {
                let text = value.as_str().ok_or_else(|| {
                    Error::data(format!("Expected schema parameter values to be strings but found: {value}"))
                })?;
                builder = builder.parameter(name, text);
            }
        }
        for (name, value) in &node.props {
            if name.starts_with("avro") {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                builder = builder.parameter(name, text);
            }
        }
        let connect_default = node.props.get(CONNECT_DEFAULT);
        if field_default.is_some() && connect_default.is_none() {
            builder = builder.parameter(FIELD_DEFAULT, "true");
        }
        let name = match (node.props.get(CONNECT_NAME), node.name()) {
            (Some(Json::String(name)), _) => Some(name.as_str()),
            (Some(other), _) => return Err(Error::data(format!("Invalid schema name: {other}"))),
            (None, Some(name)) if matches!(node.kind, Kind::Record { .. } | Kind::Enum { .. }) => {
                Some(name.full.as_str())
            }
            _ => None,
        };
        if let Some(name) = name.filter(|n| !is_default_name(n)) {
            builder = builder.name(name);
        }
        self.finish(builder, node, field_default.or(connect_default))
    }

    fn finish(&mut self, builder: SchemaBuilder, node: &Node, default: Option<&Json>) -> Result<Schema> {
        let schema = builder.build()?;
        match default {
            None => Ok(schema),
            Some(json) => match default_value(&schema, node, json)? {
                Value::Null => Ok(schema),
                value => schema.to_builder().default(value).build(),
            },
        }
    }

    fn kind(&mut self, node: &Node) -> Result<SchemaBuilder> {
        Ok(match &node.kind {
            Kind::Boolean => SchemaBuilder::new(Type::Boolean),
            Kind::Double => SchemaBuilder::new(Type::Float64),
            Kind::Float => SchemaBuilder::new(Type::Float32),
            Kind::String => SchemaBuilder::new(Type::String),
            Kind::Long if is_logical(node, "timestamp-millis") => fresh(&logical::timestamp()),
            Kind::Long => SchemaBuilder::new(Type::Int64),
            Kind::Int => int(node)?,
            Kind::Bytes | Kind::Fixed { .. } if is_logical(node, "decimal") => decimal(node)?,
            Kind::Bytes | Kind::Fixed { .. } => SchemaBuilder::new(Type::Bytes),
            Kind::Enum { name, doc, symbols, default } => {
                let mut builder = SchemaBuilder::new(Type::String);
                if self.style.meta_data {
                    if let Some(doc) = doc {
                        builder = builder.parameter(format!("{ENUM_DOC}{}", name.short()), doc);
                    }
                    if let Some(default) = default {
                        builder = builder.parameter(format!("{ENUM_DEFAULT}{}", name.short()), default);
                    }
                }
                builder = builder.parameter(ENUM, &name.full);
                for symbol in symbols {
                    builder = builder.parameter(format!("{ENUM}.{symbol}"), &**symbol);
                }
                builder
            }
            Kind::Array(element) if is_anything(element) => {
                Schema::array(Schema::string()).without_elements(false, true)
            }
            Kind::Array(element) => match map_entry(element) {
                Some((key, value)) if is_anything(key) || is_anything(value) => {
                    let (no_key, no_value) = (is_anything(key), is_anything(value));
                    let key = if no_key { Schema::string() } else { self.schema(key, false, None)? };
                    let value = if no_value { Schema::string() } else { self.schema(value, false, None)? };
                    Schema::map(key, value).without_elements(no_key, no_value)
                }
                Some((key, value)) => Schema::map(self.schema(key, false, None)?, self.schema(value, false, None)?),
                None => Schema::array(self.schema(element, false, None)?),
            },
            Kind::Map(value) if is_anything(value) => {
                Schema::map(Schema::string(), Schema::string()).without_elements(false, true)
            }
            Kind::Map(value) => Schema::map(Schema::string(), self.schema(value, false, None)?),
            Kind::Record { doc, fields, .. } => {
                let mut builder = Schema::structure();
                if self.style.meta_data
                    && let Some(doc) = doc
                {
                    builder = builder.parameter(RECORD_DOC, doc);
                }
                for field in fields {
                    if self.style.meta_data
                        && let Some(doc) = &field.doc
                    {
                        builder = builder.parameter(format!("{FIELD_DOC}{}", field.name), doc);
                    }
                    let schema = self.schema(&field.node, false, field.default.as_ref())?;
                    builder = builder.field(field.name.as_str(), schema);
                }
                builder
            }
            Kind::Null => return Err(Error::data("Standalone null schemas are not supported by this converter")),
            Kind::Recursive(name) => {
                return Err(Error::data(format!("translating an Avro schema: {name} contains itself")));
            }
            Kind::Union(_) => return Err(Error::data("translating an Avro schema: a union within a union")),
        })
    }
}

fn is_logical(node: &Node, name: &str) -> bool {
    node.logical_type().is_some_and(|l| l.eq_ignore_ascii_case(name))
}

// The shared schemas' builders refuse to become optional.
fn fresh(schema: &Schema) -> SchemaBuilder {
    SchemaBuilder::new(schema.kind()).name(schema.name().unwrap_or_default()).version(1)
}

fn int(node: &Node) -> Result<SchemaBuilder> {
    if is_logical(node, "date") {
        return Ok(fresh(&logical::date()));
    }
    if is_logical(node, "time-millis") {
        return Ok(fresh(&logical::time()));
    }
    match node.text(CONNECT_TYPE) {
        None => Ok(SchemaBuilder::new(Type::Int32)),
        Some("int8") => Ok(SchemaBuilder::new(Type::Int8)),
        Some("int16") => Ok(SchemaBuilder::new(Type::Int16)),
        Some(_) => Err(Error::data("Connect type annotation for Avro int field is null")),
    }
}

fn decimal(node: &Node) -> Result<SchemaBuilder> {
    // A decimal without scale has scale 0 by Avro's specification; Confluent refuses it.
    let scale = match node.props.get("scale") {
        None => Some(0),
        Some(scale) => scale.as_i64().and_then(|s| i32::try_from(s).ok()),
    };
    let mut builder =
        logical::decimal(scale.ok_or_else(|| Error::data("scale must be specified and must be a number."))?);
    if let Some(precision) = node.props.get("precision").and_then(Json::as_i64)
        && precision != DEFAULT_PRECISION
    {
        builder = builder.parameter(PRECISION, precision.to_string());
    }
    Ok(builder)
}

/// The value that Avro writes as this JSON, as it does in defaults: a union's is of its first member.
///
/// # Errors
///
/// If the JSON is of another type.
pub fn default_value(schema: &Schema, node: &Node, json: &Json) -> Result<Value> {
    let wrong =
        || Error::data(format!("translating an Avro schema: {json} is no default of type {}", node.type_name()));
    if json.is_null() {
        return Ok(Value::Null);
    }
    let value = match &node.kind {
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Boolean(json.as_bool().ok_or_else(wrong)?),
        Kind::Int => {
            let number = json.as_i64().and_then(|v| i32::try_from(v).ok()).ok_or_else(wrong)?;
            match schema.kind() {
                Type::Int8 => Value::Int8(number as i8),
                Type::Int16 => Value::Int16(number as i16),
                _ => Value::Int32(number),
            }
        }
        Kind::Long => Value::Int64(json.as_i64().ok_or_else(wrong)?),
        Kind::Float => Value::Float32(json.as_f64().ok_or_else(wrong)? as f32),
        Kind::Double => Value::Float64(json.as_f64().ok_or_else(wrong)?),
        Kind::String | Kind::Enum { .. } => Value::from(json.as_str().ok_or_else(wrong)?),
        Kind::Bytes | Kind::Fixed { .. } => Value::Bytes(latin1(json.as_str().ok_or_else(wrong)?).ok_or_else(wrong)?),
        Kind::Array(element) => {
            let items = json.as_array().ok_or_else(wrong)?;
            match (map_entry(element), schema.kind()) {
                (Some((key, value)), Type::Map) => {
                    let (Some(ks), Some(vs)) = (schema.key_schema()?, schema.value_schema()?) else {
                        return Err(wrong());
                    };
                    let pairs = items.iter().map(|pair| match pair.as_array().map(Vec::as_slice) {
                        Some([k, v]) => Ok((default_value(ks, key, k)?, default_value(vs, value, v)?)),
                        _ => Err(wrong()),
                    });
                    Value::Map(Arc::new(pairs.collect::<Result<Map>>()?))
                }
                _ => {
                    let element_schema = schema.value_schema()?;
                    let items = items.iter().map(|i| match element_schema {
                        Some(s) => default_value(s, element, i),
                        None => Err(wrong()),
                    });
                    Value::array(items.collect::<Result<_>>()?)
                }
            }
        }
        Kind::Map(element) => {
            let element_schema = schema.value_schema()?.ok_or_else(wrong)?;
            let entries = json.as_object().ok_or_else(wrong)?.iter();
            let entries =
                entries.map(|(k, v)| Ok((Value::from(k.as_str()), default_value(element_schema, element, v)?)));
            Value::Map(Arc::new(entries.collect::<Result<Map>>()?))
        }
        Kind::Record { fields, .. } => {
            let object = json.as_object().ok_or_else(wrong)?;
            let values = fields.iter().zip(schema.fields()).map(|(field, connect)| {
                let json = object.get(&field.name).or(field.default.as_ref()).unwrap_or(&Json::Null);
                default_value(connect.schema(), &field.node, json)
            });
            Struct::from_values(schema, values.collect::<Result<_>>()?)?.into_value()
        }
        Kind::Union(members) => match nullable(members) {
            Some(member) => default_value(schema, member, json)?,
            None => {
                let first = members.first().ok_or_else(wrong)?;
                let field = schema.fields().first().ok_or_else(wrong)?;
                let mut made = Struct::new(schema)?;
                made.put(field.name(), default_value(field.schema(), first, json)?)?;
                made.into_value()
            }
        },
        Kind::Recursive(_) => return Err(wrong()),
    };
    logical::from_physical(schema, value)
}

/// Avro writes bytes in JSON as a text of characters up to 255.
pub fn latin1(text: &str) -> Option<Bytes> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>().map(Bytes::from)
}
