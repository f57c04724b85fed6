//! One connector in full.

use std::fmt::Write;

use connect_rest_model::{ConnectorInfo, ConnectorStatus, TaskState};

use super::{
    super::running,
    age,
    overview::{retrying, stalled},
    restarts, trace,
};
use crate::page::Page;

/// The text: the connector, then each task.
pub(super) fn text(status: &ConnectorStatus, info: Option<&ConnectorInfo>, now: i64, width: Option<usize>) -> String {
    let mut page = Page::new(width);
    let c = &status.connector;
    page.line(0, &status.name);
    page.entry("state", &c.state);
    page.entry("type", status.kind.name());
    let setting = |key: &str| info.and_then(|i| i.config.get(key)).filter(|v| !v.is_empty());
    if let Some(class) = setting("connector.class") {
        let version = c.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        page.entry("plugin", &format!("{class}{version}"));
    }
    for (title, key) in [
        ("topics", "topics"),
        ("topics", "topics.regex"),
        ("topic", "topic"),
        ("dead letters", "errors.deadletterqueue.topic.name"),
    ] {
        if let Some(value) = setting(key) {
            page.entry(title, value);
        }
    }
    page.entry("worker", &c.worker_id);
    page.entry("tasks", &format!("{} of {} running", running(&status.tasks), status.tasks.len()));
    page.failure(c.trace.as_deref());
    if let Some(note) = c.detail.as_ref().and_then(|d| d.note.as_deref()) {
        page.line(2, note);
    }
    page.restarts(c.detail.as_ref().and_then(|d| restarts(d.restarts, d.next_restart.as_deref(), now)));
    for task in &status.tasks {
        page.task(status, task, now);
    }
    page.text
}

impl Page {
    fn entry(&mut self, title: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "  {title:<13} {}", value.replace('\n', " "));
    }

    fn failure(&mut self, text: Option<&str>) {
        for (depth, line) in trace::causes(text.unwrap_or_default()).iter().enumerate() {
            self.line(2 + 2 * depth, line);
        }
    }

    fn task(&mut self, status: &ConnectorStatus, task: &TaskState, now: i64) {
        let elsewhere = task.worker_id != status.connector.worker_id;
        let worker = if elsewhere { format!(" on {}", task.worker_id) } else { String::new() };
        self.text.push('\n');
        self.line(0, &format!("task {}: {}{worker}", task.id, task.state));
        if let Some(d) = &task.detail {
            let lag = d.lag.map(|n| format!(", {n} behind")).unwrap_or_default();
            let records = format!("{} in, {} out, {} bad{lag}", d.records_in, d.records_out, d.records_bad);
            self.entry("records", &records);
            if d.rate_in > 0.0 || d.rate_out > 0.0 {
                self.entry("a second", &format!("{} in, {} out, within the last minute", d.rate_in, d.rate_out));
            }
            let last = d.last_record.as_deref().map(|t| format!("{} ago ({t})", age(t, now)));
            self.entry("last record", last.as_deref().unwrap_or("none since the task started"));
            if let Some(text) = stalled(d, now) {
                self.line(2, &text);
            }
            if let Some(text) = retrying(d, now) {
                self.line(2, &text);
            } else if let Some(error) = d.last_error.as_ref().filter(|_| task.trace.is_none()) {
                let ago = d.last_error_at.as_deref().map(|t| format!(" {} ago", age(t, now))).unwrap_or_default();
                self.line(2, &format!("last error{ago}: {error}"));
            }
            if let Some(note) = &d.note {
                self.line(2, note);
            }
        }
        self.failure(task.trace.as_deref());
        let again = task.detail.as_ref().and_then(|d| restarts(d.restarts, d.next_restart.as_deref(), now));
        self.restarts(again);
    }

    fn restarts(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.line(2, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::overview::tests::{now, statuses},
        *,
    };

    #[test]
    fn one_connector_is_shown_with_all_that_is_known() {
        let status = &statuses()[0];
        let info = r#"{"name":"influxdb-sink","type":"sink","tasks":[],"config":{"connector.class":"influxdb-sink",
            "topics":"active-alarms","errors.deadletterqueue.topic.name":"dead-alarms","influxdb.password":"secret"}}"#;
        let info: ConnectorInfo = serde_json::from_str(info).expect("info");
        let expected = "\
influxdb-sink
  state         RUNNING
  type          sink
  plugin        influxdb-sink 0.1.0
  topics        active-alarms
  dead letters  dead-alarms
  worker        10.0.0.1:8083
  tasks         1 of 2 running

task 0: RUNNING
  records       1204 in, 1200 out, 0 bad
  a second      12.5 in, 11 out, within the last minute
  last record   3s ago (2026-11-21T11:59:57Z)
  stalled for 80s: writing records (put)
  retrying for 60s: writing 4 points to bucket telemetry: connection refused

task 1: FAILED on 10.0.0.2:8083
  records       12 in, 0 out, 3 bad
  last record   none since the task started
  writing 500 points to bucket telemetry
    posting to http://influxdb:8086/write
      401 Unauthorized
";
        assert_eq!(text(status, Some(&info), now(), None), expected);
    }

    #[test]
    fn a_connector_of_a_jvm_worker_is_shown_without_counts() {
        let expected = "\
jvm
  state         PAUSED
  type          source
  worker        10.0.0.3:8083
  tasks         0 of 1 running

task 0: PAUSED
";
        assert_eq!(text(&statuses()[1], None, now(), None), expected);
    }
}
