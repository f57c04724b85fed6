//! Complete validation of a connector's configuration: every problem at once (rest.md §6).

use connect_api::{
    PluginInfo, Result, Settings,
    config::{ConfigDef, ConfigKey, ConfigValue, Default, KeyType, invalid_value, missing_value, split_list},
};
use connect_kafka::Role;
use connect_rest_model::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigMap, ConfigValueInfo};

use crate::{
    framework::{self, CONNECTOR_VERSION, CONVERTERS},
    override_policy::OverridePolicy,
    registry::{ConnectorPlugin, Direction, Plugins},
    stage,
    topic_creation::{self, Groups},
    versions,
    worker_config::WorkerConfig,
};

/// Validates a configuration as it was given, nulls included; defaults are the worker's, where its settings are
/// known. `group` is that of a distributed worker. An error means that there is no such plugin.
pub fn validate(
    plugins: &Plugins,
    worker: Option<&WorkerConfig>,
    group: Option<&str>,
    given: &ConfigMap,
) -> Result<ConfigInfos> {
    let settings: Settings = given.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_deref()?))).collect();
    let class = settings.get("connector.class").unwrap_or_default();
    let plugin = plugins.connectors.find(class)?;
    let mut infos = Infos::default();
    let kind = if plugin.direction() == Direction::Sink { "sink" } else { "source" };
    stage::step(format!("validating {kind} connector-specific properties for the connector"), || {
        framework_rules(plugins, worker, &plugin, &settings, given, &mut infos);
    });
    stage::step("performing multi-property validation for the connector", || infos.plugin(&plugin, &settings));
    let policy = worker.map_or(OverridePolicy::All, |w| w.override_policy);
    clients(&settings, plugin.direction(), policy, &mut infos);
    if let Some(group) = group.filter(|_| plugin.direction() == Direction::Sink) {
        groups(&settings, group, &mut infos);
    }
    converters(plugins, &settings, &mut infos);
    own_converters(plugins, &plugin.definition, &settings, &mut infos);
    Ok(infos.finish(class))
}

/// What is wrong whatever the plugin's own keys say.
fn framework_rules(
    plugins: &Plugins,
    worker: Option<&WorkerConfig>,
    plugin: &ConnectorPlugin,
    settings: &Settings,
    given: &ConfigMap,
    infos: &mut Infos,
) {
    infos.framework(plugins, worker, plugin, settings);
    infos.no_number("tasks.max");
    for (list, what) in [("transforms", "Transform"), ("predicates", "Predicate")] {
        for alias in aliases(settings, list) {
            infos.alias(plugins, settings, what, &alias);
        }
    }
    if plugin.direction() == Direction::Sink {
        topics(settings, infos);
    }
    for (key, text) in framework::refused(settings, plugin.direction()) {
        infos.error(&key, text);
    }
    let creates = plugin.direction() == Direction::Source && worker.is_none_or(|w| w.topic_creation);
    if let Some(problems) = creates.then(|| Groups::read(settings).err()).flatten() {
        problems.iter().for_each(|p| infos.error(&p.key, p.text.clone()));
    }
    for (key, value) in given {
        if value.is_none() {
            infos.error(key, "Null value can not be supplied as the configuration value.".into());
        }
    }
}

struct Entry {
    definition: Option<ConfigKey>,
    value: ConfigValue,
    /// However many messages it has, it counts as one, as those of converters and clients do.
    counts_once: bool,
}

#[derive(Default)]
struct Infos(Vec<Entry>);

fn bare(name: &str) -> ConfigValue {
    ConfigValue {
        name: name.to_owned(),
        value: None,
        recommended_values: Vec::new(),
        errors: Vec::new(),
        visible: true,
    }
}

/// Validates a key that is written with a prefix. As in Kafka Connect, only the text of a missing one has it.
fn prefixed(prefix: &str, mut key: ConfigKey, settings: &Settings) -> (ConfigKey, ConfigValue) {
    let name = format!("{prefix}{}", key.name);
    let mut value = key.validate(settings.get(&name));
    let missing = missing_value(&key.name);
    for e in value.errors.iter_mut().filter(|e| **e == missing) {
        *e = missing_value(&name);
    }
    (key.name, value.name) = (name.clone(), name);
    (key, value)
}

