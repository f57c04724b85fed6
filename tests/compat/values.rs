//! The schemas and values that cases are made of.

use std::sync::Arc;

use connect_api::{BigDecimal, Bytes, Record, Schema, SchemaBuilder, Struct, Type, Value, logical};

/// The schema of a builder that is right.
pub fn built(builder: SchemaBuilder) -> Schema {
    builder.build().expect("schema")
}

/// A struct with some of its fields.
pub fn structure(schema: &Schema, fields: &[(&str, Value)]) -> Value {
    let mut made = Struct::new(schema).expect("struct");
    for (name, value) in fields {
        made.put(name, value.clone()).expect("field");
    }
    made.into_value()
}

/// A decimal number.
pub fn decimal(unscaled: i128, scale: i64) -> Value {
    Value::Decimal(Arc::new(BigDecimal::new(unscaled.into(), scale)))
}

/// A decimal number of its digits.
pub fn digits(unscaled: &str, scale: i64) -> Value {
    Value::Decimal(Arc::new(BigDecimal::new(unscaled.parse().expect("digits"), scale)))
}

/// Bytes.
pub fn bytes(b: &'static [u8]) -> Value {
    Value::Bytes(Bytes::from_static(b))
}

/// A record with this value, a key, headers and all else that a record has.
pub fn record(schema: Option<Schema>, value: Value) -> Record {
    let mut record = Record::new("topic");
    record.partition = Some(3);
    record.timestamp = Some(1_763_702_383_042);
    (record.key_schema, record.key) = (Some(Schema::string()), "key".into());
    (record.value_schema, record.value) = (schema, value);
    record.headers.add_string("a", "1").add_string("b", "2").add_string("a", "3");
    record
}

/// The same with key and value exchanged.
pub fn turned(mut record: Record) -> Record {
    std::mem::swap(&mut record.key, &mut record.value);
    std::mem::swap(&mut record.key_schema, &mut record.value_schema);
    record
}

/// Schema with fields `x` and, nested in `y`, `z`.
fn nested(optional: bool) -> Schema {
    let inner =
        built(Schema::structure().optional().field("z", Schema::string()).field("d.t", Schema::optional_int64()));
    let outer = Schema::structure().field("x", Schema::int32()).field("y", inner);
    built(if optional { outer.optional() } else { outer })
}

/// A struct schema with fields of many kinds, under a name with all attributes.
pub fn wide() -> Schema {
    let with_default = built(SchemaBuilder::new(Type::Int32).default(Value::Int32(7)));
    let optional_default = built(SchemaBuilder::new(Type::String).optional().default("dflt".into()).doc("d"));
    built(
        Schema::structure()
            .name("org.example.Wide")
            .version(3)
            .doc("all sorts")
            .parameter("p", "q")
            .field("a", Schema::int32())
            .field("b", Schema::optional_string())
            .field("c", with_default)
            .field("d", optional_default)
            .field("e", Schema::float64())
            .field("n", nested(true))
            .field("l", built(Schema::array(Schema::int32()).doc("list")))
            .field("by", Schema::optional_bytes())
            .field("ts", logical::timestamp().with_optional(true))
            .field("ok", Schema::boolean()),
    )
}

fn wide_value(n: Value) -> Value {
    structure(
        &wide(),
        &[
            ("a", Value::Int32(300)),
            ("c", Value::Int32(1)),
            ("e", Value::Float64(-2.75)),
            ("n", n),
            ("l", Value::array(vec![Value::Int32(1), Value::Int32(2)])),
            ("by", bytes(&[0, 255])),
            ("ok", Value::Boolean(true)),
        ],
    )
}

fn nested_value(optional: bool) -> Value {
    let schema = nested(optional);
    let y = schema.field("y").expect("y").schema().clone();
    structure(&schema, &[("x", Value::Int32(5)), ("y", structure(&y, &[("z", "deep".into())]))])
}

/// A struct schema of logical types only.
pub fn logicals() -> Schema {
    built(
        Schema::structure()
            .field("date", logical::date())
            .field("time", logical::time())
            .field("ts", logical::timestamp())
            .field("dec", built(logical::decimal(2).optional())),
    )
}

