//! Settings of `webhook-sink`.

use std::{collections::BTreeMap, time::Duration};

use connect_api::{
    Error, PluginInfo, Result, Settings, SinkContext, SinkTask, SinkTrial, async_trait,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader, Secret, missing_value, split_list, topic_name},
    template::{Escape, Template},
};
use connector_alarm::shelving::{self, ShelvingConfig};
use connector_http::{
    AuthConfig, DeliveryConfig, HttpConfig, Keys, Method, OAuthConfig, OAuthKeys, SigningConfig, Statuses, Url,
    config::{positive, server_url},
    header::HeaderValue,
};
use serde_json::Map;

use crate::{
    alertmanager,
    batch::{BatchSettings, Format},
    plan::{Plan, Style, Verdicts},
    presets::Preset,
    request::{Body, HeaderPlan, OnTombstone, RequestPlan, UrlTemplate},
    responses::ResponsePlan,
};

pub(crate) const URL: &str = "webhook.url";
const HEADER: &str = "webhook.header.";
const KEYS: Keys = Keys {
    url: URL,
    credentials: "http.token, http.username and http.password, http.oauth2.client.id and http.oauth2.client.secret, or \
                  webhook.headers",
};

connect_api::config_enum! {
    /// What the body is made of where no template says it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BodyFormat {
        /// The record with all that is known of it.
        Record = "record",
        /// The value.
        Value = "value",
        /// There is no body.
        None = "none",
    }
}

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tombstones {
        /// Send them as other records.
        Send = "send",
        /// Skip them.
        Ignore = "ignore",
        /// Send a DELETE without body.
        Delete = "delete",
    }
}

connect_api::config! {
    /// What is sent.
    #[derive(Debug, Clone)]
    pub struct WebhookSettings {
        /// A receiver whose requests are ready: alertmanager (Prometheus Alertmanager, alerts that fire and are resolved),
        /// pagerduty (Events API v2) or teams (an Adaptive Card for a workflow of Microsoft Teams). Records are then
        /// alarms, such as those of active-alarms; webhook.body may still say something else, with further names:
        /// alarm (name, active, priority, acknowledged, source, severity, status, message, value, raised, latched,
        /// labels), action (trigger, acknowledge, resolve), severity (critical, error, warning, info), summary and raised;
        /// for alertmanager labels and annotations; for pagerduty dedup_key and routing_key; for teams title, text, colour
        /// and facts.
        preset: Preset = Key::new("webhook.preset").default("none"),
        /// Template of the URL, such as http://127.0.0.1:8000/devices/{{key}}; what it inserts is percent-encoded.
        /// Names: topic, partition, offset, timestamp, key, value, headers. One that does not exist or is null makes the
        /// record a bad one (errors.tolerance decides). User and password have settings of their own. Required but for
        /// webhook.preset=pagerduty; for alertmanager the URL of the server.
        url: Option<String> = Key::new("webhook.url").high(),
        /// Method, such as POST, PUT, PATCH, GET or DELETE.
        method: String = Key::new("webhook.method").default("POST").check(|m: &String| method(m).map(drop)),
        /// Headers to send, each as "Name: value", separated by commas. A value cannot hold a comma, and may be a template
        /// over the same names. Never shown, since values may be credentials; webhook.header.* are shown.
        headers: Secret = Key::new("webhook.headers").default("").check(|h: &Secret| headers(h).map(drop)),
        /// Template of the body, over the same names; what it inserts is written as JSON, null as null, so
        /// that {"text": {{value.message}}} is right. Without it webhook.body.format says what the body is.
        body: Option<String> = Key::new("webhook.body").check(|b: &Option<String>| template(b.as_deref())),
        /// The body of requests without webhook.body: record for JSON with all of these names, value for the value alone,
        /// texts and bytes as they are and all else as JSON, none for no body. Default: record, and none for the methods
        /// GET, HEAD, DELETE and OPTIONS.
        format: Option<BodyFormat> = Key::new("webhook.body.format"),
        /// Content type of the body. Default: application/json, and application/x-ndjson for batches of that format.
        content_type: Option<String> = Key::new("webhook.content.type").check(|t: &Option<String>| content_type(t.as_deref()).map(drop)),
        /// What to do with tombstones: send them as other records, ignore them, or send a DELETE without body.
        tombstones: Tombstones = Key::new("webhook.tombstones").default("send"),
        /// Statuses of requests that were taken, such as 200-299,404. Other statuses mean what they say: 408, 425, 429 and 5xx
        /// the same again, after Retry-After if given; 400, 409, 413, 414, 422 and 431 a bad record; all others fail the
        /// task.
        success: Statuses = Key::new("webhook.success.statuses").default("200-299").low(),
        /// Further statuses after which the same is sent again, such as 404,409.
        retry: Statuses = Key::new("webhook.retry.statuses").default("").low(),
        /// Topic for the answers to requests that were taken: the beginning of their text, with headers that tell status, URL
        /// and which records they are about (webhook.status, webhook.url, webhook.topic, webhook.partition,
        /// webhook.offset, webhook.records, webhook.origins). An answer is in Kafka before the offsets of its
        /// records are committed. Kafka is reached as the task's consumer reaches it, and with producer.override settings.
        response_topic: Option<String> = Key::new("webhook.response.topic")
            .check(|t: &Option<String>| t.as_deref().map_or(Ok(()), topic_name)),
        /// Topic for the answers to records that were refused as bad ones, which errors.tolerance decides about.
        refusal_topic: Option<String> = Key::new("webhook.response.refused.topic").low()
            .check(|t: &Option<String>| t.as_deref().map_or(Ok(()), topic_name)),
        /// URL that a test call may ask with GET, with the headers and credentials of requests; asking it must have no effect.
        /// Without it a test call asks only for the server's OPTIONS, with alertmanager whether it is one.
        check_url: Option<String> = Key::new("webhook.check.url").low()
            .check(|u: &Option<String>| u.as_deref().map_or(Ok(()), server_url)),
        /// For pagerduty: integration key of the service.
        routing_key: Option<Secret> = Key::new("webhook.pagerduty.routing.key"),
        /// For alertmanager: how often active alarms are sent again, in milliseconds. Alertmanager takes an alert for resolved
        /// when it has not come for five times as long.
        repeat: Millis = Key::new("webhook.alertmanager.repeat.ms").default("60000").low().check(positive),
    }
}

