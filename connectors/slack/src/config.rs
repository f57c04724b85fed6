//! The settings.

use connect_api::config::{Key, Millis, Problems, Secret};
use connector_http::{HttpConfig, Joined, config::server_url};

use crate::message::Messages;

/// Settings of the sink with those of its HTTP client.
pub type SlackConfig = Joined<SlackSettings, HttpConfig>;

/// What is posted for an alarm that is raised or changes.
pub const RAISED: &str = "{% if value.acknowledged is defined and value.acknowledged %}:white_check_mark: \
    {% else %}:rotating_light: {% endif %}*{{key}}*\
    {% if value.priority is defined and value.priority %} {{value.priority}}{% endif %}\
    {% if value.message is defined and value.message %}: {{value.message}}{% endif %}\
    {% if value.acknowledged is defined and value.acknowledged %} (acknowledged){% endif %}";

/// What is posted for an alarm that is cleared.
pub const CLEARED: &str = ":large_green_circle: *{{key}}* cleared";

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct SlackSettings {
        /// URL of the incoming webhook, https://hooks.slack.com/services/…; whoever has it can post.
        url: Secret = Key::new("slack.webhook.url").high().check(|u: &Secret| webhook_url(u)),
        /// Template of the message for a record. Names: topic, partition, offset, timestamp, key, value, headers; a name
        /// that does not exist or is null is an error of the record, so ask with "is defined" and "is not none". What is
        /// inserted is escaped for Slack (&, <, >); the template itself may hold Slack's markup, such as links.
        raised: String = Key::new("slack.raised.template").default(RAISED).non_empty(),
        /// Template of the message for a tombstone, which has no value.
        cleared: String = Key::new("slack.cleared.template").default(CLEARED).non_empty(),
        /// Shortest time between two messages, in milliseconds. Slack allows one a second per channel.
        interval: Millis = Key::new("slack.interval.ms").default("1000").low(),
    }
}

impl SlackSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        for (key, template) in [("slack.raised.template", &self.raised), ("slack.cleared.template", &self.cleared)] {
            if let Err(e) = Messages::check(template) {
                problems.invalid(key, template, e.message());
            }
        }
    }
}

// The parser's reasons do not quote the URL.
fn webhook_url(url: &Secret) -> Result<(), String> {
    server_url(url.reveal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    #[test]
    fn defaults_are_valid_and_the_url_is_never_shown() {
        let config = SlackConfig::parse(&Settings::from([("slack.webhook.url", "https://h/services/T/B/x")]));
        let config = config.expect("settings");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(!format!("{config:?}").contains("services"));
        let wrong = SlackConfig::parse(&Settings::from([("slack.webhook.url", "services/T/B/x")])).expect_err("wrong");
        assert!(!format!("{wrong:?}").contains("services"), "{wrong:?}");
    }
}
