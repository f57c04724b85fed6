//! Regular expressions over names of topics, in Java's syntax as far as it is shared.
//!
//! Look-around, back references, atomic groups and possessive repetition are understood. What Java alone has,
//! such as intersections of character classes with names of Java's own, is refused with the place.

use connect_api::{Error, Result, java_regex};
use fancy_regex::Regex;

/// An expression that may match anywhere in a text.
pub(crate) fn anywhere(pattern: &str) -> Result<Regex, String> {
    let why = |e| format!("Invalid regex: {}", java_regex::complaint(pattern).unwrap_or_else(|| format!("{e}")));
    Regex::new(&without_quotes(pattern)).map_err(why)
}

/// An expression that has to match the whole text, as Java's `matches` does.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    // By itself first: a pattern that closes a group too many must not close this one.
    anywhere(pattern)?;
    anywhere(&format!("^(?:{})\\z", without_quotes(pattern)))
}

/// The pattern with what stands between `\Q` and `\E` escaped, which is what they mean.
fn without_quotes(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escaped) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = escaped.strip_prefix("\\Q") {
            let (literal, behind) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&fancy_regex::escape(literal));
            rest = behind;
        } else {
            // The escaped character goes with its backslash.
            let end = escaped.char_indices().nth(2).map_or(escaped.len(), |(i, _)| i);
            out.push_str(&escaped[..end]);
            rest = &escaped[end..];
        }
    }
    out + rest
}

/// The error of an expression that gave up on a text, which takes a pattern that tries without end.
pub(crate) fn gave_up(text: &str, error: fancy_regex::Error) -> Error {
    Error::data(format!("matching {text:?} with the regular expression")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_has_beyond_plain_expressions_is_understood() {
        let holds = |pattern: &str, text: &str| whole(pattern).expect(pattern).is_match(text).expect("match");
        assert!(holds("(?!internal).*", "topic") && !holds("(?!internal).*", "internal-x"));
        assert!(holds("(a+)-\\1", "aa-aa") && !holds("(a+)-\\1", "aa-a"));
        assert!(holds("a*+b", "aab") && holds("(?<=^)x(?=y)y", "xy"));
        assert!(holds("\\Qa.b\\E.", "a.bc") && !holds("\\Qa.b\\E", "axb") && holds("\\\\Qa", "\\Qa"));
        assert!(!holds("a|b", "ab") && !holds("a", "a\n"));
    }

    #[test]
    fn wrong_expressions_are_refused() {
        assert_eq!(whole("a(").map(drop), Err("Invalid regex: Unclosed group near index 2\na(".into()));
        for pattern in ["(", "a)(b", "[", "*", "\\p{javaLowerCase}"] {
            assert!(whole(pattern).expect_err(pattern).starts_with("Invalid regex: "));
        }
    }

    #[test]
    fn expressions_that_try_without_end_give_up() {
        let e = whole("(a|aa)+\\1b(?!c)").expect("regex").is_match(&"a".repeat(200));
        assert!(e.is_err_and(|e| gave_up("a", e).message().contains("matching \"a\"")));
    }
}
