//! The metrics: name, kind, meaning, and where the value comes from.

use connect_rest_model::ConnectorType;

use super::{
    counts::{ErrorCounts, Numbers},
    window::{Recent, Typical},
};
pub use super::{process::Process, text::Kind};
use crate::status::{ConnectorView, State, TaskView};

/// A metric of a worker, a connector or a task.
pub struct Metric<T> {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// What it means.
    pub about: &'static str,
    /// The value, where there is one.
    pub value: fn(&T) -> Option<f64>,
}

/// A metric that is always 1 and says something by a label.
pub struct Told<T> {
    /// Name.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// The label.
    pub label: &'static str,
    /// Its value.
    pub value: fn(&T) -> String,
}

/// The worker as metrics show it.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerView {
    /// How many connectors.
    pub connectors: usize,
    /// How many tasks.
    pub tasks: usize,
    /// Starts of connectors: done, failed.
    pub connector_starts: (u64, u64),
    /// Starts of tasks: done, failed.
    pub task_starts: (u64, u64),
}

/// A task with what it has counted.
#[derive(Debug)]
pub struct Counted {
    /// Its connector.
    pub connector: String,
    /// The connector's kind.
    pub kind: ConnectorType,
    /// The task.
    pub task: TaskView,
    /// Its counters now.
    pub numbers: Numbers,
    /// What happened within the last minute.
    pub recent: Recent,
}

const fn gauge<T>(name: &'static str, about: &'static str, value: fn(&T) -> Option<f64>) -> Metric<T> {
    Metric { name, kind: Kind::Gauge, about, value }
}

const fn counter<T>(name: &'static str, about: &'static str, value: fn(&T) -> Option<f64>) -> Metric<T> {
    Metric { name, kind: Kind::Counter, about, value }
}

/// From 0 to 1, whatever the name says, as Kafka Connect has it.
fn percentage((done, failed): (u64, u64), of: u64) -> Option<f64> {
    let all = done + failed;
    Some(if all == 0 { 0.0 } else { of as f64 / all as f64 })
}

/// Of the worker.
pub const WORKER: &[Metric<WorkerView>] = &[
    gauge("kafka_connect_worker_connector_count", "Connectors of this worker, whatever their state.", |w| {
        Some(w.connectors as f64)
    }),
    gauge("kafka_connect_worker_task_count", "Tasks of this worker, whatever their state.", |w| Some(w.tasks as f64)),
    counter(
        "kafka_connect_worker_connector_startup_attempts_total",
        "Starts of connectors, restarts among them.",
        |w| Some((w.connector_starts.0 + w.connector_starts.1) as f64),
    ),
    counter("kafka_connect_worker_connector_startup_success_total", "Starts of connectors that succeeded.", |w| {
        Some(w.connector_starts.0 as f64)
    }),
    counter("kafka_connect_worker_connector_startup_failure_total", "Starts of connectors that failed.", |w| {
        Some(w.connector_starts.1 as f64)
    }),
    gauge(
        "kafka_connect_worker_connector_startup_success_percentage",
        "Part of the starts of connectors that succeeded, 0 to 1, since the worker was started (Kafka Connect: of the last \
         minute).",
        |w| percentage(w.connector_starts, w.connector_starts.0),
    ),
    gauge(
        "kafka_connect_worker_connector_startup_failure_percentage",
        "Part of the starts of connectors that failed, 0 to 1, since the worker was started (Kafka Connect: of the last \
         minute).",
        |w| percentage(w.connector_starts, w.connector_starts.1),
    ),
    counter(
        "kafka_connect_worker_task_startup_attempts_total",
        "Starts of tasks, restarts among them (Kafka Connect counts a start when the task ends).",
        |w| Some((w.task_starts.0 + w.task_starts.1) as f64),
    ),
    counter("kafka_connect_worker_task_startup_success_total", "Starts of tasks that succeeded.", |w| {
        Some(w.task_starts.0 as f64)
    }),
    counter("kafka_connect_worker_task_startup_failure_total", "Starts of tasks that failed.", |w| {
        Some(w.task_starts.1 as f64)
    }),
    gauge(
        "kafka_connect_worker_task_startup_success_percentage",
        "Part of the starts of tasks that succeeded, 0 to 1, since the worker was started (Kafka Connect: of the last \
         minute).",
        |w| percentage(w.task_starts, w.task_starts.0),
    ),
    gauge(
        "kafka_connect_worker_task_startup_failure_percentage",
        "Part of the starts of tasks that failed, 0 to 1, since the worker was started (Kafka Connect: of the last minute).",
        |w| percentage(w.task_starts, w.task_starts.1),
    ),
];

