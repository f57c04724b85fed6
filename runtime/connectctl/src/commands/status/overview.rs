//! A row per connector and task, and below it what is wrong with it.

use connect_rest_model::{ConnectorStatus, ConnectorType, TaskDetail, TaskState};

use super::{
    super::{lag::told, task_count},
    Shown, age, restarts, trace, until,
};
use crate::{
    output::View,
    paint::{Tone, paint},
    table::{Column, Table},
};

/// The table. Counts are shown where at least one worker tells them. A lag that tasks do not tell stands beside the connector.
pub(super) fn text(all: &[Shown], now: i64, view: View) -> String {
    let counted = all.iter().flat_map(|s| &s.status.tasks).any(|t| t.detail.is_some());
    let lagging = counted || all.iter().any(|s| s.lag.is_some());
    let mut columns = vec![Column::text("NAME"), Column::text("TYPE"), Column::text("STATE"), Column::text("TASKS")];
    if lagging {
        columns.push(Column::number("LAG"));
    }
    if counted {
        columns.extend([
            Column::number("BAD"),
            Column::number("RATE").optional(),
            Column::number("LAST").optional(),
            Column::number("IN").optional(),
            Column::number("OUT").optional(),
        ]);
    }
    columns.push(Column::text("WORKER").optional());
    let mut table = Table::new(columns);
    for Shown { status, lag } in all {
        let c = &status.connector;
        let mut cells = vec![status.name.clone(), status.kind.name().into(), c.state.clone(), task_count(status)];
        if lagging {
            cells.push(match (lag, status.kind) {
                // Its tasks tell.
                _ if status.tasks.iter().any(|t| t.detail.is_some()) && (lag.is_none() || told(status).is_some()) => {
                    String::new()
                }
                (Some(lag), _) => lag.to_string(),
                (None, ConnectorType::Sink) => "-".into(),
                (None, _) => String::new(),
            });
        }
        if counted {
            cells.extend([""; 5].map(str::to_owned));
        }
        cells.push(c.worker_id.clone());
        table.row(cells);
        failure(&mut table, c.trace.as_deref());
        let again = c.detail.as_ref().and_then(|d| restarts(d.restarts, d.next_restart.as_deref(), now));
        again.into_iter().for_each(|text| table.note(4, text));
        for task in &status.tasks {
            table.row(task_cells(status, task, lagging, counted, now));
            failure(&mut table, task.trace.as_deref());
            if let Some(text) = task.detail.as_ref().and_then(|d| stalled(d, now)) {
                table.note(4, text);
            }
            if let Some(text) = task.detail.as_ref().and_then(|d| retrying(d, now)) {
                table.note(4, text);
            }
            let again = task.detail.as_ref().and_then(|d| restarts(d.restarts, d.next_restart.as_deref(), now));
            again.into_iter().for_each(|text| table.note(4, text));
        }
    }
    table.render(view.width)
}

fn task_cells(status: &ConnectorStatus, task: &TaskState, lagging: bool, counted: bool, now: i64) -> Vec<String> {
    let mut cells = vec![format!("  task {}", task.id), String::new(), task.state.clone(), String::new()];
    if lagging {
        let lag = |d: &TaskDetail| d.lag.map_or_else(|| "-".into(), |n| n.to_string());
        cells.push(task.detail.as_ref().map_or_else(String::new, lag));
    }
    if counted {
        match &task.detail {
            Some(d) => {
                cells.push(d.records_bad.to_string());
                cells.push(rate(d.rate_out));
                cells.push(d.last_record.as_deref().map_or_else(|| "-".into(), |t| age(t, now)));
                cells.extend([d.records_in, d.records_out].map(|n| n.to_string()));
            }
            None => cells.extend([""; 5].map(str::to_owned)),
        }
    }
    let elsewhere = task.worker_id != status.connector.worker_id;
    cells.push(if elsewhere { task.worker_id.clone() } else { String::new() });
    cells
}

fn failure(table: &mut Table, text: Option<&str>) {
    let line = trace::one_line(text.unwrap_or_default());
    if !line.is_empty() {
        table.note(4, paint(Tone::Bad, &line));
    }
}

