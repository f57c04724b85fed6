//! The page of the reference that lists the metrics.

use std::fmt::Write as _;

use super::table::{
    CLIENT, CONNECTOR, CONNECTOR_TOLD, ERRORS, Kind, LAG, Metric, OWN, PROCESS, PROGRAM, SINK, SOURCE, TASK, TASK_TOLD,
    Told, WORKER,
};

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` answers in Prometheus's text format, on the listeners of the REST API and on those of `admin.listeners`.
Where the REST API asks for user and password, it does so here, too; the listeners for administration do not.

Names and labels are those that the JMX exporter makes of Kafka Connect's MBeans with the rules of
[Strimzi's example](https://github.com/strimzi/strimzi-kafka-operator/blob/main/examples/metrics/kafka-connect-metrics.yaml),
which goes back to [the exporter's own](https://github.com/prometheus/jmx_exporter/tree/main/examples). What Kafka
Connect does not count begins with `tocsin_`. Averages, maxima and rates are those of the last minute, or of the time
since the task was started where that is shorter; an average of nothing is left out, where Kafka's is NaN. Counters of a
task begin anew when it is restarted.

Reading the page costs no record anything: tasks count a few numbers a batch, and the page reads those.
";

const LEFT_OUT: &str = "
## Of connectors and transforms

Some connectors and transforms count more; their names are on the pages of their plugins and in the guides. Labels:
`connector`, `task`, and what is said there. The `prometheus-sink` shows metrics that its settings name, with the label
`connector` and those of the settings.

## What is left out

- `kafka_connect_worker_rebalance_*` and `kafka_connect_coordinator_*`: one worker holds the group, so nothing is
  rebalanced between workers.
- `kafka_connect_sink_task_offset_commit_skip_*`: one commit at a time is under way, so none overtakes another.
- `kafka_connect_source_task_transaction_size_*`: there are no transactions.
- `kafka_connect_worker_connector_destroyed_task_count`: a task that is gone is not counted.
- Most of the MBeans of Kafka's clients, and `jvm_*`: librdkafka counts other things than the Java clients, and there is
  no JVM. `process_*` tells of memory and processor.
";

/// The page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "The worker", "none");
    values(&mut page, WORKER);
    section(&mut page, "The program", "`clientid`, the worker's id, and what is told");
    for (name, about, _) in PROGRAM {
        row(&mut page, name, Kind::Gauge, about);
    }
    section(&mut page, "Connectors", "`connector`, and what is told");
    told(&mut page, CONNECTOR_TOLD);
    values(&mut page, CONNECTOR);
    section(&mut page, "Tasks", "`connector`, `task`");
    told(&mut page, TASK_TOLD);
    values(&mut page, TASK);
    values(&mut page, OWN);
    section(&mut page, "Tasks of sources", "`connector`, `task`");
    values(&mut page, SOURCE);
    section(&mut page, "Tasks of sinks", "`connector`, `task`");
    values(&mut page, SINK);
    section(&mut page, "Errors of tasks", "`connector`, `task`");
    values(&mut page, ERRORS);
    section(
        &mut page,
        "Kafka clients of tasks",
        "`clientid`, such as `connector-consumer-NAME-0` whatever `client.id` says; the lag also `topic` and `partition`",
    );
    values(&mut page, CLIENT);
    row(&mut page, LAG.0, Kind::Gauge, LAG.1);
    section(&mut page, "The process", "none; on Linux");
    values(&mut page, PROCESS);
    page.push_str(LEFT_OUT);
    page
}

fn section(page: &mut String, title: &str, labels: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = write!(page, "\n## {title}\n\nLabels: {labels}.\n\n| Metric | Type | Meaning |\n|---|---|---|\n");
}

fn row(page: &mut String, name: &str, kind: Kind, about: &str) {
    let _ = writeln!(page, "| `{name}` | {} | {about} |", kind.name());
}

fn values<T>(page: &mut String, metrics: &[Metric<T>]) {
    metrics.iter().for_each(|m| row(page, m.name, m.kind, m.about));
}

fn told<T>(page: &mut String, metrics: &[Told<T>]) {
    for m in metrics {
        row(page, m.name, Kind::Gauge, &format!("{} Label `{}`; always 1.", m.about, m.label));
    }
}
