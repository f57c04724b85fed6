//! Ready requests of alarms, for receivers that many have.

use connect_api::{Error, Result, SinkRecord, Value, time};
use connector_alarm::{Alarm, Priority};
use connector_http::{Answer, status::bounded};
use serde_json::{Map, Value as Json, json};

use crate::request::MoreNames;

connect_api::config_enum! {
    /// Whose requests are ready.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Preset {
        /// Nobody's: records are anything.
        None = "none",
        /// Prometheus Alertmanager.
        Alertmanager = "alertmanager",
        /// PagerDuty, Events API v2.
        Pagerduty = "pagerduty",
        /// Microsoft Teams.
        Teams = "teams",
    }
}

const ALERTMANAGER: &str = r#"{"labels": {{labels}}, "annotations": {{annotations}}}"#;

const PAGERDUTY: &str = r#"{"routing_key": {{routing_key}}, "event_action": {{action}}, "dedup_key": {{dedup_key}}{% if action == "trigger" %}, "client": "Tocsin", "payload": {"summary": {{summary}}, "source": {{alarm.source or "tocsin"}}, "severity": {{severity}}, "timestamp": {{raised}}, "class": {{alarm.status}}, "custom_details": {{alarm}}}{% endif %}}"#;

const TEAMS: &str = r#"{"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "msteams": {"width": "Full"}, "body": [{"type": "TextBlock", "size": "Medium", "weight": "Bolder", "color": {{colour}}, "wrap": true, "text": {{title}}}{% if text %}, {"type": "TextBlock", "wrap": true, "text": {{text}}}{% endif %}, {"type": "FactSet", "facts": {{facts}}}]}}]}"#;

/// PagerDuty takes no longer keys and summaries.
const DEDUP_LIMIT: usize = 255;
const SUMMARY_LIMIT: usize = 1024;
/// Teams takes messages of 28 KB.
const TEXT_LIMIT: usize = 4000;

impl Preset {
    /// Where requests go unless the settings say it.
    pub fn url(self) -> Option<&'static str> {
        (self == Self::Pagerduty).then_some("https://events.pagerduty.com/v2/enqueue")
    }

    /// The template of the body.
    pub fn body(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Alertmanager => Some(ALERTMANAGER),
            Self::Pagerduty => Some(PAGERDUTY),
            Self::Teams => Some(TEAMS),
        }
    }

    /// The names that its template knows beside those of the record.
    pub fn names(self) -> Option<MoreNames> {
        match self {
            Self::None => None,
            Self::Alertmanager => Some(|record| Ok(Told::of(record)?.alert_names())),
            Self::Pagerduty => Some(|record| Ok(Told::of(record)?.event_names())),
            Self::Teams => Some(|record| Ok(Told::of(record)?.card_names())),
        }
    }

    /// Finds in the text of an answer that credentials are wrong, which its status does not say, and tells their setting.
    pub fn denial(self) -> Option<fn(&Answer) -> Option<&'static str>> {
        // PagerDuty has one status for events that are wrong and for keys that are.
        let key = |answer: &Answer| {
            let text = answer.text.to_lowercase();
            let about_key = answer.status == 400 && (text.contains("routing_key") || text.contains("routing key"));
            about_key.then_some("webhook.pagerduty.routing.key")
        };
        (self == Self::Pagerduty).then_some(key)
    }
}

/// What a record tells of an alarm.
#[derive(Debug, Clone)]
pub struct Told {
    /// Name of the alarm.
    pub name: String,
    /// The alarm; none if it is over.
    pub alarm: Option<Alarm>,
    /// When it was raised, as far as the record tells.
    pub raised: i64,
}

impl Told {
    /// Reads a record of active alarms. One without a key is about none.
    pub fn of(record: &SinkRecord) -> Result<Self> {
        let name = match &record.key {
            Value::Null => {
                return Err(Error::data("reading the name of an alarm: the record has no key"));
            }
            // JLab's last generation has keys with a name and a type.
            key => key.get("name").and_then(Value::as_str).map_or_else(|| key.to_string(), str::to_owned),
        };
        let alarm = if record.value.is_null() { None } else { Alarm::active(&record.value) };
        let raised = alarm.as_ref().and_then(|alarm| alarm.raised).or(record.timestamp).unwrap_or_else(time::now_ms);
        Ok(Self { name, alarm, raised })
    }

