//! Runs one source task: poll → transforms → converters → producer → offsets.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connect_api::{Error, ErrorClass, OffsetMap, Result, SourceBatch, SourceTask, Topic};
use connect_kafka::{Cut, Outgoing, Producer, refused_with_others};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    active_topics::TaskTopics,
    converters::Encoded,
    error_log,
    offsets::{OnWay, Refused, Tracker, Walk},
    pipeline::{Passed, Pipeline},
    progress::Activity,
    status::{TaskStatus, Trouble},
    storage::SourceOffsets,
    tolerance::{Failure, Stage, Tolerance},
    topic_creation::TopicCreator,
};

/// How the supervisor steers a task.
#[derive(Debug, Clone)]
pub struct Control {
    /// Cancelled when the task is to stop.
    pub stop: CancellationToken,
    /// Whether the task is to pause.
    pub paused: watch::Receiver<bool>,
    /// Cut when the task has not stopped in time: nothing that it does from then on may reach Kafka.
    pub cut: Cut,
}

/// A source task with everything it needs.
pub struct SourceRunner {
    /// Connector, for offsets.
    pub connector: Arc<str>,
    /// The task.
    pub task: Box<dyn SourceTask>,
    /// Transforms and converters.
    pub pipeline: Pipeline,
    /// The producer.
    pub producer: Producer<OnWay>,
    /// Creates topics before they are written to, where the connector asks for it.
    pub creator: Option<TopicCreator>,
    /// Where offsets are kept.
    pub offsets: SourceOffsets,
    /// Counters.
    pub status: Arc<TaskStatus>,
    /// Topics that it has written to.
    pub topics: TaskTopics,
    /// `offset.flush.interval.ms`
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`
    pub flush_timeout: Duration,
}

/// So many batches may wait for acknowledgements before the task is polled again; the producer's queue
/// bounds their bytes.
const MOST_BATCHES: usize = 256;
/// What Kafka Connect names for records that Kafka refuses, whatever the connector.
const PRODUCING_TASK: &str = "org.apache.kafka.connect.runtime.WorkerSourceTask";
const HEALTH: Duration = Duration::from_secs(1);
/// Kafka acknowledges within milliseconds; librdkafka itself gives up a request after `request.timeout.ms`.
const SILENCE: Duration = Duration::from_secs(10);

impl SourceRunner {
    /// Runs until stopped or failed; then waits for acknowledgements, commits once and stops the task.
    pub async fn run(mut self, control: Control) -> Result<()> {
        let mut tracker = Tracker::new(self.status.clone(), self.pipeline.tolerance.tolerates());
        let mut committer = Committer {
            connector: self.connector.clone(),
            store: self.offsets.clone(),
            status: self.status.clone(),
            waiting: Vec::new(),
            limit: self.flush_timeout,
            cut: control.cut.clone(),
        };
        let result = self.pump(&control, &mut tracker, &mut committer).await;
        if result.is_ok() && !self.task.rereads() {
            self.send_remaining(&mut tracker).await;
        }
        // A task that was given up has a successor by now.
        if !control.cut.is_cut() {
            self.commit_last(&mut tracker, &mut committer).await;
        }
        if let Err(e) = self.task.stop().await {
            tracing::warn!("stopping the task: {}", e.one_line());
        }
        // What Kafka has not acknowledged must not be sent later behind a successor's back. Nobody waits for it here.
        self.producer.purge();
        self.status.given_up();
        result
    }

    /// Sends what the task has read and nobody will give it again.
    async fn send_remaining(&mut self, tracker: &mut Tracker) {
        let Self { task, pipeline, creator, producer, topics, status, .. } = self;
        let sending = async {
            let batch = task.remaining().await?;
            producer.pass().await?;
            send(pipeline, creator, producer, tracker, topics, status, batch).await
        };
        let sent = tokio::time::timeout(self.flush_timeout, sending).await;
        let late = || Error::retriable(format!("kafka did not take it within {} ms", self.flush_timeout.as_millis()));
        if let Err(e) = sent.unwrap_or_else(|_| Err(late())) {
            tracing::warn!("stopping; some of what was read is lost: {}", e.one_line());
        }
    }

    async fn commit_last(&mut self, tracker: &mut Tracker, committer: &mut Committer) {
        let fate = fate(self.task.rereads());
        if let Err(e) = self.producer.flush(self.flush_timeout).await {
            tracing::warn!("stopping with records on their way; what kafka has not got {fate}: {}", e.one_line());
        }
        self.topics.note_all(tracker.take_topics().iter());
        if let Err(e) = settle_refused(&self.producer, &self.pipeline.tolerance, tracker, self.flush_timeout).await {
            tracing::warn!("stopping with a record that kafka refused; it {fate}: {}", e.one_line());
        }
        // An offset is safe only when the dead letters before it are stored, too.
        let committed = match self.pipeline.tolerance.flush(self.flush_timeout).await {
            Ok(()) => committer.commit(tracker).await,
            Err(e) => Err(e),
        };
        if let Err(e) = committed {
            tracing::warn!("the last offsets or dead letters were not stored; their input {fate}: {}", e.one_line());
        }
    }

    async fn pump(&mut self, control: &Control, tracker: &mut Tracker, committer: &mut Committer) -> Result<()> {
        let mut paused = control.paused.clone();
        let mut commits = interval_at(Instant::now() + self.flush_interval, self.flush_interval);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut health = interval_at(Instant::now() + HEALTH, HEALTH);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0u32;
        let health_of = Health::new(&self.producer, self.status.clone(), &control.cut);
        loop {
            let began = Instant::now();
            let polled = {
                // One poll may outlive pauses and commits: it is dropped only when the task stops.
                let poll = self.task.poll();
                tokio::pin!(poll);
                loop {
                    if let Some(e) = tracker.failure() {
                        return Err(e);
                    }
                    let room = tracker.waiting() < MOST_BATCHES && !*paused.borrow();
                    tokio::select! {
                        biased;
                        () = control.stop.cancelled() => return Ok(()),
                        changed = paused.changed() => if changed.is_err() { return Ok(()) },
                        () = tracker.changed() => {
                            self.topics.note_all(tracker.take_topics().iter());
                            settle_refused(&self.producer, &self.pipeline.tolerance, tracker, self.flush_timeout).await?;
                        }
                        _ = health.tick() => health_of.report(),
                        _ = commits.tick() => {
                            let _committing = self.status.doing(Activity::Committing);
                            let stored = match self.pipeline.tolerance.flush(self.flush_timeout).await {
                                Ok(()) => committer.commit(tracker).await,
                                Err(e) => Err(e),
                            };
                            match stored {
                                // A dead letter that Kafka refuses fails the task; offsets are tried again.
                                Err(e) if e.class() == ErrorClass::Fatal => return Err(e),
                                Err(e) => if self.status.retrying(Trouble::Offsets, &e) {
                                    tracing::warn!("{}; it is tried again", e.one_line());
                                },
                                Ok(()) => drop(self.status.recovered(Trouble::Offsets)),
                            }
                            // A commit that takes longer than the interval must leave time for records.
                            commits.reset();
                        }
                        polled = &mut poll, if room => break polled,
                    }
                }
            };
            match polled {
                Ok(batch) => {
                    if failures > 0 {
                        failures = 0;
                        self.status.recovered(Trouble::Poll);
                        tracing::info!("polling succeeds again");
                    }
                    self.status.polled(began.elapsed());
                    let _sending = self.status.doing(Activity::Sending);
                    let failure = tracker.failed_handle();
                    let patience = if self.task.rereads() { Duration::ZERO } else { self.flush_timeout };
                    tokio::select! {
                        biased;
                        () = stopped(&control.stop, patience) => return Ok(()),
                        sent = async {
                            self.producer.pass().await?;
                            send(&mut self.pipeline, &mut self.creator, &self.producer, tracker, &self.topics, &self.status, batch).await
                        } => sent?,
                        e = failed(failure, &health_of) => return Err(e),
                    }
                }
                Err(e) if e.class() == ErrorClass::Retriable => {
                    failures += 1;
                    let delay = e.delay().unwrap_or(Duration::from_millis(300 * u64::from(failures.min(100))));
                    if self.status.retrying_in(Trouble::Poll, &e, delay) {
                        tracing::warn!("polling failed and is tried again: {}", e.one_line());
                    }
                    let _pausing = self.status.doing(Activity::Pausing);
                    tokio::select! {
                        () = control.stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(delay) => {}
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// What becomes of what Kafka has not got when a task stops.
fn fate(rereads: bool) -> &'static str {
    if rereads { "comes again" } else { "is lost, as its source cannot give it again" }
}

/// Resolves when the task was to stop that long ago.
async fn stopped(stop: &CancellationToken, patience: Duration) {
    stop.cancelled().await;
    if !patience.is_zero() {
        tokio::time::sleep(patience).await;
    }
}

/// Says in the status when Kafka is away or does not answer.
struct Health<'a> {
    producer: &'a Producer<OnWay>,
    status: Arc<TaskStatus>,
    cut: &'a Cut,
    /// How many acknowledgements there were when last looked, and since when nothing has been owed or come.
    seen: Mutex<(u64, Instant)>,
}

impl<'a> Health<'a> {
    fn new(producer: &'a Producer<OnWay>, status: Arc<TaskStatus>, cut: &'a Cut) -> Self {
        Self { producer, status, cut, seen: Mutex::new((producer.answers(), Instant::now())) }
    }

    fn report(&self) {
        self.status.turn();
        self.status.transferred(self.producer.traffic());
        let (answers, waiting) = (self.producer.answers(), self.producer.in_flight());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting == 0 || answers != seen.0 {
            *seen = (answers, Instant::now());
        }
        let silent = seen.1.elapsed();
        let text = if waiting > 0 && self.producer.brokers_down() {
            format!("kafka cannot be reached; {waiting} records wait")
        } else if silent > SILENCE {
            format!("kafka has acknowledged nothing for {} s; {waiting} records wait", silent.as_secs())
        } else if !self.cut.is_passable() {
            "kafka has not confirmed the worker's place in its cluster for too long; nothing is written until it has"
                .to_owned()
        } else {
            if self.status.recovered(Trouble::Kafka) {
                tracing::info!("kafka takes records again");
            }
            return;
        };
        if self.status.retrying(Trouble::Kafka, &Error::retriable(text.clone())) {
            tracing::warn!("{text}");
        }
    }
}

/// Resolves when Kafka refused a record while a batch waits for room in the producer's queue.
async fn failed(tracker: crate::offsets::FailureHandle, health: &Health<'_>) -> Error {
    loop {
        if let Some(e) = tracker.failure() {
            return e;
        }
        tokio::time::sleep(HEALTH).await;
        health.report();
    }
}

async fn send(
    pipeline: &mut Pipeline,
    creator: &mut Option<TopicCreator>,
    producer: &Producer<OnWay>,
    tracker: &mut Tracker,
    used: &TaskTopics,
    status: &Arc<TaskStatus>,
    batch: SourceBatch,
) -> Result<()> {
    let (records, slips) = batch.into_parts();
    if records.is_empty() && slips.is_empty() {
        // A task that returns nothing at once must not keep others from running.
        tokio::task::yield_now().await;
        return Ok(());
    }
    status.read(records.len());
    let segments = tracker.batch(records.len(), slips);
    let mut walk = Walk::new(&segments);
    let mut latest: Vec<(Arc<OffsetMap>, OffsetMap)> = Vec::new();
    let mut new_topics: Vec<Topic> = Vec::new();
    let mut failure = None;
    let tolerates = tracker.tolerates();
    // One for each segment, unless the log is to tell each record.
    let mut report: Option<Arc<OnWay>> = None;
    for (i, record) in records.into_iter().enumerate() {
        let segment = walk.segment(i);
        let shown = record.source.clone().filter(|_| pipeline.tolerance.tells_records());
        let source = record.source;
        let outcome = match pipeline.encode(record.record, shown.clone()).await {
            Ok(Passed::On(written)) => {
                let mut unsent = written.further.len();
                segment.more(unsent);
                let mut outcome = Ok(());
                for encoded in std::iter::once(&written.first).chain(&written.further) {
                    if new_topics.last() != Some(&encoded.topic) && used.is_new(&encoded.topic) {
                        new_topics.push(encoded.topic.clone());
                    }
                    // What is refused may be sent again, with its time.
                    let timestamp = encoded.timestamp.filter(|_| tolerates);
                    if shown.is_some() || !report.as_ref().is_some_and(|report| report.is_of(segment, timestamp)) {
                        report = None;
                    }
                    let report = report.get_or_insert_with(|| OnWay::new(segment, shown.clone(), timestamp));
                    let there = match creator {
                        Some(creator) => creator.ensure(&encoded.topic, status).await,
                        None => Ok(()),
                    };
                    outcome = match there {
                        Ok(()) => match deliver(producer, encoded, report).await {
                            // A record that can never be sent, such as one that is too large.
                            Err(e) if e.class() == ErrorClass::Data && pipeline.tolerance.tolerates() => {
                                let refused = Refused::new(segment, shown.clone(), encoded.raw(), e);
                                settle(&pipeline.tolerance, refused).await
                            }
                            sent => sent,
                        },
                        missing => missing,
                    };
                    if outcome.is_err() {
                        segment.fewer(unsent);
                        break;
                    }
                    unsent = unsent.saturating_sub(1);
                }
                outcome
            }
            Ok(Passed::Dropped) => {
                segment.filtered();
                Ok(())
            }
            Ok(Passed::Tolerated) => {
                segment.tolerated();
                Ok(())
            }
            Err(e) => Err(e),
        };
        if let Err(e) = outcome {
            segments.iter().for_each(|s| s.cut(i, &e));
            failure = Some(e);
            break;
        }
        if let Some((partition, offset)) = source {
            match latest.iter_mut().find(|(p, _)| Arc::ptr_eq(p, &partition) || *p == partition) {
                Some(entry) => entry.1 = offset,
                None => latest.push((partition, offset)),
            }
        }
    }
    tracker.offsets(latest);
    tracker.topics(new_topics);
    failure.map_or(Ok(()), Err)
}

/// Decides about records that Kafka refused for good; their segments are counted down only now, so that dead letters come
/// before offsets. What may have been refused because of its neighbours is sent again by itself first, for at most so long;
/// the rest is left for the next time.
async fn settle_refused(
    producer: &Producer<OnWay>,
    tolerance: &Tolerance,
    tracker: &Tracker,
    limit: Duration,
) -> Result<()> {
    let (again, refused): (Vec<_>, Vec<_>) = tracker.take_refused().into_iter().partition(Refused::may_be_taken_alone);
    for one in refused {
        settle(tolerance, one).await?;
    }
    let deadline = tokio::time::Instant::now() + limit;
    let mut again = again.into_iter();
    while again.len() > 0 {
        // Nothing else is in the batch if nothing else is on its way.
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if producer.flush(left).await.is_err() {
            tracker.put_back(again);
            return Ok(());
        }
        let Some((record, report)) = again.next().map(Refused::again) else { break };
        deliver(producer, &Encoded::from(record), &report).await?;
        if again.len() == 0 {
            // What comes later waits for it; in vain where Kafka is away.
            let _ = producer.flush(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
        }
    }
    Ok(())
}

async fn settle(tolerance: &Tolerance, mut refused: Refused) -> Result<()> {
    let failure =
        Failure { stage: Stage::KafkaProduce, class: PRODUCING_TASK.to_owned(), error: refused.error.clone() };
    let shown = tolerance.tells_records().then(|| error_log::sent(&refused.record, refused.source.as_ref()));
    if refused_with_others(&refused.error) {
        // It may be what Kafka refuses, and would refuse of the dead letter, too.
        refused.record.timestamp = None;
    }
    tolerance.decide_about(failure, Some(&refused.record), shown).await?;
    if !tolerance.logs() {
        tracing::warn!("a record was skipped, as errors.tolerance says: {}", refused.error.one_line());
    }
    refused.tolerated();
    Ok(())
}

async fn deliver(producer: &Producer<OnWay>, encoded: &Encoded, report: &Arc<OnWay>) -> Result<()> {
    let headers: Vec<(&str, Option<&[u8]>)> = encoded.headers.iter().map(|(k, v)| (&**k, v.as_deref())).collect();
    let outgoing = Outgoing {
        topic: &encoded.topic,
        partition: encoded.partition,
        timestamp: encoded.timestamp,
        key: encoded.key.as_deref(),
        value: encoded.value.as_deref(),
        headers: &headers,
    };
    producer.send(outgoing, report.clone()).await
}

struct Committer {
    connector: Arc<str>,
    store: SourceOffsets,
    status: Arc<TaskStatus>,
    /// Safe offsets that could not be stored yet.
    waiting: Vec<(Arc<OffsetMap>, OffsetMap)>,
    /// `offset.flush.timeout.ms`
    limit: Duration,
    cut: Cut,
}

impl Committer {
    async fn commit(&mut self, tracker: &mut Tracker) -> Result<()> {
        self.cut.check()?;
        self.waiting.append(&mut tracker.take_safe());
        if self.waiting.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let offsets = self.waiting.iter().map(|(p, o)| (p.clone(), Some(o.clone()))).collect();
        // The task goes on meanwhile; what is stored later all the same is older than what comes behind it.
        let put = tokio::time::timeout(self.limit, self.store.put(&self.connector, offsets)).await;
        let late = || Error::retriable(format!("kafka did not take them within {} ms", self.limit.as_millis()));
        let stored = put.unwrap_or_else(|_| Err(late()));
        self.status.committed(began.elapsed(), stored.is_ok());
        stored.map_err(|e| e.context("committing source offsets"))?;
        self.waiting.clear();
        Ok(())
    }
}
