//! Texts that match a regular expression.

use rand::RngExt;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::random::Random;

/// How often something is repeated at most, beyond its minimum, whose number the expression leaves open.
const OPEN: u32 = 8;

/// No text may become longer.
const LONGEST: usize = 1_000_000;

/// A regular expression that texts are made from.
#[derive(Debug, Clone)]
pub struct Pattern {
    hir: Hir,
    open: u32,
}

impl Pattern {
    /// Parses an expression. The error says why it cannot be used. Texts are to be `longest` where the expression leaves
    /// that open.
    pub fn parse(text: &str, longest: Option<usize>) -> Result<Self, String> {
        let hir = regex_syntax::parse(text).map_err(|e| match &e {
            regex_syntax::Error::Parse(e) => e.kind().to_string(),
            regex_syntax::Error::Translate(e) => e.kind().to_string(),
            other => other.to_string(),
        })?;
        if hir.properties().minimum_len().is_none_or(|least| least > LONGEST) {
            return Err("nothing can match it, or nothing shorter than a million characters".into());
        }
        let open = longest.map_or(OPEN, |most| u32::try_from(most).unwrap_or(u32::MAX).clamp(OPEN, 10_000));
        Ok(Self { hir, open })
    }

    /// A text.
    pub fn make(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.append(&self.hir, random, &mut out);
        out
    }

    fn append(&self, hir: &Hir, random: &mut Random, out: &mut String) {
        match hir.kind() {
            // Where a text begins or ends is so by itself.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(class) => out.extend(one_of(class, random)),
            HirKind::Repetition(repetition) => {
                let most = repetition.max.unwrap_or_else(|| repetition.min.saturating_add(self.open));
                for _ in 0..random.random_range(repetition.min..=most.max(repetition.min)) {
                    if out.len() >= LONGEST {
                        break;
                    }
                    self.append(&repetition.sub, random, out);
                }
            }
            HirKind::Capture(capture) => self.append(&capture.sub, random, out),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.append(part, random, out)),
            HirKind::Alternation(parts) => {
                if let Some(part) = parts.get(random.random_range(0..parts.len().max(1))) {
                    self.append(part, random, out);
                }
            }
        }
    }
}

/// A character of the class: a printable one of ASCII if there is any, which is what people mean.
fn one_of(class: &Class, random: &mut Random) -> Option<char> {
    let all: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class.iter().map(|r| (r.start().into(), r.end().into())).collect(),
        Class::Bytes(class) => class.iter().map(|r| (r.start().into(), r.end().into())).collect(),
    };
    let printable: Vec<(u32, u32)> =
        all.iter().map(|(a, b)| ((*a).max(0x20), (*b).min(0x7e))).filter(|(a, b)| a <= b).collect();
    let ranges = if printable.is_empty() { all } else { printable };
    let total: u32 = ranges.iter().map(|(a, b)| b - a + 1).sum();
    let mut n = random.random_range(0..total.max(1));
    for (a, b) in ranges {
        if n <= b - a {
            return char::from_u32(a + n);
        }
        n -= b - a + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::of_iteration;

    #[test]
    fn texts_match_their_expression() {
        for text in [
            "User_[1-9]{0,1}",
            "Page_[1-9][0-9]?",
            "^(MALE|FEMALE|OTHER)$",
            r"\d{3}-\w+ [^a-z]*.",
            "[äöü]{2,4}(x(?:y|z)+)?",
            "(?i)abc",
        ] {
            let (pattern, regex) = (Pattern::parse(text, None).expect(text), text_regex(text));
            for i in 0..200 {
                let made = pattern.make(&mut of_iteration(1, text, 0, i));
                assert!(regex.is_match(&made), "{made:?} does not match {text}");
            }
        }
    }

    #[test]
    fn open_repetitions_reach_the_length_that_is_wanted() {
        let pattern = Pattern::parse("[a-z]*", Some(40)).expect("pattern");
        let longest = (0..200).map(|i| pattern.make(&mut of_iteration(1, "t", 0, i)).len()).max();
        assert!(longest > Some(30), "{longest:?}");
    }

    #[test]
    fn what_is_no_expression_or_without_end_is_refused() {
        assert!(Pattern::parse("a(", None).is_err());
        assert!(Pattern::parse("(?=a)b", None).expect_err("look-around").contains("look-around"));
        assert!(Pattern::parse("[^\\x00-\\x{10FFFF}]", None).expect_err("nothing").contains("nothing can match"));
        assert!(Pattern::parse("((a{1000}){1000}){1000}", None).is_err());
    }

    fn text_regex(text: &str) -> regex::Regex {
        regex::Regex::new(&format!("^(?:{text})$")).expect("expression")
    }
}
