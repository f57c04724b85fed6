//! HealthBot's notifications: checked member by member, and the identity of what they are about.

use std::{collections::BTreeMap, sync::LazyLock};

use connect_api::{Schema, Struct, Value, logical};
use serde_json::{Map, Value as Json, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Bad.
    Major,
    /// Less bad.
    Minor,
    /// All is well (again).
    Normal,
}

impl Severity {
    /// All of them.
    pub const ALL: [Severity; 3] = [Self::Major, Self::Minor, Self::Normal];

    /// The name in a body.
    pub fn name(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Normal => "normal",
        }
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Device group, or network group.
    pub group: String,
    /// Device.
    pub device_id: String,
    /// Topic of the rule, which may have dots.
    pub topic: String,
    /// Rule.
    pub rule: String,
    /// Trigger of the rule.
    pub trigger: String,
    /// What the trigger is about, such as an interface.
    pub keys: BTreeMap<String, String>,
    /// Severity.
    pub severity: Severity,
    /// What a person should read.
    pub message: String,
    /// Members that are not known here, as JSON.
    pub extra: BTreeMap<String, String>,
}

impl Notification {
    /// Reads a body. The error names every member that is missing or wrong.
    pub fn parse(body: &Json) -> Result<Self, String> {
        let Json::Object(members) = body else {
            return Err(format!("the body: expected an object, found {}", kind(body)));
        };
        let mut problems = Vec::new();
        let mut text = |name: &str, may_be_empty: bool| match members.get(name) {
            Some(Json::String(text)) if may_be_empty || !text.is_empty() => text.clone(),
            Some(Json::String(_)) => note(&mut problems, format!("{name}: expected a text, found an empty one")),
            Some(other) => note(&mut problems, format!("{name}: expected a text, found {}", kind(other))),
            None => note(&mut problems, format!("{name}: expected a text, but it is missing")),
        };
        let group = text("group", false);
        let device_id = text("device-id", false);
        let topic = text("topic", false);
        let rule = text("rule", false);
        let trigger = text("trigger", false);
        let message = text("message", true);
        let severity = severity(members.get("severity")).unwrap_or_else(|problem| {
            problems.push(problem);
            Severity::Normal
        });
        let keys = keys(members.get("keys"), &mut problems);
        let extra = members.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        let extra = extra.map(|(name, value)| (name.clone(), value.to_string())).collect();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        Ok(Self { group, device_id, topic, rule, trigger, keys, severity, message, extra })
    }

    /// What it is about: `group/device-id/topic/rule/trigger`, and `/key=value,…` with sorted keys if there are
    /// any. Never the message, which differs when the alarm clears.
    pub fn identity(&self) -> String {
        let mut identity = String::new();
        for part in [&self.group, &self.device_id, &self.topic, &self.rule, &self.trigger] {
            if !identity.is_empty() {
                identity.push('/');
            }
            push_escaped(&mut identity, part);
        }
        for (i, (key, value)) in self.keys.iter().enumerate() {
            identity.push(if i == 0 { '/' } else { ',' });
            push_escaped(&mut identity, key);
            identity.push('=');
            push_escaped(&mut identity, value);
        }
        identity
    }

    /// What templates and expressions know of it.
    pub fn names(&self) -> Map<String, Json> {
        let names = json!({
            "group": self.group,
            "device_id": self.device_id,
            "topic": self.topic,
            "rule": self.rule,
            "trigger": self.trigger,
            "keys": self.keys,
            "severity": self.severity.name(),
            "message": self.message,
        });
        if let Json::Object(names) = names { names } else { Map::new() }
    }

    /// The value of its record, of [`schema`].
    pub fn to_value(&self, received: i64) -> Value {
        let map = |map: &BTreeMap<String, String>| Value::map(map.iter().map(|(k, v)| (k.as_str(), v.as_str().into())));
        let values = vec![
            self.group.as_str().into(),
            self.device_id.as_str().into(),
            self.topic.as_str().into(),
            self.rule.as_str().into(),
            self.trigger.as_str().into(),
            map(&self.keys),
            self.severity.name().into(),
            self.message.as_str().into(),
            Value::Timestamp(received),
            map(&self.extra),
        ];
        Struct::from_values(schema(), values).expect("the fields of the schema").into_value()
    }
}

/// Schema of the records of notifications that do not become alarms.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let texts = || Schema::map(Schema::string(), Schema::string()).build().expect("constant schema");
        Schema::structure()
            .name("tocsin.HealthBotNotification")
            .field("group", Schema::string())
            .field("device_id", Schema::string())
            .field("topic", Schema::string())
            .field("rule", Schema::string())
            .field("trigger", Schema::string())
            .field("keys", texts())
            .field("severity", Schema::string())
            .field("message", Schema::string())
            .field("received", logical::timestamp())
            .field("extra", texts())
            .build()
            .expect("constant schema")
    });
    &SCHEMA
}

