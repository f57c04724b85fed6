mod converter;

use std::sync::Arc;

use bytes::Bytes;
use connect_api::{BigDecimal, Map, Result, Schema, SchemaAndValue, SchemaBuilder, Struct, Type, Value, logical};

use super::{
    connect_schema_from_avro, decode::Decoder, encode::Encoder, names::Style, node::Node, to_avro::avro_schema,
    to_connect::connect_schema,
};

const STYLE: Style = Style { enums: true, full_member_names: false, meta_data: true };

const ALARM: &str = r#"{
    "type": "record", "name": "ActiveAlarm", "namespace": "org.jlab.kafka.alarms", "doc": "A raised alarm.",
    "fields": [
        {"name": "priority", "type": {"type": "enum", "name": "AlarmPriority",
            "symbols": ["P1_LIFE", "P2_PROPERTY", "P3_PRODUCTIVITY", "P4_DIAGNOSTIC"], "default": "P4_DIAGNOSTIC"}},
        {"name": "acknowledged", "type": "boolean", "default": false, "doc": "Whether someone has seen it."},
        {"name": "source", "type": ["null", "string"], "default": null, "aliases": ["origin"]},
        {"name": "text", "type": ["string", "null"], "default": "x"},
        {"name": "raised", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": null},
        {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "worst", "type": ["null", "AlarmPriority"], "default": null}
    ]}"#;

fn ok(b: SchemaBuilder) -> Schema {
    b.build().expect("schema")
}

fn encode(schema: Option<&Schema>, value: &Value) -> Result<Vec<u8>> {
    let node = Node::parse(&avro_schema(schema, STYLE)?)?;
    let mut out = Vec::new();
    Encoder::plan(schema, &node, STYLE)?.encode(value, &mut out)?;
    Ok(out)
}

fn decode(text: &str, bytes: &[u8]) -> Result<SchemaAndValue> {
    let node = Node::parse(text)?;
    let schema = connect_schema(&node, STYLE)?;
    let mut input = Bytes::copy_from_slice(bytes);
    let value = Decoder::plan(&node, schema.as_ref(), STYLE)?.decode(&mut input)?;
    assert!(input.is_empty(), "{} bytes left", input.len());
    Ok(SchemaAndValue { schema, value })
}

fn structure(schema: &Schema, values: Vec<Value>) -> Value {
    Struct::from_values(schema, values).expect("struct").into_value()
}

fn decimal(unscaled: i64, scale: i64) -> Value {
    Value::Decimal(Arc::new(BigDecimal::new(unscaled.into(), scale)))
}

