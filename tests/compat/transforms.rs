//! Every transform and predicate with many settings, on values of all shapes.

use connect_api::{Record, Schema, Value};

use crate::{
    Deliberate, MISPLACED_TEXT, ZERO_WITHOUT_SCALE, compare,
    ours::{Case, Question},
    text, transform,
    values::{record, shapes, turned},
};

type Config = &'static [(&'static str, &'static str)];

/// Transforms of the key or the value, with settings, right and wrong.
const SIDED: &[(&str, &[Config])] = &[
    (
        "Cast",
        &[
            &[("spec", "a:int8")],
            &[("spec", "a:string,b:int32,c:boolean")],
            &[("spec", "a:float32, c:string , e:int64")],
            &[("spec", "b:float64"), ("replace.null.with.default", "false")],
            &[("spec", "d:int16")],
            &[("spec", "d:boolean,c:float32"), ("replace.null.with.default", "false")],
            &[("spec", "l:string")],
            &[("spec", "n:int8")],
            &[("spec", "by:string,ts:string")],
            &[("spec", "by:int8")],
            &[("spec", "ts:int64,date:int32,time:string,dec:float64")],
            &[("spec", "date:string,ts:boolean,dec:string,time:int8")],
            &[("spec", "missing:int32")],
            &[("spec", "int8")],
            &[("spec", "INT64")],
            &[("spec", "float64")],
            &[("spec", "boolean")],
            &[("spec", "string")],
            &[("spec", "")],
            &[],
            &[("spec", "a:int9")],
            &[("spec", "a:")],
            &[("spec", "decimal")],
            &[("spec", "bytes")],
            &[("spec", "a:array")],
            &[("spec", "int8,a:int8")],
            &[("spec", "a:int8,a:string")],
            &[("spec", "a:b:int8")],
            &[("spec", "a:int8"), ("replace.null.with.default", "yes")],
        ],
    ),
    (
        "ExtractField",
        &[
            &[("field", "a")],
            &[("field", "b")],
            &[("field", "c"), ("replace.null.with.default", "false")],
            &[("field", "d")],
            &[("field", "d"), ("replace.null.with.default", "false")],
            &[("field", "n.x")],
            &[("field", "n.x"), ("field.syntax.version", "V2")],
            &[("field", "n.y.z"), ("field.syntax.version", "v2")],
            &[("field", "n.y.`d.t`"), ("field.syntax.version", "V2")],
            &[("field", "`n.x`"), ("field.syntax.version", "V2")],
            &[("field", "a.x"), ("field.syntax.version", "V2")],
            &[("field", "m.k"), ("field.syntax.version", "V2")],
            &[("field", "q.x.y"), ("field.syntax.version", "V2")],
            &[("field", "n."), ("field.syntax.version", "V2")],
            &[("field", "n.`x"), ("field.syntax.version", "V2")],
            &[("field", "n"), ("field.syntax.version", "V3")],
            &[("field", "")],
            &[],
        ],
    ),
    ("Flatten", &[&[], &[("delimiter", "_")], &[("delimiter", "")], &[("delimiter", " - ")]]),
    (
        "HeaderFrom",
        &[
            &[("fields", "a"), ("headers", "h"), ("operation", "move")],
            &[("fields", "a,b"), ("headers", "h,a"), ("operation", "copy")],
            &[("fields", "c,d,n"), ("headers", "h,i,j"), ("operation", "move"), ("replace.null.with.default", "false")],
            &[("fields", "c,d,n"), ("headers", "h,i,j"), ("operation", "move")],
            &[("fields", "a,a"), ("headers", "x,y"), ("operation", "copy")],
            &[("fields", "missing"), ("headers", "h"), ("operation", "copy")],
            &[("fields", "a,b"), ("headers", "h"), ("operation", "copy")],
            &[("fields", ""), ("headers", "h"), ("operation", "copy")],
            &[("fields", "a"), ("headers", ""), ("operation", "copy")],
            &[("fields", "a"), ("headers", "h"), ("operation", "Move")],
            &[("fields", "a"), ("headers", "h")],
            &[],
        ],
    ),
    ("HoistField", &[&[("field", "w")], &[("field", "")], &[]]),
    (
        "InsertField",
        &[
            &[("topic.field", "t")],
            &[("topic.field", "t!"), ("partition.field", "p?"), ("offset.field", "o"), ("timestamp.field", "at")],
            &[("timestamp.field", "at!"), ("offset.field", "o!")],
            &[("static.field", "s"), ("static.value", "v")],
            &[("static.field", "s!"), ("static.value", ""), ("replace.null.with.default", "false")],
            &[("topic.field", "a")],
            &[("partition.field", "p!")],
            &[("static.field", "s")],
            &[("static.value", "s")],
            &[("topic.field", "")],
            &[("topic.field", "!")],
            &[],
        ],
    ),
    (
        "MaskField",
        &[
            &[("fields", "a")],
            &[("fields", "a,b,c,d,e")],
            &[("fields", "c,d,by"), ("replace.null.with.default", "false")],
            &[("fields", "n")],
            &[("fields", "l")],
            &[("fields", "ok")],
            &[("fields", "by")],
            &[("fields", "date,time,ts")],
            &[("fields", "missing")],
            &[("fields", "a"), ("replacement", "42")],
            &[("fields", "a,e,c"), ("replacement", "1e3")],
            &[("fields", "b,d"), ("replacement", "***")],
            &[("fields", "a"), ("replacement", "x")],
            &[("fields", "e"), ("replacement", "NaN")],
            &[("fields", "e"), ("replacement", "1.25")],
            &[("fields", "dec"), ("replacement", "1.25")],
            &[("fields", "dec"), ("replacement", "x")],
            &[("fields", "ts"), ("replacement", "1")],
            &[("fields", "l"), ("replacement", "1")],
            &[("fields", "ok"), ("replacement", "true")],
            &[("fields", "a"), ("replacement", "")],
            &[("fields", "")],
            &[],
        ],
    ),
    (
        "ReplaceField",
        &[
            &[],
            &[("exclude", "a,l")],
            &[("include", "a,b")],
            &[("include", "a,b"), ("exclude", "b")],
            &[("renames", "a:z,b:y")],
            &[("renames", "a:b")],
            &[("renames", "a:b,b:a")],
            &[("renames", "a:q,a:r")],
            &[("exclude", "c"), ("renames", "d:c"), ("replace.null.with.default", "false")],
            &[("include", "z"), ("renames", "a:z")],
            &[("renames", "a")],
            &[("renames", "a:b:c")],
            &[("renames", "a:")],
            &[("renames", ":a")],
            &[("renames", "a:b,,c:d")],
            &[("exclude", "a"), ("renames", "a:b")],
            &[("exclude", "missing"), ("include", "a,missing")],
        ],
    ),
    (
        "SetSchemaMetadata",
        &[
            &[("schema.name", "new.Name")],
            &[("schema.version", "9")],
            &[("schema.name", "n"), ("schema.version", "1"), ("replace.null.with.default", "false")],
            &[("schema.name", "")],
            &[("schema.version", "x")],
            &[],
        ],
    ),
    (
        "TimestampConverter",
        &[
            &[("target.type", "Timestamp")],
            &[("target.type", "Date")],
            &[("target.type", "Time")],
            &[("target.type", "unix")],
            &[("target.type", "unix"), ("unix.precision", "seconds")],
            &[("target.type", "unix"), ("unix.precision", "nanoseconds")],
            &[("target.type", "string"), ("format", "yyyy-MM-dd")],
            &[("target.type", "Timestamp"), ("format", "yyyy-MM-dd")],
            &[("target.type", "Timestamp"), ("format", "HH:mm")],
            &[("target.type", "Timestamp"), ("unix.precision", "microseconds")],
            &[("target.type", "unix"), ("field", "ts")],
            &[("target.type", "Date"), ("field", "ts")],
            &[("target.type", "Time"), ("field", "ts"), ("replace.null.with.default", "false")],
            &[("target.type", "string"), ("field", "date"), ("format", "dd/MM/yy")],
            &[("target.type", "Timestamp"), ("field", "time")],
            &[("target.type", "Timestamp"), ("field", "a")],
            &[("target.type", "Timestamp"), ("field", "b"), ("format", "s")],
            &[("target.type", "Timestamp"), ("field", "d"), ("format", "'dflt'")],
            &[("target.type", "Timestamp"), ("field", "missing")],
            &[("target.type", "string")],
            &[("target.type", "string"), ("format", "  ")],
            &[("target.type", "string"), ("format", "yyyy-bb")],
            &[("target.type", "date")],
            &[("target.type", "Date"), ("unix.precision", "hours")],
            &[],
        ],
    ),
];

