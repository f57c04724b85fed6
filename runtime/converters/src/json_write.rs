//! Values as JSON text.

use std::io::Write;

use connect_api::{
    Error, Result, Schema, Type, Value, decimal_text, float32, float64,
    json::base64,
    logical::{self, Logical},
};

use crate::DecimalFormat;

/// How values are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer {
    pub(crate) decimal_format: DecimalFormat,
    pub(crate) replace_null_with_default: bool,
}

impl Writer {
    /// Appends the JSON of a value.
    pub(crate) fn value(&self, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let Some(schema) = schema else { return self.schemaless(value, out) };
        if value.is_null() {
            return match schema.default() {
                Some(default) if self.replace_null_with_default => self.value(Some(schema), default, out),
                _ if schema.is_optional() => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
                _ => {
                    Err(Error::data("Conversion error: null value for field that is required and has no default value"))
                }
            };
        }
        if let Some(logical) = Logical::of(schema) {
            return self.logical(logical, schema, value, out);
        }
        match (schema.kind(), value) {
            (Type::Struct, Value::Struct(s)) => {
                if s.schema() != schema {
                    return Err(Error::data("Mismatching schema."));
                }
                out.push(b'{');
                for (i, (field, v)) in schema.fields().iter().zip(s.values()).enumerate() {
                    separate(i, out);
                    string(field.name(), out);
                    out.push(b':');
                    self.value(Some(field.schema()), v, out)?;
                }
                out.push(b'}');
                Ok(())
            }
            (Type::Array, Value::Array(items)) => self.array(schema.value_schema()?, items, out),
            (Type::Map, Value::Map(entries)) => {
                let key = schema.key_schema()?;
                let as_object = key.is_some_and(|k| k.kind() == Type::String);
                self.map(as_object, key, schema.value_schema()?, entries, out)
            }
            (Type::Int8, Value::Int8(_))
            | (Type::Int16, Value::Int16(_))
            | (Type::Int32, Value::Int32(_))
            | (Type::Int64, Value::Int64(_))
            | (Type::Float32, Value::Float32(_))
            | (Type::Float64, Value::Float64(_))
            | (Type::Boolean, Value::Boolean(_))
            | (Type::String, Value::String(_))
            | (Type::Bytes, Value::Bytes(_)) => self.schemaless(value, out),
            (kind, v) => Err(Error::data(format!("Invalid type for {kind}: class {}", v.java_class()))),
        }
    }

    fn schemaless(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Int8(v) => integer(i64::from(*v), out),
            Value::Int16(v) => integer(i64::from(*v), out),
            Value::Int32(v) => integer(i64::from(*v), out),
            Value::Int64(v) => integer(*v, out),
            Value::Float32(v) => float(f64::from(*v), || v.to_string(), || float32(*v), out),
            Value::Float64(v) => float(*v, || v.to_string(), || float64(*v), out),
            Value::Boolean(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
            Value::String(v) => string(v, out),
            Value::Bytes(v) => quoted(&base64(v), out),
            Value::Array(items) => return self.array(None, items, out),
            Value::Map(entries) => {
                let as_object = entries.keys().all(|k| matches!(k, Value::String(_)));
                return self.map(as_object, None, None, entries, out);
            }
            Value::Struct(_) => return Err(Error::data("Mismatching schema.")),
            other => {
                return Err(Error::data(format!(
                    "Java class class {} does not have corresponding schema type.",
                    other.java_class()
                )));
            }
        }
        Ok(())
    }

    fn array(&self, element: Option<&Schema>, items: &[Value], out: &mut Vec<u8>) -> Result<()> {
        out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            separate(i, out);
            self.value(element, item, out)?;
        }
        out.push(b']');
        Ok(())
    }

    fn map(
        &self,
        as_object: bool,
        key: Option<&Schema>,
        element: Option<&Schema>,
        entries: &connect_api::Map,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.push(if as_object { b'{' } else { b'[' });
        for (i, (k, v)) in entries.iter().enumerate() {
            separate(i, out);
            if as_object {
                let Value::String(name) = k else {
                    return Err(Error::data(format!("Invalid type for STRING: class {}", k.java_class())));
                };
                string(name, out);
                out.push(b':');
                self.value(element, v, out)?;
            } else {
                out.push(b'[');
                self.value(key, k, out)?;
                out.push(b',');
                self.value(element, v, out)?;
                out.push(b']');
            }
        }
        out.push(if as_object { b'}' } else { b']' });
        Ok(())
    }

    fn logical(&self, logical: Logical, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let wrong = |name: &str, class: &str| {
            let class_found = value.java_class();
            Err(Error::data(format!("Invalid type for {name}, expected {class} but was class {class_found}")))
        };
        match (logical, value) {
            (Logical::Decimal, Value::Decimal(d)) => match self.decimal_format {
                DecimalFormat::Numeric => out.extend_from_slice(decimal_text(d).as_bytes()),
                DecimalFormat::Base64 => {
                    if let Value::Bytes(b) = logical::to_physical(schema, value)? {
                        quoted(&base64(&b), out);
                    }
                }
            },
            (Logical::Date, Value::Date(_))
            | (Logical::Time, Value::Time(_))
            | (Logical::Timestamp, Value::Timestamp(_)) => {
                let physical = logical::to_physical(schema, value)?;
                return self.schemaless(&physical, out);
            }
            (Logical::Decimal, _) => return wrong("Decimal", "BigDecimal"),
            (Logical::Date, _) => return wrong("Date", "Date"),
            (Logical::Time, _) => return wrong("Time", "Date"),
            (Logical::Timestamp, _) => return wrong("Timestamp", "Date"),
        }
        Ok(())
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

/// Appends a JSON string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    // Most texts need no escape; they are copied in one piece. Bytes from 0xf0 on begin the characters that Java
    // escapes, for which a key would otherwise have other bytes here, and be another key to Kafka.
    if text.bytes().all(|b| (0x20..0xf0).contains(&b) && b != b'"' && b != b'\\') {
        return quoted(text, out);
    }
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04X}", c as u32).as_bytes()),
            c if c > '\u{ffff}' => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn integer(v: i64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{v}");
}

// Numbers look as in Java; what JSON has no number for becomes text, as Jackson does it.
fn float(v: f64, plain: impl Fn() -> String, java: impl Fn() -> String, out: &mut Vec<u8>) {
    if !v.is_finite() {
        return quoted(&java(), out);
    }
    if v != 0.0 && !(1e-3..1e7).contains(&v.abs()) {
        return out.extend_from_slice(java().as_bytes());
    }
    let text = plain();
    out.extend_from_slice(text.as_bytes());
    if !text.contains('.') {
        out.extend_from_slice(b".0");
    }
}
