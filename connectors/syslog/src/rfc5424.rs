//! RFC 5424. Pure.
//!
//! As the RFC has it, but for what costs nothing to understand: lengths of fields are bounded by that of the message
//! alone, fractions of seconds may have nine digits, fields any characters but blanks.

use connect_api::time::parse_rfc3339;

use crate::{
    message::{Element, Format, Message, Stamp},
    text::{Charset, Decoded},
};

/// The version that follows the priority, and the rest behind the blank.
pub fn version(rest: &[u8]) -> Option<(u16, &[u8])> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    if digits.is_empty() || digits.len() > 3 || digits[0] == b'0' {
        return None;
    }
    let version = digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
    Some((version, rest.strip_prefix(b" ")?))
}

/// Reads what follows the priority; the error says what is wrong.
pub fn parse(priority: u8, rest: &[u8]) -> Result<Message, String> {
    let (version, rest) =
        version(rest).ok_or("the version of RFC 5424 does not follow the priority, such as in <13>1")?;
    let (timestamp, rest) = field(rest, "time stamp")?;
    let (hostname, rest) = field(rest, "host name")?;
    let (app_name, rest) = field(rest, "application name")?;
    let (proc_id, rest) = field(rest, "process id")?;
    let (msg_id, rest) = field(rest, "message id")?;
    let (structured_data, rest) = structured_data(rest)?;
    let (message, charset) = match rest {
        [] => (None, Charset::Utf8),
        [b' ', text @ ..] => text_of(text)?,
        _ => return Err("behind the structured data there is neither a blank nor the end".into()),
    };
    Ok(Message {
        version: Some(version),
        timestamp: timestamp.map(stamp).transpose()?,
        hostname,
        app_name,
        proc_id,
        msg_id,
        structured_data,
        message,
        ..Message::new(Format::Rfc5424, Some(priority), charset)
    })
}

const BOM: &[u8] = b"\xef\xbb\xbf";

fn text_of(bytes: &[u8]) -> Result<(Option<String>, Charset), String> {
    if let Some(text) = bytes.strip_prefix(BOM) {
        let text = std::str::from_utf8(text).map_err(|e| format!("its text says that it is UTF-8, and is not: {e}"))?;
        return Ok((Some(text.to_owned()), Charset::Utf8));
    }
    let Decoded { text, charset } = Decoded::of(bytes);
    Ok((Some(text.into_owned()), charset))
}

/// A field of the header and the rest behind the blank; none for the nil value.
fn field<'a>(bytes: &'a [u8], name: &str) -> Result<(Option<String>, &'a [u8]), String> {
    let end = bytes.iter().position(|b| *b == b' ').ok_or_else(|| format!("it ends with its {name}"))?;
    let (field, rest) = (&bytes[..end], &bytes[end + 1..]);
    if field.is_empty() {
        return Err(format!("its {name} is empty, for which there is -"));
    }
    let text = std::str::from_utf8(field).map_err(|_| format!("its {name} is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(format!("its {name} holds control characters"));
    }
    Ok(((text != "-").then(|| text.to_owned()), rest))
}

fn stamp(text: String) -> Result<Stamp, String> {
    let wrong = || format!("its time stamp {text:?} is none of RFC 5424");
    if !is_timestamp(text.as_bytes()) {
        return Err(wrong());
    }
    let ms = parse_rfc3339(&text).ok_or_else(wrong)?;
    Ok(Stamp { ms, text })
}

/// Whether this is a time stamp such as 2003-10-11T22:14:15.003Z, letters large, a day that exists.
pub(crate) fn is_timestamp(text: &[u8]) -> bool {
    let digit_at = |i: &usize| text.get(*i).is_some_and(u8::is_ascii_digit);
    let shape = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].iter().all(digit_at)
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')].iter().all(|(i, c)| text.get(*i) == Some(c));
    if !shape {
        return false;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    let (year, month, day) = (i64::from(number(0, 4)), number(5, 7), number(8, 10));
    let exists = connect_api::time::civil(connect_api::time::days(year, month, day)) == (year, month, day);
    let clock = number(11, 13) < 24 && number(14, 16) < 60 && number(17, 19) < 60;
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return false;
        }
        rest = &fraction[digits..];
    }
    let zone = match rest {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            let all_digits = [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit());
            all_digits && (*h1, *h2) <= (b'2', b'3') && *m1 <= b'5'
        }
        _ => false,
    };
    exists && clock && zone
}

