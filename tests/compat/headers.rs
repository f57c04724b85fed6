//! Texts of headers: what the simple header converter reads and writes.

use connect_api::{Map, Schema, Value, logical};

use crate::{
    BEFORE_1970, Deliberate, compare,
    ours::{Case, Question},
    plain,
    values::{built, bytes, decimal, shapes, structure},
};

const CLASS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

const TEXTS: &[&str] = &[
    "",
    " ",
    "   ",
    "null",
    " null ",
    "NULL",
    "null x",
    "true",
    "false",
    " true ",
    "True",
    "TRUE",
    "true}",
    "true,false",
    "text",
    " padded text ",
    "a b",
    "\"quoted\"",
    "\"",
    "\"open",
    "'single'",
    "a\"b",
    "\\",
    "a\\",
    "\\:",
    "a\\:b",
    "a:b",
    "a,b",
    ",",
    ":",
    "::",
    ",1",
    "0",
    "1",
    "-1",
    "+1",
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
    "-9223372036854775808",
    "-9223372036854775809",
    "10000000000000000000",
    "10000000000000000001",
    "123456789012345678901234567890",
    "1.0",
    "1.50",
    "1.5",
    "0.1",
    "-0.0",
    "0.0",
    "0e5",
    ".5",
    "5.",
    "1e3",
    "1E3",
    "1e-3",
    "1e18",
    "1e19",
    "1e20",
    "1e30",
    "1e38",
    "1e39",
    "1e308",
    "1e309",
    "1e-50",
    "1e-400",
    "1.5e400",
    "123456789.123456789",
    "3.4028236e38",
    "00012",
    "-007",
    "0x1f",
    "1f",
    "1L",
    "1_000",
    "1,000",
    "1 000",
    "NaN",
    "Infinity",
    "-Infinity",
    "-",
    "+",
    "--1",
    "1e",
    "e1",
    "1-2",
    "12abc",
    " 7 ",
    "7 ,8",
    "2024:x",
    "1:2:3",
    "٣",
    "2025-11-21",
    "2025-13-01",
    "2025-02-30",
    "2025-1-211",
    "0000-00-00",
    "9999-12-31",
    "99999999-9",
    "2025/11/21",
    "2025-11-2x",
    "1500-01-01",
    "20251121  ",
    "1234567890",
    "05:19:43.042Z",
    "25:61:61.999Z",
    "05:19:43.042",
    "05:19:43.042z",
    "5:19:43.0420Z",
    "aa:bb:cc.dddZ",
    "05\\:19\\:43.042Z",
    "2025-11-21T05:19:43.042Z",
    "2025-11-21T05:19:43.042z",
    "2025-11-21 05:19:43.042Z",
    "2025-11-21T05\\:19\\:43.042Z",
    "2025-11-21T05:19:43.0+01",
    "2025-11-21T05:19:43.042Z trailing",
    "[]",
    "[ ]",
    "[1]",
    "[1, 2, 3]",
    "[1,300,70000,3000000000]",
    "[1, 2.5]",
    "[1.5, 1e300]",
    "[1, \"a\"]",
    "[\"a\", 1]",
    "[true, false]",
    "[true, 1]",
    "[null]",
    "[null, null]",
    "[1, null]",
    "[null, 1]",
    "[1,,2]",
    "[,1]",
    "[1,]",
    "[1",
    "1]",
    "]",
    "[",
    "[[",
    "[]]",
    "[1] tail",
    "[1][2]",
    "[[1],[2]]",
    "[[1],[\"a\"]]",
    "[[],[1]]",
    "[{},{\"a\":1}]",
    "[1 2]",
    "[a]",
    "[a, b]",
    "[\"a\"]",
    "[\"a\", \"b c\"]",
    "[\"a\\\"b\"]",
    "[\"a\\\\\"]",
    "[\"a]",
    "[\"2025-11-21\"]",
    "[2025-11-21]",
    "[2025-11-21, 2025-11-22]",
    "[05:19:43.042Z]",
    "[2025-11-21T05:19:43.042Z]",
    "[\"05:19:43.042Z\"]",
    "[1, 2025-11-21]",
    "[70000, 2025-11-21]",
    "[2025-11-21, 70000]",
    "[ \"a\" , \"b\" ]",
    "[ true ]",
    "[ null ]",
    "[-1, +2]",
    "[1e3]",
    "[9223372036854775808]",
    "[9223372036854775808, 1]",
    "[1.5,9223372036854775808]",
    "[\"\"]",
    "[\"\", \"\"]",
    "[\" \"]",
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\": 1, \"b\": 2}",
    "{\"a\":1,\"b\":300}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,,\"b\":2}",
    "{,}",
    "{\"a\":1,}",
    "{\"a\":null}",
    "{\"a\":null,\"b\":1}",
    "{\"a\":1,\"b\":\"x\"}",
    "{1:2}",
    "{1:\"a\",300:\"b\"}",
    "{1:2,\"a\":3}",
    "{null:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{:1}",
    "{\"a\":1",
    "{a:1}",
    "{\"a\":b}",
    "{\"a\":[1,2]}",
    "{\"a\":[1,2],\"b\":[\"x\"]}",
    "{\"a\":{\"b\":{\"c\":1}}}",
    "{\"a\":1} tail",
    "{true:false}",
    "{[1]:2}",
    "{{}:1}",
    "{\"a\":2025-11-21}",
    "{\"a\":05:19:43.042Z}",
    "{\"a\":\"05:19:43.042Z\"}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":true \"b\":false}",
    "{\"a\":[1]\"b\":[2]}",
    "{\"k\":1}{\"l\":2}",
    "}{",
    "http://host:80/path?x=1,2",
    "key=value;other",
    "{not json}",
    "[not list]",
    "5 apples",
    "5:30",
    "12:30:45",
    "3:4:5:6:7:8",
    "é:é",
    "日本",
    "[\"日本\"]",
    "\t1\t",
    "1\n",
    "\u{a0}1",
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut ask = |question| {
        cases.push(Case { class: CLASS.into(), config: Vec::new(), question });
    };
    for text in TEXTS {
        ask(Question::Deserialize(Some(text.as_bytes().to_vec()), true));
        // Within containers, too.
        ask(Question::Deserialize(Some(format!("[{text}]").into_bytes()), true));
        ask(Question::Deserialize(Some(format!("[{text}, {text}]").into_bytes()), true));
        ask(Question::Deserialize(Some(format!("[1, {text}]").into_bytes()), true));
        ask(Question::Deserialize(Some(format!("{{\"k\": {text}}}").into_bytes()), true));
        ask(Question::Deserialize(Some(format!("{{{text}: 1}}").into_bytes()), true));
    }
    ask(Question::Deserialize(None, true));
    ask(Question::Deserialize(Some(b"a\xffb".to_vec()), true));
    ask(Question::Deserialize(Some(b"\xf0\x9f\x98".to_vec()), true));
    for (schema, value) in shapes() {
        ask(Question::Serialize(schema, value, true));
    }
    let odd = [
        Value::Float64(1e10),
        Value::Float32(0.001),
        Value::Float64(f64::NAN),
        decimal(5, -3),
        decimal(1, 10),
        "a \"b\" \\ c".into(),
        Value::array(vec![
            "a \"b\" \\ c".into(),
            bytes(b"x"),
            Value::Null,
            Value::Float32(1.0),
            Value::Timestamp(86_400_001),
        ]),
        Value::Map(std::sync::Arc::new(Map::from_iter([
            (Value::Int32(1), Value::Boolean(true)),
            (Value::Int32(2), Value::Null),
        ]))),
        Value::Date(0),
        Value::Date(1),
        Value::Time(0),
        Value::Timestamp(0),
        Value::Timestamp(86_399_999),
        Value::Timestamp(86_400_000),
        Value::Date(-1),
        Value::Timestamp(-1),
    ];
    for value in odd {
        ask(Question::Serialize(None, value, true));
    }
    let schema = built(Schema::structure().field("d", logical::date()).field("s", Schema::optional_string()));
    ask(Question::Serialize(Some(schema.clone()), structure(&schema, &[("d", Value::Date(3))]), true));
    cases
}

