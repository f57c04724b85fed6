//! Texts as Confluent's HTTP sink has them, in the forms of ours.

use crate::request::literal;

/// What a text may have of a record.
const NAMES: [&str; 2] = ["topic", "key"];

/// Our template of a text in which `${topic}` and `${key}` stand for those of a record. The error is a reason.
pub fn template(text: &str) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, behind) = behind.split_once('}').ok_or("Expected } behind ${")?;
        if !NAMES.contains(&name) {
            let known = NAMES.map(|name| format!("${{{name}}}"));
            return Err(format!(
                "${{{name}}} is unknown here; there are {}. webhook-sink knows all of a record",
                known.join(", ")
            ));
        }
        out.push_str(&literal(before));
        out.push_str(&format!("{{{{{name}}}}}"));
        rest = behind;
    }
    out.push_str(&literal(rest));
    Ok(out)
}

/// The replacement of a regular expression: Java has `$1` where others have `${1}`, as `$1a` would be another name, and `\$`
/// where others have `$$`.
pub fn replacement(javas: &str) -> String {
    let (mut out, mut rest) = (String::new(), javas.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('$') => out.push_str("$$"),
                Some(c) => out.push(c),
                None => {}
            },
            '$' if rest.peek().is_some_and(char::is_ascii_digit) => {
                let digit = rest.next().unwrap_or_default();
                out.push_str(&format!("${{{digit}}}"));
            }
            c => out.push(c),
        }
    }
    out
}