    fn action(&self) -> &'static str {
        match &self.alarm {
            None => "resolve",
            Some(alarm) if alarm.acknowledged => "acknowledge",
            Some(_) => "trigger",
        }
    }

    fn severity(&self) -> &'static str {
        match self.alarm.as_ref().map(|alarm| alarm.priority) {
            Some(Priority::Life) => "critical",
            Some(Priority::Property) => "error",
            Some(Priority::Productivity) => "warning",
            Some(Priority::Diagnostic) | None => "info",
        }
    }

    fn summary(&self) -> String {
        let message = self.alarm.as_ref().map_or("", |alarm| alarm.message.as_str());
        let text = if message.is_empty() { self.name.clone() } else { format!("{}: {message}", self.name) };
        bounded(&text, SUMMARY_LIMIT - 1)
    }

    /// Names of all presets. Texts pass through `escape` first.
    fn names(&self, escape: impl Fn(&str) -> String) -> Map<String, Json> {
        let mut alarm = Map::from_iter([
            ("name".to_owned(), Json::from(escape(&self.name))),
            ("active".to_owned(), self.alarm.is_some().into()),
        ]);
        let known = self.alarm.clone().unwrap_or_else(|| Alarm::new(Priority::Diagnostic));
        let priority = self.alarm.as_ref().map(|alarm| alarm.priority.name());
        let labels: Map<String, Json> =
            known.labels.iter().map(|(name, value)| (escape(name), escape(value).into())).collect();
        let raised = time::rfc3339(self.raised);
        for (name, value) in [
            ("priority", json!(priority)),
            ("acknowledged", json!(known.acknowledged)),
            ("source", json!(escape(&known.source))),
            ("severity", json!(escape(&known.severity))),
            ("status", json!(escape(&known.status))),
            ("message", json!(escape(&known.message))),
            ("value", json!(known.value.as_deref().map(&escape))),
            ("raised", json!(known.raised.map(time::rfc3339))),
            ("latched", json!(known.latched)),
            ("labels", Json::Object(labels)),
        ] {
            alarm.insert(name.to_owned(), value);
        }
        let mut names = Map::new();
        for (name, value) in [
            ("alarm", Json::Object(alarm)),
            ("action", self.action().into()),
            ("severity", self.severity().into()),
            ("summary", escape(&self.summary()).into()),
            ("raised", raised.into()),
        ] {
            names.insert(name.to_owned(), value);
        }
        names
    }

    fn alert_names(&self) -> Map<String, Json> {
        let mut names = self.names(str::to_owned);
        let (mut labels, mut annotations) = (Map::new(), Map::new());
        let mut label = |name: &str, value: &str| {
            if !value.is_empty() {
                labels.insert(label_name(name), value.into());
            }
        };
        label("alertname", &self.name);
        label("severity", self.severity());
        if let Some(alarm) = &self.alarm {
            label("priority", alarm.priority.name());
            label("source", &alarm.source);
            // Also those of alerts that came from another Alertmanager: routes there know them.
            alarm.labels.iter().for_each(|(name, value)| label(name, value));
            for (name, text) in [
                ("summary", alarm.message.as_str()),
                ("status", &alarm.status),
                ("severity", &alarm.severity),
                ("value", alarm.value.as_deref().unwrap_or_default()),
                ("acknowledged", if alarm.acknowledged { "true" } else { "" }),
            ] {
                if !text.is_empty() {
                    annotations.insert(name.to_owned(), text.into());
                }
            }
        }
        // Without it two alarms with the same labels would be one.
        label("alarm", &self.name);
        names.insert("labels".to_owned(), labels.into());
        names.insert("annotations".to_owned(), annotations.into());
        names
    }

    fn event_names(&self) -> Map<String, Json> {
        let mut names = self.names(str::to_owned);
        names.insert("dedup_key".to_owned(), dedup_key(&self.name).into());
        names
    }

    fn card_names(&self) -> Map<String, Json> {
        let mut names = self.names(markdown);
        let (word, colour) = match (&self.alarm, self.severity()) {
            (None, _) => ("Cleared", "Good"),
            (Some(alarm), _) if alarm.acknowledged => ("Acknowledged", "Accent"),
            (Some(_), "critical" | "error") => ("Alarm", "Attention"),
            (Some(_), "warning") => ("Alarm", "Warning"),
            (Some(_), _) => ("Alarm", "Default"),
        };
        let mut facts = Vec::new();
        let mut fact = |title: &str, value: &str| {
            if !value.is_empty() {
                facts.push(json!({"title": markdown(title), "value": markdown(&bounded(value, TEXT_LIMIT / 4))}));
            }
        };
        let mut text = String::new();
        if let Some(alarm) = &self.alarm {
            text = markdown(&bounded(&alarm.message, TEXT_LIMIT));
            fact("Priority", alarm.priority.name());
            fact("Severity", &alarm.severity);
            fact("Status", &alarm.status);
            fact("Value", alarm.value.as_deref().unwrap_or_default());
            fact("Source", &alarm.source);
            fact("Raised", &time::rfc3339(self.raised));
            alarm.labels.iter().take(10).for_each(|(name, value)| fact(name, value));
        }
        for (name, value) in [
            ("title", format!("{word}: {}", markdown(&bounded(&self.name, TEXT_LIMIT / 4))).into()),
            ("text", text.into()),
            ("colour", colour.into()),
            ("facts", Json::Array(facts)),
        ] {
            names.insert(name.to_owned(), value);
        }
        names
    }
}

/// The name of a label: letters, digits and underscores, no digit first.
fn label_name(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// A key of bounded length, different for different names.
fn dedup_key(name: &str) -> String {
    if name.chars().count() <= DEDUP_LIMIT {
        return name.to_owned();
    }
    let digest: String = openssl::sha::sha256(name.as_bytes())[..16].iter().map(|b| format!("{b:02x}")).collect();
    let beginning: String = name.chars().take(DEDUP_LIMIT - digest.len() - 1).collect();
    format!("{beginning}#{digest}")
}

/// A text that says of itself what it says, where Markdown is read.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_[]`#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
