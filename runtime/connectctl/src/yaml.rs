//! JSON values as YAML: block style, plain texts where YAML cannot mistake them for anything else.

use std::fmt::Write;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Error, Value};

use crate::exact::Exact;

/// The document's text.
pub fn to_string(value: &Value) -> String {
    text(&Exact::from(value))
}

/// As [`to_string`], of what JSON can be made of; numbers keep their digits.
pub fn of(data: &impl Serialize) -> Result<String, Error> {
    Exact::made(data).map(|value| text(&value))
}

fn text(value: &Exact) -> String {
    let mut out = String::new();
    match value {
        Exact::List(items) if !items.is_empty() => list(&mut out, items, 0),
        Exact::Object(map) if !map.is_empty() => mapping(&mut out, map, 0, false),
        other => scalar(&mut out, other, 0),
    }
    out
}

fn list(out: &mut String, items: &[Exact], indent: usize) {
    for item in items {
        let _ = write!(out, "{:indent$}- ", "");
        match item {
            Exact::List(inner) if !inner.is_empty() => {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                list(out, inner, indent + 2);
            }
            Exact::Object(inner) if !inner.is_empty() => mapping(out, inner, indent + 2, true),
            other => scalar(out, other, indent),
        }
    }
}

/// `inline` puts the first key where the writer stands, behind a list's dash.
fn mapping(out: &mut String, map: &IndexMap<String, Exact>, indent: usize, mut inline: bool) {
    for (key, value) in map {
        if !std::mem::take(&mut inline) {
            let _ = write!(out, "{:indent$}", "");
        }
        if is_plain(key) {
            out.push_str(key)
        } else {
            quoted(out, key)
        }
        out.push(':');
        match value {
            Exact::List(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, indent);
            }
            Exact::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, indent + 2, false);
            }
            other => {
                out.push(' ');
                scalar(out, other, indent);
            }
        }
    }
}

fn scalar(out: &mut String, value: &Exact, indent: usize) {
    match value {
        Exact::Text(text) if is_plain(text) => out.push_str(text),
        Exact::Text(text) if is_block(text) => return block(out, text, indent + 2),
        Exact::Text(text) => quoted(out, text),
        // Null, booleans, numbers and what is empty are written alike.
        other => {
            let _ = write!(out, "{other}");
        }
    }
    out.push('\n');
}

/// Texts of several lines, such as traces, stay readable.
fn block(out: &mut String, text: &str, indent: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            let _ = write!(out, "{:indent$}{line}", "");
        }
        out.push('\n');
    }
}

fn is_block(text: &str) -> bool {
    let printable = |c: char| c == '\n' || c == '\t' || !needs_escape(c);
    text.contains('\n')
        && text.chars().all(printable)
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && !text.lines().any(|l| l.trim().is_empty() && !l.is_empty())
}

/// Whether YAML 1.1 and 1.2 read the text back as this text, without quotes.
fn is_plain(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    let word = text.to_ascii_lowercase();
    let reserved = matches!(word.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./+@%$=()[], :;'\"<>?!*&~^|".contains(c);
    first && !reserved && text.chars().all(allowed) && !text.contains(": ") && !text.ends_with([' ', ':'])
}

fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use connect_files::{flatten::json, read_text};
    use serde_json::json;

    use super::*;

    /// Reads the text back. Below a key, so that every text's quotes count.
    fn read_back(value: &Value) -> Value {
        let text = to_string(&json!({ "v": value }));
        let trees = read_text("t", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        json(&trees[0], false)["v"].take()
    }

    #[test]
    fn documents_look_as_people_write_them() {
        let value = json!([
            {"name": "influxdb-sink", "tasks": [{"id": 0, "trace": "writing 2 points\nCaused by: timed out"}, {"id": 1}],
             "config": {"topics": "a,b", "tasks.max": "1", "url": "http://127.0.0.1:8086", "x": "yes"}, "none": null,
             "empty": [], "nothing": {}, "matrix": [[1, 2], []]},
        ]);
        let expected = "\
- name: influxdb-sink
  tasks:
  - id: 0
    trace: |-
      writing 2 points
      Caused by: timed out
  - id: 1
  config:
    topics: a,b
    tasks.max: \"1\"
    url: http://127.0.0.1:8086
    x: \"yes\"
  none: null
  empty: []
  nothing: {}
  matrix:
  -
    - 1
    - 2
  - []
";
        assert_eq!(to_string(&value), expected);
        let exact = Exact::parse("{\"v\": [12345678901234567890123456.70, 1e400]}").expect("json");
        assert_eq!(of(&exact).expect("yaml"), "v:\n- 12345678901234567890123456.70\n- 1e400\n");
        assert_eq!(read_back(&value[0]["config"]), value[0]["config"]);
        assert_eq!(read_back(&value[0]["tasks"]), value[0]["tasks"]);
        assert_eq!(read_back(&value[0]["matrix"]), value[0]["matrix"]);
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let texts = [
            "",
            " ",
            "a",
            "a ",
            " a",
            "1",
            "1.50",
            "0x1F",
            "true",
            "No",
            "null",
            "~",
            "2026-11-21",
            "a: b",
            "a:",
            "a #b",
            "# a",
            "- a",
            "-",
            "[a",
            "{a}",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "'a'",
            "\"a\"",
            "a\"b'c\\d",
            "a\nb",
            "a\nb\n",
            "a\n\n",
            "\na",
            " a\nb",
            "a\n  b\n\n c",
            "a\n \nb",
            "a\tb",
            "\ta",
            "a\u{1b}[0m",
            "é – ☂ 𝄞",
            "\u{85}",
            "a\u{2028}b",
            "\u{FEFF}a",
            "a,b",
            "...",
            "---",
            "a\r\nb",
            "?",
            "? a",
            "key: |\n  x",
            "=",
            "<<",
        ];
        for text in texts {
            let value = json!({ "k": text, "k2": "end" });
            assert_eq!(read_back(&value), value, "{text:?} as\n{}", to_string(&value));
            // Our own reader refuses merge keys, quoted or not.
            if text != "<<" {
                assert_eq!(read_back(&json!({ text: "end" }))[text], "end", "key {text:?}");
            }
        }
    }
}
