//! Keys and values as a test call shows them: text where they are text, cut where they are long, without secrets.

use std::borrow::Cow;

use connect_api::json::base64;
use connect_rest_model::trial::{TestContent, TestReport};
use serde_json::Value as Json;

use crate::providers::secrets::Secrets;

/// More of one content is not shown.
const LONGEST: usize = 16 * 1024;

/// Replaces secrets: what config providers gave, and the connector's own passwords.
#[derive(Clone)]
pub(super) struct Concealer {
    provided: Secrets,
    own: Secrets,
}

impl Concealer {
    pub(super) fn new(provided: Secrets, own: Secrets) -> Self {
        Self { provided, own }
    }

    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.provided.conceal(text) {
            Cow::Borrowed(text) => self.own.conceal(text),
            Cow::Owned(text) => Cow::Owned(self.own.conceal(&text).into_owned()),
        }
    }

    /// Goes through every text of a report.
    pub(super) fn report(&self, report: TestReport) -> TestReport {
        let concealed = serde_json::to_value(&report).map(|json| self.json(json));
        // A report that can be written can be read.
        concealed.and_then(serde_json::from_value).unwrap_or(TestReport { records: Vec::new(), ..report })
    }

    fn json(&self, json: Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.text(&text).into_owned()),
            Json::Array(items) => items.into_iter().map(|i| self.json(i)).collect(),
            Json::Object(members) => {
                members.into_iter().map(|(k, v)| (self.text(&k).into_owned(), self.json(v))).collect()
            }
            other => other,
        }
    }

    /// A text that is cut. Secrets go first, or a part of one could be left at the end.
    pub(super) fn cut(&self, text: &str) -> (String, Option<u64>) {
        let text = self.text(text);
        match text.char_indices().find(|(at, c)| at + c.len_utf8() > LONGEST) {
            Some((end, _)) => (format!("{}…", &text[..end]), Some(text.len() as u64)),
            None => (text.into_owned(), None),
        }
    }

    /// Bytes as Kafka has them.
    pub(super) fn bytes(&self, bytes: &[u8]) -> TestContent {
        if let Some(text) = std::str::from_utf8(bytes).ok().filter(|t| is_text(t)) {
            let (text, cut_from) = self.cut(text);
            return TestContent { text: Some(text), cut_from, ..TestContent::default() };
        }
        // Nobody could replace a part of base64.
        let lossy = String::from_utf8_lossy(bytes);
        if let Cow::Owned(_) = self.text(&lossy) {
            return TestContent { text: Some("[hidden]".into()), ..TestContent::default() };
        }
        let shown = &bytes[..bytes.len().min(LONGEST)];
        let cut_from = (bytes.len() > LONGEST).then_some(bytes.len() as u64);
        TestContent { base64: Some(base64(shown)), cut_from, ..TestContent::default() }
    }

    /// A value as JSON.
    pub(super) fn value(&self, value: &connect_api::Value) -> TestContent {
        let data = connect_api::json::to_json(value);
        let written = data.to_string();
        if written.len() > LONGEST {
            let (text, cut_from) = self.cut(&written);
            return TestContent { text: Some(text), cut_from, ..TestContent::default() };
        }
        TestContent { data: Some(data), ..TestContent::default() }
    }
}

fn is_text(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concealer() -> Concealer {
        let (provided, own) = (Secrets::default(), Secrets::default());
        provided.add("provided-secret", "${f:p}");
        own.add("own-secret-value", "[hidden]");
        Concealer::new(provided, own)
    }

    #[test]
    fn text_is_text_and_the_rest_base64() {
        let c = concealer();
        assert_eq!(c.bytes("a\nü".as_bytes()).text.as_deref(), Some("a\nü"));
        for other in [&[0xffu8, 0xfe][..], b"a\0b"] {
            assert_eq!(c.bytes(other).base64, Some(base64(other)));
        }
        assert_eq!(c.bytes(b"").text.as_deref(), Some(""));
    }

    #[test]
    fn long_contents_are_cut_and_say_so() {
        let c = concealer();
        let long = c.bytes("é".repeat(LONGEST).as_bytes());
        assert_eq!(long.cut_from, Some(2 * LONGEST as u64));
        assert!(long.text.expect("text").len() <= LONGEST + '…'.len_utf8());
        let long = c.bytes(&[0xff; LONGEST + 1]);
        assert_eq!((long.base64.map(|b| b.len()), long.cut_from), (Some(21848), Some(LONGEST as u64 + 1)));
    }

    #[test]
    fn no_secret_is_shown_however_it_is_wrapped() {
        let c = concealer();
        let shown = c.bytes(b"x provided-secret y own-secret-value").text.expect("text");
        assert_eq!(shown, "x ${f:p} y [hidden]");
        assert_eq!(c.bytes(b"\0own-secret-value").text.as_deref(), Some("[hidden]"));
        let at_the_end = format!("{}own-secret-value", "x".repeat(LONGEST - 5));
        assert!(!c.bytes(at_the_end.as_bytes()).text.expect("text").contains("own"));
        let json = c.json(serde_json::json!({ "provided-secret": ["own-secret-value"] }));
        assert_eq!(json, serde_json::json!({ "${f:p}": ["[hidden]"] }));
    }
}
