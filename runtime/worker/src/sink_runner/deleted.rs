//! Says when Kafka deleted records before they were read.

use std::time::Duration;

use connect_api::TopicPartition;
use connect_kafka::{Awaited, Sequence};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::SinkRunner;
use crate::task_host;

const BOUNDS: Duration = Duration::from_secs(10);

impl SinkRunner {
    /// Asks Kafka about what did not follow; one question at a time.
    pub(super) fn look_at_gaps(&mut self, sequence: &mut Sequence) {
        if self.looking.as_ref().is_none_or(JoinHandle::is_finished) {
            let gaps = sequence.gaps();
            self.looking = (!gaps.is_empty()).then(|| self.look_for_deleted(gaps));
        }
    }

    /// The same for what was committed before the partitions came.
    pub(super) fn look_behind_committed(&self, partitions: &[TopicPartition]) {
        let of = partitions.iter().map(|p| Awaited { partition: p.clone(), next: None, found: None });
        self.look_for_deleted(of.collect());
    }

    /// Says in log and status when records were deleted before they were read.
    fn look_for_deleted(&self, of: Vec<Awaited>) -> JoinHandle<()> {
        let (looking, status) = (self.consumer.deleted_unread(of, BOUNDS), self.status.clone());
        let report = async move {
            match looking.await {
                Ok(Ok(found)) => {
                    for f in found {
                        task_host::missed(&status, &f.to_string());
                    }
                }
                Ok(Err(e)) => tracing::debug!("looking for deleted records: {}", e.one_line()),
                Err(e) => tracing::debug!("looking for deleted records: {e}"),
            }
        };
        tokio::spawn(report.in_current_span())
    }
}
