//! What happens when partitions come and go.

use std::collections::VecDeque;

use connect_api::{Result, TopicPartition};
use connect_kafka::{Handover, RawRecord};
use tokio::time::Instant;

use super::{
    LEAVE, SinkRunner,
    positions::{Positions, list},
};
use crate::progress::Activity;

impl SinkRunner {
    /// Gives everything up and joins the group anew with another consumer. Offsets of the `lost` partitions are not
    /// committed.
    pub(super) async fn subscribe_again(
        &mut self,
        lost: &[TopicPartition],
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        // What is under way may belong to a topic that is gone; it comes again where it does not. The old offsets of a
        // new topic are not committed: they might pass over what is in it.
        pending.clear();
        self.in_flight = None;
        // The task is flushed for all: records of a topic that is gone cannot come again.
        let flushed = self.flush(positions, None).await.map(|mut safe| {
            safe.retain(|o| !lost.contains(&o.partition));
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
        let again = (self.subscribe)()?;
        again.set_paused(self.consumer.is_paused());
        let old = std::mem::replace(&mut self.consumer, again);
        old.close(LEAVE).await;
        Ok(())
    }

    /// The runner's part of the rebalance handshake.
    pub(super) async fn hand_over(
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
        let closing = self.status.doing(Activity::Closing);
        self.task.close(&gone).await.map_err(|e| e.context("closing partitions"))?;
        drop(closing);
        // Also where the rest of the partitions stays, the next assignment is not far.
        self.unassigned = Some(Instant::now());
        for p in &gone {
            positions.assigned.remove(p);
            positions.put.remove(p);
            positions.safe.remove(p);
            positions.sequence.gave_up(p);
            positions.given_up.insert(p.clone());
        }
        handover.done();
        Ok(())
    }
}
