//! Settings with their references resolved, and the way back for what is stored and shown.

use std::collections::BTreeMap;

use connect_api::Settings;
use connect_rest_model::{ConfigInfos, ConfigMap};

use super::{reference, secrets::Replacements};

/// Settings after their references were resolved.
#[derive(Clone, Default)]
pub struct Resolved {
    /// The settings with values.
    pub settings: Settings,
    /// References that stay as they are: key of the setting and a sentence that says why.
    pub unresolved: Vec<(String, String)>,
    /// What is written where a setting has references, whether they could be resolved or not.
    written: BTreeMap<String, String>,
    /// Values as they were given, with their references.
    values: Vec<(String, String)>,
    replacements: Replacements,
}

impl Resolved {
    pub(super) fn found(&mut self, value: &str, reference: &str) {
        self.replacements.add(value, reference);
        self.values.push((value.to_owned(), reference.to_owned()));
    }

    pub(super) fn set(&mut self, key: &str, written: &str, value: String) {
        if reference::is_in(written) {
            self.written.insert(key.to_owned(), written.to_owned());
        }
        self.settings.set(key, value);
    }

    /// Says in the log which references stay as they are.
    pub fn warn(&self) {
        self.unresolved.iter().for_each(|(_, sentence)| tracing::warn!("{sentence}"));
    }

    /// A request's settings with values in place of references; what is null stays so.
    pub fn given(&self, config: &ConfigMap) -> ConfigMap {
        let value = |k: &String, v: &Option<String>| v.as_ref().map(|v| self.settings.get(k).unwrap_or(v).to_owned());
        config.iter().map(|(k, v)| (k.clone(), value(k, v))).collect()
    }

    /// Puts references back into the settings of a task, which are stored and shown: first the connector's own text
    /// of the same key, as Kafka Connect does, then for values that the connector copied elsewhere.
    pub fn reverse(&self, task: &mut Settings) {
        let all: Vec<(String, String)> = task.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for (key, mut text) in all {
            if let Some(written) = self.written.get(&key) {
                task.set(key, written);
                continue;
            }
            for (value, reference) in &self.values {
                if value.len() >= COPIED && text.contains(value.as_str()) {
                    text = text.replace(value.as_str(), reference);
                } else if value.trim().len() >= COPIED && text == value.trim() {
                    text.clone_from(reference);
                }
            }
            task.set(key, text);
        }
    }

    /// A text about a setting without the values that providers gave.
    pub fn conceal(&self, key: &str, text: &str) -> String {
        let mut own = self.replacements.clone();
        if let (Some(written), Some(value)) = (self.written.get(key), self.settings.get(key)) {
            own.add_exactly(value.trim(), written);
        }
        own.apply(text).into_owned()
    }

    /// The outcome of a validation without the values that providers gave.
    pub fn conceal_infos(&self, infos: &mut ConfigInfos) {
        for value in infos.configs.iter_mut().map(|c| &mut c.value) {
            if let (Some(written), Some(shown)) = (self.written.get(&value.name), &mut value.value)
                && shown != "[hidden]"
            {
                shown.clone_from(written);
            }
            for e in &mut value.errors {
                *e = self.conceal(&value.name, e);
            }
        }
    }
}

/// A shorter value may stand in a setting by chance.
const COPIED: usize = 6;

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved").field("settings", &self.settings).field("unresolved", &self.unresolved).finish()
    }
}
