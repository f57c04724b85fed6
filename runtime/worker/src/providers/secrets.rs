//! Keeps values of config providers out of what people and other programs see.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use connect_api::{Error, ErrorClass};

/// Every value that was handed out, with the reference that is shown in its place. Cloning shares it.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<Replacements>>);

impl Secrets {
    /// Takes note of a value that was handed out for a reference.
    pub fn add(&self, value: &str, reference: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).add(value, reference);
    }

    /// The text with references in place of values.
    pub fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).apply(text)
    }

    /// The error with references in place of values, in its causes, too.
    pub fn conceal_error(&self, error: Error) -> Error {
        let report = error.report();
        if matches!(self.conceal(&report), Cow::Borrowed(_)) {
            return error;
        }
        self.concealed(&error)
    }

    fn concealed(&self, error: &Error) -> Error {
        let text = self.conceal(error.message()).into_owned();
        let made = match error.class() {
            ErrorClass::Retriable => Error::retriable(text),
            ErrorClass::Data => Error::data(text),
            ErrorClass::Fatal => Error::fatal(text),
        };
        let made = made.exception(error.exception_class());
        let made = match error.delay() {
            Some(delay) => made.retry_after(delay),
            None => made,
        };
        match error.source() {
            Some(cause) => made.caused_by(self.cause(cause)),
            None => made,
        }
    }

    fn cause(&self, error: &(dyn StdError + 'static)) -> Box<dyn StdError + Send + Sync> {
        match error.downcast_ref::<Error>() {
            Some(error) => self.concealed(error).into(),
            None => Cause {
                text: self.conceal(&error.to_string()).into_owned(),
                source: error.source().map(|cause| self.cause(cause)),
            }
            .into(),
        }
    }
}

/// A cause of another type, of which the text is left.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Texts and what stands in their place, the longest first.
#[derive(Clone, Default)]
pub(super) struct Replacements(Vec<(String, String)>);

/// Shorter values are replaced only where they stand alone, or any text with the same letters would be torn apart.
const ANYWHERE: usize = 8;
/// What is shorter than this keeps nothing secret.
const SHORTEST: usize = 3;
/// Lines of a value of several lines, such as a key in PEM, are replaced where they stand apart, too.
const LINE: usize = 16;

impl Replacements {
    pub(super) fn add(&mut self, value: &str, shown: &str) {
        let whole = value.trim();
        self.add_one(whole, shown);
        if whole.contains('\n') {
            whole.lines().map(str::trim).filter(|l| l.len() >= LINE).for_each(|l| self.add_one(l, shown));
        }
    }

    fn add_one(&mut self, value: &str, shown: &str) {
        let flag = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
        if value.len() >= SHORTEST && !flag {
            self.add_exactly(value, shown);
        }
    }

    /// Adds a value however short it is.
    pub(super) fn add_exactly(&mut self, value: &str, shown: &str) {
        // As it stands in JSON and in quotes.
        let escaped = value.escape_debug().to_string();
        for text in [value, &escaped] {
            if !text.is_empty() && self.0.iter().all(|(known, _)| known != text) {
                let at = self.0.partition_point(|(known, _)| known.len() >= text.len());
                self.0.insert(at, (text.to_owned(), shown.to_owned()));
            }
        }
    }

    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let present: Vec<&(String, String)> =
            self.0.iter().filter(|(value, _)| text.contains(value.as_str())).collect();
        if present.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut changed = false;
        while let Some(c) = rest.chars().next() {
            let found = present.iter().find(|(value, _)| {
                rest.starts_with(value.as_str())
                    && (value.len() >= ANYWHERE || stands_alone(out.chars().next_back(), &rest[value.len()..]))
            });
            match found {
                Some((value, shown)) => {
                    out.push_str(shown);
                    rest = &rest[value.len()..];
                    changed = true;
                }
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        if changed { Cow::Owned(out) } else { Cow::Borrowed(text) }
    }
}

fn stands_alone(before: Option<char>, after: &str) -> bool {
    !before.is_some_and(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[(&str, &str)]) -> Secrets {
        let secrets = Secrets::default();
        all.iter().for_each(|(value, shown)| secrets.add(value, shown));
        secrets
    }

    #[test]
    fn values_are_replaced_by_their_references() {
        let s = secrets(&[("hunter2hunter2\n", "${f:/x:pw}"), ("abc", "${e:A}"), ("5", "${e:N}"), ("true", "${e:T}")]);
        assert_eq!(s.conceal("http://u:hunter2hunter2@h"), "http://u:${f:/x:pw}@h");
        assert_eq!(s.conceal("abc abcd (abc)"), "${e:A} abcd (${e:A})");
        assert!(matches!(s.conceal("5 is true, abcd"), Cow::Borrowed("5 is true, abcd")));
    }

    #[test]
    fn the_longest_value_wins_and_nothing_is_replaced_twice() {
        let s = secrets(&[("password", "${e:short}"), ("password-long", "${e:long}")]);
        assert_eq!(s.conceal("password-long password"), "${e:long} ${e:short}");
        let s = secrets(&[("secret-1", "${e:secret-2}"), ("secret-2", "${e:x}")]);
        assert_eq!(s.conceal("secret-1"), "${e:secret-2}");
    }

    #[test]
    fn escaped_values_and_lines_of_long_ones_are_replaced() {
        let s =
            secrets(&[("pass\"word\\1", "${e:Q}"), ("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nabc=\n", "${d:/k:pem}")]);
        assert_eq!(s.conceal(r#"{"a":"pass\"word\\1"}"#), r#"{"a":"${e:Q}"}"#);
        assert_eq!(s.conceal("at MIIEvQIBADANBgkq here"), "at ${d:/k:pem} here");
    }

    #[test]
    fn errors_keep_all_but_the_values() {
        let s = secrets(&[("s3cret-s3cret", "${e:P}")]);
        let cause = std::io::Error::other("user s3cret-s3cret");
        let e = Error::retriable("logging in")
            .caused_by(cause)
            .exception("x.Y")
            .retry_after(std::time::Duration::from_secs(1));
        let concealed = s.conceal_error(e.clone());
        assert_eq!(concealed.trace(), "x.Y: logging in\nCaused by: user ${e:P}");
        let outer = s.conceal_error(Error::data("as s3cret-s3cret").context("reading").exception("x.Z"));
        assert_eq!(outer.trace(), "x.Z: reading\nCaused by: org.apache.kafka.connect.errors.DataException: as ${e:P}");
        assert_eq!(
            (concealed.class(), concealed.exception_class(), concealed.delay()),
            (e.class(), e.exception_class(), e.delay())
        );
    }
}
