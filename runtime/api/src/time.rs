//! Dates without a calendar library: proleptic Gregorian, UTC, milliseconds.

/// Year, month (1–12) and day (1–31) of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`).
pub fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Day since 1970-01-01 of a date (`days_from_civil`); months and days beyond their range roll over.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (i64::from(month) + 9) % 12;
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// `2026-11-21`.
pub fn date(day: i64) -> String {
    let (y, m, d) = civil(day);
    format!("{y:04}-{m:02}-{d:02}")
}

/// `05:19:43.001Z` from milliseconds after midnight.
pub fn time_of_day(ms: i64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}Z", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// `2026-11-21T05:19:43.001Z` from milliseconds since 1970.
pub fn rfc3339(ms: i64) -> String {
    format!("{}T{}", date(ms.div_euclid(86_400_000)), time_of_day(ms.rem_euclid(86_400_000)))
}

/// Milliseconds since 1970 of an RFC 3339 text with any number of second fractions; `None` if it is none.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |s: &str| if s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<i64>().ok() } else { None };
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (y, m, d) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let (hms, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = hms.split(':');
    let (h, min, s) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() || !(1..=12).contains(&m) || !(1..=31).contains(&d) || h > 24 || min > 59 || s > 60 {
        return None;
    }
    let ms = number(&format!("{:0<3}", fraction).chars().take(3).collect::<String>())?;
    let offset = match zone {
        "Z" | "z" => 0,
        z => {
            let (zh, zm) = z[1..].split_once(':')?;
            let minutes = number(zh)? * 60 + number(zm)?;
            if z.starts_with('-') { -minutes } else { minutes }
        }
    };
    Some(((days(y, m as u32, d as u32) * 24 + h) * 60 + min - offset) * 60_000 + s * 1000 + ms)
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    // A clock before 1970 is a broken clock; 0 is as good as any answer then.
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for day in (-800_000..800_000).step_by(97) {
            let (y, m, d) = civil(day);
            assert_eq!(days(y, m, d), day);
        }
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            parse_rfc3339("2026-11-21T05:19:43.0019+01:00").map(rfc3339).as_deref(),
            Some("2026-11-21T04:19:43.001Z")
        );
        assert_eq!(parse_rfc3339("2000-02-29T00:00:00Z"), Some(951_782_400_000));
        for bad in
            ["", "2026-11-21", "2026-13-01T00:00:00Z", "2026-11-21T05:19Z", "2026-11-21T05:19:43", "éééééééééééé"]
        {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
