//! Times of senders that say neither year nor zone.

use connect_api::config::{ConfigType, KeyType};
use jiff::{
    civil::DateTime,
    tz::{Offset, TimeZone},
};

/// So far clocks may be ahead.
const AHEAD_MS: i64 = 7 * 86_400_000;

/// The zone of senders that name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    zone: TimeZone,
}

/// A time of day and date, perhaps without a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Local {
    /// Year.
    pub year: Option<i16>,
    /// Month, from 1.
    pub month: i8,
    /// Day, from 1.
    pub day: i8,
    /// Hour.
    pub hour: i8,
    /// Minute.
    pub minute: i8,
    /// Second; a leap second counts as the one before.
    pub second: i8,
    /// Millisecond.
    pub millisecond: i32,
    /// Minutes east of Greenwich.
    pub offset: Option<i32>,
}

impl Clock {
    /// Universal time.
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// Milliseconds since 1970; none for what no calendar has. Without a year, the last one is meant in which the time is
    /// not ahead of `received`, or by a week at most: what is sent in the last hour of a year may arrive in the next, and
    /// clocks may be ahead.
    pub fn resolve(&self, local: &Local, received: i64) -> Option<i64> {
        if let Some(year) = local.year {
            return self.in_year(local, year);
        }
        let day = received.div_euclid(86_400_000);
        let year = i16::try_from(connect_api::time::civil(day).0).ok()?;
        let candidates = [year.checked_add(1)?, year, year.checked_sub(1)?];
        candidates.into_iter().filter_map(|year| self.in_year(local, year)).find(|ms| *ms <= received + AHEAD_MS)
    }

    fn in_year(&self, local: &Local, year: i16) -> Option<i64> {
        let Local { month, day, hour, minute, second, millisecond, offset, .. } = *local;
        let time = DateTime::new(year, month, day, hour, minute, second.min(59), millisecond * 1_000_000).ok()?;
        let fixed = match offset {
            Some(minutes) => Some(TimeZone::fixed(Offset::from_seconds(minutes.checked_mul(60)?).ok()?)),
            None => None,
        };
        let zone = fixed.as_ref().unwrap_or(&self.zone);
        zone.to_timestamp(time).ok().map(|stamp| stamp.as_millisecond())
    }
}

impl ConfigType for Clock {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        let offset = || Offset::from_seconds(offset_minutes(text)?.checked_mul(60)?).ok();
        let zone = match text {
            "system" => TimeZone::system(),
            "UTC" => TimeZone::UTC,
            _ if text.starts_with(['+', '-']) => TimeZone::fixed(offset().ok_or_else(|| expected(text))?),
            name => TimeZone::get(name).map_err(|_| expected(text))?,
        };
        Ok(Self { zone })
    }
}

fn expected(text: &str) -> String {
    format!(
        "Expected system, UTC, an offset such as +01:00, or a zone that this machine's time zone data has, such as \
         Europe/Zurich; {text} is none of them"
    )
}

/// Minutes of an offset such as +01:00 or -0730.
pub(crate) fn offset_minutes(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (h1, h2, m1, m2) = match *digits {
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (h1, h2, m1, m2),
        _ => return None,
    };
    let all_digits = [h1, h2, m1, m2].iter().all(u8::is_ascii_digit);
    let number = |tens: u8, ones: u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
    let (hours, minutes) = if all_digits { (number(h1, h2), number(m1, m2)) } else { return None };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use connect_api::time::{parse_rfc3339, rfc3339};

    use super::*;

    fn at(text: &str) -> i64 {
        parse_rfc3339(text).expect("a time")
    }

    fn resolve(zone: &str, month: i8, day: i8, hour: i8, received: &str) -> String {
        let local = Local { month, day, hour, ..Local::default() };
        let clock = Clock::parse(zone).expect("a zone");
        clock.resolve(&local, at(received)).map(rfc3339).unwrap_or_default()
    }

    #[test]
    fn the_year_is_the_last_in_which_it_is_not_ahead() {
        assert_eq!(resolve("UTC", 12, 31, 23, "2027-01-01T00:00:05Z"), "2026-12-31T23:00:00.000Z");
        assert_eq!(resolve("UTC", 1, 1, 0, "2026-12-31T23:59:58Z"), "2027-01-01T00:00:00.000Z", "its clock is ahead");
        assert_eq!(resolve("UTC", 6, 1, 0, "2026-11-21T00:00:00Z"), "2026-06-01T00:00:00.000Z");
        assert_eq!(
            resolve("UTC", 2, 29, 0, "2026-03-01T00:00:00Z"),
            "",
            "neither this year nor the one before has the day"
        );
        assert_eq!(resolve("UTC", 2, 1, 0, "2026-12-24T00:00:00Z"), "2026-02-01T00:00:00.000Z", "held back for long");
        assert_eq!(resolve("UTC", 11, 28, 0, "2026-11-21T00:00:01Z"), "2026-11-28T00:00:00.000Z");
        assert_eq!(resolve("UTC", 11, 29, 0, "2026-11-21T00:00:01Z"), "2025-11-29T00:00:00.000Z");
        assert_eq!(resolve("UTC", 2, 29, 0, "2024-03-01T00:00:00Z"), "2024-02-29T00:00:00.000Z");
        // Midnight of New Year comes at another time elsewhere.
        assert_eq!(resolve("+10:00", 1, 1, 2, "2026-12-31T16:00:00Z"), "2026-12-31T16:00:00.000Z");
    }

    #[test]
    fn zones_are_offsets_or_names_with_summer_time() {
        assert_eq!(resolve("-0730", 7, 1, 0, "2026-07-01T00:00:00Z"), "2026-07-01T07:30:00.000Z");
        if let Ok(clock) = Clock::parse("Europe/Zurich") {
            let hour = |month| {
                let local = Local { year: Some(2026), month, day: 1, hour: 12, ..Local::default() };
                clock.resolve(&local, 0).map(rfc3339)
            };
            assert_eq!(hour(1).as_deref(), Some("2026-01-01T11:00:00.000Z"));
            assert_eq!(hour(7).as_deref(), Some("2026-07-01T10:00:00.000Z"));
        }
        for wrong in ["", "Mars/Olympus", "+1", "+25:00", "+01:60", "-ab:cd"] {
            assert!(Clock::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Clock::parse("system").is_ok());
    }
}