fn everything() -> (Schema, Value) {
    let point = ok(Schema::structure().name("org.test.Point").field("x", Schema::int32()));
    let nameless = ok(Schema::structure().field("y", Schema::optional_string()));
    let optional_point = point.with_optional(true);
    let fruit = ok(SchemaBuilder::new(Type::String)
        .name("org.test.Fruit")
        .parameter("io.confluent.connect.avro.Enum", "org.test.Fruit")
        .parameter("io.confluent.connect.avro.Enum.APPLE", "APPLE")
        .parameter("io.confluent.connect.avro.Enum.PEAR", "PEAR"));
    let union = ok(Schema::structure()
        .name("io.confluent.connect.avro.Union")
        .optional()
        .field("int", Schema::optional_int32())
        .field("string", Schema::optional_string())
        .field("Point", optional_point.clone()));
    let other_keys = ok(Schema::map(Schema::int32(), Schema::string()));
    let mut b = Schema::structure().name("org.test.All").version(3).doc("doc");
    let fields: Vec<(&str, Schema, Value)> = vec![
        ("i8", Schema::int8(), Value::Int8(-3)),
        ("i16", Schema::optional_int16(), Value::Int16(300)),
        ("i32", ok(SchemaBuilder::new(Type::Int32).default(Value::Int32(42)).doc("d")), Value::Int32(i32::MIN)),
        ("i64", Schema::int64(), Value::Int64(i64::MAX)),
        ("f32", Schema::float32(), Value::Float32(1.5)),
        ("f64", Schema::optional_float64(), Value::Float64(-0.25)),
        ("b", Schema::boolean(), Value::Boolean(true)),
        ("s", ok(SchemaBuilder::new(Type::String).optional().default("é".into())), "x".into()),
        ("bytes", Schema::bytes(), Value::Bytes(Bytes::from_static(&[0, 255]))),
        ("list", ok(Schema::array(Schema::optional_int64())), Value::array(vec![Value::Int64(1), Value::Null])),
        ("empty", ok(Schema::array(Schema::string())), Value::array(Vec::new())),
        ("map", ok(Schema::map(Schema::string(), Schema::boolean())), Value::map([("k", Value::Boolean(false))])),
        (
            "other",
            other_keys,
            Value::Map(Arc::new([(Value::Int32(1), "a".into()), (Value::Int32(2), "b".into())].into_iter().collect())),
        ),
        ("decimal", ok(logical::decimal(2)), decimal(-15_600, 2)),
        ("precise", ok(logical::decimal(3).parameter("connect.decimal.precision", "9").optional()), Value::Null),
        ("date", logical::date(), Value::Date(-1)),
        ("time", logical::time(), Value::Time(86_399_999)),
        ("ts", logical::timestamp(), Value::Timestamp(-5)),
        ("point", point.clone(), structure(&point, vec![1.into()])),
        ("again", optional_point.clone(), structure(&optional_point, vec![2.into()])),
        ("nameless", nameless.clone(), structure(&nameless, vec!["z".into()])),
        ("fruit", fruit.clone(), "PEAR".into()),
        ("maybe", fruit.with_optional(true), Value::Null),
        ("union", union.clone(), structure(&union, vec![Value::Null, "u".into(), Value::Null])),
        (
            "union2",
            union.clone(),
            structure(&union, vec![Value::Null, Value::Null, structure(&optional_point, vec![7.into()])]),
        ),
        ("union3", union, Value::Null),
    ];
    let mut values = Vec::new();
    for (name, schema, value) in fields {
        b = b.field(name, schema);
        values.push(value);
    }
    let schema = ok(b);
    let value = structure(&schema, values);
    (schema, value)
}

#[test]
fn everything_comes_back_and_is_what_the_avro_library_reads_and_writes() {
    let (schema, value) = everything();
    let text = avro_schema(Some(&schema), STYLE).expect("text");
    let bytes = encode(Some(&schema), &value).expect("bytes");
    let back = decode(&text, &bytes).expect("back");
    assert_eq!(back.value.to_string(), value.to_string());

    let avro = apache_avro::Schema::parse_str(&text).expect("valid");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&avro).build().expect("reader");
    let theirs = reader.read_value(&mut &bytes[..]).expect("readable");
    let again = apache_avro::writer::datum::GenericDatumWriter::builder(&avro).build().expect("writer");
    assert_eq!(again.write_value_to_vec(theirs).expect("written"), bytes);

    // The schema that was read translates to the same text: nothing is lost and nothing grows.
    let read = back.schema.expect("schema");
    assert_eq!(avro_schema(Some(&read), STYLE).expect("again"), text);
    assert_eq!((read.version(), read.doc(), read.name()), (Some(3), Some("doc"), Some("org.test.All")));
    for (a, b) in read.fields().iter().zip(schema.fields()) {
        let (a_schema, b_schema) = (a.schema(), b.schema());
        assert_eq!(a_schema.kind(), b_schema.kind(), "{}", a.name());
        assert_eq!(a_schema.is_optional(), b_schema.is_optional(), "{}", a.name());
        assert_eq!(a_schema.default(), b_schema.default(), "{}", a.name());
        assert_eq!(a_schema.name(), b_schema.name(), "{}", a.name());
    }
}

