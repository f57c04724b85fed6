//! What to do about a connector that is not as it should be.

use connect_rest_model::{ConnectorStatus, TaskState};

use super::super::Context;
use crate::shell;

/// Whether the worker keeps log lines that tell more of these connectors. It is only asked where that matters.
pub(in super::super) async fn has_logs(
    mut statuses: impl Iterator<Item = &ConnectorStatus>,
    context: &Context<'_>,
) -> bool {
    statuses.any(|s| s.tasks.is_empty()) && context.client.worker().await.is_ok()
}

/// One sentence each, the most urgent first; none where all is well. `has_logs`: whether the worker keeps log lines.
pub(in super::super) fn advice(status: &ConnectorStatus, dead_letters: Option<&str>, has_logs: bool) -> Vec<String> {
    let name = shell::word(&status.name);
    let details = || status.tasks.iter().filter_map(|t| t.detail.as_ref());
    let mut all = Vec::new();
    let failed: Vec<&TaskState> = status.tasks.iter().filter(|t| t.state == "FAILED").collect();
    let planned = status.connector.detail.as_ref().and_then(|d| d.next_restart.as_ref()).is_some()
        || failed.iter().any(|t| t.detail.as_ref().is_some_and(|d| d.next_restart.is_some()));
    match status.connector.state.as_str() {
        "FAILED" => all.push(format!(
            "mend what the error says (connectctl edit {name} changes settings), then connectctl restart {name} --tasks"
        )),
        "PAUSED" | "STOPPED" => all.push(format!("connectctl resume {name} lets it run again")),
        "UNASSIGNED" => all.push("no worker has it: connectctl info shows whether one is up and ready".to_owned()),
        "RUNNING" if status.tasks.is_empty() => {
            all.push(if has_logs {
                format!("it has no tasks: connectctl logs {name} may say why")
            } else {
                "it has no tasks: the worker's own log file may say why".to_owned()
            });
        }
        _ => {}
    }
    if !failed.is_empty() && planned {
        all.push("a restart is planned; if it fails again, mend what the error says".to_owned());
    } else if !failed.is_empty() && status.connector.state != "FAILED" {
        all.push(format!("mend what the error says, then connectctl restart {name} --tasks --only-failed"));
    }
    if details().any(|d| d.retrying.is_some()) {
        all.push(format!("it tries again by itself; connectctl test {name} checks the other side"));
    } else if details().any(|d| d.stalled.is_some()) {
        all.push(format!(
            "connectctl logs {name} -f shows what it does; connectctl restart {name} --tasks begins anew"
        ));
    }
    if details().any(|d| d.records_bad > 0) {
        all.push(match dead_letters {
            Some(_) => format!("connectctl dlq list {name} shows its dead letters"),
            None => "bad records are skipped: errors.deadletterqueue.topic.name keeps them".to_owned(),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{super::overview::tests::statuses, *};

    #[test]
    fn there_is_a_way_out_of_each_state() {
        let mut status = statuses().remove(0);
        let planned = "a restart is planned; if it fails again, mend what the error says";
        assert_eq!(advice(&status, None, true)[0], planned);
        status.tasks.iter_mut().filter_map(|t| t.detail.as_mut()).for_each(|d| d.next_restart = None);
        assert_eq!(
            advice(&status, Some("d"), true),
            [
                "mend what the error says, then connectctl restart influxdb-sink --tasks --only-failed",
                "it tries again by itself; connectctl test influxdb-sink checks the other side",
                "connectctl dlq list influxdb-sink shows its dead letters",
            ]
        );
        status.tasks.clear();
        for (state, part) in [
            ("RUNNING", "has no tasks"),
            ("FAILED", "connectctl edit"),
            ("PAUSED", "connectctl resume"),
            ("STOPPED", "connectctl resume"),
            ("UNASSIGNED", "connectctl info"),
        ] {
            status.connector.state = state.into();
            let all = advice(&status, None, true);
            assert!(all.len() == 1 && all[0].contains(part), "{state}: {all:?}");
        }
        status.connector.state = "RESTARTING".into();
        assert_eq!(advice(&status, None, true), [""; 0]);
        status.connector.state = "RUNNING".into();
        assert_eq!(advice(&status, None, false), ["it has no tasks: the worker's own log file may say why"]);
        status.connector.state = "PAUSED".into();
        status.name = "it's".into();
        assert_eq!(advice(&status, None, false), ["connectctl resume 'it'\\''s' lets it run again"]);
    }
}
