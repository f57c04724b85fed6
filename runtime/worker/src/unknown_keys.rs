//! Settings of a connector that nobody reads, each told with the nearest name that somebody does.

use connect_api::{
    Settings,
    config::{ConfigDef, split_list},
};
use connect_kafka::{Role, settings as client};

use crate::{
    framework::{self, CONVERTERS},
    registry::{AnyConverter, Direction, Plugins, nearest},
    topic_creation,
    worker_config::{WITH_PREFIX, clients_part},
};

/// Client overrides by their prefixes.
const CLIENTS: [(Role, &str); 3] =
    [(Role::Producer, "producer.override."), (Role::Consumer, "consumer.override."), (Role::Admin, "admin.override.")];

/// Keys without effect, each with a sentence that says why.
pub fn find(plugins: &Plugins, settings: &Settings) -> Vec<(String, String)> {
    let Ok(plugin) = plugins.connectors.find(settings.get("connector.class").unwrap_or_default()) else {
        return Vec::new();
    };
    let mut definition = framework::definition(plugin.direction());
    definition.embed("", &plugin.definition);
    let source = plugin.direction() == Direction::Source;
    let mut found = Found { definition: &definition, all: Vec::new() };
    for key in settings.keys().filter(|k| !definition.knows(k)) {
        let of_topics = source && key.starts_with(topic_creation::PREFIX);
        if framework::is_framework_key(key) || of_topics {
            continue;
        }
        found.unknown(key, plugin.info.name, names(&definition, ""));
    }
    found.converters(plugins, settings);
    found.aliases(plugins, settings, "transforms");
    found.aliases(plugins, settings, "predicates");
    for (role, prefix) in CLIENTS {
        found.client(settings, role, prefix);
    }
    if source {
        found.all.extend(topic_creation::without_effect(settings));
    }
    found.all
}

/// Keys of a worker below the prefixes of its converters and clients that have no effect, each with a sentence that says
/// why.
pub fn of_worker(plugins: &Plugins, settings: &Settings) -> Vec<(String, String)> {
    let nothing = ConfigDef::default();
    let mut found = Found { definition: &nothing, all: Vec::new() };
    for (class_key, _) in CONVERTERS {
        // A converter that is not set or not known is told of as an error.
        let Some(Ok(plugin)) = settings.get(class_key).map(|class| plugins.converters.find(class)) else { continue };
        found.converter(settings, &format!("{class_key}."), &plugin);
    }
    for (role, prefix) in WITH_PREFIX.into_iter().filter(|(_, prefix)| !prefix.is_empty()) {
        found.warnings(role, prefix, &clients_part(settings, role, prefix));
    }
    found.all
}

/// The sentence about a client's setting without effect.
pub(crate) fn client_warning(role: Role, prefix: &str, warning: &client::Problem) -> String {
    let key = warning.key.as_str();
    let near = if client::is_known(role, key) { None } else { nearest(key, client::known_keys(role)) };
    let hint = near.map(|n| format!("; did you mean {prefix}{n}?")).unwrap_or_default();
    format!("{prefix}{key}{}{hint}", warning.reason)
}

fn names(definition: &ConfigDef, prefix: &str) -> Vec<String> {
    definition.keys().iter().map(|k| format!("{prefix}{}", k.name)).collect()
}