/// Structured data and what follows it.
fn structured_data(bytes: &[u8]) -> Result<(Vec<Element>, &[u8]), String> {
    if let Some(rest) = bytes.strip_prefix(b"-") {
        return Ok((Vec::new(), rest));
    }
    let mut rest = bytes;
    let mut elements: Vec<Element> = Vec::new();
    while let Some(inside) = rest.strip_prefix(b"[") {
        let (element, behind) = element(inside)?;
        if elements.iter().any(|(id, _)| *id == element.0) {
            return Err(format!("its structured data has two elements {}", element.0));
        }
        elements.push(element);
        rest = behind;
    }
    if elements.is_empty() {
        return Err("it has no structured data, for which there is -".into());
    }
    Ok((elements, rest))
}

/// What follows the opening bracket, up to and without the closing one.
fn element(bytes: &[u8]) -> Result<(Element, &[u8]), String> {
    let (id, mut rest) = name(bytes, b" ]")?;
    let mut parameters = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix(b"]") {
            return Ok(((id, parameters), behind));
        }
        let inside =
            rest.strip_prefix(b" ").ok_or_else(|| format!("the element {id} of its structured data has no end"))?;
        // Some senders put a blank before the closing bracket.
        if let Some(behind) = inside.strip_prefix(b"]") {
            return Ok(((id, parameters), behind));
        }
        let (key, behind) = name(inside, b"=")?;
        let quoted =
            behind.strip_prefix(b"=\"").ok_or_else(|| format!("the value of {key} in {id} is not in quotes"))?;
        let (value, behind) =
            value(quoted).ok_or_else(|| format!("the value of {key} in {id} has no closing quote"))?;
        let value = String::from_utf8(value).map_err(|_| format!("the value of {key} in {id} is not UTF-8"))?;
        parameters.push((key, value));
        rest = behind;
    }
}

fn name<'a>(bytes: &'a [u8], ends: &[u8]) -> Result<(String, &'a [u8]), String> {
    let wrong = || "its structured data has a name that is empty, or holds =, ], a quote or a blank".to_owned();
    let end = bytes.iter().position(|b| ends.contains(b)).ok_or_else(wrong)?;
    let (name, rest) = bytes.split_at(end);
    let legal = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'=' | b']' | b'"');
    if name.is_empty() || !name.iter().all(legal) {
        return Err(wrong());
    }
    Ok((name.iter().map(|b| char::from(*b)).collect(), rest))
}

