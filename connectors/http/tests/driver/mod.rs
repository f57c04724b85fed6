//! Drives a sink task as the worker does: the same slice again after a retriable error, halves after a
//! data error. Tests of other connectors include this file.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use connect_api::{
    CancellationToken, Error, ErrorClass, OffsetMap, Origin, Record, Result, Settings, SinkContext, SinkRecord,
    SinkTask, SourceRecord, State, Table, TaskContext, TaskHost, TimestampType, Value, async_trait,
};

/// No test may retry longer than that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes reports of bad records as `errors.tolerance=all` does.
#[derive(Default)]
pub struct Host {
    reported: Mutex<Vec<(i64, Error)>>,
}

impl Host {
    /// Offset and error of each reported record, in order.
    pub fn reported(&self) -> Vec<(i64, Error)> {
        self.reported.lock().unwrap().clone()
    }
}

#[async_trait]
impl TaskHost for Host {
    async fn state(&self, _name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal("no state in this test"))
    }

    async fn table(&self, _topic: &str) -> Result<Table> {
        Ok(Table::new().0)
    }

    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(None)
    }

    async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
        Err(error)
    }

    async fn report_sink(&self, record: &SinkRecord, error: Error) -> Result<()> {
        self.reported.lock().unwrap().push((record.origin.offset, error));
        Ok(())
    }

    fn request_commit(&self) {}
}

/// What a task is started with.
pub fn context(settings: &Settings) -> (SinkContext, Arc<Host>, CancellationToken) {
    let (host, stopping) = (Arc::new(Host::default()), CancellationToken::new());
    let task = TaskContext::new("test".into(), 0, settings.clone(), stopping.clone(), host.clone());
    (SinkContext::new(task), host, stopping)
}

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
