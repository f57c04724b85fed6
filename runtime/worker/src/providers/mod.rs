//! Config providers: `${provider:path:key}` in settings stands for a value that is kept elsewhere (config.md §6.5).
//!
//! References are resolved when a connector or a task starts and when settings are validated, so that a restart takes
//! up new values. What is stored and shown is the text as written; a value that a provider gave is a secret
//! ([`secrets`]) and is shown as its reference wherever it would come up.
//!
//! - [`mod@reference`]: references in a text; `files`, `environment`: the providers; [`resolved`]: what becomes of settings
//! - [`secrets`]: keeps values out of logs, states and answers

mod environment;
mod files;
pub mod reference;
pub mod resolved;
pub mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use connect_api::{
    Error, Result, Settings,
    config::{Problem, Problems, missing_value, split_list},
};

use crate::registry::nearest;
use environment::Environment;
use files::AllowedPaths;
use reference::Reference;
pub use resolved::Resolved;
use secrets::Secrets;

/// The worker setting that lists aliases of providers.
pub const ALIASES: &str = "config.providers";

/// What a provider answered: the values that it has, and why it has none where it did not even look.
#[derive(Debug, Default)]
struct Answer {
    values: BTreeMap<String, String>,
    refused: Option<String>,
}

impl Answer {
    fn refused(why: String) -> Self {
        Self { values: BTreeMap::new(), refused: Some(why) }
    }
}

#[derive(Debug)]
enum Provider {
    File(AllowedPaths),
    Directory(AllowedPaths),
    Environment(Environment),
}

/// Simple names of Kafka's own providers, each with its parameter.
const KNOWN: [(&str, &str); 3] = [
    ("FileConfigProvider", files::ALLOWED_PATHS),
    ("DirectoryConfigProvider", files::ALLOWED_PATHS),
    ("EnvVarConfigProvider", environment::ALLOWLIST),
];
const PACKAGE: &str = "org.apache.kafka.common.config.provider.";

/// The simple name of the class, which may be given with its package, or without the words that all of them end with.
fn simple_name(class: &str) -> Option<&'static str> {
    let class = class.trim();
    let short = class.strip_prefix(PACKAGE).unwrap_or(class);
    KNOWN.iter().map(|(name, _)| *name).find(|name| {
        short == *name || (short == class && name.strip_suffix("ConfigProvider").is_some_and(|alias| alias == class))
    })
}

impl Provider {
    fn new(name: &str, parameters: &Settings) -> Result<Self, String> {
        Ok(match name {
            "EnvVarConfigProvider" => Self::Environment(Environment::capture(parameters)?),
            "DirectoryConfigProvider" => Self::Directory(AllowedPaths::read(parameters)?),
            _ => Self::File(AllowedPaths::read(parameters)?),
        })
    }

    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Answer> {
        match self {
            Self::File(allowed) => files::properties(allowed, path, keys),
            Self::Directory(allowed) => files::directory(allowed, path, keys),
            Self::Environment(environment) => environment.get(path, keys),
        }
    }
}

/// The providers that the worker's settings declare. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    all: Arc<BTreeMap<String, Provider>>,
    secrets: Secrets,
}

