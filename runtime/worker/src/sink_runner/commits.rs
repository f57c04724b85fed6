//! When and how a sink task's offsets are committed.

use std::collections::VecDeque;

use connect_api::{Error, ErrorClass, PartitionOffset, Result, TopicPartition};
use connect_kafka::RawRecord;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    SinkRunner,
    positions::{Positions, drop_of},
};
use crate::{progress::Activity, status::Trouble};

/// A commit under way.
pub struct InFlight {
    pub(super) offsets: Vec<PartitionOffset>,
    answer: JoinHandle<Result<()>>,
    pub(super) began: Instant,
}

impl InFlight {
    /// Whether Kafka has answered, although nobody may have had the time to take it up.
    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_finished()
    }
}

impl SinkRunner {
    /// The periodic commit: flushes the task and sends what is safe; Kafka's answer comes in the background,
    /// so that an outage does not hold up records and rebalances.
    pub(super) async fn commit_or_rewind(
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
            positions.sequence.sought(&o.partition, o.offset);
        }
        self.consumer.seek(back).await
    }

    /// Takes up Kafka's answer to a commit. What it did not take is committed with the next one.
    pub(super) fn committed(&mut self, answer: Result<()>, positions: &mut Positions) -> Result<()> {
        let Some(done) = self.in_flight.take() else { return Ok(()) };
        self.status.committed(done.began.elapsed(), answer.is_ok());
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
    pub(super) async fn flush(
        &mut self,
        positions: &Positions,
        only: Option<&[TopicPartition]>,
    ) -> Result<Vec<PartitionOffset>> {
        let offsets = positions.uncommitted(only);
        if offsets.is_empty() {
            return Ok(offsets);
        }
        self.cut.check()?;
        let _flushing = self.status.doing(Activity::Flushing);
        self.pipeline.tolerance.flush(self.flush_timeout).await?;
        let safe = self.task.flush(&offsets).await.map_err(|e| e.context("flushing the task"))?;
        Ok(positions.committable(&offsets, safe))
    }

    /// The last commit of partitions: flushes and waits for Kafka's answer.
    pub(super) async fn commit(&mut self, positions: &mut Positions, only: Option<&[TopicPartition]>) -> Result<()> {
        let safe = self.flush(positions, only).await?;
        self.commit_safe(positions, safe).await
    }

    pub(super) async fn commit_safe(&mut self, positions: &mut Positions, safe: Vec<PartitionOffset>) -> Result<()> {
        let (_committing, began) = (self.status.doing(Activity::Committing), Instant::now());
        let committed = tokio::time::timeout(self.flush_timeout, self.consumer.commit(&safe)).await;
        if !safe.is_empty() {
            self.status.committed(began.elapsed(), matches!(committed, Ok(Ok(()))));
        }
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

/// Kafka's answer to the commit under way; pending when there is none. Cancel-safe.
pub(super) async fn answered(in_flight: &mut Option<InFlight>) -> Result<()> {
    match in_flight {
        Some(commit) => {
            let answer = (&mut commit.answer).await;
            answer.unwrap_or_else(|e| Err(Error::retriable("committing offsets").caused_by(e)))
        }
        None => std::future::pending().await,
    }
}
