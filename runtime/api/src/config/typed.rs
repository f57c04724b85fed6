//! From a definition to a struct, and the `config!` macro.

use std::marker::PhantomData;

use super::{
    ConfigDef, ConfigKey, ConfigType, Default, Importance, Settings, Width, def::missing_value, invalid_value,
};
use crate::Error;

/// A struct that holds a plugin's settings; made by [`config!`](crate::config!).
pub trait Config: Sized + Send + Sync + 'static {
    /// The keys.
    fn definition() -> ConfigDef;

    /// Reads all fields from the reader; `None` when any failed.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Reads the settings. The error lists every problem. Unknown keys are not its business.
    fn parse(settings: &Settings) -> Result<Self, Problems> {
        let mut reader = Reader { definition: Self::definition(), settings, next: 0, problems: Problems::new() };
        let made = Self::read(&mut reader);
        match made {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(reader.problems),
        }
    }
}

/// A problem of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// The text to show.
    pub text: String,
}

/// All problems found so far.
#[derive(Debug, Clone, std::default::Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// None so far.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a problem of a key; the text names what is wrong and the way out.
    pub fn add(&mut self, key: impl Into<String>, text: impl Into<String>) -> &mut Self {
        self.0.push(Problem { key: key.into(), text: text.into() });
        self
    }

    /// Adds a problem in Kafka's form `Invalid value … for configuration …: reason`.
    pub fn invalid(&mut self, key: &str, value: &str, reason: &str) -> &mut Self {
        self.add(key, invalid_value(value, key, reason))
    }

    /// All in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        let texts: Vec<&str> = problems.0.iter().map(|p| p.text.as_str()).collect();
        Error::fatal(texts.join("; ")).exception("org.apache.kafka.common.config.ConfigException")
    }
}

/// Hands out the values of a definition in order; used by [`config!`](crate::config!).
#[derive(Debug)]
pub struct Reader<'a> {
    definition: ConfigDef,
    settings: &'a Settings,
    next: usize,
    problems: Problems,
}

