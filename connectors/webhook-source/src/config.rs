//! The settings.

use std::ops::Deref;

use connect_api::{
    config::{ConfigType, Key, KeyType, Millis, Problems, Secret},
    json::base64,
    template::{Escape, Template},
};
use connector_http::{Joined, ListenConfig, config::positive, header::HeaderName};

use crate::{
    alert::Dialect,
    event::{Bodies, JsonReading, Place},
    presets::AlarmSettings,
    signature::SignatureSettings,
};

/// The source's own settings with those of signatures.
pub type OwnSettings = Joined<WebhookSettings, SignatureSettings>;
/// Settings of the source with those of its listener and of alarms.
pub type WebhookSourceConfig = Joined<Joined<OwnSettings, ListenConfig>, AlarmSettings>;

/// The topic of records that are no alarms.
const TOPIC: &str = "webhooks";

connect_api::config_enum! {
    /// What bodies look like.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// HealthBot's notification.
        Healthbot = "healthbot",
        /// A group of alerts from Alertmanager.
        Alertmanager = "alertmanager",
        /// A group of alerts from Grafana.
        Grafana = "grafana",
        /// An object, or a list of them.
        Json = "json",
    }
}

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct WebhookSettings {
        /// What bodies look like: healthbot for HealthBot's notifications, alertmanager for version 4 of Alertmanager's
        /// webhooks, grafana for those of Grafana's alerting, json for any object or list of objects. Each alert and each
        /// object is one of its own.
        format: Format = Key::new("webhook.format").high(),
        /// Paths to receive on, each with a leading slash. Default: the connector's name.
        paths: Vec<String> = Key::new("webhook.paths").default("").check(|p: &Vec<String>| paths(p)),
        /// Whether what is received becomes alarms, by the settings behind alarm. Default: false for json, which
        /// needs at least alarm.raise, alarm.clear or alarm.severity for that, true for the others.
        alarms: Option<bool> = Key::new("webhook.alarms"),
        /// Template of the topic of records. Where webhook.alarms is true there are records beside the alarms if this is
        /// set, else always, to the topic webhooks by default. Names for healthbot: group, device_id, topic, rule,
        /// trigger, keys, severity, message, key; for the others: value (the alert or object as it was sent), body
        /// (what it was sent in), key, message. Characters that a topic cannot have become underscores, as in
        /// {{group}}.{{device_id}}.{{topic}}.{{rule}}.{{trigger}}.
        topic: Option<Template> = Key::new("webhook.topic").check(not_empty),
        /// For json: JSON Pointer to a list in the body whose objects become the records, such as /events; without it the
        /// body itself.
        items_pointer: Option<String> = Key::new("webhook.items.pointer").check(pointer),
        /// For json: JSON Pointer to what becomes the record's key, such as /id. A body without it is refused.
        /// HealthBot's records have the identity of the alarm as their key, alerts their fingerprint.
        key_pointer: Option<String> = Key::new("webhook.key.pointer").check(pointer),
        /// For json: template of the record's key in place of a pointer, such as {{value.site}}-{{value.id}}.
        key_template: Option<Template> = Key::new("webhook.key.template").check(not_empty),
        /// For json: JSON Pointer to what becomes the record's value; without it the object as it was sent.
        value_pointer: Option<String> = Key::new("webhook.value.pointer").check(pointer),
        /// For json: template of the record's value in place of a pointer, which makes JSON: what it inserts is
        /// written as JSON, such as {"site": {{body.site}}, "t": {{value.data.t}}}.
        value_template: Option<JsonText> = Key::new("webhook.value.template"),
        /// For json: JSON Pointer to the record's time, in milliseconds since 1970 or as an RFC 3339 text. Default: when
        /// it was received.
        timestamp_pointer: Option<String> = Key::new("webhook.timestamp.pointer").check(pointer),
        /// Largest body in bytes; larger ones are answered with 413.
        body_limit: i32 = Key::new("webhook.body.limit").default("1048576").low().at_least(1),
        /// Most requests that wait for the task; further ones are answered with 503.
        queue: i32 = Key::new("webhook.queue").default("1000").low().at_least(1).at_most(1_000_000),
        /// Most bytes of bodies that wait for the task; further requests are answered with 503. At least
        /// webhook.body.limit.
        queue_bytes: i32 = Key::new("webhook.queue.bytes").default("67108864").low().at_least(1),
        /// Longest time, in milliseconds, until Kafka has acknowledged a request's records; then it is answered with 503.
        ack_timeout: Millis = Key::new("webhook.ack.timeout.ms").default("10000").check(positive),
        /// Token that callers must send as "Authorization: Bearer token".
        token: Option<Secret> = Key::new("webhook.token"),
        /// User name that callers must send with basic authentication.
        username: Option<String> = Key::new("webhook.username"),
        /// Password that callers must send with basic authentication.
        password: Option<Secret> = Key::new("webhook.password"),
        /// How a request is known that comes again although Kafka has its records. header: by an id in one of the
        /// headers of webhook.idempotency.header; requests without are never known. body: by the body, for senders
        /// whose bodies carry a time or a number; two requests with the same body count as one. none: by nothing. What
        /// is known is answered with 200 and not stored again, or waits for the first. An id that comes with
        /// another body is answered with 422. Alarms are written on change only, whatever this says.
        idempotency: Idempotency = Key::new("webhook.idempotency").default("header"),
        /// Headers with ids of requests, of which the first counts that is there. Records carry it in a header of this
        /// name, by which readers know what came again after a restart.
        id_headers: Vec<String> = Key::new("webhook.idempotency.header").default("Idempotency-Key,webhook-id")
            .check(|names: &Vec<String>| header_names(names)),
        /// How long requests are remembered, in milliseconds. They are forgotten with the task.
        window: Millis = Key::new("webhook.idempotency.window.ms").default("600000").low().check(positive),
        /// Most requests that are remembered, of some 300 bytes each; then the oldest is forgotten.
        remembered: i32 = Key::new("webhook.idempotency.entries").default("20000").low().at_least(1).at_most(10_000_000),
    }
}

