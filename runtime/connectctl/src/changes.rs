//! How settings differ, and which of their values are nobody's business.

use connect_api::config::Secret;
use indexmap::IndexMap;
use serde::Serialize;

use crate::client::Client;

/// A setting whose value differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Key.
    pub key: String,
    /// Value so far; null where there was none.
    pub old: Option<String>,
    /// New value; null where it goes.
    pub new: Option<String>,
}

/// What differs: in the order of the new settings, then what they have no more.
pub fn changes(old: &IndexMap<String, String>, new: &[(String, String)]) -> Vec<Change> {
    let differs = new.iter().filter(|(key, value)| old.get(key) != Some(value));
    let differs =
        differs.map(|(key, value)| Change { key: key.clone(), old: old.get(key).cloned(), new: Some(value.clone()) });
    let gone = old.iter().filter(|(key, _)| !new.iter().any(|(n, _)| n == *key));
    let gone = gone.map(|(key, value)| Change { key: key.clone(), old: Some(value.clone()), new: None });
    differs.chain(gone).collect()
}

/// Which settings of a plugin are secret.
#[derive(Debug, Clone, Default)]
pub struct SecretKeys(Vec<String>);

impl SecretKeys {
    /// As the plugin defines them; a worker that does not tell leaves it to the keys' names.
    pub async fn of(client: &Client, class: Option<&str>) -> Self {
        let Some(class) = class.filter(|c| !c.is_empty()) else { return Self::default() };
        let definition = client.definition(class).await.unwrap_or_default();
        Self(definition.into_iter().filter(|key| key.kind == "PASSWORD").map(|key| key.name).collect())
    }

    /// Whether values of this key are secret: as the plugin says, or as its name does.
    fn has(&self, key: &str) -> bool {
        let lower = key.to_ascii_lowercase();
        let named = ["password", "secret", "token", "jaas.config", "user.info", "api.key"].iter();
        self.0.iter().any(|k| k == key) || named.clone().any(|end| lower.ends_with(end))
    }

    /// The value as it may be shown. A reference to a secret is none.
    pub fn shown(&self, key: &str, value: &str) -> String {
        let refers = value.contains("${");
        if self.has(key) && !refers && !value.is_empty() { Secret::new(value).to_string() } else { value.to_owned() }
    }

    /// The change as it may be shown.
    pub fn shown_change(&self, change: &Change) -> Change {
        let shown = |value: &Option<String>| value.as_ref().map(|v| self.shown(&change.key, v));
        Change { key: change.key.clone(), old: shown(&change.old), new: shown(&change.new) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_differ_by_key() {
        let old = [("a", "1"), ("b", "2"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        let new = [("d", "4"), ("b", "x"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let change = |key: &str, old: Option<&str>, new: Option<&str>| Change {
            key: key.into(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        let expected = [change("d", None, Some("4")), change("b", Some("2"), Some("x")), change("a", Some("1"), None)];
        assert_eq!(changes(&old, &new), expected);
    }

    #[test]
    fn secrets_are_hidden_but_references_are_not() {
        let keys = SecretKeys(vec!["slack.webhook".into()]);
        assert_eq!(keys.shown("slack.webhook", "https://x"), "[hidden]");
        assert_eq!(keys.shown("influxdb.password", "${env:PW}"), "${env:PW}");
        assert_eq!(keys.shown("influxdb.password", "pw"), "[hidden]");
        assert_eq!(keys.shown("topics", "token-topic"), "token-topic");
    }
}
