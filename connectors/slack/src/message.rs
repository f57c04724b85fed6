//! From records to messages.

use connect_api::{
    Error, Result, SinkRecord,
    template::{Escape, Template, record_names},
};
use serde_json::{Map, Value as Json, json};

use crate::{
    config::{SlackSettings, Tombstones},
    limits,
    rules::{self, Colors, Rule},
};

/// A digest shows so many alarms,
pub const LINES: usize = 30;
/// and so much of each: one must not take the place of all others.
const LINE: usize = 1_000;

/// How messages look and where they go.
#[derive(Debug, Clone)]
pub struct Layout {
    raised: Template,
    cleared: Template,
    digest: Template,
    message: Option<Template>,
    channel: Option<Template>,
    colors: Colors,
    rules: Vec<Rule>,
    /// Whether tombstones are told.
    pub tombstones: Tombstones,
}

/// What a record says: its text, and what goes with it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The record's names, escaped.
    names: Json,
    /// The text.
    pub text: String,
    color: Option<String>,
    mention: String,
    cleared: bool,
}

impl Layout {
    /// Parses the templates.
    pub fn new(settings: &SlackSettings) -> Result<Self> {
        let channel = settings.channel.as_deref().map(|c| Template::parse(c, Escape::None)).transpose()?;
        let message = settings.message.as_deref().map(|m| Template::parse(m, Escape::Json)).transpose()?;
        let digest = Self::digest(&settings.digest);
        Ok(Self {
            raised: Template::parse(&settings.raised, Escape::None)?,
            cleared: Template::parse(&settings.cleared, Escape::None)?,
            digest: digest.map_err(|why| Error::fatal("reading slack.digest.template").caused_by(why))?,
            message,
            channel,
            colors: settings.colors()?,
            rules: settings.rules()?,
            tombstones: settings.tombstones,
        })
    }

    /// Parses the template of a digest. The error is a reason.
    pub fn digest(source: &str) -> Result<Template, String> {
        let template = Template::parse(source, Escape::None).map_err(|e| e.message().to_owned())?;
        template.check_names(&["changed", "raised", "cleared", "lines", "more"])?;
        Ok(template)
    }

    /// The channel for a record, by rules and template. Errors are data errors.
    pub fn channel(&self, record: &SinkRecord) -> Result<String> {
        let names = names_of(record);
        if let Some(channel) = rules::holding(&self.rules, &names)?.iter().find_map(|rule| rule.channel.clone()) {
            return Ok(channel);
        }
        match &self.channel {
            Some(template) => {
                let channel = template.render_names(&names)?;
                if channel.trim().is_empty() {
                    Err(Error::data("naming the channel: the name is empty"))
                } else {
                    Ok(channel)
                }
            }
            // An incoming webhook has one.
            None => Ok(String::new()),
        }
    }

    /// Whether every record goes to one channel.
    pub fn has_one_channel(&self) -> bool {
        let fixed = self.channel.as_ref().is_none_or(|template| !template.source().contains('{'));
        fixed && self.rules.iter().all(|rule| rule.channel.is_none())
    }

    /// What a record says; `cleared` if it says that an alarm is over.
    pub fn message(&self, record: &SinkRecord, cleared: bool) -> Result<Message> {
        let plain = names_of(record);
        let mentions = match cleared {
            true => Vec::new(),
            false => rules::holding(&self.rules, &plain)?.iter().filter_map(|rule| rule.mention.as_deref()).collect(),
        };
        let color = self.colors.of(&plain, cleared).map(str::to_owned);
        let mention = mentions.join(" ");
        let names = escaped(plain);
        let text = if cleared { &self.cleared } else { &self.raised }.render_names(&names)?;
        Ok(Message { names, text, color, mention, cleared })
    }

    /// What a message says when its alarm goes on in another channel, which has a name and an id.
    pub fn moved(&self, message: Message, name: &str, id: &str) -> Message {
        let is_id = id.starts_with(['C', 'G']) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let place = if is_id { format!("<#{id}>") } else { escape(name.to_owned()) };
        Message {
            text: format!("{}\n:arrow_right: goes on in {place}", message.text),
            mention: String::new(),
            ..message
        }
    }

    /// The body of a message, with its mention or without.
    pub fn body(&self, message: &Message, mentioning: bool) -> Result<Map<String, Json>> {
        let mention = if mentioning { message.mention.as_str() } else { "" };
        if let Some(template) = &self.message {
            let mut names = message.names.as_object().cloned().unwrap_or_default();
            names.insert("text".into(), message.text.as_str().into());
            names.insert("color".into(), message.color.as_deref().map_or(Json::Null, Json::from));
            names.insert("mention".into(), mention.into());
            names.insert("cleared".into(), message.cleared.into());
            let text = template.render_names(&Json::Object(names))?;
            return match serde_json::from_str(&text) {
                Ok(Json::Object(mut body)) => {
                    limits::fit(&mut body);
                    Ok(body)
                }
                Ok(_) => Err(Error::data("rendering slack.message.template: the result is no JSON object")),
                Err(e) => Err(Error::data("rendering slack.message.template: the result is no JSON").caused_by(e)),
            };
        }
        let body = match &message.color {
            Some(color) => {
                let bar =
                    json!({ "color": color, "text": message.text, "fallback": message.text, "mrkdwn_in": ["text"] });
                json!({ "text": mention, "attachments": [bar] })
            }
            None if mention.is_empty() => json!({ "text": message.text }),
            None => json!({ "text": format!("{mention} {}", message.text) }),
        };
        let mut body = body.as_object().cloned().unwrap_or_default();
        limits::fit(&mut body);
        Ok(body)
    }

