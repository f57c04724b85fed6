//! The settings.

use connect_api::{
    Error, Result,
    config::{Key, Millis, Problems, Secret},
    template::{Escape, Template},
};
use connector_alarm::shelving::ShelvingConfig;
use connector_http::{HttpConfig, Joined, config::server_url};

use crate::{
    message::Layout,
    rules::{self, Colors, Rule},
};

/// Settings of the sink with those of shelving and of its HTTP client.
pub type SlackConfig = Joined<Joined<SlackSettings, ShelvingConfig>, HttpConfig>;

/// What is said of an alarm that is raised or changes.
pub const RAISED: &str = "{% if value.acknowledged is defined and value.acknowledged %}:white_check_mark: \
    {% else %}:rotating_light: {% endif %}*{{key}}*\
    {% if value.priority is defined and value.priority %} {{value.priority}}{% endif %}\
    {% if value.message is defined and value.message %}: {{value.message}}{% endif %}\
    {% if value.acknowledged is defined and value.acknowledged %} (acknowledged){% endif %}";

/// What is said of an alarm that is cleared.
pub const CLEARED: &str = ":large_green_circle: *{{key}}* cleared";

/// What is said of many alarms at once.
pub const DIGEST: &str = "*{{changed}} alarms changed*: {{raised}} active, {{cleared}} cleared\n\
    {% for line in lines %}{{line}}\n{% endfor %}{% if more %}… and {{more}} more{% endif %}";

/// Colours by priority.
pub const COLORS: &str =
    "P1_LIFE=#b00020, P2_PROPERTY=#e8710a, P3_PRODUCTIVITY=#f2c744, P4_DIAGNOSTIC=#4a90d9, cleared=#2eb67d";

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tombstones {
        /// Say that the alarm is cleared.
        Clear = "clear",
        /// Nothing.
        Ignore = "ignore",
        /// Delete the alarm's message.
        Delete = "delete",
    }
}

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct SlackSettings {
        /// URL of an incoming webhook, https://hooks.slack.com/services/…; whoever has it can post. Its messages cannot be
        /// changed or threaded; for that set slack.token and slack.channel instead.
        url: Option<Secret> = Key::new("slack.webhook.url").high().check(|u: &Option<Secret>| webhook_url(u)),
        /// Token of an app (xoxb-…) with the scope chat:write. An alarm then has one message, which changes with it.
        token: Option<Secret> = Key::new("slack.token").high(),
        /// With slack.token: template of the channel, its id or name, where no rule says another one.
        channel: Option<String> = Key::new("slack.channel").high(),
        /// With slack.token: rules for channels and mentions, a list of {when, channel, mention}. The first rule with a
        /// channel whose expression holds gives the channel, for an alarm when it is raised and when its priority rises; the
        /// mentions of all that hold, such as &lt;!here> or
        /// &lt;@U123>, stand before a new message, not before changes unless the priority rises.
        rules: Option<String> = Key::new("slack.rules").check(|r: &Option<String>| rules::parse(r.as_deref()).map(drop)),
        /// With slack.token: whether the message of an alarm is updated when the alarm changes or is cleared.
        update: bool = Key::new("slack.update").default("true"),
        /// With slack.token: whether changes are also told in the thread of the alarm's message. With neither this nor
        /// slack.update each change is a message of its own.
        thread: bool = Key::new("slack.thread").default("true"),
        /// Template of the text for a record. Names: topic, partition, offset, timestamp, key, value, headers; a name
        /// that does not exist or is null is an error of the record, so ask with "is defined" and "is not none". What is
        /// inserted is escaped for Slack (&, <, >); the template itself may hold Slack's markup, such as links.
        raised: String = Key::new("slack.raised.template").default(RAISED).non_empty(),
        /// Template of the text for a tombstone, which has no value, and for the marker of a cleared alarm.
        cleared: String = Key::new("slack.cleared.template").default(CLEARED).non_empty(),
        /// Template of the text for many alarms at once. Names: changed, raised, cleared (numbers), lines (the texts of the
        /// first 30), more (how many are left out).
        digest: String = Key::new("slack.digest.template").default(DIGEST).non_empty(),
        /// Template of the whole message as JSON, for layouts of one's own, such as blocks. Names as for the text, and text,
        /// color, mention, cleared. What is inserted is written as JSON. Without it the text stands beside a bar of its
        /// colour.
        message: Option<String> = Key::new("slack.message.template"),
        /// Colours by value.priority, each as NAME=#rrggbb; cleared is that of cleared alarms.
        colors: Vec<String> = Key::new("slack.colors").default(COLORS).low().check(|c: &Vec<String>| Colors::parse(c).map(drop)),
        /// What to do with tombstones: say that the alarm is cleared, ignore them, or delete the alarm's message.
        tombstones: Tombstones = Key::new("slack.tombstones").default("clear"),
        /// Shortest time between two messages to a channel, in milliseconds. Slack allows about one a second.
        interval: Millis = Key::new("slack.interval.ms").default("1000").low(),
        /// When more than that many records wait for a channel they are told in one message, a digest; 0 is never.
        digest_after: i32 = Key::new("slack.digest.after").default("5").at_least(0),
        /// Address of Slack's Web API.
        api: String = Key::new("slack.api.url").default("https://slack.com/api").low().check(|u: &String| server_url(u)),
    }
}

