//! Which dead letters are meant.

use regex::{Regex, RegexBuilder};

use super::{Place, letter::Letter};
use crate::commands::offsets::When;

/// Stages of a record's path, as headers name them.
const STAGES: [&str; 8] = [
    "KAFKA_CONSUME",
    "KEY_CONVERTER",
    "VALUE_CONVERTER",
    "HEADER_CONVERTER",
    "TRANSFORMATION",
    "TASK_PUT",
    "TASK_POLL",
    "KAFKA_PRODUCE",
];

/// Whose letters.
#[derive(Debug, clap::Args)]
#[group(required = true)]
pub(super) struct Which {
    /// Connector whose dead letters are meant.
    #[arg(value_name = "CONNECTOR", value_parser = crate::names::name, add = crate::complete::connectors())]
    pub(super) connector: Option<String>,

    /// All letters of this topic instead; then the worker need not be asked.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics(), conflicts_with = "connector")]
    pub(super) topic: Option<String>,
}

/// Which of them.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only this letter; may be given several times.
    #[arg(long, value_name = "PARTITION:OFFSET", value_parser = Place::parse)]
    pub(super) offset: Vec<Place>,

    /// Only letters of records that are not older: 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub(super) since: Option<When>,

    /// Only what failed there; may be given several times.
    #[arg(long, value_name = "STAGE", ignore_case = true, value_parser = STAGES)]
    pub(super) stage: Vec<String>,

    /// Only letters whose exception, message or trace has this text in it, or matches /REGEX/.
    #[arg(long, value_name = "TEXT|/REGEX/", value_parser = expression)]
    pub(super) reason: Option<Regex>,
}

/// A text in either case, or a regular expression as it is written.
fn expression(text: &str) -> Result<Regex, String> {
    let made = match text.strip_prefix('/').and_then(|t| t.strip_suffix('/')).filter(|t| !t.is_empty()) {
        Some(inside) => Regex::new(inside),
        None => RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build(),
    };
    made.map_err(|e| {
        let reason = e.to_string();
        format!("{text} is no regular expression: {}", reason.lines().last().unwrap_or_default())
    })
}

impl Filter {
    /// Whether everything is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.offset.is_empty() && self.since.is_none() && self.stage.is_empty() && self.reason.is_none()
    }

    /// Whether the letter is meant. A letter that does not say whose it is may be anybody's.
    pub(super) fn matches(&self, letter: &Letter, connector: Option<&str>) -> bool {
        let (reason, raw) = (&letter.reason, &letter.raw);
        let whose = match (connector, &reason.connector) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => true,
        };
        whose
            && (self.offset.is_empty() || self.offset.contains(&letter.place()))
            && self.since.is_none_or(|since| raw.timestamp.is_some_and(|t| t >= since.ms))
            && (self.stage.is_empty()
                || reason.stage.as_ref().is_some_and(|s| self.stage.iter().any(|w| w.eq_ignore_ascii_case(s))))
            && self.reason.as_ref().is_none_or(|r| reason.texts().any(|text| r.is_match(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::letter::tests::letter, *};

    #[test]
    fn a_letter_is_meant_if_all_filters_fit() {
        let letter = letter(3);
        let reason = |text: &str| Filter { reason: Some(expression(text).expect("expression")), ..Filter::default() };
        for (filter, fits) in [
            (Filter::default(), true),
            (reason("UNRECOGNIZED token"), true),
            (reason("/^org.apache.*DataException$/"), true),
            (reason("/UNRECOGNIZED/"), false),
            (reason("timed out"), false),
            (Filter { stage: vec!["value_converter".into()], ..Filter::default() }, true),
            (Filter { stage: vec!["TASK_PUT".into()], ..reason("token") }, false),
            (Filter { offset: vec![Place { partition: 0, offset: 3 }], ..Filter::default() }, true),
            (Filter { offset: vec![Place { partition: 1, offset: 3 }], ..Filter::default() }, false),
            (Filter { since: Some(When { ms: 1_700_000_000_000 }), ..Filter::default() }, true),
            (Filter { since: Some(When { ms: 1_700_000_000_001 }), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.matches(&letter, None), fits, "{filter:?}");
        }
        assert!(Filter::default().matches(&letter, Some("influxdb-sink")));
        assert!(!Filter::default().matches(&letter, Some("other")));
    }

    #[test]
    fn wrong_expressions_and_places_are_told() {
        assert!(expression("/(/").is_err_and(|e| e.contains("no regular expression")));
        assert!(expression("(").is_ok());
        for wrong in ["", "1", "1:", ":1", "-1:2", "0:-1", "0:x", "0:1:2"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
