//! Values to Avro's binary form, by a plan made once per pair of schemas.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Error, Result, Schema, Type, Value, logical};
use serde_json::Value as Json;

use super::{
    anything,
    names::{ENUM, Style, UNION},
    node::{Kind, Node, RecordField},
    to_connect::{is_anything, latin1, map_entry, member_name},
};

/// How values of one Connect schema are written in one Avro schema.
#[derive(Debug)]
pub(crate) enum Encoder {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Decimal {
        schema: Schema,
        fixed: Option<usize>,
    },
    Fixed(usize),
    String,
    Enum {
        name: String,
        symbols: HashMap<Arc<str>, i64>,
    },
    Array(Box<Encoder>),
    Map(Box<Encoder>),
    Entries(Box<Encoder>, Box<Encoder>),
    Record {
        schema: Schema,
        fields: Vec<FieldEncoder>,
    },
    /// One branch of a union, and the branch of null if there is one.
    Branch {
        null: Option<i64>,
        index: i64,
        inner: Box<Encoder>,
    },
    /// Connect's struct that stands for a union: its fields, each with its branch.
    Union {
        null: Option<i64>,
        members: Vec<(usize, i64, Encoder)>,
    },
    Anything,
}

/// A field of a record: taken from the struct, or always the same bytes.
#[derive(Debug)]
pub(crate) enum FieldEncoder {
    Value(usize, Encoder),
    Constant(Vec<u8>),
}

impl Encoder {
    /// Plans how to write values of the schema. An Avro schema other than the translated one is matched by
    /// name: numbers widen, fields that the schema lacks take their default, others are left out.
    pub(crate) fn plan(schema: Option<&Schema>, node: &Node, style: Style) -> Result<Self> {
        let Some(schema) = schema else {
            return if is_anything(node) { Ok(Self::Anything) } else { Err(mismatch("schemaless values", node)) };
        };
        if let Kind::Union(members) = &node.kind {
            return union(schema, members, node, style);
        }
        let element = |s: Result<Option<&Schema>>, n: &Node| Self::plan(s?, n, style).map(Box::new);
        let of = || mismatch(&describe(schema), node);
        Ok(match (&node.kind, schema.kind()) {
            (Kind::Boolean, Type::Boolean) => Self::Boolean,
            (Kind::Int, Type::Int8 | Type::Int16 | Type::Int32) => Self::Int,
            (Kind::Long, Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64) => Self::Long,
            (Kind::Float, Type::Int8 | Type::Int16 | Type::Float32) => Self::Float,
            (Kind::Double, Type::Int8 | Type::Int16 | Type::Int32 | Type::Float32 | Type::Float64) => Self::Double,
            (Kind::Bytes | Kind::Fixed { .. }, Type::Bytes) => {
                let fixed = if let Kind::Fixed { size, .. } = node.kind { Some(size) } else { None };
                match (logical::Logical::of(schema), fixed) {
                    (Some(logical::Logical::Decimal), fixed) => Self::Decimal { schema: schema.clone(), fixed },
                    (_, Some(size)) => Self::Fixed(size),
                    (_, None) => Self::Bytes,
                }
            }
            (Kind::String, Type::String) => Self::String,
            (Kind::Enum { name, symbols, .. }, Type::String) => {
                let symbols = symbols.iter().zip(0..).map(|(s, i)| (s.clone(), i)).collect();
                Self::Enum { name: name.full.clone(), symbols }
            }
            (Kind::Array(item), Type::Array) => Self::Array(element(schema.value_schema(), item)?),
            (Kind::Array(item), Type::Map) => {
                let (key, value) = map_entry(item).ok_or_else(of)?;
                Self::Entries(element(schema.key_schema(), key)?, element(schema.value_schema(), value)?)
            }
            (Kind::Map(value), Type::Map) => Self::Map(element(schema.value_schema(), value)?),
            (Kind::Record { fields, .. }, Type::Struct) => {
                let fields = fields.iter().map(|f| field(schema, f, style)).collect::<Result<_>>()?;
                Self::Record { schema: schema.clone(), fields }
            }
            _ => return Err(of()),
        })
    }

