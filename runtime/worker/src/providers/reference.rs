//! References in a text: `${provider:key}` and `${provider:path:key}`.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

/// Kafka's own expression (`ConfigTransformer`): a path ends with its first colon, a key may hold more of them.
static PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}").unwrap_or_else(|e| panic!("{e}")));

/// A reference and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// As written.
    pub text: &'a str,
    /// Where in the text, in bytes.
    pub range: Range<usize>,
    /// Alias of the provider.
    pub provider: &'a str,
    /// Path, or empty.
    pub path: &'a str,
    /// Key.
    pub key: &'a str,
}

/// All references in a text, in order.
pub fn all(text: &str) -> impl Iterator<Item = Reference<'_>> {
    // Most settings have none, and expressions are slow to begin with.
    let text = if text.contains("${") { text } else { "" };
    PATTERN.captures_iter(text).filter_map(|found| {
        let whole = found.get(0)?;
        let part = |n: usize| found.get(n).map_or("", |m| m.as_str());
        Some(Reference { text: whole.as_str(), range: whole.range(), provider: part(1), path: part(3), key: part(4) })
    })
}

/// Whether there is any reference in a text, to a known provider or not.
pub fn is_in(text: &str) -> bool {
    all(text).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<[&str; 3]> {
        all(text).map(|r| [r.provider, r.path, r.key]).collect()
    }

    #[test]
    fn references_are_found_as_kafka_finds_them() {
        assert_eq!(parts("${env:USER}"), [["env", "", "USER"]]);
        assert_eq!(parts("a ${f:/etc/x:user} b ${f:/etc/x:pw} c"), [["f", "/etc/x", "user"], ["f", "/etc/x", "pw"]]);
        assert_eq!(parts("${f:/x:a:b:c}"), [["f", "/x", "a:b:c"]]);
        assert_eq!(parts("${f:/x:}"), [["f", "/x", ""]]);
        assert_eq!(parts("${topic}-${timestamp} $${b} {{c:d}} ${x"), [[""; 3]; 0]);
        assert_eq!(parts("${a}${b:c}"), [["b", "", "c"]]);
        assert_eq!(parts("${a${b:c}"), [["a${b", "", "c"]]);
        assert_eq!(all("é${e:k}!").next().map(|r| r.range), Some(2..8));
        assert!(is_in("x${y:z}") && !is_in("x:y"));
    }
}
