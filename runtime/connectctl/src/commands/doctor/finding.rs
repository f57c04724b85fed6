//! What was found, and how it is shown.

use indexmap::IndexMap;
use serde::Serialize;

use crate::{
    page::Page,
    paint::{Tone, paint, state},
    table::columns,
};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It could not be looked at, or need not be; the text says why.
    Skipped,
    /// As it should be.
    Ok,
    /// Somebody should look at it, soon.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Skipped => "-",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What is looked at, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// The worker answers, and is well.
    Worker,
    /// Kafka answers, and is the worker's.
    Kafka,
    /// The topics of a distributed worker.
    Topics,
    /// The schema registry answers, and takes schemas.
    Registry,
    /// Connectors and their tasks run.
    Connectors,
    /// Sinks keep up.
    Lag,
    /// Dead letter queues are empty.
    DeadLetters,
    /// The clocks agree.
    Clock,
    /// There is room where the worker keeps its state.
    Disk,
}

impl Check {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Kafka => "kafka",
            Self::Topics => "topics",
            Self::Registry => "registry",
            Self::Connectors => "connectors",
            Self::Lag => "lag",
            Self::DeadLetters => "dead-letters",
            Self::Clock => "clock",
            Self::Disk => "disk",
        }
    }
}

/// One line of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) level: Level,
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    /// Whether it says that something is not known without which all need not be well: monitoring is told.
    #[serde(skip)]
    pub(super) blind: bool,
}

impl Finding {
    pub(super) fn new(check: Check, level: Level, text: impl Into<String>) -> Self {
        Self { check, level, text: text.into(), remedy: None, blind: false }
    }

    pub(super) fn blind(self) -> Self {
        Self { blind: true, ..self }
    }

    pub(super) fn ok(check: Check, text: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, text)
    }

    pub(super) fn skipped(check: Check, text: impl Into<String>) -> Self {
        Self::new(check, Level::Skipped, text)
    }

    pub(super) fn remedy(self, text: impl Into<String>) -> Self {
        Self { remedy: Some(text.into()), ..self }
    }
}

/// A number that monitoring draws.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Number {
    pub(super) value: f64,
    /// `s`, `B`, or nothing of what is counted.
    pub(super) unit: &'static str,
    /// From where on it is a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warn: Option<f64>,
}

impl Number {
    pub(super) fn count(n: impl TryInto<u32>) -> Self {
        Self { value: n.try_into().map_or(f64::from(u32::MAX), f64::from), ..Self::default() }
    }

    pub(super) fn warn(self, at: f64) -> Self {
        Self { warn: Some(at), ..self }
    }
}

/// The diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// The worst of all levels.
    pub(super) level: Level,
    pub(super) findings: Vec<Finding>,
    pub(super) numbers: IndexMap<&'static str, Number>,
}

/// What a check, or several, found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Each with its check and its name.
    pub(super) numbers: Vec<(Check, &'static str, Number)>,
}

impl Found {
    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn number(&mut self, check: Check, name: &'static str, number: Number) {
        self.numbers.push((check, name, number));
    }

    /// Forgets what is not of these checks.
    pub(super) fn retain(&mut self, wanted: impl Fn(Check) -> bool) {
        self.findings.retain(|f| wanted(f.check));
        self.numbers.retain(|(check, ..)| wanted(*check));
    }

    pub(super) fn join(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.numbers.extend(other.numbers);
    }
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], numbers: Vec::new() }
    }
}

impl Report {
    pub(super) fn new(found: Found) -> Self {
        let Found { mut findings, mut numbers } = found;
        findings.sort_by_key(|f| f.check);
        numbers.sort_by_key(|(check, ..)| *check);
        let numbers = numbers.into_iter().map(|(_, name, number)| (name, number)).collect();
        let level = findings.iter().map(|f| f.level).max().unwrap_or(Level::Skipped);
        Self { level, findings, numbers }
    }

    /// Checks at which something is not as it should be, each once.
    pub(super) fn troubled(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.findings.iter().filter(|f| f.level >= Level::Warn).map(|f| f.check.name().into()).collect();
        names.dedup();
        names
    }

    /// A line each, remedies below.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        const CHECK: usize = 14;
        let mut page = Page::new(width);
        for f in &self.findings {
            let level = match f.level {
                Level::Skipped => paint(Tone::Dim, f.level.name()),
                level => state(level.name()),
            };
            let blanks = " ".repeat(6_usize.saturating_sub(columns(&level)));
            let title = format!("{:<CHECK$}{level}{blanks}", f.check.name());
            let text = if f.level == Level::Skipped { paint(Tone::Dim, &f.text) } else { f.text.clone() };
            page.titled(&title, &text);
            if let Some(remedy) = &f.remedy {
                page.titled(&" ".repeat(columns(&title)), &format!("→ {remedy}"));
            }
        }
        page.text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::paint::resolve;

    /// A plant with a bit of everything.
    pub(in super::super) fn report() -> Report {
        let mut found = Found::default();
        found.add(Finding::ok(Check::Worker, "connectd 0.1.0 at http://127.0.0.1:8083, distributed"));
        found.add(
            Finding::new(
                Check::Topics,
                Level::Fail,
                "connect-configs has cleanup.policy=delete: old connectors are lost",
            )
            .remedy("set cleanup.policy=compact on topic connect-configs"),
        );
        found.add(Finding::skipped(Check::Disk, "the worker does not tell where its state is"));
        found.add(
            Finding::new(Check::Connectors, Level::Warn, "slack task 0 is RESTARTING")
                .remedy("connectctl status slack"),
        );
        found.number(Check::Connectors, "connectors", Number::count(2_u32));
        found.number(Check::Clock, "clock", Number { value: -0.25, unit: "s", warn: Some(2.0) });
        found.number(Check::Lag, "lag", Number::count(7_u32).warn(10000.0));
        Report::new(found)
    }

    #[test]
    fn each_line_says_how_it_is_and_what_to_do() {
        let expected = "\
worker        ok    connectd 0.1.0 at http://127.0.0.1:8083, distributed
topics        fail  connect-configs has cleanup.policy=delete: old connectors are lost
                    → set cleanup.policy=compact on topic connect-configs
connectors    warn  slack task 0 is RESTARTING
                    → connectctl status slack
disk          -     the worker does not tell where its state is
";
        assert_eq!(resolve(&report().text(None), false), expected);
        assert_eq!(resolve(&report().text(Some(200)), false), expected);
        assert_eq!(report().level, Level::Fail);
        assert_eq!(report().troubled(), ["topics", "connectors"]);
    }

    #[test]
    fn sixty_columns_are_enough() {
        let expected = "\
worker        ok    connectd 0.1.0 at http://127.0.0.1:8083,
                      distributed
topics        fail  connect-configs has
                      cleanup.policy=delete: old connectors
                      are lost
                    → set cleanup.policy=compact on topic
                      connect-configs
connectors    warn  slack task 0 is RESTARTING
                    → connectctl status slack
disk          -     the worker does not tell where its state
                      is
";
        assert_eq!(resolve(&report().text(Some(60)), false), expected);
    }
}
