//! From a record to a message, and from Slack's words to errors.

use connect_api::{
    ErrorClass, Result, SinkRecord,
    template::{Escape, Template, record_names},
};
use serde_json::Value as Json;

/// Slack cuts longer texts off.
const TEXT_LIMIT: usize = 40_000;

/// The templates of messages.
#[derive(Debug, Clone)]
pub struct Messages {
    raised: Template,
    cleared: Template,
}

impl Messages {
    /// Parses the templates.
    pub fn new(raised: &str, cleared: &str) -> Result<Self> {
        Ok(Self { raised: Self::check(raised)?, cleared: Self::check(cleared)? })
    }

    /// Parses one template.
    pub fn check(source: &str) -> Result<Template> {
        Template::parse(source, Escape::None)
    }

    /// The text of the message for a record.
    pub fn text(&self, record: &SinkRecord) -> Result<String> {
        let mut names = record_names(record);
        names.insert("offset".into(), record.origin.offset.into());
        let template = if record.value.is_null() { &self.cleared } else { &self.raised };
        let text = template.render_names(&escaped(Json::Object(names)))?;
        Ok(match text.char_indices().nth(TEXT_LIMIT) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        })
    }
}

// Escaped before they are inserted: the template's own markup must stay.
fn escaped(json: Json) -> Json {
    match json {
        Json::String(text) => Json::String(escape(text)),
        Json::Array(items) => Json::Array(items.into_iter().map(escaped).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (escape(name), escaped(value))).collect())
        }
        other => other,
    }
}

fn escape(text: String) -> String {
    if text.contains(['&', '<', '>']) {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    } else {
        text
    }
}

/// What the word that Slack answers with says; `None` if the status must.
pub fn class_of(word: &str) -> Option<ErrorClass> {
    Some(match word.trim() {
        "ratelimited"
        | "rate_limited"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "rollup_error" => ErrorClass::Retriable,
        "invalid_payload"
        | "msg_too_long"
        | "no_text"
        | "invalid_blocks"
        | "invalid_arguments"
        | "too_many_attachments" => ErrorClass::Data,
        "invalid_auth"
        | "invalid_token"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "missing_scope"
        | "channel_not_found"
        | "user_not_found"
        | "not_in_channel"
        | "is_archived"
        | "restricted_action"
        | "no_service"
        | "no_service_id"
        | "no_active_hooks"
        | "no_team"
        | "team_disabled"
        | "action_prohibited"
        | "channel_is_archived"
        | "posting_to_general_channel_denied" => ErrorClass::Fatal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CLEARED, RAISED};
    use connect_api::{Origin, Record, TimestampType, Value};

    fn record(value: Value) -> SinkRecord {
        let mut record = Record::new("active-alarms");
        (record.key, record.value) = ("pump<1>".into(), value);
        let origin = Origin {
            topic: "active-alarms".into(),
            partition: 0,
            offset: 7,
            timestamp_type: TimestampType::CreateTime,
        };
        SinkRecord { record, origin }
    }

    fn text(value: Value) -> String {
        Messages::new(RAISED, CLEARED).and_then(|m| m.text(&record(value))).expect("text")
    }

    #[test]
    fn default_messages_fit_alarms_with_and_without_details() {
        let priority = ("priority", Value::from("P2_PROPERTY"));
        let full = [priority.clone(), ("acknowledged", Value::Boolean(false)), ("message", Value::from("a & b"))];
        assert_eq!(text(Value::map(full)), ":rotating_light: *pump&lt;1&gt;* P2_PROPERTY: a &amp; b");
        let acknowledged = [priority, ("acknowledged", Value::Boolean(true)), ("message", Value::from(""))];
        assert_eq!(text(Value::map(acknowledged)), ":white_check_mark: *pump&lt;1&gt;* P2_PROPERTY (acknowledged)");
        assert_eq!(text(Value::from("other")), ":rotating_light: *pump&lt;1&gt;*");
        assert_eq!(text(Value::Null), ":large_green_circle: *pump&lt;1&gt;* cleared");
    }

    #[test]
    fn markup_of_templates_stays_and_that_of_records_does_not() {
        let messages = Messages::new("<https://h/{{offset}}|{{value.a[0].b}}>", "-").expect("templates");
        let value = Value::map([("a", Value::array(vec![Value::map([("b", Value::from("<!channel>"))])]))]);
        assert_eq!(messages.text(&record(value)).expect("text"), "<https://h/7|&lt;!channel&gt;>");
    }

    #[test]
    fn long_texts_are_cut_and_unknown_names_are_errors_of_the_record() {
        let messages = Messages::new("{{value.m}}", "-").expect("templates");
        let long = Value::map([("m", Value::from("é".repeat(50_000)))]);
        assert_eq!(messages.text(&record(long)).expect("text").chars().count(), TEXT_LIMIT + 1);
        let e = messages.text(&record(Value::map([("x", Value::Null)]))).expect_err("unknown");
        assert_eq!(e.class(), ErrorClass::Data);
        let mut keyless = record(Value::Null);
        keyless.record.key = Value::Null;
        let e = Messages::new(RAISED, CLEARED).and_then(|m| m.text(&keyless)).expect_err("no key");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(e.message().contains("key is null"), "{e}");
    }

    #[test]
    fn words_are_classified() {
        assert_eq!(class_of("invalid_payload\n"), Some(ErrorClass::Data));
        assert_eq!(class_of("channel_is_archived"), Some(ErrorClass::Fatal));
        assert_eq!(class_of("rate_limited"), Some(ErrorClass::Retriable));
        assert_eq!(class_of("<html>"), None);
    }
}
