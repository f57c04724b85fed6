//! The flat map of texts that a connector, task or plugin is configured with.

use std::{collections::BTreeMap, fmt};

/// Settings by key. Values are the texts as written; `Debug` prints the keys only, since values may be
/// secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// No settings.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// As [`Settings::set`], for chains.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// All keys that start with the prefix, without it.
    pub fn prefixed(&self, prefix: &str) -> Settings {
        let range = self.0.range(prefix.to_owned()..);
        let matching = range.take_while(|(k, _)| k.starts_with(prefix));
        Self(matching.map(|(k, v)| (k[prefix.len()..].to_owned(), v.clone())).collect())
    }

    /// Whether any key starts with the prefix.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.0.range(prefix.to_owned()..).next().is_some_and(|(k, _)| k.starts_with(prefix))
    }

    /// Adds all of the other's settings, which win.
    pub fn extend(&mut self, other: &Settings) {
        self.0.extend(other.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// Keys and texts, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Settings {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_stripped_and_secrets_not_printed() {
        let s = Settings::from([("a.b", "secret"), ("a.c", "2"), ("ab", "3")]);
        assert_eq!(s.prefixed("a.").keys().collect::<Vec<_>>(), ["b", "c"]);
        assert!(!format!("{s:?}").contains("secret"));
    }
}
