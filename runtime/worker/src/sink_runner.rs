//! Runs one sink task: consumer → converters → transforms → put → flush → offsets.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::{Arc, PoisonError},
    time::Duration,
};

use connect_api::{Error, ErrorClass, PartitionOffset, Result, SinkRecord, SinkRequest, SinkTask, TopicPartition};
use connect_kafka::{Bounds, Consumer, Event, Handover, RawRecord};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tracing::Instrument;

use crate::{
    active_topics::TaskTopics,
    pipeline::{Passed, Pipeline},
    source_runner::Control,
    status::{TaskStatus, Trouble},
    task_host::Host,
    tolerance::{Failure, SINK_TASK, Stage},
};

/// A sink task with everything it needs.
pub struct SinkRunner {
    /// The task.
    pub task: Box<dyn SinkTask>,
    /// Converters and transforms.
    pub pipeline: Pipeline,
    /// The consumer.
    pub consumer: Consumer,
    /// Makes another consumer.
    pub subscribe: Box<dyn Fn() -> Result<Consumer> + Send + Sync>,
    /// The task's host, which knows the records of the current put.
    pub host: Arc<Host>,
    /// Counters.
    pub status: Arc<TaskStatus>,
    /// Topics that it has read from.
    pub topics: TaskTopics,
    /// `offset.flush.interval.ms`
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`
    pub flush_timeout: Duration,
    /// Longest pause between two tries of put.
    pub retry_max: Duration,
    /// A commit that Kafka has not answered; made with none.
    pub in_flight: Option<InFlight>,
    /// After how long without reading a partition the consumer is replaced; made with 20 s.
    pub patience: Duration,
    /// Since when the group has given no assignment, not even one of no partitions; none while there is one.
    pub unassigned: Option<Instant>,
}

/// A commit under way.
pub struct InFlight {
    offsets: Vec<PartitionOffset>,
    answer: JoinHandle<Result<()>>,
    began: Instant,
}

const HEALTH: Duration = Duration::from_secs(1);
/// An assignment may take a few seconds; the embedded broker waits three.
const WITHOUT_GROUP: Duration = Duration::from_secs(8);
/// A partition may be without a leader for some seconds. Where another consumer does not help, the next one is waited
/// for twice as long, up to the longest.
pub(crate) const STALLED: Duration = Duration::from_secs(20);
const LONGEST_STALL: Duration = Duration::from_secs(600);
const LEAVE: Duration = Duration::from_secs(3);
const BOUNDS: Duration = Duration::from_secs(10);

/// What has been read of each partition and not been committed.
#[derive(Default)]
struct Positions {
    assigned: BTreeSet<TopicPartition>,
    /// Offset behind the last record that was put, dropped or tolerated.
    put: BTreeMap<TopicPartition, i64>,
    /// Where to read again if what was put turns out not to be stored.
    safe: BTreeMap<TopicPartition, i64>,
}

impl Positions {
    /// How many records Kafka has that have not been put; `None` while the ends of a partition are not known.
    fn lag(&self, bounds: &[Bounds]) -> Option<u64> {
        let mut lag = 0;
        for partition in &self.assigned {
            let b = bounds.iter().find(|b| b.partition == *partition)?;
            let at = self.put.get(partition).copied().or(b.committed).unwrap_or(b.first);
            lag += u64::try_from(b.end - at).unwrap_or(0);
        }
        Some(lag)
    }

    fn uncommitted(&self, only: Option<&[TopicPartition]>) -> Vec<PartitionOffset> {
        let wanted = |p: &TopicPartition| only.is_none_or(|list| list.contains(p));
        let ahead = self.put.iter().filter(|(p, o)| wanted(p) && self.safe.get(*p).is_none_or(|s| s < *o));
        ahead.map(|(p, o)| PartitionOffset { partition: p.clone(), offset: *o }).collect()
    }
}

enum Waited {
    Over,
    Stop,
}

enum Decoded {
    Record(SinkRecord),
    /// A transform dropped it, it was tolerated, or its partition is gone.
    Nothing,
    Stop,
}

impl SinkRunner {
    /// Runs until stopped or failed; then flushes, commits, closes and leaves the group.
    pub async fn run(mut self, control: Control) -> Result<()> {
        let mut positions = Positions::default();
        let result = self.pump(&control, &mut positions).await;
        // Also after a failure, as in Kafka Connect: what was put need not be put again when the task is restarted.
        if let Err(e) = self.commit(&mut positions, None).await {
            tracing::warn!("the last offsets were not committed, their records will come again: {}", e.one_line());
        }
        let assigned: Vec<_> = positions.assigned.into_iter().collect();
        if let Err(e) = self.task.close(&assigned).await {
            tracing::warn!("closing partitions: {}", e.one_line());
        }
        if let Err(e) = self.task.stop().await {
            tracing::warn!("stopping the task: {}", e.one_line());
        }
        self.consumer.close(LEAVE).await;
        result
    }

    async fn pump(&mut self, control: &Control, positions: &mut Positions) -> Result<()> {
        let mut paused = control.paused.clone();
        self.consumer.set_paused(*paused.borrow());
        let mut commits = interval_at(Instant::now() + self.flush_interval, self.flush_interval);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut health = interval_at(Instant::now() + HEALTH, HEALTH);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pending: VecDeque<Vec<RawRecord>> = VecDeque::new();
        loop {
            let waiting = !pending.is_empty() && !*paused.borrow();
            tokio::select! {
                biased;
                () = control.stop.cancelled() => return Ok(()),
                changed = paused.changed() => match changed {
                    Ok(()) => self.consumer.set_paused(*paused.borrow_and_update()),
                    Err(_) => return Ok(()),
                },
                _ = health.tick() => {
                    let paused = *paused.borrow();
                    self.report_health(positions, paused);
                    let stalled = self.consumer.stalled(self.patience);
                    if !stalled.is_empty() {
                        self.subscribe_again(&stalled, positions, &mut pending).await?;
                        self.consumer.set_paused(paused);
                    }
                }
                answer = answered(&mut self.in_flight) => self.committed(answer, positions)?,
                () = self.host.requested.notified() => self.carry_out(positions, &mut pending).await?,
                _ = commits.tick() => self.commit_or_rewind(positions, &mut pending).await?,
                () = std::future::ready(()), if waiting => {
                    if let Some(batch) = pending.pop_front()
                        && matches!(self.put_batch(batch, control, positions, &mut pending).await?, Waited::Stop) {
                            return Ok(());
                        }
                }
                event = self.consumer.next() => self.take(event, positions, &mut pending).await?,
            }
        }
    }

    fn report_health(&self, positions: &Positions, paused: bool) {
        // Nothing is heard of partitions that are not fetched.
        self.status.behind(if paused { None } else { positions.lag(&self.consumer.bounds()) });
        if let Some(commit) = self.in_flight.as_ref().filter(|c| c.began.elapsed() > self.flush_timeout) {
            let text = format!("kafka has not answered a commit of offsets for {} s", commit.began.elapsed().as_secs());
            if self.status.retrying(Trouble::Offsets, &Error::retriable(text.clone())) {
                tracing::warn!("{text}");
            }
        }
        let waiting = self.unassigned.filter(|since| positions.assigned.is_empty() && since.elapsed() > WITHOUT_GROUP);
        let waiting = waiting.map(|since| {
            let s = since.elapsed().as_secs();
            Error::retriable(format!(
                "waiting for partitions for {s} s: the group may have to wait for the end of a lost member's session"
            ))
        });
        if let Some(complaint) = self.consumer.complaint().or(waiting) {
            if self.status.retrying(Trouble::Kafka, &complaint) {
                tracing::warn!("{}", complaint.one_line());
            }
        } else if self.status.recovered(Trouble::Kafka) {
            tracing::info!("kafka gives records again");
        }
    }

    async fn take(
        &mut self,
        event: Option<Event>,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        match event {
            Some(Event::Batch(batch)) => {
                self.status.read(batch.len());
                self.patience = STALLED;
                pending.push_back(batch);
            }
            Some(Event::Assigned(partitions)) => {
                self.unassigned = None;
                tracing::info!("assigned {}", list(&partitions));
                self.look_for_deleted(&partitions);
                self.task.open(&partitions).await.map_err(|e| e.context("opening partitions"))?;
                positions.assigned.extend(partitions);
            }
            Some(Event::Revoked(handover)) => self.hand_over(handover, positions, pending).await?,
            Some(Event::Failed(e)) => return Err(e),
            None => return Err(Error::fatal("the consumer's thread has ended")),
        }
        Ok(())
    }

    /// Gives everything up and joins the group anew with another consumer.
    async fn subscribe_again(
        &mut self,
        stalled: &[TopicPartition],
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        tracing::warn!(
            "not read for {} s although kafka is there, as happens when a topic is deleted and created again: {}; subscribing \
             anew",
            self.patience.as_secs(),
            list(stalled)
        );
        self.patience = LONGEST_STALL.min(self.patience * 2);
        // What is under way may belong to a topic that is gone; it comes again where it does not. The old offsets of a
        // new topic are not committed: they might pass over what is in it.
        pending.clear();
        self.in_flight = None;
        // The task is flushed for all: records of a topic that is gone cannot come again.
        let flushed = self.flush(positions, None).await.map(|mut safe| {
            safe.retain(|o| !stalled.contains(&o.partition));
            safe
        });
        let committed = match flushed {
            Ok(safe) => self.commit_safe(positions, safe).await,
            Err(e) => Err(e),
        };
        if let Err(e) = committed {
            tracing::warn!("offsets were not committed, their records will come again: {}", e.one_line());
        }
        let all: Vec<TopicPartition> = std::mem::take(&mut positions.assigned).into_iter().collect();
        self.task.close(&all).await.map_err(|e| e.context("closing partitions"))?;
        *positions = Positions::default();
        self.unassigned = Some(Instant::now());
        let old = std::mem::replace(&mut self.consumer, (self.subscribe)()?);
        old.close(LEAVE).await;
        Ok(())
    }

    /// Does what the task asked of its consumer.
    async fn carry_out(&mut self, positions: &mut Positions, pending: &mut VecDeque<Vec<RawRecord>>) -> Result<()> {
        let requests = std::mem::take(&mut *self.host.requests.lock().unwrap_or_else(PoisonError::into_inner));
        for request in requests {
            match request {
                SinkRequest::Commit => self.commit_or_rewind(positions, pending).await?,
                SinkRequest::Pause(partitions) => self.consumer.hold(partitions, true),
                SinkRequest::Resume(partitions) => self.consumer.hold(partitions, false),
                SinkRequest::Seek(mut offsets) => {
                    offsets.retain(|o| positions.assigned.contains(&o.partition) && o.offset >= 0);
                    drop_of(pending, &offsets);
                    if let Some(commit) = &mut self.in_flight {
                        commit.offsets.retain(|c| !offsets.iter().any(|o| o.partition == c.partition));
                    }
                    for o in &offsets {
                        // As in Kafka Connect, the new place counts as committed.
                        positions.put.insert(o.partition.clone(), o.offset);
                        positions.safe.insert(o.partition.clone(), o.offset);
                    }
                    self.consumer.seek(offsets).await?;
                }
            }
        }
        Ok(())
    }

    /// Says in log and status when records were deleted before they were read, which Kafka itself passes over.
    fn look_for_deleted(&self, partitions: &[TopicPartition]) {
        let (looking, status) = (self.consumer.deleted_unread(partitions, BOUNDS), self.status.clone());
        let report = async move {
            match looking.await {
                Ok(Ok(found)) => {
                    for f in found {
                        let (topic, partition) = (&f.partition.topic, f.partition.partition);
                        let text = format!(
                            "offsets {} to {} of topic {topic}, partition {partition}, were deleted before they were read; raise the \
                             topic's retention",
                            f.committed,
                            f.first - 1
                        );
                        tracing::error!("{text}");
                        status.bad(&Error::data(text));
                    }
                }
                Ok(Err(e)) => tracing::debug!("looking for deleted records: {}", e.one_line()),
                Err(e) => tracing::debug!("looking for deleted records: {e}"),
            }
        };
        tokio::spawn(report.in_current_span());
    }

    /// The runner's part of the rebalance handshake.
    async fn hand_over(
        &mut self,
        handover: Handover,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        let gone = handover.partitions.clone();
        tracing::info!("{} {}", if handover.lost { "lost" } else { "handing over" }, list(&gone));
        for batch in pending.iter_mut() {
            batch.retain(|r| !gone.iter().any(|p| p.partition == r.partition && p.topic == r.topic));
        }
        if !handover.lost
            && let Err(e) = self.commit(positions, Some(&gone)).await
        {
            tracing::warn!("offsets were not committed, their records will come again elsewhere: {}", e.one_line());
        }
        self.task.close(&gone).await.map_err(|e| e.context("closing partitions"))?;
        // Also where the rest of the partitions stays, the next assignment is not far.
        self.unassigned = Some(Instant::now());
        for p in &gone {
            positions.assigned.remove(p);
            positions.put.remove(p);
            positions.safe.remove(p);
        }
        handover.done();
        Ok(())
    }

    async fn put_batch(
        &mut self,
        batch: Vec<RawRecord>,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Waited> {
        let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        let mut records = Vec::with_capacity(batch.len());
        self.topics.note_all(batch.iter().map(|raw| &raw.topic));
        for raw in &batch {
            let partition = TopicPartition { topic: raw.topic.clone(), partition: raw.partition };
            positions.safe.entry(partition.clone()).or_insert(raw.offset);
            ends.insert(partition, raw.offset + 1);
            match self.decode(raw, control, positions, pending).await? {
                Decoded::Record(record) => records.push(record),
                Decoded::Nothing => {}
                Decoded::Stop => return Ok(Waited::Stop),
            }
        }
        *self.host.current.lock().unwrap_or_else(PoisonError::into_inner) = batch;
        while !records.is_empty() {
            let mut put = 0;
            let outcome = self.put(&records, &mut put, control, positions, pending).await;
            // Also after an interruption or a failure what was put counts; what belongs to partitions that are gone
            // does not come again.
            for record in &records[..put] {
                let origin = &record.origin;
                let partition = TopicPartition { topic: origin.topic.clone(), partition: origin.partition };
                if positions.assigned.contains(&partition) {
                    positions.put.insert(partition, origin.offset + 1);
                }
            }
            if matches!(outcome?, Waited::Stop) {
                return Ok(Waited::Stop);
            }
            records.drain(..put);
            let kept = |r: &SinkRecord| {
                positions
                    .assigned
                    .contains(&TopicPartition { topic: r.origin.topic.clone(), partition: r.origin.partition })
            };
            records.retain(kept);
        }
        for (partition, end) in ends {
            if positions.assigned.contains(&partition) {
                positions.put.insert(partition, end);
            }
        }
        Ok(Waited::Over)
    }

    /// Converts and transforms a record. That may wait for the schema registry as long as the settings say, so
    /// stops and rebalances go on meanwhile.
    async fn decode(
        &mut self,
        raw: &RawRecord,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Decoded> {
        let mut waited = false;
        let decoded = loop {
            let event = {
                let decode = self.pipeline.decode(raw);
                tokio::pin!(decode);
                tokio::select! {
                    biased;
                    passed = &mut decode => break match passed? {
                        Passed::On(record) => Decoded::Record(record),
                        Passed::Dropped | Passed::Tolerated => Decoded::Nothing,
                    },
                    () = control.stop.cancelled() => break Decoded::Stop,
                    event = rebalanced(&mut self.consumer, &self.status, pending) => event,
                }
            };
            // Conversion starts over after a rebalance, which may have taken the record's partition.
            waited = true;
            self.take(event, positions, pending).await?;
            if !positions.assigned.contains(&TopicPartition { topic: raw.topic.clone(), partition: raw.partition }) {
                break Decoded::Nothing;
            }
        };
        if waited || !pending.is_empty() {
            self.consumer.set_paused(*control.paused.borrow());
        }
        Ok(decoded)
    }

    /// Puts records until all are put or a rebalance, a stop or an error interrupts. `done` says how many are put,
    /// from the first.
    async fn put(
        &mut self,
        records: &[SinkRecord],
        done: &mut usize,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Waited> {
        let whole = 0..records.len();
        let mut parts: Vec<Range<usize>> = vec![whole];
        let mut attempt = 0u32;
        while let Some(part) = parts.pop() {
            *done = part.start;
            match self.task.put(&records[part.clone()]).await {
                Ok(()) => {
                    self.status.written(part.len());
                    if attempt > 0 {
                        attempt = 0;
                        self.status.recovered(Trouble::Put);
                        tracing::info!("writing succeeds again");
                    }
                }
                Err(e) => match e.class() {
                    ErrorClass::Fatal => return Err(e),
                    ErrorClass::Data if part.len() > 1 => {
                        // The half with the bad record is halved again until it stands alone.
                        let middle = part.start + part.len() / 2;
                        parts.push(middle..part.end);
                        parts.push(part.start..middle);
                    }
                    ErrorClass::Data => {
                        let raw = self.raw_of(&records[part.start]);
                        let failure = Failure { stage: Stage::TaskPut, class: SINK_TASK.to_owned(), error: e };
                        self.pipeline.tolerance.decide(failure, raw.as_ref()).await?;
                    }
                    ErrorClass::Retriable => {
                        attempt = attempt.saturating_add(1);
                        let delay = e.delay().unwrap_or_else(|| back_off(attempt, self.retry_max));
                        if self.status.retrying_in(Trouble::Put, &e, delay) {
                            tracing::warn!("writing failed and is tried again: {}", e.one_line());
                        }
                        match self.wait(delay, control, positions, pending).await? {
                            Some(Waited::Over) => parts.push(part),
                            Some(Waited::Stop) => return Ok(Waited::Stop),
                            None => return Ok(Waited::Over),
                        }
                    }
                },
            }
        }
        *done = records.len();
        Ok(Waited::Over)
    }

    fn raw_of(&self, record: &SinkRecord) -> Option<RawRecord> {
        let current = self.host.current.lock().unwrap_or_else(PoisonError::into_inner);
        let o = &record.origin;
        current.iter().find(|r| r.offset == o.offset && r.partition == o.partition && r.topic == o.topic).cloned()
    }

    /// Waits before a put is tried again; rebalances go on meanwhile. `None` means that partitions changed.
    async fn wait(
        &mut self,
        delay: Duration,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Option<Waited>> {
        // Nothing more is fetched until the put succeeds, nor heard of what else there is.
        self.consumer.set_paused(true);
        self.status.behind(None);
        let until = Instant::now() + delay;
        let outcome = loop {
            tokio::select! {
                biased;
                () = control.stop.cancelled() => break Some(Waited::Stop),
                () = tokio::time::sleep_until(until) => break Some(Waited::Over),
                event = self.consumer.next() => {
                    let revoked = matches!(event, Some(Event::Revoked(_)));
                    self.take(event, positions, pending).await?;
                    if revoked {
                        break None;
                    }
                }
            }
        };
        self.consumer.set_paused(*control.paused.borrow());
        Ok(outcome)
    }

    /// The periodic commit: flushes the task and sends what is safe; Kafka's answer comes in the background,
    /// so that an outage does not hold up records and rebalances.
    async fn commit_or_rewind(
        &mut self,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        if self.in_flight.is_some() {
            return Ok(());
        }
        let e = match self.flush(positions, None).await {
            Ok(safe) => {
                self.status.recovered(Trouble::Flush);
                if !safe.is_empty() {
                    self.in_flight = Some(InFlight {
                        answer: self.consumer.commit_in_background(&safe),
                        offsets: safe,
                        began: Instant::now(),
                    });
                }
                return Ok(());
            }
            Err(e) => e,
        };
        if e.class() == ErrorClass::Fatal {
            return Err(e);
        }
        self.status.retrying(Trouble::Flush, &e);
        tracing::warn!("flushing failed; partitions are read again from their last commit: {}", e.one_line());
        let back: Vec<PartitionOffset> = positions
            .uncommitted(None)
            .into_iter()
            .filter_map(|o| positions.safe.get(&o.partition).map(|s| PartitionOffset { offset: *s, ..o }))
            .collect();
        drop_of(pending, &back);
        for o in &back {
            positions.put.remove(&o.partition);
        }
        self.consumer.seek(back).await
    }

    /// Takes up Kafka's answer to a commit. What it did not take is committed with the next one.
    fn committed(&mut self, answer: Result<()>, positions: &mut Positions) -> Result<()> {
        let Some(done) = self.in_flight.take() else { return Ok(()) };
        match answer {
            Ok(()) => {
                self.status.recovered(Trouble::Offsets);
                for s in done.offsets {
                    let ahead = positions.safe.get(&s.partition).is_some_and(|known| *known < s.offset);
                    if ahead {
                        positions.safe.insert(s.partition, s.offset);
                    }
                }
                Ok(())
            }
            Err(e) if e.class() == ErrorClass::Fatal => Err(e),
            Err(e) => {
                if self.status.retrying(Trouble::Offsets, &e) {
                    tracing::warn!("{}; it is tried again", e.one_line());
                }
                Ok(())
            }
        }
    }

    /// Flushes dead letters and the task; answers which offsets are safe to commit.
    async fn flush(&mut self, positions: &Positions, only: Option<&[TopicPartition]>) -> Result<Vec<PartitionOffset>> {
        let offsets = positions.uncommitted(only);
        if offsets.is_empty() {
            return Ok(offsets);
        }
        self.pipeline.tolerance.flush(self.flush_timeout).await?;
        let safe = self.task.flush(&offsets).await.map_err(|e| e.context("flushing the task"))?;
        let known = |s: &PartitionOffset| offsets.iter().any(|o| o.partition == s.partition && s.offset <= o.offset);
        Ok(safe.into_iter().filter(known).collect())
    }

    /// The last commit of partitions: flushes and waits for Kafka's answer.
    async fn commit(&mut self, positions: &mut Positions, only: Option<&[TopicPartition]>) -> Result<()> {
        let safe = self.flush(positions, only).await?;
        self.commit_safe(positions, safe).await
    }

    async fn commit_safe(&mut self, positions: &mut Positions, safe: Vec<PartitionOffset>) -> Result<()> {
        let committed = tokio::time::timeout(self.flush_timeout, self.consumer.commit(&safe)).await;
        let late = || {
            Error::retriable(format!(
                "committing offsets: kafka did not answer within {} ms",
                self.flush_timeout.as_millis()
            ))
        };
        committed.unwrap_or_else(|_| Err(late()))?;
        positions.safe.extend(safe.into_iter().map(|s| (s.partition, s.offset)));
        Ok(())
    }
}

/// The next event that is not a batch. Batches are kept, and no more of them are fetched. Cancel-safe.
async fn rebalanced(
    consumer: &mut Consumer,
    status: &TaskStatus,
    pending: &mut VecDeque<Vec<RawRecord>>,
) -> Option<Event> {
    loop {
        match consumer.next().await {
            Some(Event::Batch(batch)) => {
                status.read(batch.len());
                pending.push_back(batch);
                consumer.set_paused(true);
            }
            other => return other,
        }
    }
}

/// Kafka's answer to the commit under way; pending when there is none. Cancel-safe.
async fn answered(in_flight: &mut Option<InFlight>) -> Result<()> {
    match in_flight {
        Some(commit) => {
            let answer = (&mut commit.answer).await;
            answer.unwrap_or_else(|e| Err(Error::retriable("committing offsets").caused_by(e)))
        }
        None => std::future::pending().await,
    }
}

/// Drops what was read of these partitions and not put: it comes again from elsewhere.
fn drop_of(pending: &mut VecDeque<Vec<RawRecord>>, moved: &[PartitionOffset]) {
    let stays =
        |r: &RawRecord| !moved.iter().any(|o| o.partition.partition == r.partition && o.partition.topic == r.topic);
    pending.iter_mut().for_each(|batch| batch.retain(stays));
}

fn list(partitions: &[TopicPartition]) -> String {
    let shown: Vec<String> = partitions.iter().take(10).map(|p| format!("{}-{}", p.topic, p.partition)).collect();
    let more = partitions.len().saturating_sub(10);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn back_off(attempt: u32, max: Duration) -> Duration {
    Duration::from_millis(300 * (1 << attempt.clamp(1, 16).saturating_sub(1))).min(max)
}
