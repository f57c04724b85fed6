//! Sets of statuses, such as `200-299,404`.

use std::ops::RangeInclusive;

use connect_api::config::{ConfigType, KeyType, split_list};
use reqwest::StatusCode;

/// The lowest and the highest status that HTTP has.
const ALL: RangeInclusive<u16> = 100..=599;

/// Statuses and ranges of statuses. A range may be without its end, which then is 599.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Those from the first to the last.
    pub fn range(range: RangeInclusive<u16>) -> Self {
        Self(vec![range])
    }

    /// Whether the status is one of them.
    pub fn contains(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| range.contains(&status.as_u16()))
    }

    /// Whether both have a status in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.start() <= b.end() && b.start() <= a.end()))
    }
}

impl ConfigType for Statuses {
    const KIND: KeyType = KeyType::List;

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| format!("{part} is no status or range of statuses, such as 404 or 200-299");
        let one = |part: String| {
            let status = |text: &str| text.parse().ok().filter(|status| ALL.contains(status));
            let range = match part.split_once('-') {
                None => status(&part).map(|status| status..=status),
                Some((first, "")) => status(first).map(|first| first..=*ALL.end()),
                Some((first, last)) => status(first).zip(status(last)).map(|(first, last)| first..=last),
            };
            range.filter(|range| !range.is_empty()).ok_or_else(|| wrong(&part))
        };
        split_list(text).into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_ranges_are_read() {
        let statuses = Statuses::parse("200-299, 404,500-").expect("right");
        for (status, expected) in [(199, false), (200, true), (299, true), (404, true), (405, false), (599, true)] {
            assert_eq!(statuses.contains(StatusCode::from_u16(status).expect("status")), expected, "{status}");
        }
        assert!(statuses.overlaps(&Statuses::range(299..=300)) && !statuses.overlaps(&Statuses::range(300..=403)));
        assert_eq!(Statuses::parse(""), Ok(Statuses::default()));
        for wrong in ["20", "600", "299-200", "ok", "-200", "200-299-", ","] {
            assert!(Statuses::parse(wrong).is_err(), "{wrong}");
        }
    }
}
