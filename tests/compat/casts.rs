//! Casts and masks of single values: every type to every type, with numbers at their bounds and odd texts.

use connect_api::{Schema, SchemaBuilder, Type, Value, logical};

use crate::{
    BEFORE_1970, Deliberate, ZERO_WITHOUT_SCALE, compare,
    ours::Case,
    text, transform,
    values::{built, bytes, decimal, digits, record, structure},
};

const TEXTS: &[&str] = &[
    "",
    " ",
    "0",
    "-0",
    "+5",
    "12",
    "127",
    "128",
    "-128",
    "-129",
    "32767",
    "32768",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1.0",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "1E-3",
    "1e400",
    "1e-400",
    "1e",
    "e1",
    "-",
    "+",
    "--1",
    "0x10",
    "0x1p3",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "infinity",
    "1f",
    "1.5D",
    "1L",
    " 7 ",
    "1 2",
    "1_000",
    "1,5",
    "true",
    "TRUE",
    "True",
    "t",
    "yes",
    "false",
    "null",
    "٣",
    "abc",
];

fn scalars() -> Vec<(Schema, Value)> {
    let mut all: Vec<(Schema, Value)> = Vec::new();
    all.extend([0, 1, -1, i8::MIN, i8::MAX].map(|v| (Schema::int8(), Value::Int8(v))));
    all.extend([300, i16::MIN, i16::MAX].map(|v| (Schema::int16(), Value::Int16(v))));
    all.extend([70_000, 16_777_217, i32::MIN, i32::MAX].map(|v| (Schema::int32(), Value::Int32(v))));
    all.extend(
        [256, -257, 9_007_199_254_740_993, 9_007_199_791_611_905, i64::MIN, i64::MAX]
            .map(|v| (Schema::int64(), Value::Int64(v))),
    );
    all.extend(
        [0.0, -0.0, 0.5, -0.99, 1.0e10, 200.7, 3.4e38, 1e-45, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 16_777_216.0]
            .map(|v| (Schema::float32(), Value::Float32(v))),
    );
    all.extend(
        [
            0.1,
            -1.9,
            1e7,
            9_999_999.0,
            1.0e-3,
            9.99e-4,
            1e19,
            -1e300,
            5e-324,
            f64::MAX,
            f64::NAN,
            f64::NEG_INFINITY,
            65_536.5,
        ]
        .map(|v| (Schema::float64(), Value::Float64(v))),
    );
    all.extend([true, false].map(|v| (Schema::boolean(), Value::Boolean(v))));
    all.extend(TEXTS.iter().map(|t| (Schema::string(), (*t).into())));
    all.extend([bytes(b""), bytes(&[0, 1, 254])].map(|v| (Schema::bytes(), v)));
    for (unscaled, scale) in
        [("0", 0), ("0", 3), ("-199", 2), ("12345678901234567890123", 5), ("5", -3), ("1", 7), ("1", -80)]
    {
        let schema = built(logical::decimal(i32::try_from(scale).expect("scale")));
        all.push((schema, digits(unscaled, scale)));
    }
    all.extend([0, 1, 20_000].map(|v| (logical::date(), Value::Date(v))));
    all.extend([0, 3_600_001, logical::DAY_MS - 1].map(|v| (logical::time(), Value::Time(v))));
    all.extend([0, 86_400_000, 1_763_702_383_042, 86_400_001].map(|v| (logical::timestamp(), Value::Timestamp(v))));
    all.push((logical::date(), Value::Date(-1)));
    all.push((logical::timestamp(), Value::Timestamp(-1)));
    all
}

const TARGETS: [&str; 8] = ["int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string"];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (schema, value) in scalars() {
        let with_default = match value {
            // What a decimal's schema has for a default is checked against its own scale.
            Value::Decimal(_) => schema.clone(),
            _ => schema.to_builder().default(value.clone()).build().expect("default"),
        };
        let outer = built(Schema::structure().field("f", with_default.clone()).field("g", schema.with_optional(true)));
        let both = structure(&outer, &[("f", value.clone()), ("g", Value::Null)]);
        for target in TARGETS {
            let spec = [("spec", target)];
            cases.push(transform("Cast$Value", &spec, record(None, value.clone()), None));
            cases.push(transform("Cast$Value", &spec, record(Some(schema.clone()), value.clone()), None));
            cases.push(transform("Cast$Value", &spec, record(Some(with_default.clone()), value.clone()), None));
            let fields = format!("f:{target},g:{target}");
            let spec = [("spec", fields.as_str())];
            cases.push(transform("Cast$Value", &spec, record(Some(outer.clone()), both.clone()), None));
            cases.push(transform("Cast$Value", &spec, record(None, Value::map([("f", value.clone())])), None));
        }
        let mask = [("fields", "f")];
        cases.push(transform("MaskField$Value", &mask, record(None, Value::map([("f", value.clone())])), None));
        cases.push(transform("MaskField$Value", &mask, record(Some(outer), both), None));
    }
    let kinds = [
        Value::Int8(1),
        Value::Int16(1),
        Value::Int32(1),
        Value::Int64(1),
        Value::Float32(1.0),
        Value::Float64(1.0),
        Value::Boolean(true),
        "x".into(),
        decimal(1, 0),
        Value::Date(1),
        bytes(b"x"),
    ];
    for replacement in TEXTS.iter().filter(|t| !t.trim().is_empty()) {
        for value in &kinds {
            let mask = [("fields", "f"), ("replacement", *replacement)];
            cases.push(transform("MaskField$Value", &mask, record(None, Value::map([("f", value.clone())])), None));
        }
    }
    let optional = built(SchemaBuilder::new(Type::Int64).optional().default(Value::Int64(300)).doc("doc"));
    for target in TARGETS {
        cases.push(transform("Cast$Value", &[("spec", target)], record(Some(optional.clone()), Value::Int64(1)), None));
        cases.push(transform("Cast$Value", &[("spec", target)], record(Some(optional.clone()), Value::Null), None));
    }
    cases
}

#[test]
fn casts_and_masks_do_as_kafka_connects() {
    compare(&cases(), DELIBERATE);
}

const DELIBERATE: &[Deliberate] = &[
    ZERO_WITHOUT_SCALE,
    Deliberate {
        reason: "digits of other scripts and hexadecimal floats are no numbers",
        is: |case, java, own| {
            let asked = case.asked().to_string();
            java["ok"].is_object()
                && (asked.contains("\"٣\"") || asked.contains("\"0x1p3\""))
                && (text(own, "message").ends_with("was out of range for requested data type")
                    || text(own, "message").starts_with("Unable to convert ٣ (class java.lang.String) to "))
        },
    },
    BEFORE_1970,
];
