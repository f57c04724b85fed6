//! Connectors and their tasks, as the worker knows them.

use connect_rest_model::{ConnectorInfo, ConnectorStatus, ConnectorType};

use super::finding::{Check, Finding, Found, Level, Number};
use crate::{
    commands::{
        dlq::waiting::queue_of,
        running,
        status::{
            advice::advice,
            overview::{retrying, stalled},
            trace,
        },
    },
    consent::listed,
    error::Failure,
    shell,
};

/// A connector, as far as the worker tells.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) status: Option<ConnectorStatus>,
    pub(super) info: Option<ConnectorInfo>,
}

impl Known {
    /// Whether it is a sink, running or not.
    pub(super) fn is_sink(&self) -> bool {
        let of_status = self.status.as_ref().map(|s| s.kind);
        of_status.or(self.info.as_ref().map(|i| i.kind)) == Some(ConnectorType::Sink)
    }

    pub(super) fn queue(&self) -> Option<&str> {
        self.info.as_ref().and_then(queue_of)
    }
}

/// Asks for all connectors.
pub(super) async fn all(client: &crate::client::Client) -> Result<Vec<Known>, Failure> {
    let names = client.names().await?;
    let mut found = if names.is_empty() { Default::default() } else { client.expanded().await? };
    let known = |name: String| {
        let (status, info) = found.swap_remove(&name).map_or((None, None), |e| (e.status, e.info));
        Known { name, status, info }
    };
    Ok(names.into_iter().map(known).collect())
}

/// How they are. What is paused or stopped is so because somebody wants it.
pub(super) fn judge(all: &[Known], has_logs: bool, now: i64) -> Found {
    let mut found = Found::default();
    let statuses = || all.iter().filter_map(|k| k.status.as_ref());
    for known in all {
        one(known, has_logs, now, &mut found);
    }
    let tasks: usize = statuses().map(|s| s.tasks.len()).sum();
    let failed = |state: &str| state == "FAILED";
    let mut number = |name, n: usize| found.number(Check::Connectors, name, Number::count(n));
    number("connectors", all.len());
    number("connectors_failed", statuses().filter(|s| failed(&s.connector.state)).count());
    number("tasks", tasks);
    number("tasks_failed", statuses().flat_map(|s| &s.tasks).filter(|t| failed(&t.state)).count());
    if !found.findings.iter().any(|f| f.check == Check::Connectors) {
        let resting: Vec<String> = statuses()
            .filter(|s| matches!(s.connector.state.as_str(), "PAUSED" | "STOPPED"))
            .map(|s| format!("{} is {}", s.name, s.connector.state))
            .collect();
        let runs: usize = statuses().map(|s| running(&s.tasks)).sum();
        let rest = if resting.is_empty() { String::new() } else { format!("; {}", listed(&resting)) };
        let text = match all.len() {
            0 => "there are no connectors".to_owned(),
            n => format!("{}, {} of {tasks} tasks running{rest}", counted(n, "connector"), runs),
        };
        found.add(Finding::ok(Check::Connectors, text));
    }
    found
}