impl SlackSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        match (&self.url, &self.token) {
            (None, None) => {
                problems.add("slack.webhook.url", "slack.webhook.url or slack.token is required");
            }
            (Some(_), Some(_)) => {
                problems.add("slack.token", "slack.webhook.url and slack.token exclude each other");
            }
            (None, Some(_)) => match &self.channel {
                None => {
                    problems.add("slack.channel", "slack.channel is required with slack.token");
                }
                Some(source) => {
                    if let Err(e) = Template::parse(source, Escape::None) {
                        problems.invalid("slack.channel", source, e.message());
                    }
                }
            },
            (Some(_), None) => {
                let text = "has no meaning with slack.webhook.url, whose channel is fixed and whose messages are final";
                for (key, given) in [
                    ("slack.channel", self.channel.is_some()),
                    ("slack.rules", self.rules.is_some()),
                    ("slack.tombstones", self.tombstones == Tombstones::Delete),
                ] {
                    if given {
                        problems.add(key, format!("{key} {text}: set slack.token instead, or remove it"));
                    }
                }
            }
        }
        for (key, template) in [("slack.raised.template", &self.raised), ("slack.cleared.template", &self.cleared)] {
            if let Err(e) = Template::parse(template, Escape::None) {
                problems.invalid(key, template, e.message());
            }
        }
        if let Err(why) = Layout::digest(&self.digest) {
            problems.invalid("slack.digest.template", &self.digest, &why);
        }
        if let Some(template) = &self.message
            && let Err(e) = Template::parse(template, Escape::Json)
        {
            problems.invalid("slack.message.template", template, e.message());
        }
    }

    /// The rules for channels and mentions.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        rules::parse(self.rules.as_deref()).map_err(|why| Error::fatal("reading slack.rules").caused_by(why))
    }

    /// The colours.
    pub fn colors(&self) -> Result<Colors> {
        Colors::parse(&self.colors).map_err(|why| Error::fatal("reading slack.colors").caused_by(why))
    }
}

// The parser's reasons do not quote the URL.
fn webhook_url(url: &Option<Secret>) -> Result<(), String> {
    url.as_ref().map_or(Ok(()), |url| server_url(url.reveal()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let config = SlackConfig::parse(&given.iter().copied().collect()).expect("single keys are right");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    const HOOK: (&str, &str) = ("slack.webhook.url", "https://h/services/T/B/x");
    const TOKEN: (&str, &str) = ("slack.token", "xoxb-1");

    #[test]
    fn defaults_are_valid_and_the_url_is_never_shown() {
        assert_eq!(problems(&[HOOK]), Vec::<String>::new());
        let config = SlackConfig::parse(&Settings::from([HOOK])).expect("settings");
        assert!(!format!("{config:?}").contains("services"));
        let wrong = SlackConfig::parse(&Settings::from([("slack.webhook.url", "services/T/B/x")])).expect_err("wrong");
        assert!(!format!("{wrong:?}").contains("services"), "{wrong:?}");
    }

    #[test]
    fn a_webhook_or_a_token_with_a_channel_is_needed() {
        assert_eq!(problems(&[]), ["slack.webhook.url"]);
        assert_eq!(problems(&[TOKEN]), ["slack.channel"]);
        assert_eq!(problems(&[TOKEN, ("slack.channel", "#a")]), Vec::<String>::new());
        assert_eq!(problems(&[TOKEN, HOOK]), ["slack.token"]);
        assert_eq!(problems(&[HOOK, ("slack.channel", "#a")]), ["slack.channel"]);
        assert_eq!(problems(&[HOOK, ("slack.digest.template", "{{key}}")]), ["slack.digest.template"]);
    }

    #[test]
    fn wrong_rules_and_colors_are_named() {
        for (key, text) in [
            ("slack.rules", r#"[{"when": "value.", "channel": "C"}]"#),
            ("slack.rules", r#"[{"when": "true"}]"#),
            ("slack.rules", r#"[{"when": "true", "chanel": "C"}]"#),
            ("slack.colors", "P1_LIFE=red"),
        ] {
            let e = SlackConfig::parse(&Settings::from([HOOK, (key, text)])).expect_err(text);
            assert!(e.iter().all(|p| p.key == key), "{e:?}");
        }
    }
}
