//! Priorities, and the table that gives severities theirs.

use std::{fmt, str::FromStr};

use connect_api::config::{ConfigType, KeyType, types::split_list};

/// How much is at stake. Ordered from the highest, [`Priority::Life`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// People.
    Life,
    /// Equipment.
    Property,
    /// Operation.
    Productivity,
    /// Nothing right now.
    Diagnostic,
}

impl Priority {
    /// All of them, highest first.
    pub const ALL: [Priority; 4] = [Self::Life, Self::Property, Self::Productivity, Self::Diagnostic];

    /// The symbol in the alarm topics: `P1_LIFE` to `P4_DIAGNOSTIC`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Life => "P1_LIFE",
            Self::Property => "P2_PROPERTY",
            Self::Productivity => "P3_PRODUCTIVITY",
            Self::Diagnostic => "P4_DIAGNOSTIC",
        }
    }

    /// Whether this is the higher one: going there is an escalation.
    pub fn is_above(self, other: Priority) -> bool {
        self < other
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|p| p.name() == text);
        found.ok_or_else(|| format!("{text} is none of the priorities {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What the table says of a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Raises an alarm of this priority.
    Raise(Priority),
    /// Clears the alarm.
    Clear,
}

/// Which priority the alarms of a severity have.
///
/// Written `MAJOR:P2_PROPERTY,MINOR:P3_PRODUCTIVITY,NO_ALARM:CLEAR`, ignoring case in severities; the severity `*`
/// stands for all that are not named, and `P2_PROPERTY` alone for `*:P2_PROPERTY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorityTable {
    entries: Vec<(String, Entry)>,
    other: Option<Entry>,
}

impl PriorityTable {
    /// The entry of a severity; `None` if the table knows nothing of it.
    pub fn get(&self, severity: &str) -> Option<Entry> {
        let named = self.entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(severity));
        named.map(|(_, entry)| *entry).or(self.other)
    }
}

const CLEAR: &str = "CLEAR";

impl ConfigType for PriorityTable {
    const KIND: KeyType = KeyType::List;

    fn parse(text: &str) -> Result<Self, String> {
        let mut table = PriorityTable { entries: Vec::new(), other: None };
        for item in split_list(text) {
            // Severities may hold a colon, priorities cannot.
            let (severity, entry) = item.rsplit_once(':').unwrap_or(("*", &item));
            let (severity, entry) = (severity.trim(), entry.trim());
            let entry = if entry == CLEAR {
                Entry::Clear
            } else {
                Entry::Raise(entry.parse().map_err(|e| format!("{e} and {CLEAR}"))?)
            };
            let twice = match severity {
                "" => return Err(format!("{item} names no severity")),
                "*" => table.other.replace(entry).is_some(),
                named => {
                    let known = table.entries.iter().any(|(name, _)| name.eq_ignore_ascii_case(named));
                    table.entries.push((named.to_owned(), entry));
                    known
                }
            };
            if twice {
                return Err(format!("{severity} is there twice"));
            }
        }
        if table.entries.is_empty() && table.other.is_none() {
            return Err("Expected SEVERITY:PRIORITY, separated by commas".into());
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_find_their_priority_whatever_their_case() {
        let table = PriorityTable::parse("MAJOR:P2_PROPERTY, minor : P3_PRODUCTIVITY,normal:CLEAR").expect("a table");
        assert_eq!(table.get("major"), Some(Entry::Raise(Priority::Property)));
        assert_eq!(table.get("MINOR"), Some(Entry::Raise(Priority::Productivity)));
        assert_eq!(table.get("Normal"), Some(Entry::Clear));
        assert_eq!(table.get("critical"), None);
        let all = PriorityTable::parse("P4_DIAGNOSTIC").expect("one for all");
        assert_eq!(all.get("anything"), Some(Entry::Raise(Priority::Diagnostic)));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("", "Expected SEVERITY:PRIORITY, separated by commas"),
            (":P1_LIFE", ":P1_LIFE names no severity"),
            ("a:P1_LIFE,A:P2_PROPERTY", "A is there twice"),
            ("a:P5", "P5 is none of the priorities P1_LIFE, P2_PROPERTY, P3_PRODUCTIVITY, P4_DIAGNOSTIC and CLEAR"),
        ] {
            assert_eq!(PriorityTable::parse(text).expect_err(text), problem);
        }
    }

    #[test]
    fn escalation_is_towards_life() {
        assert!(Priority::Life.is_above(Priority::Property));
        assert!(!Priority::Diagnostic.is_above(Priority::Diagnostic));
    }
}
