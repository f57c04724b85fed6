//! RFC 3164, and what devices make of it. Pure.
//!
//! The RFC tells what was seen on the wire, and whatever follows a priority is a message; what is not found in it is
//! left out, and nothing is lost: all that is no field is the text. Understood are
//!
//! - times without a year, with one (`Sep 12 2014 11:26:19`, `2012 Nov 21 13:14:15`, `05:34:00 CST 1987`), with
//!   fractions, and of ISO 8601 as `rsyslog` forwards them, with and without a zone,
//! - messages without time, without host name, without tag, tags with and without a process id,
//! - Cisco's numbers before the time, its marks `*` and `.` on times that are not sure, zones behind the time, and
//!   `%FACILITY-SEVERITY-MNEMONIC:` in place of a tag.

use std::net::IpAddr;

use crate::{
    clock::{Clock, Local, offset_minutes},
    message::{Format, Message, Stamp},
    text::Decoded,
};

/// Reads what follows the priority.
pub fn parse(priority: u8, rest: &[u8], clock: &Clock, received: i64) -> Message {
    let Decoded { text, charset } = Decoded::of(rest);
    let mut message = Message::new(Format::Rfc3164, Some(priority), charset);
    let mut text = &*text;
    let timed = Timed::find(text).and_then(|timed| {
        let ms = clock.resolve(&timed.local, received)?;
        Some((Stamp { ms, text: timed.text.to_owned() }, timed))
    });
    if let Some((stamp, timed)) = timed {
        message.timestamp = Some(stamp);
        text = timed.rest;
        message.hostname = timed.host.map(str::to_owned);
        if !timed.ends_with_colon && message.hostname.is_none() {
            (message.hostname, text) = host(text);
        }
    }
    // ASA devices put blanks around the colon.
    let behind = text.strip_prefix(": ").filter(|behind| behind.starts_with('%')).unwrap_or(text);
    match Tag::find(behind) {
        Some(tag) => {
            message.app_name = Some(tag.app_name.to_owned());
            message.proc_id = tag.proc_id.map(str::to_owned);
            message.msg_id = tag.msg_id.map(str::to_owned);
            message.message = Some(tag.rest.to_owned());
        }
        None => message.message = Some(text.to_owned()),
    }
    message
}

/// What a message begins with.
struct Timed<'a> {
    host: Option<&'a str>,
    text: &'a str,
    local: Local,
    /// As Cisco's: then no host name follows.
    ends_with_colon: bool,
    rest: &'a str,
}

impl<'a> Timed<'a> {
    fn find(text: &'a str) -> Option<Self> {
        let text = text.trim_start_matches(' ');
        if let Some(found) = Self::at(text, None) {
            return Some(found);
        }
        // Cisco's number of the message, which may be empty.
        let behind_digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let text = behind_digits.strip_prefix(':').map_or(text, |rest| rest.trim_start_matches(' '));
        if let Some(found) = Self::at(text, None) {
            return Some(found);
        }
        let (host, behind) = text.split_once(": ")?;
        if host.is_empty() || host.contains(' ') {
            return None;
        }
        Self::at(behind.trim_start_matches(' '), Some(host))
    }

