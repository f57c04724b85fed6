//! Runs one sink task: consumer → converters → transforms → put → flush → offsets.

mod commits;
mod deleted;
mod gathering;
mod partitions;
mod positions;
mod puts;
mod renewed;
mod tries;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use connect_api::{Error, Result, SinkRequest, SinkTask};
use connect_kafka::{Consumer, Cut, Event, RawRecord};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};

use self::{
    commits::{InFlight, answered},
    positions::{Positions, drop_of, list},
    puts::Waited,
};
pub use self::{gathering::Gathering, renewed::Renewed, tries::Tries};
use crate::{
    active_topics::TaskTopics,
    pipeline::Pipeline,
    progress::Activity,
    source_runner::Control,
    status::{TaskStatus, Trouble},
    task_host::Host,
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
    /// How much the task gets at once.
    pub gathering: Gathering,
    /// Longest pause between two tries of put.
    pub retry_max: Duration,
    /// How often put has failed; made with none.
    pub tries: Tries,
    /// A commit that Kafka has not answered; made with none.
    pub in_flight: Option<InFlight>,
    /// After how long without reading a partition the consumer is replaced; made with 20 s.
    pub patience: Duration,
    /// Cut when the task has not stopped in time.
    pub cut: Cut,
    /// Since when the group has given no assignment, not even one of no partitions; none while there is one.
    pub unassigned: Option<Instant>,
    /// The question whether records were deleted; made with none.
    pub looking: Option<JoinHandle<()>>,
    /// Which topics are read; made with none.
    pub renewed: Renewed,
}

const HEALTH: Duration = Duration::from_secs(1);
/// An assignment may take a few seconds; the embedded broker waits three.
const WITHOUT_GROUP: Duration = Duration::from_secs(8);
/// A partition may be without a leader for some seconds. Where another consumer does not help, the next one is waited
/// for twice as long, up to the longest.
pub(crate) const STALLED: Duration = Duration::from_secs(20);
const LONGEST_STALL: Duration = Duration::from_secs(600);
const LEAVE: Duration = Duration::from_secs(3);

impl SinkRunner {
    /// Runs until stopped or failed; then flushes, commits, closes and leaves the group.
    pub async fn run(mut self, control: Control) -> Result<()> {
        let mut positions = Positions::default();
        let result = self.pump(&control, &mut positions).await;
        // Nobody looks at the partitions' ends any more.
        self.status.behind(None);
        // Also after a failure, as in Kafka Connect: what was put need not be put again when the task is restarted. A
        // task that was given up has a successor by now.
        if !self.cut.is_cut()
            && let Err(e) = self.commit(&mut positions, None).await
        {
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
            let running = !*paused.borrow();
            let gathered = self.gathering.over(&pending).filter(|_| running);
            let due = self.task.due().filter(|_| running);
            tokio::select! {
                biased;
                () = control.stop.cancelled() => return Ok(()),
                changed = paused.changed() => match changed {
                    Ok(()) => self.consumer.set_paused(*paused.borrow_and_update()),
                    Err(_) => return Ok(()),
                },
                _ = health.tick() => {
                    let paused = *paused.borrow();
                    self.report_health(positions, paused, pending.is_empty());
                    self.look_at_gaps(&mut positions.sequence);
                    let stalled = self.consumer.stalled(self.patience);
                    if !stalled.is_empty() {
                        self.go_on(&stalled, positions, &mut pending).await?;
                    }
                    self.look_for_new_topics(positions, &mut pending).await?;
                }
                answer = answered(&mut self.in_flight) => self.committed(answer, positions)?,
                () = self.host.requested.notified() => self.carry_out(positions, &mut pending).await?,
                _ = commits.tick() => {
                    self.commit_or_rewind(positions, &mut pending).await?;
                    // A flush that takes longer than the interval must leave time for records.
                    commits.reset();
                }
                () = at(due), if due.is_some() => {
                    if matches!(self.put(&[], &mut 0, control, positions, &mut pending).await?, Waited::Stop) {
                        return Ok(());
                    }
                }
                () = at(gathered), if gathered.is_some() => {
                    if let Some(batch) = self.gathering.take(&mut pending)
                        && matches!(self.put_batch(batch, control, positions, &mut pending).await?, Waited::Stop) {
                            return Ok(());
                        }
                }
                event = self.consumer.next() => self.take(event, positions, &mut pending).await?,
            }
        }
    }

    fn report_health(&self, positions: &Positions, paused: bool, all_put: bool) {
        self.status.turn();
        self.status.transferred(self.consumer.traffic());
        self.status.holds(positions.assigned.len(), positions.ahead());
        let fetched = !paused && self.unassigned.is_none();
        self.status.behind(positions.lags(&self.consumer.bounds(), fetched, all_put));
        let late = |c: &&InFlight| c.began.elapsed() > self.flush_timeout && !c.is_answered();
        if let Some(commit) = self.in_flight.as_ref().filter(late) {
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
                positions.sequence.read(&batch);
                self.look_at_gaps(&mut positions.sequence);
                pending.push_back(batch);
            }
            Some(Event::Assigned(partitions)) => {
                self.unassigned = None;
                tracing::info!("assigned {}", list(&partitions));
                if !self.begin(&partitions, positions, pending).await? {
                    return Ok(());
                }
                self.look_behind_committed(&partitions);
                let _opening = self.status.doing(Activity::Opening);
                self.task.open(&partitions).await.map_err(|e| e.context("opening partitions"))?;
                positions.assigned.extend(partitions);
            }
            Some(Event::Revoked(handover)) => self.hand_over(handover, positions, pending).await?,
            Some(Event::Failed(e)) => return Err(e),
            None => return Err(Error::fatal("the consumer's thread has ended")),
        }
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
                        positions.sequence.sought(&o.partition, o.offset);
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
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) if time > Instant::now() => tokio::time::sleep_until(time).await,
        _ => {}
    }
}
