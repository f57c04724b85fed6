//! Drives a sink task.

use std::time::{Duration, Instant};

use connect_api::{
    ErrorClass, Origin, PartitionOffset, Record, Result, SinkRecord, SinkTask, TaskHost, TimestampType, TopicPartition,
    Value,
};

use crate::{Host, PATIENCE, STOP};

/// A record of partition 0, whose time stamp is its offset in seconds.
pub fn record(topic: &str, offset: i64, key: impl Into<Value>, value: impl Into<Value>) -> SinkRecord {
    let mut record = Record::new(topic);
    (record.key, record.value, record.timestamp) = (key.into(), value.into(), Some(offset * 1000));
    let origin = Origin { topic: topic.into(), partition: 0, offset, timestamp_type: TimestampType::CreateTime };
    SinkRecord { record, origin }
}

/// Puts a slice as the worker does. Returns how often a put had to be repeated.
pub async fn deliver(task: &mut dyn SinkTask, records: &[SinkRecord], host: &Host) -> Result<usize> {
    let (start, mut retries) = (Instant::now(), 0);
    let mut slices = vec![records];
    while let Some(slice) = slices.pop() {
        let Err(e) = task.put(slice).await else { continue };
        match e.class() {
            ErrorClass::Fatal => return Err(e),
            ErrorClass::Retriable => {
                assert!(start.elapsed() < PATIENCE, "still failing: {e:?}");
                retries += 1;
                tokio::time::sleep(e.delay().unwrap_or(Duration::from_millis(20))).await;
                slices.push(slice);
            }
            ErrorClass::Data if slice.len() == 1 => host.report_sink(&slice[0], e).await?,
            ErrorClass::Data => {
                let (first, second) = slice.split_at(slice.len() / 2);
                slices.extend([second, first]);
            }
        }
    }
    Ok(retries)
}

/// Waits until the task is due, calls it as the worker does, and again after retriable errors; panics if it is not due
/// within the patience of tests.
pub async fn when_due(task: &mut dyn SinkTask) -> Result<()> {
    let due = task.due().expect("the task is due some time");
    assert!(due.saturating_duration_since(tokio::time::Instant::now()) < PATIENCE, "due too late");
    tokio::time::sleep_until(due).await;
    let start = Instant::now();
    loop {
        match task.put(&[]).await {
            Err(e) if e.class() == ErrorClass::Retriable => {
                assert!(start.elapsed() < PATIENCE, "still failing: {e:?}");
                tokio::time::sleep(e.delay().unwrap_or(Duration::from_millis(20))).await;
            }
            done => return done,
        }
    }
}

/// Flushes up to behind the last of these records; answers what the task finds safe.
pub async fn flush(task: &mut dyn SinkTask, records: &[SinkRecord]) -> Result<Vec<PartitionOffset>> {
    let mut offsets: Vec<PartitionOffset> = Vec::new();
    for origin in records.iter().map(|r| &r.origin) {
        let partition = TopicPartition { topic: origin.topic.clone(), partition: origin.partition };
        match offsets.iter_mut().find(|o| o.partition == partition) {
            Some(known) => known.offset = known.offset.max(origin.offset + 1),
            None => offsets.push(PartitionOffset { partition, offset: origin.offset + 1 }),
        }
    }
    task.flush(&offsets).await
}

/// Stops the task; panics when it takes longer than [`STOP`].
pub async fn stop(mut task: Box<dyn SinkTask>) {
    let stopped = tokio::time::timeout(STOP, task.stop()).await;
    stopped
        .unwrap_or_else(|_| panic!("the task did not stop within {} s", STOP.as_secs()))
        .expect("the task stops without an error");
}
