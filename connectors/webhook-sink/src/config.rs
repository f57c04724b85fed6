//! The settings.

use connect_api::{
    Error, Result,
    config::{Key, Problems, Secret, split_list},
};
use connector_http::{
    AuthConfig, DeliveryConfig, HttpConfig, Joined, Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::request::Plan;

/// Settings of the sink with those of its HTTP client.
pub type WebhookSinkConfig = Joined<Joined<Joined<WebhookSettings, DeliveryConfig>, AuthConfig>, HttpConfig>;

connect_api::config_enum! {
    /// HTTP method.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Verb {
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
    }
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Patch => Self::PATCH,
        }
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
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct WebhookSettings {
        /// Template of the URL, such as http://127.0.0.1:8000/devices/{{key}}; what it inserts is percent-encoded.
        /// Names: topic, partition, offset, timestamp, key, value, headers. One that does not exist or is null makes the
        /// record a bad one (errors.tolerance decides). User and password have settings of their own.
        url: String = Key::new("webhook.url").high().non_empty(),
        /// Method: POST, PUT or PATCH.
        method: Verb = Key::new("webhook.method").default("POST"),
        /// Headers to send, each as "Name: value", separated by commas. A value cannot hold a comma. Never shown, since
        /// values may be credentials.
        headers: Secret = Key::new("webhook.headers").default("").check(|h: &Secret| headers(h).map(drop)),
        /// Template of the body, over the same names; what it inserts is written as JSON, null as null, so
        /// that {"text": {{value.message}}} is right. Without it the record is sent as JSON with all of these names.
        body: Option<String> = Key::new("webhook.body"),
        /// Content type of the body.
        content_type: String = Key::new("webhook.content.type").default("application/json").non_empty(),
        /// What to do with tombstones: send them as other records, ignore them, or send a DELETE without body.
        tombstones: Tombstones = Key::new("webhook.tombstones").default("send"),
    }
}

impl WebhookSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if let Err(e) = Plan::new(&self.url, self.body.as_deref()) {
            problems.add("webhook.url", e.one_line());
        }
        if let Err(e) = self.header_map() {
            problems.add("webhook.content.type", e.one_line());
        }
    }

    /// The headers of every request.
    pub fn header_map(&self) -> Result<HeaderMap> {
        let failed = |key: &str, why| Error::fatal(format!("reading {key}")).caused_by(why);
        let mut map = headers(&self.headers).map_err(|why| failed("webhook.headers", why))?;
        if !map.contains_key("content-type") {
            let (_, value) = header(&format!("content-type: {}", self.content_type))
                .map_err(|why| failed("webhook.content.type", why))?;
            map.insert("content-type", value);
        }
        Ok(map)
    }
}

fn headers(list: &Secret) -> Result<HeaderMap, String> {
    split_list(list.reveal()).iter().map(|text| header(text)).collect()
}

// The reasons hold no values: some are secrets.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("Expected \"Name: value\" for each header")?;
    let name = name.trim();
    let name = name.parse::<HeaderName>().map_err(|_| format!("{name:?} cannot be the name of a header"))?;
    let value = HeaderValue::from_str(value.trim());
    let mut value = value.map_err(|_| format!("The value of header {name} is not printable ASCII"))?;
    value.set_sensitive(name != "content-type");
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn settings(more: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::from([("webhook.url", "http://h/{{key}}")]);
        settings.extend(&more.iter().copied().collect());
        settings
    }

    #[test]
    fn headers_are_read_and_wrong_ones_named_without_their_values() {
        let given = settings(&[("webhook.headers", "X-Api-Key: a:b, Accept: text/plain")]);
        let map = WebhookSinkConfig::parse(&given).expect("right").header_map().expect("headers");
        assert_eq!(map["x-api-key"], "a:b");
        assert_eq!(map["content-type"], "application/json");
        let wrong = WebhookSinkConfig::parse(&settings(&[("webhook.headers", "no colon")])).expect_err("wrong");
        assert!(wrong.iter().any(|p| p.text.contains("Expected \"Name: value\"")), "{wrong:?}");
        assert!(!wrong.iter().any(|p| p.text.contains("no colon")), "{wrong:?}");
    }

    #[test]
    fn templates_are_checked() {
        let config = WebhookSinkConfig::parse(&settings(&[("webhook.body", "{{value")])).expect("single keys");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