    fn at(text: &'a str, host: Option<&'a str>) -> Option<Self> {
        // The clock is not set, or not synchronised.
        let text = text.strip_prefix(['*', '.']).unwrap_or(text);
        let mut scan = Scan(text);
        let mut local = date_and_time(&mut scan)?;
        scan.zone(&mut local);
        let colon = scan.0.strip_prefix(':');
        let rest = match colon.unwrap_or(scan.0) {
            "" => "",
            rest => rest.strip_prefix(' ')?.trim_start_matches(' '),
        };
        let used = text.len() - scan.0.len();
        Some(Self { host, text: &text[..used], local, ends_with_colon: colon.is_some(), rest })
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn date_and_time(scan: &mut Scan<'_>) -> Option<Local> {
    let mut local = Local::default();
    let year_first = scan.0.as_bytes().first()?.is_ascii_digit();
    if year_first {
        local.year = Some(scan.year()?);
        if scan.eat('-') {
            local.month = i8::try_from(scan.digits(2, 2)?).ok()?;
            scan.eat('-').then_some(())?;
            local.day = i8::try_from(scan.digits(2, 2)?).ok()?;
            (scan.eat('T') || scan.eat(' ')).then_some(())?;
            scan.time(&mut local)?;
            scan.offset(&mut local);
            return Some(local);
        }
        scan.eat(' ').then_some(())?;
    }
    local.month = scan.month()?;
    scan.blanks()?;
    local.day = i8::try_from(scan.digits(1, 2)?).ok()?;
    scan.blanks()?;
    if !year_first && scan.0.as_bytes().get(4) == Some(&b' ') {
        local.year = Some(scan.year()?);
        scan.blanks()?;
    }
    scan.time(&mut local)?;
    Some(local)
}

struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn blanks(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches(' ');
        (rest.len() < self.0.len()).then(|| self.0 = rest)
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let count = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits.parse().ok()
    }

    fn year(&mut self) -> Option<i16> {
        let year = i16::try_from(self.digits(4, 4)?).ok()?;
        (1970..=2999).contains(&year).then_some(year)
    }

    fn month(&mut self) -> Option<i8> {
        let name = self.0.get(..3)?;
        let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        self.0 = &self.0[3..];
        i8::try_from(index + 1).ok()
    }

    fn time(&mut self, local: &mut Local) -> Option<()> {
        let part = |scan: &mut Self| i8::try_from(scan.digits(2, 2)?).ok();
        local.hour = part(self)?;
        self.eat(':').then_some(())?;
        local.minute = part(self)?;
        self.eat(':').then_some(())?;
        local.second = part(self)?;
        if local.hour > 23 || local.minute > 59 || local.second > 60 {
            return None;
        }
        let mut fraction = Scan(self.0);
        if (fraction.eat('.') || fraction.eat(',')) && fraction.0.starts_with(|c: char| c.is_ascii_digit()) {
            let rest = fraction.0.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = fraction.0.bytes().take(fraction.0.len() - rest.len());
            let three = digits.chain(std::iter::repeat(b'0')).take(3);
            local.millisecond = three.fold(0, |n, digit| n * 10 + i32::from(digit - b'0'));
            self.0 = rest;
        }
        Some(())
    }

    /// `Z`, `+01:00` or `+0100` directly behind.
    fn offset(&mut self, local: &mut Local) {
        if self.eat('Z') || self.eat('z') {
            local.offset = Some(0);
            return;
        }
        for length in [6, 5] {
            if let Some(minutes) = self.0.get(..length).and_then(offset_minutes) {
                local.offset = Some(minutes);
                self.0 = &self.0[length..];
                return;
            }
        }
    }

    /// The name of a zone behind a blank, where it can be nothing else: before a colon, or a year. Only universal time
    /// has a name that means one thing.
    fn zone(&mut self, local: &mut Local) {
        let Some(behind) = self.0.strip_prefix(' ') else { return };
        let rest = behind.trim_start_matches(|c: char| c.is_ascii_uppercase());
        let name = &behind[..behind.len() - rest.len()];
        if !(1..=5).contains(&name.len()) {
            return;
        }
        let mut scan = Scan(rest);
        if !rest.starts_with(':') {
            let year = if scan.eat(' ') { scan.year() } else { None };
            if year.is_none() || local.year.is_some() || !scan.0.starts_with(' ') {
                return;
            }
            local.year = year;
        }
        if matches!(name, "UTC" | "GMT" | "Z") {
            local.offset = Some(0);
        }
        self.0 = scan.0;
    }
}

/// The host name, where what comes first is one, and the rest.
fn host(text: &str) -> (Option<String>, &str) {
    let (token, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_address = token.parse::<IpAddr>().is_ok();
    let is_tag = (token.ends_with(':') || token.contains('[')) && !is_address;
    // A single word is what there is to say.
    if token.is_empty() || rest.is_empty() || is_tag || token.starts_with('%') {
        return (None, text);
    }
    (Some(token.to_owned()), rest)
}

/// What says which program it was.
struct Tag<'a> {
    app_name: &'a str,
    proc_id: Option<&'a str>,
    msg_id: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Tag<'a> {
    fn find(text: &'a str) -> Option<Self> {
        if let Some(mnemonic) = text.strip_prefix('%') {
            return Self::of_cisco(mnemonic);
        }
        let end = text.find([':', '[', ' '])?;
        let app_name = &text[..end];
        if app_name.is_empty() {
            return None;
        }
        let mut rest = &text[end..];
        let mut proc_id = None;
        if let Some(inside) = rest.strip_prefix('[') {
            let (id, behind) = inside.split_once(']')?;
            if id.is_empty() || id.contains(' ') {
                return None;
            }
            (proc_id, rest) = (Some(id), behind);
        }
        let colon = rest.strip_prefix(':');
        // A word before a blank is text; so is what is part of a longer word, as in 12:30 and http://.
        if colon.is_none() && proc_id.is_none() {
            return None;
        }
        let rest = match colon.unwrap_or(rest) {
            "" => "",
            rest => rest.strip_prefix(' ')?,
        };
        Some(Self { app_name, proc_id, msg_id: None, rest })
    }

    /// `FACILITY-SEVERITY-MNEMONIC: text`; there may be a subfacility in between.
    fn of_cisco(text: &'a str) -> Option<Self> {
        let (mnemonic, rest) = text.split_once(':')?;
        let parts: Vec<&str> = mnemonic.split('-').collect();
        let legal = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let severity = |part: &&str| matches!(part.as_bytes(), [b'0'..=b'7']);
        let right = parts.len() >= 3 && parts.iter().all(legal) && parts[1..parts.len() - 1].iter().any(severity);
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        right.then(|| Self { app_name: parts[0], proc_id: None, msg_id: Some(mnemonic), rest })
    }
}

#[cfg(test)]
mod tests {
    use connect_api::time::{parse_rfc3339, rfc3339};