const KNOWN: [&str; 8] = ["group", "device-id", "topic", "rule", "trigger", "message", "severity", "keys"];

fn note(problems: &mut Vec<String>, problem: String) -> String {
    problems.push(problem);
    String::new()
}

fn severity(value: Option<&Json>) -> Result<Severity, String> {
    let expected = "severity: expected one of major, minor, normal";
    match value {
        Some(Json::String(text)) => {
            let found = Severity::ALL.into_iter().find(|severity| severity.name() == text);
            found.ok_or_else(|| format!("{expected}, found {text:.50?}"))
        }
        Some(other) => Err(format!("{expected}, found {}", kind(other))),
        None => Err(format!("{expected}, but it is missing")),
    }
}

fn keys(value: Option<&Json>, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let expected = "keys: expected an object of texts";
    let mut keys = BTreeMap::new();
    match value {
        Some(Json::Object(members)) => {
            for (name, value) in members {
                match value {
                    Json::String(text) => {
                        keys.insert(name.clone(), text.clone());
                    }
                    other => problems.push(format!("{expected}, found {} in {name:.50?}", kind(other))),
                }
            }
        }
        Some(other) => problems.push(format!("{expected}, found {}", kind(other))),
        None => problems.push(format!("{expected}, but it is missing")),
    }
    keys
}

/// What to call a JSON value in messages.
pub(crate) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

// Two different notifications must not have one identity.
fn push_escaped(out: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            '%' => out.push_str("%25"),
            '/' => out.push_str("%2F"),
            ',' => out.push_str("%2C"),
            '=' => out.push_str("%3D"),
            c if c.is_control() => out.push_str(&format!("%{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Json {
        json!({
            "device-id": "r1", "group": "core", "keys": {"_playbook_name": "p", "_instance_id": "[\"i\"]"},
            "message": "too hot", "rule": "check-temperature", "severity": "major", "topic": "chassis.temperature",
            "trigger": "temperature",
        })
    }

    fn with(name: &str, value: Json) -> Json {
        let mut body = body();
        body[name] = value;
        body
    }

    fn problem(body: Json) -> String {
        Notification::parse(&body).expect_err("wrong")
    }

    #[test]
    fn a_notification_is_read_whole() {
        let parsed = Notification::parse(&with("score", json!(1.5))).expect("right");
        assert_eq!(parsed.severity, Severity::Major);
        assert_eq!(parsed.extra.get("score").map(String::as_str), Some("1.5"));
        let value = parsed.to_value(7);
        assert!(value.fits(schema()));
        assert_eq!(value.get("device_id"), Some(&Value::from("r1")));
        assert_eq!(value.get("keys").and_then(|k| k.get("_playbook_name")), Some(&Value::from("p")));
    }

    #[test]
    fn the_identity_does_not_depend_on_message_severity_or_order() {
        let identity = |body: &Json| Notification::parse(body).expect("right").identity();
        let expected =
            "core/r1/chassis.temperature/check-temperature/temperature/_instance_id=[\"i\"],_playbook_name=p";
        assert_eq!(identity(&body()), expected);
        assert_eq!(identity(&with("message", json!("cool again"))), expected);
        assert_eq!(identity(&with("severity", json!("normal"))), expected);
        assert_eq!(identity(&with("keys", json!({"_instance_id": "[\"i\"]", "_playbook_name": "p"}))), expected);
        assert_eq!(identity(&with("keys", json!({}))), "core/r1/chassis.temperature/check-temperature/temperature");
        assert_ne!(identity(&with("group", json!("core/r1"))), identity(&with("group", json!("core%2Fr1"))));
    }

    #[test]
    fn every_wrong_member_is_named_with_what_was_expected() {
        assert_eq!(problem(json!([])), "the body: expected an object, found a list");
        assert_eq!(problem(with("device-id", json!(1))), "device-id: expected a text, found a number");
        assert_eq!(problem(with("rule", json!(""))), "rule: expected a text, found an empty one");
        assert_eq!(
            problem(with("severity", json!("critical"))),
            "severity: expected one of major, minor, normal, found \"critical\""
        );
        assert_eq!(
            problem(with("keys", json!({"a": 1}))),
            "keys: expected an object of texts, found a number in \"a\""
        );
        let all = problem(json!({}));
        for name in KNOWN {
            assert!(all.contains(&format!("{name}: expected ")), "{name} in {all}");
        }
    }
}
