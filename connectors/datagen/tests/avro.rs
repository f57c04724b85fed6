//! Values of Avro schemas: whatever the schema, its values can be written in it and read by Avro's own library.

use apache_avro::{Schema as Avro, reader::datum::GenericDatumReader, types::Value as AvroValue};
use connect_api::{Converter, ConverterPlugin, Role, Settings, Step, Topic, Value, config::Config as _, validate};
use connect_converters::AvroConverter;
use connect_embedded::Registry;
use connector_datagen::{
    avro::{Style, plan},
    maker::Draw,
    plan::{Form, Plan},
    preset::{quickstart, salmock},
    random::{Random, of_iteration},
};
use rand::RngExt;
use serde_json::{Value as Json, json};

const NOW: i64 = 1_700_000_000_123;

fn make(plan: &Plan, iteration: u64) -> Value {
    let mut walks = plan.walks.clone();
    let random = of_iteration(11, "t", 0, iteration);
    let mut draw = Draw {
        random,
        iteration,
        now: NOW,
        topic: "t",
        walks: &mut walks,
        named: &plan.named,
        depth: 0,
        names: Json::Null,
    };
    plan.make(&mut draw).expect("a value")
}

fn planned(schema: &Json, form: Form) -> Plan {
    plan(&schema.to_string(), Style::Random, form).unwrap_or_else(|e| panic!("{schema}: {e:?}"))
}

/// A schema of any kind; names are numbered.
fn any_schema(random: &mut Random, names: &mut u32, depth: u32) -> Json {
    let mut name = |prefix: &str| {
        *names += 1;
        format!("{prefix}{names}")
    };
    match random.random_range(0..if depth < 4 { 22 } else { 17 }) {
        0 => json!("boolean"),
        1 => json!("int"),
        2 => json!("long"),
        3 => json!("float"),
        4 => json!("double"),
        5 => json!("bytes"),
        6 => json!("string"),
        7 => json!({"type": "enum", "name": name("E"), "symbols": ["A", "B", "C"]}),
        8 => json!({"type": "fixed", "name": name("F"), "size": random.random_range(1..20)}),
        9 => json!({"type": "long", "logicalType": "timestamp-millis"}),
        10 => json!({"type": "int", "logicalType": "date"}),
        11 => json!({"type": "int", "logicalType": "time-millis"}),
        12 => json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}),
        13 => {
            json!({"type": "fixed", "name": name("D"), "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2})
        }
        14 => json!({"type": "long", "logicalType": "timestamp-micros"}),
        15 => json!({"type": "string", "logicalType": "uuid"}),
        16 => json!({"type": "int", "connect.type": "int8"}),
        17 => json!({"type": "array", "items": any_schema(random, names, depth + 1)}),
        18 => json!({"type": "map", "values": any_schema(random, names, depth + 1)}),
        19 => json!(["null", member(random, names, depth)]),
        20 => json!(["string", "null", "int", {"type": "array", "items": "double"}, record(random, names, depth + 1)]),
        _ => record(random, names, depth + 1),
    }
}

/// What may stand in a union, which holds no unions.
fn member(random: &mut Random, names: &mut u32, depth: u32) -> Json {
    loop {
        let schema = any_schema(random, names, depth + 1);
        if !schema.is_array() {
            return schema;
        }
    }
}

fn record(random: &mut Random, names: &mut u32, depth: u32) -> Json {
    *names += 1;
    let name = format!("R{names}");
    let fields: Vec<Json> = (0..random.random_range(1..6))
        .map(|i| json!({"name": format!("f{i}"), "type": any_schema(random, names, depth)}))
        .collect();
    json!({"type": "record", "name": name, "namespace": "any", "fields": fields})
}

async fn written(converter: &dyn Converter, topic: &str, plan: &Plan, value: &Value) -> Vec<u8> {
    let topic = Topic::from(topic);
    loop {
        match converter.serialize(&topic, plan.schema.as_ref(), value).expect("written") {
            Step::Done(bytes) => return bytes.expect("a value").to_vec(),
            Step::Wait(work) => work.await.expect("registered"),
        }
    }
}

