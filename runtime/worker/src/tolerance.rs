//! What becomes of records that fail: retry, tolerance, log and dead letter queue (KIP-298).
//!
//! Two rules differ from Kafka Connect's, because nothing may be skipped silently: an operation that is out
//! of time fails the task unless `errors.tolerance` is all, and a dead letter that Kafka does not take fails
//! the task before offsets are committed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::{Bytes, Error, ErrorClass, Result};
use connect_kafka::{Cut, Delivery, LARGEST, Outgoing, Producer, RawRecord};

use crate::{
    error_log,
    framework::{CommonConfig, Tolerate},
    metrics::counts::ErrorCounts,
    providers::secrets::Secrets,
    status::TaskStatus,
};

/// Where in the path of a record something failed (`org.apache.kafka.connect.runtime.errors.Stage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kafka Connect's")]
pub enum Stage {
    TaskPut,
    TaskPoll,
    Transformation,
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    KafkaProduce,
}

impl Stage {
    /// The name in dead letter headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskPut => "TASK_PUT",
            Self::TaskPoll => "TASK_POLL",
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
        }
    }

    /// What Kafka Connect says of a task that fails at this stage; tools look for it.
    fn end(self) -> &'static str {
        match self {
            Self::TaskPut => "Exiting WorkerSinkTask due to unrecoverable exception.",
            Self::KafkaProduce => "Unrecoverable exception from producer send callback",
            _ => "Tolerance exceeded in error handler",
        }
    }

    /// What is done at this stage, for texts.
    pub fn doing(self) -> &'static str {
        match self {
            Self::TaskPut => "writing the record",
            Self::TaskPoll => "reading the record from its source",
            Self::Transformation => "transforming the record",
            Self::KeyConverter => "converting the record's key",
            Self::ValueConverter => "converting the record's value",
            Self::HeaderConverter => "converting the record's headers",
            Self::KafkaProduce => "producing the record",
        }
    }
}

/// What Kafka Connect names for failures of a sink's put, whatever the connector.
pub const SINK_TASK: &str = "org.apache.kafka.connect.sink.SinkTask";

/// A failure at a stage.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Class of the plugin that failed.
    pub class: String,
    /// What happened.
    pub error: Error,
}

/// The dead letter queue of a task.
pub struct DeadLetters {
    producer: Producer<Letters>,
    letters: Arc<Letters>,
    topic: String,
    headers: bool,
    /// Bytes of the largest record that the producer takes.
    largest: usize,
}

/// What Kafka adds to a record, and some more.
const FRAME: usize = 1024;
/// Says how long the value was of which a dead letter has the beginning.
const CUT: &str = "__connect.errors.value.size";

#[derive(Default)]
struct Letters {
    pending: AtomicUsize,
    status: Arc<TaskStatus>,
    failure: Mutex<Option<Error>>,
}