#[test]
fn headers_are_read_and_written_as_kafka_connect_does() {
    compare(&cases(), DELIBERATE);
}

fn asked(case: &Case) -> String {
    match &case.question {
        Question::Deserialize(Some(bytes), _) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

const DELIBERATE: &[Deliberate] = &[
    BEFORE_1970,
    Deliberate {
        reason: "blanks in front of a closing quote are lost in Java",
        is: |case, java, own| {
            let (java, own) = (java.to_string(), own.to_string());
            [" \"", ", \""].iter().any(|t| asked(case).contains(t))
                && own.replace("\" \"", "\"\"").replace(", \"", ",\"") == java
        },
    },
    Deliberate {
        reason: "digits of other scripts are no digits",
        is: |case, java, own| {
            asked(case).contains('٣')
                && java.to_string().contains("{\"int8\":3}")
                && own["ok"]["value"]["string"] == asked(case).as_str()
        },
    },
    Deliberate {
        reason: "dates before 1582 are those of the Gregorian calendar, as ISO 8601 has it, not of the Julian one",
        is: |case, java, own| {
            [("1500-01-01", "-14830992000000", "-14831769600000"), ("0000-00-00", "-62170156800000", "-62169984000000")]
                .iter()
                .any(|(t, julian, gregorian)| {
                    asked(case).contains(t) && plain(java).replace(julian, gregorian) == plain(own)
                })
        },
    },
];
