//! Keys with their attributes, and validation that finds every problem.

use std::{fmt, sync::Arc};

use super::{Settings, types::split_list};

/// Kafka's types of configuration values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum KeyType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl KeyType {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// How important a key is to most users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form should show the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

impl Width {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// What stands for an absent value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// Nothing: the key is required.
    Required,
    /// Null.
    Null,
    /// A text, read as if it had been written.
    Text(String),
}

type Check = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// One key of a definition.
#[derive(Clone)]
pub struct ConfigKey {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: KeyType,
    /// Default.
    pub default: Default,
    /// Importance.
    pub importance: Importance,
    /// Documentation, plain text.
    pub documentation: String,
    /// Group in forms.
    pub group: Option<String>,
    /// Order within the group, -1 without one.
    pub order: i32,
    /// Width in forms.
    pub width: Width,
    /// Name in forms.
    pub display_name: String,
    /// Keys that depend on this one.
    pub dependents: Vec<String>,
    /// Values that can be proposed.
    pub recommended: Vec<String>,
    /// Checks of the text, in order: type first, then validators. Each error is a reason.
    pub(crate) checks: Vec<Check>,
    /// Checks whose errors are shown as they are, after those that give a reason.
    pub(crate) rules: Vec<Check>,
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigKey({} {})", self.name, self.kind.name())
    }
}

/// The result of validating one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue {
    /// Name of the key.
    pub name: String,
    /// Parsed value as text; `[hidden]` for passwords; none when absent or unreadable.
    pub value: Option<String>,
    /// Values that can be proposed.
    pub recommended_values: Vec<String>,
    /// Every problem of this key, ready to show.
    pub errors: Vec<String>,
    /// Whether a form should show the key.
    pub visible: bool,
}

/// The keys that a plugin knows, in order.
#[derive(Debug, Clone, std::default::Default)]
pub struct ConfigDef {
    keys: Vec<ConfigKey>,
    families: Vec<Family>,
}

/// Keys with one beginning whose rest is not the plugin's to define, such as those of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// What they begin with, the dot included.
    pub prefix: String,
    /// Documentation, plain text.
    pub documentation: String,
}

impl ConfigDef {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a key. A key of the same name is replaced in place.
    pub fn push(&mut self, mut key: ConfigKey) -> &mut Self {
        if key.group.is_some() && key.order < 0 {
            let last = self.keys.iter().filter(|k| k.group == key.group).map(|k| k.order).max().unwrap_or(0);
            key.order = last.max(0) + 1;
        }
        match self.keys.iter_mut().find(|k| k.name == key.name) {
            Some(old) => *old = key,
            None => self.keys.push(key),
        }
        self
    }

    /// Takes all keys that begin so, whatever follows.
    pub fn family(&mut self, prefix: &str, documentation: &str) -> &mut Self {
        self.families.push(Family { prefix: prefix.to_owned(), documentation: documentation.to_owned() });
        self
    }

    /// All families in order.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Whether a key is defined, or belongs to a family.
    pub fn knows(&self, name: &str) -> bool {
        self.key(name).is_some() || self.families.iter().any(|family| name.starts_with(&family.prefix))
    }

    /// Appends all keys and families of another definition, with a prefix.
    pub fn embed(&mut self, prefix: &str, other: &ConfigDef) -> &mut Self {
        for family in &other.families {
            self.family(&format!("{prefix}{}", family.prefix), &family.documentation);
        }
        for key in &other.keys {
            let mut key = key.clone();
            key.name = format!("{prefix}{}", key.name);
            self.push(key);
        }
        self
    }

    /// All keys in order.
    pub fn keys(&self) -> &[ConfigKey] {
        &self.keys
    }

    /// A key by name.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.iter().find(|k| k.name == name)
    }

    /// Validates all keys; one result per key in order, each with all of its problems.
    pub fn validate(&self, settings: &Settings) -> Vec<ConfigValue> {
        self.keys.iter().map(|key| key.validate(settings.get(&key.name))).collect()
    }
}

impl ConfigKey {
    /// Validates the text of this key.
    pub fn validate(&self, given: Option<&str>) -> ConfigValue {
        let mut errors = Vec::new();
        let text = match (given, &self.default) {
            (Some(text), _) => Some(text.trim().to_owned()),
            (None, Default::Text(text)) => Some(text.clone()),
            (None, Default::Null) => None,
            (None, Default::Required) => {
                errors.push(missing_value(&self.name));
                None
            }
        };
        // Kafka reads the type first: a text that is one is shown even if a validator refuses it.
        let mut readable = true;
        if let Some(text) = &text
            && let Some((i, Err(reason))) =
                self.checks.iter().map(|check| check(text)).enumerate().find(|(_, r)| r.is_err())
        {
            let shown = match self.kind {
                KeyType::Password => "[hidden]".to_owned(),
                KeyType::List => format!("[{}]", split_list(text).join(", ")),
                _ => text.clone(),
            };
            errors.push(invalid_value(&shown, &self.name, &reason));
            readable = i > 0 || matches!(self.kind, KeyType::String | KeyType::List);
        } else if let Some(text) = &text
            && let Some(problem) = self.rules.iter().find_map(|rule| rule(text).err())
        {
            errors.push(problem);
        }
        let value = text.filter(|_| readable).map(|text| match self.kind {
            KeyType::Password => "[hidden]".to_owned(),
            KeyType::List => split_list(&text).join(","),
            KeyType::Boolean => text.to_ascii_lowercase(),
            _ => text,
        });
        ConfigValue {
            name: self.name.clone(),
            value,
            recommended_values: self.recommended.clone(),
            errors,
            visible: true,
        }
    }
}

/// Kafka's text for a value that cannot be used; user and password of a URL in it are hidden.
pub fn invalid_value(value: &str, key: &str, reason: &str) -> String {
    format!("Invalid value {} for configuration {key}: {reason}", without_credentials(value))
}

/// `scheme://user:password@host` with `[hidden]` in place of what stands before the `@`.
fn without_credentials(value: &str) -> String {
    let hide = |part: &str| {
        let (scheme, rest) = part.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let at = authority.rfind('@')?;
        Some(format!("{scheme}://[hidden]{}", &rest[at..]))
    };
    value.split(',').map(|part| hide(part).unwrap_or_else(|| part.to_owned())).collect::<Vec<_>>().join(",")
}

/// Kafka's text for a required key that is absent.
pub fn missing_value(key: &str) -> String {
    format!("Missing required configuration \"{key}\" which has no default value.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_not_shown() {
        let text = invalid_value("http://a:b,http://u:s3cret@h:1/x@y", "k", "no");
        assert_eq!(text, "Invalid value http://a:b,http://[hidden]@h:1/x@y for configuration k: no");
    }
}