/// A value up to its closing quote, and what follows that. A backslash before other than `"`, `\` and `]` is itself.
fn value(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\\', Some(escaped @ (b'"' | b'\\' | b']'))) => {
                value.push(*escaped);
                at += 2;
            }
            (b'"', _) => return Some((value, &bytes[at + 1..])),
            (other, _) => {
                value.push(*other);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Result<Message, String> {
        parse(34, rest.as_bytes())
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        let m = read("1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8")
            .expect("example 1");
        assert_eq!((m.version, m.hostname.as_deref()), (Some(1), Some("mymachine.example.com")));
        assert_eq!(
            (m.app_name.as_deref(), m.proc_id.as_deref(), m.msg_id.as_deref()),
            (Some("su"), None, Some("ID47"))
        );
        assert_eq!(m.message.as_deref(), Some("'su root' failed for lonvick on /dev/pts/8"));
        assert_eq!(m.timestamp.as_ref().map(|t| t.ms), Some(1_065_910_455_003));

        let m = read("1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.")
            .expect("example 2");
        let stamp = m.timestamp.expect("a time");
        assert_eq!((stamp.ms, &*stamp.text), (1_061_727_255_000, "2003-08-24T05:14:15.000003-07:00"));
        assert_eq!(m.proc_id.as_deref(), Some("8710"));

        let m = read(concat!(
            "1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 ",
            "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{feff}An application event log entry..."
        ));
        let m = m.expect("example 3");
        assert_eq!(m.structured_data[0].0, "exampleSDID@32473");
        assert_eq!(m.structured_data[0].1[1], ("eventSource".into(), "Application".into()));

        let m = read(
            "1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut=\"3\"][examplePriority@32473 class=\"high\"]",
        );
        let m = m.expect("example 4");
        assert_eq!((m.structured_data.len(), m.message), (2, None));
    }

    #[test]
    fn escapes_are_those_of_the_rfc_and_no_others() {
        let m = read(r#"1 - - - - - [a b="\"\\\]" c="\n]" d=""] x"#).expect("a message");
        let values: Vec<&str> = m.structured_data[0].1.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["\"\\]", "\\n]", ""]);
        assert_eq!(m.message.as_deref(), Some("x"));
        let m = read(r#"1 - - - - - [a][b ip="1" ip="2" ]"#).expect("ids alone, names twice");
        assert_eq!(m.structured_data[1].1.len(), 2);
    }

    #[test]
    fn nil_values_and_empty_texts_are_told_apart() {
        let m = read("1 - - - - - -").expect("all nil");
        assert_eq!((m.timestamp, m.hostname, m.message), (None, None, None));
        assert_eq!(read("1 - - - - - - ").expect("empty").message.as_deref(), Some(""));
        assert_eq!(read("1 - - - - - -  x").expect("blank").message.as_deref(), Some(" x"));
    }

    #[test]
    fn texts_that_are_not_utf8_are_kept() {
        let m = parse(13, b"1 - - - - - - caf\xe9").expect("a message");
        assert_eq!((m.message.as_deref(), m.charset), (Some("caf\u{e9}"), Charset::Latin1));
        assert!(parse(13, b"1 - - - - - - \xef\xbb\xbfcaf\xe9").is_err(), "it promised");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (wrong, why) in [
            ("1 2003-10-11T22:14:15.003Z h a p", "it ends with its process id"),
            ("1 - - - - -", "it ends with its message id"),
            ("1 -  - - - -", "its host name is empty"),
            ("1 - - - - - x", "no structured data"),
            ("1 - - - - - [a", "empty, or holds"),
            ("1 - - - - - [a b]", "empty, or holds"),
            ("1 - - - - - [a b=c]", "not in quotes"),
            ("1 - - - - - [a b=\"c]", "no closing quote"),
            ("1 - - - - - [a b=\"c\"", "has no end"),
            ("1 - - - - - [a][a]", "two elements a"),
            ("1 - - - - - -x", "neither a blank nor the end"),
            ("0 - - - - - -", "version"),
        ] {
            let e = read(wrong).expect_err(wrong);
            assert!(e.contains(why), "{wrong}: {e}");
        }
    }

    #[test]
    fn time_stamps_are_those_of_the_rfc() {
        for right in ["1985-04-12T23:20:50.52Z", "2003-08-24T05:14:15.123456789+00:00", "2024-02-29T00:00:00-12:30"] {
            assert!(is_timestamp(right.as_bytes()), "{right}");
        }
        for wrong in [
            "2003-08-24t05:14:15Z",
            "2003-08-24T05:14:15z",
            "2003-08-24 05:14:15Z",
            "2003-08-24T05:14:15",
            "2023-02-29T00:00:00Z",
            "2003-08-24T05:14:15.Z",
            "2003-08-24T05:14:60Z",
            "2003-08-24T24:00:00Z",
            "2003-08-24T05:14:15+0700",
            "2003-8-24T05:14:15Z",
            "",
        ] {
            assert!(!is_timestamp(wrong.as_bytes()), "{wrong}");
        }
    }
}
