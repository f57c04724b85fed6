//! Complete validation of a connector's configuration: every problem at once (rest.md §6).

use connect_api::{
    Result, Settings,
    config::{ConfigDef, ConfigKey, ConfigValue, Default, KeyType, split_list},
};
use connect_kafka::Role;
use connect_rest_model::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigMap, ConfigValueInfo};

use crate::{
    framework,
    registry::{ConnectorPlugin, Direction, Plugins, nearest},
};

/// Validates a configuration as it was given, nulls included. An error means that there is no such plugin.
pub fn validate(plugins: &Plugins, given: &ConfigMap) -> Result<ConfigInfos> {
    let settings: Settings = given.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_deref()?))).collect();
    let class = settings.get("connector.class").unwrap_or_default();
    let plugin = plugins.connectors.find(class)?;
    let mut definition = framework::definition(plugin.direction());
    dynamic_keys(plugins, &settings, &mut definition);
    let mut infos = Infos { definition, values: Vec::new() };
    infos.values = infos.definition.validate(&settings);
    plugin_types(plugins, &settings, &mut infos);
    if plugin.direction() == Direction::Sink {
        topics(&settings, &mut infos);
    }
    for (key, text) in framework::refused(&settings, plugin.direction()) {
        infos.error(&key, text);
    }
    for (key, value) in given {
        if value.is_none() {
            infos.error(key, "Null value can not be supplied as the configuration value.".into());
        }
    }
    infos.plugin(&plugin, &settings);
    converters(plugins, &settings, &mut infos);
    clients(&settings, plugin.direction(), &mut infos);
    Ok(infos.finish(class))
}

/// Sentences about keys that nobody knows, each with the nearest known name.
pub fn unknown_keys(plugins: &Plugins, settings: &Settings) -> Vec<String> {
    let Ok(plugin) = plugins.connectors.find(settings.get("connector.class").unwrap_or_default()) else {
        return Vec::new();
    };
    let mut definition = framework::definition(plugin.direction());
    definition.embed("", &plugin.definition);
    let unknown = settings.keys().filter(|k| definition.key(k).is_none() && !framework::is_framework_key(k));
    unknown
        .map(|key| {
            let hint = nearest(key, definition.keys().iter().map(|k| k.name.as_str()));
            let hint = hint.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            format!("the setting {key} is unknown to {} and has no effect{hint}", plugin.info.name)
        })
        .collect()
}

struct Infos {
    definition: ConfigDef,
    values: Vec<ConfigValue>,
}

impl Infos {
    fn error(&mut self, key: &str, text: String) {
        match self.values.iter_mut().find(|v| v.name == key) {
            Some(value) => value.errors.push(text),
            None => self.values.insert(
                0,
                ConfigValue {
                    name: key.to_owned(),
                    value: None,
                    recommended_values: Vec::new(),
                    errors: vec![text],
                    visible: true,
                },
            ),
        }
    }

    fn plugin(&mut self, plugin: &ConnectorPlugin, settings: &Settings) {
        for value in plugin.validate(settings) {
            // A connector that redefines a key of the framework replaces it.
            match self.values.iter_mut().find(|v| v.name == value.name) {
                Some(old) => {
                    let nulls = old.errors.iter().filter(|e| e.starts_with("Null value")).cloned().collect::<Vec<_>>();
                    *old = value;
                    old.errors.extend(nulls);
                }
                None => self.values.push(value),
            }
        }
        self.definition.embed("", &plugin.definition);
    }

