//! Patterns of dates: what is written, and what is read of right and odd texts.

use connect_api::{Schema, Value, logical};

use crate::{Deliberate, MISPLACED_TEXT, compare, ours::Case, text, transform, values::record};

const PATTERNS: &[&str] = &[
    "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    "yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "yyyy-MM-dd'T'HH:mm:ssXXX",
    "yyyy-MM-dd HH:mm:ss Z",
    "yyyy-MM-dd",
    "yyyyMMdd",
    "yyyyMMddHHmmssSSS",
    "yy-M-d",
    "yyy",
    "y",
    "yyyyyy",
    "d/M/yy h:mm a",
    "dd MMM yyyy",
    "MMMM d, yyyy G",
    "EEE, d MMM yyyy HH:mm:ss z",
    "EEEE dd MMMM",
    "E",
    "YYYY-'W'ww-u",
    "YY w",
    "YYYY'W'ww",
    "D yyyy",
    "DDD",
    "F EEE MMM yyyy",
    "W MMM yyyy EEE",
    "W MM yyyy",
    "k:mm",
    "K:mm a",
    "hh 'o''clock' a, zzzz",
    "HHmm",
    "H:m:s.S",
    "SSSSSS",
    "s",
    "S",
    "LLL yyyy",
    "LL",
    "z",
    "Z",
    "X",
    "XX",
    "XXX",
    "''",
    "'text'",
    "G y",
    "a",
    "u",
    "w",
    "MM yyyy HH",
    "HH:mm:ss,SSS",
    "yyyy.MM.dd G 'at' HH:mm:ss",
    "h a",
    "yyyy M",
    "Md",
    "yyMMddHHmmssZ",
    "dd-MMM-yy",
];

const MOMENTS: &[i64] = &[
    0,
    1,
    -1,
    1_763_702_383_042,
    1_767_139_200_000,
    1_767_225_599_999,
    1_735_603_200_000,
    951_782_400_000,
    -2_208_988_800_000,
    -12_219_292_800_000,
    -12_219_292_800_001,
    -62_135_769_600_000,
    -62_135_769_600_001,
    253_402_300_799_999,
    253_402_300_800_000,
    43_200_000,
    46_800_000,
    -86_400_000,
    1_700_000_000_000,
];