#[tokio::test]
async fn values_of_any_schema_are_valid_and_can_be_written_and_read() {
    let registry = Registry::start(0).await.expect("registry");
    let settings = Settings::from([("schema.registry.url", registry.url())]);
    let config = <AvroConverter as ConverterPlugin>::Config::parse(&settings).expect("settings");
    let converter = AvroConverter::build(config, &settings, Role::Value).expect("converter");
    let (mut random, mut names) = (of_iteration(5, "schemas", 0, 0), 0);
    let mut resolved = 0;
    for n in 0..150 {
        let schema = record(&mut random, &mut names, 0);
        let avro = Avro::parse_str(&schema.to_string()).expect("a schema");
        let (structs, maps) = (planned(&schema, Form::Struct), planned(&schema, Form::Map));
        let reader = GenericDatumReader::builder(&avro).build().expect("reader");
        for iteration in 0..4 {
            let value = make(&structs, iteration);
            validate(structs.schema.as_ref().expect("a schema"), &value).unwrap_or_else(|e| panic!("{schema}: {e}"));
            let bytes = written(&*converter, &format!("t{n}"), &structs, &value).await;
            let mut rest = &bytes[5..];
            let read = reader.read_value(&mut rest).unwrap_or_else(|e| panic!("{schema}: {e}"));
            assert!(read.validate(&avro) && rest.is_empty(), "{schema}: {read:?}");
            assert_eq!(make(&structs, iteration), value, "the same again");

            let map = make(&maps, iteration);
            // Decimals are plain numbers there.
            if !schema.to_string().contains("decimal") {
                avro_of(&map).resolve(&avro).unwrap_or_else(|e| panic!("{schema}: {map} {e}"));
                resolved += 1;
            }
        }
    }
    assert!(resolved > 100, "{resolved}");
}

/// A value without schema as Avro's library has it.
fn avro_of(value: &Value) -> AvroValue {
    match value {
        Value::Null => AvroValue::Null,
        Value::Boolean(v) => AvroValue::Boolean(*v),
        Value::Int32(v) => AvroValue::Int(*v),
        Value::Int64(v) => AvroValue::Long(*v),
        Value::Float32(v) => AvroValue::Float(*v),
        Value::Float64(v) => AvroValue::Double(*v),
        Value::String(v) => AvroValue::String(v.to_string()),
        Value::Bytes(v) => AvroValue::Bytes(v.to_vec()),
        Value::Array(items) => AvroValue::Array(items.iter().map(avro_of).collect()),
        Value::Map(entries) => AvroValue::Map(entries.iter().map(|(k, v)| (k.to_string(), avro_of(v))).collect()),
        other => panic!("{other} has no place in a map"),
    }
}

#[test]
fn a_record_within_itself_ends_and_is_refused_as_a_struct() {
    let tree = json!({"type": "record", "name": "Tree", "fields": [
        {"name": "label", "type": "string"},
        {"name": "left", "type": ["null", "Tree"]},
        {"name": "right", "type": ["Tree", "null"]},
        {"name": "leaves", "type": {"type": "array", "items": "Tree"}},
        {"name": "named", "type": {"type": "map", "values": "Tree"}}]});
    let plan = planned(&tree, Form::Map);
    let depth = |value: &Value| -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::Map(members) => 1 + members.values().map(of).max().unwrap_or(0),
                Value::Array(items) => items.iter().map(of).max().unwrap_or(0),
                _ => 0,
            }
        }
        of(value)
    };
    let depths: Vec<usize> = (0..100).map(|i| depth(&make(&plan, i))).collect();
    assert!(depths.iter().all(|d| (1..=12).contains(d)) && depths.iter().any(|d| *d > 2), "{depths:?}");
    let e = connector_datagen::avro::plan(&tree.to_string(), Style::Random, Form::Struct).expect_err("refused");
    assert!(e[0].contains("datagen.form=map"), "{e:?}");
    let endless = json!({"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]});
    let e = connector_datagen::avro::plan(&endless.to_string(), Style::Random, Form::Map).expect_err("refused");
    assert!(e[0].contains("without an end"), "{e:?}");
}

fn column(plan: &Plan, field: &str, count: u64) -> Vec<Value> {
    (0..count).map(|i| make(plan, i).get(field).expect(field).clone()).collect()
}

fn one(kind: Json) -> Plan {
    planned(&json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}), Form::Struct)
}