impl Providers {
    /// As the worker's settings say; values that they give become known to `secrets`. The error lists every problem.
    pub fn read(worker: &Settings, secrets: Secrets) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut all = BTreeMap::new();
        for alias in split_list(worker.get(ALIASES).unwrap_or_default().trim()) {
            let key = format!("{ALIASES}.{alias}.class");
            let Some(class) = worker.get(&key) else {
                problems.add(key.as_str(), missing_value(&key));
                continue;
            };
            let Some(name) = simple_name(class) else {
                let near = nearest(class, KNOWN.iter().map(|(name, _)| *name));
                let hint = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
                let text =
                    format!("{key}: {class} cannot be loaded without a JVM; {} are built in{hint}", known.join(", "));
                problems.add(key, text);
                continue;
            };
            match Provider::new(name, &worker.prefixed(&format!("{ALIASES}.{alias}.param."))) {
                Ok(provider) => drop(all.insert(alias, provider)),
                Err(why) => {
                    let (_, parameter) = KNOWN.iter().find(|(n, _)| *n == name).copied().unwrap_or_default();
                    let key = format!("{ALIASES}.{alias}.param.{parameter}");
                    problems.add(key.as_str(), format!("{key}: {why}"));
                }
            }
        }
        if problems.is_empty() { Ok(Self { all: Arc::new(all), secrets }) } else { Err(problems) }
    }

    /// Sentences about settings of providers that nobody reads.
    pub fn unknown_keys(worker: &Settings) -> Vec<Problem> {
        let aliases = split_list(worker.get(ALIASES).unwrap_or_default().trim());
        let known: Vec<String> = aliases
            .iter()
            .flat_map(|alias| {
                let prefix = format!("{ALIASES}.{alias}.");
                let name = worker.get(&format!("{prefix}class")).and_then(simple_name);
                let parameter = KNOWN.iter().find(|(n, _)| Some(*n) == name).map(|(_, p)| format!("{prefix}param.{p}"));
                std::iter::once(format!("{prefix}class")).chain(parameter)
            })
            .collect();
        let given = worker.keys().filter(|k| k.starts_with("config.providers.") && !known.iter().any(|n| n == k));
        given
            .map(|key| {
                let hint = nearest(key, known.iter().map(String::as_str));
                let hint = hint.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                let text = format!("the worker setting {key} is unknown and has no effect{hint}");
                Problem { key: key.to_owned(), text }
            })
            .collect()
    }

    /// What must not be shown.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Resolves the worker's own settings. `plugin.path` stays as written, as in Kafka Connect.
    pub fn resolve_worker(&self, worker: &Settings) -> Result<Resolved> {
        const RAW: &str = "plugin.path";
        let mut resolved = self.resolve(worker)?;
        if let Some(path) = worker.get(RAW) {
            resolved.settings.set(RAW, path);
        }
        Ok(resolved)
    }

    /// The class that a connector's settings name, which may itself be a reference.
    pub fn connector_class(&self, connector: &Settings) -> Result<String> {
        const KEY: &str = "connector.class";
        let class = connector.get(KEY).unwrap_or_default();
        let resolved = self.resolve(&Settings::from([(KEY, class)]))?;
        Ok(resolved.settings.get(KEY).unwrap_or_default().to_owned())
    }

    /// Replaces references by what the providers have. One of an unknown provider or to a key that its provider
    /// does not have stays as it is, as in Kafka Connect; what cannot be read is an error.
    pub fn resolve(&self, settings: &Settings) -> Result<Resolved> {
        let mut asked: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for (_, text) in settings.iter() {
            for r in reference::all(text) {
                asked.entry((r.provider, r.path)).or_default().insert(r.key);
            }
        }
        let mut answers: BTreeMap<(&str, &str), Answer> = BTreeMap::new();
        for ((alias, path), keys) in asked {
            let Some(provider) = self.all.get(alias) else { continue };
            let answer = provider.get(path, &keys).map_err(|e| {
                let of: Vec<&str> = settings
                    .iter()
                    .filter(|(_, text)| reference::all(text).any(|r| (r.provider, r.path) == (alias, path)))
                    .map(|(key, _)| key)
                    .collect();
                config_error(format!("resolving ${{{alias}:…}} in {}", of.join(", "))).caused_by(e)
            })?;
            answers.insert((alias, path), answer);
        }
        let mut resolved = Resolved::default();
        for (key, text) in settings.iter() {
            let mut out = String::new();
            let mut rest = 0;
            for r in reference::all(text) {
                out.push_str(&text[rest..r.range.start]);
                rest = r.range.end;
                let answer = answers.get(&(r.provider, r.path));
                match answer.and_then(|a| a.values.get(r.key)) {
                    Some(value) => {
                        self.secrets.add(value, r.text);
                        resolved.found(value, r.text);
                        out.push_str(value);
                    }
                    None => {
                        resolved.unresolved.push((key.to_owned(), self.why_not(key, &r, answer)));
                        out.push_str(r.text);
                    }
                }
            }
            out.push_str(&text[rest..]);
            resolved.set(key, text, out);
        }
        Ok(resolved)
    }

    fn why_not(&self, key: &str, r: &Reference<'_>, answer: Option<&Answer>) -> String {
        let why = match answer {
            None if self.all.is_empty() => "there are no config providers (worker setting config.providers)".to_owned(),
            None => {
                let known: Vec<&str> = self.all.keys().map(String::as_str).collect();
                format!("no config provider is called {:?}, only {}", r.provider, known.join(", "))
            }
            Some(Answer { refused: Some(why), .. }) => why.clone(),
            Some(_) if r.path.is_empty() => format!("there is no {:?} that the provider may read", r.key),
            Some(_) => format!("{} has no {:?}", r.path, r.key),
        };
        format!("{} in the setting {key} stays as it is: {why}", r.text)
    }
}

fn config_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::fatal(message).exception("org.apache.kafka.common.config.ConfigException")
}

#[cfg(test)]
mod tests;
