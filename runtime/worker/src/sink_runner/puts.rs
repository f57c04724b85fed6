//! How a batch is converted, transformed and put.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{Arc, PoisonError},
    time::Duration,
};

use connect_api::{ErrorClass, Result, SinkRecord, Topic, TopicPartition};
use connect_kafka::{Consumer, Event, RawRecord, Sequence};
use tokio::time::Instant;

use super::{SinkRunner, positions::Positions};
use crate::{
    pipeline::Passed,
    progress::Activity,
    source_runner::Control,
    status::{TaskStatus, Trouble},
    tolerance::{Failure, SINK_TASK, Stage},
};

pub(super) enum Waited {
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
    pub(super) async fn put_batch(
        &mut self,
        batch: Vec<RawRecord>,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Waited> {
        self.cut.check()?;
        let (_converting, all) = (self.status.doing(Activity::Converting), batch.len());
        let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        let mut records = Vec::with_capacity(batch.len());
        let mut noted = None;
        positions.given_up.clear();
        for raw in &batch {
            let partition = TopicPartition { topic: raw.topic.clone(), partition: raw.partition };
            if !positions.holds(&partition) {
                continue;
            }
            positions.safe.entry(partition.clone()).or_insert(raw.offset);
            ends.insert(partition, raw.offset + 1);
            match self.decode(raw, control, positions, pending).await? {
                Decoded::Record(record) => records.push(record),
                Decoded::Nothing => {}
                Decoded::Stop => return Ok(Waited::Stop),
            }
            // As in Kafka Connect a topic counts as used once a record of it could be converted.
            if noted.is_none_or(|last: &Topic| !Arc::ptr_eq(last, &raw.topic)) {
                self.topics.note(&raw.topic);
                noted = Some(&raw.topic);
            }
        }
        *self.host.current.lock().unwrap_or_else(PoisonError::into_inner) = batch;
        // Partitions may have gone while records were converted.
        only_held(&mut records, positions);
        while !records.is_empty() {
            let mut put = 0;
            let outcome = self.put(&records, &mut put, control, positions, pending).await;
            // Also after an interruption or a failure what was put counts; what belongs to partitions that are gone
            // does not come again.
            for record in &records[..put] {
                let origin = &record.origin;
                let partition = TopicPartition { topic: origin.topic.clone(), partition: origin.partition };
                if positions.holds(&partition) {
                    positions.put.insert(partition, origin.offset + 1);
                }
            }
            if matches!(outcome?, Waited::Stop) {
                return Ok(Waited::Stop);
            }
            records.drain(..put);
            only_held(&mut records, positions);
            if records.is_empty() {
                // What failed is somebody else's now.
                self.status.recovered(Trouble::Put);
            }
        }
        for (partition, end) in ends {
            if positions.holds(&partition) {
                positions.put.insert(partition, end);
            }
        }
        self.status.settled(all);
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
                    event = rebalanced(&mut self.consumer, &self.status, &mut positions.sequence, pending) => event,
                }
            };
            // Conversion starts over after a rebalance, which may have taken the record's partition.
            waited = true;
            self.take(event, positions, pending).await?;
            if !positions.holds(&TopicPartition { topic: raw.topic.clone(), partition: raw.partition }) {
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
    pub(super) async fn put(
        &mut self,
        records: &[SinkRecord],
        done: &mut usize,
        control: &Control,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<Waited> {
        let whole = 0..records.len();
        let mut parts: Vec<Range<usize>> = vec![whole];
        // Records that the task reported as bad are not written; those of calls that failed come with the next one.
        let mut reported = 0;
        while let Some(part) = parts.pop() {
            *done = part.start;
            // Between two calls of a task that did not return in time its successor may have begun.
            tokio::select! {
                biased;
                passed = self.cut.pass() => passed?,
                () = control.stop.cancelled() => return Ok(Waited::Stop),
            }
            let (before, bad) = (self.status.undelivered(), self.status.records_bad());
            let putting = self.status.doing(Activity::Putting);
            let outcome = self.task.put(&records[part.clone()]).await;
            drop(putting);
            let kept = self.status.undelivered();
            // What the task keeps is not written yet, what it kept and keeps no more is. After a failure the part comes again.
            let taken = if outcome.is_ok() { part.len() as u64 } else { 0 };
            let settled = (before + taken).saturating_sub(kept);
            reported += self.status.records_bad() - bad;
            let delivered = settled.saturating_sub(reported);
            reported = reported.saturating_sub(settled);
            self.status.written(delivered);
            match outcome {
                Ok(()) => {
                    if self.tries.passed(delivered, kept) {
                        self.status.recovered(Trouble::Put);
                        tracing::info!("writing succeeds again");
                    }
                }
                Err(e) => match e.class() {
                    ErrorClass::Fatal => return Err(e),
                    // A call because it was due: there is no record to blame.
                    ErrorClass::Data if part.is_empty() => return Err(e),
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
                        let delay = self.tries.failed(&e, delivered, self.retry_max);
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
        let _pausing = self.status.doing(Activity::Pausing);
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
}

/// Drops records of partitions that are somebody else's, or are read again.
fn only_held(records: &mut Vec<SinkRecord>, positions: &Positions) {
    if positions.given_up.is_empty() {
        return;
    }
    let held = |r: &SinkRecord| {
        positions.holds(&TopicPartition { topic: r.origin.topic.clone(), partition: r.origin.partition })
    };
    records.retain(held);
}

/// The next event that is not a batch. Batches are kept, and no more of them are fetched. Cancel-safe.
async fn rebalanced(
    consumer: &mut Consumer,
    status: &TaskStatus,
    sequence: &mut Sequence,
    pending: &mut VecDeque<Vec<RawRecord>>,
) -> Option<Event> {
    loop {
        match consumer.next().await {
            Some(Event::Batch(batch)) => {
                status.read(batch.len());
                sequence.read(&batch);
                pending.push_back(batch);
                consumer.set_paused(true);
            }
            other => return other,
        }
    }
}