    use super::*;

    /// Time, host name, tag, process id, message id and text; `-` where there is none.
    fn read(text: &str) -> [String; 6] {
        let received = parse_rfc3339("2026-11-21T12:00:00Z").expect("a time");
        let m = parse(13, text.as_bytes(), &Clock::utc(), received);
        let shown = |o: Option<String>| o.unwrap_or_else(|| "-".into());
        [
            shown(m.timestamp.map(|t| rfc3339(t.ms))),
            shown(m.hostname),
            shown(m.app_name),
            shown(m.proc_id),
            shown(m.msg_id),
            shown(m.message),
        ]
    }

    #[test]
    fn what_is_seen_on_the_wire_is_understood() {
        const OCT: &str = "2026-10-11T22:14:15.000Z";
        for (text, expected) in [
            ("Oct 11 22:14:15 mymachine su: 'su root' failed", [OCT, "mymachine", "su", "-", "-", "'su root' failed"]),
            ("Oct 11 22:14:15 h sshd[4123]: closed", [OCT, "h", "sshd", "4123", "-", "closed"]),
            ("Oct  1 22:14:15 h a[1] no colon", ["2026-10-01T22:14:15.000Z", "h", "a", "1", "-", "no colon"]),
            ("Oct 11 22:14:15 su: no host", [OCT, "-", "su", "-", "-", "no host"]),
            ("Oct 11 22:14:15 su[7]: no host", [OCT, "-", "su", "7", "-", "no host"]),
            ("Oct 11 22:14:15 10.0.0.99 Use the BFG!", [OCT, "10.0.0.99", "-", "-", "-", "Use the BFG!"]),
            ("Oct 11 22:14:15 fe80::1 a: v6", [OCT, "fe80::1", "a", "-", "-", "v6"]),
            ("Oct 11 22:14:15 h at 12:30 http://x", [OCT, "h", "-", "-", "-", "at 12:30 http://x"]),
            ("Oct 11 22:14:15 h kernel: [ 12.5] eth0: up", [OCT, "h", "kernel", "-", "-", "[ 12.5] eth0: up"]),
            ("Oct 11 22:14:15 h my/app.x-1@2:", [OCT, "h", "my/app.x-1@2", "-", "-", ""]),
            ("Oct 11 22:14:15 hello", [OCT, "-", "-", "-", "-", "hello"]),
            ("Oct 11 22:14:15", [OCT, "-", "-", "-", "-", ""]),
            ("logger: without time", ["-", "-", "logger", "-", "-", "without time"]),
            ("app[3]: without time", ["-", "-", "app", "3", "-", "without time"]),
            ("Use the BFG!", ["-", "-", "-", "-", "-", "Use the BFG!"]),
            ("Oct 32 22:14:15 h a: b", ["-", "-", "-", "-", "-", "Oct 32 22:14:15 h a: b"]),
            ("", ["-", "-", "-", "-", "-", ""]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn times_come_in_many_forms() {
        for (text, time) in [
            ("Sep 12 2014 11:26:19 h a: b", "2014-09-12T11:26:19.000Z"),
            ("2012 Nov 21 13:14:15 h a: b", "2012-11-21T13:14:15.000Z"),
            ("Aug 24 05:34:00 CST 1987 h a: b", "1987-08-24T05:34:00.000Z"),
            ("Aug 24 05:34:00.5 h a: b", "2026-08-24T05:34:00.500Z"),
            ("2003-10-11T22:14:15.003-07:00 h a: b", "2003-10-12T05:14:15.003Z"),
            ("2003-10-11T22:14:15.003123Z h a: b", "2003-10-11T22:14:15.003Z"),
            ("2003-10-11T22:14:15+0100 h a: b", "2003-10-11T21:14:15.000Z"),
            ("2003-10-11T22:14:15 h a: b", "2003-10-11T22:14:15.000Z"),
            ("2003-10-11 22:14:15,25 h a: b", "2003-10-11T22:14:15.250Z"),
            ("jan  2 03:04:05 h a: b", "2026-01-02T03:04:05.000Z"),
            ("Dec 31 23:59:60 h a: b", "2025-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(read(text), [time, "h", "a", "-", "-", "b"], "{text}");
        }
    }

    #[test]
    fn what_cisco_sends_is_understood() {
        const MAR: &str = "2026-03-01T18:48:50.483Z";
        const ID: &str = "SYS-5-CONFIG_I";
        for (text, expected) in [
            ("29: *Mar  1 18:48:50.483: %SYS-5-CONFIG_I: Configured", [MAR, "-", "SYS", "-", ID, "Configured"]),
            ("29: router1: *Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: x", [MAR, "router1", "SYS", "-", ID, "x"]),
            ("router1: .Mar  1 18:48:50.483 CET: %SYS-5-CONFIG_I: x", [MAR, "router1", "SYS", "-", ID, "x"]),
            (": 2026 Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: x", [MAR, "-", "SYS", "-", ID, "x"]),
            ("Mar  1 2026 18:48:50.483: %ASA-6-302013: Built", [MAR, "-", "ASA", "-", "ASA-6-302013", "Built"]),
            ("Mar  1 2026 18:48:50.483 fw1 : %ASA-6-302013: Built", [MAR, "fw1", "ASA", "-", "ASA-6-302013", "Built"]),
            ("%FW-6-1: x", ["-", "-", "FW", "-", "FW-6-1", "x"]),
            ("Mar  1 18:48:50.483 h %CPU-SUB-2-HOT: x", [MAR, "h", "CPU", "-", "CPU-SUB-2-HOT", "x"]),
            ("%100 sure: x", ["-", "-", "-", "-", "-", "%100 sure: x"]),
            ("29: no time", ["-", "-", "29", "-", "-", "no time"]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
