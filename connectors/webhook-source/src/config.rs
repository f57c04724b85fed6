//! The settings.

use std::ops::Deref;

use connect_api::{
    config::{Config, ConfigDef, Default, Key, Millis, Problems, Reader, Secret},
    json::base64,
    template::{Escape, Template},
};
use connector_alarm::{AlarmConfig, config::TemplateText};
use connector_http::{Joined, ListenConfig, config::positive};

use crate::healthbot::Severity;

/// Settings of the source with those of its listener and of alarms.
pub type WebhookSourceConfig = Joined<Joined<WebhookSettings, ListenConfig>, AlarmSettings>;

/// The topic of records that are no alarms.
const TOPIC: &str = "webhooks";

connect_api::config_enum! {
    /// What bodies look like.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// HealthBot's notification.
        Healthbot = "healthbot",
        /// An object, or a list of them.
        Json = "json",
    }
}

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct WebhookSettings {
        /// What bodies look like: healthbot for HealthBot's notifications, json for any object or list of objects, each
        /// of which becomes a record.
        format: Format = Key::new("webhook.format").high(),
        /// Paths to receive on, each with a leading slash. Default: the connector's name.
        paths: Vec<String> = Key::new("webhook.paths").default("").check(|p: &Vec<String>| paths(p)),
        /// Whether notifications become alarms, by the settings behind alarm.; else they are records as they are.
        /// Default: true for healthbot. For json the Alarm transform does it.
        alarms: Option<bool> = Key::new("webhook.alarms"),
        /// Template of the topic of records that are no alarms; default webhooks. Names for healthbot: group, device_id,
        /// topic, rule, trigger, keys, severity, message; for json: value and key. Characters that a topic cannot have
        /// become underscores, as in {{group}}.{{device_id}}.{{topic}}.{{rule}}.{{trigger}}.
        topic: Option<TemplateText> = Key::new("webhook.topic").check(not_empty),
        /// For json: JSON Pointer to a list in the body whose objects become the records, such as /alerts for Alertmanager
        /// and Grafana; without it the body itself.
        items_pointer: Option<String> = Key::new("webhook.items.pointer").check(pointer),
        /// For json: JSON Pointer to what becomes the record's key, such as /fingerprint. A body without it is refused.
        /// HealthBot's records have the identity of the alarm as their key.
        key_pointer: Option<String> = Key::new("webhook.key.pointer").check(pointer),
        /// Largest body in bytes; larger ones are answered with 413.
        body_limit: i32 = Key::new("webhook.body.limit").default("1048576").low().at_least(1),
        /// Most requests that wait for the task; further ones are answered with 503.
        queue: i32 = Key::new("webhook.queue").default("1000").low().at_least(1).at_most(1_000_000),
        /// Longest time, in milliseconds, until Kafka has acknowledged a request's records; then it is answered with 503.
        ack_timeout: Millis = Key::new("webhook.ack.timeout.ms").default("10000").check(positive),
        /// Token that callers must send as "Authorization: Bearer token".
        token: Option<Secret> = Key::new("webhook.token"),
        /// User name that callers must send with basic authentication.
        username: Option<String> = Key::new("webhook.username"),
        /// Password that callers must send with basic authentication.
        password: Option<Secret> = Key::new("webhook.password"),
    }
}

impl WebhookSettings {
    /// Whether requests become alarms.
    pub fn emits_alarms(&self) -> bool {
        self.alarms.unwrap_or(self.format == Format::Healthbot)
    }

    /// The topic's template.
    pub fn topic(&self) -> connect_api::Result<Template> {
        match &self.topic {
            Some(template) => Ok(Template::clone(template)),
            None => Template::parse(TOPIC, Escape::None),
        }
    }

    /// The paths of the connector of that name.
    pub fn paths_of(&self, connector: &str) -> Vec<String> {
        if self.paths.is_empty() { vec![format!("/{connector}")] } else { self.paths.clone() }
    }