struct Found<'a> {
    /// Keys of framework and connector; some of them stand below a prefix that others use, too.
    definition: &'a ConfigDef,
    all: Vec<(String, String)>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, sentence: String) {
        self.all.push((key.to_owned(), sentence));
    }

    fn unknown(&mut self, key: &str, whom: &str, known: Vec<String>) {
        let hint = nearest(key, known.iter().map(String::as_str));
        let hint = hint.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        self.add(key, format!("the setting {key} is unknown to {whom} and has no effect{hint}"));
    }

    /// Keys below a prefix that belong to nothing else.
    fn below(&self, settings: &Settings, prefix: &str) -> Vec<String> {
        let keys = settings.keys().filter(|k| k.starts_with(prefix) && self.definition.key(k).is_none());
        keys.map(str::to_owned).collect()
    }

    fn converters(&mut self, plugins: &Plugins, settings: &Settings) {
        for (class_key, _) in CONVERTERS {
            let prefix = format!("{class_key}.");
            let given = self.below(settings, &prefix);
            let Some(class) = settings.get(class_key) else {
                for key in given {
                    let text = format!(
                        "the setting {key} has no effect without {class_key}: the worker's converter has the worker's settings"
                    );
                    self.add(&key, text);
                }
                continue;
            };
            // A class that there is not was told of by validation.
            let Ok(plugin) = plugins.converters.find(class) else { continue };
            self.converter(settings, &prefix, &plugin);
        }
    }

    fn converter(&mut self, settings: &Settings, prefix: &str, plugin: &AnyConverter) {
        let known = names(&plugin.definition, prefix);
        for key in self.below(settings, prefix).iter().filter(|k| !known.contains(k)) {
            self.unknown(key, plugin.info.name, known.clone());
        }
    }

    /// Keys of transforms or predicates.
    fn aliases(&mut self, plugins: &Plugins, settings: &Settings, list: &str) {
        let aliases = split_list(settings.get(list).unwrap_or_default().trim());
        for key in self.below(settings, &format!("{list}.")) {
            let rest = &key[list.len() + 1..];
            let of = aliases.iter().find(|a| rest.strip_prefix(a.as_str()).is_some_and(|r| r.starts_with('.')));
            let Some(alias) = of else {
                let alias = rest.split('.').next().unwrap_or_default();
                let hint = nearest(alias, aliases.iter().map(String::as_str));
                let hint = hint.map(|n| format!("; did you mean {list}.{n}?")).unwrap_or_default();
                self.add(&key, format!("the setting {key} has no effect: {list} does not list {alias}{hint}"));
                continue;
            };
            let prefix = format!("{list}.{alias}.");
            let class = settings.get(&format!("{prefix}type")).unwrap_or_default();
            let (own, mut known) = if list == "transforms" {
                let Ok(plugin) = plugins.transforms.find(class) else { continue };
                (plugin.info.name, names(&plugin.definition, &prefix))
            } else {
                let Ok(plugin) = plugins.predicates.find(class) else { continue };
                (plugin.info.name, names(&plugin.definition, &prefix))
            };
            let (first, last) =
                framework::alias_keys(if list == "transforms" { "Transform" } else { "Predicate" }, alias, Vec::new());
            known.extend(first.iter().chain(&last).map(|k| format!("{prefix}{}", k.name)));
            if !known.contains(&key) {
                self.unknown(&key, own, known);
            }
        }
    }

    /// Overrides of a client's settings.
    fn client(&mut self, settings: &Settings, role: Role, prefix: &str) {
        self.warnings(role, prefix, &settings.prefixed(prefix));
    }

    fn warnings(&mut self, role: Role, prefix: &str, java: &Settings) {
        // What is refused is told of as an error; the rest is judged without it.
        let mut java = java.clone();
        if let Err(problems) = connect_kafka::translate(role, &java) {
            java = java.iter().filter(|(k, _)| !problems.iter().any(|p| p.key == *k)).collect();
        }
        let Ok(translated) = connect_kafka::translate(role, &java) else { return };
        for warning in &translated.warnings {
            self.add(&format!("{prefix}{}", warning.key), client_warning(role, prefix, warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tests::plugins;

    fn sentences(extra: &[(&str, &str)]) -> Vec<String> {
        let settings = extra.iter().copied().chain([("connector.class", "test-source"), ("name", "c")]).collect();
        find(&plugins(), &settings).into_iter().map(|(key, text)| format!("{key}: {text}")).collect()
    }

    #[test]
    fn keys_of_the_connector_and_overrides_are_told_with_the_nearest_name() {
        assert_eq!(sentences(&[("tasks.max", "1"), ("producer.override.linger.ms", "5")]), [""; 0]);
        let found =
            sentences(&[("task.max", "1"), ("producer.override.linger.msec", "5"), ("consumer.override.x", "1")]);
        assert_eq!(
            found,
            [
                "task.max: the setting task.max is unknown to test-source and has no effect; did you mean tasks.max?",
                "producer.override.linger.msec: producer.override.linger.msec is not a setting of Kafka's Producer client; it \
                 is ignored; did you mean producer.override.linger.ms?",
                "consumer.override.x: consumer.override.x is not a setting of Kafka's Consumer client; it is ignored",
            ]
        );
    }

    #[test]
    fn keys_of_a_workers_converters_and_clients_are_told_with_the_nearest_name() {
        let settings = Settings::from([
            ("value.converter", "JsonConverter"),
            ("value.converter.schema.enable", "false"),
            ("key.converter", "none-such"),
            ("key.converter.x", "1"),
            ("producer.lingr.ms", "5"),
            ("producer.acks", "0"),
            ("consumer.auto.offset.reset", "foo"),
            ("consumer.max.poll.record", "5"),
            ("admin.listeners", "http://:1"),
        ]);
        let texts: Vec<String> = of_worker(&plugins().converter::<connect_converters::JsonConverter>(), &settings)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert!(texts[0].ends_with("has no effect; did you mean value.converter.schemas.enable?"), "{texts:?}");
        assert!(texts.iter().any(|t| t.ends_with("; did you mean producer.linger.ms?")), "{texts:?}");
        assert!(texts.iter().any(|t| t.starts_with("producer.acks=0: ")), "{texts:?}");
        assert!(texts.iter().any(|t| t.ends_with("; did you mean consumer.max.poll.records?")), "{texts:?}");
    }

    #[test]
    fn keys_of_what_is_not_listed_or_not_set_have_no_effect() {
        let found = sentences(&[
            ("transforms", "route"),
            ("transforms.rout.regex", "x"),
            ("predicates.p.type", "x"),
            ("value.converter.schemas.enable", "false"),
        ]);
        assert_eq!(
            found,
            [
                "value.converter.schemas.enable: the setting value.converter.schemas.enable has no effect without \
                 value.converter: the worker's converter has the worker's settings",
                "transforms.rout.regex: the setting transforms.rout.regex has no effect: transforms does not list rout; did \
                 you mean transforms.route?",
                "predicates.p.type: the setting predicates.p.type has no effect: predicates does not list p",
            ]
        );
    }
}