const PLAIN: &[(&str, &[Config])] = &[
    ("DropHeaders", &[&[("headers", "a")], &[("headers", "a,c")], &[("headers", "c, b")], &[("headers", "")], &[]]),
    ("Filter", &[&[]]),
    (
        "InsertHeader",
        &[
            &[("header", "h"), ("value.literal", "12")],
            &[("header", "a"), ("value.literal", " text ")],
            &[("header", "a"), ("value.literal", "[1, 2.5]")],
            &[("header", ""), ("value.literal", "")],
            &[("header", "a"), ("value.literal", "null")],
            &[("header", "a")],
            &[("value.literal", "a")],
        ],
    ),
    (
        "RegexRouter",
        &[
            &[("regex", "to(.*)"), ("replacement", "x-$1")],
            &[("regex", "(t)(o)pic"), ("replacement", "$2$1$10")],
            &[("regex", "(?<n>t).*"), ("replacement", "${n}\\$1")],
            &[("regex", "opic"), ("replacement", "x")],
            &[("regex", "to|topic"), ("replacement", "x")],
            &[("regex", "top(x)?ic"), ("replacement", "a$1b")],
            &[("regex", "TOPIC|(?i)topic"), ("replacement", "x")],
            &[("regex", "\\w{5}"), ("replacement", "")],
            &[("regex", "(?!t).*|(?=t)(..)(?<!x).*"), ("replacement", "$1")],
            &[("regex", "(?:(.)(?!\\1))+"), ("replacement", "$1")],
            &[("regex", "t*+opic"), ("replacement", "x")],
            &[("regex", "\\Qtopic\\E"), ("replacement", "x")],
            &[("regex", "[a-z&&[^x]]+"), ("replacement", "x")],
            &[("regex", "\\p{Lower}+"), ("replacement", "x")],
            &[("regex", "\\p{Alpha}+"), ("replacement", "x")],
            &[("regex", "topic$"), ("replacement", "x")],
            &[("regex", "(?i)TOP.*"), ("replacement", "x")],
            &[("regex", "\\x74op\\u0069c"), ("replacement", "x")],
            &[("regex", "[t]o[[p]]ic"), ("replacement", "x")],
            &[("regex", "(?<a>t)(?<b>o)pic"), ("replacement", "${b}${a}")],
            &[("regex", "(?<a>t)opic"), ("replacement", "${c}")],
            &[("regex", "top(?<x>x)?ic"), ("replacement", "a${x}b")],
            &[("regex", "topic"), ("replacement", "$1")],
            &[("regex", "topic"), ("replacement", "$x")],
            &[("regex", "topic"), ("replacement", "a$")],
            &[("regex", "topic"), ("replacement", "a\\")],
            &[("regex", "("), ("replacement", "a")],
            &[("regex", "a")],
            &[("replacement", "a")],
        ],
    ),
    (
        "TimestampRouter",
        &[
            &[],
            &[("topic.format", "foo-${timestamp}-${topic}-$topic"), ("timestamp.format", "YYYYMM")],
            &[("topic.format", "${topic}${topic}"), ("timestamp.format", "q")],
            &[("topic.format", "${timestamp}"), ("timestamp.format", "yyyy-MM-dd HH")],
        ],
    ),
    (
        "ValueToKey",
        &[
            &[("fields", "a")],
            &[("fields", "b,a")],
            &[("fields", "c,d"), ("replace.null.with.default", "false")],
            &[("fields", "c,d")],
            &[("fields", "missing")],
            &[("fields", "a,a")],
            &[("fields", "")],
            &[],
        ],
    ),
];