/// All settings of the sink.
#[derive(Debug, Clone)]
pub struct WebhookSinkConfig {
    /// What is sent.
    pub own: WebhookSettings,
    /// Templates of headers, by name.
    pub headers: BTreeMap<String, String>,
    /// Several records in one request.
    pub batch: BatchSettings,
    /// Several requests at once.
    pub delivery: DeliveryConfig,
    /// Signatures.
    pub signing: SigningConfig,
    /// What the server knows us by.
    pub auth: AuthConfig,
    /// The same by tokens.
    pub oauth: OAuthConfig,
    /// Alarms to be silent about.
    pub shelving: ShelvingConfig,
    /// The client.
    pub http: HttpConfig,
}

impl Config for WebhookSinkConfig {
    fn definition() -> ConfigDef {
        let mut definition = WebhookSettings::definition();
        definition.family(HEADER, "Templates of headers, by their names, such as `webhook.header.Idempotency-Key`.");
        for part in [
            BatchSettings::definition(),
            DeliveryConfig::definition(),
            SigningConfig::definition(),
            AuthConfig::definition(),
            OAuthConfig::definition(),
            ShelvingConfig::definition(),
            HttpConfig::definition(),
        ] {
            definition.embed("", &part);
        }
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let headers = reader.below(HEADER).iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        // All are read before any is judged, so that every problem is found.
        let own = WebhookSettings::read(reader);
        let batch = BatchSettings::read(reader);
        let delivery = DeliveryConfig::read(reader);
        let signing = SigningConfig::read(reader);
        let auth = AuthConfig::read(reader);
        let oauth = OAuthConfig::read(reader);
        let shelving = ShelvingConfig::read(reader);
        let http = HttpConfig::read(reader);
        Some(Self {
            own: own?,
            headers,
            batch: batch?,
            delivery: delivery?,
            signing: signing?,
            auth: auth?,
            oauth: oauth?,
            shelving: shelving?,
            http: http?,
        })
    }
}

