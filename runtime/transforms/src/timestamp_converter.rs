//! Converts moments between texts, Unix times and the logical types Date, Time and Timestamp.

use std::sync::Arc;

use connect_api::{
    Error, Record, RecordMeta, Result, Schema, SchemaBuilder, Struct, Type, Value,
    config::Key,
    logical::{self, DAY_MS, Logical},
};

use crate::{
    date_format::DateFormat,
    rebuild::{SchemaCache, copy_basics, field_value, require_map, require_struct_or_null},
    sided::{Side, Sided, names},
};

connect_api::config_enum! {
    /// What moments are converted to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Target {
        /// Text of the pattern.
        Text = "string",
        /// A 64-bit number since 1970.
        Unix = "unix",
        /// The day.
        Date = "Date",
        /// The time of day.
        Time = "Time",
        /// The moment.
        Timestamp = "Timestamp",
    }
}

connect_api::config_enum! {
    /// The unit of Unix times.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Precision {
        /// 10⁻⁹ s.
        Nanoseconds = "nanoseconds",
        /// 10⁻⁶ s.
        Microseconds = "microseconds",
        /// 10⁻³ s.
        Milliseconds = "milliseconds",
        /// 1 s.
        Seconds = "seconds",
    }
}

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct TimestampConverterConfig {
        /// The field that holds the moment; empty where the whole key or value is one.
        field: String = Key::new("field").default("").high(),
        /// What to convert to.
        target: Target = Key::new("target.type").high(),
        /// Pattern in the syntax of Java's SimpleDateFormat, for texts that are made and for texts that are read.
        /// Times are UTC, names English.
        format: String = Key::new("format").default("").rule(|f: &String| pattern(f).map(drop)),
        /// Unit of Unix times that are made or read. Moments have milliseconds; what is finer is cut off.
        precision: Precision = Key::new("unix.precision").default("milliseconds").low(),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

fn pattern(text: &str) -> Result<Option<DateFormat>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let wrong = |why| {
        format!(
            "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {text}: {why}"
        )
    };
    DateFormat::new(text).map(Some).map_err(wrong)
}

/// `org.apache.kafka.connect.transforms.TimestampConverter`
#[derive(Debug)]
pub struct TimestampConverter {
    field: Arc<str>,
    conversion: Conversion,
    with_default: bool,
    schemas: SchemaCache,
}

#[derive(Debug)]
struct Conversion {
    target: Target,
    format: Option<DateFormat>,
    precision: Precision,
    required: Schema,
    optional: Schema,
}

const PURPOSE: &str = "converting timestamp formats";

impl Sided for TimestampConverter {
    type Config = TimestampConverterConfig;

    names!(
        "timestamp-converter",
        "org.apache.kafka.connect.transforms.TimestampConverter",
        "converts a moment, in a field or the whole, between texts, Unix times and the types Date, Time and Timestamp."
    );

    fn new(config: TimestampConverterConfig) -> Result<Self> {
        let format = pattern(&config.format).map_err(Error::fatal)?;
        if config.target == Target::Text && format.is_none() {
            let text = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(Error::fatal(text).exception("org.apache.kafka.common.config.ConfigException"));
        }
        let required = match config.target {
            Target::Text => Schema::string(),
            Target::Unix => Schema::int64(),
            Target::Date => logical::date(),
            Target::Time => logical::time(),
            Target::Timestamp => logical::timestamp(),
        };
        let optional = required.with_optional(true);
        let conversion = Conversion { target: config.target, format, precision: config.precision, required, optional };
        Ok(Self {
            field: config.field.into(),
            conversion,
            with_default: config.replace_null_with_default,
            schemas: SchemaCache::new(),
        })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        let Some(schema) = schema else {
            let value = self.schemaless(side.take(record))?;
            side.set(record, None, value);
            return Ok(());
        };
        if self.field.is_empty() {
            let source = source_of(schema)?;
            let converted = self.conversion.convert(value, source)?;
            let made = self.conversion.schema(schema.is_optional()).clone();
            side.set(record, Some(made), converted);
            return Ok(());
        }
        let s = require_struct_or_null(value, PURPOSE)?;
        let Self { field, conversion, with_default, schemas } = self;
        let made = schemas.get(schema, || updated_schema(field, conversion, *with_default, schema))?;
        let converted = s.map_or(Ok(Value::Null), |s| converted(field, conversion, *with_default, s, &made))?;
        side.set(record, Some(made), converted);
        Ok(())
    }
}

impl TimestampConverter {
    fn schemaless(&self, value: Value) -> Result<Value> {
        if value.is_null() || self.field.is_empty() {
            return self.conversion.infer_and_convert(&value);
        }
        let mut map = require_map(value, PURPOSE)?;
        let entry = Arc::make_mut(&mut map).entry(Value::String(self.field.clone())).or_default();
        *entry = self.conversion.infer_and_convert(entry)?;
        Ok(Value::Map(map))
    }
}

