//! Who gets a mail; pure.

use connect_api::{
    Error, Result,
    template::{Escape, Template},
};
use lettre::message::Mailbox;
use serde_json::Value as Json;

use crate::config::mailbox;

/// Templates of one recipient each.
///
/// The setting is cut at its commas before anything is inserted, so that no record adds recipients.
#[derive(Debug, Clone, Default)]
pub struct Recipients(Vec<Recipient>);

#[derive(Debug, Clone)]
enum Recipient {
    Fixed(Mailbox),
    OfRecord(Template),
}

impl Recipients {
    /// Reads the list.
    pub fn parse(list: &str) -> Result<Self> {
        let read = |text: &str| {
            if text.contains("{{") || text.contains("{%") {
                return Ok(Recipient::OfRecord(Template::parse(text, Escape::None)?));
            }
            mailbox(text).map(Recipient::Fixed).map_err(Error::fatal)
        };
        let pieces = pieces(list);
        if pieces.iter().any(|piece| piece.is_empty()) {
            return Err(Error::fatal("a recipient is missing before or behind a comma"));
        }
        pieces.into_iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// The recipients of a record.
    pub fn of(&self, names: &Json) -> Result<Vec<Mailbox>> {
        let mut found: Vec<Mailbox> = Vec::new();
        for recipient in &self.0 {
            let mailbox = match recipient {
                Recipient::Fixed(mailbox) => mailbox.clone(),
                Recipient::OfRecord(template) => {
                    let text = template.render_names(names)?;
                    if text.trim().is_empty() {
                        continue;
                    }
                    let wrong =
                        |why| Error::data(format!("making a recipient by {:?}", template.source())).caused_by(why);
                    mailbox(text.trim()).map_err(wrong)?
                }
            };
            if !found.iter().any(|other| other.email == mailbox.email) {
                found.push(mailbox);
            }
        }
        Ok(found)
    }
}

/// Cuts at commas that are neither in quotes nor inside of a template's braces.
fn pieces(list: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0usize, false, 0);
    let mut pieces = Vec::new();
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '"' if depth == 0 => quoted = !quoted,
            ',' if depth == 0 && !quoted => {
                pieces.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(list[start..].trim());
    pieces
}

#[cfg(test)]
mod tests {
    use connect_api::ErrorClass;
    use serde_json::json;

    use super::*;

    fn of(list: &str, names: &Json) -> Result<Vec<String>> {
        Ok(Recipients::parse(list)?.of(names)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn recipients_are_fixed_or_of_the_record() {
        let names = json!({"value": {"owner": "ann", "priority": "P1"}});
        let list = "\"Room, control\" <room@example.org>, {{value.owner}}@example.org, \
                    {% if value.priority in ['P1', 'P2'] %}on-call@example.org{% endif %}, \
                    {% if value.priority == 'P3' %}later@example.org{% endif %}, ann@example.org";
        assert_eq!(
            of(list, &names).expect("addresses"),
            ["\"Room, control\" <room@example.org>", "ann@example.org", "on-call@example.org"]
        );
    }

    #[test]
    fn records_add_no_recipients() {
        for owner in
            ["a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org", "a@x\nRCPT TO:<b@x>", "a b"]
        {
            let e = of("{{value.owner}}", &json!({"value": {"owner": owner}})).expect_err(owner);
            assert_eq!(e.class(), ErrorClass::Data, "{owner:?}: {e:?}");
        }
        assert_eq!(
            of("{{value.owner}}", &json!({"value": {"owner": null}})).expect_err("null").class(),
            ErrorClass::Data
        );
        assert_eq!(of("a@b, ,c@d", &json!({})).expect_err("missing").class(), ErrorClass::Fatal);
    }
}