fn tasks(c: &ConnectorView, state: State) -> Option<f64> {
    Some(c.tasks.iter().filter(|t| t.state == state).count() as f64)
}

/// Of each connector.
pub const CONNECTOR: &[Metric<ConnectorView>] = &[
    gauge("kafka_connect_worker_connector_total_task_count", "Tasks of the connector.", |c| Some(c.tasks.len() as f64)),
    gauge("kafka_connect_worker_connector_running_task_count", "Tasks that run.", |c| tasks(c, State::Running)),
    gauge("kafka_connect_worker_connector_paused_task_count", "Tasks that are paused.", |c| tasks(c, State::Paused)),
    gauge("kafka_connect_worker_connector_failed_task_count", "Tasks that have failed.", |c| tasks(c, State::Failed)),
    gauge("kafka_connect_worker_connector_unassigned_task_count", "Tasks that do not run, or not yet.", |c| {
        tasks(c, State::Unassigned)
    }),
    gauge("kafka_connect_worker_connector_restarting_task_count", "Tasks that are being restarted.", |c| {
        tasks(c, State::Restarting)
    }),
];

/// What each connector is and how it is.
pub const CONNECTOR_TOLD: &[Told<ConnectorView>] = &[
    Told {
        name: "kafka_connect_connector_connector_class",
        about: "The connector's class.",
        label: "connector_class",
        value: |c| c.class.clone(),
    },
    Told {
        name: "kafka_connect_connector_connector_type",
        about: "Whether it is a source or a sink.",
        label: "connector_type",
        value: |c| c.kind.name().to_owned(),
    },
    Told {
        name: "kafka_connect_connector_connector_version",
        about: "The version of the plugin.",
        label: "connector_version",
        value: |c| c.version.clone(),
    },
    Told {
        name: "kafka_connect_connector_status",
        about: "The state of the connector itself.",
        label: "status",
        value: |c| c.state.name().to_ascii_lowercase(),
    },
];

/// How each task is.
pub const TASK_TOLD: &[Told<Counted>] = &[Told {
    name: "kafka_connect_connector_task_status",
    about: "The state of the task.",
    label: "status",
    value: |t| t.task.state.name().to_ascii_lowercase(),
}];

/// Of microseconds.
fn ms(value: Option<f64>) -> Option<f64> {
    value.map(|us| us / 1000.0)
}

fn commits(t: &Counted, of: u64) -> Option<f64> {
    let Typical { count, .. } = t.recent.commits;
    percentage((count, t.recent.failed_commits), of)
}

/// Of each task.
pub const TASK: &[Metric<Counted>] = &[
    gauge("kafka_connect_connector_task_running_ratio", "Part of its life that the task was running.", |t| {
        Some(t.task.status.ratios().0)
    }),
    gauge("kafka_connect_connector_task_pause_ratio", "Part of its life that the task was paused.", |t| {
        Some(t.task.status.ratios().1)
    }),
    gauge("kafka_connect_connector_task_batch_size_avg", "Records of a batch, on average.", |t| {
        t.recent.batches.average
    }),
    gauge("kafka_connect_connector_task_batch_size_max", "Records of the largest batch.", |t| t.recent.batches.max),
    gauge(
        "kafka_connect_connector_task_offset_commit_avg_time_ms",
        "How long commits of offsets took that succeeded, on average.",
        |t| ms(t.recent.commits.average),
    ),
    gauge(
        "kafka_connect_connector_task_offset_commit_max_time_ms",
        "How long the longest commit of offsets took that succeeded.",
        |t| ms(t.recent.commits.max),
    ),
    gauge(
        "kafka_connect_connector_task_offset_commit_success_percentage",
        "Part of the commits of offsets that succeeded, 0 to 1; 0 where there was none.",
        |t| commits(t, t.recent.commits.count),
    ),
    gauge(
        "kafka_connect_connector_task_offset_commit_failure_percentage",
        "Part of the commits of offsets that failed, 0 to 1.",
        |t| commits(t, t.recent.failed_commits),
    ),
];

