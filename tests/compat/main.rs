//! Transforms, predicates and converters against Apache Kafka Connect's own: tables of cases go through both, and
//! outcome and message must be the same. Where they are not, and are not meant to be, a table says why.
//!
//! - `Oracle.java`: Kafka Connect's answers; `ours`: ours; `encode`: the form of both
//! - `transforms`, `casts`, `dates`, `converters`, `headers`: the cases
//! - `values`: the schemas and values that they are made of

mod casts;
mod converters;
mod dates;
mod encode;
mod headers;
mod ours;
mod transforms;
mod values;

use std::{io::Write, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use xtask::servers::{Kafka, without};

use self::ours::{Case, Ours, Question};

/// A difference that is meant.
pub struct Deliberate {
    /// Why.
    pub reason: &'static str,
    /// Whether it is this one, of the case, Java's answer and ours.
    pub is: fn(&Case, &Json, &Json) -> bool,
}

/// In several areas.
pub const MISPLACED_TEXT: Deliberate = Deliberate {
    reason: "settings: Java takes the text of the exception for the value and the message for the name of the setting",
    is: |_, java, own| {
        let found = text(java, "message").strip_prefix("Invalid value java.lang.IllegalArgumentException: ");
        let found = found.and_then(|rest| rest.split_once(" for configuration "));
        found.is_some_and(|(why, message)| {
            [message.to_owned(), format!("{message}: {why}")].contains(&text(own, "message").to_owned())
        })
    },
};

/// In several areas.
pub const ZERO_WITHOUT_SCALE: Deliberate = Deliberate {
    reason: "MaskField: Java's zero has no scale, so that a decimal cannot be written any more",
    is: |case, java, own| {
        let mut value = java.clone();
        set_scale(&mut value, own);
        case.class.contains("MaskField$") && value == *own
    },
};

/// In several areas.
pub const BEFORE_1970: Deliberate = Deliberate {
    reason: "before 1970 dates and moments are written as such, not as times of day",
    is: |case, java, own| {
        let asked = case.asked().to_string();
        let same = |asked_for: &str, time: &str, own_text: &str| {
            let as_ours = |answer: &Json| plain(answer).replace(time, own_text);
            asked.contains(asked_for) && as_ours(java) == plain(own)
        };
        same("{\"date\":-86400000}", "00:00:00.000Z", "1969-12-31")
            || same("{\"date\":-1}", "23:59:59.999Z", "1969-12-31T23:59:59.999Z")
    },
};

/// An answer as text, with the bytes that a converter wrote shown.
pub fn plain(answer: &Json) -> String {
    let bytes = answer["ok"].as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes.map_or_else(|| answer.to_string(), |b| String::from_utf8_lossy(&b).into_owned())
}

/// A part of an answer as text; empty where there is none.
pub fn text<'a>(answer: &'a Json, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_default()
}

/// Has all cases answered by both. Fails with every difference that is not among the deliberate ones, and with
/// every deliberate one that does not occur.
pub fn compare(cases: &[Case], deliberate: &[Deliberate]) {
    if without("kafka") {
        return;
    }
    let mut questions = tempfile::NamedTempFile::new().expect("file of questions");
    for case in cases {
        writeln!(questions, "{}", case.asked()).expect("question");
    }
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/Oracle.java");
    let answers = Kafka::ask(&oracle, questions.path()).expect("the oracle answers");
    let answers: Vec<Json> = answers.lines().map(|l| serde_json::from_str(l).expect("json")).collect();
    assert_eq!(answers.len(), cases.len(), "one answer for each question");

    let ours = Ours::new();
    let mut met = vec![0; deliberate.len()];
    let mut differences = Vec::new();
    for (case, java) in cases.iter().zip(&answers) {
        // Maps of the oracle keep their order, which Kafka Connect's own do not.
        let java: Json =
            serde_json::from_str(&java.to_string().replace("java.util.LinkedHashMap", "java.util.HashMap"))
                .expect("json");
        let (java, own) = (encode::in_order(&java), encode::in_order(&ours.answer(case)));
        if same(&java, &own) {
            continue;
        }
        match deliberate.iter().position(|d| (d.is)(case, &java, &own)) {
            Some(i) => met[i] += 1,
            None => differences.push(format!(
                "{} {:?}\n  asked {}\n  Java {java}\n  ours {own}",
                case.class,
                case.config,
                case.asked()
            )),
        }
    }
    let unmet = deliberate.iter().zip(&met).filter(|(_, n)| **n == 0).map(|(d, _)| d.reason);
    let unmet: Vec<_> = unmet.collect();
    let shown = differences.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} cases differ:\n{shown}", differences.len(), cases.len());
    assert!(unmet.is_empty(), "deliberate differences that do not occur: {unmet:?}");
    // Straight to the stream: the harness hides what passing tests print.
    let differing: usize = met.iter().sum();
    let _ = writeln!(std::io::stderr(), "compared {} cases, {differing} of them differ deliberately", cases.len());
}

fn same(java: &Json, own: &Json) -> bool {
    if java == own {
        return true;
    }
    // We report all problems of the settings, Java the first.
    let first = |message: &str| {
        message == text(java, "message") || message.starts_with(&format!("{}; ", text(java, "message")))
    };
    text(java, "stage") == "configure"
        && text(own, "stage") == "configure"
        && text(java, "class") == text(own, "class")
        && first(text(own, "message"))
}

/// A case of a transform of Kafka's package.
pub fn transform(class: &str, config: &[(&str, &str)], record: connect_api::Record, offset: Option<i64>) -> Case {
    Case {
        class: format!("org.apache.kafka.connect.transforms.{class}"),
        config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        question: Question::Transform(record, offset),
    }
}

/// Gives decimal zeros the scale that they have in another answer of the same shape.
pub fn set_scale(answer: &mut Json, like: &Json) {
    match (answer, like) {
        (Json::Object(a), Json::Object(b)) => {
            for (name, value) in a {
                match (name.as_str(), &*value, b.get(name).unwrap_or(&Json::Null)) {
                    ("decimal", Json::Array(zero), other) if zero[0] == "0" && other[0] == "0" => {
                        *value = other.clone()
                    }
                    (_, _, other) => set_scale(value, other),
                }
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            a.iter_mut().zip(b).for_each(|(a, b)| set_scale(a, b))
        }
        _ => {}
    }
}