connect_api::config_enum! {
    /// How a request is known that comes again.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Idempotency {
        /// By the id in a header.
        Header = "header",
        /// By its body.
        Body = "body",
        /// By nothing.
        None = "none",
    }
}

/// A template that makes JSON.
#[derive(Debug, Clone)]
pub struct JsonText(Template);

impl Deref for JsonText {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.0
    }
}

impl ConfigType for JsonText {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        Template::parse(text, Escape::Json).map(Self).map_err(|e| e.to_string())
    }
}

impl WebhookSettings {
    /// Whether requests become alarms.
    pub fn emits_alarms(&self) -> bool {
        self.alarms.unwrap_or(self.format != Format::Json)
    }

    /// The template of the topic of records; none if there are no records.
    pub fn topic(&self) -> connect_api::Result<Option<Template>> {
        match &self.topic {
            Some(template) => Ok(Some(template.clone())),
            None if self.emits_alarms() => Ok(None),
            None => Template::parse(TOPIC, Escape::None).map(Some),
        }
    }

    /// How bodies are read.
    pub fn bodies(&self) -> Bodies {
        let place = |pointer: &Option<String>, template: Option<Template>| {
            let pointer = pointer.as_ref().map(|pointer| Place::Pointer(pointer.clone()));
            pointer.or_else(|| template.map(Place::Template))
        };
        match self.format {
            Format::Healthbot => Bodies::Healthbot,
            Format::Alertmanager => Bodies::Alerts(Dialect::Alertmanager),
            Format::Grafana => Bodies::Alerts(Dialect::Grafana),
            Format::Json => Bodies::Json(JsonReading {
                items: self.items_pointer.clone(),
                key: place(&self.key_pointer, self.key_template.clone()),
                value: place(&self.value_pointer, self.value_template.as_deref().cloned()),
                timestamp: self.timestamp_pointer.clone(),
            }),
        }
    }

