//! Masks the values of fields.

use std::sync::Arc;

use connect_api::{BigDecimal, Error, Map, Record, RecordMeta, Result, Struct, Value, config::Key, parse_decimal};

use crate::{
    numbers,
    rebuild::{field_value, require_map, require_struct},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct MaskFieldConfig {
        /// Fields to mask.
        fields: Vec<String> = Key::new("fields").high().at_least_one(),
        /// What stands in place of the fields' values, which must be numbers or texts. Without it they become zero,
        /// false, empty or the beginning of 1970.
        replacement: Option<String> = Key::new("replacement").low().check(|r: &Option<String>| match r.as_deref() {
            Some("") => Err("String must be non-empty".into()),
            _ => Ok(()),
        }),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

/// `org.apache.kafka.connect.transforms.MaskField`
#[derive(Debug)]
pub struct MaskField {
    fields: Vec<Arc<str>>,
    replacement: Option<String>,
    with_default: bool,
}

const PURPOSE: &str = "mask fields";

impl Sided for MaskField {
    type Config = MaskFieldConfig;

    names!(
        "mask-field",
        "org.apache.kafka.connect.transforms.MaskField",
        "masks the values of fields, with what is nothing for their type or with a replacement. Null stays null."
    );

    fn new(config: MaskFieldConfig) -> Result<Self> {
        Ok(Self {
            fields: config.fields.into_iter().map(Arc::from).collect(),
            replacement: config.replacement,
            with_default: config.replace_null_with_default,
        })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        if schema.is_none() {
            let mut map = require_map(side.take(record), PURPOSE)?;
            let entries = Arc::make_mut(&mut map);
            for field in &self.fields {
                let entry = entries.entry(Value::String(field.clone())).or_default();
                *entry = self.masked(entry)?;
            }
            side.set(record, None, Value::Map(map));
            return Ok(());
        }
        let s = require_struct(value, PURPOSE)?;
        let mut changed = Struct::new(s.schema())?;
        for field in s.schema().fields() {
            let value = field_value(s, field.index(), self.with_default);
            let hidden = self.fields.iter().any(|name| **name == *field.name());
            changed.put(field.name(), if hidden { self.masked(value)? } else { value.clone() })?;
        }
        let schema = schema.cloned();
        side.set(record, schema, changed.into_value());
        Ok(())
    }
}

impl MaskField {
    fn masked(&self, value: &Value) -> Result<Value> {
        match (value, &self.replacement) {
            (Value::Null, _) => Ok(Value::Null),
            (value, None) => nothing(value),
            (value, Some(replacement)) => replaced(value, replacement),
        }
    }
}

fn nothing(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        // Of the value's scale, which is its schema's: Java's zero has none and cannot be written any more.
        Value::Decimal(d) => Value::Decimal(Arc::new(BigDecimal::new(0.into(), d.as_bigint_and_exponent().1))),
        Value::Date(_) => Value::Date(0),
        Value::Time(_) => Value::Time(0),
        Value::Timestamp(_) => Value::Timestamp(0),
        Value::String(_) => "".into(),
        Value::Array(_) => Value::array(Vec::new()),
        Value::Map(_) => Value::Map(Arc::new(Map::new())),
        other => return Err(Error::data(format!("Cannot mask value of type: class {}", other.java_class()))),
    })
}

fn replaced(value: &Value, replacement: &str) -> Result<Value> {
    let number = parse_decimal(replacement).map(|d| Value::Decimal(Arc::new(d)));
    let unreadable = |what| Error::data(format!("Unable to convert {replacement} (class java.lang.String) to {what}"));
    let whole = || number.as_ref().and_then(numbers::long).ok_or_else(|| unreadable("a number"));
    let float = || number.as_ref().and_then(numbers::double).ok_or_else(|| unreadable("a number"));
    Ok(match value {
        Value::Int8(_) => Value::Int8(whole()? as i8),
        Value::Int16(_) => Value::Int16(whole()? as i16),
        Value::Int32(_) => Value::Int32(whole()? as i32),
        Value::Int64(_) => Value::Int64(whole()?),
        Value::Float32(_) => Value::Float32(float()? as f32),
        Value::Float64(_) => Value::Float64(float()?),
        Value::String(_) => replacement.into(),
        Value::Decimal(_) => number.ok_or_else(|| unreadable("number"))?,
        other => {
            return Err(Error::data(format!(
                "Cannot mask value of type class {} with custom replacement.",
                other.java_class()
            )));
        }
    })
}
