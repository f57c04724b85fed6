//! Avro's binary form to values, by a plan made once per schema. Input may be anything: whatever it says
//! about lengths is compared with what is there before memory is taken.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use connect_api::{Error, Map, Result, Schema, Struct, Type, Value, logical};

use super::{
    anything,
    names::Style,
    node::{Kind, Node},
    to_connect::{is_anything, map_entry, member_name, nullable},
};

/// How values of one Avro schema are read into one Connect schema.
#[derive(Debug)]
pub(crate) enum Decoder {
    Boolean,
    Int8,
    Int16,
    Int32,
    Date,
    Time(Schema),
    Int64,
    Timestamp,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Decimal(Schema, Box<Decoder>),
    String,
    Enum(Vec<Arc<str>>),
    Array(Box<Decoder>),
    Map(Box<Decoder>),
    Entries(Box<Decoder>, Box<Decoder>),
    Record { schema: Schema, fields: Vec<Decoder> },
    Union(Vec<Branch>),
    Anything,
}

/// A branch of a union.
#[derive(Debug)]
pub(crate) enum Branch {
    Null,
    Plain(Decoder),
    /// A field of the struct that stands for the union.
    Member(Schema, usize, Decoder),
}

impl Decoder {
    /// Plans how to read the Avro schema into the Connect schema that it translates to.
    pub(crate) fn plan(node: &Node, schema: Option<&Schema>, style: Style) -> Result<Self> {
        if is_anything(node) {
            return Ok(Self::Anything);
        }
        let unfit = || Error::data(format!("reading Avro {} into another schema", node.type_name()));
        let schema = schema.ok_or_else(unfit)?;
        let element = |n: &Node, s: Result<Option<&Schema>>| Self::plan(n, s?, style).map(Box::new);
        let logical = logical::Logical::of(schema);
        Ok(match &node.kind {
            Kind::Boolean => Self::Boolean,
            Kind::Int => match (logical, schema.kind()) {
                (Some(logical::Logical::Date), _) => Self::Date,
                (Some(logical::Logical::Time), _) => Self::Time(schema.clone()),
                (_, Type::Int8) => Self::Int8,
                (_, Type::Int16) => Self::Int16,
                _ => Self::Int32,
            },
            Kind::Long if logical == Some(logical::Logical::Timestamp) => Self::Timestamp,
            Kind::Long => Self::Int64,
            Kind::Float => Self::Float,
            Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Bytes | Kind::Fixed { .. } => {
                let plain = if let Kind::Fixed { size, .. } = node.kind { Self::Fixed(size) } else { Self::Bytes };
                match logical {
                    Some(logical::Logical::Decimal) => Self::Decimal(schema.clone(), Box::new(plain)),
                    _ => plain,
                }
            }
            Kind::Enum { symbols, .. } => Self::Enum(symbols.clone()),
            Kind::Array(item) => match map_entry(item) {
                Some((key, value)) => {
                    Self::Entries(element(key, schema.key_schema())?, element(value, schema.value_schema())?)
                }
                None => Self::Array(element(item, schema.value_schema())?),
            },
            Kind::Map(value) => Self::Map(element(value, schema.value_schema())?),
            Kind::Record { fields, .. } => {
                let fields = fields.iter().zip(schema.struct_fields()?);
                let fields =
                    fields.map(|(f, s)| Self::plan(&f.node, Some(s.schema()), style)).collect::<Result<_>>()?;
                Self::Record { schema: schema.clone(), fields }
            }
            Kind::Union(members) => {
                let simple = nullable(members).is_some();
                let branches = members.iter().map(|member| match &member.kind {
                    Kind::Null => Ok(Branch::Null),
                    _ if simple => Ok(Branch::Plain(Self::plan(member, Some(schema), style)?)),
                    _ => {
                        let field = schema.field(&member_name(member, style)).ok_or_else(unfit)?;
                        let inner = Self::plan(member, Some(field.schema()), style)?;
                        Ok(Branch::Member(schema.clone(), field.index(), inner))
                    }
                });
                Self::Union(branches.collect::<Result<_>>()?)
            }
            Kind::Null | Kind::Recursive(_) => return Err(unfit()),
        })
    }