    /// Appends the binary form of a value.
    pub(crate) fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Anything, v) => return anything::encode(v, out),
            (Self::Branch { null: Some(index), .. } | Self::Union { null: Some(index), .. }, Value::Null) => {
                long(*index, out);
            }
            (_, Value::Null) => return Err(Error::data("Found null value for non-optional schema")),
            (Self::Branch { index, inner, .. }, v) => {
                long(*index, out);
                inner.encode(v, out)?;
            }
            (Self::Union { null, members }, Value::Struct(s)) => {
                let set = members.iter().find_map(|(field, index, inner)| match s.values().get(*field) {
                    None | Some(Value::Null) => None,
                    Some(v) => Some((index, inner, v)),
                });
                match (set, null) {
                    (Some((index, inner, v)), _) => {
                        long(*index, out);
                        inner.encode(v, out)?;
                    }
                    (None, Some(index)) => long(*index, out),
                    (None, None) => return Err(Error::data("Found null value for non-optional schema")),
                }
            }
            (Self::Boolean, Value::Boolean(v)) => out.push(u8::from(*v)),
            (Self::Int | Self::Long, v) => match integer(v) {
                Some(v) => long(v, out),
                None => return Err(self.wrong(v)),
            },
            (Self::Float, v) => match v.as_f64() {
                Some(v) => out.extend_from_slice(&(v as f32).to_le_bytes()),
                None => return Err(self.wrong(v)),
            },
            (Self::Double, v) => match v.as_f64() {
                Some(v) => out.extend_from_slice(&v.to_le_bytes()),
                None => return Err(self.wrong(v)),
            },
            (Self::Bytes, Value::Bytes(v)) => bytes(v, out),
            (Self::String, Value::String(v)) => bytes(v.as_bytes(), out),
            (Self::Fixed(size), Value::Bytes(v)) if v.len() == *size => out.extend_from_slice(v),
            (Self::Decimal { schema, fixed }, Value::Decimal(_)) => decimal(schema, *fixed, value, out)?,
            (Self::Enum { name, symbols }, Value::String(v)) => match symbols.get(v) {
                Some(index) => long(*index, out),
                None => return Err(Error::data(format!("{v} is not a symbol of the enum {name}"))),
            },
            (Self::Array(inner), Value::Array(items)) => {
                block(items.len(), out);
                for item in items.iter() {
                    inner.encode(item, out)?;
                }
                out.push(0);
            }
            (Self::Map(inner), Value::Map(entries)) => {
                block(entries.len(), out);
                for (k, v) in entries.iter() {
                    let Value::String(key) = k else { return Err(self.wrong(k)) };
                    bytes(key.as_bytes(), out);
                    inner.encode(v, out)?;
                }
                out.push(0);
            }
            (Self::Entries(key, inner), Value::Map(entries)) => {
                block(entries.len(), out);
                for (k, v) in entries.iter() {
                    key.encode(k, out)?;
                    inner.encode(v, out)?;
                }
                out.push(0);
            }
            (Self::Record { schema, fields }, Value::Struct(s)) => {
                // Defaults of struct fields belong to a schema without that default, so fields are compared.
                if !s.schema().same(schema) && s.schema().fields() != schema.fields() {
                    return Err(Error::data("Mismatching struct schema"));
                }
                for field in fields {
                    match field {
                        FieldEncoder::Constant(constant) => out.extend_from_slice(constant),
                        FieldEncoder::Value(index, inner) => inner.encode(s.at(*index), out).map_err(|e| {
                            let name = schema.fields()[*index].name();
                            e.context(format!("writing the field {name}"))
                        })?,
                    }
                }
            }
            (_, v) => return Err(self.wrong(v)),
        }
        Ok(())
    }

    fn wrong(&self, value: &Value) -> Error {
        let kind = match self {
            Self::Boolean => "BOOLEAN",
            Self::Int => "INT32",
            Self::Long => "INT64",
            Self::Float => "FLOAT32",
            Self::Double => "FLOAT64",
            Self::Bytes | Self::Decimal { .. } | Self::Fixed(_) => "BYTES",
            Self::String | Self::Enum { .. } => "STRING",
            Self::Array(_) => "ARRAY",
            Self::Map(_) | Self::Entries(..) => "MAP",
            Self::Record { .. } | Self::Union { .. } | Self::Branch { .. } | Self::Anything => "STRUCT",
        };
        Error::data(format!("Invalid type for {kind}: class {}", value.java_class()))
    }
}

