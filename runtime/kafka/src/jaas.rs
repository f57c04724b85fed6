//! `sasl.jaas.config`: the login module with its options, as Java's clients read it.

use std::collections::BTreeMap;

/// A parsed JAAS entry.
#[derive(Debug, PartialEq)]
pub(crate) struct Login {
    /// Login module, simple class name.
    pub module: String,
    /// Options.
    pub options: BTreeMap<String, String>,
}

/// Parses `pkg.Module required key="value" …;`. The error says what is missing.
pub(crate) fn parse(text: &str) -> Result<Login, String> {
    let shape = "expected 'org.apache.kafka.common.security.….LoginModule required username=\"…\" password=\"…\";'";
    let body = text.trim();
    let body = body.strip_suffix(';').ok_or_else(|| format!("it does not end with a semicolon; {shape}"))?;
    let mut words = Words { rest: body };
    let module = words.word().ok_or_else(|| format!("it is empty; {shape}"))?;
    let flag = words.word().unwrap_or_default();
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
        return Err(format!("the control flag behind the login module is missing; {shape}"));
    }
    let mut options = BTreeMap::new();
    while let Some(key) = words.word() {
        words.eat('=').map_err(|()| format!("option {key} has no value; {shape}"))?;
        let value =
            words.value().ok_or_else(|| format!("the value of option {key} is not closed by a quote; {shape}"))?;
        options.insert(key, value);
    }
    if !words.rest.trim().is_empty() {
        return Err(format!("cannot read it from an option name on; {shape}"));
    }
    let module = module.rsplit('.').next().unwrap_or_default().to_owned();
    Ok(Login { module, options })
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn word(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() { None } else { Some(word.to_owned()) }
    }

    fn eat(&mut self, c: char) -> Result<(), ()> {
        self.rest = self.rest.trim_start().strip_prefix(c).ok_or(())?;
        Ok(())
    }

    fn value(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        let quote = match self.rest.chars().next() {
            Some(c @ ('"' | '\'')) => c,
            _ => return self.word(),
        };
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.push(chars.next()?.1),
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Some(value);
                }
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_hold_any_character_in_quotes() {
        let login = parse(
            r#"org.apache.kafka.common.security.plain.PlainLoginModule required
               username="al ice" password="a\"b;c=d" ;"#,
        )
        .expect("login");
        assert_eq!(login.module, "PlainLoginModule");
        assert_eq!(login.options["password"], "a\"b;c=d");
        assert_eq!(login.options["username"], "al ice");
    }

    #[test]
    fn what_is_missing_is_said() {
        for (text, part) in [
            ("a.B required", "semicolon"),
            ("a.B x=\"1\";", "control flag"),
            ("a.B required x;", "option x has no value"),
            ("a.B required x=\"1;", "not closed"),
            (";", "empty"),
        ] {
            let e = parse(text).expect_err(text);
            assert!(e.contains(part), "{text}: {e}");
        }
    }
}