fn hinted(kind: &str, hints: Json) -> Plan {
    one(json!({"type": kind, "arg.properties": hints}))
}

#[test]
fn hints_are_followed() {
    let ints = |plan: &Plan, n| column(plan, "f", n).iter().map(|v| v.as_i64().expect("int")).collect::<Vec<_>>();
    let range = ints(&hinted("int", json!({"range": {"min": -3, "max": 3}})), 500);
    assert!((-3..3).all(|n| range.contains(&n)) && range.iter().all(|n| (-3..3).contains(n)), "{range:?}");
    assert_eq!(ints(&hinted("long", json!({"iteration": {"start": 5, "step": 10}})), 4), [5, 15, 25, 35]);
    assert_eq!(ints(&hinted("int", json!({"iteration": {"start": 0, "restart": 3}})), 5), [0, 1, 2, 0, 1]);
    assert_eq!(ints(&hinted("int", json!({"iteration": {"start": 9, "restart": 6}})), 5), [9, 8, 7, 9, 8]);
    assert_eq!(ints(&hinted("int", json!({"iteration": {"start": 0, "restart": 3, "initial": 2}})), 3), [2, 0, 1]);
    let dates = column(
        &one(json!({"type": "int", "logicalType": "date",
        "arg.properties": {"range": {"min": 18000, "max": 18002}}})),
        "f",
        50,
    );
    assert!(dates.iter().all(|d| matches!(d, Value::Date(18000 | 18001))), "{dates:?}");

    let texts = |hints: Json, n: u64| -> Vec<String> {
        column(&hinted("string", hints), "f", n).iter().map(|v| v.as_str().expect("text").to_owned()).collect()
    };
    let options = texts(json!({"options": ["a", "b"]}), 100);
    assert!(["a", "b"].iter().all(|o| options.iter().any(|t| t == o)) && options.iter().all(|t| t == "a" || t == "b"));
    assert!(texts(json!({"regex": "User_[1-9]"}), 50).iter().all(|t| t.starts_with("User_") && t.len() == 6));
    assert!(
        texts(json!({"regex": "[a-z]*", "length": {"min": 5, "max": 7}}), 50).iter().all(|t| matches!(t.len(), 5 | 6))
    );
    assert!(texts(json!({"regex": "[a-z]*", "length": 10}), 50).iter().all(|t| t.len() >= 10));
    assert!(
        texts(json!({"length": 3, "prefix": "<", "suffix": ">"}), 9).iter().all(|t| t.len() == 5 && t.starts_with('<'))
    );
    assert_eq!(texts(json!({"iteration": {"start": 1}, "prefix": "n"}), 3), ["n1", "n2", "n3"]);
    assert!(texts(json!({"kind": "email"}), 9).iter().all(|t| t.ends_with("@example.org")));

    let trues = column(&hinted("boolean", json!({"odds": 0.9})), "f", 1000);
    let trues = trues.iter().filter(|v| **v == Value::Boolean(true)).count();
    assert!((850..950).contains(&trues), "{trues}");
    let turns = column(&hinted("boolean", json!({"iteration": {"start": true}})), "f", 3);
    assert_eq!(turns, [true, false, true].map(Value::Boolean));

    let map =
        one(json!({"type": "map", "values": "int", "arg.properties": {"length": 2, "keys": {"regex": "k[0-9]{6}"}}}));
    let Value::Map(map) = &column(&map, "f", 1)[0] else { panic!("no map") };
    assert!(map.len() == 2 && map.keys().all(|k| k.as_str().is_some_and(|k| k.starts_with('k'))), "{map:?}");

    let choice = one(json!({"type": "record", "name": "S", "fields": [{"name": "a", "type": "int"}],
        "arg.properties": {"options": [{"a": 1}, {"a": 2}]}}));
    assert!(column(&choice, "f", 20).iter().all(|v| matches!(v.get("a"), Some(Value::Int32(1 | 2)))));

    let union = json!({"type": "record", "name": "R", "fields": [
        {"name": "f", "type": ["null", "int", "string"], "arg.properties": {"distribution": {"0": 0.5, "2": 0.5}}}]});
    let members = column(&planned(&union, Form::Map), "f", 200);
    assert!(members.iter().any(Value::is_null) && members.iter().all(|v| v.is_null() || v.as_str().is_some()));
}

