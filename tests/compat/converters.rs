//! What converters write and read.

use std::sync::Arc;

use connect_api::{Map, Schema, SchemaBuilder, Type, Value, logical};

use serde_json::Value as Json;

use crate::{
    Deliberate, compare,
    ours::{Case, Question},
    plain, text,
    values::{built, bytes, decimal, digits, shapes, structure, wide},
};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

type Config = &'static [(&'static str, &'static str)];

const PLAIN: Config = &[("schemas.enable", "false")];

const JSON_CONFIGS: &[Config] = &[
    &[],
    PLAIN,
    &[("decimal.format", "NUMERIC")],
    &[("schemas.enable", "false"), ("decimal.format", "numeric"), ("replace.null.with.default", "false")],
    &[("replace.null.with.default", "false")],
];

const SIMPLE: &[&str] = &[
    STRING,
    "org.apache.kafka.connect.converters.ByteArrayConverter",
    "org.apache.kafka.connect.converters.BooleanConverter",
    "org.apache.kafka.connect.converters.DoubleConverter",
    "org.apache.kafka.connect.converters.FloatConverter",
    "org.apache.kafka.connect.converters.IntegerConverter",
    "org.apache.kafka.connect.converters.LongConverter",
    "org.apache.kafka.connect.converters.ShortConverter",
];

fn case(class: &str, config: Config, question: Question) -> Case {
    let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Case { class: class.to_owned(), config, question }
}

/// More values than transforms see.
fn values() -> Vec<(Option<Schema>, Value)> {
    let mut all = shapes();
    let scalars: Vec<(Schema, Value)> = vec![
        (Schema::int8(), Value::Int8(-128)),
        (Schema::int16(), Value::Int16(300)),
        (Schema::int32(), Value::Int32(i32::MAX)),
        (Schema::int64(), Value::Int64(i64::MIN)),
        (Schema::float32(), Value::Float32(12.2)),
        (Schema::float32(), Value::Float32(f32::NAN)),
        (Schema::float32(), Value::Float32(1e-45)),
        (Schema::float64(), Value::Float64(1e10)),
        (Schema::float64(), Value::Float64(-0.0)),
        (Schema::float64(), Value::Float64(1e-5)),
        (Schema::float64(), Value::Float64(123_456_789.125)),
        (Schema::float64(), Value::Float64(f64::NEG_INFINITY)),
        (Schema::boolean(), Value::Boolean(false)),
        (Schema::string(), "quotes \" back \\ slash / tab \t nul \u{0} del \u{7f} é 日本 😀 \u{2028}".into()),
        (Schema::string(), "".into()),
        (Schema::bytes(), bytes(b"")),
        (Schema::bytes(), bytes(&[0xfb, 0xff, 0xfe])),
    ];
    for (schema, value) in scalars {
        all.push((None, value.clone()));
        all.push((Some(schema.with_optional(true)), Value::Null));
        // A value of another type than the schema's.
        all.push((Some(Schema::int32()), value.clone()));
        all.push((Some(Schema::string()), value.clone()));
        all.push((Some(schema), value));
    }
    for (unscaled, scale) in
        [("156", 2), ("-1", 0), ("0", 2), ("12345678901234567890123456789", 10), ("5", -3), ("1", 20)]
    {
        let schema = built(logical::decimal(i32::try_from(scale).expect("scale")));
        all.push((Some(schema), digits(unscaled, scale)));
    }
    all.push((Some(built(logical::decimal(3))), decimal(156, 2)));
    all.push((Some(logical::date()), Value::Date(-1)));
    all.push((Some(logical::date()), Value::Int32(5)));
    all.push((Some(logical::timestamp()), Value::Int64(5)));
    all.push((Some(built(logical::decimal(2))), bytes(&[1])));
    all.push((Some(logical::time()), "x".into()));
    let pairs = Value::Map(Arc::new(Map::from_iter([(Value::Int32(1), "a".into()), (Value::Int32(2), Value::Null)])));
    all.push((None, pairs.clone()));
    all.push((Some(built(Schema::map(Schema::int32(), Schema::optional_string()))), pairs.clone()));
    all.push((Some(built(Schema::map(Schema::string(), Schema::optional_string()))), pairs));
    all.push((Some(built(Schema::map(Schema::string(), Schema::int32()))), Value::map([("a", Value::Null)])));
    all.push((Some(built(Schema::array(Schema::int32()))), Value::array(vec![Value::Int32(1), Value::Null])));
    all.push((Some(built(Schema::array(Schema::int32()))), "x".into()));
    all.push((Some(wide()), Value::map([("a", Value::Int32(1))])));
    let documented = built(
        SchemaBuilder::new(Type::Int32)
            .optional()
            .name("n")
            .version(2)
            .doc("a \"doc\"")
            .parameter("k", "v")
            .parameter("a", "b")
            .default(Value::Int32(3)),
    );
    all.push((Some(documented.clone()), Value::Null));
    let outer = built(Schema::structure().field("f", documented).field("g", Schema::optional_int8()));
    all.push((Some(outer.clone()), structure(&outer, &[])));
    let other = built(Schema::structure().field("f", Schema::optional_int8()));
    all.push((Some(other), structure(&outer, &[])));
    all
}