/// `webhook-sink`
#[derive(Debug)]
pub struct Webhook;

#[async_trait]
impl Style for Webhook {
    type Config = WebhookSinkConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "webhook-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Sends records as HTTP requests, each in one or several in one, one after the other in the order of its \
                partition unless http.max.in.flight says otherwise. URL, headers and body are templates over the record; \
                without a body template the record is sent as JSON. Presets send alarms to Alertmanager, PagerDuty and \
                Microsoft Teams. An answer of 2xx \
                means delivered; 429, 5xx and no answer mean the same again, after Retry-After if given; 400, \
                409, 413, 414, 422 and 431 are errors of the record, all others fail the task.",
    };

    fn validate(config: &WebhookSinkConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    fn plan(config: &WebhookSinkConfig) -> Result<Plan> {
        config.plan()
    }

    async fn task(config: WebhookSinkConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        let plan = config.plan()?;
        let task: Box<dyn SinkTask> = match config.own.preset {
            Preset::Alertmanager => {
                let repeat = config.own.repeat.0;
                let shelf = config.shelving.topic.as_deref();
                Box::new(alertmanager::AlertTask::start(plan, repeat, shelf, context.clone()).await?)
            }
            _ => Box::new(crate::task::WebhookTask::new(plan, context.clone())?),
        };
        shelving::silent(task, &config.shelving, &context).await
    }

    async fn trial(config: &WebhookSinkConfig, context: &SinkContext) -> Result<Box<dyn SinkTrial>> {
        let plan = config.plan()?;
        let trial: Box<dyn SinkTrial> = match config.own.preset {
            Preset::Alertmanager => Box::new(alertmanager::AlertTrial::new(plan)?),
            _ => Box::new(crate::task::Sender::for_trial(plan)?),
        };
        shelving::trial(trial, &config.shelving, context).await
    }
}

