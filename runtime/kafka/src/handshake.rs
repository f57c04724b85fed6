//! The rebalance handshake between the consumer's thread, in whose poll librdkafka calls back, and the task's runner.
//!
//! Everything that happens to the task comes through one bounded channel, in order: batches, assignments
//! and revocations.
//!
//! 1. librdkafka calls the rebalance callback on the consumer's thread, inside poll.
//! 2. *Revoked*: the callback queues [`Event::Revoked`] behind the batches that were handed over before,
//!    and waits. Records that were collected but not handed over are dropped: nobody has seen them, the
//!    next owner reads them.
//! 3. The runner puts the batches before it, flushes, commits, closes, and answers [`Handover::done`]. Only
//!    then does the callback return and librdkafka gives the partitions up.
//! 4. The callback waits at most [`handover_limit`](crate::consumer::Options::handover_limit); then it gives up, and the commit that comes
//!    too late fails because the partitions have another owner.
//! 5. *Assigned*: the callback queues [`Event::Assigned`] and does not wait; the first batch comes behind it.
//! 6. Partitions that were *lost* (the group went on without this member) come as revoked with `lost`;
//!    nothing may be committed for them.
//!
//! A runner that is slow simply does not take the next batch. After half of `max.poll.interval.ms` the
//! thread pauses all partitions and polls on, so that the group does not expel the member.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    time::{Duration, Instant},
};

use connect_api::{Error, TopicPartition};
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{RawRecord, client::Context};

/// What happens to a sink task, in order.
#[derive(Debug)]
pub enum Event {
    /// Records, in order per partition. Those read before a seek never come after it.
    Batch(Vec<RawRecord>),
    /// Partitions were added.
    Assigned(Vec<TopicPartition>),
    /// Partitions are being taken away: flush, commit and close, then say that it is done.
    Revoked(Handover),
    /// The consumer cannot go on.
    Failed(Error),
}

/// A revocation that waits for its answer; dropping it is an answer, too.
#[derive(Debug)]
pub struct Handover {
    /// Which partitions.
    pub partitions: Vec<TopicPartition>,
    /// The group went on without this member: nothing can be committed any more.
    pub lost: bool,
    done: Option<std_mpsc::Sender<()>>,
}

impl Handover {
    /// Lets the rebalance go on.
    pub fn done(self) {}
}

impl Drop for Handover {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // The thread may have given up waiting.
            let _ = done.send(());
        }
    }
}

/// An event with the number of seeks that had been carried out when it was queued.
pub(crate) type Numbered = (u64, Event);

pub(crate) struct Bridge {
    pub(crate) client: Context,
    pub(crate) events: mpsc::Sender<Numbered>,
    pub(crate) seeks: AtomicU64,
    pub(crate) runtime: Handle,
    pub(crate) closing: AtomicBool,
    pub(crate) paused: AtomicBool,
    /// Partitions that the task itself paused.
    pub(crate) held: Mutex<BTreeSet<TopicPartition>>,
    pub(crate) held_changed: AtomicBool,
    pub(crate) assigned: AtomicBool,
    pub(crate) revoked: Mutex<Vec<TopicPartition>>,
    /// Subscribed topics that do not exist.
    pub(crate) missing: Mutex<Vec<String>>,
    pub(crate) handover_limit: Duration,
}

impl Bridge {
    pub(crate) fn numbered(&self, event: Event) -> Numbered {
        (self.seeks.load(Ordering::Acquire), event)
    }

    /// Whether nobody is to take anything any more.
    fn over(&self) -> bool {
        self.closing.load(Ordering::Acquire) || self.events.is_closed()
    }

    /// Queues an event unless there is no room for it until then; tells whether it did.
    pub(crate) fn queue(&self, event: Event, deadline: Instant) -> bool {
        while !self.over() {
            let room = self.runtime.block_on(tokio::time::timeout(LOOK_WHETHER_OVER, self.events.reserve()));
            match room {
                Ok(Ok(permit)) => {
                    permit.send(self.numbered(event));
                    return true;
                }
                Ok(Err(_)) => return false,
                Err(_) if Instant::now() >= deadline => return false,
                Err(_) => {}
            }
        }
        false
    }

    /// Waits for the answer to a revocation; tells whether it came until then.
    fn answered(&self, answer: &std_mpsc::Receiver<()>, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match answer.recv_timeout(left.min(LOOK_WHETHER_OVER)) {
                Ok(()) => return true,
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return false,
                Err(std_mpsc::RecvTimeoutError::Timeout) if left.is_zero() || self.over() => return false,
                Err(std_mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// A runner that was given up answers nothing, so that has to be noticed meanwhile.
const LOOK_WHETHER_OVER: Duration = Duration::from_millis(50);

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|e| TopicPartition { topic: e.topic().into(), partition: e.partition() }).collect()
}

impl ClientContext for Bridge {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.client.stats_raw(statistics);
    }
}

impl ConsumerContext for Bridge {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = partitions(list);
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).extend(partitions.iter().cloned());
        if self.closing.load(Ordering::Acquire) || partitions.is_empty() {
            return;
        }
        let (done, answer) = std_mpsc::channel();
        let lost = consumer.assignment_lost();
        let deadline = Instant::now() + self.handover_limit;
        let event = Event::Revoked(Handover { partitions, lost, done: Some(done) });
        let answered = self.queue(event, deadline) && self.answered(&answer, deadline);
        if !answered && !self.over() {
            tracing::warn!("partitions were taken away before the task could flush: their records will come again");
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) if !self.closing.load(Ordering::Acquire) => {
                self.assigned.store(true, Ordering::Release);
                let event = Event::Assigned(partitions(list));
                // Bounded like a revocation: a runner that takes nothing must not hold up the thread for ever.
                if !self.queue(event, Instant::now() + self.handover_limit) && !self.over() {
                    tracing::warn!("the task did not take its new partitions in time");
                }
            }
            Rebalance::Error(e) => tracing::warn!("rebalance: {e}"),
            _ => {}
        }
    }
}
