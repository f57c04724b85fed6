//! Logical types: Decimal, Date, Time and Timestamp over BYTES, INT32 and INT64
//! (`org.apache.kafka.connect.data`).

use std::sync::{Arc, LazyLock};

use bigdecimal::BigDecimal;
use bytes::Bytes;
use num_bigint::BigInt;

use crate::{Error, Result, Schema, SchemaBuilder, Type, Value};

/// Name of the Decimal schema.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Name of the Date schema.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Name of the Time schema.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Name of the Timestamp schema.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
/// Parameter of the Decimal schema that holds its scale.
pub const SCALE: &str = "scale";
/// Milliseconds of a day.
pub const DAY_MS: i32 = 86_400_000;

/// The four logical types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Logical {
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl Logical {
    /// The logical type that the schema's name stands for.
    pub fn of(schema: &Schema) -> Option<Self> {
        match schema.name()? {
            DECIMAL => Some(Self::Decimal),
            DATE => Some(Self::Date),
            TIME => Some(Self::Time),
            TIMESTAMP => Some(Self::Timestamp),
            _ => None,
        }
    }
}

fn named(kind: Type, name: &str) -> SchemaBuilder {
    SchemaBuilder::new(kind).name(name).version(1)
}

/// Builder of a Decimal schema with that scale.
pub fn decimal(scale: i32) -> SchemaBuilder {
    named(Type::Bytes, DECIMAL).parameter(SCALE, scale.to_string())
}

/// Schema of dates.
pub fn date() -> Schema {
    static S: LazyLock<Schema> = LazyLock::new(|| named(Type::Int32, DATE).build().expect("constant schema"));
    S.clone()
}

/// Schema of times of day.
pub fn time() -> Schema {
    static S: LazyLock<Schema> = LazyLock::new(|| named(Type::Int32, TIME).build().expect("constant schema"));
    S.clone()
}

/// Schema of moments.
pub fn timestamp() -> Schema {
    static S: LazyLock<Schema> = LazyLock::new(|| named(Type::Int64, TIMESTAMP).build().expect("constant schema"));
    S.clone()
}

fn decimal_scale(schema: &Schema) -> Result<i64> {
    let text =
        schema.parameter(SCALE).ok_or_else(|| Error::data("Invalid Decimal schema: scale parameter not found."))?;
    text.parse::<i32>()
        .map(i64::from)
        .map_err(|e| Error::data(format!("Invalid scale parameter found in Decimal schema: {text}")).caused_by(e))
}

/// The physical value of a logical one: bytes, INT32 or INT64.
///
/// Values of other types pass unchanged. Errors: a decimal of another scale than the schema's, a time
/// beyond a day.
pub fn to_physical(schema: &Schema, value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Decimal(d) => {
            expect(schema, Logical::Decimal, "Decimal")?;
            let scale = decimal_scale(schema)?;
            let (unscaled, own) = d.as_bigint_and_exponent();
            if own != scale {
                return Err(Error::data(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, value has scale {own}."
                )));
            }
            Value::Bytes(Bytes::from(unscaled.to_signed_bytes_be()))
        }
        Value::Date(days) => {
            expect(schema, Logical::Date, "Date")?;
            Value::Int32(*days)
        }
        Value::Time(ms) => {
            expect(schema, Logical::Time, "Time")?;
            if !(0..=DAY_MS).contains(ms) {
                return Err(Error::data(
                    "Kafka Connect Time type should not have any date fields set to non-zero values.",
                ));
            }
            Value::Int32(*ms)
        }
        Value::Timestamp(ms) => {
            expect(schema, Logical::Timestamp, "Timestamp")?;
            Value::Int64(*ms)
        }
        other => other.clone(),
    })
}

/// The logical value of a physical one; values of schemas that are not logical pass unchanged.
pub fn from_physical(schema: &Schema, value: Value) -> Result<Value> {
    Ok(match (Logical::of(schema), value) {
        (Some(Logical::Decimal), Value::Bytes(b)) => {
            if b.is_empty() {
                return Err(Error::data("Zero length BigInteger"));
            }
            let unscaled = BigInt::from_signed_bytes_be(&b);
            Value::Decimal(Arc::new(BigDecimal::new(unscaled, decimal_scale(schema)?)))
        }
        (Some(Logical::Date), Value::Int32(days)) => Value::Date(days),
        (Some(Logical::Time), Value::Int32(ms)) => {
            if !(0..=DAY_MS).contains(&ms) {
                return Err(Error::data(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
            Value::Time(ms)
        }
        (Some(Logical::Timestamp), Value::Int64(ms)) => Value::Timestamp(ms),
        (_, v) => v,
    })
}

fn expect(schema: &Schema, logical: Logical, name: &str) -> Result<()> {
    if Logical::of(schema) == Some(logical) {
        return Ok(());
    }
    Err(Error::data(format!("Requested conversion of {name} object but the schema does not match.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_twos_complement_big_endian() {
        let schema = decimal(2).build().expect("schema");
        let d = Value::Decimal(Arc::new(BigDecimal::new(156.into(), 2)));
        let physical = to_physical(&schema, &d).expect("bytes");
        assert_eq!(physical, Value::Bytes(Bytes::from_static(&[0x00, 0x9c])));
        assert_eq!(from_physical(&schema, physical).expect("back"), d);
        let e = to_physical(&schema, &Value::Decimal(Arc::new(BigDecimal::new(1.into(), 0)))).expect_err("scale");
        assert!(e.message().ends_with("Schema has scale 2, value has scale 0."), "{e}");
    }

    #[test]
    fn times_are_within_a_day_inclusive() {
        assert!(to_physical(&time(), &Value::Time(DAY_MS)).is_ok());
        assert!(to_physical(&time(), &Value::Time(DAY_MS + 1)).is_err());
        assert!(from_physical(&time(), Value::Int32(-1)).is_err());
    }

    #[test]
    fn another_schema_is_refused() {
        let e = to_physical(&timestamp(), &Value::Date(1)).expect_err("schema");
        assert_eq!(e.message(), "Requested conversion of Date object but the schema does not match.");
    }
}
