//! `topics.regex`: Java's expression → the POSIX extended one that librdkafka matches topic names with.
//!
//! What POSIX lacks is rewritten where that is possible and refused by name where it is not: an expression
//! that silently matched other topics would skip records.

/// The pattern to subscribe to; it matches whole names, as Kafka Connect's does. The error is a reason.
pub fn subscription(java: &str) -> Result<String, String> {
    let why = |e| format!("Invalid regex: {}", connect_api::java_regex::complaint(java).unwrap_or_else(|| reason(&e)));
    regex::Regex::new(java).map_err(why)?;
    let refuse =
        |what: &str| Err(format!("{what} cannot be used in topics.regex here; list the topics in topics instead"));
    let mut out = String::from("^(");
    let mut rest = java.chars().peekable();
    let mut in_class = false;
    let mut quantified = false;
    while let Some(c) = rest.next() {
        let was_quantified = std::mem::replace(&mut quantified, false);
        match c {
            '\\' => match rest.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class { "A-Za-z0-9_" } else { "[A-Za-z0-9_]" }),
                Some('D') if !in_class => out.push_str("[^0-9]"),
                Some('W') if !in_class => out.push_str("[^A-Za-z0-9_]"),
                Some(c) if c.is_ascii_alphanumeric() => return refuse(&format!("\\{c}")),
                // In a class POSIX takes a backslash literally.
                Some(c) if in_class => {
                    if matches!(c, ']' | '^' | '-' | '\\') {
                        return refuse(&format!("\\{c} within brackets"));
                    }
                    out.push(c);
                }
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            '[' if in_class => return refuse("a bracket within brackets"),
            '[' => {
                in_class = true;
                out.push(c);
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            '(' if !in_class && rest.peek() == Some(&'?') => {
                rest.next();
                if rest.next() != Some(':') {
                    return refuse("a group that starts with (?");
                }
                out.push('(');
            }
            '?' | '+' if !in_class && was_quantified => return refuse("a lazy or possessive quantifier"),
            '*' | '+' | '?' | '}' if !in_class => {
                quantified = true;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

/// What is wrong with an expression, without the drawing of it that takes several lines.
fn reason(e: &regex::Error) -> String {
    let text = e.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_shorthands_are_rewritten() {
        assert_eq!(subscription(r"alarms-\d+"), Ok("^(alarms-[0-9]+)$".into()));
        assert_eq!(subscription(r"(?:a|b)\.[\w-]+"), Ok(r"^((a|b)\.[A-Za-z0-9_-]+)$".into()));
        assert_eq!(subscription("a|b"), Ok("^(a|b)$".into()));
    }

    #[test]
    fn what_posix_cannot_say_is_refused_by_name() {
        for pattern in [r"a.*?b", r"\bfoo", r"(?i)foo", r"[\]]x"] {
            let reason = subscription(pattern).expect_err(pattern);
            assert!(reason.contains("cannot be used"), "{pattern}: {reason}");
        }
        assert_eq!(subscription("("), Err("Invalid regex: Unclosed group near index 1\n(".into()));
        assert!(subscription("a{2,1}").expect_err("syntax").starts_with("Invalid regex: "));
    }
}
