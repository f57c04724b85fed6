//! What Java says of a regular expression that it cannot read. Other parsers find the same mistakes and have other words.

use std::iter::repeat_n;

/// Java's message for groups and classes without end, closing parentheses without group, and repetitions of nothing;
/// `None` if the first mistake is of another kind, or if there is none of these.
pub fn complaint(pattern: &str) -> Option<String> {
    Reader { pattern: pattern.chars().collect(), at: 0 }.complaint()
}

struct Reader {
    /// Java counts characters of 16 bits, which differs for few.
    pattern: Vec<char>,
    at: usize,
}

impl Reader {
    fn complaint(&mut self) -> Option<String> {
        let (mut groups, mut repeatable) = (0u32, false);
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.escaped()?;
                    repeatable = true;
                }
                '[' => {
                    if !self.class()? {
                        return self.message("Unclosed character class", self.pattern.len().checked_sub(1));
                    }
                    repeatable = true;
                }
                '(' => {
                    self.group()?;
                    groups += 1;
                    repeatable = false;
                }
                ')' if groups == 0 => return self.message("Unmatched closing ')'", self.at.checked_sub(2)),
                ')' => {
                    groups -= 1;
                    repeatable = true;
                }
                '|' => repeatable = false,
                '*' | '+' | '?' if !repeatable => {
                    return self.message(&format!("Dangling meta character '{c}'"), Some(self.at - 1));
                }
                '*' | '+' | '?' => {
                    // Reluctant or possessive.
                    self.take(|c| c == '?' || c == '+');
                    repeatable = false;
                }
                // Of numbers Java has a lot to say.
                '{' => return None,
                _ => repeatable = true,
            }
        }
        if groups > 0 { self.message("Unclosed group", Some(self.pattern.len())) } else { None }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.pattern.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.pattern.get(self.at).copied().is_some_and(wanted);
        self.at += usize::from(found);
        found
    }

    /// What stands behind a backslash; `None` if it is no escape of one character or a quotation.
    fn escaped(&mut self) -> Option<()> {
        match self.next()? {
            'Q' => {
                while let Some(c) = self.next() {
                    if c == '\\' && self.take(|c| c == 'E') {
                        break;
                    }
                }
                Some(())
            }
            'p' | 'P' | 'k' | 'x' | 'u' | 'c' | 'N' => None,
            _ => Some(()),
        }
    }

    /// The rest of a class, which may hold others; `false` if it has no end.
    fn class(&mut self) -> Option<bool> {
        self.take(|c| c == '^');
        let mut empty = true;
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escaped()?,
                '[' if !self.class()? => return Some(false),
                ']' if !empty => return Some(true),
                _ => {}
            }
            empty = false;
        }
        Some(false)
    }

    /// What says of which kind a group is; `None` if Java does not know that kind.
    fn group(&mut self) -> Option<()> {
        if !self.take(|c| c == '?') {
            return Some(());
        }
        match self.next()? {
            ':' | '=' | '!' | '>' => Some(()),
            '<' if self.take(|c| c == '=' || c == '!') => Some(()),
            '<' => {
                self.take(|c| c.is_ascii_alphabetic()).then_some(())?;
                while self.take(|c| c.is_ascii_alphanumeric()) {}
                self.take(|c| c == '>').then_some(())
            }
            _ => None,
        }
    }

    fn message(&self, what: &str, index: Option<usize>) -> Option<String> {
        let mut text = what.to_owned();
        if let Some(index) = index {
            text.push_str(&format!(" near index {index}"));
        }
        text.push('\n');
        text.extend(&self.pattern);
        if let Some(index) = index.filter(|index| *index < self.pattern.len()) {
            text.push('\n');
            text.extend(repeat_n(' ', index));
            text.push('^');
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_in_javas_words() {
        // As Java 17 says it.
        for (pattern, text) in [
            ("(", "Unclosed group near index 1\n("),
            ("(?:a", "Unclosed group near index 4\n(?:a"),
            ("(?<a>b", "Unclosed group near index 6\n(?<a>b"),
            ("a)(b", "Unmatched closing ')' near index 0\na)(b\n^"),
            (")", "Unmatched closing ')'\n)"),
            ("[", "Unclosed character class near index 0\n[\n^"),
            ("[a", "Unclosed character class near index 1\n[a\n ^"),
            ("[]", "Unclosed character class near index 1\n[]\n ^"),
            ("[^]", "Unclosed character class near index 2\n[^]\n  ^"),
            ("[[:alpha:]", "Unclosed character class near index 9\n[[:alpha:]\n         ^"),
            ("*", "Dangling meta character '*' near index 0\n*\n^"),
            ("a**", "Dangling meta character '*' near index 2\na**\n  ^"),
            ("a|*", "Dangling meta character '*' near index 2\na|*\n  ^"),
            ("+", "Dangling meta character '+' near index 0\n+\n^"),
        ] {
            assert_eq!(complaint(pattern).as_deref(), Some(text), "{pattern}");
        }
    }

    #[test]
    fn nothing_is_made_up_for_what_is_right_or_wrong_otherwise() {
        for pattern in ["a(b|c)*+d", "\\Q(\\E[()]\\(", "[a[b]c]", "(?<x>a)(?=b)", "a{", "(?z)", "\\p{x", "[b-a]", "a\\"]
        {
            assert_eq!(complaint(pattern), None, "{pattern}");
        }
    }
}