/// Values with and without schema, of all shapes.
pub fn shapes() -> Vec<(Option<Schema>, Value)> {
    let inner =
        Value::map([("x", Value::Int64(1)), ("y", Value::map([("z", Value::from("q")), ("d.t", Value::Null)]))]);
    let map = Value::map([
        ("a", Value::Int64(300)),
        ("b", Value::from("text")),
        ("c", Value::Boolean(true)),
        ("e", Value::Float64(1.5)),
        ("n", inner),
        ("l", Value::array(vec![Value::Int64(1), "x".into()])),
        ("d", Value::Null),
        ("n.x", Value::Int64(9)),
    ]);
    let with_map = built(
        Schema::structure().field("a", Schema::int8()).field("m", built(Schema::map(Schema::string(), Schema::int8()))),
    );
    let logical_value = structure(
        &logicals(),
        &[
            ("date", Value::Date(20_000)),
            ("time", Value::Time(3_600_001)),
            ("ts", Value::Timestamp(1_763_702_383_042)),
            ("dec", decimal(-1999, 2)),
        ],
    );
    let plain = built(Schema::structure().field("a", Schema::int32()).field("b", Schema::optional_string()));
    let default = structure(&plain, &[("a", Value::Int32(11)), ("b", "in default".into())]);
    let defaulted = built(plain.to_builder().default(default));
    let optional = plain.with_optional(true);
    let outer_default = {
        let y = nested(false);
        let value = nested_value(false);
        let inner = built(y.to_builder().default(value));
        built(Schema::structure().field("n", inner).field("a", Schema::int32()))
    };
    let optional_text = |text: Option<&str>| (Some(Schema::optional_string()), Value::from(text.map(str::to_owned)));
    vec![
        (None, Value::Null),
        (None, map),
        (None, Value::map::<&str>([])),
        (None, Value::map([("a", Value::from("12")), ("ts", Value::Int64(1_000_000)), ("n", Value::from("flat"))])),
        (None, Value::map([("a", decimal(125, 1)), ("by", bytes(b"x"))])),
        (None, Value::map([("a", Value::Timestamp(5)), ("n", logical_value.clone())])),
        (None, Value::map([("a", wide_value(nested_value(true)))])),
        (None, "text".into()),
        (None, Value::Int64(12)),
        (None, Value::Boolean(true)),
        (None, Value::Float64(1e10)),
        (None, bytes(b"raw")),
        (None, Value::array(vec![Value::Int64(1)])),
        (None, Value::Timestamp(86_400_001)),
        (None, decimal(5, 1)),
        (Some(wide()), wide_value(nested_value(true))),
        (Some(wide()), wide_value(Value::Null)),
        (Some(wide()), Value::Null),
        (Some(wide().with_optional(true)), Value::Null),
        (Some(plain.clone()), structure(&plain, &[("a", Value::Int32(-1)), ("b", "12".into())])),
        (Some(optional.clone()), structure(&optional, &[("a", Value::Int32(1))])),
        (Some(optional), Value::Null),
        (Some(defaulted.clone()), structure(&defaulted, &[("a", Value::Int32(2))])),
        (Some(defaulted), Value::Null),
        (
            Some(outer_default.clone()),
            structure(&outer_default, &[("a", Value::Int32(2)), ("n", Value::Null)].as_slice()[..1]),
        ),
        (Some(logicals()), logical_value),
        (
            Some(with_map.clone()),
            structure(&with_map, &[("a", Value::Int8(1)), ("m", Value::map([("k", Value::Int8(2))]))]),
        ),
        (Some(Schema::string()), "2025-11-21".into()),
        optional_text(None),
        optional_text(Some("x")),
        (Some(Schema::string()), Value::Null),
        (Some(built(SchemaBuilder::new(Type::Int32).optional().default(Value::Int32(4)).name("n"))), Value::Null),
        (
            Some(built(SchemaBuilder::new(Type::Int32).optional().default(Value::Int32(4)).name("n"))),
            Value::Int32(70_000),
        ),
        (Some(Schema::int64()), Value::Int64(-1_500)),
        (Some(Schema::float32()), Value::Float32(0.5)),
        (Some(Schema::bytes()), bytes(&[1, 2])),
        (Some(logical::timestamp()), Value::Timestamp(1_763_702_383_042)),
        (Some(logical::date()), Value::Date(20_000)),
        (Some(logical::time()), Value::Time(1)),
        (Some(built(logical::decimal(2))), decimal(-1999, 2)),
        (Some(built(Schema::array(Schema::string()))), Value::array(vec!["x".into()])),
        (
            Some(built(Schema::map(Schema::string(), Schema::int32()).name("m").version(1))),
            Value::map([("k", Value::Int32(1))]),
        ),
    ]
}