const SCHEMAS: &[&str] = &[
    r#"{"type":"int8","optional":false}"#,
    r#"{"type":"int16"}"#,
    r#"{"type":"int32"}"#,
    r#"{"type":"int32","optional":true}"#,
    r#"{"type":"int64"}"#,
    r#"{"type":"float"}"#,
    r#"{"type":"double"}"#,
    r#"{"type":"boolean"}"#,
    r#"{"type":"string"}"#,
    r#"{"type":"string","optional":true,"default":"d"}"#,
    r#"{"type":"bytes"}"#,
    r#"{"type":"bytes","optional":true}"#,
    r#"{"type":"array","items":{"type":"int32"}}"#,
    r#"{"type":"array","items":{"type":"string","optional":true}}"#,
    r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int32"}}"#,
    r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"string","optional":true}}"#,
    r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"b","type":"string","optional":true},{"field":"c","type":"int8","default":9}],"name":"N","version":1}"#,
    r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#,
    r#"{"type":"int32","name":"org.apache.kafka.connect.data.Date","version":1}"#,
    r#"{"type":"int32","name":"org.apache.kafka.connect.data.Time","version":1}"#,
    r#"{"type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1}"#,
    "null",
];

const ODD_SCHEMAS: &[&str] = &[
    "{}",
    "1",
    "\"string\"",
    "[]",
    r#"{"type":null}"#,
    r#"{"type":1}"#,
    r#"{"type":"int"}"#,
    r#"{"type":"array"}"#,
    r#"{"type":"array","items":null}"#,
    r#"{"type":"array","items":{}}"#,
    r#"{"type":"map"}"#,
    r#"{"type":"map","keys":{"type":"string"}}"#,
    r#"{"type":"struct"}"#,
    r#"{"type":"struct","fields":{}}"#,
    r#"{"type":"struct","fields":[{"type":"int32"}]}"#,
    r#"{"type":"struct","fields":[{"field":1,"type":"int32"}]}"#,
    r#"{"type":"struct","fields":[]}"#,
    r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"a","type":"int32"}]}"#,
    r#"{"type":"struct","fields":[1]}"#,
    r#"{"type":"struct","fields":[{"field":"","type":"int32"}]}"#,
    r#"{"type":"int32","parameters":{"a":1}}"#,
    r#"{"type":"int32","parameters":[]}"#,
    r#"{"type":"int32","optional":"true"}"#,
    r#"{"type":"int32","version":1.5}"#,
    r#"{"type":"int32","version":3000000000}"#,
    r#"{"type":"int32","name":1,"doc":2}"#,
    r#"{"type":"int32","name":"n","doc":"d","version":7,"extra":true}"#,
    r#"{"type":"int32","default":null}"#,
    r#"{"type":"int32","optional":true,"default":null}"#,
    r#"{"type":"int32","default":"x"}"#,
    r#"{"type":"int32","default":5}"#,
    r#"{"type":"string","default":5}"#,
    r#"{"type":"int8","default":300}"#,
    r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","default":"AA=="}"#,
    r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"x"}}"#,
    r#"{"type":"int32","name":"org.apache.kafka.connect.data.Date","default":3}"#,
    r#"{"type":"string","name":"org.apache.kafka.connect.data.Date"}"#,
];

