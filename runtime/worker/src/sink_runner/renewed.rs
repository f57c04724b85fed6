//! Topics that are deleted and created again under a sink.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use connect_api::{Error, ErrorClass, Result, Topic, TopicPartition};
use connect_kafka::{Identities, Ids, RawRecord};
use tokio::task::JoinHandle;

use super::{
    LONGEST_STALL, SinkRunner,
    positions::{Positions, list},
};

const ANSWER: Duration = Duration::from_secs(5);
/// What is not assigned for so long has been read by another task.
const READ_ELSEWHERE: Duration = Duration::from_secs(300);

/// Which topics the task reads.
#[derive(Default)]
pub struct Renewed {
    identities: Identities,
    asking: Option<(Instant, JoinHandle<Result<Ids>>)>,
    asked: Option<Instant>,
    /// Partitions of new topics that are read from their beginning when they are assigned next, and since when.
    from_beginning: BTreeMap<TopicPartition, Instant>,
}

impl SinkRunner {
    /// Asks for the topics' ids again and again in the background, and reads new topics from their beginning.
    pub(super) async fn look_for_new_topics(
        &mut self,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        if let Some((asked, answer)) = self.renewed.asking.take_if(|(_, answer)| answer.is_finished()) {
            let answer =
                answer.await.unwrap_or_else(|e| Err(Error::retriable("asking for the ids of topics").caused_by(e)));
            return match answer {
                Ok(ids) => {
                    let renewed = self.renewed.identities.told(ids, asked, &positions.assigned, &positions.sequence);
                    self.read_anew(renewed, positions, pending).await
                }
                Err(e) => {
                    tracing::debug!("{}", e.one_line());
                    Ok(())
                }
            };
        }
        let topics: BTreeSet<&Topic> = positions.assigned.iter().map(|p| &p.topic).collect();
        let due = self.renewed.asked.is_none_or(|asked| asked.elapsed() >= Identities::pause(topics.len()));
        // The embedded broker deletes no topics and gives no ids.
        if due && self.renewed.asking.is_none() && !topics.is_empty() && !self.host.worker.embedded {
            let topics = topics.into_iter().cloned().collect();
            let asked = Instant::now();
            self.renewed.asked = Some(asked);
            self.renewed.asking = Some((asked, self.consumer.topic_ids(topics, ANSWER)));
        }
        Ok(())
    }

    async fn read_anew(
        &mut self,
        renewed: Vec<TopicPartition>,
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        if renewed.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            "the topic was deleted and created again: {}; read from the beginning of the new one",
            list(&renewed)
        );
        self.subscribe_again(&renewed, positions, pending).await?;
        let now = Instant::now();
        self.renewed.from_beginning.extend(renewed.into_iter().map(|p| (p, now)));
        Ok(())
    }

    /// What is done for partitions that have not been read for some time although Kafka is there.
    pub(super) async fn go_on(
        &mut self,
        stalled: &[TopicPartition],
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<()> {
        tracing::warn!(
            "not read for {} s although kafka is there, as happens when a topic is deleted and created again: {}; subscribing \
             anew",
            self.patience.as_secs(),
            list(stalled)
        );
        self.patience = LONGEST_STALL.min(self.patience * 2);
        self.subscribe_again(stalled, positions, pending).await
    }

    /// Moves those of the assigned partitions that belong to a new topic to its beginning; `false` where Kafka was not there
    /// for that and the group is joined anew.
    pub(super) async fn begin(
        &mut self,
        assigned: &[TopicPartition],
        positions: &mut Positions,
        pending: &mut VecDeque<Vec<RawRecord>>,
    ) -> Result<bool> {
        self.renewed.from_beginning.retain(|_, since| since.elapsed() < READ_ELSEWHERE);
        let anew = |p: &&TopicPartition| self.renewed.from_beginning.contains_key(*p);
        let anew: Vec<TopicPartition> = assigned.iter().filter(anew).cloned().collect();
        if anew.is_empty() {
            return Ok(true);
        }
        match self.seek_beginnings(&anew, positions).await {
            Err(e) if e.class() == ErrorClass::Retriable => {
                tracing::warn!("the beginning of {} was not found, subscribing anew: {}", list(&anew), e.one_line());
                self.subscribe_again(&anew, positions, pending).await?;
                Ok(false)
            }
            moved => {
                self.renewed.from_beginning.retain(|p, _| !anew.contains(p));
                moved.map(|()| true)
            }
        }
    }

    async fn seek_beginnings(&mut self, of: &[TopicPartition], positions: &mut Positions) -> Result<()> {
        let first = self.consumer.beginnings(of.to_vec(), ANSWER).await;
        let first = first.map_err(|e| Error::retriable("looking for the beginning of a topic").caused_by(e))??;
        for o in &first {
            positions.sequence.sought(&o.partition, o.offset);
        }
        self.consumer.seek(first).await
    }
}