const PREDICATES: &[(&str, &[Config])] = &[
    ("HasHeaderKey", &[&[("name", "a")], &[("name", "A")], &[("name", "c")], &[("name", "")], &[]]),
    ("RecordIsTombstone", &[&[]]),
    (
        "TopicNameMatches",
        &[
            &[("pattern", "t.*")],
            &[("pattern", "opic")],
            &[("pattern", "a|topic")],
            &[("pattern", "(?!x).*")],
            &[("pattern", "(?!t).*")],
            &[("pattern", "")],
            &[("pattern", "[")],
            &[],
        ],
    ),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (schema, value) in shapes() {
        let record = record(schema, value);
        for (class, configs) in SIDED {
            for config in *configs {
                cases.push(transform(&format!("{class}$Value"), config, record.clone(), Some(42)));
            }
            cases.push(transform(&format!("{class}$Key"), configs[0], turned(record.clone()), Some(42)));
        }
        for (class, configs) in PLAIN {
            for config in *configs {
                cases.push(transform(class, config, record.clone(), Some(42)));
            }
        }
        for (class, configs) in PREDICATES {
            cases.extend(configs.iter().map(|config| predicate(class, config, record.clone())));
        }
    }
    // Records of sources know no offset and may lack partition and time.
    for (topic, partition, timestamp) in [("topic", None, None), ("${timestamp}", Some(0), Some(-1))] {
        let mut bare = Record::new(topic);
        (bare.partition, bare.timestamp) = (partition, timestamp);
        bare.value = Value::map([("a", Value::Int64(1))]);
        let mut described = bare.clone();
        let schema = Schema::structure().field("a", Schema::int8()).build().expect("schema");
        described.value = crate::values::structure(&schema, &[("a", Value::Int8(1))]);
        described.value_schema = Some(schema);
        for (class, configs) in
            SIDED.iter().chain(PLAIN).filter(|(c, _)| ["InsertField", "TimestampRouter"].contains(c))
        {
            let class = if *class == "InsertField" { "InsertField$Value" } else { class };
            for config in *configs {
                cases.push(transform(class, config, bare.clone(), None));
                cases.push(transform(class, config, described.clone(), None));
            }
        }
        cases.push(predicate("HasHeaderKey", &[("name", "a")], bare));
    }
    cases
}