    /// Whether JSON has keys.
    pub fn has_key(&self) -> bool {
        self.key_pointer.is_some() || self.key_template.is_some()
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
        let of_json = [
            ("webhook.items.pointer", self.items_pointer.is_some()),
            ("webhook.key.pointer", self.key_pointer.is_some()),
            ("webhook.key.template", self.key_template.is_some()),
            ("webhook.value.pointer", self.value_pointer.is_some()),
            ("webhook.value.template", self.value_template.is_some()),
            ("webhook.timestamp.pointer", self.timestamp_pointer.is_some()),
        ];
        if self.format != Format::Json {
            for (key, _) in of_json.iter().filter(|(_, given)| *given) {
                problems.add(*key, format!("{key} is for webhook.format=json: remove it"));
            }
        }
        for [(pointer, a), (template, b)] in [[of_json[1], of_json[2]], [of_json[3], of_json[4]]] {
            if a && b {
                problems.add(template, format!("{template} and {pointer} exclude each other: set one of them"));
            }
        }
        if self.queue_bytes < self.body_limit {
            let text =
                "webhook.queue.bytes must be at least webhook.body.limit, or the largest bodies could never wait";
            problems.add("webhook.queue.bytes", text);
        }
        if self.idempotency == Idempotency::Body && self.format == Format::Healthbot {
            let text = "webhook.idempotency=body would lose alarms: HealthBot's bodies carry no time, so that an alarm \
                        which is raised again looks like one that was sent again";
            problems.add("webhook.idempotency", text);
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

fn header_names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
        Some(wrong) => Err(format!("{wrong:?} is not the name of an HTTP header")),
        None => Ok(()),
    }
}

fn pointer(pointer: &Option<String>) -> Result<(), String> {
    match pointer {
        Some(text) if !text.starts_with('/') => Err("Expected a JSON Pointer, such as /alert/id".into()),
        _ => Ok(()),
    }
}

fn not_empty(template: &Option<Template>) -> Result<(), String> {
    match template {
        Some(template) if template.source().is_empty() => Err("String must be non-empty".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebhookSource;
    use connect_api::{Connector, Settings, config::Config};

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
        for format in ["healthbot", "alertmanager", "grafana", "json"] {
            assert_eq!(problems(&[("webhook.format", format)]), Vec::<String>::new());
        }
        assert_eq!(problems(&[]), ["webhook.format"]);
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let (healthbot, json) = (("webhook.format", "healthbot"), ("webhook.format", "json"));
        let alarms = ("webhook.alarms", "true");
        assert_eq!(problems(&[json, alarms]), ["alarm.raise", "alarm.name"]);
        assert_eq!(problems(&[json, alarms, ("alarm.raise", "value.on"), ("webhook.key.pointer", "/id")]), [""; 0]);
        assert_eq!(problems(&[healthbot, ("webhook.topic", "{{group}}")]), [""; 0]);
        let both = [("webhook.value.pointer", "/a"), ("webhook.value.template", "{{value.a}}")];
        assert_eq!(problems(&[json, both[0], both[1]]), ["webhook.value.template"]);
        assert_eq!(problems(&[json, ("webhook.value.template", "{{value")]), ["webhook.value.template"]);
        assert_eq!(problems(&[json, ("webhook.queue.bytes", "1000")]), ["webhook.queue.bytes"]);
        assert_eq!(problems(&[healthbot, ("webhook.idempotency", "body")]), ["webhook.idempotency"]);
        assert_eq!(problems(&[json, ("webhook.idempotency.header", "a b")]), ["webhook.idempotency.header"]);
        assert_eq!(problems(&[healthbot, ("webhook.key.pointer", "/a")]), ["webhook.key.pointer"]);
        assert_eq!(problems(&[json, ("webhook.key.pointer", "a")]), ["webhook.key.pointer"]);
        assert_eq!(problems(&[json, ("webhook.paths", "/a,b")]), ["webhook.paths"]);
        assert_eq!(problems(&[json, ("webhook.paths", "/a,/a")]), ["webhook.paths"]);
        assert_eq!(problems(&[healthbot, ("alarm.priority", "major:P1_LIFE,normal:CLEAR")]), ["alarm.priority"]);
        assert_eq!(problems(&[json, ("webhook.username", "u")]), ["webhook.password"]);
    }
}
