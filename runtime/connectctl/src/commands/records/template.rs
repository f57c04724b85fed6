//! `--template`: a record as the user wants it shown.

use super::{payload::Payload, shown::Shown};

/// What may stand in braces, for the help.
pub(crate) const PLACES: &str =
    "{topic} {partition} {offset} {time} {timestamp} {key} {value} {value.FIELD} {key.FIELD} {header.NAME}";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Partition,
    Offset,
    Time,
    Timestamp,
    Key(Vec<String>),
    Value(Vec<String>),
    Header(String),
}

/// Texts and places of what a record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads a template: `\n`, `\t` and `\\` are what they are in other languages, `{{` is a brace.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => plain.push('\n'),
                    Some('t') => plain.push('\t'),
                    Some('\\') => plain.push('\\'),
                    _ => return Err("a backslash stands before n, t or another one".into()),
                },
                '{' if chars.peek() == Some(&'{') => plain.extend(chars.next()),
                '}' if chars.peek() == Some(&'}') => plain.extend(chars.next()),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("{{{name} has no closing brace")),
                        }
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part(&name)?);
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether fields are wanted of a key or a value that could not be decoded.
    pub(crate) fn wants_fields_of_undecodable(&self, record: &Shown) -> bool {
        let undecodable = |payload: &Option<Payload>| payload.as_ref().is_some_and(Payload::is_undecodable);
        self.0.iter().any(|part| match part {
            Part::Key(path) => !path.is_empty() && undecodable(&record.key),
            Part::Value(path) => !path.is_empty() && undecodable(&record.value),
            _ => false,
        })
    }

    /// The record, and a line end if there is none.
    pub(crate) fn fill(&self, record: &Shown) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Topic => out.push_str(&record.topic),
                Part::Partition => out.push_str(&record.partition.to_string()),
                Part::Offset => out.push_str(&record.offset.to_string()),
                Part::Time => out.push_str(record.time.as_deref().unwrap_or_default()),
                Part::Timestamp => out.extend(record.timestamp.map(|ms| ms.to_string())),
                Part::Key(path) => out.push_str(&at(record.key.as_ref(), path)),
                Part::Value(path) => out.push_str(&at(record.value.as_ref(), path)),
                Part::Header(name) => {
                    let header = record.headers.iter().find(|h| h.name == *name);
                    out.push_str(&at(header.and_then(|h| h.value.as_ref()), &[]));
                }
            }
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out
    }
}

fn part(name: &str) -> Result<Part, String> {
    let path = |rest: &str| rest.split('.').map(str::to_owned).collect::<Vec<_>>();
    Ok(match name.split_once('.') {
        Some(("key", rest)) if !rest.is_empty() => Part::Key(path(rest)),
        Some(("value", rest)) if !rest.is_empty() => Part::Value(path(rest)),
        Some(("header", rest)) if !rest.is_empty() => Part::Header(rest.to_owned()),
        _ => match name {
            "topic" => Part::Topic,
            "partition" => Part::Partition,
            "offset" => Part::Offset,
            "time" => Part::Time,
            "timestamp" => Part::Timestamp,
            "key" => Part::Key(Vec::new()),
            "value" => Part::Value(Vec::new()),
            other => return Err(format!("{{{other}}} is unknown; there are {PLACES}")),
        },
    })
}

/// What is there within a tree, `null` where there is nothing.
fn at(payload: Option<&Payload>, path: &[String]) -> String {
    let Some(payload) = payload else { return "null".into() };
    if path.is_empty() {
        return payload.content().to_owned();
    }
    let mut found = payload.value();
    for name in path {
        match found.get(name) {
            Some(inner) => found = inner,
            None => return "null".into(),
        }
    }
    found.as_str().map_or_else(|| found.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{super::shown::tests::shown, *};

    #[test]
    fn fields_of_what_could_not_be_decoded_are_told_apart_from_null() {
        let bytes = connect_api::Bytes::from_static(b"nojson");
        let mut record = shown(Some(b"k"), None);
        record.value = Some(Payload::undecodable(&bytes, Some("no JSON".into())));
        let wants = |text| Template::parse(text).expect("template").wants_fields_of_undecodable(&record);
        assert!(wants("{key} {value.n}") && !wants("{key.n} {value}"));
        assert_eq!(record.problems().collect::<Vec<_>>(), [("value", "no JSON")]);
        assert!(!Template::parse("{value.n}").expect("template").wants_fields_of_undecodable(&shown(None, None)));
    }

    #[test]
    fn a_record_is_shown_as_wanted() {
        let record = shown(Some(b"k"), Some(br#"{"a": {"b": "x"}, "n": 5, "d": 12345678901234567890.10}"#));
        for (template, text) in [
            ("{key}: {value.a.b} {value.n}", "k: x 5\n"),
            ("{value.d} {value.a}", "12345678901234567890.10 {\"b\":\"x\"}\n"),
            (r"{topic}\t{partition}:{offset}\n", "t\t0:7\n"),
            ("{{{value.none}}} {header.user} {header.no}", "{null} me null\n"),
            ("{time} {timestamp}", "2023-11-14T22:13:20.000Z 1700000000000\n"),
        ] {
            assert_eq!(Template::parse(template).expect(template).fill(&record), text);
        }
        assert_eq!(Template::parse("{value}").expect("template").fill(&shown(None, None)), "null\n");
        for (wrong, said) in [("{vlaue}", "is unknown"), ("{key", "no closing brace"), ("\\x", "backslash")] {
            assert!(Template::parse(wrong).is_err_and(|e| e.contains(said)), "{wrong}");
        }
    }
}