impl Reader<'_> {
    /// The settings that begin so, without the beginning: those of a family.
    pub fn below(&self, prefix: &str) -> Settings {
        self.settings.prefixed(prefix)
    }

    /// The text of any setting, such as one that all connectors have.
    pub fn given(&self, key: &str) -> Option<&str> {
        self.settings.get(key)
    }

    /// Says what is wrong with a setting beside others, also where some of them cannot be read. The text names all of them.
    pub fn refuse(&mut self, key: &str, text: impl Into<String>) {
        self.problems.add(key, text);
    }

    /// The value of the next key of the definition.
    pub fn take<T: ConfigType>(&mut self) -> Option<T> {
        let key = self.definition.keys().get(self.next)?;
        self.next += 1;
        let checked = key.validate(self.settings.get(&key.name));
        if !checked.errors.is_empty() {
            for text in checked.errors {
                self.problems.add(&key.name, text);
            }
            return None;
        }
        let text = match (self.settings.get(&key.name), &key.default) {
            (Some(text), _) => Some(text.trim()),
            (None, Default::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        match text {
            Some(text) => T::parse(text).ok(),
            None => {
                let absent = T::absent();
                if absent.is_none() {
                    self.problems.add(&key.name, missing_value(&key.name));
                }
                absent
            }
        }
    }
}

/// Describes one key of a [`config!`](crate::config!) struct; starts with [`Key::new`].
#[derive(Debug)]
pub struct Key<T> {
    key: ConfigKey,
    kind: PhantomData<fn() -> T>,
}

impl<T: ConfigType + 'static> Key<T> {
    /// A key without default: required, unless the type is an `Option`.
    pub fn new(name: &str) -> Self {
        let default = if T::absent().is_some() { Default::Null } else { Default::Required };
        Self {
            key: ConfigKey {
                name: name.to_owned(),
                kind: T::KIND,
                default,
                importance: Importance::Medium,
                documentation: String::new(),
                group: None,
                order: -1,
                width: Width::None,
                display_name: name.to_owned(),
                dependents: Vec::new(),
                recommended: T::options(),
                checks: vec![std::sync::Arc::new(|text: &str| T::parse(text).map(drop))],
                rules: Vec::new(),
            },
            kind: PhantomData,
        }
    }

    fn edit(mut self, change: impl FnOnce(&mut ConfigKey)) -> Self {
        change(&mut self.key);
        self
    }

    /// Sets the default, written as in a file.
    pub fn default(self, text: &str) -> Self {
        self.edit(|k| k.default = Default::Text(text.to_owned()))
    }

    /// High importance; medium is the default.
    pub fn high(self) -> Self {
        self.edit(|k| k.importance = Importance::High)
    }

    /// Low importance.
    pub fn low(self) -> Self {
        self.edit(|k| k.importance = Importance::Low)
    }

    /// Group, width and name in forms; the order within the group is the order of definition. An empty group is none.
    pub fn form(self, group: &str, width: Width, display_name: &str) -> Self {
        self.edit(|k| {
            k.group = Some(group.to_owned()).filter(|group| !group.is_empty());
            k.width = width;
            k.display_name = display_name.to_owned();
        })
    }

    /// Sets the order within the group where it is not the order of definition.
    pub fn order(self, order: i32) -> Self {
        self.edit(|k| k.order = order)
    }

    /// Adds a check of the value, whose error is the reason shown.
    pub fn check(self, check: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static) -> Self {
        // A text that cannot be read was reported by the first check.
        self.edit(|k| k.checks.push(std::sync::Arc::new(move |text| T::parse(text).map_or(Ok(()), |v| check(&v)))))
    }

    /// Adds a check of the value, whose error is shown as it is; it has to name the setting itself.
    pub fn rule(self, rule: impl Fn(&T) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.edit(|k| k.rules.push(std::sync::Arc::new(move |text| T::parse(text).map_or(Ok(()), |v| rule(&v)))))
    }

    /// The finished key with its documentation.
    pub fn documented(mut self, text: &str) -> ConfigKey {
        self.key.documentation = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.key
    }
}

impl<T: ConfigType + PartialOrd + std::fmt::Display + Copy + Send + Sync + 'static> Key<T> {
    /// Refuses values below.
    pub fn at_least(self, min: T) -> Self {
        self.check(move |v| if *v < min { Err(format!("Value must be at least {min}")) } else { Ok(()) })
    }

    /// Refuses values above.
    pub fn at_most(self, max: T) -> Self {
        self.check(move |v| if *v > max { Err(format!("Value must be no more than {max}")) } else { Ok(()) })
    }
}

impl Key<Vec<String>> {
    /// Refuses a list without items.
    pub fn at_least_one(self) -> Self {
        self.check(|v| if v.is_empty() { Err("Empty list".into()) } else { Ok(()) })
    }
}

impl Key<String> {
    /// Refuses empty text.
    pub fn non_empty(self) -> Self {
        self.check(|v| if v.is_empty() { Err("String must be non-empty".into()) } else { Ok(()) })
    }

    /// The name of a topic: one that Kafka would refuse is found at once. Empty is left to other checks.
    pub fn topic(self) -> Self {
        self.check(|v| if v.is_empty() { Ok(()) } else { topic_name(v) })
    }
}

/// Whether Kafka takes this name for a topic; the error says what is wrong with it.
pub fn topic_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match name {
        "" => Err("the name of a topic is empty".into()),
        "." | ".." => Err(format!("no topic can be named {name}")),
        _ if name.len() > 249 => Err(format!("{name} is longer than the 249 characters that a topic's name may have")),
        _ => match name.chars().find(|c| !legal(*c)) {
            Some(c) => Err(format!("{name} holds {c:?}; names of topics consist of a-z, A-Z, 0-9, '.', '_' and '-'")),
            None => Ok(()),
        },
    }
}