fn describe(schema: &Schema) -> String {
    match schema.name() {
        Some(name) => format!("{name} of type {}", schema.kind()),
        None => format!("type {}", schema.kind()),
    }
}

fn mismatch(what: &str, node: &Node) -> Error {
    let name = node.name().map(|n| format!(" {}", n.full)).unwrap_or_default();
    Error::data(format!("values of {what} cannot be written as Avro {}{name}", node.type_name()))
}

fn union(schema: &Schema, members: &[Arc<Node>], node: &Node, style: Style) -> Result<Encoder> {
    let indexed = || members.iter().zip(0i64..);
    let null = indexed().find(|(m, _)| matches!(m.kind, Kind::Null)).map(|(_, i)| i);
    if schema.name() == Some(UNION) && schema.kind() == Type::Struct {
        let found = schema.fields().iter().map(|field| {
            let both = [style, Style { full_member_names: !style.full_member_names, ..style }];
            let named = indexed().find(|(m, _)| both.iter().any(|s| member_name(m, *s) == field.name()));
            let (member, index) = named.ok_or_else(|| mismatch(&format!("the union member {}", field.name()), node))?;
            Ok((field.index(), index, Encoder::plan(Some(field.schema()), member, style)?))
        });
        return Ok(Encoder::Union { null, members: found.collect::<Result<_>>()? });
    }
    // The member of the very type is better than one that merely can hold it.
    let planned = |exact: bool| {
        indexed().filter(|(m, _)| !matches!(m.kind, Kind::Null)).find_map(|(member, index)| {
            if exact && !same_type(schema, member) {
                return None;
            }
            let inner = Encoder::plan(Some(schema), member, style).ok()?;
            Some(Encoder::Branch { null, index, inner: Box::new(inner) })
        })
    };
    planned(true).or_else(|| planned(false)).ok_or_else(|| mismatch(&describe(schema), node))
}

fn same_type(schema: &Schema, node: &Node) -> bool {
    match (&node.kind, schema.kind()) {
        (Kind::Int, Type::Int8 | Type::Int16 | Type::Int32)
        | (Kind::Long, Type::Int64)
        | (Kind::Float, Type::Float32)
        | (Kind::Double, Type::Float64)
        | (Kind::Boolean, Type::Boolean)
        | (Kind::Bytes, Type::Bytes)
        | (Kind::Array(_), Type::Array)
        | (Kind::Map(_), Type::Map) => true,
        (Kind::String, Type::String) => schema.parameter(ENUM).is_none(),
        (Kind::Enum { name, .. }, Type::String) => schema.parameter(ENUM) == Some(&name.full),
        (Kind::Record { name, .. }, Type::Struct) => schema.name().is_none_or(|n| n == name.full),
        _ => false,
    }
}

