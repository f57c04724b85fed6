//! Topics that are deleted and created again under a sink.
//!
//! librdkafka goes on at the offset where it was, or at the one that the group has committed: usually that fails, since the
//! new topic is shorter or Kafka has dropped the group's offsets with the old one, and reading starts from the beginning.
//! Where it does not fail, the first records of the new topic would be passed over without a word. So topics are told apart
//! by their ids.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Error, ErrorClass, Result, Topic, TopicPartition};
use connect_kafka::{RawRecord, Sequence};
use tokio::task::JoinHandle;

use super::{
    LONGEST_STALL, SinkRunner,
    positions::{Positions, list},
};

type Ids = BTreeMap<Topic, Arc<str>>;

/// How often Kafka is asked for the ids of up to [`AT_ONCE`] topics; more seldom for more.
const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: u32 = 100;
const ANSWER: Duration = Duration::from_secs(5);
/// What is not assigned for so long has been read by another task.
const READ_ELSEWHERE: Duration = Duration::from_secs(300);

/// Which topics the task reads.
#[derive(Default)]
pub struct Renewed {
    /// The id of each, and when Kafka was last asked of those that told it.
    known: BTreeMap<Topic, (Arc<str>, Instant)>,
    asking: Option<(Instant, JoinHandle<Result<Ids>>)>,
    asked: Option<Instant>,
    /// Partitions of new topics that are read from their beginning when they are assigned next, and since when.
    from_beginning: BTreeMap<TopicPartition, Instant>,
}

impl Renewed {
    /// Takes up Kafka's answer to a question of that time. What comes back are the partitions whose topic is another one
    /// than before and which have not been read from its beginning since.
    fn told(
        &mut self,
        ids: Ids,
        asked: Instant,
        assigned: &BTreeSet<TopicPartition>,
        read: &Sequence,
    ) -> Vec<TopicPartition> {
        let mut renewed = Vec::new();
        for (topic, id) in ids {
            let before = self.known.insert(topic.clone(), (id.clone(), asked));
            let Some((_, then)) = before.filter(|(old, _)| *old != id) else { continue };
            let anew = |p: &&TopicPartition| !read.begun(p).is_some_and(|(since, first)| since > then && first == 0);
            renewed.extend(assigned.iter().filter(|p| p.topic == topic).filter(anew).cloned());
        }
        renewed
    }
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
                    let renewed = self.renewed.told(ids, asked, &positions.assigned, &positions.sequence);
                    self.read_anew(renewed, positions, pending).await
                }
                Err(e) => {
                    tracing::debug!("{}", e.one_line());
                    Ok(())
                }
            };
        }
        let topics: BTreeSet<&Topic> = positions.assigned.iter().map(|p| &p.topic).collect();
        let every = EVERY * (1 + topics.len() as u32 / AT_ONCE);
        let due = self.renewed.asked.is_none_or(|asked| asked.elapsed() >= every);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition: 0 }
    }

    #[test]
    fn a_topic_with_another_id_is_read_anew_unless_it_has_been_since() {
        let ids = |id: &str| Ids::from([("a".into(), id.into()), ("b".into(), "stays".into())]);
        let assigned = [partition("a"), partition("b")].into();
        let (mut renewed, mut read) = (Renewed::default(), Sequence::default());
        let mut told = |id, read: &Sequence| renewed.told(ids(id), Instant::now(), &assigned, read);
        read.sought(&partition("a"), 0);
        assert_eq!(told("first", &read), [], "nothing is known of before");
        assert_eq!(told("first", &read), []);
        assert_eq!(told("second", &read), [partition("a")], "what was read was the old one");
        assert_eq!(told("second", &read), [], "once");
        read.sought(&partition("a"), 0);
        assert_eq!(told("third", &read), []);
        read.sought(&partition("a"), 31);
        assert_eq!(told("fourth", &read), [partition("a")], "it began at the offset of the old one");
    }
}