impl Delivery for Letters {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    fn failed(&self, error: Error) {
        ErrorCounts::one(&self.status.counts().errors.refused_letters);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

impl DeadLetters {
    /// Letters for that topic, sent by a producer with these settings and counted there.
    pub fn new(
        settings: &connect_kafka::ClientSettings,
        topic: String,
        headers: bool,
        status: Arc<TaskStatus>,
    ) -> Result<Self> {
        let letters = Arc::new(Letters { status, ..Letters::default() });
        let largest = settings.native.get("message.max.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(LARGEST);
        Ok(Self { producer: Producer::new(settings)?, letters, topic, headers, largest })
    }

    /// Sends nothing once this is cut.
    pub fn cut_by(mut self, cut: &Cut) -> Self {
        self.producer = self.producer.cut_by(cut);
        self
    }

    async fn send(&self, origin: &Task, raw: &RawRecord, failure: &Failure) -> Result<()> {
        let mut headers: Vec<(&str, Option<&[u8]>)> = raw.headers.iter().map(|(k, v)| (&**k, v.as_deref())).collect();
        let (partition, offset, task) = (raw.partition.to_string(), raw.offset.to_string(), origin.task.to_string());
        let trace = failure.error.trace();
        if self.headers {
            // A record that no task has consumed has no place.
            if raw.offset >= 0 {
                headers.extend([
                    ("__connect.errors.topic", Some(raw.topic.as_bytes())),
                    ("__connect.errors.partition", Some(partition.as_bytes())),
                    ("__connect.errors.offset", Some(offset.as_bytes())),
                ]);
            }
            let message = Some(failure.error.message()).filter(|m| !m.is_empty());
            headers.extend([
                ("__connect.errors.connector.name", Some(origin.connector.as_bytes())),
                ("__connect.errors.task.id", Some(task.as_bytes())),
                ("__connect.errors.stage", Some(failure.stage.name().as_bytes())),
                ("__connect.errors.class.name", Some(failure.class.as_bytes())),
                ("__connect.errors.exception.class.name", Some(failure.error.exception_class().as_bytes())),
                ("__connect.errors.exception.message", message.map(str::as_bytes)),
                ("__connect.errors.exception.stacktrace", Some(trace.as_bytes())),
            ]);
        }
        // A letter that no topic takes would stop the task for good; its beginning tells enough to find the record.
        let mut value = raw.value.as_deref();
        let length = raw.value.as_ref().map_or(0, Bytes::len);
        let others = headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>()
            + raw.key.as_ref().map_or(0, Bytes::len);
        let room = self.largest.saturating_sub(others + FRAME);
        let size = length.to_string();
        if length > room {
            tracing::warn!("a dead letter has the first {room} bytes of a value of {size}: it would be too large");
            value = value.map(|value| &value[..room]);
            headers.push((CUT, Some(size.as_bytes())));
        }
        let letter = Outgoing {
            topic: &self.topic,
            partition: None,
            timestamp: raw.timestamp,
            key: raw.key.as_deref(),
            value,
            headers: &headers,
        };
        ErrorCounts::one(&self.letters.status.counts().errors.letters);
        self.letters.pending.fetch_add(1, Ordering::AcqRel);
        let sent = match self.producer.pass().await {
            Ok(()) => self.producer.send(letter, self.letters.clone()).await,
            Err(e) => Err(e),
        };
        sent.inspect_err(|_| {
            self.letters.pending.fetch_sub(1, Ordering::AcqRel);
        })
    }
}

/// Which task this is, for texts.
#[derive(Debug, Clone)]
pub struct Task {
    /// Connector.
    pub connector: Arc<str>,
    /// Number.
    pub task: u32,
}

/// Decides about failures of one task.
pub struct Tolerance {
    task: Task,
    tolerate: Tolerate,
    retry_timeout: i64,
    retry_delay_max: Duration,
    log: bool,
    log_messages: bool,
    letters: Option<DeadLetters>,
    status: Arc<TaskStatus>,
    secrets: Secrets,
}

impl Tolerance {
    /// As the connector's settings say.
    pub fn new(task: Task, config: &CommonConfig, letters: Option<DeadLetters>, status: Arc<TaskStatus>) -> Self {
        Self {
            task,
            tolerate: config.tolerance,
            retry_timeout: config.retry_timeout,
            retry_delay_max: config.retry_delay_max.0,
            log: config.log,
            log_messages: config.log_messages,
            letters,
            status,
            secrets: Secrets::default(),
        }
    }