impl WebhookSinkConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let own = &self.own;
        match &own.url {
            Some(url) => {
                if let Err(e) = self.url(url) {
                    problems.add(URL, e.one_line());
                }
            }
            None if own.preset == Preset::Pagerduty => {}
            None => drop(problems.add(URL, missing_value(URL))),
        }
        for (name, value) in &self.headers {
            if let Err(why) = HeaderPlan::new(name, value, false) {
                problems.add(format!("{HEADER}{name}"), format!("{HEADER}{name}: {why}"));
            }
        }
        let preset = own.preset != Preset::None;
        if own.format.is_some() && (own.body.is_some() || preset) {
            let other = if own.body.is_some() { "webhook.body" } else { "webhook.preset" };
            problems.add("webhook.body.format", format!("webhook.body.format and {other} exclude each other"));
        }
        if preset && self.batch.format != Format::None {
            problems.add("webhook.batch.format", "webhook.batch.format and webhook.preset exclude each other");
        }
        let bodiless = own.format == Some(BodyFormat::None) || (own.format.is_none() && self.is_bodiless());
        if self.batch.format != Format::None && own.body.is_none() && bodiless {
            problems.add("webhook.batch.format", "webhook.batch.format needs requests with a body");
        }
        if (own.preset == Preset::Pagerduty) != own.routing_key.is_some() {
            let text = "webhook.pagerduty.routing.key and webhook.preset=pagerduty must be set together";
            problems.add("webhook.pagerduty.routing.key", text);
        }
        if own.preset == Preset::Alertmanager {
            if self.all_headers().is_ok_and(|all| all.iter().any(HeaderPlan::is_template)) {
                let text =
                    "headers cannot be templates with webhook.preset=alertmanager, whose requests are for many records";
                problems.add("webhook.headers", text);
            }
            for (key, given) in [
                ("webhook.method", own.method != "POST"),
                ("webhook.tombstones", own.tombstones != Tombstones::Send),
                ("webhook.content.type", own.content_type.is_some()),
                ("webhook.response.topic", own.response_topic.is_some()),
                ("webhook.response.refused.topic", own.refusal_topic.is_some()),
                ("webhook.check.url", own.check_url.is_some()),
                ("http.max.in.flight", self.delivery.in_flight != 1),
                ("http.hmac.secret", self.signing.secret.is_some()),
            ] {
                if given {
                    let text = format!("{key} has no effect with webhook.preset=alertmanager: remove it");
                    problems.add(key, text);
                }
            }
        }
        if own.preset != Preset::Alertmanager && own.repeat.0 != Duration::from_secs(60) {
            let key = "webhook.alertmanager.repeat.ms";
            problems.add(key, format!("{key} has no effect without webhook.preset=alertmanager: remove it"));
        }
        if own.success.overlaps(&own.retry) {
            let text = "webhook.success.statuses and webhook.retry.statuses must have no status in common";
            problems.add("webhook.retry.statuses", text);
        }
        self.batch.validate(problems);
        self.signing.validate(problems);
        self.auth.validate(problems);
        self.oauth.validate(&self.auth, problems);
        self.http.validate(problems);
    }

    fn is_bodiless(&self) -> bool {
        ["GET", "HEAD", "DELETE", "OPTIONS"].contains(&self.own.method.as_str())
    }

    fn url(&self, url: &str) -> Result<UrlTemplate> {
        match self.own.preset {
            Preset::Alertmanager => UrlTemplate::new(&alertmanager::url(url), URL).and_then(|template| {
                let constant = template.fixed().is_some();
                constant.then_some(template).ok_or_else(|| {
                    Error::fatal(format!("reading {URL}: with webhook.preset=alertmanager it cannot be a template"))
                })
            }),
            _ => UrlTemplate::new(url, URL),
        }
    }

    fn all_headers(&self) -> Result<Vec<HeaderPlan>> {
        let mut all = headers(&self.own.headers).map_err(|why| failed("webhook.headers", why))?;
        for (name, value) in &self.headers {
            let header = HeaderPlan::new(name, value, false);
            all.push(header.map_err(|why| failed(&format!("{HEADER}{name}"), why))?);
        }
        Ok(all)
    }

    fn plan(&self) -> Result<Plan> {
        let own = &self.own;
        let url = own.url.as_deref().or(own.preset.url());
        let url = self.url(url.ok_or_else(|| Error::fatal(missing_value(URL)))?)?;
        let content_type = own.content_type.as_deref().or((self.batch.format == Format::Ndjson).then_some(NDJSON));
        let body = match (own.body.as_deref().or(own.preset.body()), own.format) {
            (Some(source), _) => Body::Template(Template::parse(source, Escape::Json)?),
            (None, Some(BodyFormat::Record)) => Body::Record,
            (None, Some(BodyFormat::Value)) => Body::Value,
            (None, Some(BodyFormat::None)) => Body::None,
            (None, None) if self.is_bodiless() => Body::None,
            (None, None) => Body::Record,
        };
        let fixed_names: Map<_, _> =
            own.routing_key.iter().map(|key| ("routing_key".to_owned(), key.reveal().into())).collect();
        let responses = ResponsePlan {
            taken: own.response_topic.clone(),
            refused: own.refusal_topic.clone(),
            client: Settings::new(),
        };
        let check = own.check_url.as_deref().map(Url::parse).transpose();
        Ok(Plan {
            keys: KEYS,
            http: self.http.clone(),
            auth: self.auth.clone(),
            oauth: self.oauth.clone(),
            oauth_keys: OAuthKeys::OURS,
            signer: self.signing.signer()?,
            hidden: own.routing_key.iter().chain(&self.signing.secret).cloned().collect(),
            request: RequestPlan {
                url,
                method: method(&own.method).map_err(|why| failed("webhook.method", why))?,
                headers: self.all_headers()?,
                content_type: self::content_type(content_type).map_err(|why| failed("webhook.content.type", why))?,
                body,
                edits: Vec::new(),
                group: None,
                tombstones: match own.tombstones {
                    Tombstones::Send => OnTombstone::Send,
                    Tombstones::Ignore => OnTombstone::Ignore,
                    Tombstones::Delete => OnTombstone::Delete,
                },
                more_names: own.preset.names(),
                fixed_names,
            },
            batch: self.batch.batch(),
            delivery: self.delivery.clone(),
            verdicts: Verdicts {
                success: own.success.clone(),
                retry: own.retry.clone(),
                limit: None,
                denial: own.preset.denial(),
                pages: own.preset == Preset::None,
            },
            responses: Some(responses).filter(|plan| plan.taken.is_some() || plan.refused.is_some()),
            check: check.map_err(|e| failed("webhook.check.url", e.to_string()))?,
        })
    }
}