const TEXTS: &[&str] = &[
    "",
    " ",
    "2025-11-21",
    "2025-11-21T05:19:43.042Z",
    "2025-11-21T05:19:43Z",
    "2025-11-21T05:19:43+01:00",
    "2025-11-21T05:19:43.042+0130",
    "2025-11-21 05:19:43 -0800",
    "2025-11-21 05:19:43 GMT+02:00",
    "2025-13-32",
    "2025-1-1",
    "2025-02-29",
    "-5-1-1",
    "25-1-2",
    "05-1-2",
    "99-12-31",
    "5-6-7",
    "20251121",
    "20251121051943042",
    "2025112",
    "1500-02-29",
    "1582-10-10",
    "0001-01-01",
    "0000-00-00",
    "10000-01-01",
    "21/11/25 5:19 PM",
    "21/11/25 12:00 AM",
    "21/11/25 12:00 pm",
    "21/11/25 13:01 AM",
    "21 Nov 2025",
    "21 november 2025",
    "21 NOVEMBER 2025",
    " 21 Nov 2025",
    "21  Nov 2025",
    "21 May 2025",
    "November 21, 2025 AD",
    "November 21, 2025 BC",
    "nov 3, 44 bc",
    "Fri, 21 Nov 2025 05:19:43 UTC",
    "Fri, 21 Nov 2025 05:19:43 GMT",
    "Mon, 21 Nov 2025 05:19:43 PST",
    "Fri, 21 Nov 2025 05:19:43 GMT-03:30",
    "Friday 21 November",
    "Fri",
    "sunday",
    "2025-W47-5",
    "2025-W1-1",
    "2026-W53-7",
    "2025W47",
    "25 47",
    "325 2025",
    "400 2025",
    "5",
    "24:30",
    "0:30",
    "25:61",
    "12:30 PM",
    "0:30 PM",
    "05 o'clock AM, Coordinated Universal Time",
    "2359",
    "1",
    "1.5",
    "5:3:2.1",
    "000042",
    "99999",
    "-1",
    "+5",
    "Z",
    "+01",
    "-0100",
    "+01:00",
    "+24:00",
    "+1",
    "GMT",
    "gmt",
    "GMT+1",
    "UTC",
    "utc",
    "EST",
    "PDT",
    "CET",
    "CEST",
    "JST",
    "Asia/Tokyo",
    "text",
    "'",
    "AD 2025",
    "BC 44",
    "PM",
    "7",
    "0",
    "8",
    "47",
    "53",
    "3 Fri Nov 2025",
    "-1 Fri Nov 2025",
    "2 Nov 2025 Tue",
    "3 11 2025",
    "2025-11-21X",
    "20251121x",
    "12:30:45,678",
    "2025.11.21 AD at 05:19:43",
    "2025 11",
    "1121",
    "251121051943+0100",
    "21-Nov-25",
    "21-Sept-25",
    "4294967297",
    "99999999999999999999",
    "12 AM",
    "6 pm",
    "Nov 2025",
    "x",
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for pattern in PATTERNS {
        for ms in MOMENTS {
            let config = [("target.type", "string"), ("format", *pattern)];
            let moment = record(Some(logical::timestamp()), Value::Timestamp(*ms));
            cases.push(transform("TimestampConverter$Value", &config, moment, None));
        }
        for text in TEXTS {
            let config = [("target.type", "Timestamp"), ("format", *pattern)];
            let text = record(Some(Schema::string()), (*text).into());
            cases.push(transform("TimestampConverter$Value", &config, text, None));
        }
    }
    for pattern in ["b", "yyyy-'", "XXXX", "'", "i", "yyyy-MM-ddTHH", "e"] {
        let config = [("target.type", "string"), ("format", pattern)];
        cases.push(transform("TimestampConverter$Value", &config, record(None, Value::Int64(0)), None));
    }
    for target in ["unix", "Date", "Time", "Timestamp"] {
        for precision in ["seconds", "milliseconds", "microseconds", "nanoseconds"] {
            let config = [("target.type", target), ("unix.precision", precision)];
            for ms in MOMENTS.iter().copied().chain([i64::MAX / 1_000_000, 9_223_372_036_855_000]) {
                let moment = record(Some(logical::timestamp()), Value::Timestamp(ms));
                cases.push(transform("TimestampConverter$Value", &config, moment, None));
                cases.push(transform("TimestampConverter$Value", &config, record(None, Value::Int64(ms)), None));
            }
        }
    }
    for pattern in PATTERNS {
        for ms in MOMENTS {
            let mut routed = record(None, Value::Null);
            routed.timestamp = Some(*ms);
            cases.push(transform("TimestampRouter", &[("timestamp.format", *pattern)], routed, Some(0)));
        }
    }
    cases
}

#[test]
fn dates_are_written_and_read_as_kafka_connect_does() {
    compare(&cases(), DELIBERATE);
}

const DELIBERATE: &[Deliberate] = &[
    MISPLACED_TEXT,
    Deliberate {
        reason: "years beyond 64 bits of milliseconds are the last moments there are; Java's wrap around",
        is: |case, _, own| {
            let last = |ms: i64| own["ok"]["value"]["date"] == ms;
            case.asked().to_string().contains("\"format\":\"y") && (last(i64::MAX) || last(i64::MIN))
        },
    },
    Deliberate {
        reason: "days beyond 32 bits are no dates; in Java they are none that could be written",
        is: |_, java, own| {
            java["ok"]["value"]["date"].as_i64().is_some_and(|ms| i32::try_from(ms / 86_400_000).is_err())
                && text(own, "message").ends_with(" is beyond all dates")
        },
    },
    Deliberate {
        reason: "the weeks of October 1582 are counted by the days of the month",
        is: |case, java, own| {
            let pattern = case.config.last().map_or("", |(_, pattern)| pattern.as_str());
            (pattern.contains('F') || pattern.contains('W')) && java.to_string().contains("1582") && java != own
        },
    },
];