/// Declares the settings of a plugin as a struct: a field's comment is its documentation, its type the
/// key's type, the expression behind `=` the rest.
///
/// ```
/// use connect_api::config::{Config, Key, Secret, Settings};
/// connect_api::config! {
///     /// Settings of the example.
///     #[derive(Debug)]
///     pub struct Example {
///         /// Where to write.
///         url: String = Key::new("example.url").high().non_empty(),
///         /// Most records of one request.
///         batch: i32 = Key::new("example.batch").default("500").at_least(1),
///         /// Password, if the server wants one.
///         password: Option<Secret> = Key::new("example.password"),
///     }
/// }
/// let ok = Example::parse(&Settings::from([("example.url", "http://x")])).expect("right");
/// assert_eq!((ok.batch, ok.password), (500, None));
/// let wrong = Example::parse(&Settings::from([("example.batch", "0")])).expect_err("wrong");
/// let texts: Vec<_> = wrong.iter().map(|p| p.text.as_str()).collect();
/// assert_eq!(texts, [
///     "Missing required configuration \"example.url\" which has no default value.",
///     "Invalid value 0 for configuration example.batch: Value must be at least 1",
/// ]);
/// ```
#[macro_export]
macro_rules! config {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident : $type:ty = $key:expr),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[doc = $doc])+ pub $field: $type),* }

        impl $crate::config::Config for $name {
            fn definition() -> $crate::config::ConfigDef {
                #[allow(unused_mut, reason = "a struct without fields")]
                let mut definition = $crate::config::ConfigDef::new();
                $({
                    let key: $crate::config::Key<$type> = $key;
                    definition.push(key.documented(::std::concat!($($doc),+)));
                })*
                definition
            }

            fn read(_reader: &mut $crate::config::Reader<'_>) -> ::std::option::Option<Self> {
                // All fields are read before any is judged, so that every problem is found.
                $(let $field = _reader.take::<$type>();)*
                ::std::option::Option::Some(Self { $($field: $field?),* })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyType, Secret};

    crate::config! {
        /// Test.
        #[derive(Debug)]
        struct Sample {
            /// First
            /// line.
            first: String = Key::new("first").high().form("G", Width::Long, "First"),
            /// Second.
            second: Option<i32> = Key::new("second").form("G", Width::Short, "Second"),
            /// Third.
            third: Secret = Key::new("third").default("x"),
            /// Fourth.
            fourth: Vec<String> = Key::new("fourth").default(""),
        }
    }

    #[test]
    fn definitions_carry_documentation_and_order() {
        let d = Sample::definition();
        assert_eq!(d.key("first").map(|k| k.documentation.as_str()), Some("First line."));
        assert_eq!(d.keys().iter().map(|k| k.order).collect::<Vec<_>>(), [1, 2, -1, -1]);
        assert_eq!(d.key("second").map(|k| (k.kind, k.default.clone())), Some((KeyType::Int, Default::Null)));
    }

    #[test]
    fn every_problem_is_reported_and_passwords_are_hidden() {
        let given = Settings::from([("second", "x"), ("third", "secret"), ("fourth", "a , b")]);
        let all = Sample::definition().validate(&given);
        assert_eq!(all[0].errors, ["Missing required configuration \"first\" which has no default value."]);
        assert_eq!(all[1].errors, ["Invalid value x for configuration second: Not a number of type INT"]);
        assert_eq!(all[2].value.as_deref(), Some("[hidden]"));
        assert_eq!(all[3].value.as_deref(), Some("a,b"));
        assert_eq!(Sample::parse(&given).expect_err("two problems").len(), 2);
    }

    #[test]
    fn values_are_trimmed_and_defaults_apply() {
        let s = Sample::parse(&Settings::from([("first", " a "), ("second", " 3 ")])).expect("right");
        assert_eq!((s.first.as_str(), s.second, s.third.reveal(), s.fourth.len()), ("a", Some(3), "x", 0));
    }
}