/// Records a second, short.
pub(in super::super) fn rate(of: f64) -> String {
    match of {
        of if of >= 100.0 => format!("{of:.0}"),
        of => {
            let text = format!("{of:.1}");
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
    }
}

/// What a task is doing that does not get on, and since when it has not.
pub(in super::super) fn stalled(detail: &TaskDetail, now: i64) -> Option<String> {
    let doing = detail.stalled.as_ref()?;
    let since = detail.stalled_since.as_deref().map(|s| format!(" for {}", age(s, now))).unwrap_or_default();
    Some(format!("stalled{since}: {doing}"))
}

/// Why and since when a task is trying again.
pub(in super::super) fn retrying(detail: &TaskDetail, now: i64) -> Option<String> {
    let why = detail.retrying.as_ref()?;
    let since = detail.retrying_since.as_deref().map(|s| format!(" for {}", age(s, now))).unwrap_or_default();
    // What the server asked for is in the text already.
    let next = detail.next_try.as_deref().filter(|_| !why.contains("next try")).and_then(|t| until(t, now));
    let next = next.map(|t| format!(", next try in {t}")).unwrap_or_default();
    Some(format!("retrying{since}{next}: {why}"))
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;

    /// A connector with a task that fails and one that tries again, and one of a JVM worker.
    pub(in super::super::super) fn statuses() -> Vec<ConnectorStatus> {
        let text = r#"[
            {"name":"influxdb-sink","type":"sink",
             "connector":{"state":"RUNNING","worker_id":"10.0.0.1:8083","version":"0.1.0"},
             "tasks":[
                {"id":0,"state":"RUNNING","worker_id":"10.0.0.1:8083","version":"0.1.0","detail":{"records_in":1204,
                 "records_out":1200,"records_bad":0,"rate_in":12.5,"rate_out":11.0,"lag":7,
                 "stalled":"writing records (put)","stalled_since":"2026-11-21T11:58:40Z","last_record":"2026-11-21T11:59:57Z",
                 "retrying":"writing 4 points to bucket telemetry: connection refused",
                 "retrying_since":"2026-11-21T11:59:00Z","last_error":"writing 4 points to bucket telemetry: connection refused"}},
                {"id":1,"state":"FAILED","worker_id":"10.0.0.2:8083","version":"0.1.0",
                 "trace":"writing 500 points to bucket telemetry\nCaused by: posting to http://influxdb:8086/write\nCaused by: 401 Unauthorized",
                 "detail":{"records_in":12,"records_out":0,"records_bad":3,"restarts":2,"next_restart":"2026-11-21T12:00:20Z","last_error":"field value has no number"}}]},
            {"name":"jvm","type":"source","connector":{"state":"PAUSED","worker_id":"10.0.0.3:8083"},
             "tasks":[{"id":0,"state":"PAUSED","worker_id":"10.0.0.3:8083"}]}]"#;
        serde_json::from_str(text).expect("statuses")
    }

    pub(in super::super::super) fn now() -> i64 {
        connect_api::time::parse_rfc3339("2026-11-21T12:00:00Z").expect("time")
    }

    /// As shown where Kafka was not asked.
    fn plain(statuses: &[ConnectorStatus], width: Option<usize>) -> String {
        with_lags(statuses, &[None, None], width)
    }

    fn with_lags(statuses: &[ConnectorStatus], lags: &[Option<u64>], width: Option<usize>) -> String {
        let shown = |(status, lag): (&ConnectorStatus, &Option<u64>)| Shown { status: status.clone(), lag: *lag };
        let all: Vec<Shown> = statuses.iter().zip(lags).map(shown).collect();
        crate::paint::resolve(&text(&all, now(), View { width, wide: false }), false)
    }

    #[test]
    fn a_lag_that_kafka_tells_stands_beside_the_connector() {
        let mut sinks = statuses();
        sinks[1].kind = ConnectorType::Sink;
        let text = with_lags(&sinks, &[Some(1_204), Some(7)], Some(60));
        let expected = "\
NAME           TYPE  STATE    TASKS   LAG  BAD  RATE  LAST
influxdb-sink  sink  RUNNING  1/2    1204
  task 0             RUNNING            7    0    11    3s
";
        assert!(text.starts_with(expected), "{text}");
        let expected = "\
NAME      TYPE  STATE   TASKS  LAG  WORKER
jvm       sink  PAUSED  0/1      7  10.0.0.3:8083
  task 0        PAUSED
";
        assert_eq!(with_lags(&sinks[1..], &[Some(7)], None), expected);
        let two = [sinks[1].clone(), sinks[1].clone()];
        let text = with_lags(&two, &[Some(0), None], None);
        assert!(text.contains("0/1      0  10") && text.contains("0/1      -  10"), "{text}");
    }

    #[test]
    fn tasks_stand_below_their_connector_and_reasons_below_tasks() {
        let expected = "\
NAME           TYPE    STATE    TASKS  LAG  BAD  RATE  LAST    IN   OUT  WORKER
influxdb-sink  sink    RUNNING  1/2                                      10.0.0.1:8083
  task 0               RUNNING           7    0    11    3s  1204  1200
    stalled for 80s: writing records (put)
    retrying for 60s: writing 4 points to bucket telemetry: connection refused
  task 1               FAILED            -    3     0     -    12     0  10.0.0.2:8083
    writing 500 points to bucket telemetry: posting to http://influxdb:8086/write: 401 Unauthorized
    restarted once in a row, again in 20s
jvm            source  PAUSED   0/1                                      10.0.0.3:8083
  task 0               PAUSED
";
        assert_eq!(plain(&statuses(), None), expected);
        assert_eq!(plain(&statuses(), Some(200)), expected);
        assert_eq!(plain(&statuses(), Some(100)), expected);
    }

    #[test]
    fn sixty_columns_are_enough() {
        let expected = "\
NAME           TYPE    STATE    TASKS  LAG  BAD  RATE  LAST
influxdb-sink  sink    RUNNING  1/2
  task 0               RUNNING           7    0    11    3s
    stalled for 80s: writing records (put)
    retrying for 60s: writing 4 points to bucket telemetry:
      connection refused
  task 1               FAILED            -    3     0     -
    writing 500 points to bucket telemetry: posting to
      http://influxdb:8086/write: 401 Unauthorized
    restarted once in a row, again in 20s
jvm            source  PAUSED   0/1
  task 0               PAUSED
";
        assert_eq!(plain(&statuses(), Some(60)), expected);
        let narrow = plain(&statuses(), Some(45));
        assert!(narrow.starts_with("NAME           TYPE    STATE    TASKS  LAG\ninfluxdb-sink "), "{narrow}");
        assert!(narrow.contains("\n  task 1               FAILED"), "{narrow}");
    }

    #[test]
    fn workers_that_count_nothing_get_no_columns_for_it() {
        let expected = "\
NAME      TYPE    STATE   TASKS  WORKER
jvm       source  PAUSED  0/1    10.0.0.3:8083
  task 0          PAUSED
";
        assert_eq!(plain(&statuses()[1..], None), expected);
    }
}