#[test]
fn schema_texts_are_confluents() {
    let text = |s: Schema| avro_schema(Some(&s), STYLE).expect("text");
    assert_eq!(text(Schema::string()), r#""string""#);
    assert_eq!(text(Schema::optional_int64()), r#"["null","long"]"#);
    assert_eq!(text(Schema::int8()), r#"{"type":"int","connect.type":"int8"}"#);
    assert_eq!(
        text(ok(logical::decimal(2))),
        r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#
    );
    assert_eq!(
        text(logical::timestamp()),
        r#"{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}"#
    );
    let with_default = ok(SchemaBuilder::new(Type::Int32).default(Value::Int32(42)));
    let s = ok(Schema::structure()
        .name("com.acme.Row")
        .field("id", with_default)
        .field("name", Schema::optional_string())
        .field("inner", ok(Schema::structure().name("com.acme.Inner").field("a", Schema::int32()))));
    assert_eq!(
        text(s),
        concat!(
            r#"{"type":"record","name":"Row","namespace":"com.acme","fields":["#,
            r#"{"name":"id","type":{"type":"int","connect.default":42},"default":42},"#,
            r#"{"name":"name","type":["null","string"],"default":null},"#,
            r#"{"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"a","type":"int"}],"connect.name":"com.acme.Inner"}}],"#,
            r#""connect.name":"com.acme.Row"}"#
        )
    );
    assert_eq!(
        text(ok(Schema::structure().field("a", Schema::int32()))),
        r#"{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"a","type":"int"}]}"#
    );
    let map = ok(Schema::map(Schema::int32(), Schema::string()));
    assert_eq!(
        text(map),
        r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}"#
    );
    let plain = Style { meta_data: false, ..STYLE };
    assert_eq!(avro_schema(Some(&Schema::int8()), plain).expect("plain"), r#""int""#);
}

#[test]
fn structs_without_name_are_told_apart() {
    let a = ok(Schema::structure().field("a", Schema::int32()));
    let b = ok(Schema::structure().field("b", Schema::int32()));
    let outer = ok(Schema::structure().field("x", a.clone()).field("y", b.clone()).field("z", a.clone()));
    let value = structure(
        &outer,
        vec![structure(&a, vec![1.into()]), structure(&b, vec![2.into()]), structure(&a, vec![3.into()])],
    );
    let text = avro_schema(Some(&outer), STYLE).expect("text");
    let back = decode(&text, &encode(Some(&outer), &value).expect("bytes")).expect("back");
    assert_eq!((back.schema, back.value), (Some(outer), value));
}

#[test]
fn names_that_avro_does_not_allow_are_named() {
    let s = ok(Schema::structure().name("my-topic.Value").field("a", Schema::int32()));
    let e = avro_schema(Some(&s), STYLE).expect_err("name");
    assert!(e.message().contains("my-topic.Value"), "{e}");
    let twice = ok(Schema::structure().name("A").field("x", ok(Schema::structure().name("A"))));
    assert!(avro_schema(Some(&twice), STYLE).expect_err("twice").message().contains("two different types"));
}

#[test]
fn embedded_schemas_are_written_as_they_are() {
    let schema = connect_schema_from_avro(ALARM).expect("schema");
    assert_eq!(avro_schema(Some(&schema), STYLE).expect("text"), ALARM);
    assert_eq!(schema.name(), Some("org.jlab.kafka.alarms.ActiveAlarm"));
    let priority = schema.field("priority").expect("priority").schema();
    assert_eq!(priority.parameter("io.confluent.connect.avro.Enum"), Some("org.jlab.kafka.alarms.AlarmPriority"));
    assert_eq!(priority.parameter("io.confluent.connect.avro.Enum.P1_LIFE"), Some("P1_LIFE"));
    assert_eq!(schema.field("acknowledged").and_then(|f| f.schema().default()), Some(&Value::Boolean(false)));
    assert_eq!(schema.field("text").and_then(|f| f.schema().default()), Some(&Value::from("x")));

    let mut alarm = Struct::new(&schema).expect("struct");
    alarm.put("priority", "P2_PROPERTY").expect("priority");
    let bytes = encode(Some(&schema), &alarm.into_value()).expect("bytes");
    // Symbol 1, false, null, "x", null, no labels, null.
    assert_eq!(bytes, [2, 0, 0, 0, 2, b'x', 0, 0, 0]);

    let mut alarm = Struct::new(&schema).expect("struct");
    alarm.put("priority", "P9").expect("a text");
    let e = encode(Some(&schema), &alarm.into_value()).expect_err("symbol");
    assert!(e.one_line().contains("P9 is not a symbol of the enum org.jlab.kafka.alarms.AlarmPriority"), "{e:?}");
}

#[test]
fn embedded_schemas_that_differ_in_attributes_alone_stay_apart() {
    let text = |units: &str| {
        let field = format!(r#"{{"name": "speed", "type": "double", "sal_units": "{units}"}}"#);
        format!(r#"{{"type": "record", "name": "wind", "fields": [{field}]}}"#)
    };
    let both = ["m/s", "km/h"].map(|units| connect_schema_from_avro(&text(units)).expect("schema"));
    assert_eq!(both[0], both[1]);
    for (schema, units) in both.iter().zip(["m/s", "km/h"]) {
        assert_eq!(avro_schema(Some(schema), STYLE).expect("text"), text(units));
        assert!(connect_schema_from_avro(&text(units)).expect("schema").same(schema), "the same again");
    }
}

#[test]
fn a_translated_enum_is_an_enum_unless_told_otherwise() {
    let schema = connect_schema_from_avro(ALARM).expect("schema");
    // Another schema than the embedded one, which is translated.
    let changed = ok(schema.to_builder().field("more", Schema::optional_string()));
    let text = avro_schema(Some(&changed), STYLE).expect("text");
    let json: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(json["doc"], "A raised alarm.");
    assert_eq!(json["fields"][0]["type"]["symbols"][3], "P4_DIAGNOSTIC");
    assert_eq!(json["fields"][0]["type"]["default"], "P4_DIAGNOSTIC");
    assert_eq!(json["fields"][1]["doc"], "Whether someone has seen it.");
    assert_eq!(json["fields"][1]["default"], false);
    assert_eq!(json["fields"][6]["type"][1], "org.jlab.kafka.alarms.AlarmPriority");
    let back = connect_schema(&Node::parse(&text).expect("node"), STYLE).expect("back").expect("schema");
    assert_eq!(back, changed);
    let strings = avro_schema(Some(&changed), Style { enums: false, ..STYLE }).expect("text");
    let json: serde_json::Value = serde_json::from_str(&strings).expect("json");
    assert_eq!(json["fields"][0]["type"]["type"], "string");
}

#[test]
fn values_are_written_in_a_newer_schema_by_field_name() {
    let schema = ok(Schema::structure().name("R").field("gone", Schema::int32()).field("n", Schema::int32()));
    let latest = r#"{"type":"record","name":"R","fields":[
        {"name":"new","type":["null","string"],"default":null},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"},
        {"name":"n","type":["null","long"]}]}"#;
    let node = Node::parse(latest).expect("node");
    let mut out = Vec::new();
    let value = structure(&schema, vec![1.into(), 5.into()]);
    Encoder::plan(Some(&schema), &node, STYLE).expect("plan").encode(&value, &mut out).expect("written");
    assert_eq!(out, [0, 2, 2, 10]);
    let needs = Node::parse(r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}"#).expect("node");
    let e = Encoder::plan(Some(&schema), &needs, STYLE).expect_err("no default");
    assert_eq!(e.message(), "writing the field x: R does not have it and Avro has no default for it");
    let narrow = Node::parse(r#"{"type":"record","name":"R","fields":[{"name":"n","type":"string"}]}"#).expect("node");
    let e = Encoder::plan(Some(&schema), &narrow, STYLE).expect_err("type");
    assert_eq!(e.one_line(), "writing the field n: values of type INT32 cannot be written as Avro string");
}

#[test]
fn schemaless_values_have_their_own_record() {
    let pairs = Value::Map(Arc::new([(Value::Int32(1), Value::Boolean(true))].into_iter().collect::<Map>()));
    let value = Value::map([
        ("a", Value::array(vec![Value::Int64(1), Value::Null, Value::Float32(0.5), Value::Float64(1.5)])),
        ("b", Value::Bytes(Bytes::from_static(b"x"))),
        ("c", pairs),
        ("d", "text".into()),
    ]);
    let bytes = encode(None, &value).expect("bytes");
    let text = avro_schema(None, STYLE).expect("text");
    let back = decode(&text, &bytes).expect("back");
    assert_eq!(back, SchemaAndValue { schema: None, value });
    let avro = apache_avro::Schema::parse_str(&text).expect("valid");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&avro).build().expect("reader");
    reader.read_value(&mut &bytes[..]).expect("readable");
    let mut deep = Value::Null;
    for _ in 0..1000 {
        deep = Value::array(vec![deep]);
    }
    assert!(encode(None, &deep).is_err());
}

#[test]
fn numbers_and_texts_are_avros_bytes() {
    let bytes = |s: Schema, v: Value| encode(Some(&s), &v).expect("bytes");
    for (v, expected) in [(0i64, &[0u8][..]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 1])] {
        assert_eq!(bytes(Schema::int64(), v.into()), expected);
    }
    assert_eq!(bytes(Schema::int64(), i64::MIN.into()), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(bytes(Schema::string(), "foo".into()), [6, b'f', b'o', b'o']);
    assert_eq!(bytes(ok(Schema::array(Schema::int64())), Value::array(vec![3i64.into(), 27i64.into()])), [4, 6, 54, 0]);
    assert_eq!(bytes(ok(logical::decimal(2)), decimal(156, 2)), [4, 0, 0x9c]);
    assert_eq!(bytes(Schema::optional_string(), Value::Null), [0]);
    let e = encode(Some(&Schema::int32()), &"x".into()).expect_err("class");
    assert_eq!(e.message(), "Invalid type for INT32: class java.lang.String");
}

#[test]
fn fixed_decimals_are_padded_with_their_sign() {
    let text = r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":9,"scale":2}"#;
    let node = Node::parse(text).expect("node");
    let schema = connect_schema(&node, STYLE).expect("translated").expect("schema");
    for v in [156, -156] {
        let mut out = Vec::new();
        let plan = Encoder::plan(Some(&schema), &node, STYLE).expect("plan");
        plan.encode(&decimal(v, 2), &mut out).expect("written");
        assert_eq!((out.len(), decode(text, &out).expect("back").value.to_string()), (4, decimal(v, 2).to_string()));
        assert!(plan.encode(&decimal(i64::MAX, 2), &mut out).is_err());
    }
}

#[test]
fn blocks_with_sizes_are_read() {
    // Two items in a block of two bytes, then one, then the end.
    let back = decode(r#"{"type":"array","items":"long"}"#, &[3, 4, 2, 4, 2, 6, 0]).expect("back");
    assert_eq!(back.value, Value::array([1i64, 2, 3].map(Value::Int64).to_vec()));
}

#[test]
fn recursive_and_exploding_schemas_are_refused() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let e = connect_schema(&Node::parse(list).expect("node"), STYLE).expect_err("recursive");
    assert_eq!(e.message(), "translating an Avro schema: L contains itself");
    let mut bomb = r#"{"type":"record","name":"R0","fields":[{"name":"a","type":"int"}]}"#.to_owned();
    for i in 1..40 {
        let again = format!("R{}", i - 1);
        bomb = format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":{bomb}}},{{"name":"b","type":"{again}"}}]}}"#
        );
    }
    assert!(connect_schema(&Node::parse(&bomb).expect("node"), STYLE).is_err());
}

// A generator of bytes that needs no crate: xorshift.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn hostile_bytes_are_errors() {
    let (schema, value) = everything();
    let texts = [avro_schema(Some(&schema), STYLE).expect("text"), avro_schema(None, STYLE).expect("anything")];
    let bytes = encode(Some(&schema), &value).expect("bytes");
    let mut seed = 42;
    for text in &texts {
        let node = Node::parse(text).expect("node");
        let connect = connect_schema(&node, STYLE).expect("schema");
        let decoder = Decoder::plan(&node, connect.as_ref(), STYLE).expect("plan");
        for cut in 0..bytes.len() {
            let result = decoder.decode(&mut Bytes::copy_from_slice(&bytes[..cut]));
            assert!(result.is_err() || connect.is_none(), "cut at {cut}");
        }
        for round in 0..20_000 {
            let mut mutated = bytes.clone();
            for _ in 0..=round % 4 {
                let at = random(&mut seed) as usize % mutated.len();
                mutated[at] = random(&mut seed) as u8;
            }
            let _ = decoder.decode(&mut Bytes::from(mutated));
        }
    }
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for kind in [r#""bytes""#, r#""string""#, r#"{"type":"array","items":"long"}"#, r#"{"type":"map","values":"long"}"#]
    {
        assert!(decode(kind, &huge).is_err(), "{kind}");
    }
    let nothing = r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#;
    assert!(decode(nothing, &huge).is_err());
    assert!(decode(r#""long""#, &[0xff; 11]).is_err());
    assert!(decode(r#""boolean""#, &[2]).is_err());
    // Lists within lists without an end.
    let mut deep = Vec::new();
    for _ in 0..100_000 {
        deep.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 2]);
    }
    assert!(decode(&texts[1], &deep).is_err());
}