impl Infos {
    fn error(&mut self, key: &str, text: String) {
        match self.0.iter_mut().find(|e| e.value.name == key) {
            Some(entry) => entry.value.errors.push(text),
            None => {
                let value = ConfigValue { errors: vec![text], ..bare(key) };
                self.0.insert(0, Entry { definition: None, value, counts_once: false });
            }
        }
    }

    /// What is no number is null for the check of its range, of which Kafka Connect complains, too.
    fn no_number(&mut self, key: &str) {
        let entry = self.0.iter_mut().find(|e| e.value.name == key);
        if let Some(entry) = entry.filter(|e| e.value.errors.iter().any(|e| e.contains(": Not a number of type "))) {
            entry.value.errors.push(format!("Invalid value null for configuration {key}: Value must be non-null"));
        }
    }

    fn push(&mut self, (definition, value): (ConfigKey, ConfigValue)) {
        self.0.push(Entry { definition: Some(definition), value, counts_once: false });
    }

    /// A converter that is not known has no value, and nobody is asked for its version.
    fn unknown_converter(&mut self, key: &str) {
        let version = CONVERTERS.iter().find_map(|(class, version)| (*class == key).then_some(*version));
        for entry in &mut self.0 {
            if entry.value.name == key {
                entry.value.value = None;
            } else if Some(entry.value.name.as_str()) == version {
                entry.value.visible = false;
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        if let Some(entry) = self.0.iter_mut().find(|e| e.value.name == key) {
            entry.value.value = Some(value.to_owned());
        }
    }

    /// The keys of every connector.
    fn framework(
        &mut self,
        plugins: &Plugins,
        worker: Option<&WorkerConfig>,
        plugin: &ConnectorPlugin,
        settings: &Settings,
    ) {
        let mut versions_of: Vec<(&str, &str, PluginInfo)> = vec![("connector.class", CONNECTOR_VERSION, plugin.info)];
        let worker = worker.map(|w| [&w.key_converter, &w.value_converter, &w.header_converter]);
        let mut classes: Vec<(&str, &'static str, Vec<String>)> = Vec::new();
        for (i, (key, version)) in CONVERTERS.into_iter().enumerate() {
            let headers = key == "header.converter";
            let default = worker.and_then(|w| plugins.converters.find(&w[i].0).ok());
            let possible = plugins.converters.all().iter().filter(|p| headers || !p.headers_only);
            let mut names: Vec<String> = possible.map(|p| p.info.class().to_owned()).collect();
            names.sort();
            classes.push((key, default.as_ref().map_or("", |p| p.info.class()), names));
            let used = settings.get(key).map_or(default, |class| plugins.converters.find(class).ok());
            if let Some(used) = used {
                versions_of.push((key, version, used.info));
            }
        }
        for key in framework::definition(plugin.direction()).keys() {
            let mut key = key.clone();
            if let Some((_, default, names)) = classes.iter().find(|(name, ..)| *name == key.name) {
                if !default.is_empty() {
                    key.default = Default::Text((*default).to_owned());
                }
                key.recommended.clone_from(names);
            }
            if let Some((.., info)) = versions_of.iter().find(|(_, name, _)| *name == key.name) {
                key.default = Default::Text(info.version.to_owned());
                key.recommended = vec![info.version.to_owned()];
            }
            let value = key.validate(settings.get(&key.name));
            self.push((key, value));
        }
        for (class_key, version_key, info) in versions_of {
            if class_key != "connector.class" && settings.contains(class_key) {
                self.set(class_key, info.class());
            }
            if let Some(Err(text)) = settings.get(version_key).map(|wanted| versions::check(&info, wanted)) {
                self.error(class_key, text.clone());
                self.error(version_key, text);
            }
        }
    }

    /// The keys of one transform or predicate.
    fn alias(&mut self, plugins: &Plugins, settings: &Settings, what: &str, alias: &str) {
        let prefix = format!("{}s.{alias}.", what.to_lowercase());
        let given = settings.get(&format!("{prefix}type"));
        let (mut classes, found): (Vec<String>, Option<Result<(PluginInfo, ConfigDef)>>) = if what == "Transform" {
            let all = &plugins.transforms;
            let names = all.all().iter().map(|p| p.info.class().to_owned()).collect();
            (names, given.map(|g| all.find(g).map(|p| (p.info, p.definition.clone()))))
        } else {
            let all = &plugins.predicates;
            let names = all.all().iter().map(|p| p.info.class().to_owned()).collect();
            (names, given.map(|g| all.find(g).map(|p| (p.info, p.definition.clone()))))
        };
        classes.sort();
        let ([class, mut version], last) = framework::alias_keys(what, alias, classes);
        let group = class.group.clone();
        let mut order = 1;
        let class_at = self.0.len();
        self.push(prefixed(&prefix, class, settings));
        let entry = &mut self.0[class_at].value;
        let mut own = Vec::new();
        match found {
            Some(Ok((info, definition))) => {
                entry.value = Some(info.class().to_owned());
                version.default = Default::Text(info.version.to_owned());
                version.recommended = vec![info.version.to_owned()];
                let wanted = settings.get(&format!("{prefix}plugin.version"));
                let refused = wanted.and_then(|wanted| versions::check(&info, wanted).err());
                entry.errors.extend(refused.clone());
                let (version, mut value) = prefixed(&prefix, version, settings);
                value.errors.extend(refused);
                self.push((version, value));
                own = definition.keys().iter().cloned().chain(last).collect();
                // Kafka's order: what is required, what is important, and then by name.
                own.sort_by(|a: &ConfigKey, b| {
                    let rank = |key: &ConfigKey| (key.default != Default::Required, key.importance as u8);
                    rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
                });
            }
            other => {
                if let (Some(Err(e)), Some(class)) = (other, given) {
                    entry.value = plugins.class_of(class).map(str::to_owned);
                    let interface = if what == "Transform" { "Transformation" } else { what };
                    entry.errors.push(no_such(plugins, class, &format!("{prefix}type"), interface, &e));
                }
                self.push(prefixed(&prefix, version, settings));
            }
        }
        for mut key in own {
            order += 1;
            (key.group, key.order) = (group.clone(), order);
            self.push(prefixed(&prefix, key, settings));
        }
        if what == "Transform" {
            self.0[class_at].value.errors.extend(predicate(settings, alias));
            if let Some(Ok(plugin)) = given.map(|class| plugins.transforms.find(class)) {
                for problem in (plugin.validate)(&settings.prefixed(&prefix)).iter() {
                    self.error(&format!("{prefix}{}", problem.key), problem.text.clone());
                }
            }
        }
    }

    fn plugin(&mut self, plugin: &ConnectorPlugin, settings: &Settings) {
        for value in plugin.validate(settings) {
            let definition = plugin.definition.key(&value.name).cloned();
            // A connector that redefines a key of the framework replaces it.
            match self.0.iter_mut().find(|e| e.value.name == value.name) {
                Some(old) => {
                    let nulls =
                        old.value.errors.iter().filter(|e| e.starts_with("Null value")).cloned().collect::<Vec<_>>();
                    old.value = value;
                    old.value.errors.extend(nulls);
                    old.definition = definition.or_else(|| old.definition.take());
                }
                None => self.0.push(Entry { definition, value, counts_once: false }),
            }
        }
    }

    fn finish(self, class: &str) -> ConfigInfos {
        let mut groups: Vec<String> = Vec::new();
        for group in self.0.iter().filter_map(|e| e.definition.as_ref()?.group.clone()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let count = |e: &Entry| if e.counts_once { e.value.errors.len().min(1) } else { e.value.errors.len() };
        ConfigInfos {
            name: class.to_owned(),
            error_count: self.0.iter().map(count).sum(),
            groups,
            configs: self
                .0
                .into_iter()
                .map(|e| ConfigInfo { definition: e.definition.as_ref().map(key_info), value: value_info(e.value) })
                .collect(),
        }
    }
}

/// A key in the form of the REST API.
pub fn key_info(key: &ConfigKey) -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: key.name.clone(),
        kind: key.kind.name().to_owned(),
        required: key.default == Default::Required,
        default_value: match &key.default {
            Default::Text(_) if key.kind == KeyType::Password => Some("[hidden]".into()),
            Default::Text(text) => Some(text.clone()),
            _ => None,
        },
        importance: key.importance.name().to_owned(),
        documentation: key.documentation.clone(),
        group: key.group.clone(),
        width: key.width.name().to_owned(),
        display_name: key.display_name.clone(),
        dependents: key.dependents.clone(),
        order: key.order,
    }
}

fn value_info(value: ConfigValue) -> ConfigValueInfo {
    ConfigValueInfo {
        name: value.name,
        value: value.value,
        recommended_values: value.recommended_values,
        errors: value.errors,
        visible: value.visible,
    }
}

fn aliases(settings: &Settings, key: &str) -> Vec<String> {
    let mut all = split_list(settings.get(key).unwrap_or_default().trim());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|alias| seen.insert(alias.clone()));
    all
}

/// The text for a class that is not one of the kind that the key wants.
fn no_such(plugins: &Plugins, class: &str, key: &str, interface: &str, e: &connect_api::Error) -> String {
    match plugins.class_of(class) {
        Some(other) => format!("Class class {other} does not implement the {interface} interface"),
        None => invalid_value(class, key, e.message()),
    }
}

/// What is wrong with the condition of a transform.
fn predicate(settings: &Settings, alias: &str) -> Option<String> {
    let negated = settings.contains(&format!("transforms.{alias}.negate"));
    match settings.get(&format!("transforms.{alias}.predicate")).map(str::trim) {
        None if negated => Some(format!(
            "Config 'transforms.{alias}.negate' was provided but there is no config 'transforms.{alias}.predicate' \
             defining a predicate to be negated."
        )),
        Some(p) if !aliases(settings, "predicates").iter().any(|a| a == p) => {
            Some(format!("the transform {alias} names the predicate {p}, which predicates does not list"))
        }
        _ => None,
    }
}

/// A sink whose consumers would be members of the worker's own group.
fn groups(settings: &Settings, group: &str, infos: &mut Infos) {
    const OVERRIDE: &str = "consumer.override.group.id";
    let conflict = format!("conflicts with Connect worker group {group}");
    match (settings.get(OVERRIDE), settings.get("name")) {
        (Some(own), _) if own == group => infos.error(OVERRIDE, format!("Consumer group {own} {conflict}")),
        (None, Some(name)) if group.strip_prefix("connect-") == Some(name) => {
            infos.error("name", format!("Consumer group for sink connector named {name} {conflict}"));
        }
        _ => {}
    }
}

fn topics(settings: &Settings, infos: &mut Infos) {
    let list: Vec<String> = aliases(settings, "topics").into_iter().filter(|t| !t.is_empty()).collect();
    let regex = settings.get("topics.regex").map(str::trim).filter(|r| !r.is_empty());
    let mut both = |text: &str| {
        infos.error("topics", text.to_owned());
        infos.error("topics.regex", text.to_owned());
    };
    match (list.is_empty(), regex) {
        (false, Some(_)) => both("topics and topics.regex are mutually exclusive options, but both are set."),
        (true, None) => both("Must configure one of topics or topics.regex"),
        _ => {}
    }
    let Some(dlq) = settings.get("errors.deadletterqueue.topic.name").map(str::trim).filter(|t| !t.is_empty()) else {
        return;
    };
    if list.iter().any(|t| t == dlq) {
        let shown = list.join(", ");
        infos.error(
            "topics",
            format!("The DLQ topic '{dlq}' may not be included in the list of topics ('topics=[{shown}]') consumed by the connector"),
        );
    }
    if let Some(Ok(matcher)) = regex.map(|r| regex::Regex::new(&format!("^(?:{r})$")))
        && matcher.is_match(dlq)
    {
        let r = regex.unwrap_or_default();
        infos.error(
                "topics.regex",
                format!("The DLQ topic '{dlq}' may not be matched by the regex for the topics ('topics.regex={r}') consumed by the connector"),
            );
    }
}

fn converters(plugins: &Plugins, settings: &Settings, infos: &mut Infos) {
    for key in ["header.converter", "key.converter", "value.converter"] {
        let Some(class) = settings.get(key) else { continue };
        match plugins.converters.find(class) {
            Ok(plugin) if plugin.headers_only && key != "header.converter" => {
                infos.error(
                    key,
                    format!("Class class {} does not implement the Converter interface", plugin.info.class()),
                );
            }
            Ok(plugin) => {
                let mut settings = settings.clone();
                let kind = format!("{key}.converter.type");
                if !settings.contains(&kind) {
                    settings.set(kind, key.trim_end_matches(".converter"));
                }
                for own in framework::converter_keys(&plugin) {
                    let (definition, value) = prefixed(&format!("{key}."), own, &settings);
                    infos.0.push(Entry { definition: Some(definition), value, counts_once: true });
                }
            }
            Err(e) => {
                let interface = if key == "header.converter" { "HeaderConverter" } else { "Converter" };
                infos.error(key, no_such(plugins, class, key, interface, &e));
                if plugins.class_of(class).is_none() {
                    infos.unknown_converter(key);
                }
            }
        }
    }
}

/// Converters that a connector has besides those of all, such as those that a kafka-source reads with.
fn own_converters(plugins: &Plugins, definition: &ConfigDef, settings: &Settings, infos: &mut Infos) {
    let own = definition.keys().iter().filter(|key| key.kind == KeyType::Class && key.name.ends_with(".converter"));
    for key in own.map(|key| key.name.as_str()) {
        let Some(class) = settings.get(key) else { continue };
        match plugins.converters.find(class) {
            Ok(plugin) if plugin.headers_only && !key.ends_with("header.converter") => {
                infos.error(
                    key,
                    format!("Class class {} does not implement the Converter interface", plugin.info.class()),
                );
            }
            Ok(_) => {}
            Err(e) => infos.error(key, no_such(plugins, class, key, "Converter", &e)),
        }
    }
}

/// Settings for the connector's Kafka clients: an entry for each that is given and that the connector has a use for.
fn clients(settings: &Settings, direction: Direction, policy: OverridePolicy, infos: &mut Infos) {
    let dlq = settings.get("errors.deadletterqueue.topic.name").is_some_and(|t| !t.trim().is_empty());
    let creates = settings.has_prefix(topic_creation::PREFIX);
    let roles: &[(Role, &str)] = match (direction, dlq) {
        (Direction::Source, _) if creates => {
            &[(Role::Producer, "producer.override."), (Role::Admin, "admin.override.")]
        }
        (Direction::Source, _) => &[(Role::Producer, "producer.override.")],
        (Direction::Sink, false) => &[(Role::Consumer, "consumer.override.")],
        (Direction::Sink, true) => &[
            (Role::Producer, "producer.override."),
            (Role::Consumer, "consumer.override."),
            (Role::Admin, "admin.override."),
        ],
    };
    for (role, prefix) in roles {
        let given = settings.prefixed(prefix);
        // The worker's own part was checked when it started.
        let problems = connect_kafka::translate(*role, &given).err().unwrap_or_default();
        for (key, text) in given.iter() {
            let name = format!("{prefix}{key}");
            let wrong = problems.iter().filter(|p| p.key == key);
            let shown = if is_secret(key) { "[hidden]" } else { text };
            let mut errors: Vec<String> = wrong.map(|p| invalid_value(shown, &name, &p.reason)).collect();
            errors.extend(policy.check(key).err());
            let value = ConfigValue { value: Some(shown.to_owned()), errors, ..bare(&name) };
            infos.0.push(Entry { definition: None, value, counts_once: true });
        }
        // What is wrong with settings that are not there, such as the other one of a pair.
        for p in problems.iter().filter(|p| !given.contains(&p.key)) {
            infos.error(&format!("{prefix}{}", p.key), p.reason.clone());
        }
    }
}

/// Whether a client setting is one of Kafka's type PASSWORD.
fn is_secret(key: &str) -> bool {
    key.ends_with("password") || key.contains("jaas.config") || key == "ssl.keystore.key" || key.contains("secret")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tests::plugins;

    fn infos(extra: &[(&str, Option<&str>)]) -> ConfigInfos {
        let mut given: ConfigMap = [("connector.class", "test-source"), ("name", "c")]
            .map(|(k, v)| (k.to_owned(), Some(v.to_owned())))
            .into_iter()
            .collect();
        given.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))));
        validate(&plugins(), None, None, &given).expect("a plugin")
    }

    fn errors(infos: &ConfigInfos, key: &str) -> Vec<String> {
        infos.configs.iter().filter(|c| c.value.name == key).flat_map(|c| c.value.errors.clone()).collect()
    }

    #[test]
    fn another_version_than_the_plugins_is_refused_at_both_keys() {
        let found = infos(&[("connector.plugin.version", Some("[0.5,2)"))]);
        assert_eq!(found.error_count, 0, "{:?}", found.errors().collect::<Vec<_>>());
        let found = infos(&[("connector.plugin.version", Some("9"))]);
        let text = "Plugin test-source not found that matches the version range [9,9], available versions: [1.0]";
        assert_eq!(errors(&found, "connector.class"), [text]);
        assert_eq!(errors(&found, "connector.plugin.version"), [text]);
        assert_eq!(found.error_count, 2);
    }

    #[test]
    fn what_is_no_number_of_tasks_is_complained_of_twice_as_in_kafka_connect() {
        for (given, shown) in [("x", "x"), ("", ""), ("1.5", "1.5")] {
            let found = infos(&[("tasks.max", Some(given))]);
            let texts = [
                format!("Invalid value {shown} for configuration tasks.max: Not a number of type INT"),
                "Invalid value null for configuration tasks.max: Value must be non-null".to_owned(),
            ];
            assert_eq!((errors(&found, "tasks.max"), found.error_count), (texts.to_vec(), 2));
        }
        let found = infos(&[("tasks.max", Some("0"))]);
        assert_eq!(found.error_count, 1, "{:?}", errors(&found, "tasks.max"));
    }

    #[test]
    fn overrides_have_entries_and_their_errors_the_value() {
        let found = infos(&[
            ("producer.override.acks", Some("x")),
            ("producer.override.linger.ms", Some("5")),
            ("consumer.override.max.poll.records", Some("x")),
        ]);
        let text = errors(&found, "producer.override.acks").join("\n");
        assert!(text.starts_with("Invalid value x for configuration producer.override.acks: "), "{text}");
        let names: Vec<&str> = found.configs.iter().map(|c| c.value.name.as_str()).collect();
        assert!(names.contains(&"producer.override.linger.ms"));
        assert!(!names.contains(&"consumer.override.max.poll.records"), "a source has no use for it");
        assert_eq!(found.error_count, 1);
    }

    #[test]
    fn secrets_of_clients_are_not_shown() {
        let found = infos(&[("producer.override.sasl.jaas.config", Some("s3cret"))]);
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn a_policy_refuses_overrides() {
        let settings = Settings::from([
            ("key.converter", "a"),
            ("value.converter", "b"),
            ("connector.client.config.override.policy", "None"),
        ]);
        let worker = <WorkerConfig as connect_api::config::Config>::parse(&settings).expect("settings");
        let given = [("connector.class", "test-source"), ("name", "c"), ("producer.override.linger.ms", "5")];
        let given = given.map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).into_iter().collect();
        let found = validate(&plugins(), Some(&worker), None, &given).expect("a plugin");
        let text = "The 'None' policy does not allow 'linger.ms' to be overridden in the connector configuration.";
        assert_eq!(errors(&found, "producer.override.linger.ms"), [text]);
    }
}