    /// The `Authorization` header that callers must send.
    pub fn authorization(&self) -> Option<Secret> {
        let password = self.password.as_ref().map_or("", Secret::reveal);
        let basic = |user: &String| format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        let bearer = self.token.as_ref().map(|token| format!("Bearer {}", token.reveal()));
        bearer.or_else(|| self.username.as_ref().map(basic)).map(Secret::new)
    }

    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        match self.format {
            Format::Json if self.alarms == Some(true) => {
                let text = "webhook.alarms is for webhook.format=healthbot; for json use the Alarm transform";
                problems.add("webhook.alarms", text);
            }
            Format::Healthbot => {
                let json = [("webhook.items.pointer", &self.items_pointer), ("webhook.key.pointer", &self.key_pointer)];
                for (key, _) in json.iter().filter(|(_, given)| given.is_some()) {
                    problems.add(*key, format!("{key} has no meaning with webhook.format=healthbot: remove it"));
                }
            }
            Format::Json => {}
        }
        if self.emits_alarms() && self.topic.is_some() {
            let text = "webhook.topic has no meaning for alarms: set alarm.topic, or webhook.alarms=false";
            problems.add("webhook.topic", text);
        }
        if self.token.is_some() && self.username.is_some() {
            problems.add("webhook.token", "webhook.token and webhook.username exclude each other: set one of them");
        }
        if self.username.is_some() != self.password.is_some() {
            let key = if self.username.is_some() { "webhook.password" } else { "webhook.username" };
            problems.add(key, "webhook.username and webhook.password must be set together");
        }
    }
}

/// The settings of alarms behind `alarm.`, with defaults that fit HealthBot's notifications.
#[derive(Debug, Clone)]
pub struct AlarmSettings(AlarmConfig);

impl Deref for AlarmSettings {
    type Target = AlarmConfig;

    fn deref(&self) -> &AlarmConfig {
        &self.0
    }
}

impl Config for AlarmSettings {
    fn definition() -> ConfigDef {
        let mut definition = ConfigDef::new();
        definition.embed("alarm.", &AlarmConfig::definition());
        let labels = "{'group': group, 'device': device_id, 'topic': topic, 'rule': rule, 'trigger': trigger}";
        for (name, default) in [("alarm.message", "{{message}}"), ("alarm.labels", labels)] {
            if let Some(key) = definition.key(name) {
                let mut key = key.clone();
                key.default = Default::Text(default.to_owned());
                definition.push(key);
            }
        }
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        AlarmConfig::read(reader).map(Self)
    }
}

impl AlarmSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        for severity in Severity::ALL.map(Severity::name) {
            if self.priority.get(severity).is_none() {
                problems.add("alarm.priority", format!("alarm.priority has nothing for {severity} and no *"));
            }
        }
    }
}

fn paths(paths: &[String]) -> Result<(), String> {
    let wrong = |path: &&String| !path.starts_with('/') || path.contains(['?', '#', ' ']);
    if let Some(path) = paths.iter().find(wrong) {
        return Err(format!("{path:?} is not a path such as /healthbot"));
    }
    match paths.iter().enumerate().find(|(i, path)| paths[..*i].contains(path)) {
        Some((_, twice)) => Err(format!("{twice} is there twice")),
        None => Ok(()),
    }
}

fn pointer(pointer: &Option<String>) -> Result<(), String> {
    match pointer {
        Some(text) if !text.starts_with('/') => Err("Expected a JSON Pointer, such as /alert/id".into()),
        _ => Ok(()),
    }
}

fn not_empty(template: &Option<TemplateText>) -> Result<(), String> {
    match template {
        Some(template) if template.source().is_empty() => Err("String must be non-empty".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebhookSource;
    use connect_api::{Connector, Settings};

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = given.iter().copied().collect();
        let mut problems = Problems::new();
        match WebhookSourceConfig::parse(&settings) {
            Ok(config) => WebhookSource::validate(&config, &mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn a_format_is_enough() {
        for format in ["healthbot", "json"] {
            assert_eq!(problems(&[("webhook.format", format)]), Vec::<String>::new());
        }
        assert_eq!(problems(&[]), ["webhook.format"]);
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let (healthbot, json) = (("webhook.format", "healthbot"), ("webhook.format", "json"));
        assert_eq!(problems(&[json, ("webhook.alarms", "true")]), ["webhook.alarms"]);
        assert_eq!(problems(&[healthbot, ("webhook.topic", "t")]), ["webhook.topic"]);
        assert_eq!(problems(&[healthbot, ("webhook.key.pointer", "/a")]), ["webhook.key.pointer"]);
        assert_eq!(problems(&[json, ("webhook.key.pointer", "a")]), ["webhook.key.pointer"]);
        assert_eq!(problems(&[json, ("webhook.paths", "/a,b")]), ["webhook.paths"]);
        assert_eq!(problems(&[json, ("webhook.paths", "/a,/a")]), ["webhook.paths"]);
        assert_eq!(problems(&[healthbot, ("alarm.priority", "major:P1_LIFE,normal:CLEAR")]), ["alarm.priority"]);
        assert_eq!(problems(&[json, ("webhook.username", "u")]), ["webhook.password"]);
    }
}