/// Of each task of a source.
pub const SOURCE: &[Metric<Counted>] = &[
    counter(
        "kafka_connect_source_task_source_record_poll_total",
        "Records that the task gave, before transforms.",
        |t| Some(t.numbers.read as f64),
    ),
    gauge("kafka_connect_source_task_source_record_poll_rate", "As many a second.", |t| Some(t.recent.read_rate)),
    counter("kafka_connect_source_task_source_record_write_total", "Records that Kafka has acknowledged.", |t| {
        Some(t.numbers.written as f64)
    }),
    gauge("kafka_connect_source_task_source_record_write_rate", "As many a second.", |t| Some(t.recent.written_rate)),
    gauge(
        "kafka_connect_source_task_source_record_active_count",
        "Records that the task gave and that Kafka has not acknowledged; those that were dropped are none of them.",
        |t| Some(t.numbers.active as f64),
    ),
    gauge(
        "kafka_connect_source_task_source_record_active_count_max",
        "The most of them, of samples every five seconds.",
        |t| Some(t.recent.active_max as f64),
    ),
    gauge(
        "kafka_connect_source_task_source_record_active_count_avg",
        "Their average, of samples every five seconds.",
        |t| Some(t.recent.active_average),
    ),
    gauge(
        "kafka_connect_source_task_poll_batch_avg_time_ms",
        "How long polls took that gave a batch, on average. A poll may wait through pauses and commits, which counts.",
        |t| ms(t.recent.polls.average),
    ),
    gauge("kafka_connect_source_task_poll_batch_max_time_ms", "How long the longest of them took.", |t| {
        ms(t.recent.polls.max)
    }),
];

/// Of each task of a sink.
pub const SINK: &[Metric<Counted>] = &[
    counter(
        "kafka_connect_sink_task_sink_record_read_total",
        "Records that were read from Kafka, before transforms.",
        |t| Some(t.numbers.read as f64),
    ),
    gauge("kafka_connect_sink_task_sink_record_read_rate", "As many a second.", |t| Some(t.recent.read_rate)),
    counter(
        "kafka_connect_sink_task_sink_record_send_total",
        "Records that the task has put without an error (Kafka Connect: that were given to it).",
        |t| Some(t.numbers.written as f64),
    ),
    gauge("kafka_connect_sink_task_sink_record_send_rate", "As many a second.", |t| Some(t.recent.written_rate)),
    gauge(
        "kafka_connect_sink_task_sink_record_active_count",
        "Offsets that were put and are not committed, as of the last second.",
        |t| Some(t.numbers.active as f64),
    ),
    gauge(
        "kafka_connect_sink_task_sink_record_active_count_max",
        "The most of them, of samples every five seconds.",
        |t| Some(t.recent.active_max as f64),
    ),
    gauge(
        "kafka_connect_sink_task_sink_record_active_count_avg",
        "Their average, of samples every five seconds.",
        |t| Some(t.recent.active_average),
    ),
    gauge("kafka_connect_sink_task_partition_count", "Partitions that are assigned to the task.", |t| {
        Some(count(&t.task.status.counts().partitions))
    }),
    gauge("kafka_connect_sink_task_offset_commit_seq_no", "Commits of offsets that Kafka has answered.", |t| {
        Some(t.numbers.commits.count as f64 + t.numbers.failed_commits as f64)
    }),
    counter("kafka_connect_sink_task_offset_commit_completion_total", "Commits of offsets that succeeded.", |t| {
        Some(t.numbers.commits.count as f64)
    }),
    gauge("kafka_connect_sink_task_offset_commit_completion_rate", "As many a second.", |t| Some(t.recent.commit_rate)),
    gauge("kafka_connect_sink_task_put_batch_avg_time_ms", "How long puts took, on average; failed ones, too.", |t| {
        ms(t.recent.puts.average)
    }),
    gauge("kafka_connect_sink_task_put_batch_max_time_ms", "How long the longest of them took.", |t| {
        ms(t.recent.puts.max)
    }),
];

fn count(counter: &std::sync::atomic::AtomicU64) -> f64 {
    counter.load(std::sync::atomic::Ordering::Relaxed) as f64
}

fn errors(t: &Counted) -> &ErrorCounts {
    &t.task.status.counts().errors
}

