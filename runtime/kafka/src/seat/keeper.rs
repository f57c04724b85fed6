//! Keeps the seat: a thread that polls the member, has the seat confirmed, and comes back where nobody else had it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use connect_api::Error;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::watch;

use super::{
    POLL, REQUEST, Standing,
    member::{Member, News},
    somebody,
};
use crate::{
    error::kafka_error,
    lease::{Lease, Moment},
};

const ANOTHER: &str = "another worker has taken it meanwhile";

/// The group's member, and what it needs to stay the one.
pub(super) struct Keeper {
    pub(super) consumer: Arc<BaseConsumer<Member>>,
    pub(super) group: String,
    pub(super) topic: String,
    /// What the marks of this process begin with; nobody else has it.
    pub(super) mark: String,
    pub(super) lease: Lease,
    pub(super) standing: watch::Sender<Standing>,
    /// How often the seat is confirmed.
    pub(super) every: Duration,
    /// How long a member of before, which may be this one, is waited for.
    pub(super) limit: Duration,
}

enum Phase {
    /// Waits for the group's answer.
    Joining { again: bool },
    /// Has the partition. The how manieth time it got it, and when the next confirmation is due.
    Seated { time: u64, next: Instant },
    /// Is no member any more, and has not joined again. Since when Kafka says that somebody is one.
    Away { occupied: Option<Instant> },
}

/// What the group said to a mark.
struct Answer {
    time: u64,
    asked: Moment,
    answer: Result<(), KafkaError>,
}

impl Keeper {
    /// Returns when the seat is lost for good or is to be left.
    pub(super) fn keep(self, stop: &AtomicBool) {
        let (asks, answers) = match self.marker() {
            Ok(ends) => ends,
            Err(e) => return self.lose(&format!("starting a thread: {e}")),
        };
        let mut phase = Phase::Joining { again: false };
        let (mut times, mut asked) = (0, false);
        // Whether it has been said that nothing is written.
        let mut said = false;
        while !stop.load(Ordering::Acquire) && self.lease.check().is_ok() {
            let back = match &mut phase {
                Phase::Away { occupied } => self.come_back(occupied),
                _ => false,
            };
            if back {
                phase = Phase::Joining { again: true };
            }
            if let Phase::Seated { time, next } = &mut phase
                && !asked
                && *next <= Instant::now()
            {
                *next = Instant::now() + self.every;
                asked = asks.send(*time).is_ok();
            }
            if matches!(*self.standing.borrow(), Standing::Taken) && self.lease.is_held() == said {
                said = !said;
                match said {
                    true => tracing::warn!(
                        "the place in the group {} has not been confirmed for too long; nothing is written until it is",
                        self.group
                    ),
                    false => tracing::info!("the place in the group {} is confirmed again", self.group),
                }
            }
            if let Some(Err(error)) = self.consumer.poll(POLL) {
                self.failed(error);
            }
            while let Ok(Answer { time, asked: at, answer }) = answers.try_recv() {
                asked = false;
                match answer {
                    Ok(()) if matches!(phase, Phase::Seated { time: now, .. } if now == time) => {
                        self.lease.confirm(at);
                        self.standing.send_replace(Standing::Taken);
                    }
                    Ok(()) => {}
                    Err(e) => self.failed(e),
                }
            }
            for news in self.consumer.context().news() {
                match news {
                    News::Assigned(true) => {
                        if matches!(phase, Phase::Joining { again: false }) || self.is_last(stop) {
                            times += 1;
                            phase = Phase::Seated { time: times, next: Instant::now() };
                        }
                    }
                    // Others may join in vain.
                    News::Assigned(false) if matches!(phase, Phase::Seated { .. }) => {}
                    News::Assigned(false) => self.lose("another member of the group came first"),
                    News::Lost => {
                        self.lease.doubt();
                        phase = Phase::Away { occupied: None };
                    }
                }
            }
        }
        self.consumer.unsubscribe();
        if self.consumer.close_queue().is_ok() {
            let deadline = Instant::now() + REQUEST;
            while !self.consumer.closed() && Instant::now() < deadline {
                drop(self.consumer.poll(POLL));
            }
        }
    }

    fn lose(&self, why: &str) {
        self.standing.send_replace(Standing::Lost(Error::fatal(why.to_owned())));
        self.lease.lose(Error::fatal(format!("group.id={}: {why}", self.group)));
    }

    fn failed(&self, error: KafkaError) {
        match error.rdkafka_error_code() {
            Some(Code::InconsistentGroupProtocol) => self.lose("a Kafka Connect worker is its member"),
            Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed | Code::InvalidSessionTimeout) => {
                let e = kafka_error("taking a place in the worker's group", error);
                self.standing.send_replace(Standing::Refused(e.clone()));
                self.lease.lose(e);
            }
            _ => tracing::debug!("the member of the group {}: {error}", self.group),
        }
    }

    /// A thread that asks the group to take marks, which it does from its present member only.
    fn marker(&self) -> std::io::Result<(mpsc::Sender<u64>, mpsc::Receiver<Answer>)> {
        let (asks, asked) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let (consumer, topic, mark) = (self.consumer.clone(), self.topic.clone(), self.mark.clone());
        thread::Builder::new().name("kafka-marks".into()).spawn(move || {
            while let Ok(time) = asked.recv() {
                let asked = Moment::now();
                let answer = leave_mark(&consumer, &topic, &mark);
                if answers.send(Answer { time, asked, answer }).is_err() {
                    return;
                }
            }
        })?;
        Ok((asks, answered))
    }

    /// Whether the group's last mark is of this process, so that nobody else has had the seat since.
    fn marked_last(&self) -> Result<bool, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let known = self.consumer.committed_offsets(list, REQUEST)?;
        let Some(last) = known.elements().into_iter().next() else { return Ok(false) };
        last.error()?;
        Ok(last.metadata() == self.mark)
    }

    /// Waits until Kafka says whose the last mark is; loses the seat if it is another's.
    fn is_last(&self, stop: &AtomicBool) -> bool {
        while !stop.load(Ordering::Acquire) {
            match self.marked_last() {
                Ok(true) => return true,
                Ok(false) => {
                    self.lose(ANOTHER);
                    return false;
                }
                Err(e) => tracing::debug!("asking for the last mark in the group {}: {e}", self.group),
            }
            thread::sleep(POLL);
        }
        false
    }

    /// Joins again once the group is empty, unless another has had the seat meanwhile; tells whether it has.
    fn come_back(&self, occupied: &mut Option<Instant>) -> bool {
        match self.marked_last() {
            Ok(true) => {}
            Ok(false) => {
                self.lose(ANOTHER);
                return false;
            }
            Err(e) => {
                tracing::debug!("asking for the last mark in the group {}: {e}", self.group);
                return false;
            }
        }
        match somebody(&self.consumer, &self.group) {
            Ok(None) => match self.consumer.subscribe(&[&self.topic]) {
                Ok(()) => return true,
                Err(e) => tracing::debug!("joining the group {} again: {e}", self.group),
            },
            // This one's own membership may not have ended yet.
            Ok(Some(who)) => {
                if occupied.get_or_insert_with(Instant::now).elapsed() > self.limit {
                    self.lose(&who);
                }
            }
            Err(e) => tracing::debug!("asking for the members of group {}: {e}", self.group),
        }
        false
    }
}

fn leave_mark(consumer: &BaseConsumer<Member>, topic: &str, mark: &str) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    {
        let mut own = list.add_partition(topic, 0);
        own.set_offset(Offset::Offset(0))?;
        own.set_metadata(mark);
    }
    consumer.commit(&list, CommitMode::Sync)
}