#[test]
fn every_hint_that_is_not_followed_is_named_with_its_field() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "int", "arg.properties": {"regex": "x", "range": {"min": 2, "max": 1}}}},
        {"name": "b", "type": {"type": "string", "arg.properties": {"options": {"file": "x", "encoding": "json"}}}},
        {"name": "c", "type": {"type": "array", "items":
            {"type": "long", "arg.properties": {"iteration": {"start": 0}}}}},
        {"name": "d", "type": {"type": "enum", "name": "E", "symbols": ["A"], "arg.properties": {"options": ["B"]}}},
        {"name": "e", "type": {"type": "string", "arg.properties": {"regex": "(?=x)"}}},
        {"name": "f", "type": {"type": "record", "name": "S", "fields": [
            {"name": "g", "type": {"type": "boolean", "arg.properties": {"odds": 2}}}]}}]});
    let all = plan(&schema.to_string(), Style::Random, Form::Struct).expect_err("wrong");
    for (place, what) in [
        ("a: ", "has regex, which is not supported here: for the type int there are options, range, iteration"),
        ("a: ", "range.max has to be greater"),
        ("b: ", "lists from files are not read"),
        ("c[]: ", "iteration is not supported within lists"),
        ("d: ", "\"B\" is not of the type"),
        ("e: ", "look-around"),
        ("f.g: ", "odds has to be a number from 0 to 1"),
    ] {
        assert!(all.iter().any(|p| p.starts_with(place) && p.contains(what)), "{place}{what}: {all:?}");
    }
    assert_eq!(all.len(), 7, "{all:?}");
}

#[test]
fn values_of_sals_mock_are_as_the_originals() {
    let schema = salmock::schema("mtm1m3-powersupplydata").expect("a topic");
    assert!(plan(&schema, Style::Sal, Form::Struct).is_ok());
    let schema = salmock::schema("atcamera-logevent-startintegration").expect("a topic");
    let plan = plan(&schema, Style::Sal, Form::Struct).expect("plan");
    for value in (0..200).map(|i| make(&plan, i)) {
        assert_eq!(value.get("kafka_timestamp"), Some(&Value::Timestamp(NOW)));
        assert!((0..=10).contains(&value.get("sal_sequence").and_then(Value::as_i64).expect("sequence")));
        assert!((0.0..1.0).contains(&value.get("exposureTime").and_then(Value::as_f64).expect("time")));
        assert_eq!(value.get("raw"), Some(&Value::Bytes(vec![0, 0].into())));
        assert!(
            connector_datagen::maker::NAMES.contains(&value.get("imageName").and_then(Value::as_str).expect("name"))
        );
    }
    for topic in salmock::topics() {
        let plan = connector_datagen::avro::plan(&salmock::schema(topic).expect(topic), Style::Sal, Form::Struct);
        make(&plan.expect(topic), 0);
    }
}

#[test]
fn every_quickstart_has_its_key() {
    for name in quickstart::names() {
        let (schema, key) = quickstart::find(&name.to_uppercase()).expect(name);
        let plan = connector_datagen::avro::plan(schema, Style::Random, Form::Struct).expect(name);
        assert!(plan.has(&[key.to_owned()]), "{name}");
        make(&plan, 0);
    }
}