    /// Reads a value and moves the input behind it.
    pub(crate) fn decode(&self, input: &mut Bytes) -> Result<Value> {
        Ok(match self {
            Self::Boolean => Value::Boolean(match take(input, 1)?.first() {
                Some(0) => false,
                Some(1) => true,
                _ => return Err(Error::data("reading Avro: a boolean is neither 0 nor 1")),
            }),
            Self::Int8 => Value::Int8(int(input)? as i8),
            Self::Int16 => Value::Int16(int(input)? as i16),
            Self::Int32 => Value::Int32(int(input)?),
            Self::Date => Value::Date(int(input)?),
            Self::Time(schema) => logical::from_physical(schema, Value::Int32(int(input)?))?,
            Self::Int64 => Value::Int64(long(input)?),
            Self::Timestamp => Value::Timestamp(long(input)?),
            Self::Float => Value::Float32(take(input, 4)?.get_f32_le()),
            Self::Double => Value::Float64(take(input, 8)?.get_f64_le()),
            Self::Bytes => Value::Bytes(bytes(input)?),
            Self::Fixed(size) => Value::Bytes(take(input, *size)?),
            Self::Decimal(schema, inner) => logical::from_physical(schema, inner.decode(input)?)?,
            Self::String => Value::String(text(input)?),
            Self::Enum(symbols) => {
                let index = long(input)?;
                let symbol = usize::try_from(index).ok().and_then(|i| symbols.get(i));
                let unknown = || Error::data(format!("reading Avro: an enum has no symbol {index}"));
                Value::String(symbol.ok_or_else(unknown)?.clone())
            }
            Self::Array(inner) => {
                let mut items = Vec::new();
                blocks(input, |input| {
                    items.push(inner.decode(input)?);
                    Ok(())
                })?;
                Value::array(items)
            }
            Self::Map(inner) => {
                let mut entries = Map::new();
                blocks(input, |input| {
                    entries.insert(Value::String(text(input)?), inner.decode(input)?);
                    Ok(())
                })?;
                Value::Map(Arc::new(entries))
            }
            Self::Entries(key, inner) => {
                let mut entries = Map::new();
                blocks(input, |input| {
                    entries.insert(key.decode(input)?, inner.decode(input)?);
                    Ok(())
                })?;
                Value::Map(Arc::new(entries))
            }
            Self::Record { schema, fields } => {
                let values = fields.iter().map(|f| f.decode(input)).collect::<Result<_>>()?;
                Struct::from_values(schema, values)?.into_value()
            }
            Self::Union(branches) => {
                let index = long(input)?;
                let branch = usize::try_from(index).ok().and_then(|i| branches.get(i));
                match branch.ok_or_else(|| Error::data(format!("reading Avro: a union has no member {index}")))? {
                    Branch::Null => Value::Null,
                    Branch::Plain(inner) => inner.decode(input)?,
                    Branch::Member(schema, index, inner) => {
                        let mut values = vec![Value::Null; schema.fields().len()];
                        values[*index] = inner.decode(input)?;
                        Struct::from_values(schema, values)?.into_value()
                    }
                }
            }
            Self::Anything => anything::decode(input)?,
        })
    }
}

fn short() -> Error {
    Error::data("reading Avro: the value ends too early")
}

fn take(input: &mut Bytes, length: usize) -> Result<Bytes> {
    if length > input.len() { Err(short()) } else { Ok(input.split_to(length)) }
}

/// Reads a number: seven bits a byte, zigzag.
pub(crate) fn long(input: &mut Bytes) -> Result<i64> {
    let mut number = 0u64;
    for (i, b) in input.iter().take(10).enumerate() {
        // The tenth byte has room for one bit.
        if i == 9 && *b > 1 {
            break;
        }
        number |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            input.advance(i + 1);
            return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    if input.len() < 10 { Err(short()) } else { Err(Error::data("reading Avro: a number is longer than 64 bits")) }
}

/// Reads a number of 32 bits.
pub(crate) fn int(input: &mut Bytes) -> Result<i32> {
    let number = long(input)?;
    i32::try_from(number).map_err(|_| Error::data(format!("reading Avro: {number} does not fit into 32 bits")))
}

/// Reads bytes behind their length, without copying them.
pub(crate) fn bytes(input: &mut Bytes) -> Result<Bytes> {
    let length = long(input)?;
    let length = usize::try_from(length).map_err(|_| Error::data(format!("reading Avro: {length} is no length")))?;
    take(input, length)
}

/// Reads text behind its length.
pub(crate) fn text(input: &mut Bytes) -> Result<Arc<str>> {
    let raw = bytes(input)?;
    let text = std::str::from_utf8(&raw).map_err(|e| Error::data("reading Avro: text is not UTF-8").caused_by(e))?;
    Ok(text.into())
}

/// Reads the items of all blocks of an array or map.
pub(crate) fn blocks(input: &mut Bytes, mut item: impl FnMut(&mut Bytes) -> Result<()>) -> Result<()> {
    loop {
        let mut count = long(input)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            // A negative count is followed by the size of the block, which lets readers skip it.
            long(input)?;
            count = count.checked_neg().ok_or_else(short)?;
        }
        // Items take a byte or more, but for records without fields, of which a few are let through.
        if count as u64 > input.len() as u64 + 16 {
            return Err(Error::data(format!("reading Avro: {count} items do not fit into {} bytes", input.len())));
        }
        for _ in 0..count {
            item(input)?;
        }
    }
}