    /// One message for many: the last of each alarm.
    pub fn digest_body(&self, all: &[Message]) -> Result<Map<String, Json>> {
        let cleared = all.iter().filter(|message| message.cleared).count();
        let lines: Vec<String> = all.iter().take(LINES).map(|message| limits::cut(&message.text, LINE)).collect();
        let names = json!({
            "changed": all.len(), "raised": all.len() - cleared, "cleared": cleared, "lines": lines,
            "more": all.len().saturating_sub(LINES),
        });
        let text = self.digest.render_names(&names)?;
        let mut mentions: Vec<&str> = Vec::new();
        for mention in all.iter().map(|m| m.mention.as_str()).filter(|m| !m.is_empty()) {
            if !mentions.contains(&mention) {
                mentions.push(mention);
            }
        }
        let text = if mentions.is_empty() { text } else { format!("{} {text}", mentions.join(" ")) };
        let mut body = Map::from_iter([("text".to_owned(), text.into())]);
        limits::fit(&mut body);
        Ok(body)
    }
}

fn names_of(record: &SinkRecord) -> Json {
    let mut names = record_names(record);
    names.insert("offset".into(), record.origin.offset.into());
    Json::Object(names)
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

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{ErrorClass, Origin, Record, Settings, TimestampType, Value, config::Config};

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

    fn layout(more: &[(&str, &str)]) -> Layout {
        let mut settings = Settings::from([("slack.token", "xoxb-1"), ("slack.channel", "#alarms")]);
        settings.extend(&more.iter().copied().collect());
        Layout::new(&SlackSettings::parse(&settings).expect("settings")).expect("layout")
    }

    fn text(value: Value) -> String {
        let record = record(value);
        layout(&[]).message(&record, record.value.is_null()).expect("text").text
    }

    fn alarm(priority: &str) -> Value {
        Value::map([("priority", Value::from(priority)), ("message", Value::from("a & b"))])
    }

    #[test]
    fn default_texts_fit_alarms_with_and_without_details() {
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
        let layout = layout(&[("slack.raised.template", "<https://h/{{offset}}|{{value.a[0].b}}>")]);
        let value = Value::map([("a", Value::array(vec![Value::map([("b", Value::from("<!channel>"))])]))]);
        assert_eq!(layout.message(&record(value), false).expect("text").text, "<https://h/7|&lt;!channel&gt;>");
    }

    #[test]
    fn long_texts_are_cut_and_unknown_names_are_errors_of_the_record() {
        let layout = layout(&[("slack.raised.template", "{{value.m}}")]);
        let long = Value::map([("m", Value::from("é".repeat(50_000)))]);
        let message = layout.message(&record(long), false).expect("message");
        let text = |body: Map<String, Json>| body["text"].as_str().map(|text| text.chars().count());
        assert_eq!(text(layout.body(&message, false).expect("body")), Some(40_000));
        let digest = layout.digest_body(&vec![message; 30]).expect("digest");
        assert!(text(digest).is_some_and(|length| length > 30_000 && length < 31_000), "each has its share");
        let e = layout.message(&record(Value::map([("x", Value::Null)])), false).expect_err("unknown");
        assert_eq!(e.class(), ErrorClass::Data);
    }

    #[test]
    fn colours_and_mentions_go_with_the_priority() {
        let rules = r#"[{"when": "value.priority == 'P1_LIFE'", "channel": "C911", "mention": "<!here>"},
            {"when": "value.message is defined", "mention": "<@U1>"}]"#;
        let layout = layout(&[("slack.rules", rules)]);
        let urgent = record(alarm("P1_LIFE"));
        let message = layout.message(&urgent, false).expect("message");
        let body = layout.body(&message, true).expect("body");
        assert_eq!(body["text"], "<!here> <@U1>");
        assert_eq!(body["attachments"][0]["color"], "#b00020");
        assert!(body["attachments"][0]["text"].as_str().expect("text").contains("P1_LIFE"));
        assert_eq!(layout.body(&message, false).expect("body")["text"], "");
        assert_eq!(layout.channel(&urgent).expect("channel"), "C911");
        assert_eq!(layout.channel(&record(alarm("P4_DIAGNOSTIC"))).expect("channel"), "#alarms");
        assert!(!layout.has_one_channel());
        let over = layout.message(&record(Value::Null), true).expect("message");
        assert_eq!(layout.body(&over, true).expect("body")["attachments"][0]["color"], "#2eb67d");
        let body = layout.digest_body(&[message, over]).expect("digest");
        let text = body["text"].as_str().expect("text");
        assert!(text.starts_with("<!here> <@U1> *2 alarms changed*: 1 active, 1 cleared\n:rotating_light:"), "{text}");
    }

    #[test]
    fn a_template_of_the_whole_message_is_json() {
        let template = r#"{"text": {{text}}, "blocks": [{"type": "divider"}], "metadata": {"c": {{color}}}}"#;
        let layout = layout(&[("slack.message.template", template)]);
        let message = layout.message(&record(alarm("other")), false).expect("message");
        let body = Json::Object(layout.body(&message, true).expect("body"));
        assert_eq!(body["blocks"][0]["type"], "divider");
        assert_eq!(body["metadata"]["c"], Json::Null);
        let broken = self::layout(&[("slack.message.template", "[{{text}}]")]);
        assert_eq!(broken.body(&message, true).expect_err("a list").class(), ErrorClass::Data);
    }
}