fn predicate(class: &str, config: &[(&str, &str)], record: Record) -> Case {
    let mut case = transform(class, config, record.clone(), None);
    case.class = format!("org.apache.kafka.connect.transforms.predicates.{class}");
    case.question = Question::Test(record);
    case
}

#[test]
fn transforms_and_predicates_do_as_kafka_connects() {
    compare(&cases(), DELIBERATE);
}

const DELIBERATE: &[Deliberate] = &[
    MISPLACED_TEXT,
    Deliberate {
        reason: "Cast: a spec with two colons is called a wrong renaming of the setting renames",
        is: |_, java, own| {
            text(java, "message")
                == "Invalid value [a:b:int8] for configuration renames: Invalid rename mapping: a:b:int8"
                && text(own, "message").starts_with("Invalid value [a:b:int8] for configuration spec: ")
        },
    },
    Deliberate {
        reason: "InsertField: the field is shown as an object of Java",
        is: |_, java, own| {
            let (java, own) = (text(java, "message"), text(own, "message"));
            java.contains("InsertField$InsertionSpec@") && java.split("org.apache").next() == own.strip_suffix('s')
        },
    },
    Deliberate {
        reason: "RegexRouter: our words about a replacement name it, its fault and the way out",
        is: |case, java, own| {
            case.class.ends_with("RegexRouter")
                && text(java, "stage") == "apply"
                && text(own, "message").starts_with("the replacement \"")
                && text(java, "class") == text(own, "class")
        },
    },
    Deliberate {
        reason: "TimestampRouter: a wrong pattern is found when the settings are read, not with the first record",
        is: |case, java, own| {
            case.class.ends_with("TimestampRouter")
                && text(own, "message")
                    == "Invalid value q for configuration timestamp.format: Illegal pattern character 'q'"
                && (text(java, "message") == "Illegal pattern character 'q'"
                    || text(java, "message").starts_with("Timestamp missing on record: "))
        },
    },
    Deliberate {
        reason: "TimestampRouter: the record is named, its contents are not shown",
        is: |_, java, own| {
            text(java, "message").starts_with("Timestamp missing on record: SourceRecord{")
                && text(own, "message").starts_with("Timestamp missing on record: topic ")
                && text(java, "class") == text(own, "class")
        },
    },
    Deliberate {
        reason: "TimestampConverter: a text without a pattern is a NullPointerException",
        is: |_, java, own| {
            text(java, "class") == "java.lang.NullPointerException" && text(own, "message").ends_with("; set format")
        },
    },
    Deliberate {
        reason: "TimestampConverter: a struct with a default never ends in Java",
        is: |_, java, own| text(java, "class") == "java.lang.StackOverflowError" && own["ok"].is_object(),
    },
    Deliberate {
        reason: "HeaderFrom: a field that the schema lacks is a NullPointerException",
        is: |case, java, own| {
            case.class.contains("HeaderFrom$")
                && text(java, "class") == "java.lang.NullPointerException"
                && text(own, "message").starts_with("Field does not exist: ")
        },
    },
    ZERO_WITHOUT_SCALE,
    Deliberate {
        reason: "ReplaceField: a field whose name is the new name of another one that is left out takes its value",
        is: |case, java, own| {
            let of = |key: &str| case.config.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v);
            let (exclude, renames) = (of("exclude"), of("renames"));
            case.class.contains("ReplaceField$")
                && (renames == ":a" || (exclude, renames) == ("a", "a:b") || (exclude, renames) == ("c", "d:c"))
                && own["ok"].is_object()
                && java != own
        },
    },
    Deliberate {
        reason: "SetSchemaMetadata: Java cannot rename schemas of anything but structs",
        is: |case, java, own| {
            case.class.contains("SetSchemaMetadata$")
                && text(java, "message") == "Cannot list fields on non-struct type"
                && own["ok"].is_object()
        },
    },
];