fn updated_schema(field: &str, conversion: &Conversion, with_default: bool, schema: &Schema) -> Result<Schema> {
    let mut builder = copy_basics(schema, SchemaBuilder::new(Type::Struct));
    for own in schema.struct_fields()? {
        let optional = own.schema().is_optional();
        let made = if own.name() == field { conversion.schema(optional) } else { own.schema() };
        builder = builder.field(own.shared_name().clone(), made.clone());
    }
    if schema.is_optional() {
        builder = builder.optional();
    }
    let made = builder.build()?;
    match schema.default() {
        Some(Value::Struct(default)) => {
            let default = converted(field, conversion, with_default, default, &made)?;
            made.to_builder().default(default).build()
        }
        _ => Ok(made),
    }
}

fn converted(field: &str, conversion: &Conversion, with_default: bool, s: &Struct, made: &Schema) -> Result<Value> {
    let mut changed = Struct::new(made)?;
    for own in s.schema().fields() {
        let value = field_value(s, own.index(), with_default);
        let value =
            if own.name() == field { conversion.convert(value, source_of(own.schema())?)? } else { value.clone() };
        changed.put(own.name(), value)?;
    }
    Ok(changed.into_value())
}

/// What values of the schema are, in the same words as what they are converted to.
fn source_of(schema: &Schema) -> Result<Target> {
    match (Logical::of(schema), schema.kind()) {
        (Some(Logical::Timestamp), _) => Ok(Target::Timestamp),
        (Some(Logical::Date), _) => Ok(Target::Date),
        (Some(Logical::Time), _) => Ok(Target::Time),
        (_, Type::String) => Ok(Target::Text),
        (_, Type::Int64) => Ok(Target::Unix),
        _ => {
            let text = format!("Schema {schema} does not correspond to a known timestamp type format");
            Err(Error::data(text).exception("org.apache.kafka.connect.errors.ConnectException"))
        }
    }
}

impl Conversion {
    fn schema(&self, optional: bool) -> &Schema {
        if optional { &self.optional } else { &self.required }
    }

    fn infer_and_convert(&self, value: &Value) -> Result<Value> {
        let source = match value {
            Value::Null => return Ok(Value::Null),
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => Target::Timestamp,
            Value::Int64(_) => Target::Unix,
            Value::String(_) => Target::Text,
            other => {
                return Err(Error::data(format!(
                    "TimestampConverter does not support class {} objects as timestamps",
                    other.java_class()
                )));
            }
        };
        self.convert(value, source)
    }

    fn convert(&self, value: &Value, source: Target) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let ms = self.milliseconds(value, source)?;
        Ok(match self.target {
            Target::Text => match &self.format {
                Some(format) => format.format(ms).into(),
                None => return Err(no_format()),
            },
            Target::Unix => Value::Int64(match self.precision {
                Precision::Seconds => ms / 1000,
                Precision::Milliseconds => ms,
                Precision::Microseconds => ms.saturating_mul(1000),
                Precision::Nanoseconds => ms.saturating_mul(1_000_000),
            }),
            Target::Date => {
                let day = i32::try_from(ms.div_euclid(DAY_MS.into()));
                Value::Date(day.map_err(|e| Error::data(format!("{value} is beyond all dates")).caused_by(e))?)
            }
            Target::Time => Value::Time(ms.rem_euclid(DAY_MS.into()) as i32),
            Target::Timestamp => Value::Timestamp(ms),
        })
    }

    fn milliseconds(&self, value: &Value, source: Target) -> Result<i64> {
        let unexpected = |what: &str| Error::data(format!("Expected {what}, but found class {}", value.java_class()));
        match (source, value) {
            (Target::Text, Value::String(text)) => {
                let format = self.format.as_ref().ok_or_else(no_format)?;
                format.parse(text).ok_or_else(|| {
                    let pattern = format.pattern();
                    Error::data(format!("Could not parse timestamp: value ({text}) does not match pattern ({pattern})"))
                })
            }
            (Target::Unix, Value::Int64(v)) => Ok(match self.precision {
                Precision::Seconds => v.saturating_mul(1000),
                Precision::Milliseconds => *v,
                Precision::Microseconds => v / 1000,
                Precision::Nanoseconds => v / 1_000_000,
            }),
            (Target::Text, _) => Err(unexpected("string timestamp to be a String")),
            (Target::Unix, _) => Err(unexpected("Unix timestamp to be a Long")),
            (_, Value::Date(days)) => Ok(i64::from(*days) * i64::from(DAY_MS)),
            (_, Value::Time(ms)) => Ok((*ms).into()),
            (_, Value::Timestamp(ms)) => Ok(*ms),
            (Target::Date, _) => Err(unexpected("Date to be a java.util.Date")),
            (Target::Time, _) => Err(unexpected("Time to be a java.util.Date")),
            (Target::Timestamp, _) => Err(unexpected("Timestamp to be a java.util.Date")),
        }
    }
}

fn no_format() -> Error {
    Error::data("a text can only be read as a timestamp with a pattern; set format")
}