/// So many of something that has an ordinary plural.
pub(super) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn one(known: &Known, has_logs: bool, now: i64, found: &mut Found) {
    let name = &known.name;
    let Some(status) = &known.status else {
        found.add(
            Finding::new(Check::Connectors, Level::Warn, format!("{name} has no status yet"))
                .remedy("if it stays so: connectctl info shows whether a worker is up and ready"),
        );
        return;
    };
    let advice = advice(status, known.queue(), has_logs);
    let first =
        advice.first().cloned().unwrap_or_else(|| format!("connectctl status {} shows more", shell::word(name)));
    let mut add = |level, text: String| {
        found.add(Finding::new(Check::Connectors, level, text).remedy(first.clone()));
    };
    let reason = |text: Option<&str>| {
        let line = trace::one_line(text.unwrap_or_default());
        if line.is_empty() { String::new() } else { format!(": {line}") }
    };
    match status.connector.state.as_str() {
        "RUNNING" if status.tasks.is_empty() => add(Level::Warn, format!("{name} is RUNNING without tasks")),
        "RUNNING" | "PAUSED" | "STOPPED" => {}
        "FAILED" => add(Level::Fail, format!("{name} is FAILED{}", reason(status.connector.trace.as_deref()))),
        state => add(Level::Warn, format!("{name} is {state}")),
    }
    let of = status.tasks.len();
    for (state, level) in [("FAILED", Level::Fail), ("UNASSIGNED", Level::Warn), ("RESTARTING", Level::Warn)] {
        let such: Vec<_> = status.tasks.iter().filter(|t| t.state == state).collect();
        if let Some(task) = such.first() {
            let why = reason(task.trace.as_deref());
            let which = if of == 1 { "its task is".into() } else { format!("{} of {of} tasks are", such.len()) };
            add(level, format!("{name}: {which} {state}{why}"));
        }
    }
    for task in &status.tasks {
        let Some(detail) = &task.detail else { continue };
        if let Some(text) = retrying(detail, now) {
            add(Level::Warn, format!("{name} task {}: {text}", task.id));
        }
    }
    for task in &status.tasks {
        if let Some(text) = task.detail.as_ref().and_then(|d| stalled(d, now)) {
            let shell = shell::word(name);
            found.add(Finding::new(Check::Lag, Level::Warn, format!("{name} task {}: {text}", task.id)).remedy(
                format!(
                    "connectctl logs {shell} -f shows what it does; connectctl restart {shell} --tasks begins anew"
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::overview::tests::{now, statuses};

    fn known(status: ConnectorStatus) -> Known {
        Known { name: status.name.clone(), status: Some(status), info: None }
    }

    #[test]
    fn what_does_not_run_is_told_with_the_way_out() {
        let mut all: Vec<Known> = statuses().into_iter().map(known).collect();
        all.push(Known { name: "new".into(), status: None, info: None });
        let found = judge(&all, true, now());
        let told: Vec<(Check, Level, &str)> =
            found.findings.iter().map(|f| (f.check, f.level, f.text.as_str())).collect();
        assert_eq!(
            told,
            [
                (
                    Check::Connectors,
                    Level::Fail,
                    "influxdb-sink: 1 of 2 tasks are FAILED: writing 500 points to bucket telemetry: posting to \
                     http://influxdb:8086/write: 401 Unauthorized"
                ),
                (
                    Check::Connectors,
                    Level::Warn,
                    "influxdb-sink task 0: retrying for 60s: writing 4 points to bucket telemetry: connection refused"
                ),
                (Check::Lag, Level::Warn, "influxdb-sink task 0: stalled for 80s: writing records (put)"),
                (Check::Connectors, Level::Warn, "new has no status yet"),
            ]
        );
        assert!(found.findings.iter().all(|f| f.remedy.is_some()));
        let numbers: Vec<(&str, f64)> = found.numbers.iter().map(|(_, name, number)| (*name, number.value)).collect();
        assert_eq!(numbers, [("connectors", 3.0), ("connectors_failed", 0.0), ("tasks", 3.0), ("tasks_failed", 1.0)]);
    }

    #[test]
    fn what_rests_is_no_trouble() {
        let found = judge(&[known(statuses().remove(1))], false, now());
        assert_eq!(found.findings.len(), 1);
        assert_eq!(found.findings[0].text, "1 connector, 0 of 1 tasks running; jvm is PAUSED");
        assert_eq!(found.findings[0].level, Level::Ok);
        assert_eq!(judge(&[], true, now()).findings[0].text, "there are no connectors");
    }

    #[test]
    fn states_between_are_warned_of() {
        for state in ["UNASSIGNED", "RESTARTING"] {
            let mut status = statuses().remove(1);
            status.connector.state = "RUNNING".into();
            status.tasks[0].state = state.into();
            let found = judge(&[known(status)], true, now());
            assert_eq!(found.findings[0].level, Level::Warn);
            assert_eq!(found.findings[0].text, format!("jvm: its task is {state}"));
        }
    }
}