fn field(schema: &Schema, field: &RecordField, style: Style) -> Result<FieldEncoder> {
    let doing = || format!("writing the field {}", field.name);
    if let Some(from) = schema.field(&field.name) {
        let inner = Encoder::plan(Some(from.schema()), &field.node, style).map_err(|e| e.context(doing()))?;
        return Ok(FieldEncoder::Value(from.index(), inner));
    }
    let Some(default) = &field.default else {
        let of = schema.name().unwrap_or("the value");
        return Err(Error::data(format!("{}: {of} does not have it and Avro has no default for it", doing())));
    };
    let mut constant = Vec::new();
    encode_json(&field.node, default, &mut constant).ok_or_else(|| {
        Error::data(format!("{}: {default} is no default of type {}", doing(), field.node.type_name()))
    })?;
    Ok(FieldEncoder::Constant(constant))
}

/// Appends the binary form of a default; `None` if it does not fit.
pub(crate) fn encode_json(node: &Node, json: &Json, out: &mut Vec<u8>) -> Option<()> {
    match &node.kind {
        Kind::Null => json.as_null()?,
        Kind::Boolean => out.push(u8::from(json.as_bool()?)),
        Kind::Int | Kind::Long => long(json.as_i64()?, out),
        Kind::Float => out.extend_from_slice(&(json.as_f64()? as f32).to_le_bytes()),
        Kind::Double => out.extend_from_slice(&json.as_f64()?.to_le_bytes()),
        Kind::String => bytes(json.as_str()?.as_bytes(), out),
        Kind::Bytes => bytes(&latin1(json.as_str()?)?, out),
        Kind::Fixed { size, .. } => {
            out.extend_from_slice(&latin1(json.as_str()?).filter(|b| b.len() == *size)?);
        }
        Kind::Enum { symbols, .. } => {
            let symbol = json.as_str()?;
            long(symbols.iter().position(|s| **s == *symbol)? as i64, out);
        }
        Kind::Array(element) => {
            let items = json.as_array()?;
            block(items.len(), out);
            items.iter().try_for_each(|i| encode_json(element, i, out))?;
            out.push(0);
        }
        Kind::Map(element) => {
            let entries = json.as_object()?;
            block(entries.len(), out);
            for (k, v) in entries {
                bytes(k.as_bytes(), out);
                encode_json(element, v, out)?;
            }
            out.push(0);
        }
        Kind::Record { fields, .. } => {
            let object = json.as_object()?;
            for field in fields {
                encode_json(&field.node, object.get(&field.name).or(field.default.as_ref())?, out)?;
            }
        }
        Kind::Union(members) => {
            let before = out.len();
            for (member, index) in members.iter().zip(0..) {
                long(index, out);
                if encode_json(member, json, out).is_some() {
                    return Some(());
                }
                out.truncate(before);
            }
            return None;
        }
        Kind::Recursive(_) => return None,
    }
    Some(())
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Date(v) | Value::Time(v) => Some(i64::from(*v)),
        Value::Timestamp(v) => Some(*v),
        other => other.as_i64(),
    }
}

pub(crate) fn decimal(schema: &Schema, fixed: Option<usize>, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let Value::Bytes(unscaled) = logical::to_physical(schema, value)? else { return Ok(()) };
    match fixed {
        None => bytes(&unscaled, out),
        Some(size) => {
            let Some(padding) = size.checked_sub(unscaled.len()) else {
                return Err(Error::data(format!("the decimal {value} does not fit into {size} bytes")));
            };
            let sign = if unscaled.first().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
            out.resize(out.len() + padding, sign);
            out.extend_from_slice(&unscaled);
        }
    }
    Ok(())
}

// The head of the one block that holds all items; a zero ends the list of blocks.
pub(crate) fn block(items: usize, out: &mut Vec<u8>) {
    if items > 0 {
        long(items as i64, out);
    }
}

/// Appends a number: zigzag, then seven bits a byte.
pub(crate) fn long(v: i64, out: &mut Vec<u8>) {
    let mut rest = ((v << 1) ^ (v >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes behind their length.
pub(crate) fn bytes(v: &[u8], out: &mut Vec<u8>) {
    long(v.len() as i64, out);
    out.extend_from_slice(v);
}
