//! Drives a source task.

use std::time::Duration;

use connect_api::{Outcome, Result, SourceRecord, SourceTask};

use crate::{Host, PATIENCE, STOP};

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Kafka has it: offsets are committed, receipts say stored.
    Stored,
    /// Kafka does not take it: nothing is committed, receipts say failed.
    Refused,
}

/// Polls once and settles the batch; panics when no batch comes within [`PATIENCE`].
pub async fn poll(task: &mut dyn SourceTask, host: &Host, fate: Fate) -> Result<Vec<SourceRecord>> {
    let polled = tokio::time::timeout(PATIENCE, task.poll()).await;
    let batch = polled.unwrap_or_else(|_| panic!("no batch within {} s", PATIENCE.as_secs()))?;
    let (records, slips) = batch.into_parts();
    for slip in slips {
        let stored = slip.range.len();
        slip.answer(match fate {
            Fate::Stored => Outcome { stored, ..Outcome::default() },
            Fate::Refused => {
                Outcome::failure(connect_api::Error::retriable("kafka does not take records in this test"))
            }
        });
    }
    if fate == Fate::Stored {
        for (partition, offset) in records.iter().filter_map(|r| r.source.as_ref()) {
            host.commit(partition, offset.clone());
        }
    }
    Ok(records)
}

/// Polls until there are so many records; all are stored.
pub async fn take(task: &mut dyn SourceTask, host: &Host, count: usize) -> Result<Vec<SourceRecord>> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(poll(task, host, Fate::Stored).await?);
    }
    Ok(all)
}

/// Polls for this long and drops the poll, as a pause or a stop does; panics if anything came.
pub async fn silent(task: &mut dyn SourceTask, time: Duration) {
    if let Ok(Ok(batch)) = tokio::time::timeout(time, task.poll()).await {
        let (records, _) = batch.into_parts();
        assert!(records.is_empty(), "nothing was expected but {} records came: {:?}", records.len(), records.first());
    }
}

/// Stops the task; panics when it takes longer than [`STOP`].
pub async fn stop(mut task: Box<dyn SourceTask>) {
    let stopped = tokio::time::timeout(STOP, task.stop()).await;
    stopped
        .unwrap_or_else(|_| panic!("the task did not stop within {} s", STOP.as_secs()))
        .expect("the task stops without an error");
}
