//! What a test call has done so far.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use connect_api::{Check, Error};
use connect_rest_model::{
    ConnectorType,
    trial::{TestProblem, TestRecord, TestReport, TestStage},
};
use tokio::time::Instant;

/// As everywhere, with the worker's error.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// The stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Validate,
    Connect,
    Read,
    Render,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Render => "render",
        }
    }
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Passed,
    Partly,
    Failed,
    NotChecked,
    Skipped,
}

impl Ended {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Partly => "partly",
            Self::Failed => "failed",
            Self::NotChecked => "not_checked",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug, Default)]
struct State {
    stages: Vec<TestStage>,
    /// What is under way.
    open: Option<(Stage, String, Instant)>,
    records: Vec<TestRecord>,
    note: Option<String>,
    /// What a task says while it is being stopped is of no interest.
    noted: bool,
}

/// The course of a call. Cloning shares it: it is also read when the call is given up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course(Arc<Mutex<State>>);

fn entry(stage: Stage, of: &str, ended: Ended, took: Duration, message: Option<String>) -> TestStage {
    TestStage {
        stage: stage.name().to_owned(),
        of: of.to_owned(),
        result: ended.name().to_owned(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        message,
        problems: Vec::new(),
    }
}

impl Course {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a validation found.
    pub(super) fn validated(&self, class: &str, problems: Vec<(String, String)>, began: Instant) {
        let ended = if problems.is_empty() { Ended::Passed } else { Ended::Failed };
        let message = match problems.len() {
            0 => None,
            1 => Some("a setting is wrong".to_owned()),
            n => Some(format!("{n} problems in the settings")),
        };
        let mut stage = entry(Stage::Validate, class, ended, began.elapsed(), message);
        stage.problems = problems.into_iter().map(|(key, message)| TestProblem { key, message }).collect();
        self.state().stages.push(stage);
    }

    /// A stage begins.
    pub(super) fn begin(&self, stage: Stage, of: &str) {
        self.state().open = Some((stage, of.to_owned(), Instant::now()));
    }

    /// The stage under way has ended.
    pub(super) fn end(&self, ended: Ended, message: Option<String>) {
        let mut state = self.state();
        if let Some((stage, of, began)) = state.open.take() {
            state.stages.push(entry(stage, &of, ended, began.elapsed(), message));
        }
    }

    /// The stage under way has looked at the other side.
    pub(super) fn checked(&self, check: Check) {
        match check {
            Check::Passed(text) => self.end(Ended::Passed, Some(text)),
            Check::Partly(text) => self.end(Ended::Partly, Some(text)),
            Check::NotChecked(text) => self.end(Ended::NotChecked, Some(text)),
        }
    }

    /// The stage under way has failed.
    pub(super) fn failed(&self, error: &Error) {
        self.end(Ended::Failed, Some(error.one_line()));
    }

    /// A stage does not take place.
    pub(super) fn skip(&self, stage: Stage, of: &str, why: &str) {
        self.state().stages.push(entry(stage, of, Ended::Skipped, Duration::ZERO, Some(why.to_owned())));
    }

    /// The time is over: what was under way has failed by that.
    pub(super) fn overdue(&self, limit: Duration) {
        let text = format!("it had not ended when the {} s of the test call were over", limit.as_secs_f32());
        self.end(Ended::Failed, Some(text));
    }

    /// Adds a record.
    pub(super) fn record(&self, record: TestRecord) {
        self.state().records.push(record);
    }

    /// What the connector says of itself.
    pub(super) fn note(&self, text: Option<String>) {
        let mut state = self.state();
        if !state.noted {
            state.note = text;
        }
    }

    /// What the connector has said of itself so far is what counts.
    pub(super) fn noted(&self) {
        self.state().noted = true;
    }

    /// All of it.
    pub(super) fn report(&self, name: String, plugin: String, kind: ConnectorType) -> TestReport {
        let state = self.state();
        let passed = state.stages.iter().all(|s| s.result != Ended::Failed.name())
            && state.records.iter().all(|r| r.outcome != "failed");
        TestReport {
            name,
            plugin,
            kind,
            passed,
            stages: state.stages.clone(),
            records: state.records.clone(),
            note: state.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_when_the_time_is_over_has_failed_and_is_named() {
        let course = Course::default();
        course.validated("x", Vec::new(), Instant::now());
        course.begin(Stage::Connect, "kafka");
        course.end(Ended::Passed, None);
        course.begin(Stage::Connect, "x");
        course.overdue(Duration::from_millis(1500));
        // It may end all the same, which changes nothing.
        course.failed(&Error::fatal("late"));
        let report = course.report("c".into(), "X".into(), ConnectorType::Sink);
        let stages: Vec<(&str, &str, &str)> =
            report.stages.iter().map(|s| (s.stage.as_str(), s.of.as_str(), s.result.as_str())).collect();
        assert_eq!(stages, [("validate", "x", "passed"), ("connect", "kafka", "passed"), ("connect", "x", "failed")]);
        let text = report.stages[2].message.as_deref();
        assert_eq!(text, Some("it had not ended when the 1.5 s of the test call were over"));
        assert!(!report.passed);
    }
}
