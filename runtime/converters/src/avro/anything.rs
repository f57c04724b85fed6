//! Values without schema: a record with one optional field for each type, of which one is set.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use connect_api::{Error, Map, Result, Value};

use super::{decode, encode};

// The order of the record's fields.
const BOOLEAN: usize = 0;
const BYTES: usize = 1;
const DOUBLE: usize = 2;
const FLOAT: usize = 3;
const INT: usize = 4;
const LONG: usize = 5;
const STRING: usize = 6;
const ARRAY: usize = 7;
const MAP: usize = 8;
const FIELDS: usize = 9;

// Deeper values are refused before the stack ends.
const DEPTH: usize = 200;

/// Appends a value. Integers of 8 and 16 bits become 32 bits wide, as with Confluent's converter.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    encode_at(value, out, DEPTH)
}

/// Reads a value.
pub(crate) fn decode(input: &mut Bytes) -> Result<Value> {
    decode_at(input, DEPTH)
}

fn encode_at(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    let deeper = depth.checked_sub(1).ok_or_else(too_deep)?;
    let set = match value {
        Value::Null => FIELDS,
        Value::Boolean(_) => BOOLEAN,
        Value::Bytes(_) => BYTES,
        Value::Float64(_) => DOUBLE,
        Value::Float32(_) => FLOAT,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => INT,
        Value::Int64(_) => LONG,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Map(_) => MAP,
        other => {
            return Err(Error::data(format!("Unknown Java type for schemaless data: class {}", other.java_class())));
        }
    };
    // Branch 0 of each field is null; branch 1 is written as 2.
    out.resize(out.len() + set, 0);
    if set == FIELDS {
        return Ok(());
    }
    out.push(2);
    match value {
        Value::Boolean(v) => out.push(u8::from(*v)),
        Value::Bytes(v) => encode::bytes(v, out),
        Value::Float64(v) => out.extend_from_slice(&v.to_le_bytes()),
        Value::Float32(v) => out.extend_from_slice(&v.to_le_bytes()),
        Value::String(v) => encode::bytes(v.as_bytes(), out),
        Value::Array(items) => {
            if !items.is_empty() {
                encode::long(items.len() as i64, out);
            }
            for item in items.iter() {
                encode_at(item, out, deeper)?;
            }
            out.push(0);
        }
        Value::Map(entries) => {
            if !entries.is_empty() {
                encode::long(entries.len() as i64, out);
            }
            for (k, v) in entries.iter() {
                encode_at(k, out, deeper)?;
                encode_at(v, out, deeper)?;
            }
            out.push(0);
        }
        other => encode::long(other.as_i64().unwrap_or_default(), out),
    }
    out.resize(out.len() + FIELDS - 1 - set, 0);
    Ok(())
}

fn decode_at(input: &mut Bytes, depth: usize) -> Result<Value> {
    let deeper = depth.checked_sub(1).ok_or_else(too_deep)?;
    let mut made = Value::Null;
    for field in 0..FIELDS {
        match decode::long(input)? {
            0 => continue,
            1 => {}
            index => return Err(Error::data(format!("reading Avro: a union has no member {index}"))),
        }
        let value = match field {
            BOOLEAN => match input.try_get_u8() {
                Ok(b @ (0 | 1)) => Value::Boolean(b == 1),
                _ => return Err(Error::data("reading Avro: a boolean is neither 0 nor 1")),
            },
            BYTES => Value::Bytes(decode::bytes(input)?),
            DOUBLE => Value::Float64(input.try_get_f64_le().map_err(too_short)?),
            FLOAT => Value::Float32(input.try_get_f32_le().map_err(too_short)?),
            INT => Value::Int32(decode::int(input)?),
            LONG => Value::Int64(decode::long(input)?),
            STRING => Value::String(decode::text(input)?),
            ARRAY => {
                let mut items = Vec::new();
                decode::blocks(input, |input| {
                    items.push(decode_at(input, deeper)?);
                    Ok(())
                })?;
                Value::array(items)
            }
            _ => {
                let mut entries = Map::new();
                decode::blocks(input, |input| {
                    entries.insert(decode_at(input, deeper)?, decode_at(input, deeper)?);
                    Ok(())
                })?;
                Value::Map(Arc::new(entries))
            }
        };
        // The first that is set counts.
        if made.is_null() {
            made = value;
        }
    }
    Ok(made)
}

fn too_deep() -> Error {
    Error::data(format!("values without schema may be nested {DEPTH} deep"))
}

fn too_short(e: bytes::TryGetError) -> Error {
    Error::data("reading Avro: the value ends too early").caused_by(e)
}