fn failed(key: &str, why: String) -> Error {
    Error::fatal(format!("reading {key}")).caused_by(why)
}

const NDJSON: &str = "application/x-ndjson";

fn headers(list: &Secret) -> Result<Vec<HeaderPlan>, String> {
    let header = |text: String| {
        let (name, value) = text.split_once(':').ok_or("Expected \"Name: value\" for each header")?;
        HeaderPlan::new(name.trim(), value.trim(), true)
    };
    split_list(list.reveal()).into_iter().map(header).collect()
}

fn method(name: &str) -> Result<Method, String> {
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    let method = valid.then(|| Method::from_bytes(name.as_bytes()).ok()).flatten();
    method.ok_or_else(|| "Expected a method of HTTP, such as POST".into())
}

fn content_type(text: Option<&str>) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text.unwrap_or("application/json")).map_err(|_| "Expected a content type".into())
}

fn template(source: Option<&str>) -> Result<(), String> {
    let parsed = source.map(|source| Template::parse(source, Escape::Json)).transpose();
    parsed.map(drop).map_err(|e| e.one_line())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut settings = Settings::from([("webhook.url", "http://h/{{key}}")]);
        settings.extend(&more.iter().copied().collect());
        let mut problems = Problems::new();
        match WebhookSinkConfig::parse(&settings) {
            Ok(config) => config.validate(&mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| format!("{}: {}", p.key, p.text)).collect()
    }

    #[test]
    fn wrong_headers_are_named_without_their_values() {
        assert!(problems(&[("webhook.headers", "X-Api-Key: a:b, Accept: text/plain")]).is_empty());
        for (wrong, expected) in [
            ("no colon s3cret", "Expected \"Name: value\""),
            ("X: {{ s3cret", "The template of header x cannot be read"),
            ("X: s3cret\u{e9}", "The value of header x is not printable ASCII"),
        ] {
            let found = problems(&[("webhook.headers", wrong)]);
            assert!(found.len() == 1 && found[0].contains(expected) && !found[0].contains("s3cret"), "{found:?}");
        }
        assert_eq!(problems(&[("webhook.header.a b", "x"), ("webhook.header.X", "{{")]).len(), 2);
    }

    #[test]
    fn what_does_not_go_together_is_a_problem() {
        let key = ("webhook.pagerduty.routing.key", "k");
        for (given, expected) in [
            (vec![("webhook.body", "{{value")], "webhook.body"),
            (vec![("webhook.method", "po st")], "webhook.method"),
            (vec![("webhook.body", "x"), ("webhook.body.format", "value")], "webhook.body.format"),
            (vec![("webhook.method", "GET"), ("webhook.batch.format", "array")], "webhook.batch.format"),
            (vec![("webhook.preset", "pagerduty")], "webhook.pagerduty.routing.key"),
            (vec![key], "webhook.pagerduty.routing.key"),
            (vec![("webhook.preset", "alertmanager")], "webhook.url"),
            (vec![("webhook.preset", "teams"), ("webhook.batch.format", "array")], "webhook.batch.format"),
            (vec![("webhook.retry.statuses", "204")], "webhook.retry.statuses"),
            (
                vec![
                    ("http.token", "t"),
                    ("http.oauth2.token.url", "http://h"),
                    ("http.oauth2.client.id", "i"),
                    ("http.oauth2.client.secret", "s"),
                ],
                "http.oauth2.token.url",
            ),
        ] {
            let found = problems(&given);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{expected}: ")), "{given:?}: {found:?}");
        }
        assert!(problems(&[("webhook.preset", "pagerduty"), key]).is_empty());
        let mut missing = Problems::new();
        WebhookSinkConfig::parse(&Settings::new()).expect("single keys").validate(&mut missing);
        assert_eq!(missing.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["webhook.url"]);
    }
}