    /// Keeps these values out of dead letters and logs.
    pub fn concealing(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Whether failures are logged, each in a line of its own.
    pub fn logs(&self) -> bool {
        self.log
    }

    /// Whether failures are logged with the record of a source as a whole.
    pub fn tells_records(&self) -> bool {
        self.log && self.log_messages
    }

    /// Whether failures are tolerated at all.
    pub fn tolerates(&self) -> bool {
        self.tolerate == Tolerate::All
    }

    /// How long to wait before try number `attempt` (from 1) of an operation that began then; `None` when
    /// it is out of time (runtime.md §6).
    pub fn back_off(&self, attempt: u32, began: Instant, asked: Option<Duration>) -> Option<Duration> {
        let left = match self.retry_timeout {
            0 => return None,
            t if t < 0 => Duration::MAX,
            t => Duration::from_millis(t.unsigned_abs()).checked_sub(began.elapsed()).filter(|d| !d.is_zero())?,
        };
        Some(asked.unwrap_or_else(|| exponential(attempt, self.retry_delay_max)).min(left))
    }

    /// Decides about a record that failed. `Ok` means that it is skipped, and dead-lettered where a queue
    /// is named; an error means that the task must fail.
    pub async fn decide(&self, failure: Failure, raw: Option<&RawRecord>) -> Result<()> {
        let consumed = raw.filter(|r| r.offset >= 0 && self.tells_records()).map(error_log::consumed);
        self.decide_about(failure, raw, consumed).await
    }

    /// As [`Tolerance::decide`], for a record that `shown` tells in the log.
    pub async fn decide_about(
        &self,
        mut failure: Failure,
        raw: Option<&RawRecord>,
        shown: Option<String>,
    ) -> Result<()> {
        failure.error = self.secrets.conceal_error(failure.error);
        self.status.counts().errors.failed();
        let place = raw
            .filter(|r| r.offset >= 0)
            .map(|r| format!(" (topic {}, partition {}, offset {})", r.topic, r.partition, r.offset));
        let place = place.unwrap_or_default();
        if self.log {
            ErrorCounts::one(&self.status.counts().errors.logged);
            let line = error_log::line(&self.task, &failure, shown.as_deref());
            tracing::error!("{line} {}", failure.error.one_line());
        }
        if let (Some(letters), Some(raw)) = (&self.letters, raw) {
            letters.send(&self.task, raw, &failure).await.map_err(|e| e.context("sending a dead letter"))?;
        }
        if self.tolerates() && failure.error.class() != ErrorClass::Fatal {
            self.status.bad(&failure.error);
            return Ok(());
        }
        Err(failed(failure, &place))
    }

    /// The error of a task that gives up although the record has nothing wrong, whatever is tolerated.
    pub fn give_up(&self, mut failure: Failure) -> Error {
        failure.error = self.secrets.conceal_error(failure.error);
        self.status.counts().errors.failed();
        failed(failure, "")
    }

    /// Waits until every dead letter is stored; to be called before offsets are committed.
    pub async fn flush(&self, limit: Duration) -> Result<()> {
        let Some(letters) = &self.letters else { return Ok(()) };
        letters.producer.flush(limit).await.map_err(|e| e.context("storing dead letters"))?;
        // It stays: no later commit, such as the last one of a task that fails with it, may pass over the record.
        match letters.letters.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(e) => Err(Error::fatal(format!("storing dead letters in topic {}", letters.topic)).caused_by(e)),
            None => Ok(()),
        }
    }
}

fn failed(failure: Failure, place: &str) -> Error {
    let way_out = match failure.error.class() {
        ErrorClass::Fatal => "",
        ErrorClass::Retriable => "; errors.retry.timeout says how long to try again",
        ErrorClass::Data => {
            "; errors.tolerance=all with errors.deadletterqueue.topic.name would set such records aside"
        }
    };
    let class = if failure.stage == Stage::TaskPut { String::new() } else { format!(" in {}", failure.class) };
    let what = Error::fatal(format!("{} failed{class}{place}{way_out}", failure.stage.doing()));
    what.caused_by(failure.error).context(failure.stage.end())
}

/// 300·2^(attempt−1) ms, a random time below the limit where that is longer.
fn exponential(attempt: u32, max: Duration) -> Duration {
    let wanted = 300u64.saturating_mul(1 << (attempt.clamp(1, 30) - 1));
    let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    if wanted <= max_ms {
        return Duration::from_millis(wanted);
    }
    // Spread tasks out; the clock's fraction is random enough for that.
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    Duration::from_millis(if max_ms == 0 { 0 } else { seed % max_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn tolerance(extra: &[(&str, &str)]) -> Tolerance {
        let mut s = Settings::from([("name", "c"), ("connector.class", "x")]);
        for (k, v) in extra {
            s.set(*k, *v);
        }
        let config = CommonConfig::parse(&s).expect("settings");
        Tolerance::new(Task { connector: "c".into(), task: 0 }, &config, None, Arc::default())
    }

    fn failure(error: Error) -> Failure {
        Failure { stage: Stage::ValueConverter, class: "JsonConverter".into(), error }
    }

    #[tokio::test]
    async fn without_tolerance_the_task_fails_and_says_what_would_help() {
        let e = tolerance(&[]).decide(failure(Error::data("bad json")), None).await.expect_err("fails");
        assert_eq!(e.class(), ErrorClass::Fatal);
        let trace = e.trace();
        assert!(
            trace.starts_with(
                "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
                 Caused by: org.apache.kafka.connect.errors.ConnectException: converting the record's value failed in \
                 JsonConverter; errors.tolerance=all"
            ),
            "{trace}"
        );
        assert!(trace.ends_with("\nCaused by: org.apache.kafka.connect.errors.DataException: bad json"), "{trace}");
    }

    #[tokio::test]
    async fn each_end_of_a_task_is_told_as_kafka_connect_tells_it() {
        for (stage, text) in [
            (Stage::HeaderConverter, "Tolerance exceeded in error handler"),
            (Stage::TaskPut, "Exiting WorkerSinkTask due to unrecoverable exception."),
            (Stage::KafkaProduce, "Unrecoverable exception from producer send callback"),
        ] {
            let e = tolerance(&[]).decide(Failure { stage, ..failure(Error::data("no")) }, None).await;
            assert_eq!(e.expect_err("fails").message(), text);
        }
    }

    #[tokio::test]
    async fn tolerance_skips_bad_records_but_never_hides_fatal_errors() {
        let all = tolerance(&[("errors.tolerance", "all")]);
        assert!(all.decide(failure(Error::data("bad")), None).await.is_ok());
        assert!(all.decide(failure(Error::fatal("bug")), None).await.is_err());
    }

    #[tokio::test]
    async fn what_config_providers_gave_does_not_come_up_in_what_is_decided() {
        let secrets = Secrets::default();
        secrets.add("s3cret-s3cret", "${e:P}");
        let strict = tolerance(&[]).concealing(secrets);
        let e = strict.decide(failure(Error::data("bad s3cret-s3cret")), None).await.expect_err("fails");
        assert!(e.report().ends_with("Caused by: bad ${e:P}"), "{}", e.report());
    }

    #[tokio::test]
    async fn a_dead_letter_that_was_refused_lets_nothing_be_committed_any_more() {
        let client = Settings::from([("bootstrap.servers", "127.0.0.1:9")]);
        let client = connect_kafka::translate(connect_kafka::Role::Producer, &client).expect("settings");
        let mut tolerance = tolerance(&[("errors.tolerance", "all")]);
        let letters = DeadLetters::new(&client, "dead".into(), false, Arc::default()).expect("letters");
        letters.letters.pending.fetch_add(1, Ordering::AcqRel);
        letters.letters.failed(Error::fatal("refused"));
        tolerance.letters = Some(letters);
        for _ in 0..2 {
            let e = tolerance.flush(Duration::from_secs(1)).await.expect_err("refused for good");
            assert_eq!((e.class(), e.one_line().contains("refused")), (ErrorClass::Fatal, true));
        }
    }

    #[test]
    fn back_off_doubles_and_ends_with_the_timeout() {
        let began = Instant::now();
        assert_eq!(tolerance(&[]).back_off(1, began, None), None);
        let forever = tolerance(&[("errors.retry.timeout", "-1")]);
        assert_eq!(forever.back_off(1, began, None), Some(Duration::from_millis(300)));
        assert_eq!(forever.back_off(3, began, None), Some(Duration::from_millis(1200)));
        assert!(forever.back_off(60, began, None).is_some_and(|d| d < Duration::from_secs(60)));
        let short = tolerance(&[("errors.retry.timeout", "100")]);
        assert!(short.back_off(1, began, None).is_some_and(|d| d <= Duration::from_millis(100)));
    }
}
