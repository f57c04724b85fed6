//! The grammar of SAL's messages: `SUB_kind NAME:( item , item , … )`, as `Dome_event Dome_state:( 'r1' , 5 , OPEN )`.

use connect_api::{Error, Result};

/// As much of a bad message as an error shows.
const SHOWN: usize = 80;

/// A message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Name of the SAL topic.
    pub name: &'a str,
    /// The items, without quotes and the blanks around them.
    pub items: Vec<&'a str>,
}

/// Takes a message apart. What is behind the closing parenthesis is left out, as it is by SAL's own reader.
///
/// # Errors
///
/// If the text is no message, or does not say where its items end.
pub fn parse(text: &str) -> Result<Message<'_>> {
    let (name, rest) = head(text)?;
    let items = items(rest).map_err(|why| wrong(text, why))?;
    Ok(Message { name, items })
}

/// The name of the SAL topic of a message.
///
/// # Errors
///
/// If the text is no message.
pub fn name(text: &str) -> Result<&str> {
    head(text).map(|(name, _)| name)
}

fn head(text: &str) -> Result<(&str, &str)> {
    let missing = || wrong(text, "it does not begin with SUBSYSTEM_KIND NAME:(");
    let (before, rest) = text.split_once(":(").ok_or_else(missing)?;
    // Some senders leave the subsystem and the kind to the topic that they write to.
    let words: Vec<&str> = before.split_whitespace().collect();
    let ([name] | [_, name]) = words[..] else { return Err(missing()) };
    let is_word = |w: &&str| w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !words.iter().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(missing());
    }
    Ok((name, rest))
}

/// The items up to the closing parenthesis.
fn items(mut rest: &str) -> Result<Vec<&str>, &'static str> {
    let mut items = Vec::new();
    loop {
        rest = rest.trim_start();
        let (item, behind) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted_item(quoted)?,
            None => plain_item(rest)?,
        };
        items.push(item);
        rest = behind.trim_start();
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
        } else {
            // Nothing but the closing parenthesis is left by the two.
            return Ok(if items == [""] { Vec::new() } else { items });
        }
    }
}

/// An item behind its opening quote; the closing one has a comma or the parenthesis behind it.
fn quoted_item(text: &str) -> Result<(&str, &str), &'static str> {
    for (at, _) in text.match_indices('\'') {
        let behind = &text[at + 1..];
        if behind.trim_start().starts_with([',', ')']) {
            return Ok((text[..at].trim(), behind));
        }
        // One that would open an item: whether this item has ended before, nobody can tell.
        if text[..at].trim_end().ends_with(',') {
            break;
        }
    }
    Err("a quote is not closed, or one is missing")
}

fn plain_item(text: &str) -> Result<(&str, &str), &'static str> {
    let end = text.find([',', ')', '(', '"']).ok_or("there is no closing parenthesis")?;
    if text[end..].starts_with(['(', '"']) {
        return Err("an item with parentheses or double quotes needs single quotes around it");
    }
    Ok((text[..end].trim_matches(|c: char| c.is_whitespace() || c == '\''), &text[end..]))
}

fn wrong(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(SHOWN).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Error::data(format!("reading the SAL message {shown:?}{dots}: {why}"))
}

#[cfg(test)]
mod tests {
    use connect_api::ErrorClass;

    use super::*;

    #[test]
    fn messages_are_taken_apart() {
        let text = "Dome_telemetry Dome_wind:( 'rev 7' , 1547758756.33 , 1547758754.9 , 12 , 1 , 2 , 4.25, -0.5 , \
                    'north' , 3) and more, (ignored)";
        let message = parse(text).expect("a message");
        assert_eq!((message.name, name(text).expect("a name")), ("Dome_wind", "Dome_wind"));
        let items = ["rev 7", "1547758756.33", "1547758754.9", "12", "1", "2", "4.25", "-0.5", "north", "3"];
        assert_eq!(message.items, items);
        let event = "Dome_event Dome_logevent_state:( 'r1' , 1547758757.5 , 1547758757.25 , 13 , 1 , 2 , STANDBY)";
        assert_eq!(parse(event).expect("a message").items[6], "STANDBY");
        assert_eq!(parse("Dome_wind:( 1)").expect("without subsystem").name, "Dome_wind");
        assert_eq!(parse("Dome_command Dome_stop:( )").expect("no items").items, [""; 0]);
        assert_eq!(parse("a b:(,)").expect("empty ones").items, ["", ""]);
    }

    #[test]
    fn what_is_clear_is_taken_although_sal_refuses_or_splits_it() {
        let items = |inner: &str| {
            let text = format!("Dome_event Dome_log:({inner})");
            parse(&text).map(|m| m.items.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let all = [
            ("1.0e+05, +7", ["1.0e+05", "+7"]),
            ("'a, b', 'c (d)'", ["a, b", "c (d)"]),
            ("'it's so', it's", ["it's so", "it's"]),
            ("2019-01-17T20:59:16, /a/b", ["2019-01-17T20:59:16", "/a/b"]),
            ("'  \"x\" ' , rest'", ["\"x\"", "rest"]),
            ("'' , ' '", ["", ""]),
            ("\u{e9}t\u{e9}, '\u{1f514}'", ["\u{e9}t\u{e9}", "\u{1f514}"]),
        ];
        for (inner, expected) in all {
            assert_eq!(items(inner).expect(inner), expected, "{inner}");
        }
        for unclear in ["'a, 'b'", "'a, b", "\"a, b\"", "f(x), 1", "'a' b, 'c'x"] {
            assert_eq!(items(unclear).expect_err(unclear).class(), ErrorClass::Data);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_of_the_data_that_shows_its_beginning() {
        for text in
            ["", "hello", "Dome_wind( 1)", "a b c:( 1)", "Dome-event x:( 1)", "a 1b:( 1)", ":( 1)", "a b:( 1, 2"]
        {
            let e = parse(text).expect_err(text);
            assert_eq!(e.class(), ErrorClass::Data);
            assert!(e.message().contains(&format!("{text:?}")), "{e}");
        }
        let long = "x".repeat(1000);
        assert!(parse(&long).expect_err("long").message().len() < 200);
    }
}
