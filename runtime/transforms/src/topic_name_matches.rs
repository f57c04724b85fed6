//! Whether the topic's whole name matches a regular expression.

use connect_api::{Error, PluginInfo, Predicate, PredicatePlugin, Record, RecordMeta, Result, config::Key};

use crate::regex::{gave_up, whole};

connect_api::config! {
    /// Settings of the predicate.
    #[derive(Debug)]
    pub struct TopicNameMatchesConfig {
        /// Regular expression that the whole name of the topic must match.
        pattern: String = Key::new("pattern").non_empty().check(|p: &String| whole(p).map(drop)),
    }
}

/// `org.apache.kafka.connect.transforms.predicates.TopicNameMatches`
#[derive(Debug)]
pub struct TopicNameMatches(fancy_regex::Regex);

impl PredicatePlugin for TopicNameMatches {
    type Config = TopicNameMatchesConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "topic-name-matches",
        aliases: &["org.apache.kafka.connect.transforms.predicates.TopicNameMatches"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Holds for records whose topic's whole name matches the pattern.",
    };

    fn build(config: TopicNameMatchesConfig) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Self(whole(&config.pattern).map_err(Error::fatal)?)))
    }
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record, _meta: &RecordMeta) -> Result<bool> {
        self.0.is_match(&*record.topic).map_err(|e| gave_up(&record.topic, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match() {
        let predicate =
            TopicNameMatches::build(TopicNameMatchesConfig { pattern: "foo-.*".into() }).expect("predicate");
        let holds = |topic: &str| predicate.test(&Record::new(topic), &RecordMeta::default()).expect("test");
        assert!(holds("foo-a") && !holds("a-foo-b"));
    }
}
