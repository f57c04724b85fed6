//! JSON that keeps the digits of numbers as they are written.
//!
//! [`serde_json::Value`] has numbers as 64-bit integers or as floats, which round decimals and large integers. Here a number is
//! its text, as decimals of Avro and numbers of JSON have it.

use std::fmt;

use connect_api::parse_decimal;
use indexmap::IndexMap;
use serde::{Serialize, de::Error as _};
use serde_json::{Error, Value, value::RawValue};

/// As deep as [`serde_json`] goes.
const DEEPEST: usize = 128;

/// A tree of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Exact {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Exact>),
    /// An object; of keys that are there several times, the last counts.
    Object(IndexMap<String, Exact>),
}

/// A number's text.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Number(Box<RawValue>);

impl Number {
    /// The digits.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// As JSON's numbers are; none where those would be another number.
    fn as_json(&self) -> Option<serde_json::Number> {
        let number: serde_json::Number = serde_json::from_str(self.text()).ok()?;
        (parse_decimal(&number.to_string())? == parse_decimal(self.text())?).then_some(number)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Exact {
    /// Reads JSON.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::of(serde_json::from_str(text)?, DEEPEST)
    }

    fn of(raw: &RawValue, deeper: usize) -> Result<Self, Error> {
        let text = raw.get();
        let inner = |raw| Self::of(raw, deeper.checked_sub(1).ok_or_else(|| Error::custom("it is nested too deep"))?);
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let all: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
                let entries = all.into_iter().map(|(key, raw)| Ok((key, inner(raw)?)));
                Self::Object(entries.collect::<Result<_, Error>>()?)
            }
            Some(b'[') => {
                let all: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::List(all.into_iter().map(inner).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(Number(raw.to_owned())),
        })
    }

    /// What JSON is made of it.
    pub fn made(data: &impl Serialize) -> Result<Self, Error> {
        Self::parse(&serde_json::to_string(data)?)
    }

    /// As a tree of [`Value`]s, in which numbers that it would round are texts.
    pub fn with_texts(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => number.as_json().map_or_else(|| number.text().into(), Value::Number),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::with_texts).collect(),
            Self::Object(all) => all.iter().map(|(key, value)| (key.clone(), value.with_texts())).collect(),
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// What an object has under this key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        if let Self::Object(object) = self { object.get(key) } else { None }
    }
}

impl From<&Value> for Exact {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            // The text of a number is JSON.
            Value::Number(number) => {
                RawValue::from_string(number.to_string()).map_or(Self::Null, |raw| Self::Number(Number(raw)))
            }
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

impl fmt::Display for Exact {
    /// JSON in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_they_are() {
        for text in [
            "12345678901234567890123456.78",
            r#"{"d":0.10,"n":18446744073709551616,"a":[-1.50,1E400,null,true,"é\n",{}],"o":{"x":"1.0"}}"#,
        ] {
            let read = Exact::parse(text).expect(text);
            assert_eq!(read.to_string(), text);
            assert_eq!(Exact::made(&read).expect(text), read);
        }
        let spaced = Exact::parse(" { \"a\" : [ 1.0 , 2 ] , \"a\" : \"\\u0041\" } ").expect("spaced");
        assert_eq!(spaced.get("a").and_then(Exact::as_str), Some("A"));
        assert_eq!(Exact::from(&serde_json::json!({"a": [1, 1.5, null]})).to_string(), r#"{"a":[1,1.5,null]}"#);
    }

    #[test]
    fn numbers_that_would_be_rounded_become_texts() {
        let read = Exact::parse(r#"[1, -0.10, 0.1, 18446744073709551616, 12345678901234567.89, 1e400, 1e3]"#);
        let expected =
            serde_json::json!([1, -0.1, 0.1, "18446744073709551616", "12345678901234567.89", "1e400", 1000.0]);
        assert_eq!(read.expect("json").with_texts(), expected);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "01", "[1,]", "\"\\ud800\"", "{} x", "nul"] {
            assert!(Exact::parse(text).is_err(), "{text}");
        }
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Exact::parse(&nested(100)).is_ok());
        assert!(Exact::parse(&nested(100_000)).is_err());
    }
}