    fn finish(self, class: &str) -> ConfigInfos {
        let mut groups: Vec<String> = Vec::new();
        for group in self.definition.keys().iter().filter_map(|k| k.group.clone()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let configs: Vec<ConfigInfo> = self
            .values
            .into_iter()
            .map(|v| ConfigInfo { definition: self.definition.key(&v.name).map(key_info), value: value_info(v) })
            .collect();
        ConfigInfos {
            name: class.to_owned(),
            error_count: configs.iter().map(|c| c.value.errors.len()).sum(),
            groups,
            configs,
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
    split_list(settings.get(key).unwrap_or_default().trim())
}

fn dynamic_keys(plugins: &Plugins, settings: &Settings, definition: &mut ConfigDef) {
    for (list, group) in [("transforms", "Transforms"), ("predicates", "Predicates")] {
        for alias in aliases(settings, list) {
            let prefix = format!("{list}.{alias}.");
            let class = settings.get(&format!("{prefix}type")).unwrap_or_default();
            let (names, own) = if list == "transforms" {
                let names = plugins.transforms.all().iter().map(|p| p.info.class().to_owned()).collect();
                (names, plugins.transforms.find(class).map(|p| p.definition.clone()))
            } else {
                let names = plugins.predicates.all().iter().map(|p| p.info.class().to_owned()).collect();
                (names, plugins.predicates.find(class).map(|p| p.definition.clone()))
            };
            let mut type_key = framework::type_key(format!("{prefix}type"), names);
            type_key.group = Some(format!("{group}: {alias}"));
            definition.push(type_key);
            if let Ok(own) = own {
                definition.embed(&prefix, &own);
            }
        }
    }
}

fn plugin_types(plugins: &Plugins, settings: &Settings, infos: &mut Infos) {
    for (list, kind) in [("transforms", "transform"), ("predicates", "predicate")] {
        for alias in aliases(settings, list) {
            let key = format!("{list}.{alias}.type");
            let Some(class) = settings.get(&key) else { continue };
            let found = if kind == "transform" {
                plugins.transforms.find(class).map(drop)
            } else {
                plugins.predicates.find(class).map(drop)
            };
            if let Err(e) = found {
                infos.error(&key, connect_api::config::invalid_value(class, &key, e.message()));
            }
            let negated = settings.contains(&format!("{list}.{alias}.negate"));
            let predicate = settings.get(&format!("{list}.{alias}.predicate"));
            if kind == "transform" && negated && predicate.is_none() {
                infos.error(
                    &key,
                    format!(
                        "Config 'transforms.{alias}.negate' was provided but there is no config 'transforms.{alias}.predicate' \
                         defining a predicate to be negated."
                    ),
                );
            }
            if let Some(p) = predicate
                .filter(|p| kind == "transform" && !aliases(settings, "predicates").contains(&p.trim().to_owned()))
            {
                infos.error(
                    &key,
                    format!("the transform {alias} names the predicate {p}, which predicates does not list"),
                );
            }
        }
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
                let prefix = format!("{key}.");
                for value in plugin.definition.validate(&settings.prefixed(&prefix)) {
                    infos.values.push(ConfigValue { name: format!("{prefix}{}", value.name), ..value });
                }
                infos.definition.embed(&prefix, &plugin.definition);
            }
            Err(e) => infos.error(key, connect_api::config::invalid_value(class, key, e.message())),
        }
    }
}

fn clients(settings: &Settings, direction: Direction, infos: &mut Infos) {
    let dlq = settings.get("errors.deadletterqueue.topic.name").is_some_and(|t| !t.trim().is_empty());
    let roles: &[(Role, &str)] = match (direction, dlq) {
        (Direction::Source, _) => &[(Role::Producer, "producer.override.")],
        (Direction::Sink, false) => &[(Role::Consumer, "consumer.override.")],
        (Direction::Sink, true) => &[
            (Role::Consumer, "consumer.override."),
            (Role::Producer, "producer.override."),
            (Role::Admin, "admin.override."),
        ],
    };
    for (role, prefix) in roles {
        if !settings.has_prefix(prefix) {
            continue;
        }
        // The worker's own part was checked when it started.
        if let Err(problems) = connect_kafka::translate(*role, &settings.prefixed(prefix)) {
            for p in problems {
                infos.error(
                    &format!("{prefix}{}", p.key),
                    format!("Invalid value for configuration {prefix}{}: {}", p.key, p.reason),
                );
            }
        }
    }
}
