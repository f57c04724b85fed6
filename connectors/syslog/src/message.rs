//! A message and how its format is found. Pure.

use crate::{
    clock::Clock,
    rfc3164, rfc5424,
    text::{Charset, Decoded},
};

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 5424.
    Rfc5424,
    /// RFC 3164 and what is like it.
    Rfc3164,
    /// None that is known.
    Unknown,
}

impl Format {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rfc5424 => "rfc5424",
            Self::Rfc3164 => "rfc3164",
            Self::Unknown => "unknown",
        }
    }
}

connect_api::config_enum! {
    /// What is expected.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Expected {
        /// Any, told apart by what follows the priority.
        Auto = "auto",
        /// RFC 5424 alone.
        Rfc5424 = "rfc5424",
        /// RFC 3164 alone.
        Rfc3164 = "rfc3164",
    }
}

/// The time of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// As it was sent, with all of its fractions and its zone.
    pub text: String,
}

/// An element of structured data: its id and its parameters, in order.
pub type Element = (String, Vec<(String, String)>);

/// A message that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How it was written.
    pub format: Format,
    /// Eight times the facility plus the severity; none of a message that was not understood.
    pub priority: Option<u8>,
    /// Version of RFC 5424.
    pub version: Option<u16>,
    /// When it was sent, if it says so.
    pub timestamp: Option<Stamp>,
    /// Who sent it.
    pub hostname: Option<String>,
    /// Which program.
    pub app_name: Option<String>,
    /// Which process of it.
    pub proc_id: Option<String>,
    /// What kind of message.
    pub msg_id: Option<String>,
    /// Structured data of RFC 5424.
    pub structured_data: Vec<Element>,
    /// What it says.
    pub message: Option<String>,
    /// How its text was written.
    pub charset: Charset,
}

impl Message {
    /// A message of this format with nothing else.
    pub fn new(format: Format, priority: Option<u8>, charset: Charset) -> Self {
        Self {
            format,
            priority,
            version: None,
            timestamp: None,
            hostname: None,
            app_name: None,
            proc_id: None,
            msg_id: None,
            structured_data: Vec::new(),
            message: None,
            charset,
        }
    }

    /// What was not understood, as it is.
    pub fn unknown(bytes: &[u8]) -> Self {
        let Decoded { text, charset } = Decoded::of(trimmed(bytes));
        Self { message: Some(text.into_owned()), ..Self::new(Format::Unknown, None, charset) }
    }

    /// Reads a message; the error says what is wrong with it.
    pub fn parse(bytes: &[u8], expected: Expected, clock: &Clock, received: i64) -> Result<Self, String> {
        let bytes = trimmed(bytes);
        let (priority, rest) = priority(bytes)?;
        let is_5424 = match expected {
            Expected::Auto => rfc5424::version(rest).is_some(),
            Expected::Rfc5424 => true,
            Expected::Rfc3164 => false,
        };
        if is_5424 { rfc5424::parse(priority, rest) } else { Ok(rfc3164::parse(priority, rest, clock, received)) }
    }

    /// The facility.
    pub fn facility(&self) -> Option<u8> {
        self.priority.map(|priority| priority >> 3)
    }

    /// The severity, from 0, the worst, to 7.
    pub fn severity(&self) -> Option<u8> {
        self.priority.map(|priority| priority & 7)
    }
}

/// Names of severities, as `logger` has them.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Names of facilities, as RFC 5424 numbers them and `rsyslog` names them.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Senders end messages as their transports ask for, and some do so on all of them.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn priority(bytes: &[u8]) -> Result<(u8, &[u8]), String> {
    let wrong = || "it does not begin with a priority such as <13>".to_owned();
    let rest = bytes.strip_prefix(b"<").ok_or_else(wrong)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    let rest = rest.strip_prefix(b">").ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 3 {
        return Err(wrong());
    }
    let value = digits.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit - b'0'));
    match u8::try_from(value) {
        Ok(value) if value <= 191 => Ok((value, rest)),
        _ => Err(format!("its priority is {value}, of which 191 is the last")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, String> {
        Message::parse(text.as_bytes(), Expected::Auto, &Clock::utc(), 0)
    }

    #[test]
    fn formats_are_told_apart_by_what_follows_the_priority() {
        let format = |text: &str| parse(text).map(|m| m.format);
        assert_eq!(format("<34>1 - - - - - -"), Ok(Format::Rfc5424));
        assert_eq!(format("<34>Oct 11 22:14:15 h su: x"), Ok(Format::Rfc3164));
        assert_eq!(format("<34>"), Ok(Format::Rfc3164), "nothing to say is said");
        assert!(format("<34>1 yesterday h a p m - x").is_err(), "what says that it is RFC 5424 must be");
        let bytes = b"<34>1 - - - - - -";
        let as_3164 = Message::parse(bytes, Expected::Rfc3164, &Clock::utc(), 0).expect("anything goes");
        assert_eq!(as_3164.message.as_deref(), Some("1 - - - - - -"));
        assert!(Message::parse(b"<34>x", Expected::Rfc5424, &Clock::utc(), 0).is_err());
    }

    #[test]
    fn the_priority_is_facility_and_severity() {
        let m = parse("<165>x").expect("a message");
        assert_eq!((m.facility(), m.severity()), (Some(20), Some(5)));
        assert_eq!(parse("<191>x").expect("the last").facility(), Some(23));
        assert_eq!(parse("<0>x").expect("the first").severity(), Some(0));
        for wrong in ["", "x", "<>x", "<192>x", "<999>x", "<1234>x", "<-1>x", "<1 3>x", "<13", "<13x", " <13>x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ends_of_lines_are_no_part_of_messages() {
        assert_eq!(parse("<13>a b\r\n\0").expect("a message").message.as_deref(), Some("a b"));
        assert_eq!(Message::unknown(b"\xffx\n").message.as_deref(), Some("\u{ff}x"));
    }
}
