//! One connector in full.

use connect_rest_model::{ConnectorInfo, ConnectorStatus, TaskDetail, TaskState};

use super::{
    super::{lag::told, running},
    Shown,
    advice::advice,
    age,
    overview::{rate, retrying, stalled},
    restarts, trace,
};
use crate::{
    page::Page,
    paint::{self, Tone, paint},
};

/// The text: the connector, then each task, then what to do. `has_logs`: whether the worker keeps log lines.
pub(in super::super) fn text(
    Shown { status, lag }: &Shown,
    info: Option<&ConnectorInfo>,
    has_logs: bool,
    now: i64,
    width: Option<usize>,
) -> String {
    let mut page = Page::new(width);
    let c = &status.connector;
    page.line(0, &paint(Tone::Strong, &status.name));
    page.entry("state", &paint::state(&c.state));
    page.entry("type", status.kind.name());
    let setting = |key: &str| info.and_then(|i| i.config.get(key)).filter(|v| !v.is_empty());
    if let Some(class) = setting("connector.class") {
        let version = c.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        page.entry("plugin", &format!("{class}{version}"));
    }
    const DEAD: &str = "errors.deadletterqueue.topic.name";
    for (title, key) in [("topics", "topics"), ("topics", "topics.regex"), ("topic", "topic"), ("dead letters", DEAD)] {
        if let Some(value) = setting(key) {
            page.entry(title, value);
        }
    }
    page.entry("worker", &c.worker_id);
    page.entry("tasks", &format!("{} of {} running", running(&status.tasks), status.tasks.len()));
    page.sums(status, *lag, now);
    page.failure(c.trace.as_deref());
    if let Some(note) = c.detail.as_ref().and_then(|d| d.note.as_deref()) {
        page.line(2, note);
    }
    page.restarts(c.detail.as_ref().and_then(|d| restarts(d.restarts, d.next_restart.as_deref(), now)));
    for task in &status.tasks {
        page.task(status, task, now);
    }
    let advice = advice(status, setting(DEAD).map(String::as_str), has_logs);
    if !advice.is_empty() {
        page.text.push('\n');
        advice.iter().for_each(|text| page.line(0, &format!("→ {text}")));
    }
    page.text
}

impl Page {
    /// How far it is behind, and what the tasks of a worker that counts have done together, where there are several.
    fn sums(&mut self, status: &ConnectorStatus, lag: Option<u64>, now: i64) {
        let details: Vec<&TaskDetail> = status.tasks.iter().filter_map(|t| t.detail.as_ref()).collect();
        let lags: Vec<u64> = details.iter().filter_map(|d| d.lag).collect();
        match lag {
            // The only task says so.
            Some(_) if status.tasks.len() == 1 && told(status).is_some() => {}
            Some(lag) => self.entry("lag", &format!("{lag} records behind")),
            None if details.len() > 1 && !lags.is_empty() => {
                let (sum, of) = (lags.iter().sum::<u64>(), status.tasks.len());
                self.entry("lag", &format!("{sum} records behind in {} of {of} tasks", lags.len()));
            }
            None => {}
        }
        if details.len() < 2 {
            return;
        }
        let sum = |of: fn(&TaskDetail) -> f64| rate(details.iter().map(|d| of(d)).sum());
        self.entry("a second", &format!("{} in, {} out", sum(|d| d.rate_in), sum(|d| d.rate_out)));
        let last = details.iter().filter_map(|d| d.last_record.as_deref()).max();
        self.entry("last record", &last.map_or_else(|| NONE.into(), |t| format!("{} ago ({t})", age(t, now))));
    }

    /// The error and its causes in one line, so that it can be searched for and passed on.
    fn failure(&mut self, text: Option<&str>) {
        let line = trace::one_line(text.unwrap_or_default());
        if !line.is_empty() {
            self.entry("error", &paint(Tone::Bad, &line));
        }
    }

    fn task(&mut self, status: &ConnectorStatus, task: &TaskState, now: i64) {
        let elsewhere = task.worker_id != status.connector.worker_id;
        let worker = if elsewhere { format!(" on {}", task.worker_id) } else { String::new() };
        self.text.push('\n');
        self.line(0, &format!("task {}: {}{worker}", task.id, paint::state(&task.state)));
        if let Some(d) = &task.detail {
            let lag = d.lag.map(|n| format!(", {n} behind")).unwrap_or_default();
            let records = format!("{} in, {} out, {} bad{lag}", d.records_in, d.records_out, d.records_bad);
            self.entry("records", &records);
            if d.rate_in > 0.0 || d.rate_out > 0.0 {
                let rates = format!("{} in, {} out, within the last minute", rate(d.rate_in), rate(d.rate_out));
                self.entry("a second", &rates);
            }
            let last = d.last_record.as_deref().map(|t| format!("{} ago ({t})", age(t, now)));
            self.entry("last record", last.as_deref().unwrap_or(NONE));
            if let Some(text) = stalled(d, now) {
                self.line(2, &text);
            }
            if let Some(text) = retrying(d, now) {
                self.line(2, &text);
            } else if let Some(error) = d.last_error.as_ref().filter(|_| task.trace.is_none()) {
                let ago = d.last_error_at.as_deref().map(|t| format!("{} ago: ", age(t, now))).unwrap_or_default();
                self.entry("last error", &format!("{ago}{error}"));
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
            self.entry("restarts", &text);
        }
    }
}

const NONE: &str = "none since the task started";

#[cfg(test)]
mod tests {
    use super::{
        super::overview::tests::{now, statuses},
        *,
    };

    #[test]
    fn one_connector_is_shown_with_all_that_is_known() {
        let shown = |lag| Shown { status: statuses().remove(0), lag };
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
  lag           12 records behind
  a second      12.5 in, 11 out
  last record   3s ago (2026-11-21T11:59:57Z)

task 0: RUNNING
  records       1204 in, 1200 out, 0 bad, 7 behind
  a second      12.5 in, 11 out, within the last minute
  last record   3s ago (2026-11-21T11:59:57Z)
  stalled for 80s: writing records (put)
  retrying for 60s: writing 4 points to bucket telemetry: connection refused

task 1: FAILED on 10.0.0.2:8083
  records       12 in, 0 out, 3 bad
  last record   none since the task started
  error         writing 500 points to bucket telemetry: posting to http://influxdb:8086/write: 401 Unauthorized
  restarts      restarted once in a row, again in 20s

→ a restart is planned; if it fails again, mend what the error says
→ it tries again by itself; connectctl test influxdb-sink checks the other side
→ connectctl dlq list influxdb-sink shows its dead letters
";
        let text = |lag| paint::resolve(&text(&shown(lag), Some(&info), true, now(), None), false);
        assert_eq!(text(Some(12)), expected);
        assert!(text(None).contains("\n  lag           7 records behind in 1 of 2 tasks\n"), "{}", text(None));
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

→ connectctl resume jvm lets it run again
";
        let text = |lag| {
            let shown = Shown { status: statuses().remove(1), lag };
            paint::resolve(&text(&shown, None, false, now(), None), false)
        };
        assert_eq!(text(None), expected);
        assert!(text(Some(7)).contains("\n  lag           7 records behind\n"), "{}", text(Some(7)));
    }
}
