//! What Rust types a configuration key can have, and how their texts are read.

use std::{fmt, time::Duration};

use super::KeyType;
use crate::template::{Escape, Template};

/// A type that a configuration value can be read into.
pub trait ConfigType: Sized {
    /// Kafka's type of the key.
    const KIND: KeyType;

    /// Reads the trimmed text. The error is the reason only, as in `Expected value to be …`.
    fn parse(text: &str) -> Result<Self, String>;

    /// What stands for an absent value without default; `None` where one is required.
    fn absent() -> Option<Self> {
        None
    }

    /// The texts that are possible, for enumerations.
    fn options() -> Vec<String> {
        Vec::new()
    }
}

/// A secret, which prints as `[hidden]`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the request that needs it and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A duration given in milliseconds, as `*.ms` keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub Duration);

/// Name of a plugin class: short name, JVM class or its simple name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassName(pub String);

impl ConfigType for String {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl ConfigType for bool {
    const KIND: KeyType = KeyType::Boolean;

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("Expected value to be either true or false".into()),
        }
    }
}

macro_rules! numbers {
    ($($rust:ty => $kind:ident),*) => {$(
        impl ConfigType for $rust {
            const KIND: KeyType = KeyType::$kind;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("Not a number of type {}", Self::KIND.name()))
            }
        }
    )*};
}
numbers!(i16 => Short, i32 => Int, i64 => Long, f64 => Double);

impl ConfigType for Millis {
    const KIND: KeyType = KeyType::Long;

    fn parse(text: &str) -> Result<Self, String> {
        let ms = i64::parse(text)?;
        let ms = u64::try_from(ms).map_err(|_| "Value must be at least 0".to_owned())?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl ConfigType for Vec<String> {
    const KIND: KeyType = KeyType::List;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(split_list(text))
    }
}

impl ConfigType for Secret {
    const KIND: KeyType = KeyType::Password;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl ConfigType for ClassName {
    const KIND: KeyType = KeyType::Class;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

/// A template of a name or an identifier: where it inserts null is an error.
impl ConfigType for Template {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        Template::parse(text, Escape::None).map_err(|e| e.to_string())
    }
}

impl<T: ConfigType> ConfigType for Option<T> {
    const KIND: KeyType = T::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn options() -> Vec<String> {
        T::options()
    }
}

/// A list as Kafka splits it: at commas with the blanks around them, empty items kept, empty text empty.
pub fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|s| s.trim().to_owned()).collect() }
}

/// Makes an enum a configuration value: each variant with its text, compared exactly or ignoring case.
///
/// ```
/// connect_api::config_enum! {
///     /// What to do.
///     #[derive(Debug, Clone, Copy, PartialEq)]
///     pub enum Mode { /** Nothing. */ Off = "off", /** All. */ Full = "full" }
/// }
/// # use connect_api::config::ConfigType;
/// assert_eq!(Mode::parse("full"), Ok(Mode::Full));
/// assert_eq!(Mode::parse("x"), Err("String must be one of: off, full".into()));
/// ```
#[macro_export]
macro_rules! config_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $crate::config::ConfigType for $name {
            const KIND: $crate::config::KeyType = $crate::config::KeyType::String;

            fn parse(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(::std::format!("String must be one of: {}", Self::options().join(", "))),
                }
            }

            fn options() -> ::std::vec::Vec<::std::string::String> {
                ::std::vec![$($text.to_owned()),+]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_empty_items() {
        assert_eq!(split_list(""), Vec::<String>::new());
        assert_eq!(split_list(" a ,, b"), ["a", "", "b"]);
    }

    #[test]
    fn reasons_are_kafkas() {
        assert_eq!(i32::parse("1.5"), Err("Not a number of type INT".into()));
        assert_eq!(i32::parse("+3"), Ok(3));
        assert_eq!(bool::parse("TRUE"), Ok(true));
        assert_eq!(bool::parse("yes"), Err("Expected value to be either true or false".into()));
        assert_eq!(format!("{:?}", Secret::new("x")), "[hidden]");
    }
}