/// What goes wrong with the records of each task. They grow, although their names do not end like those of counters.
pub const ERRORS: &[Metric<Counted>] = &[
    gauge("kafka_connect_task_error_total_record_failures", "Attempts that failed.", |t| {
        Some(count(&errors(t).failures))
    }),
    gauge("kafka_connect_task_error_total_record_errors", "Operations on records that failed for good.", |t| {
        Some(count(&errors(t).errors))
    }),
    gauge("kafka_connect_task_error_total_records_skipped", "Records that were tolerated as bad.", |t| {
        Some(count(&errors(t).skipped))
    }),
    gauge(
        "kafka_connect_task_error_total_retries",
        "Attempts that were made again, puts not among them, as in Kafka Connect.",
        |t| Some(count(&errors(t).retries)),
    ),
    gauge("kafka_connect_task_error_total_errors_logged", "Errors that errors.log.enable had logged.", |t| {
        Some(count(&errors(t).logged))
    }),
    gauge("kafka_connect_task_error_deadletterqueue_produce_requests", "Dead letters, those of sources, too.", |t| {
        Some(count(&errors(t).letters))
    }),
    gauge(
        "kafka_connect_task_error_deadletterqueue_produce_failures",
        "Dead letters that Kafka did not take, after which the task fails.",
        |t| Some(count(&errors(t).refused_letters)),
    ),
    gauge(
        "kafka_connect_task_error_last_error_timestamp",
        "When an operation failed for good last, milliseconds since 1970; 0 is never.",
        |t| Some(errors(t).last.load(std::sync::atomic::Ordering::Relaxed) as f64),
    ),
];

fn traffic(t: &Counted, kind: ConnectorType, received: bool) -> Option<f64> {
    let (sent, got) = t.task.status.traffic();
    (t.kind == kind).then_some(if received { got as f64 } else { sent as f64 })
}

/// Of the Kafka client of each task.
pub const CLIENT: &[Metric<Counted>] = &[
    counter("kafka_producer_outgoing_byte_total", "Bytes that a source's producer has sent, some seconds ago.", |t| {
        traffic(t, ConnectorType::Source, false)
    }),
    counter("kafka_producer_incoming_byte_total", "Bytes that it has received.", |t| {
        traffic(t, ConnectorType::Source, true)
    }),
    counter("kafka_consumer_outgoing_byte_total", "Bytes that a sink's consumer has sent, some seconds ago.", |t| {
        traffic(t, ConnectorType::Sink, false)
    }),
    counter("kafka_consumer_incoming_byte_total", "Bytes that it has received.", |t| {
        traffic(t, ConnectorType::Sink, true)
    }),
];

/// Of each partition of a sink.
pub const LAG: (&str, &str) = (
    "kafka_consumer_fetch_manager_records_lag",
    "Records that Kafka has and that the task has not put, or has put and keeps to deliver them later, some seconds ago \
     (Kafka Connect: that its consumer has not given out). Not known while the task is paused or tries a put again.",
);

/// Of each task, beyond Kafka Connect.
pub const OWN: &[Metric<Counted>] = &[
    gauge("tocsin_task_lag_records", "Of a sink: the lag of its partitions together.", |t| {
        t.task.status.lag().map(|n| n as f64)
    }),
    gauge("tocsin_task_stalled", "Whether the task has something to do and does not get on (1) or not (0).", |t| {
        Some(f64::from(u8::from(t.task.status.is_stalled())))
    }),
    gauge(
        "tocsin_task_last_record_timestamp_seconds",
        "When the last record reached its destination, seconds since 1970.",
        |t| t.task.status.last_record().map(|ms| ms as f64 / 1000.0),
    ),
    gauge("tocsin_task_restarts", "How often the task was restarted in a row because it had failed.", |t| {
        Some(f64::from(t.task.restarts))
    }),
];

/// How names of the worker's own metrics begin.
pub const PREFIXES: &[&str] = &["kafka_connect_", "kafka_producer_", "kafka_consumer_", "tocsin_", "process_"];

/// Of the process, on Linux.
pub const PROCESS: &[Metric<Process>] = &[
    counter("process_cpu_seconds_total", "Processor time that the process has used.", |p| p.cpu_seconds),
    gauge("process_resident_memory_bytes", "Memory that the process occupies.", |p| p.resident_bytes),
    gauge("process_virtual_memory_bytes", "Memory that the process has asked for.", |p| p.virtual_bytes),
    gauge("process_start_time_seconds", "When the process was started, seconds since 1970.", |p| p.started),
    gauge("process_open_fds", "Files and sockets that the process has open.", |p| p.open_files),
    gauge("process_max_fds", "How many it may open.", |p| p.most_files),
];

/// Of the program: name, meaning, label beside the worker's id.
pub const PROGRAM: [(&str, &str, &str); 3] = [
    ("kafka_connect_version_info", "Version of Kafka Connect whose API this is.", "version"),
    ("kafka_connect_commit_id_info", "The build.", "commit_id"),
    ("kafka_connect_start_time_seconds", "When the worker was started, seconds since 1970.", ""),
];
