//! Settings that a plugin demands although each of them alone is optional: one of several, or one beside another.
//!
//! Definitions have no place for that. Validation tells it, so the worker is asked to validate what the file would say, and
//! that with one more setting each. Nothing is created by it.

use std::time::Duration;

use connect_rest_model::{ConfigInfos, ConfigKeyInfo, ConfigMap};

use super::Template;
use crate::{client::Client, placeholder::OPEN};

/// Longest time for all questions: what the worker has not told by then stays unsaid.
const LIMIT: Duration = Duration::from_secs(5);

/// Values that stand for one that only the user knows. The host is one that never is.
const TRIED: [&str; 6] = [OPEN, "http://change-me.invalid", "change-me.invalid:1", "1", "/change-me", "[]"];

/// What is needed, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    all: Vec<Need>,
}

#[derive(Debug, PartialEq, Eq)]
struct Need {
    key: String,
    /// The setting beside which it is needed; none where it always is.
    beside: Option<String>,
    /// The worker's words.
    message: String,
}

impl Needs {
    /// Asks the worker. One that cannot tell has told nothing.
    pub(super) async fn ask(template: &Template<'_>, client: &Client) -> Self {
        let mut found = Self::default();
        // What has come by the end of the time counts.
        let _ = tokio::time::timeout(LIMIT, found.learn(template, client)).await;
        found
    }

    async fn learn(&mut self, template: &Template<'_>, client: &Client) -> Option<()> {
        let own = template.shown().0;
        let (config, infos) = Trial { template, client }.base().await?;
        self.note(&infos, &config, template.keys, None);
        for key in own.iter().filter(|key| !key.required && key.default_value.is_none()) {
            if config.contains_key(&key.name) {
                continue;
            }
            let infos = Trial { template, client }.with(&config, key).await?;
            self.note(&infos, &config, template.keys, Some(&key.name));
        }
        Some(())
    }

    /// Takes what is said of settings that are neither in the file nor the one beside it, but for what is always said. Keys that
    /// a message names are meant by it, too.
    fn note(&mut self, infos: &ConfigInfos, config: &ConfigMap, keys: &[ConfigKeyInfo], beside: Option<&str>) {
        let is_absent = |key: &str| !config.contains_key(key) && beside != Some(key);
        for value in infos.configs.iter().map(|c| &c.value).filter(|value| is_absent(&value.name)) {
            for message in &value.errors {
                let is_known =
                    self.all.iter().any(|n| n.beside.is_none() && n.key == value.name && n.message == *message);
                // What is said of a value that stands for another one is not said of that.
                if is_known || message.to_ascii_uppercase().contains(OPEN) {
                    continue;
                }
                let is_meant =
                    |k: &&ConfigKeyInfo| k.name == value.name || (beside.is_none() && names(message, &k.name));
                for key in keys.iter().filter(is_meant).filter(|k| !k.required) {
                    let beside = beside.map(str::to_owned);
                    self.all.push(Need { key: key.name.clone(), beside, message: message.clone() });
                }
            }
        }
    }

    /// What to say of a key.
    pub(super) fn of(&self, key: &str) -> Vec<String> {
        let line = |need: &Need| match &need.beside {
            Some(beside) => format!("Needed with {beside}: {}", need.message),
            None => format!("Needed: {}", need.message),
        };
        self.all.iter().filter(|need| need.key == key).map(line).collect()
    }
}

/// Whether the text has this key as a word of its own.
fn names(text: &str, key: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.split(|c: char| !part(c)).any(|word| word.trim_end_matches('.') == key)
}

struct Trial<'a> {
    template: &'a Template<'a>,
    client: &'a Client,
}

impl Trial<'_> {
    /// What the file would say, with values in place of the open ones that are right in themselves where there are some.
    async fn base(&self) -> Option<(ConfigMap, ConfigInfos)> {
        let document = self.template.json();
        let text = |v: &serde_json::Value| v.as_str().map(str::to_owned);
        let given = document["config"].as_object()?.iter().map(|(key, value)| (key.clone(), text(value)));
        let mut config: ConfigMap = given.collect();
        config.insert("name".into(), Some(self.template.name.to_owned()));
        let is_open = |(_, value): &(&String, &Option<String>)| value.as_deref() == Some(OPEN);
        let mut open: Vec<(String, usize)> = config.iter().filter(is_open).map(|(key, _)| (key.clone(), 0)).collect();
        loop {
            let infos = self.ask(&config).await?;
            let mut is_other = false;
            for (key, tried) in &mut open {
                let mut wrong =
                    infos.configs.iter().map(|c| &c.value).filter(|v| v.name == *key && !v.errors.is_empty());
                let Some(value) = wrong.next() else { continue };
                // One of a few words is known best by who names them.
                let known = value.recommended_values.first().map(String::as_str);
                if let Some(next) = known.into_iter().chain(TRIED[1..].iter().copied()).nth(*tried) {
                    config.insert(key.clone(), Some(next.to_owned()));
                    *tried += 1;
                    is_other = true;
                }
            }
            if !is_other {
                return Some((config, infos));
            }
        }
    }

    /// As it is with a value for one key more, the first that is right in itself.
    async fn with(&self, config: &ConfigMap, key: &ConfigKeyInfo) -> Option<ConfigInfos> {
        let mut first = None;
        for text in TRIED {
            let mut more = config.clone();
            more.insert(key.name.clone(), Some(text.to_owned()));
            let infos = self.ask(&more).await?;
            if infos.configs.iter().all(|c| c.value.name != key.name || c.value.errors.is_empty()) {
                return Some(infos);
            }
            first.get_or_insert(infos);
        }
        first
    }

    async fn ask(&self, config: &ConfigMap) -> Option<ConfigInfos> {
        self.client.validate(self.template.plugin, config).await.ok()
    }
}