const PAYLOADS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "127",
    "128",
    "300",
    "-129",
    "70000",
    "3000000000",
    "9223372036854775807",
    "9223372036854775808",
    "123456789012345678901234567890",
    "1.5",
    "-1.5",
    "1e3",
    "1E400",
    "1e-400",
    "0.1",
    "2.0",
    "-0.0",
    "1.10",
    "007",
    "-007",
    "\"\"",
    "\"x\"",
    "\"5\"",
    "\"true\"",
    "\"AJw=\"",
    "\"AJw\"",
    "\"*\"",
    "\"-_8=\"",
    "\"\\u00e9\\n\\ud83d\\ude00\"",
    "[]",
    "[1,2]",
    "[1,null]",
    "[\"a\",null]",
    "[[1,\"a\"],[2,null]]",
    "[[1]]",
    "[[1,2,3]]",
    "[1]",
    "[{}]",
    "{}",
    "{\"a\":1}",
    "{\"a\":1,\"b\":\"x\",\"z\":0}",
    "{\"a\":null}",
    "{\"a\":\"x\"}",
    "{\"a\":{}}",
    "{\"a\":1,\"c\":null}",
    "{\"a\":1,\"c\":5}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":[1,{\"b\":2.5}]}",
];

const DOCUMENTS: &[&str] = &[
    "",
    " ",
    "\n",
    "{",
    "}",
    "nul",
    "null",
    "tru",
    "{}",
    "[",
    "[1",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "[1,]",
    "{\"a\":1,}",
    "1 2",
    "{} {}",
    "{} x",
    "\"a",
    "\"a\\x\"",
    "\"\t\"",
    "01",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "NaN",
    "Infinity",
    "//c\n1",
    "\u{feff}1",
    "\u{feff}{}",
    "{\"schema\":null,\"payload\":1}",
    "{\"payload\":1,\"schema\":null}",
    "{\"schema\":null}",
    "{\"payload\":1}",
    "{\"schema\":null,\"payload\":1,\"x\":2}",
    "{\"schema\":null,\"payload\":1,\"schema\":null}",
    "{\"schema\":1,\"payload\":1}",
    "[{\"schema\":null,\"payload\":1}]",
    "{\"Schema\":null,\"payload\":1}",
    "{\"schema\":{\"type\":\"int8\"},\"payload\":null}",
    "{\"schema\":{\"type\":\"int8\"},\"payload\":007}",
    "{\"a\":{\"b\":[1,2.5,\"x\",null,true,{\"c\":00}]}}",
    "\"\\ud800\"",
    "\"\\u00e9\"",
    "18446744073709551615",
    "-9223372036854775809",
    "1e19",
    "1.0e0",
    "123456789012345678901234567890.5",
    "4.9e-324",
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (schema, value) in values() {
        for config in JSON_CONFIGS {
            cases.push(case(JSON, config, Question::Serialize(schema.clone(), value.clone(), false)));
        }
        for class in SIMPLE {
            cases.push(case(class, &[], Question::Serialize(schema.clone(), value.clone(), false)));
        }
    }
    let mut read = |class: &str, config: Config, text: &[u8]| {
        cases.push(case(class, config, Question::Deserialize(Some(text.to_vec()), false)));
    };
    for payload in PAYLOADS {
        for schema in SCHEMAS {
            let document = format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
            read(JSON, &[], document.as_bytes());
            read(JSON, &[("replace.null.with.default", "false")], document.as_bytes());
        }
        read(JSON, PLAIN, payload.as_bytes());
    }
    for schema in ODD_SCHEMAS {
        for payload in ["null", "1", "{}"] {
            read(JSON, &[], format!(r#"{{"schema":{schema},"payload":{payload}}}"#).as_bytes());
        }
    }
    for document in DOCUMENTS {
        read(JSON, &[], document.as_bytes());
        read(JSON, PLAIN, document.as_bytes());
    }
    let not_utf8: [&[u8]; 6] = [b"\xff", b"a\xffb", b"\"a\xffb\"", b"{\"k\xc3\":1}", b"\xf0\x9f\x98", b"\"\xc3\x28\""];
    for bytes in not_utf8 {
        read(JSON, PLAIN, bytes);
        read(STRING, &[], bytes);
    }
    let fixed: [&[u8]; 9] = [b"", &[0], &[1], &[2], &[0, 1], &[1, 2, 3, 4], &[255; 8], &[0; 9], b"text \xc3\xa9"];
    for class in SIMPLE {
        for bytes in fixed {
            read(class, &[], bytes);
        }
    }
    for class in SIMPLE.iter().chain(&[JSON]) {
        cases.push(case(class, &[], Question::Deserialize(None, false)));
    }
    let wrong: &[Config] = &[
        &[("schemas.enable", "x")],
        &[("schemas.cache.size", "x")],
        &[("decimal.format", "TEXT")],
        &[("replace.null.with.default", "1")],
    ];
    for config in wrong {
        cases.push(case(JSON, config, Question::Deserialize(None, false)));
    }
    let sets: [Config; 9] = [
        &[("converter.encoding", "utf8")],
        &[("converter.encoding", "ASCII")],
        &[("converter.encoding", "US-ASCII")],
        &[("converter.encoding", "ISO-8859-1")],
        &[("converter.encoding", "latin1")],
        &[("converter.encoding", "UTF-16")],
        &[("converter.encoding", "UTF-16BE")],
        &[("converter.encoding", "utf-16le")],
        &[("converter.encoding", "UTF_16")],
    ];
    for set in sets {
        for text in ["", "a", "é", "€", "😀", "a\u{feff}"] {
            cases.push(case(STRING, set, Question::Serialize(None, text.into(), false)));
        }
        let odd: [&[u8]; 10] = [
            b"",
            b"a",
            b"ab",
            b"\xe9\x80",
            b"\xfe\xff\0a",
            b"\xff\xfea\0",
            b"\xd8\x3d\xde\0",
            b"\xd8\x3d\0a",
            b"\xde\0\0a",
            b"\0abc\xff",
        ];
        for bytes in odd {
            cases.push(case(STRING, set, Question::Deserialize(Some(bytes.to_vec()), false)));
        }
    }
    cases
}

#[test]
fn converters_write_and_read_as_kafka_connects() {
    compare(&cases(), DELIBERATE);
}

const SYNTAX: &str = "Converting byte[] to Kafka Connect data failed due to serialization error: ";

/// The document that is read, as text.
fn document(case: &Case) -> String {
    match &case.question {
        Question::Deserialize(Some(bytes), _) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

const DELIBERATE: &[Deliberate] = &[
    Deliberate {
        reason: "texts of bytes are base64, not the address of an object; texts of times are ISO 8601, with milliseconds",
        is: |case, java, own| {
            let (java, asked) = (plain(java), case.asked().to_string());
            case.class == STRING
                && ((java.contains("[B@") && asked.contains("{\"bytes\":"))
                    || (java.contains(" UTC ") && asked.contains("{\"date\":")))
                && own["ok"].is_string()
        },
    },
    Deliberate {
        reason: "characters that a character set lacks are refused; Java writes question marks",
        is: |case, java, own| {
            plain(java).contains('?') && text(own, "message").contains(" has no character ") && case.class == STRING
        },
    },
    Deliberate {
        reason: "half of a character in UTF-16 takes no other character with it",
        is: |case, java, own| {
            let read = |answer: &Json| text(&answer["ok"]["value"], "string").to_owned();
            matches!(&case.question, Question::Deserialize(Some(b), _) if [&b"\xd8\x3d\0a"[..], b"\x3d\xd8a\0", b"\0abc\xff"].contains(&&b[..]))
                && read(java).starts_with('\u{fffd}')
                && read(own).starts_with('\u{fffd}')
        },
    },
    Deliberate {
        reason: "integers beyond 64 bits are errors where there is a schema, else floats; Java keeps their low bits",
        is: |case, java, own| {
            let beyond = [
                "9223372036854775808",
                "123456789012345678901234567890",
                "18446744073709551615",
                "-9223372036854775809",
            ];
            beyond.iter().any(|number| document(case).contains(number))
                && java["ok"].is_object()
                && (text(own, "message").ends_with("the number is beyond 64 bits")
                    || text(own, "message").contains("underlying representation should be integral")
                    || own["ok"]["value"]["float64"].is_string())
        },
    },
    Deliberate {
        reason: "floats beyond 64 bits are errors; in Java they are infinite, or 0 where an integer is expected",
        is: |case, java, own| {
            document(case).contains("1E400") && java["stage"] != "configure" && text(own, "message") == SYNTAX
        },
    },
    Deliberate {
        reason: "negative zero keeps its sign",
        is: |case, java, own| {
            let signed = plain(java)
                .replace("\"float64\":\"0\"", "\"float64\":\"-9223372036854775808\"")
                .replace("\"float32\":0", "\"float32\":-2147483648");
            document(case).contains("-0.0") && signed == plain(own)
        },
    },
    Deliberate {
        reason: "what is no array is refused; Java takes it for an empty one, or takes an object's values",
        is: |case, _, own| {
            document(case).contains("{\"type\":\"array\"")
                && text(own, "message").starts_with("Arrays should be encoded as JSON arrays, but found ")
        },
    },
    Deliberate {
        reason: "what stands behind the end of a document is refused; Java drops it",
        is: |case, _, own| ["1 2", "{} {}", "{} x"].contains(&&*document(case)) && text(own, "message") == SYNTAX,
    },
    Deliberate {
        reason: "half of a character is refused; Java makes a question mark of it later",
        is: |case, _, own| document(case) == "\"\\ud800\"" && text(own, "message") == SYNTAX,
    },
];
