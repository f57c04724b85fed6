//! Which alarms are meant.

use std::str::FromStr;

use connector_alarm::Priority;
use glob::Pattern;

use super::state::{Alarms, Known};
use crate::names::{is_pattern, matching, not_found};

/// A name of an alarm, or a pattern.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("the name is empty".into())
    } else {
        crate::names::name(text).or_else(|e| match text {
            // Only paths of URLs cannot have these.
            "." | ".." => Ok(text.to_owned()),
            _ => Err(e),
        })
    }
}

/// A priority as its symbol, or a part of it: `P1_LIFE`, `P1`, `life`.
pub(super) fn priority(text: &str) -> Result<Priority, String> {
    let given = text.trim().to_ascii_uppercase();
    Priority::from_str(&given).or_else(|e| {
        let part = |p: &Priority| p.name().split('_').any(|part| part == given);
        Priority::ALL.into_iter().find(part).ok_or_else(|| e.replace(&given, text))
    })
}

/// `KEY=VALUE` of a label.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    crate::args::assignment(text)
}

/// The names that are meant, each once. Plain ones need not exist.
pub(super) fn named(written: &[String], alarms: &Alarms, fits: impl Fn(&Known) -> bool) -> Result<Vec<String>, String> {
    let known = if written.iter().any(|text| is_pattern(text)) { alarms.names(fits) } else { Vec::new() };
    matching(written, &known, "alarm", "connectctl alarms list --all shows those that exist")
}

/// Whether a name or a pattern means this alarm.
pub(super) fn is_meant(written: &str, name: &str) -> bool {
    let this = [name.to_owned()];
    // A pattern that does not match this one is no mistake.
    matching(&[written.to_owned()], &this, "alarm", "").is_ok_and(|found| found.contains(&this[0]))
}

/// What to say of an alarm that is not as it has to be, such as active.
pub(super) fn not_there(what: &str, name: &str, alarms: &Alarms, fits: impl Fn(&Known) -> bool) -> String {
    let known = alarms.names(fits);
    match alarms.get(name) {
        Some(_) => format!("alarm {name} is not {what}"),
        None => {
            not_found(&format!("{what} alarm"), name, &known, "connectctl alarms list --all shows those that exist")
        }
    }
}

/// Filters of several commands.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Names of alarms; also patterns such as 'vac-*' and regular expressions such as '/^vac-/'. All without any.
    #[arg(value_name = "NAME", add = crate::complete::alarms(), value_parser = name)]
    pub(super) names: Vec<String>,

    /// Only of these priorities: P1_LIFE, P1 or life; may be given several times, or separated by commas.
    #[arg(long, value_name = "PRIORITY", value_delimiter = ',', value_parser = priority)]
    pub(super) priority: Vec<Priority>,

    /// Only those that this source raises; also a pattern.
    #[arg(long, value_name = "SOURCE", value_parser = pattern)]
    pub(super) source: Option<Pattern>,

    /// Only those of this category, by their registration.
    #[arg(long, value_name = "CATEGORY")]
    pub(super) category: Option<String>,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|e| format!("the pattern is wrong: {}", e.msg))
}

impl Filter {
    /// Whether everything but the name fits.
    pub(super) fn fits(&self, known: &Known) -> bool {
        let priority = known.active.as_ref().and_then(|active| active.priority);
        let category = known.registered.as_ref().map(|(alarm, _)| alarm.category.as_str());
        (self.priority.is_empty() || priority.is_some_and(|p| self.priority.contains(&p)))
            && self.source.as_ref().is_none_or(|source| source.matches(known.source()))
            && self.category.as_deref().is_none_or(|wanted| category.is_some_and(|c| c.eq_ignore_ascii_case(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_have_short_names() {
        for text in ["P2_PROPERTY", "p2", "property", " P2 "] {
            assert_eq!(priority(text), Ok(Priority::Property), "{text}");
        }
        let wrong = "P5 is none of the priorities P1_LIFE, P2_PROPERTY, P3_PRODUCTIVITY, P4_DIAGNOSTIC";
        assert_eq!(priority("P5"), Err(wrong.into()));
        assert!(name("").is_err() && name(".").is_ok() && name("/(/").is_err());
    }
}
